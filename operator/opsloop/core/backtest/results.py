"""What a backtest found: for each objective that was tried its pages, and of the SLI how good it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.backtest.deploys import Deploy, Deploys
from opsloop.core.backtest.rollouts import Rollout
from opsloop.core.incident import thread
from opsloop.core.postmortem.curve import Curve
from opsloop.core.readings import Remark, Unknown, Value, Verdict
from opsloop.core.slo.burn_rate import NOT_READ, fastest_of

MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Blamed:
    """The version that the Incident would have been rolled back from, when that was decided, and to which one."""

    at: datetime
    version: str
    to: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Episode:
    """One Incident of the past: when it was open, when people were called, and what was blamed.

    `spans`: (opened, resolved) each time that it was open; the last one has no end where it still is.
    """

    name: str
    severity: str
    title: str
    spans: tuple[tuple[datetime, datetime | None], ...]
    calls: tuple[datetime, ...]
    cause: str = ""
    rollback: Blamed | None = None

    @property
    def pages(self) -> bool:
        """True where somebody was called."""
        return bool(self.calls)

    def open_for(self, until: datetime) -> timedelta:
        """How long it was open by then."""
        return sum(((end or until) - begin for begin, end in self.spans), timedelta(0))


def episode_of(
    incident: Incident, spans: Sequence[tuple[datetime, datetime | None]], rollback: Blamed | None
) -> Episode:
    """An Incident as it was decided at the end of the history."""
    status = incident.status
    calls = [m.decided_at for m in thread.messages_of(status.page) if m.action == "trigger"]
    cause = ""
    if status.cause is not None and status.cause.kind != "unknown":
        what = status.cause.version or status.cause.object or status.cause.release
        cause = f"{status.cause.kind} {what} ({status.cause.confidence:.2f})"
    return Episode(
        incident.metadata.name, status.severity, status.title or incident.spec.title, tuple(spans), tuple(calls),
        cause, rollback,
    )  # fmt: skip


@dataclass(slots=True)
class Sight:
    """How much of the history the SLI could be judged in, look by look of `step`."""

    step: timedelta
    looks: int = 0
    covered: float = 0.0  # looks' sum of the coverage of the shortest window
    unknown: Counter[str] = field(default_factory=Counter)  # reason → looks
    remarks: dict[str, tuple[Remark, int]] = field(default_factory=dict)  # reason → the last one, looks
    detail: dict[str, str] = field(default_factory=dict)  # reason of an unknown reading → its detail
    blind: timedelta = timedelta(0)  # longest stretch without a reading of the shortest window
    _since: datetime | None = None

    def saw(self, at: datetime, verdict: Verdict | None, remarks: Sequence[Remark]) -> None:
        """One more look at an objective."""
        self.looks += 1
        one = fastest_of(verdict.tiers) if verdict else None
        reading = one.short if one is not None else Unknown(NOT_READ)
        if isinstance(reading, Value):
            self.covered += reading.coverage
            self._since = None
        else:
            self.unknown[reading.reason] += 1
            self.detail[reading.reason] = reading.detail
            self._since = self._since or at
            self.blind = max(self.blind, at - self._since + self.step)
        for remark in remarks:
            self.remarks[remark.reason] = remark, self.remarks.get(remark.reason, (remark, 0))[1] + 1

    @property
    def coverage(self) -> float:
        """Share of the time for which there are data and events."""
        return self.covered / self.looks if self.looks else 0.0


@dataclass(frozen=True, slots=True)
class Each:
    """One of the objectives of a Release. `spent`: share of the period's error budget; None without any event."""

    name: str
    objective: float
    sight: Sight
    spent: float | None
    error_ratio: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """The Release with this first objective: what it would have paged for, and which deploys it would have stopped.

    `each`: the first objective, and the further ones as they are.
    """

    objective: float
    episodes: tuple[Episode, ...]
    each: tuple[Each, ...]
    rollouts: tuple[tuple[Deploy, Rollout], ...] = ()
    dropped: tuple[str, ...] = ()  # tiers that it cannot reach

    @property
    def paged(self) -> tuple[Episode, ...]:
        """Those that called somebody."""
        return tuple(one for one in self.episodes if one.pages)

    def calls_a_month(self, span: timedelta) -> float:
        """Calls to a person in 30 days, at the rate of the history."""
        return sum(len(one.calls) for one in self.episodes) * (MONTH / span)


@dataclass(frozen=True, slots=True)
class Part:
    """One selector of the SLI. `series`: the most that it matched at once; `guilty` says what to mend where it never did."""

    field: str
    selector: str
    series: int
    share: float  # of the time
    guilty: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """Of the SLI itself."""

    parts: tuple[Part, ...]
    pods: str  # how its series name pods
    told: str  # whether it tells versions apart
    apart: bool | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events per second over the last day, pods, and seconds that the canary's first step needs and has."""

    rate: float | None
    pods: int
    needs: float
    has: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """All of it."""

    release: str
    namespace: str
    since: datetime
    until: datetime
    step: timedelta
    tried: tuple[Tried, ...]
    deploys: Deploys
    curves: Mapping[str, Curve]  # by name of the objective
    quality: Quality
    traffic: Traffic
    queries: int
    runbook: str  # on which rollbacks rest
    notes: tuple[str, ...] = ()

    @property
    def span(self) -> timedelta:
        """Length of the history."""
        return self.until - self.since
