"""Reads what came of an act: counts since it was in effect, and once those of just before, and of before it began."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.incident.effect import Act
from opsloop.core.readings import Reading, SinceAct, Told, Unknown, Value
from opsloop.core.slo import aftermath, promql
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.splits import split_of
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.slo.query import NO_ANSWER, SliQuery


@dataclass(slots=True)
class ActReader:
    """Reads for one Release; keeps what was read of the time before the last act."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval
    kept: dict[tuple[datetime, timedelta], Reading] = field(
        default_factory=dict
    )  # (end, window) → a stretch that is over
    wider: tuple[datetime, timedelta] | None = None  # effect of an act → the window that its scrapes need

    async def read(
        self, release: Release, objective: Slo, scope: Scope, act: Act, told: Told | None, late: timedelta, at: datetime
    ) -> SinceAct | None:
        """Counts since the act, in a window of whole seconds that begins one scrape after it was in effect.

        None while that holds no two scrapes. It grows to the shortest window of the tiers, or until it has seen enough scrapes,
        and then moves on. `told` is whether the SLI tells revisions apart, `late` how late samples are known to be.
        """
        wider = self.wider[1] if self.wider and self.wider[0] == act.effect_at else timedelta(0)
        window = aftermath.window_of(min(windows_of(objective)), self.resolution, wider)
        span = _whole_seconds(min(at - act.effect_at - self.resolution, window))
        if span < 2 * self.resolution:
            return None
        latest = _whole_seconds(max(2 * self.resolution, span / 2))
        split = _running(release, objective, scope, act, span)
        parsed, scraped = await self.query.aftermath(objective, scope, (span, latest), split, at)
        own, scrapes = next(iter(parsed.versions.values()), None), scraped.own
        apart = told is not None and told.apart  # else its version label, or the names of its pods, may be in no series
        if not isinstance(own, Value) and (not apart or aftermath.never_seen(own, scraped.own, at - act.effect_at)):
            own, scrapes = None, scraped.everybody
        before, start = await self._before(objective, scope, act), act.started_at
        seen = SinceAct(
            effect_at=act.effect_at,
            since=parsed.windows[span],
            span=span,
            just_before=before,
            scrape=self.resolution,
            at_start=await self._stretch(objective, scope, _whole_seconds(4 * self.resolution), start),
            own=own,
            latest=parsed.windows[latest],
            scrapes=scrapes,
            late=late,
        )
        self.wider = act.effect_at, aftermath.widened(seen, window)
        return seen

    async def _before(self, objective: Slo, scope: Scope, act: Act) -> Reading:
        """Counts of the last quarter of the act's way to its effect, read once; Unknown where that is too short to have any."""
        stretch = _whole_seconds(max(2 * self.resolution, (act.effect_at - act.started_at) / 4))
        if act.effect_at - act.started_at < 2 * stretch:
            return Unknown(slo.NOT_READ, "the act took effect at once")
        return await self._stretch(objective, scope, stretch, act.effect_at)

    async def _stretch(self, objective: Slo, scope: Scope, window: timedelta, end: datetime) -> Reading:
        """Counts of a time that is over; read until there is an answer, and kept."""
        if (end, window) not in self.kept:
            reading = (await self.query.readings(objective, scope, {window}, {}, end)).windows[window]
            if isinstance(reading, Unknown) and reading.reason in NO_ANSWER:
                return reading
            while len(self.kept) > 1:  # two belong to an act
                self.kept.pop(next(iter(self.kept)))
            self.kept[end, window] = reading
        return self.kept[end, window]


def _running(release: Release, objective: Slo, scope: Scope, act: Act, span: timedelta) -> promql.Splits:
    """The revision whose pods run after the act, where the SLI tells it: what a rollback restored, else live."""
    history, moved = release.status.revisions, release.status.rollback
    restored = moved is not None and (moved.effect_at or moved.done_at) == act.effect_at
    digest = moved.to_digest if moved is not None and restored else release.status.live
    revision = next((r for r in history if r.digest == digest), None)
    if revision is None:
        return {}
    split = split_of(revision, history, span)
    fault = promql.not_told(objective.sli, split, scope)
    return {} if fault is not None and fault.reason == slo.NOT_BY_VERSION else {split.version: split}


def _whole_seconds(window: timedelta) -> timedelta:
    return timedelta(seconds=window // timedelta(seconds=1))
