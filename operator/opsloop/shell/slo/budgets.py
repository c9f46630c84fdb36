"""Reads what is spent of each error budget, one objective after another, beside the poller: nothing is decided on it.

The whole period is asked seldom, since it is the costliest question that there is, and the time since then each minute: what left
the period meanwhile is less than one part in a thousand of it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.readings import Reading, Value
from opsloop.core.slo.budget import Spent, spent
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.pods import Scope
from opsloop.shell.ports import Clock, NamespacedName, Source
from opsloop.shell.slo.query import SliQuery

EVERY = timedelta(minutes=1)  # the time since the last look at the whole period
WHOLE = 1440  # parts of the period between two looks at all of it: half an hour of 30 days
LEAST, MOST = timedelta(minutes=5), timedelta(hours=1)  # between these looks
OLD = 4  # such times without an answer, after which nothing is known any more
PATIENCE = timedelta(seconds=60)  # for one answer

log = logging.getLogger(__name__)
ScopeOf = Callable[[NamespacedName, str], Scope | None]


@dataclass(slots=True)
class _Read:
    """What is known of one objective."""

    slo: Slo
    tried: datetime | None = None  # the whole period
    base: Value | None = None
    base_at: datetime | None = None
    since: Reading | None = None
    since_at: datetime | None = None


class Budgets:
    """The error budgets of all Releases; empty until `run`."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        clock: Clock,
        releases: Callable[[], Iterable[Release]],
        scope: ScopeOf,
        tick: timedelta,
    ) -> None:
        """`scope(release, objective)`: where its series are; None while the poller has not found out."""
        self._clock, self._releases, self._scope = clock, releases, scope
        self._queries = {
            name: SliQuery(source.telemetry, PATIENCE, source.resolution or tick) for name, source in sources.items()
        }
        self._delays = {name: source.delay or timedelta(0) for name, source in sources.items()}
        self._read: dict[tuple[NamespacedName, str], _Read] = {}

    def of(self, key: NamespacedName, name: str) -> Spent | None:
        """What is spent of the budget of an objective; None while that is not known."""
        read = self._read.get((key, name))
        if read is None or read.base is None or read.base_at is None:
            return None
        if self._clock.now() - read.base_at > OLD * _again(read.slo):
            return None
        return spent(read.base, read.since, read.slo.objective)

    async def run(self) -> None:
        """Reads what is due, until cancelled. One question at a time, so that this costs Prometheus a bounded share."""
        while True:
            began = self._clock.now()
            await self.pass_once()
            rest = EVERY / 6 - (self._clock.now() - began)
            await asyncio.sleep(max(rest, timedelta(seconds=1)).total_seconds())

    async def pass_once(self) -> None:
        """Reads each objective that is due; forgets those that are gone or changed."""
        wanted = {
            (release.key, slo.name): slo
            for release in self._releases()
            if release.spec.slo is not None
            for slo in objectives(release.spec.slo)
        }
        self._read = {key: read for key, read in self._read.items() if wanted.get(key) == read.slo}
        for key, slo in wanted.items():
            try:
                await self._look(key, self._read.setdefault(key, _Read(slo)))
            except Exception:
                log.exception("error budget of %s/%s (%s) not read", *key[0], key[1])

    async def _look(self, key: tuple[NamespacedName, str], read: _Read) -> None:
        query, scope = self._queries.get(read.slo.source), self._scope(*key)
        if query is None or scope is None:
            return
        delay = self._delays[read.slo.source] if read.slo.delay is None else read.slo.delay
        at = self._clock.now() - delay
        if read.tried is None or at - read.tried >= _again(read.slo):
            read.tried = at
            whole = await self._reading(query, read.slo, scope, read.slo.period, at)
            if isinstance(whole, Value):
                read.base, read.base_at, read.since, read.since_at = whole, at, None, at
        elif read.base_at is not None and (read.since_at is None or at - read.since_at >= EVERY):
            window = timedelta(seconds=round((at - read.base_at).total_seconds()))
            read.since, read.since_at = await self._reading(query, read.slo, scope, window, at), at

    async def _reading(self, query: SliQuery, slo: Slo, scope: Scope, window: timedelta, at: datetime) -> Reading:
        return (await query.readings(slo, scope, {window}, {}, at)).windows[window]


def _again(slo: Slo) -> timedelta:
    """Time between two looks at the whole period."""
    return min(max(slo.period / WHOLE, LEAST), MOST)
