"""What the poller reads while an Incident's act is in effect: counts since, and once those of just before."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.incident.effect import Act
from opsloop.core.readings import SinceAct, Unknown, Value
from opsloop.errors import Invalid
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.simulator.fakes.clock import START, FakeClock
from tests.fakes.telemetry import FakeTelemetry, only
from tests.shell.slo.test_poller import release

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
