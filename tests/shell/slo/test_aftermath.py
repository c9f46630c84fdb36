"""What the poller reads while an Incident's act is in effect: counts since, and once those of just before."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.incident.effect import Act
from opsloop.core.readings import SinceAct, Told, Unknown, Value
from opsloop.core.slo import telling
from opsloop.core.slo.aftermath import SCRAPES_OF_HARM, judge
from opsloop.core.slo.splits import scope_of
from opsloop.errors import Invalid
from opsloop.shell.slo.acts import ActReader
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START, FakeClock
from tests.fakes.telemetry import FakeTelemetry, only
from tests.shell.slo.test_poller import ONE, TWO, release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def read(now: float, act: Act | None, telemetry: FakeTelemetry) -> SinceAct | None:
    """Scrapes come every second; the fastest tier's short window is five seconds."""
    clock, store, item = FakeClock(), ReadingStore(), release()
    clock.advance(now)
    poller = Poller(
        only(telemetry, timedelta(seconds=1)), clock, lambda: [item], store, lambda _: None, timedelta(seconds=1),
        lambda _: True, lambda _: act,
    )  # fmt: skip
    await poller.pass_once()
    return store.of(item.key).since_act


def traffic(*stretches: tuple[float, float, float]) -> FakeTelemetry:
    """(start, end, error ratio) at 50 events per second."""
    telemetry = FakeTelemetry()
    for start, end, error in stretches:
        telemetry.serve(START + timedelta(seconds=start), end - start, error=error)
    return telemetry


ACT = Act(START + timedelta(seconds=60), START + timedelta(seconds=80))
HARM = ((0, 80, 0.8), (80, 200, 0.0))


async def test_counts_since_the_act_begin_one_scrape_after_its_effect() -> None:
    seen = await read(84, ACT, traffic(*HARM))
    assert seen is not None and (seen.effect_at, seen.span) == (ACT.effect_at, timedelta(seconds=3))
    assert isinstance(seen.since, Value) and (seen.since.bad, seen.since.total) == (0, 150)


@pytest.mark.parametrize(
    ("now", "act"),
    [
        pytest.param(82, ACT, id="one scrape since is no difference of counts"),
        pytest.param(84, None, id="nothing is in effect"),
    ],
)
async def test_nothing_is_read(now: float, act: Act | None) -> None:
    assert await read(now, act, traffic(*HARM)) is None


async def test_the_window_grows_to_the_short_window_and_then_moves_on() -> None:
    seen = await read(120, ACT, traffic(*HARM))
    assert seen is not None and seen.span == timedelta(seconds=5)


async def test_the_last_quarter_before_the_effect_is_read_as_well() -> None:
    seen = await read(90, ACT, traffic((0, 70, 0.8), (70, 200, 0.0)))
    assert seen is not None and isinstance(seen.just_before, Value)
    assert (seen.just_before.bad, seen.just_before.total) == (0, 250)


async def test_pods_that_run_since_the_later_half_and_the_time_before_it_began_are_read_for_themselves() -> None:
    seen = await read(90, ACT, traffic((0, 80, 0.8), (80, 88, 0.4), (88, 200, 0.0)))
    assert seen is not None and (seen.span, seen.scrapes) == (timedelta(seconds=5), 5.0)
    assert [ratio(one) for one in (seen.since, seen.latest, seen.at_start)] == pytest.approx([0.24, 0.0, 0.8])
    assert isinstance(seen.own, Value) and seen.own.total == seen.since.total, "v1 is live, and all that runs"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("every", "scrapes"),
    [pytest.param(2, 2.5, id="scrapes begin late"), pytest.param(1, 5.0, id="they do not")],
)
async def test_how_often_pods_were_scraped_since_is_seen(every: float, scrapes: float) -> None:
    telemetry = traffic(*HARM)
    telemetry.scrape = timedelta(seconds=every)
    seen = await read(90, ACT, telemetry)
    assert seen is not None and seen.scraped == scrapes


def reader(telemetry: FakeTelemetry) -> ActReader:
    return ActReader(SliQuery(telemetry, timedelta(seconds=1), timedelta(seconds=1)), timedelta(seconds=1))


async def looked(
    telemetry: FakeTelemetry, *seconds: float, told: Told | None = None, item: Release | None = None
) -> SinceAct:
    """What is seen at the last of these looks."""
    item, one, seen = item or release(), reader(telemetry), None
    assert item.spec.slo is not None
    for now in seconds:
        at = START + timedelta(seconds=now)
        seen = await one.read(item, item.spec.slo, scope_of(item), ACT, told, timedelta(0), at)
    assert seen is not None
    return seen


async def test_the_window_grows_on_until_three_scrapes_were_seen_where_these_are_rare() -> None:
    telemetry = traffic((0, 80, 0.8), (80, 400, 0.7))
    telemetry.scrape = timedelta(seconds=7)
    seen = await looked(telemetry, *range(84, 140))
    assert seen.scraped >= SCRAPES_OF_HARM and seen.span == timedelta(seconds=40)
    assert judge(None, seen, 0.144, 5) == "harmed"


@pytest.mark.parametrize(
    ("told", "now", "judged", "why"),
    [
        pytest.param(Told(False, telling.LIVE_NOT_FOUND, ""), 90, "harmed", "of all pods", id="the series carry no version"),
        pytest.param(None, 90, "harmed", "of all pods", id="nobody knows yet whether they do"),
        pytest.param(Told(True, telling.TOLD_BY_VERSION, ""), 90, "unknown", "of none", id="the pods that run since were not seen yet"),
        pytest.param(Told(True, telling.TOLD_BY_VERSION, ""), 201, "harmed", "of all pods", id="for two minutes nobody saw them, and all fails"),
    ],
)  # fmt: skip
async def test_where_the_pods_that_run_since_are_in_no_series(
    told: Told | None, now: float, judged: str, why: str
) -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START, 300, error=0.8, version="unlabelled")
    seen = await looked(telemetry, now, told=told)
    assert seen.scraped == (5 if why == "of all pods" else 0)
    assert judge(None, seen, 0.144, 5) == judged


@pytest.mark.parametrize(
    ("restored", "total"),
    [
        pytest.param({"effect_at": ACT.effect_at}, 100, id="what the rollback restored"),
        pytest.param({"done_at": ACT.effect_at}, 100, id="it replaced no pod"),
        pytest.param({"effect_at": ACT.started_at}, 150, id="another act: live"),
    ],
)
async def test_whose_pods_run_since(restored: dict[str, Any], total: float) -> None:
    telemetry, record = FakeTelemetry(), {"incident": "i", "attempt": 1, "from_digest": ONE, "to_digest": TWO}
    telemetry.serve(START, 300, rps=30, version="v1")
    telemetry.serve(START, 300, rps=20, version="v2")
    item = release(rollback={**record, "state": "Done", "at": ACT.started_at, **restored})
    seen = await looked(telemetry, 90, item=item)
    assert isinstance(seen.own, Value) and seen.own.total == total


async def test_where_nobody_says_how_often_the_interval_and_what_is_late_do() -> None:
    telemetry = traffic(*HARM)
    telemetry.refused["scrapes:"] = Invalid("no such function")
    seen = await read(90, ACT, telemetry)
    assert seen is not None and seen.scrapes is None and seen.scraped == 5
    assert isinstance(seen.since, Value), "the counts are read all the same"


def ratio(reading: Any) -> float:
    assert isinstance(reading, Value)
    return reading.error_ratio


async def test_an_act_that_took_effect_at_once_has_nothing_before() -> None:
    seen = await read(90, Act(START + timedelta(seconds=79), ACT.effect_at), traffic(*HARM))
    assert seen is not None and isinstance(seen.just_before, Unknown)
