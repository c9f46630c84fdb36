"""Judges: one that knows who harms, and four that are plainly wrong in one way each."""

import math
from typing import Final

from opsloop.simulator.burn import Counts
from opsloop.simulator.mechanics import Judge, Sight

ALPHA: Final = 0.01
TEN_PERCENT: Final = 0.1
LEAST: Final = 20  # requests that a threshold wants


def surely_worse(canary: Counts, now: float, worse: float, live: float) -> bool:
    """Wald's test for a known alternative on all that was seen: no test that keeps α is quicker."""
    bad, total = canary.window(now, now)
    good = total - bad
    worse, live = min(worse, 1 - 1e-9), max(live, 1e-6)
    return bad * math.log(worse / live) + good * math.log((1 - worse) / (1 - live)) >= math.log(1 / ALPHA)


class Perfect:
    """Knows which version harms; waits only until the scrapes show what the SLO, or the best test, needs."""

    def canary_is_bad(self, sight: Sight, canary: str, live: str) -> bool:
        """Harmful, and shown."""
        if canary not in sight.harmful:
            return False
        known = sight.service.versions
        return any(
            surely_worse(side.versions[canary], sight.now, worse, side.objective.ratio(known[live]))
            for side in sight.sides
            if canary in side.versions
            and (worse := side.objective.ratio(known[canary])) > side.objective.ratio(known[live])
        )

    def may_go_on(self, sight: Sight, canary: str) -> bool:
        """Harmless."""
        return canary not in sight.harmful

    def live_is_bad(self, sight: Sight, live: str) -> bool:
        """Harmful, and the SLO's tier fires."""
        return live in sight.harmful and sight.fires

    def calls(self, sight: Sight) -> bool:
        """A tier fires, or nobody is served."""
        return sight.unserved >= 60 or sight.fires


class NeverActs:
    """Ships everything and does nothing about it."""

    def canary_is_bad(self, sight: Sight, canary: str, live: str) -> bool:
        """Never."""
        return False

    def may_go_on(self, sight: Sight, canary: str) -> bool:
        """Always."""
        return True

    def live_is_bad(self, sight: Sight, live: str) -> bool:
        """Never."""
        return False

    def calls(self, sight: Sight) -> bool:
        """Never."""
        return False


class BlamesTheNewest(NeverActs):
    """Rolls back whatever came last, as soon as a tier fires."""

    def canary_is_bad(self, sight: Sight, canary: str, live: str) -> bool:
        """A tier fires."""
        return sight.fires

    def live_is_bad(self, sight: Sight, live: str) -> bool:
        """A tier fires."""
        return sight.fires

    def calls(self, sight: Sight) -> bool:
        """A tier fires, or nobody is served."""
        return sight.unserved >= 60 or sight.fires


class TenPercent(NeverActs):
    """One threshold for everything."""

    def canary_is_bad(self, sight: Sight, canary: str, live: str) -> bool:
        """A tenth of its requests of the last minute are bad."""
        return any(canary in side.versions and _above(side.versions[canary], sight.now, 60) for side in sight.sides)

    def live_is_bad(self, sight: Sight, live: str) -> bool:
        """A tenth of the requests of the last five minutes are bad."""
        return any(_above(side.all, sight.now, 300) for side in sight.sides)

    def calls(self, sight: Sight) -> bool:
        """The same, or nobody is served."""
        return sight.unserved >= 60 or self.live_is_bad(sight, "")


class NeverPromotes(Perfect):
    """Knows everything, and is afraid."""

    def may_go_on(self, sight: Sight, canary: str) -> bool:
        """Never."""
        return False


def _above(counts: Counts, now: float, width: float) -> bool:
    bad, total = counts.window(now, width)
    return total >= LEAST and bad > TEN_PERCENT * total


TOYS: Final[dict[str, Judge]] = {
    "never act": NeverActs(),
    "blame the newest": BlamesTheNewest(),
    "10 % threshold": TenPercent(),
    "never promote": NeverPromotes(),
}
PERFECT: Final = "perfect"
JUDGES: Final[dict[str, Judge]] = {**TOYS, PERFECT: Perfect()}
"""All that can be put in the place of opsloop."""
