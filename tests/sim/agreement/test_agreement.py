"""Canaries and burns judged twice, by the functions alone and by the whole operator; on many seeds: `python -m tests.sim.agreement`."""

from datetime import UTC, datetime, timedelta

import pytest

from opsloop.core.slo.bursts import Slot
from opsloop.simulator.prometheus.store import Store, milliseconds
from opsloop.simulator.scraping import METRIC
from opsloop.simulator.service import Service, Timing
from opsloop.simulator.traffic import Wave
from tests.sim.agreement.burns import HARM
from tests.sim.agreement.counted import Counted
from tests.sim.agreement.layers import compare

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.simulation
@pytest.mark.parametrize(("seed", "kind"), [(1, "bad-release"), (2, "good-release"), (3, "bad-release")])
def test_the_layers_take_the_same_decisions_at_the_same_tick(seed: int, kind: str) -> None:
    found = compare(seed, kind)
    assert found.canaries
    assert [one for one in found.canaries if not one.agree] == []
    assert [one for one in found.burns if one.what != HARM and not one.agree] == []


@pytest.mark.simulation
def test_a_tier_fires_and_ends_at_the_same_tick_in_both_layers() -> None:
    """When the SLI is back may differ by a tick: increase() does not see the first interval of its window."""
    found = compare(1, "bad-push")
    tiers = [one for one in found.burns if one.what != HARM]
    assert tiers and all(one.agree for one in tiers), tiers
    assert [one for one in found.burns if one.what == HARM and one.differ > 1] == []


def _store(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Store:
    """(labels, (seconds, value) …) of a counter's series, all visible."""
    store, zero = Store(), milliseconds(START)
    for labels, points in series:
        every = {"__name__": METRIC, "job": "answers", **labels}
        store.load(every, [(zero + 1000 * at, value) for at, value in points])
    store.advance(zero + 3_600_000)
    return store


def _of(store: Store, objective: str = "availability", timing: Timing | None = None) -> Counted:
    return Counted(store, Service("answers", Wave(1.0, 0.0, 0.0), {}, timing=timing), objective)


def test_events_are_those_of_the_samples_in_a_window_over_resets_and_from_a_series_first_value_on() -> None:
    good = ({"pod": "a", "code": "200"}, [(0, 100.0), (30, 110.0), (60, 4.0), (90, 9.0)])
    bad = ({"pod": "a", "code": "500"}, [(60, 3.0), (90, 3.0)])
    counted = _of(_store(good, bad, ({"pod": "b", "code": "500", "job": "catalog"}, [(60, 50.0)])))
    at = START + timedelta(seconds=90)
    assert counted.window(at, MINUTE) == Slot(3.0, 12.0)
    assert counted.slots(at, MINUTE, timedelta(seconds=30)) == [Slot(3.0, 7.0), Slot(0.0, 5.0)]
    assert counted.within(at, MINUTE, births=True) == Slot(3.0, 8.0)
    assert counted.within(at, MINUTE, births=False) == Slot(0.0, 5.0)


def test_of_a_histogram_what_is_in_no_bucket_below_the_threshold_is_bad() -> None:
    timing = Timing(threshold=0.5)
    count = ({"__name__": "http_request_duration_seconds_count", "pod": "a"}, [(0, 0.0), (30, 10.0)])
    bucket = ({"__name__": "http_request_duration_seconds_bucket", "pod": "a", "le": "0.5"}, [(0, 0.0), (30, 8.0)])
    counted = _of(_store(count, bucket), "latency", timing)
    assert counted.window(START + timedelta(seconds=30), MINUTE / 2) == Slot(2.0, 10.0)
