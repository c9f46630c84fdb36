"""What a report is made of: stored objects, and what Prometheus said of the budgets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a report is about."""

    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        """True for a time within it; both ends count."""
        return at is not None and self.since <= at <= self.until

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of one objective. `bad` and `total`: events within the window. `spent`: their share of a whole period's budget.

    None is unknown, `why` says why.
    """

    namespace: str
    release: str
    slo: str
    objective: float
    period: timedelta
    bad: float | None = None
    total: float | None = None
    spent: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Objects of one namespace or of many. `unread`: what could not be read, a sentence each."""

    window: Window
    incidents: tuple[Incident, ...] = ()
    releases: tuple[Release, ...] = ()
    cases: tuple[EvalCase, ...] = ()
    budgets: tuple[Budget, ...] = ()
    unread: tuple[str, ...] = ()
