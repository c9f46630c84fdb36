"""The error budget of a period: what is left of it, and when it is gone at the present rate."""

from dataclasses import dataclass
from datetime import timedelta

from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo.tiers import budget_of

LEAST_COVERED = 1 / 12  # of a window: coverage is measured in 120ths of it, so that a share of time is known to a tenth


@dataclass(frozen=True, slots=True)
class Spent:
    """`share`: of the period's error budget that is spent, above 1 where it is overspent. `coverage`: share of the period for
    which data exist; what nobody measured counts as neither good nor bad."""

    share: float
    coverage: float

    @property
    def left(self) -> float:
        """Share that is left; below 0 where it is overspent."""
        return 1 - self.share


def spent(base: Value, since: Reading | None, objective: float) -> Spent | None:
    """By all of the period up to some time, and the events since then. None where nobody knows those; none at all is no event."""
    bad, total = base.bad, base.total
    if isinstance(since, Value):
        bad, total = bad + since.bad, total + since.total
    elif isinstance(since, Unknown) and since.reason != "NoEvents":
        return None
    return Spent(bad / total / budget_of(objective), base.coverage)


def rate(reading: Reading | None, window: timedelta) -> float | None:
    """Events per second of the time of a window for which there are data; None where that is too little to say for how long."""
    if not isinstance(reading, Value) or reading.coverage < LEAST_COVERED:
        return None
    return reading.total / (reading.coverage * window.total_seconds())


def share(bad: float, objective: float, rate: float, period: timedelta) -> float:
    """The share of a period's error budget that so many bad events are, where the period has `rate` events per second (above 0)."""
    return bad / (budget_of(objective) * rate * period.total_seconds())


def exhausted_in(left: float, burn: float, period: timedelta) -> timedelta | None:
    """The time until the budget is gone at this burn rate; 0 where it is gone, None where it is not being spent.

    At a burn rate of 1 the whole budget lasts for one period.
    """
    if left <= 0:
        return timedelta(0)
    return left / burn * period if burn > 0 else None
