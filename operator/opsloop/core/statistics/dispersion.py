"""How unevenly bad events split among the pods of one version: 1 where each falls on its own, B where B fall together.

In an interval with X bad events, x_p of them on pod p that served the share s_p of all events, single events split as a
multinomial, and Pearson's statistic has the mean of its degrees of freedom:

    r = Σ_p (x_p − X·s_p)² / (X·s_p) / (k − 1)          E r = 1

Where events come in bursts of sizes B to one pod each, E r = E B²/E B, the dispersion of a compound Poisson number. The
estimate weighs the intervals by their bad events, as that ratio does, together with PRIOR events that fell singly. Neither
r nor the weight of one interval counts for more than LARGEST: at the edges of an outage, which pods see up to a scrape
apart, thousands of events split unevenly that did not come in bursts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

PRIOR = 20.0
"""Bad events that are taken to have come singly. Fewer and chance looks like bursts; more and a burst is believed too late."""

LARGEST = 100.0
"""Bad events of the largest burst that is looked for."""

Pods = Sequence[tuple[float, float]]
"""(bad events, all events) of each pod in one interval."""


@dataclass(frozen=True, slots=True)
class Split:
    """The bad events of all intervals so far, and the same each weighted with its interval's r."""

    events: float = 0.0
    weighted: float = 0.0

    @property
    def dispersion(self) -> float:
        """The estimate, at least 1."""
        return max(1.0, (PRIOR + self.weighted) / (PRIOR + self.events))

    @property
    def cut(self) -> float:
        """The share of the logarithm of λ's usual cut that one interval may reach: with bursts of ten, a half.

        A burst is often seen by two scrapes, and each reaches the cut however small its events are taken. So where they
        come, twice as many intervals are needed.
        """
        return 1 / (1 + log10(self.dispersion))

    def after(self, pods: Pods) -> "Split":
        """With one more interval. One without bad events, or of a single pod, says nothing."""
        if len(pods) < 2:
            return self
        bad = served = 0.0
        for x, n in pods:
            bad, served = bad + x, served + n
        if bad <= 0:
            return self
        ratio, squares, count = bad / served, 0.0, 0
        for x, n in pods:
            if n > 0:
                count += 1
                squares += (x - ratio * n) ** 2 / n
        if count < 2:
            return self
        weight, uneven = min(bad, LARGEST), min(squares / ratio / (count - 1), LARGEST)
        return Split(self.events + weight, self.weighted + weight * uneven)


NO_SPLIT = Split()
