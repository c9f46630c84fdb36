"""Traffic that is gone: no events where the hours before make some all but certain.

Events come in at a rate r, so that none in a window W (at most an hour) has the probability  P(0) = exp(−r·W). The rate is
the lowest of the hours that are known: the one before the silence, and this hour yesterday and a week ago. A quiet night
was quiet on one of those days.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from math import exp

from opsloop.api.meta import format_duration
from opsloop.core.readings import Reading, TierVerdict, Unknown, Verdict
from opsloop.core.slo.burn_rate import NO_EVENTS, TRAFFIC_GONE

HOUR = timedelta(hours=1)
BEFORE = "the hour before"  # the silence
AGO = {"this hour yesterday": timedelta(days=1), "this hour a week ago": timedelta(days=7)}
CHANCE = 1e-6  # of no events in the window, from which on silence is no chance
LEAST_KNOWN = timedelta(minutes=10)  # of an hour, for a rate


def quiet_window(verdict: Verdict) -> timedelta | None:
    """The longest window of a tier, up to an hour, in which nothing happened though the series are there; None without one."""
    if verdict.reason != NO_EVENTS:
        return None
    windows = [(w, r) for v in verdict.tiers for w, r in ((v.tier.short, v.short), (v.tier.long, v.long))]
    return max((w for w, r in windows if w <= HOUR and _is_quiet(r)), default=None)


def rate(reading: Reading) -> float | None:
    """Events per second of an hour; None where too little of it is known. An hour without events is one at rate 0."""
    if isinstance(reading, Unknown):
        return 0.0 if reading.reason == NO_EVENTS else None
    known = reading.coverage * HOUR
    return reading.total / known.total_seconds() if known >= LEAST_KNOWN else None


def judged(verdict: Verdict, window: timedelta, rates: Mapping[str, float]) -> Verdict:
    """The verdict, TrafficGone in place of NoEvents where no events in the window are no chance by every known hour."""
    if not rates:
        return verdict
    lowest = min(rates, key=lambda hour: rates[hour])
    expected = rates[lowest] * window.total_seconds()
    if exp(-expected) >= CHANCE:
        return verdict
    detail = f"no events in {format_duration(window)}, {expected:.0f} are expected by {lowest}"
    tiers = tuple(_renamed(v, Unknown(TRAFFIC_GONE, detail)) for v in verdict.tiers)
    return replace(verdict, tiers=tiers, reason=TRAFFIC_GONE)


def _renamed(verdict: TierVerdict, gone: Unknown) -> TierVerdict:
    long, short = (gone if _is_quiet(r) else r for r in (verdict.long, verdict.short))
    return replace(verdict, long=long, short=short)


def _is_quiet(reading: Reading) -> bool:
    return isinstance(reading, Unknown) and reading.reason == NO_EVENTS


def known(rates: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """The hours of which a rate is known."""
    return {hour: value for hour, value in rates if value is not None}
