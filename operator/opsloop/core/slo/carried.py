"""Telemetry gaps over which counters carry on: what happened while nobody scraped is in the next sample.

While Prometheus is away, or cannot reach the pods, they go on counting, so the increase over a window with a gap holds the
gap's events too. Only what a process counted and took with it is lost. So with the share k of a window's events that was
counted by processes which were seen at its beginning (or were born in it), live on, and did not begin anew:

    coverage = c + (1 − c)·k            c: share of the window for which data exist

Asked only where a tier would fire but for its coverage; without it a page waits until the gap has left the long window.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from opsloop.api.meta import format_duration
from opsloop.api.slo import Sli, Slo
from opsloop.core.readings import Reading, TierVerdict, Value, Verdict
from opsloop.core.slo import promql
from opsloop.core.slo.burn_rate import fires
from opsloop.core.slo.pods import LOOKS, Scope
from opsloop.core.slo.tiers import budget_of

_CARRIED = "carried"


def doubtful(slo: Slo, verdict: Verdict) -> frozenset[timedelta]:
    """The windows whose missing data alone keep a tier from firing."""
    tiers = [one for one in verdict.tiers if one.firing is None and _would_fire(slo, one)]
    readings = [(w, r) for v in tiers for w, r in ((v.tier.long, v.long), (v.tier.short, v.short))]
    return frozenset(window for window, reading in readings if isinstance(reading, Value) and reading.coverage < 1)


def _would_fire(slo: Slo, verdict: TierVerdict) -> bool:
    long, short = _whole(verdict.long), _whole(verdict.short)
    return bool(fires(verdict.tier, slo.min_bad_events, budget_of(slo.objective), long, short))


def _whole(reading: Reading) -> Reading:
    return replace(reading, coverage=1.0) if isinstance(reading, Value) else reading


def query(sli: Sli, scope: Scope, windows: Iterable[timedelta], resolution: timedelta) -> str:
    """PromQL: the share k of each window's events, as `carried:WINDOW`. Empty where the SLI is not one counter's increase."""
    series, seen = _counter(sli, scope), LOOKS * resolution
    asked = sorted(window for window in windows if window > 2 * seen)
    return "\nor ".join(_share(series, window, seen) for window in asked) if series else ""


def _counter(sli: Sli, scope: Scope) -> str:
    """The selector of the one counter of all events; empty without one."""
    if (sli.latency is not None and sli.latency.native) or not promql.counts_births(sli):
        return ""
    found = promql.bases(promql.expressions(sli, scope).total, scope)
    return found[0] if len(found) == 1 else ""


def _share(series: str, window: timedelta, seen: timedelta) -> str:
    whole, look = f"increase({series}[{format_duration(window)}])", format_duration(seen)
    there = f"count_over_time({series}[{look}])"
    begun = f"count_over_time({series}[{look}] offset {format_duration(window - seen)})"
    before = f"count_over_time({series}[1h] offset {format_duration(window)})"
    born = f"(({there} unless {before}) and on() count({before}))"
    anew = f"resets({series}[{format_duration(window)}]) > 0"
    share = f"sum({whole} and {there} and ({begun} or {born}) unless {anew}) / sum({whole})"
    return promql.named(share, _CARRIED, window)


def shares(answer: Iterable[promql.Labelled], windows: Iterable[timedelta]) -> dict[timedelta, float]:
    """k of each of these windows, by the answer to `query`."""
    found = {sample.labels.get(promql.LABEL, ""): sample.value for sample in answer}
    return {window: found.get(f"{_CARRIED}:{format_duration(window)}", 0.0) for window in windows}


def raised(standing: Mapping[timedelta, Reading], carried: Mapping[timedelta, float]) -> dict[timedelta, Reading]:
    """The readings, with the coverage of these windows raised by their share k."""
    return {window: _raised(reading, carried.get(window, 0.0)) for window, reading in standing.items()}


def _raised(reading: Reading, share: float) -> Reading:
    if not isinstance(reading, Value) or not share > 0:  # NaN is not above 0 either
        return reading
    return replace(reading, coverage=reading.coverage + (1 - reading.coverage) * min(1.0, share))
