"""The SLI poller: reads each objective of each Release on every tick, each on its own, and calls `on_change` where its
verdict changed.

Each is read from the source that its Release names, and each source has places of its own: one that is slow or away delays
nobody who reads from another. No objective waits for the query of another one, of its own Release or of others. A read that is not done within a share of the tick goes on among the slow ones,
which have few places: who is slow waits for those who are slow. A namespace may have a query budget (`core.slo.query_budget`). A slow or refused query is asked again after several
times as long as it took, so that it costs Prometheus a bounded share, and every read has a deadline of its own. What is
older than three of its intervals by all that is Unknown to every decision (`core.slo.age`).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import DEFAULT_SOURCE, ONLY, Slo
from opsloop.core.incident.effect import Act
from opsloop.core.postmortem.curve import Curve
from opsloop.core.readings import Readings, Unknown
from opsloop.core.slo import age, query_budget
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.merged import is_quiet, merged
from opsloop.core.slo.objectives import objectives, release_for
from opsloop.core.slo.pods import Scope
from opsloop.core.slo.query_budget import QueryBudget
from opsloop.core.slo.splits import scope_of
from opsloop.shell.ports import Clock, NamespacedName, Source
from opsloop.shell.slo import spent
from opsloop.shell.slo.query import SliQuery
from opsloop.shell.slo.reader import History, SliReader, is_active
from opsloop.shell.slo.silence import Silence
from opsloop.shell.slo.vanished import Created

QUICK_PLACES = 8  # reads at a time
SLOW_PLACES = 2  # of those that take longer
QUICK = 0.25  # ticks that a read may take among the quick ones
PATIENCE = 2  # ticks that one query may take
DEADLINE = 3  # ticks that a read with all its queries may take
_SHARE = 5  # a read that is slow or fails takes at most one part in this many of the time
_LONGEST = 12  # ticks between two reads that fail
_BREATH = 0.2  # share of the tick between two reads of a Release, however often the poller is nudged
_SOON = 0.01  # share of the tick: a due time that has just passed does not make a busy loop
_COSTLY = frozenset({slo.TIMEOUT, slo.QUERY_FAILED})  # failures that cost Prometheus something each time

log = logging.getLogger(__name__)


async def _unknown(release: NamespacedName) -> None:
    """Nobody says when its pods were created."""


NOTHING_READ = Readings()


class ReadingStore:
    """The latest readings of each Release: of each of its objectives, and of all of them as one."""

    def __init__(self) -> None:
        self._each: dict[NamespacedName, dict[str, Readings]] = {}
        self._readings: dict[NamespacedName, Readings] = {}

    def of(self, key: NamespacedName) -> Readings:
        """The readings of one Release, as of `verdict.at`; empty Readings where nothing was read."""
        return self._readings.get(key, NOTHING_READ)

    def of_objective(self, key: NamespacedName, name: str) -> Readings:
        """The readings of one objective."""
        return self._each.get(key, {}).get(name, NOTHING_READ)

    def set(self, key: NamespacedName, readings: Readings, name: str = ONLY) -> None:
        """Replaces the readings of one objective."""
        each = self._each.setdefault(key, {})
        each[name] = readings
        self._readings[key] = merged(each)

    def keep(self, names: Mapping[NamespacedName, Iterable[str]]) -> None:
        """Drops the readings of all other Releases and objectives. A new objective is one that was not read yet."""
        kept = {key: {name: self.of_objective(key, name) for name in wanted} for key, wanted in names.items()}
        for key in self._each.keys() - kept.keys():
            self._readings.pop(key, None)
        for key, each in kept.items():
            if list(each) != list(self._each.get(key, {})) and key in self._readings:
                self._readings[key] = merged(each)
        self._each = kept


@dataclass(frozen=True, slots=True)
class _Subject:
    """One objective of a Release; `release` is the Release as if it had no other."""

    release: Release
    objective: Slo
    several: bool

    @property
    def key(self) -> tuple[NamespacedName, str]:
        """Of its turn."""
        return self.release.key, self.objective.name


@dataclass(slots=True)
class _Turn:
    """When an objective is read, in seconds of the event loop, and how its reads went."""

    history: History
    started: float = float("-inf")
    due: float = 0.0
    task: asyncio.Task[None] | None = None
    slow: bool = False
    failures: int = 0  # costly ones, one after another
    cost: int = 1  # queries of the last read
    thrifty: bool = False  # read less often, because its namespace is at its query budget
    silence: Silence = field(default_factory=Silence)
    reported: object = None  # what `on_change` was last called for

    def nudge(self, breath: float) -> None:
        """Brings the next read forward, unless it is put off because its query is slow or refused, or for the budget."""
        if not self.slow and not self.failures and not self.thrifty:
            self.due = min(self.due, self.started + breath)


class _Lane:
    """What belongs to one source: whoever waits here waits for those who read from it too."""

    def __init__(
        self, source: Source, tick: timedelta, act: Callable[[NamespacedName], Act | None], created: Created
    ) -> None:
        resolution, delay = source.resolution or tick, source.delay or timedelta(0)
        query = SliQuery(source.telemetry, tick * PATIENCE, resolution)
        self.reader = SliReader(query, tick, resolution, delay, act, created)
        self.quick, self.slow = asyncio.Semaphore(QUICK_PLACES), asyncio.Semaphore(SLOW_PLACES)


class Poller:
    """Reads the objectives of all Releases, each on every tick and after `nudge`."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        clock: Clock,
        releases: Callable[[], Iterable[Release]],
        store: ReadingStore,
        on_change: Callable[[NamespacedName], None],
        tick: timedelta,
        hot: Callable[[NamespacedName], bool],
        act: Callable[[NamespacedName], Act | None] = lambda _: None,
        created: Created = _unknown,
        budget: QueryBudget | None = None,
    ) -> None:
        """`sources` by the names that `spec.slo.source` may have, `default` among them; a scrape interval that one does not say
        is the tick. `hot(release)` is True while each tick's readings are needed by version.

        `act(release)` is what was done for an Incident and is in effect, so that its outcome is read. `created(release)` is
        when its living pods were created. `budget`: the queries that a namespace may cost; None: as many as it takes.
        """
        self._budget = budget or QueryBudget()
        self._lanes = {name: _Lane(source, tick, act, created) for name, source in sources.items()}
        self._clock, self._releases, self._store = clock, releases, store
        self._on_change, self._tick, self._hot = on_change, tick.total_seconds(), hot
        self._turns: dict[tuple[NamespacedName, str], _Turn] = {}
        self._costs = Counter[str]()  # namespace → queries of a round, which reads each of its objectives once
        self._objectives: dict[
            NamespacedName, tuple[Slo, tuple[Slo, ...]]
        ] = {}  # those of an Slo, as long as it is the same
        self._nudged = asyncio.Event()

    def nudge(self) -> None:
        """Requests that all are read at once (an alert arrived); many requests during one read are one more."""
        for turn in self._turns.values():
            turn.nudge(_BREATH * self._tick)
        self._nudged.set()

    async def run(self) -> None:
        """Reads each Release when it is due, until cancelled. Drops the readings from before the start."""
        self._store.keep({})
        self._keep({})
        self._turns.clear()
        self._costs.clear()
        now = asyncio.get_running_loop().time
        try:
            while True:
                self._nudged.clear()
                self._start(lambda turn: turn.due <= now())
                self.report_old()
                next_due = min((t.due for t in self._turns.values() if t.task is None), default=now() + self._tick)
                pause = min(max(next_due - now(), _SOON * self._tick), self._tick)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):  # wait_for of Python 3.11 drops a cancel that comes with a nudge
                        await self._nudged.wait()
        finally:
            for turn in self._turns.values():
                if turn.task is not None:
                    turn.task.cancel()

    async def curve(
        self, key: NamespacedName, name: str, span: tuple[datetime, datetime], usual: bool = True
    ) -> Curve | None:
        """One objective of a Release between two times; None where nothing answers or it has no such objective. `usual`: with the traffic
        of the period before, which is the costliest question, for a postmortem."""
        turn = self._turns.get((key, name))
        release = next((r for r in self._releases() if r.key == key), None)
        lane = self._lanes.get(turn.history.slo.source) if turn else None
        if turn is None or release is None or lane is None:
            return None
        return await lane.reader.curve(release_for(release, turn.history.slo), turn.history, span, usual)

    def scope(self, key: NamespacedName, name: str) -> Scope | None:
        """Where the series of an objective are; None where it was not read yet, or its labels are not found."""
        turn = self._turns.get((key, name))
        release = next((r for r in self._releases() if r.key == key), None)
        if turn is None or release is None or not turn.history.read:
            return None
        return replace(scope_of(release), labels=turn.history.labels)

    async def pass_once(self) -> None:
        """Reads every objective once, due or not, and returns when all are read."""
        await asyncio.gather(*self._start(lambda turn: True))

    def _start(self, due: Callable[[_Turn], bool]) -> list[asyncio.Task[None]]:
        """Begins to read the objectives that are not being read, and are due; forgets those that are gone."""
        releases = {release.key: release for release in self._releases() if release.spec.slo is not None}
        wanted = {key: self._objectives_of(release) for key, release in releases.items()}
        self._objectives = {key: self._objectives[key] for key in releases}
        for key in self._turns.keys() - {(key, one.name) for key, every in wanted.items() for one in every}:
            gone = self._turns.pop(key)
            self._cost(key[0], -gone.cost)
            if gone.task is not None:
                gone.task.cancel()
        self._store.keep({key: [one.name for one in every] for key, every in wanted.items()})
        self._keep(releases)
        started = []
        for release, objective in ((releases[key], one) for key, every in wanted.items() for one in every):
            turn = self._turns.get((release.key, objective.name))
            if turn is None or (turn.history.slo != objective and turn.task is None):
                before, turn = turn, _Turn(History(objective))
                self._turns[release.key, objective.name] = turn
                self._cost(release.key, turn.cost - (before.cost if before else 0))
            if turn.task is None and due(turn):
                subject = _Subject(release_for(release, objective), objective, len(wanted[release.key]) > 1)
                turn.task = asyncio.create_task(self._take(subject, turn))
                started.append(turn.task)
        return started

    def _cost(self, release: NamespacedName, more: int) -> None:
        """A round of the Release's namespace costs so many queries more."""
        self._costs[release[0]] += more
        if not self._costs[release[0]]:
            del self._costs[release[0]]

    def _keep(self, releases: Mapping[NamespacedName, Release]) -> None:
        """Each source forgets whoever is not read from it (any more)."""
        for name, lane in self._lanes.items():
            lane.reader.keep(key for key, one in releases.items() if one.spec.slo and one.spec.slo.source == name)

    def _objectives_of(self, release: Release) -> tuple[Slo, ...]:
        spec = release.spec.slo
        assert spec is not None
        known = self._objectives.get(release.key)
        if known is None or known[0] is not spec:
            known = self._objectives[release.key] = (spec, objectives(spec))
        return known[1]

    async def _take(self, subject: _Subject, turn: _Turn) -> None:
        """One read and what follows from it. A failure concerns this objective only and makes all its readings Unknown."""
        loop, release = asyncio.get_running_loop(), subject.release
        hot = self._hot(release.key)
        turn.started = loop.time()
        was_failing = turn.failures > 0
        try:
            with spent.counting() as cost:
                readings, seconds = await self._read(release, turn, hot)
            if self._turns.get(subject.key) is turn:
                self._cost(release.key, max(cost.queries, 1) - turn.cost)
            turn.cost = max(cost.queries, 1)
            readings = self._put_off(readings, release, turn, self._rhythm(turn, seconds))
            self._store.set(release.key, self._timed(readings, turn, subject.several), subject.objective.name)
            if was_failing and not turn.failures:
                self._thaw(turn.history.slo.source, loop.time())
            self._report(subject, turn, hot)
        finally:
            turn.task = None
            turn.due = max(turn.due, turn.started + _BREATH * self._tick)

    def _timed(self, readings: Readings, turn: _Turn, several: bool) -> Readings:
        """The readings with their interval, and how long nobody could say of late whether to page. A quiet one of several is not
        silent."""
        verdict = readings.verdict
        at = verdict.at if verdict is not None else self._clock.now()
        unsaid = verdict is None or (slo.is_silent(verdict) and not (several and is_quiet(verdict)))
        silent = turn.silence.note(at, unsaid)
        return replace(readings, interval=timedelta(seconds=turn.due - turn.started), silent=silent)

    async def _read(self, release: Release, turn: _Turn, hot: bool) -> tuple[Readings, float]:
        """The readings, and how long they took without waiting for a place. Never raises for one objective's fault."""
        now, lane = asyncio.get_running_loop().time, self._lanes.get(turn.history.slo.source)
        if lane is None:
            return await self._unknown_source(release, turn), 0.0
        if not turn.slow:
            async with lane.quick:
                began, at = now(), self._clock.now()
                try:
                    async with asyncio.timeout(QUICK * self._tick):
                        return await lane.reader.read(release, turn.history, hot, at), now() - began
                except TimeoutError:
                    turn.slow = True
                except Exception:
                    return self._broken(release, turn), now() - began
        async with lane.slow:
            began, at = now(), self._clock.now()
            try:
                async with asyncio.timeout(DEADLINE * self._tick):
                    readings = await lane.reader.read(release, turn.history, hot, at)
            except TimeoutError:
                late = Unknown(slo.TIMEOUT, f"not read within {DEADLINE * self._tick:g} s")
                readings = await lane.reader.without_answer(release, turn.history, late, at)
            except Exception:
                readings = self._broken(release, turn)
            turn.slow = now() - began > QUICK * self._tick
            return readings, now() - began

    async def _unknown_source(self, release: Release, turn: _Turn) -> Readings:
        why = f"spec.slo.source: there is no {turn.history.slo.source!r}; the operator has {', '.join(self._lanes)}"
        unknown, reader = Unknown(slo.SOURCE_UNKNOWN, why), self._lanes[DEFAULT_SOURCE].reader
        return await reader.without_answer(release, turn.history, unknown, self._clock.now())

    def _broken(self, release: Release, turn: _Turn) -> Readings:
        log.exception("release %s/%s: readings failed", *release.key)
        return Readings(slo.judge(turn.history.slo, {}, self._clock.now()))

    def _rhythm(self, turn: _Turn, seconds: float) -> float:
        """Seconds from the beginning of this read to the next one."""
        failing = any(failure.reason in _COSTLY for failure in turn.history.failed.values())
        turn.failures = turn.failures + 1 if failing else 0
        if not failing and not turn.slow:
            return self._tick
        pause = max(self._tick, _SHARE * seconds)
        return min(pause * 2 ** min(turn.failures, 6), max(pause, _LONGEST * self._tick)) if failing else pause

    def _put_off(self, readings: Readings, release: Release, turn: _Turn, rhythm: float) -> Readings:
        """Sets when it is read again, by its rhythm and the budget of its namespace; readings that are known say that they
        come less often for the budget."""
        namespace = release.metadata.namespace
        budget = self._budget.of(namespace)
        pause = max(rhythm, query_budget.round_of(self._costs[namespace], budget))
        turn.thrifty, turn.due = pause > rhythm, turn.started + pause
        if not turn.thrifty or readings.verdict is None or slo.is_silent(readings.verdict):
            return readings
        remark = query_budget.remark(namespace, self._tick, pause, budget)
        return replace(readings, remarks=(*readings.remarks, remark))

    def _thaw(self, source: str, now: float) -> None:
        """The source answers again: whoever was put off is due."""
        for turn in self._turns.values():
            if turn.failures and turn.history.slo.source == source and not turn.thrifty:
                turn.due = min(turn.due, now)
        self._nudged.set()

    def _report(self, subject: _Subject, turn: _Turn, hot: bool) -> None:
        key, name = subject.key
        summary = _summary(subject.release, subject.objective, self._store.of_objective(key, name))
        if summary != turn.reported or hot or is_active(subject.release):
            turn.reported = summary
            self._call(key)

    def report_old(self) -> None:
        """Tells once of readings that have become too old to decide on."""
        now = self._clock.now()
        for (key, name), turn in self._turns.items():
            readings = self._store.of_objective(key, name)
            if turn.reported != slo.STALE and age.as_of(readings, now) is not readings:
                turn.reported = slo.STALE
                self._call(key)

    def _call(self, key: NamespacedName) -> None:
        try:
            self._on_change(key)
        except Exception:
            log.exception("release %s/%s: on_change failed", *key)


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
        readings.remarks,
    )
