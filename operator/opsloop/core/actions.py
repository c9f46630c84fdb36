"""What a decision may ask for: a closed union of effects, each idempotent, each with its precondition on the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsloop.api.evalcase import EvalCase, EvalExpect, EvalRequest
from opsloop.api.incident import Incident, IncidentSpec, LinkedTicket, Page
from opsloop.api.release import Release
from opsloop.core.facts import Alert, QueuedTicket


@dataclass(frozen=True, slots=True)
class SetTemplate:
    """Replace the user's Deployment's whole pod template by JSON patch, if it still is `expect` (digest)."""

    deployment: str
    expect: str
    template: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class EnsureRevision:
    """Store a pod template as a ControllerRevision (create only).

    Without an owner: what an Incident or EvalCase names must survive the Release, and an owner could not be taken away
    later (the API server re-encodes `data` on a patch and then calls it changed). The shell removes what nobody names.
    """

    release: str
    digest: str
    number: int
    template: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EnsureCanary:
    """Server-side apply of the canary Deployment at `replicas`, its pods dark until their gate is opened."""

    release: str
    deployment: str
    digest: str
    template: Mapping[str, Any]
    selector: Mapping[str, str]
    replicas: int


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Delete the canary Deployment with its pods."""

    release: str


@dataclass(frozen=True, slots=True)
class SetGates:
    """Open or close the readiness gate of these canary pods. Closing is safety and needs no record."""

    release: str
    pods: tuple[str, ...]
    open: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RunEvals:
    """Ask the cases of canary pods and live pods, interleaved; the outcome comes back as a fact."""

    release: str
    digest: str
    step: int
    cases: tuple[EvalCase, ...]
    repeats: int
    canary_ips: tuple[str, ...]
    live_selector: Mapping[str, str]
    live_digest: str


@dataclass(frozen=True, slots=True)
class CreateIncident:
    """Create (only); AlreadyExists is a Conflict: observe again and join."""

    name: str
    spec: IncidentSpec
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileToLedger:
    """Merge alerts and tickets into an Incident's ledger; filing twice is nothing. A stale ledger is a Conflict."""

    incident: str
    alerts: tuple[Alert, ...] = ()
    tickets: tuple[LinkedTicket, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)  # reason → number of alerts, for the log


@dataclass(frozen=True, slots=True)
class StoreTicketQueue:
    """Replace the whole queue of tickets that are linked to no Incident. A stale queue is a Conflict."""

    queue: tuple[QueuedTicket, ...]


@dataclass(frozen=True, slots=True)
class DeleteInboxEntries:
    """Delete inbox ConfigMaps (name → uid) whose content is filed."""

    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SendPage:
    """Call the pager with a key by which it folds repeats."""

    incident: str
    title: str
    page: Page
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StorePostmortem:
    """Render the postmortem of these and apply it as the Incident's ConfigMap `name`, with the digest of its subject."""

    name: str
    digest: str
    incident: Incident
    release: Release | None
    case: EvalCase | None


@dataclass(frozen=True, slots=True)
class CreateEvalCase:
    """Create (only), without an owner: retention must not erase memory."""

    name: str
    spec: Mapping[str, Any]  # EvalCaseSpec dump
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartQuarantine:
    """Create a quarantined pod of a stored template: no Service selects it, nothing scrapes it, nothing owns it."""

    case: str
    release: str
    digest: str
    pod: str
    template: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeQuarantine:
    """Ask one quarantined pod; the reply comes back as a fact."""

    case: str
    digest: str
    pod_ip: str
    request: EvalRequest
    expect: EvalExpect


@dataclass(frozen=True, slots=True)
class StopQuarantine:
    """Delete quarantined pods; with `forget`, what this case's pods have answered is forgotten as well."""

    case: str
    pods: tuple[str, ...]
    forget: bool = True


Action = (
    SetTemplate | EnsureRevision | EnsureCanary | DeleteCanary | SetGates | RunEvals | CreateIncident | FileToLedger
    | StoreTicketQueue | DeleteInboxEntries | SendPage
    | StorePostmortem | CreateEvalCase | StartQuarantine | ProbeQuarantine | StopQuarantine
)  # fmt: skip
