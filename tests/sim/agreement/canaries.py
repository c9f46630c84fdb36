"""Canaries judged by the functions as shipped, on the differences of each pod's counters: no PromQL, no operator.

Alone, a canary's objectives are counted at the moments at which a process of the operator has read them, from what had arrived
by then, and judged at these moments and at each step of the world. A new process counts from the beginning.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf

from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.readings import Verdict
from opsloop.core.release.analysis import ANALYSIS_FAILED
from opsloop.core.slo import burn_rate
from opsloop.core.slo.age import MOST_INTERVALS
from opsloop.core.slo.canary import judge, terms_of
from opsloop.core.slo.jointly import rejected_for
from opsloop.core.slo.objectives import objectives, release_for
from opsloop.core.slo.rounds import DEADLINE, Rounds, Scrape
from opsloop.core.statistics.evidence import Evidence
from opsloop.shell.slo.counting import LOOKBACK
from opsloop.simulator import manifests
from opsloop.simulator.burn import LATENCY
from opsloop.simulator.episode import TICK
from opsloop.simulator.prometheus.store import Series
from opsloop.simulator.scraping import EVERY, METRIC, TIMED
from opsloop.simulator.weather import HOLDS, MAIN, Weather
from tests.sim.agreement.burns import Burns
from tests.sim.agreement.observed import Heard, Observer, Try

WAITED = DEADLINE * EVERY  # seconds: a live pod that appears later was not there before
SLACK = TICK.total_seconds()
"""A tick: the poller reads when it is due, the Release is reconciled after that; what is seen at a tick is done before the next."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One decision. Times are seconds since the canary took traffic; None is never."""

    seed: int
    kind: str
    version: str
    what: str
    alone: float | None
    operator: float | None
    held: str = ""  # why the operator held the step last

    @property
    def agree(self) -> bool:
        """The same decision at the same tick."""
        if self.alone is None or self.operator is None:
            return self.alone is self.operator
        return -1 <= self.operator - self.alone <= SLACK


class Differences:
    """The counters of canary and live beside each other, by pod and scrape, of one objective."""

    def __init__(self, observer: Observer, run: Try, objective: Slo) -> None:
        self._observer, self._run, self._zero = observer, run, run.since.timestamp()
        self._late = objective.name == LATENCY
        service = next(one for one in observer.world.services if one.name == MAIN)
        self._bound = f"{service.timing.threshold:g}" if service.timing else ""
        self._seen: dict[Series, tuple[float, float]] = {}  # time and value of its last sample
        self._known: set[str] = set()  # pods
        self._looked = inf
        self._begin: float | None = None

    def new(self, at: float) -> Iterator[Scrape]:
        """Since the last time, in the order of time. At first of the hour before the canary, and a scrape more."""
        if self._begin is None:
            self._begin = at - (ceil((at + LOOKBACK.total_seconds()) / EVERY) + 1) * EVERY
        found: dict[tuple[float, str], list[tuple[Series, float]]] = {}
        for series in self._series():
            since, times = self._seen.get(series, (-inf, 0.0))[0], series.points.times
            for n in range(len(times) - 1, -1, -1):
                seconds = times[n] / 1000 - self._zero
                if seconds <= since or seconds < self._begin:
                    break
                if seconds <= at:
                    found.setdefault((seconds, series.labels.get("pod")), []).append((series, series.points.values[n]))
        for (when, pod), values in sorted(found.items(), key=lambda item: item[0]):
            yield self._scrape(when, pod, values)

    def _series(self) -> Iterator[Series]:
        for metric in (f"{TIMED}_count", f"{TIMED}_bucket") if self._late else (METRIC,):
            for series in self._observer.store.candidates(metric):
                version = self._observer.revision.get(series.labels.get("pod"))
                bound = series.labels.get("le") in ("", self._bound)
                if version in (self._run.version, self._run.live) and series.labels.get("job") == MAIN and bound:
                    yield series

    def _scrape(self, when: float, pod: str, values: list[tuple[Series, float]]) -> Scrape:
        own = self._observer.revision[pod] == self._run.version
        self._looked = min(self._looked, when)
        fresh = pod in self._known or own or when - self._looked > WAITED  # else its counters are from before
        self._known.add(pod)
        bad = total = 0.0
        for series, value in values:
            before = self._seen.get(series, (0.0, 0.0 if fresh else value))[1]
            new = value - before if value >= before else value
            self._seen[series] = when, value
            good, is_bad = series.labels.get("le") != "", series.labels.get("code").startswith("5")
            total += 0.0 if good else new
            bad += -new if good else new if is_bad or self._late else 0.0
        return Scrape(when, pod, own, bad, total)


@dataclass(slots=True)
class _Objective:
    """What one process knows of a canary by one objective."""

    slo: Slo
    evidence: Evidence
    differences: Differences
    rounds: Rounds = field(default_factory=lambda: Rounds(EVERY))
    measured: bool = False  # the first read asks how much there is to read
    answered: bool = False  # the last one was
    whole: Verdict | None = None  # on the whole service, at the last read

    def is_known(self, now: float) -> bool:
        """May the canary go on by what was read: is that young, and the whole service's SLI known?"""
        if not self.answered or self.whole is None or now - self.evidence.until > MOST_INTERVALS * DEADLINE * EVERY:
            return False
        return self.whole.band != "unknown" or self.whole.reason == burn_rate.NO_EVENTS

    def read(self, at: float, steps: tuple[float, ...], answered: bool) -> None:
        """One read at this time since the canary took traffic."""
        first, self.measured, self.answered = not self.measured, self.measured or answered, answered
        if first or not answered:
            return
        for scrape in self.differences.new(at):
            interval = self.rounds.add(scrape)
            if interval is not None:
                after = interval.end > 0
                self.evidence = self.evidence.after(interval, steps) if after else self.evidence.before(interval)


class Canaries:
    """The canaries of an episode, and what is decided of them alone."""

    def __init__(self, weather: Weather, observer: Observer, burns: Burns) -> None:
        """`burns` hears of each read before."""
        self._weather, self._observer, self._burns = weather, observer, burns
        self._release = Release.model_validate(manifests.release(weather.main, "v1", weather.form, HOLDS))
        self._alone: dict[tuple[float, int], dict[str, _Objective]] = {}  # (canary's begin, process)
        self._leader = 0
        self.rejected: dict[float, float] = {}  # canary's begin → when
        self.passed: dict[tuple[float, int], float] = {}  # (canary's begin, step) → when
        observer.on_read.append(self._heard)
        observer.on_step.append(self._judge)

    def _heard(self, heard: Heard) -> None:
        self._leader = max(self._leader, heard.process)
        run = self._run()
        if heard.service != MAIN or run is None:
            return
        every = self._alone.setdefault((run.began, heard.process), {})
        if not every:
            every.update(self._begun(run))
        at = (heard.verdict.at - run.since).total_seconds()
        one = every[heard.objective]
        one.read(at, tuple(s for s in run.steps if s <= at), heard.answered)
        one.whole = self._burns.last(heard)
        self._judge()

    def _run(self) -> Try | None:
        """The canary in traffic, or just taken out."""
        run = self._observer.tries[-1] if self._observer.tries else None
        if run is None or (run.ended is not None and self._now(run) > run.ended + SLACK):
            return None
        return run

    def _now(self, run: Try) -> float:
        return self._observer.world.now() - run.began

    def _begun(self, run: Try) -> Iterator[tuple[str, _Objective]]:
        spec = self._release.spec.slo
        assert spec is not None
        for one in objectives(spec):
            analysis = release_for(self._release, one).spec.strategy.canary.analysis
            evidence = Evidence(terms_of(analysis, one.objective, compared=True))
            yield one.name, _Objective(one, evidence, Differences(self._observer, run, one))

    def _judge(self) -> None:
        run = self._run()
        every = self._alone.get((run.began, self._leader)) if run is not None else None
        if run is None or not every or run.began in self.rejected:
            return
        now, step = self._now(run), sum(s < self._now(run) for s in run.steps) - 1
        analysis = self._release.spec.strategy.canary.analysis
        if rejected_for({name: one.evidence for name, one in every.items()}, len(every), analysis.false_rejects):
            self.rejected[run.began] = now
            return
        held = step in run.reached and now - run.reached[step] >= HOLDS[step]
        good = all(judge(one.slo, analysis.min_events, one.evidence).verdict == "good" for one in every.values())
        if held and good and all(one.is_known(now) for one in every.values()):
            self.passed.setdefault((run.began, step), now)

    def found(self) -> Iterator[Compared]:
        """All decisions."""
        for run in self._observer.tries:
            yield from self._of(run)

    def _of(self, run: Try) -> Iterator[Compared]:
        seed, kind, rejected = self._weather.seed, self._weather.kind, self.rejected.get(run.began)
        ended = run.ended if run.reason == ANALYSIS_FAILED else None
        promoted = run.state in ("Promoting", "Promoted")
        cut = run.ended is not None and not promoted and ended is None
        if not cut:
            yield Compared(seed, kind, run.version, "reject", rejected, ended)
        for step in range(len(HOLDS)):
            last = run.ended if promoted else None
            after, alone = (
                run.steps[step + 1] if step + 1 < len(run.steps) else last,
                self.passed.get((run.began, step)),
            )
            if after is not None or (alone is not None and not cut and rejected is None):
                yield Compared(seed, kind, run.version, f"pass step {step}", alone, after, run.held.get(step, ""))
