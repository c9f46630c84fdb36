"""Burn-rate tiers: those of the spec, or the defaults of its period that the objective can reach."""

from datetime import timedelta
from functools import lru_cache
from typing import Literal

from opsloop.api.meta import format_duration
from opsloop.api.slo import Slo, Tier

_BASE = timedelta(days=30)
_SHORTEST_UNSCALED = timedelta(days=28)
_HOUR = timedelta(hours=1)
_DEFAULTS: tuple[tuple[float, timedelta, timedelta, Literal["sev1", "sev2", "sev3"]], ...] = (
    (0.02, _HOUR, timedelta(minutes=5), "sev1"),
    (0.05, 6 * _HOUR, timedelta(minutes=30), "sev2"),
    (0.10, 24 * _HOUR, 2 * _HOUR, "sev3"),
    (0.10, 72 * _HOUR, 6 * _HOUR, "sev3"),
)  # share of the budget spent in the long window, long, short, severity


def budget_of(objective: float) -> float:
    """Share of events that may be bad; rounded, so that 10 bad of 100 meet an objective of 0.9."""
    return round(1 - objective, 12)


def default_tiers(objective: float, period: timedelta) -> tuple[list[Tier], list[str]]:
    """The default tiers of the period, and a sentence for each that is left out because the objective cannot reach it.

    factor = share of the budget · period / long window. Periods under four weeks shrink the windows and keep the
    factors of 30 days: with windows of days in a period of a week a factor would fall below 1 and fire within budget.
    """
    tiers, dropped = _defaults(objective, period)
    return list(tiers), list(dropped)


@lru_cache(maxsize=1024)
def _defaults(objective: float, period: timedelta) -> tuple[tuple[Tier, ...], tuple[str, ...]]:
    shrink = period / _BASE if period < _SHORTEST_UNSCALED else 1.0
    tiers, dropped = [], []
    for share, long, short, severity in _DEFAULTS:
        factor = round(share * (period / (long * shrink)), 6)
        tier = Tier(long=_seconds(long * shrink), short=_seconds(short * shrink), factor=factor, severity=severity)
        if reachable(factor, objective):
            tiers.append(tier)
        else:
            dropped.append(f"The default tier {tier_name(tier)} is left out: {unreachable_sentence(factor, objective)}")
    return tuple(tiers), tuple(dropped)


def _seconds(window: timedelta) -> timedelta:
    return timedelta(seconds=max(1, round(window.total_seconds())))


def reachable(factor: float, objective: float) -> bool:
    """True where the burn rate can exceed `factor`: if every event is bad, it is 1/b."""
    return factor * budget_of(objective) < 1


def unreachable_sentence(factor: float, objective: float) -> str:
    """A sentence with the arithmetic by which a tier can never fire."""
    most = 1 / budget_of(objective)
    return f"with an objective of {objective:g} the burn rate is at most {most:.4g} and never exceeds {factor:g}"


def tier_name(tier: Tier) -> str:
    """The tier in a message: `1h & 5m at 14.4`."""
    return f"{format_duration(tier.long)} & {format_duration(tier.short)} at {tier.factor:g}"


def tiers_of(slo: Slo) -> list[Tier]:
    """The tiers that are judged: those of the spec, else the defaults of the period."""
    return list(slo.tiers or _defaults(slo.objective, slo.period)[0])


def dropped_tiers(slo: Slo) -> list[str]:
    """A sentence for each default tier that is left out; none where the spec has tiers of its own."""
    return [] if slo.tiers else list(_defaults(slo.objective, slo.period)[1])


def windows_of(slo: Slo) -> frozenset[timedelta]:
    """The windows that `burn_rate.judge` needs readings of."""
    return frozenset(window for tier in tiers_of(slo) for window in (tier.long, tier.short))
