"""Whether one of two revisions that serve side by side is harmed alone, on counts of disjoint intervals.

Given how many of an interval's events were bad, those of the first revision are binomial with

    p_i(r) = r·n_i / (r·n_i + m_i)        n_i, m_i: events of both; r: ratio of their error ratios

so that what both suffer, however it comes and goes, and how the traffic moves from one to the other, cancels (as in the tests
of Cochran, Mantel and Haenszel). Three hypotheses, each a mean over a grid of r: alone (4 … 128 times worse), alike
(half to twice), the other one (1/4 … 1/128). No interval weighs more than CUT, so that a burst to one pod decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from opsloop.core.statistics.evidence import Interval

CUT = 4.6  # of one interval's log likelihood ratio: 1 to 100
WORSE = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
ALIKE = (0.5, 0.7, 1.0, 1.4, 2.0)
OTHER = 0.1  # share of "the other one is worse" among what explains the harm without the first one
SURE = log(20)  # log odds from which on it is said that the first one is harmed alone, or not


@dataclass(frozen=True, slots=True)
class Compared:
    """Log likelihoods of the three hypotheses, up to a constant."""

    alone: float
    alike: float
    other: float

    @property
    def odds(self) -> float:
        """Log odds of "the first one alone" against both others."""
        return self.alone - log((1 - OTHER) * exp(self.alike) + OTHER * exp(self.other))


def compare(intervals: Sequence[Interval], dispersion: float = 1.0) -> Compared:
    """Own counts are `canary_*`, the other's `live_*`; events are worth 1/dispersion of what they count."""
    own = _sums(intervals, dispersion, WORSE)
    alike = _sums(intervals, dispersion, ALIKE)
    other = _sums(intervals, dispersion, [1 / r for r in WORSE])
    high = max(*own, *alike, *other)
    return Compared(*(_log_mean([value - high for value in logs]) for logs in (own, alike, other)))


def _sums(intervals: Sequence[Interval], dispersion: float, ratios: Sequence[float]) -> list[float]:
    return [sum(_log_ratio(one, dispersion, r) for one in intervals) for r in ratios]


def _log_ratio(one: Interval, dispersion: float, ratio: float) -> float:
    """log P(r) / P(best r) of one interval."""
    if one.canary_total <= 0 or one.live_total <= 0 or one.canary_bad + one.live_bad <= 0:
        return 0.0
    best = max(_log_likelihood(one, r) for r in (*WORSE, *ALIKE, *(1 / r for r in WORSE)))
    return max((_log_likelihood(one, ratio) - best) / dispersion, -CUT)


def _log_likelihood(one: Interval, ratio: float) -> float:
    p = ratio * one.canary_total / (ratio * one.canary_total + one.live_total)
    return one.canary_bad * log(p) + one.live_bad * log(1 - p)


def _log_mean(logs: Sequence[float]) -> float:
    high = max(logs)
    return high + log(sum(exp(value - high) for value in logs) / len(logs))
