"""The judgement of a canary: reject, good enough to go on, or inconclusive.

    reject       the sequential tests say worse than live or the floor (`core.statistics.evidence`), at any time
    good enough  ≥ minEvents since it took traffic, and the anytime upper bound of its error ratio is below the fastest
                 paging tier's factor × budget. Below the budget itself would take 22/b events: days for a quiet service.
    inconclusive neither

Where live itself is above the floor, the floor rejects nobody. The bound may then be met by all events of the canary (a
fix while live fails) or by those from while live was healthy (an outage that both shared).
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import inf
from typing import Literal

from opsloop.api.meta import PAGING, format_duration
from opsloop.api.slo import Slo
from opsloop.api.strategy import Analysis
from opsloop.core.readings import Value, Verdict
from opsloop.core.slo.tiers import budget_of, tiers_of
from opsloop.core.statistics.evidence import Evidence, Terms
from opsloop.core.statistics.sequential import surely_below

# Reasons of a judged canary.
GOOD_ENOUGH = "GoodEnough"  # the canary served enough events to rule out harm that would page
WORSE_THAN_LIVE = "WorseThanLive"  # worse than live by more than the margin, in its SLI (surely) or its eval cases
BELOW_FLOOR = "BelowAbortBelow"  # surely a smaller share of good events than abortBelow (default: the objective)
TOO_FEW_EVENTS = "TooFewEvents"  # the canary has not served enough events yet to rule out harm that would page
TOO_LITTLE_TRAFFIC = "TooLittleTraffic"  # the canary's traffic cannot give enough events within hold and patience
LIVE_UNHEALTHY = "LiveUnhealthy"  # live itself misses the floor, so the canary is not blamed, nor cleared yet
UNDECIDED = "Undecided"  # the canary's own errors rule neither harm nor health out

WRONGLY_ON = 0.05
"""Accepted chance that a canary goes on whose error ratio would page; the tests that reject it go on as well."""

_DEFAULT_FACTOR = 14.4
IGNORED = 0.25  # of the budget
_MOST_LIMIT = 0.5  # a bound on the error ratio that any canary meets says nothing
_YEAR = 31_536_000.0


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgement on one canary."""

    verdict: Literal["reject", "good", "inconclusive"]
    reason: str
    message: str


def terms_of(analysis: Analysis, objective: float, compared: bool, dispersion: float = 1.0) -> Terms:
    """What a canary is held against by its spec. `compared`: live can be told apart from it."""
    budget = budget_of(objective)
    return Terms(
        margin=analysis.margin,
        floor=budget if analysis.abort_below is None else budget_of(analysis.abort_below),
        ignore_below=IGNORED * budget if analysis.ignore_below is None else analysis.ignore_below,
        alpha=analysis.false_rejects,
        warm_up=analysis.warm_up.total_seconds(),
        compared=compared,
        dispersion=dispersion,
    )


def limit_of(slo: Slo) -> float:
    """The error ratio that a canary must surely be below: what the fastest tier that pages fires on, at most a half."""
    tiers = tiers_of(slo)
    paging = [tier for tier in tiers if tier.severity in PAGING] or tiers
    fastest = min(paging, key=lambda tier: tier.short, default=None)
    return min(_MOST_LIMIT, (fastest.factor if fastest else _DEFAULT_FACTOR) * budget_of(slo.objective))


def judge(slo: Slo, min_events: int, evidence: Evidence) -> Judged:
    """The judgement on all that was seen so far."""
    if evidence.rejects:
        return rejection(evidence)
    limit = limit_of(slo)
    if _enough(min_events, limit, evidence):
        return Judged("good", GOOD_ENOUGH, shares(evidence))
    needed = events_needed(min_events, limit, slo, evidence.terms)
    if evidence.total < needed:
        seen = f"about {_about(evidence.total)} events of the canary, {_about(needed)} would rule out {limit:.1%} bad"
        return Judged("inconclusive", TOO_FEW_EVENTS, seen)
    reason = UNDECIDED if evidence.live_healthy else LIVE_UNHEALTHY
    above = "live itself is above the floor" if reason == LIVE_UNHEALTHY else f"not surely below {limit:.2%} bad"
    return Judged("inconclusive", reason, f"{above}: {shares(evidence, exact=False)}")


def rejection(evidence: Evidence) -> Judged:
    """The judgement on a canary that is rejected, with the test that says more."""
    worse = evidence.terms.compared and evidence.largest_live >= evidence.largest_floor
    reason = WORSE_THAN_LIVE if worse else BELOW_FLOOR
    return Judged("reject", reason, f"{reason}: {shares(evidence)}")


def _enough(min_events: int, limit: float, evidence: Evidence) -> bool:
    counts = ((evidence.bad, evidence.total), (evidence.calm_bad, evidence.calm_total))
    dispersion = evidence.terms.dispersion
    return any(total >= min_events and _below(bad, total, limit, dispersion) for bad, total in counts)


def _below(bad: float, total: float, limit: float, dispersion: float) -> bool:
    return surely_below(bad / dispersion, total / dispersion, limit, WRONGLY_ON)


def events_needed(min_events: int, limit: float, slo: Slo, terms: Terms) -> float:
    """Events after which a canary that spends half its budget is good enough; at least `min_events`."""
    return max(float(min_events), _needed(min(budget_of(slo.objective), limit) / 2, limit, terms.dispersion))


@lru_cache(maxsize=1024)
def _needed(ratio: float, limit: float, dispersion: float) -> float:
    """Events with this error ratio that are surely below the limit. It hangs on the spec alone, and every look asks for it."""
    few, many = 1.0, 1.0
    while not _below(ratio * many, many, limit, dispersion) and many < 1e9:
        few, many = many, many * 2
    while many - few > 0.02 * many:
        middle = (few + many) / 2
        few, many = (few, middle) if _below(ratio * middle, middle, limit, dispersion) else (middle, many)
    return many


def seconds_missing(slo: Slo, min_events: int, evidence: Evidence) -> float:
    """Seconds until the canary has served enough events, as if the next one came now: a few seconds without any say little.

    0 where nothing was counted yet.
    """
    needed = events_needed(min_events, limit_of(slo), slo, evidence.terms)
    return max(0.0, needed - evidence.total) * evidence.until / (evidence.total + 1)


def seconds_needed(slo: Slo, analysis: Analysis, rate: float) -> float:
    """Seconds that a canary with this rate (events per second) takes to serve enough events; infinite at 0."""
    terms = terms_of(analysis, slo.objective, compared=True)
    return events_needed(analysis.min_events, limit_of(slo), slo, terms) / rate if rate > 0 else inf


def traffic(verdict: Verdict | None) -> float | None:
    """Events per second of the whole service over the longest window that was read; None where none was."""
    tiers = verdict.tiers if verdict else ()
    windows = [pair for one in tiers for pair in ((one.tier.long, one.long), (one.tier.short, one.short))]
    known = [(window, reading.total) for window, reading in windows if isinstance(reading, Value)]
    window, total = max(known, default=(timedelta(0), 0.0))
    return total / window.total_seconds() if known else None


def shares(evidence: Evidence, exact: bool = True) -> str:
    """A sentence with what canary and live served. Not exact: rounded, so that a condition does not change all the time."""
    count = "{:.0f}".format if exact else _about
    text = f"canary {_share(evidence.bad, evidence.total, exact)} bad of {count(evidence.total)} events"
    if not evidence.terms.compared or not evidence.live_total:
        return f"{text}, live not compared"
    return f"{text}, live {_share(evidence.live_bad, evidence.live_total, exact)} of {count(evidence.live_total)}"


def _share(bad: float, total: float, exact: bool) -> str:
    ratio = bad / total if total else 0.0
    return f"{ratio:.2%}" if exact else f"{100 * ratio:.1g} %"


def _about(number: float) -> str:
    """The number cut to one digit, so that a message that holds it is written once per tenth of its growth."""
    if number < 10:
        return f"{number:.0f}"
    power = 10 ** (len(f"{number:.0f}") - 1)
    return f"{int(number // power) * power}"


def rough_duration(seconds: float) -> str:
    """Seconds cut to one digit of their unit: 95 is 1m, 3,500 is 50m, 100,000 is 20h; no end is more than a year."""
    if seconds > _YEAR:
        return "more than a year"
    unit = next(size for size in (86_400, 3600, 60, 1) if seconds >= size or size == 1)
    return format_duration(timedelta(seconds=max(1, int(_about(seconds // unit))) * unit))
