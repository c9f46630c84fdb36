"""Several sources: each Release is read from the one that it names, and what is wrong with one is no other's matter."""

import asyncio
import logging
from datetime import timedelta
from itertools import pairwise

import pytest

from opsloop.adapters.prometheus import NoPrometheus
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.readings import Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.errors import Forbidden, Invalid, OpsloopError, Partial, TimedOut, Unavailable
from opsloop.shell.ports import Source
from opsloop.shell.slo.poller import Poller
from opsloop.shell.slo.sources import PATIENCE, CountedTelemetry, say_who_answers
from opsloop.simulator.fakes.clock import START
from opsloop.simulator.fakes.ports import FakeInstruments
from tests.fakes.telemetry import FakeTelemetry
from tests.shell.slo.test_poller import FAST, SLI, Bench, release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SECOND = timedelta(seconds=1)


def of(name: str, source: str) -> Release:
    spec = Slo(source=source, objective=0.99, sli=SLI, tiers=[FAST], bake_time=timedelta(seconds=20))
    return release(name, slo=spec)


class Two(Bench):
    """A poller with the sources default and mimir; `mimir` has ten times the traffic."""

    def __init__(self, *releases: Release) -> None:
        super().__init__(*releases)
        self.mimir = FakeTelemetry()
        sources = {
            "default": Source(self.telemetry, NoPrometheus(), SECOND),
            "mimir": Source(self.mimir, NoPrometheus(), timedelta(seconds=30), timedelta(minutes=2)),
        }
        self.poller = Poller(
            sources, self.clock, lambda: self.releases, self.store, self.woken.append, timedelta(seconds=5), lambda _: False
        )  # fmt: skip
        for telemetry, rps in ((self.telemetry, 10.0), (self.mimir, 100.0)):
            telemetry.serve(START - timedelta(hours=1), 7200, rps=rps)

    def reason(self, name: str) -> tuple[str, str]:
        reading = self.short(name)
        assert isinstance(reading, Unknown)
        return reading.reason, reading.detail


async def test_each_release_is_read_from_the_source_that_it_names() -> None:
    bench = Two(of("web", "default"), of("pay", "mimir"))
    await bench.tick()
    web, pay = bench.short("web"), bench.short("pay")
    assert isinstance(web, Value) and isinstance(pay, Value) and pay.total == 10 * web.total


async def test_each_source_has_a_delay_and_a_scrape_interval_of_its_own() -> None:
    bench = Two(of("web", "default"), of("pay", "mimir"))
    await bench.tick()
    assert bench.store.of(("shop", "web")).delay == timedelta(0)
    assert bench.store.of(("shop", "pay")).delay == timedelta(minutes=2)
    assert ":1s]" in bench.telemetry.instants[0] and ":30s]" in bench.mimir.instants[0]


async def test_a_source_that_nobody_configured_is_named_with_those_that_are() -> None:
    bench = Two(of("web", "thanos"), of("pay", "mimir"))
    await bench.tick()
    assert bench.reason("web") == (
        slo.SOURCE_UNKNOWN,
        "spec.slo.source: there is no 'thanos'; the operator has default, mimir",
    )
    assert isinstance(bench.short("pay"), Value) and bench.telemetry.instants == []
    bench.releases[0] = of("web", "default")
    await bench.tick()
    assert isinstance(bench.short("web"), Value), "corrected, it is read at once"


async def test_what_one_source_answers_is_told_of_its_releases_alone() -> None:
    bench = Two(of("web", "default"), of("pay", "mimir"))
    bench.mimir.failure = Forbidden("Prometheus source mimir answered 401: no org id")
    await bench.tick()
    assert bench.reason("pay") == (slo.UNREACHABLE, "Prometheus source mimir answered 401: no org id")
    assert isinstance(bench.short("web"), Value)


async def test_a_source_that_is_dead_delays_nobody_who_reads_from_another() -> None:
    """A hundred Releases whose queries hang, and twenty of another source: these are read on every tick."""
    bench = Two(*(of(f"dead{n}", "mimir") for n in range(100)), *(of(f"web{n}", "default") for n in range(20)))
    bench.mimir.stalled = True
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(61)
    running.cancel()
    moments = bench.telemetry.moments
    assert len(moments) == pytest.approx(20 * 13, abs=20) and max(moments[:20]) == moments[0], (
        "from the first moment on"
    )


async def test_a_source_that_answers_again_brings_forward_its_own_releases_only() -> None:
    bench = Two(of("web", "default"), of("pay", "mimir"), of("buy", "mimir"))
    bench.telemetry.refused["good{"] = Invalid("parse error")
    bench.mimir.failure = TimedOut("no answer")
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(200)
    bench.mimir.failure = None
    await asyncio.sleep(200)
    running.cancel()
    assert isinstance(bench.short("pay"), Value) and isinstance(bench.short("buy"), Value)
    reads = bench.telemetry.moments[::2]  # each asks the whole and then the field at fault
    assert {later - earlier for earlier, later in pairwise(reads[4:])} == {60}, "a refused query keeps its pause"


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (None, "ok"),
        (Invalid("parse error"), "invalid"),
        (Forbidden("401"), "refused"),
        (Unavailable("503"), "unavailable"),
        (TimedOut("late"), "timeout"),
        (Partial("a store is away"), "partial"),
    ],
)
async def test_each_answer_is_counted_by_its_source_and_result(failure: OpsloopError | None, result: str) -> None:
    telemetry, instruments = FakeTelemetry(failure=failure), FakeInstruments()
    counted = CountedTelemetry(telemetry, "mimir", instruments)
    for asking in (
        counted.instant("up", START),
        counted.range("up", START, START, 1),
        counted.samples("up[1m]", START),
    ):
        try:
            await asking
        except OpsloopError as error:
            assert error is failure or isinstance(error, Invalid)
    assert instruments.queries["mimir", result] >= 2


async def test_a_query_that_its_caller_gives_up_counts_as_one_that_was_late() -> None:
    counted, instruments = FakeTelemetry(stalled=True), FakeInstruments()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await CountedTelemetry(counted, "mimir", instruments).instant("up", START)
    assert instruments.queries == {("mimir", "timeout"): 1}


async def test_at_the_start_the_log_names_each_source_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    good, refused, stalled = FakeTelemetry(), FakeTelemetry(failure=Forbidden("401: no org id")), FakeTelemetry(stalled=True)  # fmt: skip
    good.scripted["vector(1)"] = []
    every = {"default": good, "mimir": refused, "thanos": stalled}
    await say_who_answers({name: Source(one, NoPrometheus()) for name, one in every.items()})
    assert "source default answers" in caplog.text
    assert "source mimir: SLIs that are read from it are unknown until it answers: 401: no org id" in caplog.text
    assert (
        f"source thanos: SLIs that are read from it are unknown until it answers: no answer within {PATIENCE.total_seconds():.0f} s"
        in caplog.text
    )
