"""The evidence of one shift: each piece, or why it is missing.

Nothing here is a claim of opsloop about itself. The Incident, the Releases and the EvalCase only point: at names,
digests and times. Every number comes from where it happened (Prometheus, Alertmanager, the pager's receiver, ReplicaSets,
pods asked again).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.reported import TicketExample
from opsloop.api.slo import Tier
from opsloop.core.alerts import pages
from opsloop.core.reported import Ledger

LEAD = timedelta(seconds=30)  # looked at before the onset: an alert or a page may be a scrape earlier than the SLI


@dataclass(frozen=True, slots=True)
class Missing:
    """Evidence that could not be gathered; a row that needs it is inconclusive, never passed."""

    why: str


@dataclass(frozen=True, slots=True)
class FiredAlert:
    """One distinct alert (label set) that fired."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SliPoint:
    """Events over a window that ends at `at`."""

    at: datetime
    bad: float
    total: float

    @property
    def ratio(self) -> float | None:
        """Bad share of the events; None where there were none."""
        return self.bad / self.total if self.total > 0 else None


@dataclass(frozen=True, slots=True)
class OtherObjective:
    """Another objective of the root than the one that the Incident is about: all its events since the recovery."""

    name: str
    budget: float
    since: SliPoint


@dataclass(frozen=True, slots=True)
class SliSeries:
    """The SLI over one window, instant by instant (`step` seconds apart), and the query that gave it."""

    window: timedelta
    step: float
    points: tuple[SliPoint, ...]
    source: str


@dataclass(frozen=True, slots=True)
class TierBurn:
    """Both windows of one tier around an instant: the detection, or when it became as severe as it is."""

    tier: Tier
    long: SliSeries
    short: SliSeries
    at: datetime


@dataclass(frozen=True, slots=True)
class PageSeen:
    """One message as its receiver has it; a page is a `trigger`. `source` is whoever says so; `is_open`: it still fires there."""

    dedup_key: str
    incident: str
    severity: str
    received_at: datetime
    action: str = "trigger"
    source: str = "GET /pages of the receiver"
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaSetSeen:
    """A ReplicaSet of the workload; the digest is of its template without what the Deployment controller added."""

    name: str
    digest: str
    created_at: datetime
    wanted: int
    ready: int


@dataclass(frozen=True, slots=True)
class WorkloadSeen:
    """The Deployment as it is now."""

    name: str
    digest: str
    wanted: int
    ready: int
    replica_sets: tuple[ReplicaSetSeen, ...]


@dataclass(frozen=True, slots=True)
class CaseRun:
    """The EvalCase asked of one pod, now."""

    digest: str
    passed: bool
    message: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """The EvalCase asked again: of quarantined pods of the bad and the good revision."""

    bad: CaseRun | Missing
    good: CaseRun | Missing


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """The EvalCase asked of one live pod."""

    pod: str
    passed: bool
    message: str


@dataclass(frozen=True, slots=True)
class SentTicket:
    """A ticket that was sent (file of --tickets); `expect_link` None = the file does not say."""

    id: str
    subject: str
    expect_link: bool | None = None
    example: TicketExample | None = None


@dataclass(frozen=True, slots=True)
class Filings:
    """Ledgers by Incident, the tickets in the queue, and the number of inbox entries that are not filed yet.

    A ticket is known by its id and by its subject.
    """

    ledgers: Mapping[str, Ledger]
    queue: tuple[SentTicket, ...] = ()
    inbox: int = 0


@dataclass(frozen=True, slots=True)
class Served:
    """Requests that a rejected version served during the shift."""

    version: str
    requests: float | Missing
    source: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `opsloop gate`."""

    min_alerts: int = 1
    severity: Literal["sev1", "sev2"] = "sev1"  # that the Incident must have been paged with
    tick: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ShiftEvidence:
    """Everything about one shift. `incident` None: the namespace has none. `case` None: there is no EvalCase.

    `rules` are the alerting rules that Prometheus has now, by name; `refused` requests with tickets that the intake refused in
    the shift, by HTTP status. Both only explain a failure.
    """

    now: datetime
    namespace: str
    incident: Incident | Missing | None
    incidents: tuple[Incident, ...] | Missing
    releases: tuple[Release, ...] | Missing
    alerts: tuple[FiredAlert, ...] | Missing
    active_alerts: tuple[FiredAlert, ...] | Missing
    rules: tuple[str, ...] | Missing
    filings: Filings | Missing
    sent: tuple[SentTicket, ...] | None
    burns: tuple[TierBurn, ...] | Missing
    pages: tuple[PageSeen, ...] | Missing
    sli: SliSeries | Missing
    since_mitigated: SliPoint | Missing
    workload: WorkloadSeen | Missing
    case: EvalCase | Missing | None
    replay: Replay | Missing
    live: tuple[LiveAnswer, ...] | Missing
    served: tuple[Served, ...] = ()
    others: tuple[OtherObjective, ...] | Missing = ()
    refused: Mapping[str, float] | Missing = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    def filed_on(self, incident: str) -> Ledger:
        """The joined ledger of this Incident and of those merged into it; empty where nothing is known."""
        if isinstance(self.filings, Missing):
            return Ledger()
        others = () if isinstance(self.incidents, Missing) else self.incidents
        names = [incident, *(i.metadata.name for i in others if i.status.merged_into == incident)]
        own, *merged = [self.filings.ledgers.get(n, Ledger()) for n in names]
        return pages.join(own, merged)


def instants_of(incident: Incident, severity: str) -> list[datetime]:
    """When the burn was detected, and when a call with this severity was decided first, if that was later."""
    status = incident.status
    calls = [m for m in status.page.messages if m.action == "trigger" and m.severity == severity] if status.page else []
    found = [status.detected_at, min((m.decided_at for m in calls), default=None)]
    return list(dict.fromkeys(at for at in found if at is not None))


def shift_of(incident: Incident, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the episode: from shortly before the onset until it was resolved (or now)."""
    status = incident.status
    began = [t for t in (status.onset_at, status.detected_at, incident.spec.signal.at) if t]
    return min(began) - LEAD, status.resolved_at or now
