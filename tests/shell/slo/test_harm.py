"""What the poller reads while the SLI burns: counts around the beginning of the harm, and two revisions side by side since then."""

from datetime import datetime, timedelta

import pytest

from opsloop.core.incident.cause import began
from opsloop.core.readings import Harm, Interval
from opsloop.shell.ports import Series
from opsloop.shell.slo.harm import intervals
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from tests.fakes.telemetry import FakeTelemetry, only
from tests.shell.slo.test_poller import ONE, TWO, release, revision

MINUTE = timedelta(minutes=1)


async def read(telemetry: FakeTelemetry, now: float = 110) -> Harm | None:
    """Scrapes come every second, so that intervals are of four; the tier's long window is a minute."""
    clock, store = FakeClock(), ReadingStore()
    before, since = (START + timedelta(seconds=s) for s in (0, 89))
    known = [revision(ONE, "v1", live_since=before), revision(TWO, "v2", live_since=since, exposed_since=since)]
    item = release(live=TWO, last_good=ONE, revisions=known)
    clock.advance(now)
    second = timedelta(seconds=1)
    poller = Poller(only(telemetry, second), clock, lambda: [item], store, lambda _: None, second, lambda _: True)
    await poller.pass_once()
    return store.of(item.key).harm


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_counts_around_the_beginning_and_side_by_side_since() -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START, 90, version="v1")
    telemetry.serve(START + timedelta(seconds=90), 60, error=0.8, rps=25, version="v2")
    telemetry.serve(START + timedelta(seconds=90), 60, rps=25, version="v1")
    harm = await read(telemetry)
    assert harm is not None and harm.series[-1].end == START + timedelta(seconds=110)
    assert all(b.start == a.end for a, b in zip(harm.series, harm.series[1:], strict=False)), "disjoint, without gaps"
    assert (harm.series[-1].bad, harm.series[-1].total) == (80, 200)
    assert began(harm.series) == (START + timedelta(seconds=90), START + timedelta(seconds=94))
    both = harm.side_by_side
    assert both is not None and (both.own, both.other) == (TWO, ONE)
    assert [(i.canary_bad, i.canary_total, i.live_bad) for i in both.intervals] == [(80, 100, 0)] * 4


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_nothing_is_read_while_nothing_burns() -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START, 200, version="v2")
    assert await read(telemetry) is None


def series(kind: str, *numbers: float) -> Series:
    points = tuple((START + MINUTE * n, number) for n, number in enumerate(numbers))
    return Series({"opsloop": f"{kind}:1m"}, points)


def interval(number: int, bad: float, total: float) -> Interval:
    end: datetime = START + MINUTE * number
    return Interval(end - MINUTE, end, bad, total)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        pytest.param([series("good", 9, 5), series("total", 10, 10)], [interval(0, 1, 10), interval(1, 5, 10)], id="good and total"),
        pytest.param([series("bad", 1, 5), series("total", 10, 10)], [interval(0, 1, 10), interval(1, 5, 10)], id="bad and total"),
        pytest.param([series("total", 10)], [interval(0, 0, 10)], id="a bad counter that was never incremented"),
        pytest.param([series("good", 9), series("total", 10, 10)], [interval(0, 1, 10), interval(1, 10, 10)], id="good that ended while requests go on: all are bad"),
        pytest.param([series("good", 10.4), series("total", 10)], [interval(0, 0, 10)], id="extrapolated counts are cut"),
        pytest.param([series("good", 0, float("nan")), series("total", 0, float("nan"))], [], id="no events, and not a number"),
        pytest.param([], [], id="no answer"),
    ],
)  # fmt: skip
def test_intervals_of_an_answer(answer: list[Series], found: list[Interval]) -> None:
    assert list(intervals(answer, MINUTE)) == found


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_while_a_tier_fires_intervals_are_not_cut_anew_at_each_scrape() -> None:
    """Read every second, intervals of four: they end where they did when it fired, or four, eight … seconds later."""
    telemetry, clock, store = FakeTelemetry(), FakeClock(), ReadingStore()
    telemetry.serve(START, 90, version="v1")
    telemetry.serve(START + timedelta(seconds=90), 60, error=0.8, rps=50, version="v1")
    item = release(live=ONE, last_good=ONE, revisions=[revision(ONE, "v1", live_since=START)])
    second = timedelta(seconds=1)
    poller = Poller(only(telemetry, second), clock, lambda: [item], store, lambda _: None, second, lambda _: True)
    clock.advance(110)
    ends = []
    for _ in range(10):
        await poller.pass_once()
        harm = store.of(item.key).harm
        assert harm is not None
        ends.append((harm.series[-1].end - START).total_seconds())
        clock.advance(1)
    assert ends == [110] * 4 + [114] * 4 + [118] * 2
