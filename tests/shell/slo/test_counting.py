"""Counting a canary by its pods' counters, over a model of Prometheus: what is asked, and when it is not possible."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from opsloop.api.release import Release
from opsloop.api.slo import Requests, Sli, Slo
from opsloop.core.readings import CanaryReading, Unknown
from opsloop.core.slo.pods import Labels, Scope
from opsloop.errors import Invalid, OpsloopError, TimedOut
from opsloop.shell.ports import Sample, Series
from opsloop.shell.slo.canary import CanaryCounter
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.shell.slo.test_canary import release as by_version

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SCRAPE = timedelta(seconds=15)
SCOPE = Scope("shop", "answers", Labels("pod", "namespace"))
SLI = Sli(requests=Requests(counter="http_total", bad='code="500"'))
LIVE, CANARY = ("answers-aaaa-aaaa1", "answers-aaaa-aaaa2"), ("answers-canary-bbbb-aaaa1",)
OFFSETS = {LIVE[0]: 3, LIVE[1]: 8, CANARY[0]: 11}


def release(traffic: tuple[float, ...] = (0,), sli: Sli = SLI) -> Release:
    item = by_version(traffic, Slo(objective=0.99, sli=sli))
    sets = {"v1": ["answers-aaaa"], "v2": ["answers-canary-bbbb"]}
    revisions = [one.model_copy(update={"replica_sets": sets[one.version]}) for one in item.status.revisions]
    return item.model_copy(update={"status": item.status.model_copy(update={"revisions": revisions})})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Recorded(ModelTelemetry):
    """Keeps what it is asked, and refuses what it is told to."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        super().__init__(store, clock)
        self.asked, self.most = list[str](), 0  # the most samples of one answer
        self.refused: OpsloopError | None = None

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        self.asked.append(query)
        return await super().instant(query, at)

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        self.asked.append("range")
        return await super().range(query, start, end, step)

    async def samples(self, query: str, at: datetime) -> list[Series]:
        self.asked.append(query)
        if self.refused:
            raise self.refused
        found = await super().samples(query, at)
        self.most = max(self.most, sum(len(one.points) for one in found))
        return found


class Bench:
    """Live answers 4 requests each second and pod, the canary 2; every tenth of the canary's is bad."""

    def __init__(self, seconds: int = 300, paths: int = 1) -> None:
        self.store, self.clock = Store(), FakeClock()
        self.telemetry = Recorded(self.store, self.clock)
        for pod in LIVE:
            self.serve(pod, -600, seconds, 4.0, 0.0, paths)
        self.serve(CANARY[0], 0, seconds, 2.0, 0.1, paths)
        self.counter = self.restarted()

    def restarted(self) -> CanaryCounter:
        return CanaryCounter(SliQuery(self.telemetry, timedelta(seconds=1), SCRAPE), SCRAPE)

    def serve(self, pod: str, begin: int, end: int, rps: float, bad: float, paths: int) -> None:
        first = begin - begin % 15 + OFFSETS[pod]
        for second in range(first + 15 * (first < begin), end, 15):
            events = rps * (second - begin)
            for code, share in (("500", bad), ("200", 1 - bad)):
                for path in range(paths if share else 0):
                    labels = {
                        "__name__": "http_total",
                        "namespace": "shop",
                        "pod": pod,
                        "code": code,
                        "path": f"{path}",
                    }
                    self.store.append(labels, milliseconds(at(second)), events * share / paths)

    async def read(self, seconds: float, item: Release | None = None) -> CanaryReading:
        self.clock.time = max(self.clock.time, at(seconds))
        reading = await self.counter.read(item or release(), SCOPE, at(seconds))
        assert isinstance(reading, CanaryReading)
        return reading


async def test_each_scrape_is_an_interval_and_each_tick_one_query() -> None:
    bench = Bench()
    ends = [(reading.evidence.intervals, reading.until) for s in range(0, 61, 5) for reading in [await bench.read(s)]]
    assert ends[-1] == (4, at(56))
    assert [count for count, _ in ends] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert len(bench.telemetry.asked) == len(ends)
    evidence = (await bench.read(60)).evidence
    assert evidence.total == pytest.approx(2 * 56)
    assert evidence.bad == pytest.approx(0.2 * 56)
    assert evidence.live_total == pytest.approx(4 * (60 + 60)), "since live's last scrapes before the traffic"
    assert evidence.dispersion == 1


async def test_a_canary_whose_errors_come_with_its_first_scrape_is_known_three_scrapes_later() -> None:
    bench = Bench()
    for second in range(0, 50, 5):
        reading = await bench.read(second)
    assert reading.evidence.rejects and reading.approximate == ""


async def test_only_what_is_new_is_read() -> None:
    bench = Bench()
    for second in range(0, 300, 15):
        await bench.read(second)
    spans = {one.rpartition("[")[2] for one in bench.telemetry.asked[2:]}
    assert spans <= {"30s]", "45s]"}


async def test_after_a_restart_the_same_is_counted_from_the_first_traffic_on() -> None:
    bench, item = Bench(), release((0, 41, 120))
    for second in range(0, 280, 7):
        before = await bench.read(second, item)
    bench.counter, asked = bench.restarted(), len(bench.telemetry.asked)
    await bench.read(second, item)
    assert await bench.read(second, item) == before
    assert len(bench.telemetry.asked) == asked + 2


async def test_a_long_time_is_caught_up_with_in_bounded_answers() -> None:
    bench = Bench(seconds=40_000, paths=10)
    reading = await bench.read(39_000)
    for _ in range(3):
        reading = await bench.read(39_000)
    assert reading.evidence.until > 38_900
    assert bench.telemetry.most <= 60_000
    assert reading.evidence.total == pytest.approx(2 * 39_000, rel=0.001)


async def test_too_many_series_are_counted_in_windows_and_the_reading_says_so() -> None:
    bench = Bench(paths=1001)
    await bench.read(0)
    reading = await bench.read(125)
    assert reading.approximate == "2002 series, more than 2000"
    assert reading.step == timedelta(seconds=60)
    assert reading.evidence.intervals == 2


@pytest.mark.parametrize(
    ("refusal", "approximate"),
    [
        pytest.param(Invalid("no ranges here"), "no raw samples: no ranges here", id="one that gives no samples for a range is asked for windows"),
        pytest.param(TimedOut("late"), "", id="one that does not answer is asked again"),
    ],
)  # fmt: skip
async def test_a_prometheus_that_refuses(refusal: OpsloopError, approximate: str) -> None:
    bench = Bench()
    bench.telemetry.refused = refusal
    await bench.read(10)
    reading = await bench.read(130)
    assert reading.approximate == approximate
    assert reading.failure == (None if approximate else Unknown("TelemetryTimeout", "late"))
    bench.telemetry.refused = None
    assert (await bench.read(130)).evidence.total == pytest.approx(250, rel=0.08)


async def test_what_is_no_sum_of_increases_is_counted_in_windows() -> None:
    by = 'namespace="shop",pod=~"{{pods}}"'
    sli = Sli(
        bad=f'sum(increase(http_total{{{by},code="500"}}[{{{{window}}}}])) * 1',
        total=f"sum(increase(http_total{{{by}}}[{{{{window}}}}]))",
    )
    reading = await Bench().read(130, release(sli=sli))
    assert reading.approximate == "spec.slo.sli.bad is no sum of increase(…[{{window}}]) over plain counters"
    same = sli.model_copy(update={"bad": (sli.bad or "").removesuffix(" * 1")})
    bench = Bench()
    await bench.read(0, release(sli=same))
    assert replace(await bench.read(130, release(sli=same)), approximate="") == await _structured()


async def _structured() -> CanaryReading:
    bench = Bench()
    await bench.read(0)
    return await bench.read(130)


async def test_samples_that_are_seen_late_are_read_when_they_come() -> None:
    bench = Bench(seconds=0)
    for pod, begin, rps in ((LIVE[0], -600, 4.0), (LIVE[1], -600, 4.0), (CANARY[0], 0, 2.0)):
        for second in range(begin - begin % 15 + OFFSETS[pod], 300, 15):
            labels = {"__name__": "http_total", "namespace": "shop", "pod": pod, "code": "200"}
            seen = milliseconds(at(second + 70))
            if second > 0:
                bench.store.append(labels, milliseconds(at(second)), rps * (second - begin), seen)
    for second in range(0, 300, 5):
        reading = await bench.read(second)
    assert reading.until == at(296 - 75)
    assert reading.evidence.total == pytest.approx(2 * (296 - 75))
