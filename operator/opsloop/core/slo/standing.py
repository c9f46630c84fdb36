"""How a Release stands to one objective, as numbers that people see: burn rates, what is left of the error budget, and for how long."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.core.readings import Reading, Value, Verdict
from opsloop.core.slo.budget import Spent, exhausted_in
from opsloop.core.slo.merged import verdicts
from opsloop.core.slo.objectives import objectives


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one objective. `burns`: window → burn rate, where it is known. `burn`: that of the long window of the tier that fires first. `spends`: False
    while the burn rate is not known, so that nobody can say when the budget is gone; `gone_in` None: not at this rate."""

    name: str
    objective: float
    band: str
    reason: str
    burns: tuple[tuple[str, float], ...] = ()
    burn: float | None = None
    spent: Spent | None = None
    spends: bool = False
    gone_in: timedelta | None = None


def standings(release: Release, verdict: Verdict | None, budget: Callable[[str], Spent | None]) -> tuple[Standing, ...]:
    """One for each objective of the spec; `budget`: objective → what is spent of it."""
    told = {one.name: one for one in verdicts(verdict)} if verdict else {}
    every = objectives(release.spec.slo) if release.spec.slo else ()
    return tuple(_standing(slo.name, slo.objective, slo.period, told.get(slo.name), budget(slo.name)) for slo in every)


def _standing(name: str, objective: float, period: timedelta, verdict: Verdict | None, spent: Spent | None) -> Standing:
    burn = present_burn(verdict) if verdict else None
    known = spent is not None and burn is not None
    return Standing(
        name=name,
        objective=objective,
        band=verdict.band if verdict else "unknown",
        reason=verdict.reason if verdict else "",
        burns=tuple((window, value.error_ratio / budget) for window, (value, budget) in values(verdict).items())
        if verdict
        else (),
        burn=burn,
        spent=spent,
        spends=known,
        gone_in=exhausted_in(spent.left, burn, period) if spent is not None and burn is not None else None,
    )


def present_burn(verdict: Verdict) -> float | None:
    """The burn rate over the long window of the tier that is the quickest to fire; None while it is unknown."""
    fastest = min(verdict.tiers, key=lambda one: one.tier.short, default=None)
    if fastest is None or not isinstance(fastest.long, Value):
        return None
    return fastest.long.error_ratio / (1 - verdict.objective)


def values(verdict: Verdict) -> dict[str, tuple[Value, float]]:
    """Window → (reading, budget), of the readings that are known."""
    readings: dict[str, tuple[Reading, float]] = {}
    budget = 1 - verdict.objective
    for tier in verdict.tiers:
        readings[format_duration(tier.tier.long)] = (tier.long, budget)
        readings[format_duration(tier.tier.short)] = (tier.short, budget)
    return {window: (value, budget) for window, (value, budget) in readings.items() if isinstance(value, Value)}
