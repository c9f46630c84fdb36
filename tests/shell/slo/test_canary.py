"""Counting a canary: disjoint windows since it took traffic, the same after a restart, and what cannot be counted."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release, ReleaseSpec, WorkloadRef
from opsloop.api.revision import Revision
from opsloop.api.slo import Sli, Slo
from opsloop.api.target import Target
from opsloop.core.readings import CanaryReading, Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.pods import Scope
from opsloop.errors import Invalid, Unavailable
from opsloop.shell.slo.canary import CanaryCounter
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START
from tests.fakes.telemetry import FakeTelemetry

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

V = 'version=~"{{version}}"'
SLI = Sli(good=f"good{{{V}}}[{{{{window}}}}]", total=f"total{{{V}}}[{{{{window}}}}]")
SLO = Slo(objective=0.99, sli=SLI)
ONE, TWO = "1" * 16, "2" * 16
RESOLUTION = timedelta(seconds=1)
STEP = 4.0
SCOPE = Scope("shop", "answers")


def release(traffic: tuple[float, ...] = (0,), slo: Slo | None = SLO, label: str = "v2", **analysis: Any) -> Release:
    """A Release whose canary took traffic at these seconds."""
    revisions = [
        Revision(digest=digest, number=n, version=version, reason="Adopted", first_seen=START)
        for n, (digest, version) in enumerate(((ONE, "v1"), (TWO, label)), 1)
    ]
    target = Target(
        digest=TWO, version=label, state="Stepping", started_at=START, traffic=[START + timedelta(seconds=s) for s in traffic]
    )  # fmt: skip
    strategy = {"canary": {"analysis": analysis}}
    return Release(
        metadata=ObjectMeta(name="answers", namespace="shop"),
        spec=ReleaseSpec.model_validate(
            {"workload_ref": WorkloadRef(name="answers"), "version": label, "images": {"app": "shop:v2"}, "slo": slo, "strategy": strategy}
        ),
        status={"live": ONE, "revisions": revisions, "target": target},  # type: ignore[arg-type]
    )  # fmt: skip


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Bench:
    """A counter over traffic of 40 requests/s to live and 10 to the canary, of which every tenth is bad."""

    def __init__(self) -> None:
        self.telemetry = FakeTelemetry()
        self.telemetry.serve(START - timedelta(minutes=5), 10_000, rps=40, version="v1")
        self.telemetry.serve(START, 9_700, rps=10, error=0.1, version="v2")
        self.counter = self.restarted()

    def restarted(self) -> CanaryCounter:
        return CanaryCounter(SliQuery(self.telemetry, timedelta(seconds=1), RESOLUTION), RESOLUTION)

    async def read(self, seconds: float, item: Release | None = None) -> CanaryReading:
        reading = await self.counter.read(item or release(), SCOPE, at(seconds))
        assert isinstance(reading, CanaryReading)
        return reading


async def test_windows_are_counted_once_each_as_they_end() -> None:
    bench = Bench()
    totals = [(await bench.read(s)).evidence.total for s in (0, 3, 4, 5, 9, 20)]
    assert totals == [0, 0, 40, 40, 80, 200]
    reading = await bench.read(20)
    assert (reading.evidence.live_total, reading.until) == (800, at(20))
    assert reading.evidence.bad == pytest.approx(20)
    asked = [(start, end, step) for _, start, end, step in bench.telemetry.ranges]
    assert asked == [(at(4), at(4), STEP), (at(8), at(8), STEP), (at(12), at(20), STEP)]


async def test_after_a_restart_one_query_gives_all_again() -> None:
    bench = Bench()
    item = release(traffic=(0, 41, 300))
    for second in range(0, 900, 7):
        before = await bench.read(second, item)
    bench.counter, asked = bench.restarted(), len(bench.telemetry.ranges)
    assert await bench.read(second, item) == before
    assert len(bench.telemetry.ranges) == asked + 1


async def test_a_long_time_is_caught_up_with_at_one_bounded_query_per_tick() -> None:
    bench = Bench()
    untils = [(await bench.read(9000 + n)).evidence.until for n in range(5)]
    assert untils == [2000, 4000, 6000, 8000, 9004]
    assert max((end - start).total_seconds() / step for _, start, end, step in bench.telemetry.ranges) < 500


async def test_a_failed_read_keeps_what_was_counted_and_misses_nothing() -> None:
    bench = Bench()
    await bench.read(20)
    bench.telemetry.failure = Unavailable("refused")
    failed = await bench.read(40)
    assert failed.failure == Unknown(slo.UNREACHABLE, "refused")
    assert (failed.evidence.total, failed.until) == (200, at(20))
    bench.telemetry.failure = None
    assert (await bench.read(60)) == await Bench().read(60)


async def test_while_nobody_knows_where_the_series_are_what_was_counted_stands() -> None:
    bench, lost = Bench(), Unknown(slo.UNREACHABLE, "refused")
    counted = await bench.read(20)
    assert await bench.counter.read(release(), lost, at(24)) == replace(counted, failure=lost)
    assert (await bench.read(28)) == await Bench().read(28)
    assert await Bench().counter.read(release(), lost, at(24)) == lost


async def test_a_refused_query_names_the_field() -> None:
    bench = Bench()
    bench.telemetry.refused["good{"] = Invalid("parse error")
    failure = (await bench.read(20)).failure
    assert failure == Unknown(slo.QUERY_FAILED, "spec.slo.sli.good: parse error")


async def test_seconds_without_scrapes_are_a_gap_and_the_evidence_grows_old() -> None:
    bench = Bench()
    bench.telemetry.spans.clear()
    bench.telemetry.serve(START, 8, rps=10, version="v2")
    reading = await bench.read(40)
    assert (reading.evidence.total, reading.until, reading.failure) == (80, at(8), None)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(release(margin=3), id="the margin"),
        pytest.param(release(falseRejects=0.1), id="the accepted share of false rejects"),
        pytest.param(release(slo=Slo(objective=0.9, sli=SLI)), id="the objective"),
        pytest.param(release(traffic=(8,)), id="another attempt"),
    ],
)
async def test_changed_terms_count_from_the_beginning(changed: Release) -> None:
    bench = Bench()
    await bench.read(40)
    assert await bench.read(40, changed) == await Bench().read(40, changed)


async def test_a_step_is_a_new_start_of_the_tests() -> None:
    one, two = Bench(), Bench()
    assert (await one.read(40)).evidence.against_floor.starts == 1
    assert (await two.read(40, release(traffic=(0, 20)))).evidence.against_floor.starts == 2


@pytest.mark.parametrize(
    ("item", "reading"),
    [
        pytest.param(release(slo=None), None, id="no SLO"),
        pytest.param(release(traffic=()), None, id="no canary in traffic yet"),
        pytest.param(
            release(slo=Slo(objective=0.99, sli=Sli(good="g[{{window}}]", total="t[{{window}}]"))),
            Unknown(
                slo.NOT_BY_VERSION,
                'spec.slo.sli: write {{pods}} into both expressions, for example pod=~"{{pods}}"; or {{version}}',
            ),
            id="the SLI does not tell versions apart",
        ),
        pytest.param(
            release(label="v1"),
            Unknown(
                slo.NOT_BY_VERSION,
                "version v1 is the label of canary and live; give each version its own, or write {{pods}} into the SLI",
            ),
            id="one label for both",
        ),
    ],
)
async def test_what_is_not_counted(item: Release, reading: Unknown | None) -> None:
    assert await Bench().counter.read(item, SCOPE, at(20)) == reading
