"""Traffic that is gone: no events where the hours before make some all but certain."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.api.slo import Tier
from opsloop.core.readings import Reading, TierVerdict, Unknown, Value, Verdict
from opsloop.core.slo.burn_rate import unknown_because
from opsloop.core.slo.traffic import judged, known, quiet_window, rate
from tests.builders.objects import T0, value

QUIET, NONE = Unknown("NoEvents", "slo.sli.total is 0 in the window"), Unknown("NoSeries")
MINUTES, HOUR = timedelta(minutes=5), timedelta(hours=1)


def verdict(short: Reading = QUIET, long: Reading = QUIET, slow: Reading = QUIET, reason: str = "NoEvents") -> Verdict:
    """Windows of 5 minutes, an hour, and 6 hours."""
    tiers = [
        (Tier(long=HOUR, short=MINUTES, factor=14.4, severity="sev1"), long, short),
        (Tier(long=timedelta(hours=6), short=timedelta(minutes=30), factor=6, severity="sev2"), slow, long),
    ]
    return Verdict(
        T0, 0.99, tuple(TierVerdict(t, None, lo, sh, None, None) for t, lo, sh in tiers), "unknown", None, None, reason
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(verdict(), HOUR, id="the longest up to an hour"),
        pytest.param(verdict(long=value(0.0)), MINUTES, id="the hour still holds the traffic of before"),
        pytest.param(verdict(short=NONE, reason="NoSeries"), None, id="series that are gone tell of no traffic"),
        pytest.param(replace(verdict(short=value(0.0)), reason="WithinObjective", band="ok"), None, id="there is traffic"),
    ],
)  # fmt: skip
def test_the_window_in_which_nothing_happened(seen: Verdict, expected: timedelta | None) -> None:
    assert quiet_window(seen) == expected


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        pytest.param(Value(0, 3600), 1.0, id="a whole hour"),
        pytest.param(Value(0, 1800, coverage=0.5), 1.0, id="half of it is known"),
        pytest.param(Value(0, 300, coverage=0.1), None, id="too little of it is known"),
        pytest.param(QUIET, 0.0, id="nothing happened in it"),
        pytest.param(NONE, None, id="nobody knows"),
    ],
)
def test_the_rate_of_an_hour(reading: Reading, expected: float | None) -> None:
    assert rate(reading) == expected


@pytest.mark.parametrize(
    ("rates", "gone"),
    [
        pytest.param({"the hour before": 0.0461}, True, id="14 events are expected in 5 minutes: P(0) < 1e-6"),
        pytest.param({"the hour before": 0.0460}, False, id="with 13.8 it is just not sure"),
        pytest.param({"the hour before": 5.0, "this hour yesterday": 0.0}, False, id="yesterday was quiet at this time too"),
        pytest.param({"the hour before": 5.0, "this hour yesterday": 3.0, "this hour a week ago": 4.0}, True, id="no day was"),
        pytest.param({}, False, id="no hour is known"),
    ],
)  # fmt: skip
def test_no_traffic_that_is_no_chance(rates: dict[str, float], gone: bool) -> None:
    seen = judged(verdict(long=value(0.0)), MINUTES, rates)
    assert seen.reason == ("TrafficGone" if gone else "NoEvents")
    assert not gone or "no events in 5m" in unknown_because(seen)


def test_only_known_hours_count() -> None:
    assert known([("the hour before", None), ("this hour yesterday", 0.0)]) == {"this hour yesterday": 0.0}
