"""Several objectives of one Release at the poller: each is read alone, and together they are one."""

import asyncio
from datetime import datetime, timedelta

import pytest

from opsloop.api.release import Release
from opsloop.api.slo import Objective, Sli, Slo
from opsloop.core.readings import Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.errors import Invalid
from opsloop.shell.ports import Sample, Series
from opsloop.simulator.fakes.clock import START
from tests.fakes.telemetry import FakeTelemetry
from tests.shell.slo.test_poller import FAST, SLI, Bench, V, healthy, release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

KEY = ("shop", "answers")
SLOW = Sli(good=f"fast{{{V}}}[{{{{window}}}}]", total=f"timed{{{V}}}[{{{{window}}}}]")


class Two(FakeTelemetry):
    """Answers about latency from other traffic, after `seconds`."""

    def __init__(self) -> None:
        super().__init__()
        self.latency, self.seconds = FakeTelemetry(), 0.0

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        if "timed" not in query and "fast" not in query:
            return await super().instant(query, at)
        await asyncio.sleep(self.seconds)
        return await self.latency.instant(query, at)

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        if "timed" in query:
            return await self.latency.range(query, start, end, step)
        return await super().range(query, start, end, step)


def two() -> Release:
    also = [Objective(name="latency", objective=0.99, sli=SLOW)]
    spec = Slo(name="availability", objective=0.99, sli=SLI, tiers=[FAST], bake_time=timedelta(seconds=20), also=also)
    return release(slo=spec)


def bench_of(latency_errors: float = 0.0) -> tuple[Bench, Two]:
    bench, telemetry = Bench(two()), Two()
    bench.telemetry = telemetry
    bench.poller._lanes["default"].reader._query._telemetry = telemetry
    healthy(bench)
    telemetry.latency.serve(START - timedelta(hours=1), 7200, error=latency_errors)
    return bench, telemetry


async def test_each_objective_is_one_query_per_tick_and_the_release_is_healthy_when_both_are() -> None:
    bench, telemetry = bench_of()
    for _ in range(3):
        await bench.tick()
    verdict = bench.store.of(KEY).verdict
    assert verdict is not None and (verdict.band, verdict.back) == ("ok", True)
    assert [v.name for v in verdict.each] == ["availability", "latency"]
    assert (len(telemetry.instants), len(telemetry.latency.instants)) == (3, 3)
    assert set(bench.wakes()) == {"answers"}


async def test_latency_burns_while_availability_is_well() -> None:
    bench, _ = bench_of(latency_errors=0.5)
    await bench.tick()
    verdict = bench.store.of(KEY).verdict
    assert verdict is not None and verdict.firing is not None
    assert (verdict.name, verdict.band, verdict.back) == ("latency", "fast", False)


async def test_a_query_that_never_ends_delays_only_its_own_objective() -> None:
    bench, telemetry = bench_of()
    telemetry.seconds = 3600
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(2)
    own = bench.store.of_objective(KEY, "availability").verdict
    assert own is not None and own.band == "ok", "read in time"
    await asyncio.sleep(60)
    assert len(telemetry.instants) >= 12, "and on every tick"
    verdict = bench.store.of(KEY).verdict
    assert verdict is not None
    assert (verdict.name, verdict.band, verdict.reason) == ("latency", "unknown", slo.TIMEOUT)
    running.cancel()


async def test_a_refused_query_names_the_field_of_its_objective() -> None:
    bench, telemetry = bench_of()
    telemetry.latency.refused = {"fast": Invalid("parse error")}
    await bench.tick()
    verdict = bench.store.of(KEY).verdict
    assert verdict is not None and isinstance(verdict.tiers[0].short, Unknown)
    assert verdict.tiers[0].short == Unknown(slo.QUERY_FAILED, "spec.slo.also[0].sli.good: parse error")


async def test_an_objective_that_is_taken_out_of_the_spec_is_forgotten() -> None:
    bench, _ = bench_of(latency_errors=0.5)
    await bench.tick()
    assert bench.releases[0].spec.slo is not None
    without = bench.releases[0].spec.slo.model_copy(update={"also": []})
    bench.releases = [release(slo=without)]
    await bench.tick()
    verdict = bench.store.of(KEY).verdict
    assert verdict is not None
    assert (verdict.name, verdict.band, verdict.each) == ("availability", "ok", ())


async def test_a_new_objective_is_not_taken_for_healthy_before_it_was_read() -> None:
    bench, telemetry = bench_of()
    whole = bench.releases
    assert whole[0].spec.slo is not None
    bench.releases = [release(slo=whole[0].spec.slo.model_copy(update={"also": []}))]
    await bench.tick()
    telemetry.seconds, bench.releases = 3600, whole
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(4)
    assert bench.store.of(KEY).verdict is None
    running.cancel()
