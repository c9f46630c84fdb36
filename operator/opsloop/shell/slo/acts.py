"""Reads what came of an act: counts since it was in effect, and once those of just before."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.slo import Slo
from opsloop.core.incident.effect import Act
from opsloop.core.readings import Reading, SinceAct, Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.slo.query import NO_ANSWER, SliQuery


@dataclass(slots=True)
class ActReader:
    """Reads for one Release; keeps what was read of the time before the last act."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval
    just_before: tuple[datetime, Reading] | None = None  # effect of the act → reading of the last stretch before it

    async def read(self, objective: Slo, scope: Scope, act: Act, at: datetime) -> SinceAct | None:
        """Counts since the act, in a window of whole seconds that begins one scrape after it was in effect.

        None while that holds no two scrapes. It grows to the shortest window of the tiers and then moves on.
        """
        span = _whole_seconds(min(at - act.effect_at - self.resolution, min(windows_of(objective))))
        if span < 2 * self.resolution:
            return None
        since = await self._counts(objective, scope, span, at)
        before = await self._before(objective, scope, act)
        return SinceAct(act.effect_at, since, span, before, self.resolution)

    async def _before(self, objective: Slo, scope: Scope, act: Act) -> Reading:
        """Counts of the last quarter of the act's way to its effect, read once; Unknown where that is too short to have any."""
        stretch = _whole_seconds(max(2 * self.resolution, (act.effect_at - act.started_at) / 4))
        if act.effect_at - act.started_at < 2 * stretch:
            return Unknown(slo.NOT_READ, "the act took effect at once")
        if self.just_before is None or self.just_before[0] != act.effect_at:
            reading = await self._counts(objective, scope, stretch, act.effect_at)
            if isinstance(reading, Unknown) and reading.reason in NO_ANSWER:
                return reading
            self.just_before = (act.effect_at, reading)
        return self.just_before[1]

    async def _counts(self, objective: Slo, scope: Scope, window: timedelta, at: datetime) -> Reading:
        return (await self.query.readings(objective, scope, {window}, {}, at)).windows[window]


def _whole_seconds(window: timedelta) -> timedelta:
    return timedelta(seconds=window // timedelta(seconds=1))
