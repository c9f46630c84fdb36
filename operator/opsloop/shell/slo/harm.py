"""Reads the counts around the beginning of the present harm, and those of each revision since then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, isnan

from opsloop.api.slo import Slo
from opsloop.core.facts import Harm, Interval
from opsloop.core.incident.cause import began
from opsloop.core.slo import promql
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.promql import Split
from opsloop.core.slo.splits import by_digest, queried
from opsloop.core.slo.tiers import tiers_of
from opsloop.shell.ports import Series
from opsloop.shell.slo.query import SliQuery

INTERVAL = 4  # scrapes of one interval of counts: over fewer, increase() is a wild guess
MOST = 240  # intervals: what one look costs Prometheus does not grow with the length of the windows
LONGEST = timedelta(minutes=90)  # changes are looked for in the last hour; what is usual is seen in the time before


@dataclass(slots=True)
class HarmReader:
    """Reads for one Release."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval

    async def read(self, objective: Slo, scope: Scope, revisions: Mapping[str, Split], at: datetime) -> Harm:
        """Disjoint intervals that end at `at`, and the counts of these revisions since the likeliest beginning."""
        longest = min(2 * max(tier.long for tier in tiers_of(objective)), LONGEST)
        step = timedelta(seconds=max(1, max(INTERVAL * self.resolution, longest / MOST) // timedelta(seconds=1)))
        series = intervals(await self.query.series(objective, scope, at - longest // step * step, at, step), step)
        window = timedelta(seconds=(at - began(series)) // timedelta(seconds=1)) if series else timedelta(0)
        if len(revisions) < 2 or window < 2 * self.resolution:
            return Harm(series)
        splits = {digest: split._replace(window=window) for digest, split in revisions.items()}
        parsed = await self.query.readings(objective, scope, (), queried(splits), at)
        return Harm(series, by_digest(objective.sli, scope, splits, parsed.versions))


def intervals(answer: list[Series], step: timedelta) -> tuple[Interval, ...]:
    """The counts of each interval, oldest first; those without events are left out.

    Where `good` is missing beside a total all were bad; where `bad` is missing none was.
    """
    series = {one.labels.get(promql.LABEL, "").split(":")[0]: dict(one.points) for one in answer}
    found = []
    for end, total in sorted(series.get("total", {}).items()):
        bad = total - series["good"].get(end, 0.0) if "good" in series else series.get("bad", {}).get(end, 0.0)
        if 0 < total < inf and not isnan(bad):
            found.append(Interval(end - step, end, min(max(bad, 0.0), total), total))
    return tuple(found)
