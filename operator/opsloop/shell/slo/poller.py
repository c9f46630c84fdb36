"""The SLI poller: one query per Release on every tick, and a call of `on_change` where the verdict changed.

Age of a reading: a window W is read every max(tick, W/120) and keeps its value until then. After a failed read, a window
that is read on every tick is Unknown at once, with the reason; one that is read less often moves by less than 1/120
between two reads, so it keeps its value until that is three of its intervals old. Readings that promote (bake, versions)
are Unknown after a failed read.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.facts import Reading, Readings, Told, Unknown, Verdict
from opsloop.core.incident.effect import Act
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import promql, telling, traffic
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.splits import by_digest, queried, revisions_to_read
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.ports import Clock, NamespacedName, Telemetry
from opsloop.shell.slo.acts import ActReader
from opsloop.shell.slo.canary import CanaryCounter
from opsloop.shell.slo.query import NO_ANSWER, SliQuery
from opsloop.shell.slo.silence import Silence

CONCURRENCY = 4
_POINTS = 120  # a window moves by 1/120 between two reads
_STALE = 3  # intervals
_PATIENCE = 0.8  # share of the tick that a query may take
_RATES_AGAIN = timedelta(minutes=10)  # for the traffic to expect while there is none
_LOOK_AGAIN = timedelta(minutes=1)  # for labels that were not found, and revisions that are not told apart
_PROBE_AGAIN = timedelta(minutes=10)  # whether revisions are still told apart
_BREATH = 0.2  # share of the tick between two passes, however often the poller is nudged

log = logging.getLogger(__name__)


class ReadingStore:
    """The latest readings of each Release."""

    def __init__(self) -> None:
        self._readings: dict[NamespacedName, Readings] = {}

    def of(self, key: NamespacedName) -> Readings:
        """The readings of one Release, as of `verdict.at`; empty Readings where nothing was read."""
        return self._readings.get(key, Readings())

    def set(self, key: NamespacedName, readings: Readings) -> None:
        """Replaces the readings of one Release."""
        self._readings[key] = readings

    def keep(self, keys: Iterable[NamespacedName]) -> None:
        """Drops the readings of all other Releases."""
        kept = set(keys)
        self._readings = {key: readings for key, readings in self._readings.items() if key in kept}


@dataclass(slots=True)
class _History:
    """Reads of one Release so far; replaced when its SLO changes."""

    slo: Slo
    acts: ActReader
    read: dict[timedelta, tuple[datetime, Reading]] = field(default_factory=dict)  # last answer and its time
    failed: dict[timedelta, Unknown] = field(default_factory=dict)  # windows whose last read failed
    onset: datetime | None = None
    rates: dict[str, float] = field(
        default_factory=dict
    )  # of the hours that tell what to expect in the present silence
    rates_at: datetime | None = None
    silence: Silence = field(default_factory=Silence)
    reported: object = None  # what `on_change` was last called for
    labels: Labels | None = None  # of a structured SLI, once found
    labels_asked: datetime | None = None
    told: Told | None = None
    told_at: datetime | None = None

    def labels_due(self, at: datetime) -> bool:
        """True where it is time to look for the labels again."""
        return self.labels_asked is None or at - self.labels_asked >= _LOOK_AGAIN

    def probe_due(self, at: datetime) -> bool:
        """True where it is time to ask whether the SLI tells live from others."""
        again = _PROBE_AGAIN if self.told is not None and self.told.apart else _LOOK_AGAIN
        return self.told_at is None or at - self.told_at >= again

    def tell(self, told: Told, at: datetime) -> None:
        """Keeps the answer; one that is not known takes nothing back that was."""
        if told.apart is not None or self.told is None:
            self.told = told
        self.told_at = at


class Poller:
    """Reads the SLIs of all Releases together, on every tick and after `nudge`."""

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
        act: Callable[[NamespacedName], Act | None] = lambda _: None,
    ) -> None:
        """`resolution` is Prometheus' scrape interval; `hot(release)` is True while each tick's readings are needed by version;
        `act(release)` is what was done for an Incident and is in effect, so that its outcome is read."""
        self._query = SliQuery(telemetry, tick * _PATIENCE, resolution)
        self._canaries = CanaryCounter(self._query, resolution)
        self._resolution, self._act = resolution, act
        self._clock, self._releases, self._store = clock, releases, store
        self._on_change, self._tick, self._hot = on_change, tick, hot
        self._histories: dict[NamespacedName, _History] = {}
        self._nudged = asyncio.Event()
        self._slots = asyncio.Semaphore(CONCURRENCY)

    def nudge(self) -> None:
        """Requests a pass at once (an alert arrived); many requests during one pass are one more pass."""
        self._nudged.set()

    async def run(self) -> None:
        """Passes on every tick until cancelled, never two at a time. Drops the readings from before the start."""
        self._store.keep(())
        self._histories.clear()
        self._canaries.keep(())
        tick, now = self._tick.total_seconds(), asyncio.get_running_loop().time
        while True:
            started = now()
            self._nudged.clear()
            try:
                await self.pass_once()
            except Exception:
                log.exception("pass over the SLIs failed; the next one runs on its tick")
            await asyncio.sleep(_BREATH * tick)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), max(0.0, started + tick - now()))

    async def pass_once(self) -> None:
        """Reads every Release that has an SLO, all as of one time."""
        at = self._clock.now()
        releases = {release.key: release for release in self._releases() if release.spec.slo is not None}
        self._histories = {key: history for key, history in self._histories.items() if key in releases}
        self._store.keep(releases)
        self._canaries.keep(releases)
        done = await asyncio.gather(*(self._one(release, at) for release in releases.values()), return_exceptions=True)
        for key, error in zip(releases, done, strict=True):
            if isinstance(error, Exception):
                log.error("release %s/%s: on_change failed", *key, exc_info=error)

    async def _one(self, release: Release, at: datetime) -> None:
        """Reads one Release. A failure concerns this Release only and makes all its readings Unknown."""
        assert release.spec.slo is not None
        history = self._histories.get(release.key)
        if history is None or history.slo != release.spec.slo:
            history = _History(release.spec.slo, ActReader(self._query, self._resolution))
            self._histories[release.key] = history
        hot = self._hot(release.key)
        async with self._slots:
            try:
                readings = await self._read(release, history, hot, at)
            except Exception:
                log.exception("release %s/%s: readings failed", *release.key)
                readings = Readings(slo.judge(history.slo, {}, at))
        unknown = readings.verdict is None or readings.verdict.band == "unknown"
        readings = replace(readings, silent=history.silence.note(at, unknown))
        self._store.set(release.key, readings)
        summary = _summary(release, history.slo, readings)
        if summary != history.reported or hot or _active(release):
            history.reported = summary
            self._on_change(release.key)

    async def _read(self, release: Release, history: _History, hot: bool, at: datetime) -> Readings:
        bake = None if _proven(release) else history.slo.bake_time
        windows = windows_of(history.slo) | ({bake} if bake else set())
        due = {window for window in windows if self._due(history, window, at)}
        revisions = revisions_to_read(release, hot, probing=history.probe_due(at))
        scope = await self._scope(release, history, at)
        canary = await self._canaries.read(release, scope, at)
        if isinstance(scope, Unknown):
            parsed = promql.Parsed(dict.fromkeys(windows, scope), dict.fromkeys(queried(revisions), scope))
            scope = _plain_scope(release)
        else:
            parsed = await self._query.readings(history.slo, scope, due, queried(revisions), at)
        _remember(history, parsed, due, at)
        verdict = slo.judge(history.slo, {w: self._standing(history, w, at) for w in windows}, at)
        verdict = await self._without_traffic(history, scope, verdict)
        history.onset = await self._onset(history, scope, verdict)
        split = by_digest(history.slo.sli, scope, revisions, parsed.versions)
        if (live := revisions.get(release.status.live)) and release.status.live in split:
            whole = parsed.windows.get(live.window, Unknown(slo.NOT_READ))
            settled = _settled(release, live.window, at)
            history.tell(telling.told(history.slo.sli, live, scope, split[release.status.live], whole, settled), at)
        wanted = {digest: reading for digest, reading in split.items() if hot or _active(release)}
        readings = Readings(
            verdict, _last(history, bake) if bake else None, wanted, history.onset, history.told, canary=canary
        )
        act = self._act(release.key)
        return replace(readings, since_act=await history.acts.read(history.slo, scope, act, at)) if act else readings

    async def _scope(self, release: Release, history: _History, at: datetime) -> Scope | Unknown:
        """Where the Release's series are. The labels of a structured SLI are looked for until they are found."""
        plain, sli = _plain_scope(release), history.slo.sli
        fault = promql.problem(sli)
        if fault is not None or sli.total is not None:
            return fault or plain
        if history.labels is None and history.labels_due(at):
            found = await self._query.labels(sli, plain, at)
            if isinstance(found, Unknown):
                return found
            history.labels, history.labels_asked = found, at
        if history.labels is None and not (sli.requests or sli.latency).selector:  # type: ignore[union-attr]
            return Unknown(
                slo.NO_SERIES, f"{promql.FIELD}: no series names a living pod of the Deployment; write a selector"
            )
        return replace(plain, labels=history.labels)

    def _interval(self, window: timedelta) -> timedelta:
        return max(self._tick, window / _POINTS)

    def _due(self, history: _History, window: timedelta, at: datetime) -> bool:
        """True if the window is to be read now. Half a tick of slack: a tick that is early by jitter must not skip the window."""
        interval = self._interval(window)
        if interval <= self._tick or window not in history.read or window in history.failed:
            return True
        return at - history.read[window][0] >= interval - self._tick / 2

    def _standing(self, history: _History, window: timedelta, at: datetime) -> Reading:
        """The window's reading now: the last answer while it is young enough, else Unknown."""
        failure, interval = history.failed.get(window), self._interval(window)
        if window not in history.read or (failure and interval <= self._tick):
            return failure or Unknown(slo.NOT_READ)
        age = at - history.read[window][0]
        if age <= _STALE * interval:
            return history.read[window][1]
        why = f"; {failure.reason}: {failure.detail}" if failure else ""
        return Unknown(slo.STALE, f"last read {age.total_seconds():.0f} s ago{why}")

    async def _without_traffic(self, history: _History, scope: Scope, verdict: Verdict) -> Verdict:
        """TrafficGone in place of NoEvents where the hours before say so.

        The hour before the silence is read once; what other days had at this time changes with the time.
        """
        quiet, at = traffic.quiet_window(verdict), verdict.at
        if quiet is None:
            history.rates, history.rates_at = {}, None
            return verdict
        if history.rates_at is None or at - history.rates_at >= _RATES_AGAIN:
            ends = {hour: at - ago for hour, ago in traffic.AGO.items()}
            ends |= {traffic.BEFORE: at - quiet} if history.rates_at is None else {}
            history.rates, history.rates_at = history.rates | await self._query.rates(history.slo, scope, ends), at
        return traffic.judged(verdict, quiet, history.rates)

    async def _onset(self, history: _History, scope: Scope, verdict: Verdict) -> datetime | None:
        """The onset of the present burn, queried once per burn; a burn ends when the SLI is surely back."""
        if verdict.back:
            return None
        if history.onset is None and (verdict.burning or verdict.firing):
            return await self._query.onset(history.slo, scope, verdict.at)
        return history.onset


def _remember(history: _History, parsed: promql.Parsed, due: Iterable[timedelta], at: datetime) -> None:
    for window in due:
        reading = parsed.windows[window]
        if isinstance(reading, Unknown) and reading.reason in NO_ANSWER:
            history.failed[window] = reading
        else:
            history.failed.pop(window, None)
            history.read[window] = (at, reading)


def _settled(release: Release, window: timedelta, at: datetime) -> bool:
    """True where the live revision has been live for two windows, rolled out, and nothing else is under way."""
    status, moved = release.status, release.status.rollback
    rolled_out = conditions.get(status.conditions, "RolledOut")
    if _active(release) or (moved and moved.is_active) or (rolled_out and rolled_out.status == "False"):
        return False
    live = next((r for r in status.revisions if r.digest == status.live), None)
    return live is not None and live.live_since is not None and at - live.live_since >= 2 * window


def _plain_scope(release: Release) -> Scope:
    return Scope(release.metadata.namespace, release.spec.workload_ref.name)


def _last(history: _History, window: timedelta) -> Reading:
    return history.failed.get(window) or history.read[window][1]


def _active(release: Release) -> bool:
    return release.status.target is not None and release.status.target.is_active


def _proven(release: Release) -> bool:
    """True if the live revision has met its SLO for the bake time."""
    status = release.status
    return any(revision.digest == status.live and revision.proven_at for revision in status.revisions)


def _summary(release: Release, objective: Slo, readings: Readings) -> object:
    """The part of the readings that a decision depends on: bands and answers, not every decimal."""
    verdict, bake = readings.verdict, readings.bake
    met = None if bake is None else slo.meets(objective, bake, objective.min_bad_events)
    if verdict is None:
        return met
    firing = verdict.firing.tier if verdict.firing else None
    return (
        verdict.band,
        verdict.reason,
        firing,
        verdict.back,
        verdict.burning,
        met,
        release.status.live,
        readings.onset,
        readings.told,
    )
