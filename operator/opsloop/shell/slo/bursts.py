"""Reads whether a tier that is about to page fires on one burst: one range query, only then."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf, isnan, nan

from opsloop.api.slo import Slo, Tier
from opsloop.core.facts import Verdict
from opsloop.core.slo import bursts
from opsloop.core.slo.bursts import Slot
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.promql import LABEL
from opsloop.shell.ports import Series
from opsloop.shell.slo.query import SliQuery


@dataclass(slots=True)
class BurstReader:
    """Reads for one Release; remembers the tiers that were seen to go on, until their windows do not burn any more."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval
    lasting: list[Tier] = field(default_factory=list)

    async def read(self, objective: Slo, scope: Scope, verdict: Verdict, at: datetime) -> list[Tier]:
        """The tiers of a verdict that would page on what may be one burst."""
        self.lasting = [v.tier for v in verdict.tiers if v.tier in self.lasting and v.firing is not False]
        held = []
        for tier in bursts.about_to_page(verdict):
            if tier in self.lasting:
                continue
            if bursts.tells(tier, self.resolution) and await self._is_burst(objective, scope, tier, at):
                held.append(tier)
            else:
                self.lasting.append(tier)
        return held

    async def _is_burst(self, objective: Slo, scope: Scope, tier: Tier, at: datetime) -> bool:
        step = bursts.width(tier, self.resolution)
        count = tier.long // step
        answer = await self.query.series(objective, scope, at - count * step, at, step, step + self.resolution)
        slots = _slots(answer, at, step, count, step / (step + self.resolution))
        return bursts.is_burst(tier, objective.objective, slots, step)


def _slots(answer: list[Series], at: datetime, step: timedelta, count: int, share: float) -> list[Slot | None]:
    """The events of each slot, oldest first; None without data. `share`: of what a window says, which is a scrape longer.

    Where `good` is missing beside a total all were bad; where `bad` is missing none was.
    """
    parts = {
        one.labels.get(LABEL, "").split(":")[0]: {round((at - end) / step): value for end, value in one.points}
        for one in answer
    }
    slots: list[Slot | None] = []
    for number in range(count - 1, -1, -1):
        total = parts.get("total", {}).get(number, nan)
        bad = total - parts["good"].get(number, 0.0) if "good" in parts else parts.get("bad", {}).get(number, 0.0)
        known = 0 <= total < inf and not isnan(bad)
        slots.append(Slot(min(max(bad, 0.0), total) * share, total * share) if known else None)
    return slots
