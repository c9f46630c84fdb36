"""The SLI over the time of the harm, as counts of disjoint intervals: what a postmortem draws and sums up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from opsloop.core.readings import Interval, Reading, Value
from opsloop.core.slo import budget

MOST_POINTS = 240
"""Of one curve: a column each of the widest screen's half, and 20 KiB in the stored postmortem."""
BEFORE = timedelta(minutes=10)  # least time before the onset that is shown, so that there is something to compare with
AFTER = timedelta(minutes=2)  # and after the resolution


class Point(BaseModel):
    """Counts of the interval that ends at `at`."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    bad: float
    total: float


class Curve(BaseModel):
    """Counts of bad and of all events of one objective, in intervals of `step` seconds; intervals without events are left out."""

    model_config = ConfigDict(frozen=True)

    slo: str  # name of the objective
    objective: float
    period: float  # seconds
    step: float
    since: datetime
    until: datetime
    points: tuple[Point, ...]
    usual: float | None = (
        None  # events per second of the period before, as far as it was measured; None: too little of it was
    )
    measured: float = 0.0  # share of that period

    @classmethod
    def of(
        cls, slo: str, objective: float, period: timedelta, step: timedelta, span: tuple[datetime, datetime],
        counted: Sequence[Interval], before: Reading | None = None,
    ) -> "Curve":  # fmt: skip
        """Of what was counted between the two times of `span`; the last MOST_POINTS intervals. `before`: the period up to then."""
        points = tuple(Point(at=i.end, bad=i.bad, total=i.total) for i in counted[-MOST_POINTS:])
        return cls(
            slo=slo, objective=objective, period=period.total_seconds(), step=step.total_seconds(),
            since=span[0], until=span[1], points=points, usual=budget.rate(before, period),
            measured=before.coverage if isinstance(before, Value) else 0.0,
        )  # fmt: skip

    def counts(self, start: datetime, end: datetime) -> tuple[float, float] | None:
        """(bad, all) events of the intervals that overlap with the time from start to end; None where none has events."""
        step = timedelta(seconds=self.step)
        within = [p for p in self.points if p.at > start and p.at - step < end]
        return (sum(p.bad for p in within), sum(p.total for p in within)) if within else None

    def covers(self, start: datetime, end: datetime) -> bool:
        """True where it was read over all of this time."""
        return self.since <= start and end <= self.until

    def budget_spent(self, bad: float) -> float | None:
        """The share of the period's error budget that so many bad events are; None without any event.

        budget = (1 − objective) × events per second × period: at the traffic of the period before where that was measured, else at
        that of the curve.
        """
        total = sum(p.total for p in self.points)
        rate = self.usual or (total / (len(self.points) * self.step) if total else None)
        return budget.share(bad, self.objective, rate, timedelta(seconds=self.period)) if rate else None


def span_to_read(onset: datetime, resolved: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """What a curve shows: the harm, a quarter of its time before it, but at least BEFORE, and AFTER its end as far as that is past."""
    end = min(now, resolved + AFTER) if resolved else now
    return onset - max(BEFORE, (end - onset) / 4), end
