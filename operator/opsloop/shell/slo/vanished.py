"""Asks whether bad events that have no series any more vanished from living processes: only while they have none."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.slo import Slo
from opsloop.core.readings import Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql, vanished
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.ports import NamespacedName
from opsloop.shell.slo.query import SliQuery

Created = Callable[[NamespacedName], Awaitable[Sequence[datetime] | None]]
"""When each living pod of a Release was created; None where nobody can say."""


@dataclass(slots=True)
class _Missing:
    """Bad events have no series in the short window."""

    since: datetime
    asked: datetime | None = None
    lost: bool | None = None  # by the processes that their series name
    replaced: bool | None = None  # every pod, once it was asked


@dataclass(slots=True)
class VanishedReader:
    """Reads for one objective."""

    query: SliQuery
    resolution: timedelta  # Prometheus' scrape interval
    created: Created
    shown_since: datetime | None = None  # bad events have, or had, series without a break
    _missing: _Missing | None = field(default=None)

    async def read(
        self, key: NamespacedName, objective: Slo, scope: Scope, parsed: promql.Parsed, at: datetime, then: datetime
    ) -> promql.Parsed:
        """The readings as of `then`, Unknown where bad events vanished from living processes. `at` is now."""
        short = min(windows_of(objective), default=None)
        asked = promql.expressions(objective.sli)
        if asked.kind != "bad" or short is None or not isinstance(parsed.windows.get(short), Value):
            return parsed
        if short not in parsed.missing:
            if self.shown_since is None or self._missing is not None:
                self.shown_since = at
            self._missing = None
            return parsed
        missing = self._missing = self._missing or _Missing(at)
        if not await self._vanished(missing, key, objective, scope, short, at, then):
            return parsed
        text = f"{asked.field} matched series of pods that live on, and matches none any more, though there are events"
        unknown = Unknown(slo.VANISHED, text)
        return replace(parsed, windows={w: unknown if w in parsed.missing else r for w, r in parsed.windows.items()})

    async def _vanished(
        self,
        missing: _Missing,
        key: NamespacedName,
        objective: Slo,
        scope: Scope,
        short: timedelta,
        at: datetime,
        then: datetime,
    ) -> bool:
        """Asked at first and while they are lost at every look, else once per short window."""
        if missing.asked is None or missing.lost or at - missing.asked >= short:
            known = at - missing.since if self.shown_since is not None else None
            answer = await self.query.lost(objective.sli, scope, short, known, then)
            if not isinstance(answer, Unknown):
                missing.asked, missing.lost = at, answer
        if missing.lost is not None:
            return missing.lost
        if self.shown_since is None or at - missing.since >= short:
            return False
        if missing.replaced is None:
            missing.replaced = vanished.replaced(await self.created(key), self.shown_since)
        return not missing.replaced
