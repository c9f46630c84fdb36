"""Numbers of the judgement on causes, in one place, with their reasons. All are log odds against "none of these" unless
said otherwise; what they come to on generated weather, also at ±30 %: docs/decisions/causes.md.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import log

from opsloop.core.statistics.changepoint import Delay


@dataclass(frozen=True, slots=True)
class Weights:
    """Priors and terms."""

    lookback: timedelta = timedelta(hours=1)
    """Changes older than this are no suspects: what begins an hour after a change has rarely to do with it."""

    prompt: float = 0.8
    soon: timedelta = timedelta(seconds=10)
    late: timedelta = timedelta(minutes=20)
    """Delay of the harm after users met a bad change: four of five show with the first requests (the lateness of a watch, up to
    ten seconds; intervals of counts say themselves how exact they are), the rest (leaks, caches, a rare path) within tens of
    minutes."""

    unwatched: timedelta = timedelta(minutes=2)
    """The same as `soon` where nobody saw the rollout: from when it was decided, pods take about that long to be replaced."""

    first: float = 0.9
    """Share of the harm that shows to the first users, where more than one time is known at which more of them met a change:
    who served for the holds of a canary and was judged there has been tried."""

    slack: timedelta = timedelta(seconds=30)
    """The watch may tell of a change half a minute after it, and the clocks of API server and Prometheus may differ."""

    own: float = 0.0
    """A change of the service itself within the lookback is as likely as everything else together: about 70 % of outages
    come from changes (Beyer et al. 2016), but not all changes are known to opsloop (flags, infrastructure)."""

    config: float = log(31 / 37)
    """A ConfigMap or Secret that pods use was written: of Google's outages 37 % were triggered by binaries that were
    pushed, 31 % by configuration (Site Reliability Workbook 2018, appendix C)."""

    scaled_down: float = log(5 / 37)
    """The number of pods was made smaller: 5 % in the same table were triggered by capacity management."""

    scaled_up: float = log(5 / 37) - log(3)
    """It was made larger, or nobody saw which: more pods harm by what they share only (connections, cold caches)."""

    hop: float = -log(3)
    """Each step along dependsOn: most faults of a dependency show on itself first, and then its Incident explains this one."""

    within: float = -log(10)
    """Its SLO is met meanwhile, so that only those who call it would be harmed: by answers that are well, and that they do not
    understand any more. Nine of ten harmful changes show where they were made."""

    without_canary: float = log(2)
    """A change that went past the canary was seen by nobody."""

    blocked_before: float = log(10)
    """A revision that was rolled back for harm and came back."""

    proven: float = -log(1.5)
    """For each quarter of an hour in which a proven revision met its SLO, up to PROVEN_MOST."""

    split: float = log(1000)
    """Most that two revisions say which serve at the same time: only one is harmed, or both alike. Nothing tells more, and
    who is counted for whom is not beyond doubt (names of pods, labels)."""

    others: float = -log(20)
    """A service that has nothing to do with this one is harmed at the same time."""

    dependency: float = log(20)
    """What it depends on is harmed itself, right now."""

    exonerated: float = -log(100)
    """Its rollback did not end the harm."""

    never: float = -log(100)
    """Floor of the evidence from time: clocks, scrapes and rollouts are not exact enough to exclude anything."""

    def delay(self) -> Delay:
        """The density of the delay after the first users met a change, in seconds."""
        return self._delay(self.soon)

    def delay_unwatched(self) -> Delay:
        """The density of the delay after a change was decided, where nobody saw when users met it."""
        return self._delay(self.unwatched)

    def _delay(self, soon: timedelta) -> Delay:
        return Delay(self.prompt, soon.total_seconds(), self.late.total_seconds(), self.slack.total_seconds())


ROLLOUTS = (timedelta(0), timedelta(minutes=1), timedelta(minutes=5))
"""Lengths of a rollout that nobody saw, alike likely."""


QUARTER = timedelta(minutes=15)
PROVEN_MOST = 8
WEIGHTS = Weights()
