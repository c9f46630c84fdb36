"""When the breach was visible in Prometheus, and when the SLI was back. Computed here, not by the operator's code.

    burn over a window = (bad / total) / (1 - objective)

A tier's breach is visible from the first second at which its burn is above the factor over both of its windows, with
at least `minBadEvents` bad events in the long one. Coverage of the windows is left out: the operator, which counts
missing time as good, can only see it later than that. Both instants are ± one step (1 s).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opsloop.api.meta import parse_duration

STEP = 1.0  # seconds
HELD = 10.0  # seconds that the SLI must stay within its objective to count as back
Points = Mapping[float, tuple[float, float]]  # Unix second → (bad, total) over the window that ends there
Span = Callable[[str, float, float, float], list[dict[str, Any]]]  # (query, start, end, step) → Prometheus' matrix


@dataclass(frozen=True, slots=True)
class Tier:
    """As the Release's spec has it; windows as PromQL durations."""

    long: str
    short: str
    factor: float
    severity: str


@dataclass(frozen=True, slots=True)
class Objective:
    """The SLO of one Release, as plain numbers."""

    objective: float
    good: str
    total: str
    tiers: tuple[Tier, ...]
    min_bad: int

    @property
    def budget(self) -> float:
        """Share of events that may be bad."""
        return round(1 - self.objective, 12)

    @property
    def head(self) -> str:
        """The shortest window of a tier."""
        return min((t.short for t in self.tiers), key=lambda w: parse_duration(w).total_seconds())

    def tier(self, burn: Mapping[str, Any]) -> Tier:
        """The tier that an Incident's `status.burn` says it fired on."""
        return next(t for t in self.tiers if (t.long, t.short) == (burn["long"], burn["short"]))


def objective_of(release: Mapping[str, Any]) -> Objective:
    """Of a Release object whose SLI counts good and all events, with written tiers (as the demo's has)."""
    slo = release["spec"]["slo"]
    tiers = tuple(Tier(t["long"], t["short"], float(t["factor"]), t["severity"]) for t in slo["tiers"])
    sli = slo["sli"]
    return Objective(slo["objective"], sli["good"], sli["total"], tiers, slo.get("minBadEvents", 5))


def points(span: Span, objective: Objective, window: str, start: float, end: float) -> dict[float, tuple[float, float]]:
    """(bad, total) over `window` at each step; a second at which Prometheus has no number is left out."""
    good, total = (
        _numbers(span(f"sum({_filled(query, window)})", start, end, STEP))
        for query in (objective.good, objective.total)
    )
    return {at: (max(0.0, every - good.get(at, 0.0)), every) for at, every in total.items() if every > 0}


def _filled(query: str, window: str) -> str:
    return re.sub(r"\{\{\s*version\s*\}\}", ".*", re.sub(r"\{\{\s*window\s*\}\}", window, query))


def _numbers(matrix: list[dict[str, Any]]) -> dict[float, float]:
    values = matrix[0]["values"] if matrix else []
    return {float(at): float(value) for at, value in values if math.isfinite(float(value))}


def visible(objective: Objective, tier: Tier, long: Points, short: Points, since: float) -> float | None:
    """The first second from `since` on at which this tier's breach is visible; None where it never is."""
    limit = tier.factor * objective.budget
    for at in sorted(long.keys() & short.keys()):
        (bad, total), (bad_short, total_short) = long[at], short[at]
        if at >= since and bad / total > limit and bad_short / total_short > limit and bad >= objective.min_bad:
            return at
    return None


def back(objective: Objective, head: Points, since: float, held: float = HELD) -> float | None:
    """The first second from `since` on from which the SLI stays within its objective for `held` seconds; None if never.

    A second without a number ends a stretch: silence is not health.
    """
    begin, last = None, -math.inf
    for at in sorted(at for at in head if at >= since):
        bad, total = head[at]
        if bad / total > objective.budget:
            begin = None
        elif begin is None or at - last > 2 * STEP:
            begin = at
        last = at
        if begin is not None and at - begin >= held:
            return begin
    return None
