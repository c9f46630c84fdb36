"""One shared SLI poller for all Releases: on every tick one query per Release, and a wake-up where the verdict changed.

How old a reading may be. A window W is asked every max(tick, W/120), and what was read stands until then. If a read
fails, a window that is asked on every tick is Unknown at once, with the reason; one that is asked more seldom moves by
less than 1/120 between two reads, so its last value stands until it is three of its intervals old.
What promotes (bake, versions) is never taken from an answer before a failed one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.release import Release, Slo
from opsloop.core.facts import Reading, Readings, Unknown, Verdict
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.ports import Clock, NamespacedName, Telemetry
from opsloop.shell.slo.query import NO_ANSWER, SliQuery

CONCURRENCY = 4
_POINTS = 120  # a window moves by 1/120 between two reads
_STALE = 3  # intervals
_PATIENCE = 0.8  # share of the tick that a query may take
_BREATH = 0.2  # share of the tick between two passes, however often the poller is nudged

log = logging.getLogger(__name__)


class ReadingStore:
    """The latest readings of each Release, as reconcilers look at them."""

    def __init__(self) -> None:
        self._readings: dict[NamespacedName, Readings] = {}

    def of(self, key: NamespacedName) -> Readings:
        """What is known; empty Readings where nothing was read. `verdict.at` says of which second it speaks."""
        return self._readings.get(key, Readings())

    def set(self, key: NamespacedName, readings: Readings) -> None:
        """Replace what is known of one Release."""
        self._readings[key] = readings

    def keep(self, keys: Iterable[NamespacedName]) -> None:
        """Forget all other Releases."""
        kept = set(keys)
        self._readings = {key: readings for key, readings in self._readings.items() if key in kept}


@dataclass(slots=True)
class _Memory:
    """What is remembered of one Release between ticks; begun anew when its SLO changes."""

    slo: Slo
    read: dict[timedelta, tuple[datetime, Reading]] = field(default_factory=dict)  # last answer and its second
    failed: dict[timedelta, Unknown] = field(default_factory=dict)  # why the last read of a window gave no answer
    onset: datetime | None = None
    told: object = None  # what `on_change` was last called for


class Poller:
    """Reads the SLIs of all Releases together, on the tick or at once when nudged."""

    def __init__(
        self,
        telemetry: Telemetry,
        clock: Clock,
        releases: Callable[[], Iterable[Release]],
        store: ReadingStore,
        on_change: Callable[[NamespacedName], None],
        tick: timedelta,
        resolution: timedelta,
        hot: Callable[[NamespacedName], bool],
    ) -> None:
        """`resolution` is Prometheus' scrape interval; `hot(key)` says that an Incident is open on that Release."""
        self._query = SliQuery(telemetry, tick * _PATIENCE, resolution)
        self._clock, self._releases, self._store = clock, releases, store
        self._on_change, self._tick, self._hot = on_change, tick, hot
        self._memory: dict[NamespacedName, _Memory] = {}
        self._nudged = asyncio.Event()
        self._slots = asyncio.Semaphore(CONCURRENCY)

    def nudge(self) -> None:
        """Read at once (an alert arrived); many nudges during one pass are one more pass."""
        self._nudged.set()

    async def run(self) -> None:
        """Passes on the tick until cancelled, never two at a time. What was read before the start is forgotten."""
        self._store.keep(())
        self._memory.clear()
        tick, now = self._tick.total_seconds(), asyncio.get_running_loop().time
        while True:
            started = now()
            self._nudged.clear()
            try:
                await self.pass_once()
            except Exception:
                log.exception("a pass over the SLIs failed; the next one comes on its tick")
            await asyncio.sleep(_BREATH * tick)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), max(0.0, started + tick - now()))

    async def pass_once(self) -> None:
        """Read every Release that has an SLO, all as of one and the same second."""
        at = self._clock.now()
        releases = {release.key: release for release in self._releases() if release.spec.slo is not None}
        self._memory = {key: memory for key, memory in self._memory.items() if key in releases}
        self._store.keep(releases)
        done = await asyncio.gather(*(self._one(release, at) for release in releases.values()), return_exceptions=True)
        for key, error in zip(releases, done, strict=True):
            if isinstance(error, Exception):
                log.error("what follows from the readings of Release %s/%s failed", *key, exc_info=error)

    async def _one(self, release: Release, at: datetime) -> None:
        """One Release; what goes wrong with it stays with it, and leaves no old reading behind."""
        assert release.spec.slo is not None
        memory = self._memory.get(release.key)
        if memory is None or memory.slo != release.spec.slo:
            memory = self._memory[release.key] = _Memory(release.spec.slo)
        hot = self._hot(release.key)
        async with self._slots:
            try:
                readings = await self._read(release, memory, hot, at)
            except Exception:
                log.exception("readings of Release %s/%s failed", *release.key)
                readings = Readings(slo.judge(memory.slo, {}, at))
        self._store.set(release.key, readings)
        now = _cared_for(release, memory.slo, readings)
        if now != memory.told or hot or _active(release):
            memory.told = now
            self._on_change(release.key)

    async def _read(self, release: Release, memory: _Memory, hot: bool, at: datetime) -> Readings:
        bake = None if _proven(release) else memory.slo.bake_time
        windows = windows_of(memory.slo) | ({bake} if bake else set())
        due = {window for window in windows if self._due(memory, window, at)}
        window = release.spec.strategy.canary.analysis.window
        versions = {version: (version, window) for version in _versions(release, hot)}
        parsed = await self._query.readings(memory.slo, due, versions, at)
        _remember(memory, parsed, due, at)
        verdict = slo.judge(memory.slo, {w: self._standing(memory, w, at) for w in windows}, at)
        memory.onset = await self._onset(memory, verdict)
        return Readings(verdict, _last(memory, bake) if bake else None, parsed.versions, memory.onset)

    def _interval(self, window: timedelta) -> timedelta:
        return max(self._tick, window / _POINTS)

    def _due(self, memory: _Memory, window: timedelta, at: datetime) -> bool:
        """Half a tick of slack, so that a tick that comes a little early does not put a window off to the next one."""
        interval = self._interval(window)
        if interval <= self._tick or window not in memory.read or window in memory.failed:
            return True
        return at - memory.read[window][0] >= interval - self._tick / 2

    def _standing(self, memory: _Memory, window: timedelta, at: datetime) -> Reading:
        """The reading that stands now: the last answer, while it is young enough."""
        failure, interval = memory.failed.get(window), self._interval(window)
        if window not in memory.read or (failure and interval <= self._tick):
            return failure or Unknown(slo.NOT_READ)
        age = at - memory.read[window][0]
        if age <= _STALE * interval:
            return memory.read[window][1]
        why = f"; {failure.reason}: {failure.detail}" if failure else ""
        return Unknown(slo.STALE, f"last read {age.total_seconds():.0f} s ago{why}")

    async def _onset(self, memory: _Memory, verdict: Verdict) -> datetime | None:
        """Asked for once per stretch of burn; the stretch ends when the SLI is surely back."""
        if verdict.back:
            return None
        if memory.onset is None and (verdict.burning or verdict.firing):
            return await self._query.onset(memory.slo, verdict.at)
        return memory.onset


def _remember(memory: _Memory, parsed: promql.Parsed, due: Iterable[timedelta], at: datetime) -> None:
    for window in due:
        reading = parsed.windows[window]
        if isinstance(reading, Unknown) and reading.reason in NO_ANSWER:
            memory.failed[window] = reading
        else:
            memory.failed.pop(window, None)
            memory.read[window] = (at, reading)


def _last(memory: _Memory, window: timedelta) -> Reading:
    return memory.failed.get(window) or memory.read[window][1]


def _active(release: Release) -> bool:
    return release.status.target is not None and release.status.target.is_active


def _proven(release: Release) -> bool:
    """Has what is live met its SLO for the bake time already?"""
    status = release.status
    return any(revision.digest == status.live and revision.proven_at for revision in status.revisions)


def _versions(release: Release, hot: bool) -> set[str]:
    """Version labels worth telling apart now: live and target, and in an incident the one it would go back to."""
    status = release.status
    if not (hot or _active(release)):
        return set()
    labels = {revision.digest: revision.version for revision in status.revisions}
    wanted = {labels.get(status.live, status.version), status.target.version if status.target else ""}
    return (wanted | {labels.get(status.last_good, "") if hot else ""}) - {""}


def _cared_for(release: Release, objective: Slo, readings: Readings) -> object:
    """What a reader cares about: if this is the same as before, nobody is woken."""
    verdict, bake = readings.verdict, readings.bake
    met = None if bake is None else slo.meets(objective, bake, objective.min_bad_events)
    if verdict is None:
        return met
    firing = verdict.firing.tier if verdict.firing else None
    return verdict.band, verdict.reason, firing, verdict.back, verdict.burning, met, release.status.live, readings.onset
