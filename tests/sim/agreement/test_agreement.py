"""Canaries and burns judged twice, by the functions alone and by the whole operator; on many seeds: `python -m tests.sim.agreement`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.scraping import METRIC
from opsloop.simulator.service import Service, Timing
from opsloop.simulator.traffic import Wave
from tests.sim.agreement.counted import Counted
from tests.sim.agreement.layers import compare

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.mark.simulation
@pytest.mark.parametrize(("seed", "kind"), [(29, "bad-release"), (46, "handed-over"), (30, "bad-push")])
def test_the_layers_take_the_same_decisions_at_the_same_tick(seed: int, kind: str) -> None:
    """A canary that is slow, one whose operator is handed over, and a push that is rolled back."""
    found = compare(seed, kind)
    assert found.canaries and found.reads
    assert bool(found.burns) == (kind == "bad-push")
    assert found.agree, (found.canaries, found.burns)


def _store(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Store:
    """(labels, (seconds, value) …) of a counter's series, all visible."""
    store, zero = Store(), milliseconds(START)
    for labels, points in series:
        every = {"__name__": METRIC, "job": "answers", **labels}
        store.load(every, [(zero + 1000 * at, value) for at, value in points])
    store.advance(zero + 36_000_000)
    return store


def _of(store: Store, form: str = "bad", timing: Timing | None = None) -> Counted:
    service = Service("answers", Wave(1.0, 0.0, 0.0), {}, timing=timing)
    return Counted(store, service, "latency" if timing else "availability", form)


def _steady(code: str, begin: int, end: int, step: float, first: float = 0.0, **labels: str) -> Any:
    """One more event each `step`, scraped every 15 s from `begin` to `end`; 1/15 of it per second."""
    points = [(at, first + (at - begin) / 15 * step) for at in range(begin, end + 1, 15)]
    return {"pod": "a", "code": code, **labels}, points


def _counts(reading: Reading) -> tuple[float, float]:
    assert isinstance(reading, Value), reading
    return reading.bad, reading.total


GOOD = _steady("200", 0, 7200, 10.0, first=1000.0)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        pytest.param(_steady("500", 0, 7200, 2.0, first=100.0), 40.0, id="between its samples, to both ends of the window"),
        pytest.param(_steady("500", 6900 + 5, 7200, 2.0, first=100.0), 139.0 - 1.0, id="born in it: all that it shows"),
        pytest.param(_steady("500", 7200, 7200, 0.0, first=3.0), 3.0, id="born with its only sample"),
        pytest.param(_steady("500", 0, 6990, 2.0, first=100.0), 13.0, id="ended in it: half an interval beyond the last sample"),
        pytest.param(_steady("500", 0, 6900, 2.0, first=100.0), 0.0, id="one sample of a known series says nothing"),
        pytest.param(({"pod": "a", "code": "500"}, [(0, 0.0), (6900, 50.0), (7050, 4.0), (7200, 6.0)]), 6.0, id="over a reset"),
        pytest.param(_steady("500", 0, 7200, 2.0, job="catalog"), 0.0, id="of another service"),
    ],
)  # fmt: skip
def test_events_of_a_window_are_what_increase_and_births_say(bad: Any, expected: float) -> None:
    """Five minutes with 20 scrapes and 200 good events."""
    counted = _of(_store(GOOD, bad))
    bad_events, total = _counts(counted.reading(START + 7200 * SECOND, 5 * MINUTE))
    assert (bad_events, total) == pytest.approx((expected, 200.0 + expected))


def test_what_arrived_out_of_order_counts_in_its_place() -> None:
    store, zero = _store(({"code": "200"}, [(0, 100.0), (30, 130.0)])), milliseconds(START)
    counted = _of(store)
    assert _counts(counted.reading(START + 30 * SECOND, 30 * SECOND)) == (0.0, 30.0)
    store.append({"__name__": METRIC, "job": "answers", "code": "200"}, zero + 15_000, 5.0)
    assert _counts(counted.reading(START + 30 * SECOND, 30 * SECOND)) == (0.0, 130.0)


@pytest.mark.parametrize(("form", "share"), [("bad", 0.5), ("requests", 0.55)])
def test_coverage_is_the_share_of_points_with_data_just_before(form: str, share: float) -> None:
    """20 points and the one at which the window begins; an increase needs two samples within a minute, a count one."""
    reading = _of(_store(_steady("200", 0, 7050, 10.0)), form).reading(START + 7200 * SECOND, 5 * MINUTE)
    assert isinstance(reading, Value)
    assert reading.coverage == pytest.approx(round(share * 21 + 3) / 21, abs=1.01 / 21)


@pytest.mark.parametrize(
    ("second", "bad"),
    [
        pytest.param(7207, [0.0, 9.0, 0.0], id="each difference of two scrapes lies in one slot"),
        pytest.param(
            7200, [0.0, 4.5, 4.5], id="but where slots end at the very moment of a scrape, which counts for both"
        ),
    ],
)
def test_slots_are_a_scrape_longer_and_count_in_proportion(second: int, bad: list[float]) -> None:
    burst = [(at, 109.0 if at >= 7185 else 100.0) for at in range(0, 7216, 15)]
    counted = _of(_store(_steady("200", 0, 7215, 10.0, first=1000.0), ({"code": "500"}, burst)))
    slots = counted.slots(START + second * SECOND, 45 * SECOND, 15 * SECOND)
    assert [slot.bad for slot in slots if slot] == pytest.approx(bad)
    assert [slot.total for slot in slots if slot] == pytest.approx([10.0 + one for one in bad])


def test_of_a_histogram_what_is_in_no_bucket_below_the_threshold_is_bad() -> None:
    count = ({"__name__": "http_request_duration_seconds_count", "pod": "a"}, [(0, 100.0), (15, 110.0)])
    bucket = ({"__name__": "http_request_duration_seconds_bucket", "pod": "a", "le": "0.5"}, [(0, 80.0), (15, 88.0)])
    at, timing = START + 15 * SECOND, Timing(threshold=0.5)
    assert _counts(_of(_store(count, bucket), timing=timing).reading(at, MINUTE / 4)) == (2.0, 10.0)
    none = _of(_store(count), timing=timing).reading(at, MINUTE / 4)
    assert isinstance(none, Unknown) and none.reason == burn_rate.NO_BUCKET
