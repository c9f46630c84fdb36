"""Reads one objective of a Release: the windows that are due, the revisions that matter, and what stands from before.

Age of a reading: a window W is read every max(interval, W/120) and keeps its value until then. After a failed read, a
window that is read each time is Unknown at once, with the reason; one that is read less often moves by less than 1/120
between two reads, so it keeps its value until that is three of its intervals old. Readings that promote (bake,
revisions) are Unknown after a failed read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.incident.effect import Act
from opsloop.core.postmortem.curve import Curve
from opsloop.core.readings import CanaryReading, Harm, Reading, Readings, Remark, SinceAct, Told, Unknown, Verdict
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import flat, promql, remarks, telling, traffic
from opsloop.core.slo.age import MOST_INTERVALS
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.splits import by_digest, queried, revisions_to_read, scope_of
from opsloop.core.slo.tiers import windows_of
from opsloop.shell.ports import NamespacedName
from opsloop.shell.slo import curves
from opsloop.shell.slo.acts import ActReader
from opsloop.shell.slo.bursts import BurstReader
from opsloop.shell.slo.canary import CanaryCounter
from opsloop.shell.slo.carried import CarriedReader
from opsloop.shell.slo.harm import HarmReader
from opsloop.shell.slo.query import NO_ANSWER, SliQuery
from opsloop.shell.slo.vanished import Created, VanishedReader

_POINTS = 120  # a window moves by 1/120 between two reads
_RATES_AGAIN = timedelta(minutes=10)  # for the traffic to expect while there is none
_LOOK_AGAIN = timedelta(minutes=1)  # for labels that were not found, and revisions that are not told apart
_MOST_LAGS = 20
_PROBE_AGAIN = timedelta(minutes=10)  # whether revisions are still told apart


@dataclass(slots=True)
class History:
    """Reads of one objective so far; replaced when it changes."""

    slo: Slo
    read: dict[timedelta, tuple[datetime, Reading]] = field(default_factory=dict)  # last answer and its time
    failed: dict[timedelta, Unknown] = field(default_factory=dict)  # windows whose last read failed
    onset: datetime | None = None
    acts: ActReader | None = None
    bursts: BurstReader | None = None
    carried: CarriedReader | None = None
    harm: HarmReader | None = None
    rates: dict[str, float] = field(
        default_factory=dict
    )  # of the hours that tell what to expect in the present silence
    rates_at: datetime | None = None
    labels: Labels | None = None  # of a structured SLI, once found
    labels_asked: datetime | None = None
    told: Told | None = None
    told_at: datetime | None = None
    missing: dict[timedelta, bool] = field(default_factory=dict)  # window → good (or bad) events had no series
    vanished: VanishedReader | None = None
    lags: list[float] = field(default_factory=list)  # ages of the newest sample, while data are missing
    lag_asked: datetime | None = None
    flat: tuple[str, datetime] | None = None  # the field whose numbers are alike in all windows, and since when

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


class SliReader:
    """Reads one objective of a Release at a time: what it is given as a Release has no other (`core.slo.objectives`)."""

    def __init__(
        self,
        query: SliQuery,
        tick: timedelta,
        resolution: timedelta,
        delay: timedelta,
        act: Callable[[NamespacedName], Act | None],
        created: Created,
    ) -> None:
        """`tick` is the time between two reads of a Release, `delay` how late samples arrive where a Release says nothing.

        `act(release)` is what was done for an Incident and is in effect, so that its outcome is read; `created(release)` is
        when its living pods were created.
        """
        self._act, self._created = act, created
        self._query, self._tick, self._resolution, self._delay = query, tick, resolution, delay
        self._canaries: dict[str, CanaryCounter] = {}  # by name of the objective

    def keep(self, keys: Iterable[NamespacedName]) -> None:
        """Drops what is known of all other Releases."""
        kept = list(keys)
        for counter in self._canaries.values():
            counter.keep(kept)

    async def read(self, release: Release, history: History, hot: bool, at: datetime) -> Readings:
        """The readings as of `at`; a failure is an Unknown reading. `hot`: revisions are needed one by one."""
        windows, then = self._windows(release, history), at - self._delay_of(history)
        bake = None if _proven(release) else history.slo.bake_time
        due = {window for window in windows if self._due(history, window, at)}
        revisions = revisions_to_read(release, hot, probing=history.probe_due(at))
        scope = await self._scope(release, history, at)
        canary = await self._counter(history).read(release, scope, then)
        if isinstance(scope, Unknown):
            parsed = promql.Parsed(dict.fromkeys(windows, scope), dict.fromkeys(queried(revisions), scope))
            scope = scope_of(release)
        else:
            parsed = await self._query.readings(history.slo, scope, due, queried(revisions), then)
            parsed = await self._without_vanished(release, history, scope, parsed, at)
        _remember(history, parsed, due, at)
        standing = {w: self._standing(history, w, at) for w in windows}
        if (no_count := _no_count(history, standing, at)) is not None:
            standing, canary = dict.fromkeys(standing, no_count), no_count if canary is not None else None
        verdict = await self._judged(history, scope, standing, at)
        verdict = await self._without_traffic(history, scope, verdict, then)
        history.onset = await self._onset(history, scope, verdict, then)
        await self._look_for_lag(history, scope, verdict, then)
        split = by_digest(history.slo.sli, scope, revisions, parsed.versions)
        if (live := revisions.get(release.status.live)) and release.status.live in split:
            whole = parsed.windows.get(live.window, Unknown(slo.NOT_READ))
            settled = _settled(release, live.window, at)
            history.tell(telling.told(history.slo.sli, live, scope, split[release.status.live], whole, settled), at)
        wanted = {digest: reading for digest, reading in split.items() if hot or is_active(release)}
        readings = self._readings(history, verdict, _last(history, bake) if bake else None, wanted, canary)
        if verdict.burning or verdict.firing:
            readings = replace(readings, harm=await self._harm(release, history, scope, verdict, then))
        else:
            history.harm = None
        act = self._act(release.key)
        return replace(readings, since_act=await self._since(release, history, scope, act, then)) if act else readings

    def _counter(self, history: History) -> CanaryCounter:
        return self._canaries.setdefault(history.slo.name, CanaryCounter(self._query, self._resolution))

    async def _without_vanished(
        self, release: Release, history: History, scope: Scope, parsed: promql.Parsed, at: datetime
    ) -> promql.Parsed:
        """The readings, but Unknown where bad events vanished from living processes."""
        history.missing.update({window: window in parsed.missing for window in parsed.windows})
        if history.vanished is None:
            history.vanished = VanishedReader(self._query, self._resolution, self._created)
        then = at - self._delay_of(history)
        return await history.vanished.read(release.key, history.slo, scope, parsed, at, then)

    async def _judged(
        self, history: History, scope: Scope, standing: Mapping[timedelta, Reading], at: datetime
    ) -> Verdict:
        """The verdict; where only missing data keep a tier from firing, with what counters carried over them; where one is
        about to page, it is asked whether that is one burst."""
        if history.bursts is None:
            history.bursts = BurstReader(self._query, self._resolution)
        if history.carried is None:
            history.carried = CarriedReader(self._query, self._resolution)
        verdict, then = slo.judge(history.slo, standing, at), at - self._delay_of(history)
        covered = await history.carried.read(history.slo, scope, verdict, standing, then)
        if covered is not standing:
            standing, verdict = covered, slo.judge(history.slo, covered, at)
        held = await history.bursts.read(history.slo, scope, verdict, then)
        return slo.judge(history.slo, standing, at, held) if held else verdict

    async def _harm(self, release: Release, history: History, scope: Scope, verdict: Verdict, then: datetime) -> Harm:
        """The counts around the beginning of the present harm."""
        if history.harm is None:
            history.harm = HarmReader(self._query, self._resolution)
        history.harm.told(verdict.firing.tier if verdict.firing else None, then)
        return await history.harm.read(history.slo, scope, release.status, history.onset, then)

    async def _since(
        self, release: Release, history: History, scope: Scope, act: Act, then: datetime
    ) -> SinceAct | None:
        """What came of an act; what was read of the time before it is kept."""
        if history.acts is None:
            history.acts = ActReader(self._query, self._resolution)
        late = timedelta(seconds=max(history.lags, default=0.0))
        return await history.acts.read(release, history.slo, scope, act, history.told, late, then)

    async def without_answer(self, release: Release, history: History, failure: Unknown, at: datetime) -> Readings:
        """The readings after a read that was given up."""
        windows = self._windows(release, history)
        _remember(history, promql.Parsed(dict.fromkeys(windows, failure), {}), windows, at)
        verdict = slo.judge(history.slo, {w: self._standing(history, w, at) for w in windows}, at)
        bake = None if _proven(release) else failure
        split = dict.fromkeys(revisions_to_read(release, False, probing=False), failure)
        canary = await self._counter(history).read(release, failure, at)
        return self._readings(history, verdict, bake, split, canary)

    def _readings(
        self,
        history: History,
        verdict: Verdict,
        bake: Reading | None,
        split: Mapping[str, Reading],
        canary: CanaryReading | Unknown | None,
    ) -> Readings:
        return Readings(
            verdict=verdict,
            bake=bake,
            by_revision=split,
            onset=history.onset,
            told=history.told,
            canary=canary,
            interval=self._tick,
            delay=self._delay_of(history),
            scrape=self._resolution,
            remarks=self._remarks(history),
        )

    async def curve(
        self, release: Release, history: History, span: tuple[datetime, datetime], usual: bool
    ) -> Curve | None:
        """The objective between two times; `usual`: with the traffic of the period before. None where nothing answers."""
        scope = await self._scope(release, history, span[1])
        if isinstance(scope, Unknown):
            return None
        return await curves.read(self._query, history.slo, scope, span, self._resolution, usual)

    async def _scope(self, release: Release, history: History, at: datetime) -> Scope | Unknown:
        """Where the Release's series are. The labels of a structured SLI are looked for until they are found."""
        plain, sli = scope_of(release), history.slo.sli
        fault = promql.problem(sli)
        if fault is not None or sli.total is not None:
            return fault or plain
        if history.labels is None and history.labels_due(at):
            found = await self._query.labels(sli, plain, at - self._delay_of(history))
            if isinstance(found, Unknown):
                return found
            history.labels, history.labels_asked = found, at
        if history.labels is None and not (sli.requests or sli.latency).selector:  # type: ignore[union-attr]
            return Unknown(
                slo.NO_SERIES, f"{sli.field}: no series names a living pod of the Deployment; write a selector"
            )
        return replace(plain, labels=history.labels)

    async def _look_for_lag(self, history: History, scope: Scope, verdict: Verdict, then: datetime) -> None:
        """Asks for the age of the newest sample while data are missing, once per scrape."""
        if verdict.reason not in (slo.LOW_COVERAGE, slo.NO_SERIES):
            history.lags.clear()
        elif history.lag_asked is None or then - history.lag_asked >= self._resolution:
            history.lag_asked = then
            if (lag := await self._query.lag(history.slo.sli, scope, then)) is not None:
                history.lags = [*history.lags, lag][-_MOST_LAGS:]

    def _remarks(self, history: History) -> tuple[Remark, ...]:
        found = [late] if (late := remarks.late(history.lags, self._resolution)) else []
        longest = max(windows_of(history.slo), default=None)
        shown = history.vanished is not None and history.vanished.shown_since is not None
        if longest is not None and history.missing.get(longest) and not shown:
            found.append(remarks.never_matched(promql.expressions(history.slo.sli).field, longest))
        return tuple(found)

    def _delay_of(self, history: History) -> timedelta:
        return self._delay if history.slo.delay is None else history.slo.delay

    def _windows(self, release: Release, history: History) -> frozenset[timedelta]:
        return windows_of(history.slo) | (frozenset() if _proven(release) else {history.slo.bake_time})

    def _interval(self, window: timedelta) -> timedelta:
        return max(self._tick, window / _POINTS)

    def _due(self, history: History, window: timedelta, at: datetime) -> bool:
        """True if the window is to be read now. Half a tick of slack: a tick that is early by jitter must not skip the window."""
        interval = self._interval(window)
        if interval <= self._tick or window not in history.read or window in history.failed:
            return True
        return at - history.read[window][0] >= interval - self._tick / 2

    def _standing(self, history: History, window: timedelta, at: datetime) -> Reading:
        """The window's reading now: the last answer while it is young enough, else Unknown."""
        failure, interval = history.failed.get(window), self._interval(window)
        if window not in history.read or (failure and interval <= self._tick):
            return failure or Unknown(slo.NOT_READ)
        age = at - history.read[window][0]
        if age <= MOST_INTERVALS * interval:
            return history.read[window][1]
        why = f"; {failure.reason}: {failure.detail}" if failure else ""
        return Unknown(slo.STALE, f"last read {age.total_seconds():.0f} s ago{why}")

    async def _without_traffic(self, history: History, scope: Scope, verdict: Verdict, then: datetime) -> Verdict:
        """TrafficGone in place of NoEvents where the hours before say so.

        The hour before the silence is read once; what other days had at this time changes with the time.
        """
        quiet = traffic.quiet_window(verdict)
        if quiet is None:
            history.rates, history.rates_at = {}, None
            return verdict
        if history.rates_at is None or then - history.rates_at >= _RATES_AGAIN:
            ends = {hour: then - ago for hour, ago in traffic.AGO.items()}
            ends |= {traffic.BEFORE: then - quiet} if history.rates_at is None else {}
            history.rates, history.rates_at = history.rates | await self._query.rates(history.slo, scope, ends), then
        return traffic.judged(verdict, quiet, history.rates)

    async def _onset(self, history: History, scope: Scope, verdict: Verdict, then: datetime) -> datetime | None:
        """The onset of the present burn, queried once per burn; a burn ends when the SLI is surely back."""
        if verdict.back:
            return None
        if history.onset is None and (verdict.burning or verdict.firing):
            return await self._query.onset(history.slo, scope, then)
        return history.onset


def _remember(history: History, parsed: promql.Parsed, due: Iterable[timedelta], at: datetime) -> None:
    for window in due:
        reading = parsed.windows[window]
        if isinstance(reading, Unknown) and reading.reason in NO_ANSWER:
            history.failed[window] = reading
        else:
            history.failed.pop(window, None)
            history.read[window] = (at, reading)


def _no_count(history: History, read: Mapping[timedelta, Reading], at: datetime) -> Unknown | None:
    """The reading where the numbers have been alike in all windows for too long to be counts."""
    named = flat.field(history.slo, read)
    since = history.flat[1] if history.flat and history.flat[0] == named else at
    history.flat = (named, since) if named else None
    return flat.not_a_count(history.slo, named) if named and at - since >= flat.held(history.slo) else None


def _settled(release: Release, window: timedelta, at: datetime) -> bool:
    """True where the live revision has been live for two windows, rolled out, and nothing else is under way."""
    status, moved = release.status, release.status.rollback
    rolled_out = conditions.get(status.conditions, "RolledOut")
    if is_active(release) or (moved and moved.is_active) or (rolled_out and rolled_out.status == "False"):
        return False
    live = next((r for r in status.revisions if r.digest == status.live), None)
    return live is not None and live.live_since is not None and at - live.live_since >= 2 * window


def _last(history: History, window: timedelta) -> Reading:
    return history.failed.get(window) or history.read[window][1]


def is_active(release: Release) -> bool:
    """True while a canary is in progress."""
    return release.status.target is not None and release.status.target.is_active


def _proven(release: Release) -> bool:
    """True if the live revision has met its SLO for the bake time."""
    status = release.status
    return any(revision.digest == status.live and revision.proven_at for revision in status.revisions)
