"""Harmful canaries: how many requests until they are rejected."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from opsloop.api.strategy import Analysis
from opsloop.core.slo.canary import terms_of
from opsloop.core.statistics.evidence import Evidence, Interval, Terms
from opsloop.simulator.traffic import poisson
from tests.sim.laws.rollouts import roll_out, slo_of
from tests.sim.laws.weather import Scrapes, Weather
from tests.sim.laws.windows import Windows

LIVE, SHARE, OBJECTIVE = 0.005, 0.2, 0.99
MULTIPLES = {2: (125_600, 264_500), 3: (14_100, 34_800), 10: (750, 2_050), 40: (132, 265)}
"""Multiple of live's errors → requests in all (median, p95) that the design asks for."""

SCRAPE = 15.0  # seconds
TICK = 5.0  # seconds between two readings
_GIVE_UP = 20  # times the p95 that the design asks for


@dataclass(frozen=True, slots=True)
class Power:
    """Requests until a reject, one number for each rollout; infinite where it was given up."""

    multiple: int
    requests: Sequence[float]

    def share_within(self, requests: float) -> float:
        """The share that was rejected within so many requests."""
        return sum(n <= requests for n in self.requests) / len(self.requests)

    def quantile(self, share: float) -> float:
        """The number of requests within which this share was rejected."""
        return sorted(self.requests)[min(len(self.requests) - 1, int(share * len(self.requests)))]


def exact_counts(multiple: int, rollouts: int, analysis: Analysis, random: Random, grain: float = 20.0) -> Power:
    """Power where every request is counted, in small intervals of `grain` requests in all: what the tests can do at best."""
    terms = terms_of(analysis, OBJECTIVE, compared=True)
    most = _GIVE_UP * MULTIPLES[multiple][1]
    # slow differences are looked at in larger intervals: nothing changes but the time that it takes
    grain = max(grain, MULTIPLES[multiple][0] / 500)
    return Power(multiple, [_requests(terms, multiple, random, grain, most) for _ in range(rollouts)])


def _requests(terms: Terms, multiple: int, random: Random, grain: float, most: float) -> float:
    evidence, seen, begin = Evidence(terms), 0.0, terms.warm_up
    while seen < most:
        numbers = []
        for share, ratio in ((SHARE, multiple * LIVE), (1 - SHARE, LIVE)):
            bad, good = poisson(random, grain * share * ratio), poisson(random, grain * share * (1 - ratio))
            numbers += [bad, bad + good]
        # a millisecond each: starts every ten minutes are another question
        evidence = evidence.after(Interval(begin, begin + 0.001, *numbers))
        begin, seen = begin + 0.001, seen + grain
        if evidence.rejects:
            return seen
    return float("inf")


def as_shipped(
    multiple: int,
    rps: float,
    rollouts: int,
    analysis: Analysis,
    random: Random,
    how: type[Scrapes] | type[Windows] = Scrapes,
) -> Power:
    """Power by scrapes every 15 s, at 20 % for as long as it takes (a day at most)."""
    weather = Weather(rps, LIVE, multiple * LIVE, scrape=SCRAPE, weights=((100 * SHARE, 86_400.0),))
    slo = slo_of(OBJECTIVE)
    ends = [roll_out(weather, slo, analysis, random, most=86_400.0, how=how) for _ in range(rollouts)]
    return Power(multiple, [end.requests if end.state == "rejected" else float("inf") for end in ends])


def goal(multiple: int, rps: float) -> float:
    """Requests within which the design wants 99 % rejected: 1.5 × the table's p95, three scrapes and one tick.

    The design allows two ticks; one of them is the operator's, who looks at an interval when it is closed.
    """
    return 1.5 * MULTIPLES[multiple][1] + (3 * SCRAPE + TICK) * rps
