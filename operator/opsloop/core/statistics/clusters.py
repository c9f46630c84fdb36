"""Events that come in bursts: how many things happened, and how surely that is more than was to be expected.

A retry storm or a pod that dies gives dozens of bad events within seconds, and is one thing that happened. The events are
counted in disjoint slots, x_1 … x_n; a burst may lie across the border of two. An event of slot i belongs to a burst of at
most  s_i = x_i + max(x_{i−1}, x_{i+1})  events, so that there were

    K = Σx / D,    D = Σ x·s / Σ x

effective events (D is the design effect of a cluster sample: Kish 1965, "Survey Sampling"). One burst among a few single
events is about one, a steady stream of one event per slot is half as many as slots. K does not depend on the scale of x.

Where the events are r times what was expected, so are the bursts, whatever their size: K/r were expected. By Chernoff's
bound of the Poisson distribution as many come with a probability of at most exp(−evidence):

    P(Poisson(K/r) ≥ K) ≤ exp(−K·(ln r − 1 + 1/r))
"""

from collections.abc import Sequence
from math import log


def effective(events: Sequence[float]) -> float:
    """K for the counts of adjacent slots, oldest first; 0 without events."""
    padded = [0.0, *events, 0.0]
    weighted = sum(x * (x + max(padded[n], padded[n + 2])) for n, x in enumerate(events) if x > 0)
    return sum(x for x in events if x > 0) ** 2 / weighted if weighted > 0 else 0.0


def evidence(events: Sequence[float], times: float) -> float:
    """−ln of the bound on the probability that chance gives as many effective events, `times` as many as expected."""
    return effective(events) * (log(times) - 1 + 1 / times) if times > 1 else 0.0
