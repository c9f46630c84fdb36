"""Is it true what is said of a canary that went on: "a version with x errors would have been caught with 80 %"?"""

from dataclasses import dataclass, replace
from random import Random

from opsloop.core.slo.canary import terms_of
from opsloop.core.statistics.detectable import detectable
from opsloop.core.statistics.evidence import Evidence
from tests.sim.laws.rollouts import analysis_of, slo_of
from tests.sim.laws.weather import Scrapes, Weather

SAID = 20  # healthy rollouts that say something, for each row


@dataclass(frozen=True, slots=True)
class Claim:
    """The error ratio that was said to be caught with 80 % (mean of SAID rollouts), and the share of such versions that were."""

    rps: float
    objective: float
    intervals: int
    ratio: float
    caught: float


def claim(rps: float, objective: float, count: int, tries: int, random: Random) -> Claim:
    """What healthy rollouts of so many intervals say, tried on versions of just that error ratio."""
    budget = 1 - slo_of(objective).objective
    weather, said, caught = Weather(rps, budget / 2, budget / 2), list[float](), 0
    for _ in range(SAID):
        said.append(detectable(_seen(weather, objective, count, random)) or 1.0)
        bad = replace(weather, canary=said[-1])
        caught += sum(_seen(bad, objective, count, random).rejects for _ in range(tries // SAID))
    return Claim(rps, objective, count, sum(said) / SAID, caught / (tries // SAID * SAID))


def _seen(weather: Weather, objective: float, count: int, random: Random) -> Evidence:
    evidence = Evidence(terms_of(analysis_of(), objective, compared=True))
    sky = Scrapes(weather, random)
    for interval in sky.before():
        evidence = evidence.before(interval)
    for _ in range(count):
        evidence = evidence.after(sky.interval(weather.weights[0][0] / 100), (0.0,))
    return evidence
