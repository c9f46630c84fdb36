"""Reads whether a tier that is about to page fires on one burst: one range query, only then."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.slo import Slo, Tier
from opsloop.core.readings import Verdict
from opsloop.core.slo import bursts, counts
from opsloop.core.slo.bursts import Slot
from opsloop.core.slo.pods import Scope
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
    """The events of each slot, oldest first; None without data. `share`: of what a window says, which is a scrape longer."""
    found = {
        round((at - end) / step): Slot(bad * share, total * share)
        for end, (bad, total) in counts.by_end(answer).items()
    }
    return [found.get(number) for number in range(count - 1, -1, -1)]
