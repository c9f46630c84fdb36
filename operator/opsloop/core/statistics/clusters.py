"""Events that come in bursts: how many things happened, and how surely that is more than was to be expected.

A retry storm or a pod that dies gives dozens of bad events within seconds, and is one thing that happened. The events are
counted in disjoint slots, x_1 … x_n; a burst may lie across the border of two. An event of slot i belongs to a burst of at
most  s_i = x_i + max(x_{i−1}, x_{i+1})  events, so that there were

    K = Σx / D,    D = Σ x·s / Σ x

effective events (D is the design effect of a cluster sample: Kish 1965, "Survey Sampling"). One burst among a few single
events is about one, a steady stream of one event per slot is half as many as slots. K does not depend on the scale of x.

Where the events are r times what was expected, so are the bursts, whatever their size: K/r were expected. One looks because
of the last of them, which therefore proves nothing; by Chernoff's bound of the Poisson distribution K − 1 others come with a
probability of at most exp(−evidence):

    P(Poisson(K/r) ≥ K − 1) ≤ exp(−[(K − 1)·(ln(r·(K − 1)/K) − 1) + K/r])
"""

from collections.abc import Sequence
from math import log


def burst_size(events: Sequence[float]) -> float:
    """D for the counts of adjacent slots, oldest first; 0 without events."""
    padded, total = [0.0, *events, 0.0], sum(events)
    weighted = sum(x * (x + max(padded[n], padded[n + 2])) for n, x in enumerate(events) if x > 0)
    return weighted / total if total > 0 else 0.0


def effective(events: Sequence[float]) -> float:
    """K for the counts of adjacent slots; 0 without events."""
    size = burst_size(events)
    return sum(events) / size if size > 0 else 0.0


def evidence(events: Sequence[float], times: float) -> float:
    """−ln of the bound on the probability that chance gives as many effective events, `times` as many as expected."""
    number = effective(events)
    others = number - 1
    if others <= 0 or times * others <= number:
        return 0.0
    return others * (log(times * others / number) - 1) + number / times
