"""The same decisions twice: by the functions as shipped on the stored samples, tick by tick, and by the whole operator."""

from dataclasses import dataclass
from math import ceil

from opsloop.api.release import Release
from opsloop.core.release.analysis import ANALYSIS_FAILED
from opsloop.core.slo.canary import judge, terms_of
from opsloop.core.slo.rounds import Rounds
from opsloop.core.statistics.evidence import Evidence
from opsloop.shell.slo.counting import LOOKBACK
from opsloop.simulator import kinds, manifests
from opsloop.simulator.episode import TICK, live_through
from opsloop.simulator.scraping import EVERY
from opsloop.simulator.weather import HOLDS, Weather
from opsloop.simulator.world import STEP
from tests.sim.agreement import burns
from tests.sim.agreement.burns import Burn
from tests.sim.agreement.observed import Observer, Try, scrapes

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

    @property
    def agree(self) -> bool:
        """The same decision at the same tick."""
        if self.alone is None or self.operator is None:
            return self.alone is self.operator
        return -1 <= self.operator - self.alone <= SLACK


@dataclass(frozen=True, slots=True)
class Found:
    """What an episode gave: decisions on canaries, burns, and how many reads of SLOs were compared."""

    canaries: list[Compared]
    burns: list[Burn]
    reads: int

    @property
    def agree(self) -> bool:
        """No decision differs."""
        return all(one.agree for one in self.canaries) and all(one.agree for one in self.burns)


def compare(seed: int, kind: str) -> Found:
    """Lives through a weather, and judges its canaries and SLOs again."""
    weather, observer = kinds.weather(seed, kind), Observer()
    with observer.listening():
        live_through(weather, begun=observer.begin)
    canaries = [one for run in observer.tries for one in _of_try(weather, observer, run)]
    return Found(canaries, *burns.compare(weather, observer))


def _of_try(weather: Weather, observer: Observer, run: Try) -> list[Compared]:
    release = Release.model_validate(manifests.release(weather.main, "v1", weather.form, HOLDS))
    objective, analysis = release.spec.slo, release.spec.strategy.canary.analysis
    assert objective is not None
    live = weather.live[weather.main.name] if run.version != "v1" else "v2"
    evidence = Evidence(terms_of(analysis, objective.objective, compared=True))
    rounds, rejected, passed = Rounds(EVERY), None, dict[int, float]()
    last = (run.ended if run.ended is not None else weather.horizon - run.began) + SLACK
    offset = (-run.began) % SLACK  # of the ticks
    samples = list(scrapes(observer.store, run, observer.revision, live, _first_scrape(offset or SLACK)))
    done, at = 0, 0.0
    while at <= last and rejected is None:  # samples are seen at ticks, the end of a hold at any step of the world
        while (at - offset) % SLACK == 0 and done < len(samples) and samples[done].at <= at:
            interval = rounds.add(samples[done])
            done += 1
            if interval is not None:
                steps = tuple(s for s in run.steps if s <= at)
                evidence = evidence.after(interval, steps) if interval.end > 0 else evidence.before(interval)
        if evidence.rejects:
            rejected = at
        step = sum(s < at for s in run.steps) - 1
        held = step in run.reached and at - run.reached[step] >= HOLDS[step]
        if held and step not in passed and judge(objective, analysis.min_events, evidence).verdict == "good":
            passed[step] = at
        at += STEP
    return _compared(weather, run, rejected, passed)


def _first_scrape(tick: float) -> float:
    """Where the operator begins to read: at its second tick of the canary it asks for the hour before, and a scrape more."""
    at = tick + SLACK
    return at - (ceil((at + LOOKBACK.total_seconds()) / EVERY) + 1) * EVERY


def _compared(weather: Weather, run: Try, rejected: float | None, passed: dict[int, float]) -> list[Compared]:
    ended = run.ended if run.reason == ANALYSIS_FAILED else None
    cut = run.ended is not None and run.state not in ("Promoting", "Promoted") and ended is None
    found = []
    if not cut:
        found.append(Compared(weather.seed, weather.kind, run.version, "reject", rejected, ended))
    for step in range(len(HOLDS)):
        after = (
            run.steps[step + 1]
            if step + 1 < len(run.steps)
            else run.ended
            if run.state in ("Promoting", "Promoted")
            else None
        )
        if after is not None or (step in passed and not cut and rejected is None):
            found.append(
                Compared(weather.seed, weather.kind, run.version, f"pass step {step}", passed.get(step), after)
            )
    return found
