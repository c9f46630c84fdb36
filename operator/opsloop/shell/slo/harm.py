"""Reads the counts around the beginning of the present harm, and those of two revisions while they served side by side."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.api.slo import Slo, Tier
from opsloop.core.incident.cause import began
from opsloop.core.incident.side_by_side import Stretch, side_by_side
from opsloop.core.readings import Harm, Interval, SideBySide, Unknown
from opsloop.core.slo import counts, promql
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.promql import Split
from opsloop.core.slo.splits import named, queried
from opsloop.core.slo.tiers import budget_of, tiers_of
from opsloop.shell.ports import Series
from opsloop.shell.slo.query import SliQuery

INTERVAL = 4  # scrapes of one interval of counts: over fewer, increase() is a wild guess
MOST = 240  # intervals: what one look costs Prometheus does not grow with the length of the windows
BEFORE = timedelta(
    minutes=90
)  # the beginning: changes are looked for in the hour before it, what is usual in all of this
LONGEST = timedelta(hours=6)  # harm that goes on: as long as the window of the slowest tier that pages by default


@dataclass(slots=True)
class HarmReader:
    """Reads for one Release."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval
    tier: Tier | None = None  # that fires, the most severe one
    since: datetime | None = None  # the first read at which it did: intervals end then, or are whole ones since then

    def told(self, tier: Tier | None, at: datetime) -> None:
        """Which tier fires as of `at`."""
        if tier != self.tier:
            self.tier, self.since = tier, at if tier else None

    async def read(
        self, objective: Slo, scope: Scope, status: ReleaseStatus, onset: datetime | None, at: datetime
    ) -> Harm:
        """Disjoint intervals that end at `at`, or lately, from before the burn's `onset`: harm that goes on for long, or nobody may
        act on, is still held against the time before it. And the counts of two revisions while both served after the
        likeliest interval of the beginning: what served more before the harm in that interval would look better.

        While a tier fires, intervals only come: cut anew at each scrape they would say four times a minute when the harm began,
        each time with another error, and an act needs to be sure but once.
        """
        before = min(2 * max(tier.long for tier in tiers_of(objective)), BEFORE)
        longest = before + min(at - onset if onset else timedelta(0), LONGEST)
        step = timedelta(seconds=max(1, max(INTERVAL * self.resolution, longest / MOST) // timedelta(seconds=1)))
        end = self.since + (at - self.since) // step * step if self.since else at
        series = intervals(await self.query.series(objective, scope, end - longest // step * step, end, step), step)
        limit = min(tier.factor for tier in tiers_of(objective)) * budget_of(objective.objective)
        both = side_by_side(status, at)
        if both is not None:
            late = not series or both.end <= series[0].end  # it was over before the harm can have begun
            both = None if late else both.since(began(series, limit)[1])
        return Harm(series, await self._both(objective, scope, both) if both else None)

    async def _both(self, objective: Slo, scope: Scope, both: Stretch) -> SideBySide | None:
        """Counts of both; None where there is no whole interval, the SLI does not tell them apart, or nothing answers."""
        windows = counts.grid(both.start, self.resolution)
        numbers, own, other = windows.after(0, both.end), both.own, both.other
        splits = {r.digest: Split(r.version, windows.step, tuple(r.replica_sets)) for r in (own, other)}
        untold = any(promql.not_told(objective.sli, split, scope) for split in splits.values())
        if not numbers or untold or (promql.by_version_label(objective.sli) and own.version == other.version):
            return None
        names = named(splits)
        pair = counts.Pair(names[own.digest], names[other.digest], queried(splits))
        found = await self.query.counts(objective, scope, windows, numbers, pair)
        if isinstance(found, Unknown):
            return None
        return SideBySide(own.digest, other.digest, tuple(one for one in found if one), counts.DISPERSION)


def intervals(answer: list[Series], step: timedelta) -> tuple[Interval, ...]:
    """The counts of each interval, oldest first; those without events are left out."""
    found = counts.by_end(answer).items()
    return tuple(Interval(end - step, end, bad, total) for end, (bad, total) in found if total > 0)
