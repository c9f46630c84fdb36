"""One rollout, judged by the functions that ship: promoted, rejected or left, and when."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from opsloop.api.slo import Sli, Slo
from opsloop.api.strategy import Analysis
from opsloop.core.slo.canary import judge, terms_of
from opsloop.core.statistics.evidence import Evidence
from tests.sim.laws.weather import Scrapes, Weather
from tests.sim.laws.windows import Windows

SLI = Sli(good="g[{{window}}]", total="t[{{window}}]")


@dataclass(frozen=True, slots=True)
class End:
    """How a rollout ended, and after how many seconds and requests (of canary and live)."""

    state: Literal["promoted", "rejected", "left"]
    seconds: float
    requests: float
    evidence: Evidence


def slo_of(objective: float) -> Slo:
    """An SLO with the default tiers."""
    return Slo(objective=objective, sli=SLI)


def roll_out(
    weather: Weather,
    slo: Slo,
    analysis: Analysis,
    random: Random,
    most: float = 7200.0,
    how: type[Scrapes] | type[Windows] = Scrapes,
) -> End:
    """Counted by scrapes of each pod, or by windows of PromQL. Steps through the weights as `core.release.canary` does: after its hold, a step is left when the canary is good.

    Ends at a reject, after the last weight's hold, or after `most` seconds.
    """
    sky, shares, steps = how(weather, random), list(weather.weights), [0.0]
    evidence = Evidence(terms_of(analysis, slo.objective, compared=True, dispersion=how.dispersion))
    for interval in sky.before():
        evidence = evidence.before(interval)
    share, hold = shares.pop(0)
    while evidence.until < most:
        evidence = evidence.after(sky.interval(share / 100), tuple(steps))
        if evidence.rejects:
            return _end("rejected", weather, evidence)
        held = evidence.until - steps[-1] >= hold
        if held and judge(slo, analysis.min_events, evidence).verdict == "good":
            if not shares:
                return _end("promoted", weather, evidence)
            share, hold = shares.pop(0)
            steps.append(evidence.until)
    return _end("left", weather, evidence)


def _end(state: Literal["promoted", "rejected", "left"], weather: Weather, evidence: Evidence) -> End:
    return End(state, evidence.until, evidence.until * weather.rps, evidence)


def analysis_of(**changes: object) -> Analysis:
    """The default analysis with these fields changed."""
    return Analysis.model_validate(changes)


def hold_of(weather: Weather) -> timedelta:
    """The time that a rollout takes at least."""
    return timedelta(seconds=sum(hold for _, hold in weather.weights))
