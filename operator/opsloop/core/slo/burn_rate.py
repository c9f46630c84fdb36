"""Judgements on readings: the verdict of a tick by burn-rate tiers, the bake, the onset.

    error ratio   e_W = bad_W / total_W
    budget        b   = 1 − objective
    burn          e_W / b

A reading is an interval: with coverage c of the window its error ratio lies in [c·e, c·e + 1 − c]. Harm is stated on the
lower bound, health on the upper; between the two the answer is unknown, and unknown decides nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isnan
from typing import Literal

from opsloop.api.meta import PAGING, format_duration
from opsloop.api.slo import Slo, Tier
from opsloop.core.readings import Reading, TierVerdict, Unknown, Value, Verdict
from opsloop.core.slo.anew import surely_above
from opsloop.core.slo.tiers import budget_of, tiers_of
from opsloop.core.statistics.sequential import surely_below

# Reasons of an unknown reading.
NO_SERIES = "NoSeries"  # Prometheus holds no such series in the window
VANISHED = "Vanished"  # living pods showed bad events and show them no more, while they still show all events
NO_EVENTS = "NoEvents"  # the series exist, but nothing happened in the window
TRAFFIC_GONE = "TrafficGone"  # nothing happened in the window, which by the hours before is no chance (P < 1e-6)
NAN = "NotANumber"  # the query gave NaN
INFINITE = "Infinite"  # the query gave an infinity
NEGATIVE = "Negative"  # the query gave a count below zero
QUERY_FAILED = "QueryFailed"  # Prometheus refused the query or warns of it, or the Release's expression cannot be one
NOT_A_COUNT = "NotACount"  # an expression gives events per second or a ratio, where the number of events is needed
NO_BUCKET = "NoBucket"  # no bucket of the histogram has the threshold as its bound
WINDOW_IN_NAME = "WindowInName"  # {{window}} stands in a name or a label: such series exist for some windows only
UNREACHABLE = "TelemetryUnreachable"  # no usable answer from Prometheus, for a reason other than the query
TIMEOUT = "TelemetryTimeout"  # no answer in time
PARTIAL = "PartialResponse"  # Prometheus said that its answer is incomplete
SOURCE_UNKNOWN = "SourceUnknown"  # the operator has no source of the name in spec.slo.source
STALE = "Stale"  # the last answer is too old
NOT_READ = "NotRead"  # not read yet, or not asked for
NOT_BY_VERSION = "NotByVersion"  # neither the pods' names nor a version label tell revisions apart in the SLI
LOW_COVERAGE = "LowCoverage"  # data exist for too few seconds of the window to be sure

PROOF_ALPHA = 0.05  # chance that last-good is a version that would page

# Reason of a decision that waits for a reading.
TELEMETRY_UNKNOWN = "TelemetryUnknown"  # the SLI is not known (yet), or not surely good or bad: the decision waits

# Reasons of a verdict that is known.
TIER_FIRING = "TierFiring"  # both windows of a tier burn above its factor
BURST_ONLY = "BurstOnly"  # both windows of a tier that pages burn above its factor by what may be one burst
BURNING = "BurningAboveOne"  # the budget is spent faster than it comes in, below any tier's factor
WITHIN_OBJECTIVE = "WithinObjective"  # surely at or above the objective
TOO_FEW_BAD_EVENTS = "TooFewBadEvents"  # bad events were seen, but too few to mean anything


def judge(slo: Slo, readings: Mapping[timedelta, Reading], at: datetime, bursts: Collection[Tier] = ()) -> Verdict:
    """The verdict of one tick; each tier is decided alone. A window without a reading is NotRead.

    `bursts`: tiers that do not fire, because what makes them fire may be one burst (`core.slo.bursts`).
    """
    verdicts = tuple(_judge_tier(slo, tier, readings, tier in bursts) for tier in tiers_of(slo))
    firing = min((v for v in verdicts if v.firing), key=lambda v: (v.tier.severity, -v.tier.factor), default=None)
    band, reason = _band(slo, verdicts, firing)
    fastest = fastest_of(verdicts)
    burning = fastest is not None and fastest.burn_short is not None and fastest.burn_short > fastest.tier.factor
    return Verdict(at, slo.objective, verdicts, band, firing, _back(slo, verdicts), reason, burning)


def _judge_tier(slo: Slo, tier: Tier, readings: Mapping[timedelta, Reading], burst: bool) -> TierVerdict:
    missing = Unknown(NOT_READ)
    long, short = readings.get(tier.long, missing), readings.get(tier.short, missing)
    budget = budget_of(slo.objective)
    firing = fires(tier, slo.min_bad_events, budget, long, short)
    burst = burst and bool(firing)
    burns = _burn(long, budget), _burn(short, budget)
    return TierVerdict(tier, False if burst else firing, long, short, *burns, burst)


def fires(tier: Tier, min_bad: int, budget: float, long: Reading, short: Reading) -> bool | None:
    """Does the tier fire? None where the readings are not sure."""
    limit = tier.factor * budget
    if any(isinstance(r, Value) and r.upper <= limit for r in (long, short)):
        return False
    few = isinstance(long, Value) and long.bad < min_bad
    if few and isinstance(long, Value) and long.coverage == 1:
        return False
    sure = all(isinstance(r, Value) and r.lower > limit for r in (long, short))
    return True if sure and not few else None


def _burn(reading: Reading, budget: float) -> float | None:
    """Burn rate by the lower bound; None where the reading is Unknown."""
    return reading.lower / budget if isinstance(reading, Value) else None


def fastest_of(verdicts: Sequence[TierVerdict]) -> TierVerdict | None:
    """The paging tier with the shortest short window; without a paging tier, that of all tiers."""
    paging = [v for v in verdicts if v.tier.severity in PAGING]
    return min(paging or verdicts, key=lambda v: v.tier.short, default=None)


def _back(slo: Slo, verdicts: tuple[TierVerdict, ...]) -> bool | None:
    """True where the shortest short window is below burn 1 and no paging tier fires; False where it surely is not.

    After a long burn the longer short windows still hold it, and their tiers would reopen an Incident just resolved. A
    service that spends three quarters of its budget is above it by chance every now and then: that is neither (None).
    """
    fastest, budget = fastest_of(verdicts), budget_of(slo.objective)
    if any(v.firing for v in verdicts if v.tier.severity in PAGING):
        return False
    if fastest is None or isinstance(fastest.short, Unknown):
        return None
    if fastest.short.upper < budget:
        return True
    return False if surely_above(fastest.short, budget) else None


def _band(
    slo: Slo, verdicts: tuple[TierVerdict, ...], firing: TierVerdict | None
) -> tuple[Literal["ok", "slow", "fast", "unknown"], str]:
    if firing is not None:
        return ("fast" if firing.tier.severity in PAGING else "slow"), TIER_FIRING
    if any(v.burst for v in verdicts):
        return "slow", BURST_ONLY
    if any(_burns_slowly(slo, v) for v in verdicts):
        return "slow", BURNING
    fastest = fastest_of(verdicts)
    if fastest is None:
        return "unknown", NOT_READ
    if isinstance(fastest.short, Unknown):
        return "unknown", fastest.short.reason
    if fastest.short.upper <= budget_of(slo.objective):
        return "ok", WITHIN_OBJECTIVE
    if isinstance(fastest.long, Value) and fastest.long.coverage == 1 and fastest.long.bad < slo.min_bad_events:
        return "ok", TOO_FEW_BAD_EVENTS
    return "unknown", LOW_COVERAGE if isinstance(fastest.long, Value) else fastest.long.reason


def _burns_slowly(slo: Slo, verdict: TierVerdict) -> bool:
    """True where the burn rate is surely above 1 by at least minBadEvents: one error in a window of seconds is no burn."""
    enough = isinstance(verdict.long, Value) and verdict.long.bad >= slo.min_bad_events
    return enough and verdict.burn_short is not None and verdict.burn_short > 1


def is_silent(verdict: Verdict) -> bool:
    """True where the SLI does not say whether people are to be called now: the shortest window of the tiers that page has no
    reading, and none of them fires.

    Longer windows keep their last answer for minutes after it came, so that a burn below any page may still be known then.
    """
    if verdict.firing is not None and verdict.firing.tier.severity in PAGING:
        return False
    fastest = fastest_of(verdict.tiers)
    return verdict.band == "unknown" or fastest is None or isinstance(fastest.short, Unknown)


def unknown_because(verdict: Verdict) -> str:
    """A sentence with the field or the error that makes a verdict unknown; empty where it is known."""
    fastest = fastest_of(verdict.tiers)
    if verdict.band != "unknown" or fastest is None:
        return ""
    spans = ((fastest.tier.short, fastest.short), (fastest.tier.long, fastest.long))
    for window, reading in spans:
        if isinstance(reading, Unknown):
            return f"{format_duration(window)}: {reading.reason}{': ' if reading.detail else ''}{reading.detail}"
    shares = ", ".join(f"{format_duration(w)} {r.coverage:.0%}" for w, r in spans if isinstance(r, Value))
    return f"data exist for a part of the window only ({shares})"


def meets(slo: Slo, reading: Reading, min_events: int) -> bool | None:
    """True where the bake window surely meets the objective; None with too few events or data for too few seconds.

    Enough events are those by which a version that burns as the fastest tier pages would have been noticed with 95 %.
    """
    if isinstance(reading, Unknown) or reading.total < min_events:
        return None
    budget = budget_of(slo.objective)
    harm = max((tier.factor for tier in tiers_of(slo)), default=1.0) * budget
    if reading.upper <= budget and not surely_below(reading.bad, reading.total, harm, PROOF_ALPHA):
        return None
    if reading.upper <= budget:
        return True
    return False if reading.lower > budget else None


def onset(points: Iterable[tuple[datetime, float]], objective: float) -> datetime | None:
    """First instant of the last contiguous stretch of burn above 1 in a series of error ratios, oldest first.

    NaN (no events) neither ends nor begins a stretch. None where the burn never was above 1.
    """
    budget, start, inside = budget_of(objective), None, False
    for at, ratio in points:
        if isnan(ratio):
            continue
        if ratio > budget and not inside:
            start = at
        inside = ratio > budget
    return start
