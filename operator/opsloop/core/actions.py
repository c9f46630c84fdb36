"""Actions that a decision may contain: a closed union, each idempotent, each with its precondition on the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase, Load
from opsloop.api.incident import Incident, IncidentSpec
from opsloop.api.page import PageMessage
from opsloop.api.release import Release
from opsloop.api.reported import LinkedTicket
from opsloop.core.facts import Experience
from opsloop.core.http_route import Backends
from opsloop.core.http_rules import Extra
from opsloop.core.notify.routing import PAGER, Kind
from opsloop.core.reported import Alert, Answer, Correction, Looked, Moved, QueuedTicket, Taught, Ticket
from opsloop.names import CANARY

Asker = Literal["Incident", "Release"]
"""Kind of the object that an errand is for: a play of a Runbook is its Incident's, a check its Release's."""


@dataclass(frozen=True, slots=True)
class SetTemplate:
    """Replaces the whole pod template of the user's Deployment by JSON patch, if it still is `expect` (digest)."""

    deployment: str
    expect: str
    template: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class ScaleDeployment:
    """Sets the number of pods of the user's Deployment, if it still is `expect`. Nothing where it is `replicas` already."""

    deployment: str
    expect: int
    replicas: int
    digest: str  # what the write is known by


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Pauses or unpauses the user's guarded Deployment, if its template still is `expect` (digest of itself), by JSON patch.

    With a template, that is written in the same patch: nobody can come in between. `digest` is of the revision that the
    Deployment has afterwards. Unpausing has its pods replaced by that revision; pausing only lowers.
    """

    deployment: str
    expect: str
    paused: bool
    digest: str
    template: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DeleteReplicaSet:
    """Deletes a ReplicaSet, if it still is that very one as it was observed. Its pods stay, without an owner (`orphan`), or
    it has none."""

    name: str
    uid: str
    version: str
    orphan: bool = False


@dataclass(frozen=True, slots=True)
class DeletePods:
    """Deletes pods of the user's Deployment that have no owner any more; `pods` are their names and UIDs."""

    pods: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StartJob:
    """Creates the Job of a play or a check, once: a Job of that name stays as it is. What refuses it is a fact of the next look."""

    kind: Asker
    name: str  # of who asks for it
    errand: str  # what it is called among theirs
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EndJob:
    """Deletes the Job of a play or a check with its pod."""

    owner: str  # the Incident or Release
    name: str


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Calls an address once; what came of it is a fact of a later reconcile of this process, and of no other."""

    kind: Asker
    name: str  # of who asks for it
    errand: str  # what it is called among theirs
    url: str
    payload: Mapping[str, Any]
    key: str  # by which a receiver tells a repeat
    again: bool = False  # also where this process has called it before, and has an answer


@dataclass(frozen=True, slots=True)
class EnsureRevision:
    """Stores a pod template as a ControllerRevision; creates only.

    It has no owner: one that an Incident or EvalCase refers to must survive the Release, and an owner could not be removed
    later (the API server re-encodes `data` on a patch and refuses it as changed). `shell.reconcile.garbage` deletes it.
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
    replicas: int
    without: tuple[
        str, ...
    ] = ()  # labels of the template that its pods do not get, so that nothing of live's selects them
    labels: Mapping[str, str] = field(default_factory=dict)  # of one's own, in addition
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnsureWarm:
    """Server-side apply of the Deployment with pods of last-good that are kept warm, dark until `SetWarm` opens them."""

    release: str
    deployment: str
    digest: str
    template: Mapping[str, Any]
    replicas: int
    without: tuple[str, ...] = ()  # labels of the template that its pods do not get while they are dark


@dataclass(frozen=True, slots=True)
class DeleteWarm:
    """Deletes that Deployment with its pods."""

    release: str


@dataclass(frozen=True, slots=True)
class SetWarm:
    """Brings pods that are kept warm into traffic, or takes them out: gate and labels in one write. Taking out may be a safety
    action."""

    release: str
    pods: tuple[str, ...]
    open: bool
    labels: Mapping[str, str]  # by which live pods are found, and which a dark pod lacks
    reason: str


@dataclass(frozen=True, slots=True)
class EnsureCanaryService:
    """Server-side apply of the Service that selects canary pods alone, with labels and ports of the live pods' Service; or,
    with the other `key`, pods that are kept warm."""

    release: str
    name: str
    labels: Mapping[str, str]
    ports: tuple[Mapping[str, Any], ...]
    digest: str  # of the target that it is for; what the write is known by
    key: str = CANARY  # label by which it selects pods


@dataclass(frozen=True, slots=True)
class DeleteCanaryService:
    """Deletes that Service."""

    release: str
    name: str
    key: str = CANARY


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Moves the weights of an HTTPRoute's rules, or adds those of a step without a weight (`extra`), and changes nothing else of
    it, by JSON patch under its resourceVersion.

    0 without an extra puts it back as it was found, and waits for nothing: it may be a safety action. What raises has a
    precondition: the canary's share on the rules is still between `expect`.
    """

    release: str
    route: str
    backends: Backends
    weight: int  # percent
    expect: tuple[float, float] | None  # percent; None for a write that lowers
    digest: str  # of the target; what the write is known by
    extra: Extra | None = None


@dataclass(frozen=True, slots=True)
class DeleteCanary:
    """Deletes the canary Deployment with its pods."""

    release: str


@dataclass(frozen=True, slots=True)
class SetGates:
    """Opens or closes the readiness gate of these canary pods. Closing may be a safety action, ahead of the status.

    The labels come on in the write that opens, and go in the one that closes.
    """

    release: str
    pods: tuple[str, ...]
    open: bool
    reason: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarkPods:
    """Gives live pods labels and annotations of one's own (`on`), or takes them off: a JSON patch for each, by name, under the
    resourceVersion at which the pod was seen. A pod that changed meanwhile is looked at again."""

    release: str
    patches: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]
    on: bool
    digest: str  # of the target; what the write is known by


@dataclass(frozen=True, slots=True)
class RunEvals:
    """Sends the cases to canary pods and live pods in turn; the outcome is a fact of a later reconcile."""

    release: str
    digest: str
    step: int
    cases: tuple[EvalCase, ...]
    repeats: int
    canary_ips: tuple[str, ...]
    live_selector: Mapping[str, str]
    loaded: str = ""  # name of the pod at the first address, which gets what is sent under load


@dataclass(frozen=True, slots=True)
class AskLive:
    """Sends one case to live pods; the outcome is a fact of a later reconcile."""

    case: EvalCase
    digest: str  # of the live revision
    repeats: int  # where the case says nothing else
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Asks live pods the same once more, one request after the other, to see whether their answers agree."""

    case: EvalCase
    claim: tuple[object, ...]  # another one is asked anew
    times: int
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ForgetLive:
    """Drops what live pods answered to a case, once it is stored. `again`: what they answered to AskAgain instead."""

    case: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class StopEvals:
    """Ends an eval run that is under way."""

    release: str


@dataclass(frozen=True, slots=True)
class CreateIncident:
    """Creates only; a name that is taken is a Conflict, so that the next decision joins that Incident."""

    name: str
    spec: IncidentSpec
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeleteIncident:
    """Deletes that very Incident as it was observed, with what it owns: ledger and postmortem. A Conflict where it has changed."""

    name: str
    uid: str
    version: str


@dataclass(frozen=True, slots=True)
class FileToLedger:
    """Merge alerts and tickets into an Incident's ledger; filing twice is nothing. A stale ledger is a Conflict."""

    incident: str
    alerts: tuple[Alert, ...] = ()
    tickets: tuple[LinkedTicket, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)  # reason → number of alerts, for the log
    originals: tuple[Ticket, ...] = ()  # the tickets as they came
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class MoveAlerts:
    """Files alerts in the ledger of `target` and only then records in the ledgers that held them that they left.

    A crash in between leaves them in two ledgers, which the next decision sees; doing it again is nothing.
    """

    target: str
    alerts: tuple[Alert, ...] = ()
    came: tuple[Moved, ...] = ()  # records for the ledger of `target`
    left: Mapping[str, tuple[Moved, ...]] = field(default_factory=dict)  # Incident → records for its ledger


@dataclass(frozen=True, slots=True)
class StoreTicketQueue:
    """Replace the whole queue of tickets that are linked to no Incident. A stale queue is a Conflict."""

    queue: tuple[QueuedTicket, ...]


@dataclass(frozen=True, slots=True)
class TakeTickets:
    """Records in an Incident's ledger that people took tickets out of it, which lie elsewhere by now. Nothing where it was deleted."""

    incident: str
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class NoteLooked:
    """Remembers, in this process, which tickets were compared with which Incidents and found nothing."""

    looked: Looked


@dataclass(frozen=True, slots=True)
class StoreTaught:
    """Replace what people's corrections taught in the namespace, with the answers to them. A stale one is a Conflict."""

    taught: Taught


@dataclass(frozen=True, slots=True)
class TellAnswers:
    """Says what came of corrections: an Event each, and a count."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class StoreExperience:
    """Replace what the namespace has learnt of its alert rules. Where it is stale, or refused, it is learnt again later."""

    experience: Experience


@dataclass(frozen=True, slots=True)
class DeleteInboxEntries:
    """Delete inbox ConfigMaps (name → uid) whose content is filed."""

    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class About:
    """What a message says beside its own words. `service` and `team` are those of the Incident that has the alert opened."""

    kind: Kind = "Incident"
    service: str = ""
    team: str = ""
    runbook: str = ""  # the one that acts, or acted last
    opened_by: str = ""  # the Incident whose alert this goes on with; "" = itself
    opened_for: str = ""  # and its service
    opened_team: str = ""  # and its team
    since: datetime | None = None  # the first call of the alert
    called: tuple[str, ...] = ()  # severities of the calls of the alert until now, the present one last


@dataclass(frozen=True, slots=True)
class SendPage:
    """Delivers one message to these receivers, to each after those before it, until it has it or the message is withdrawn.

    `thread` is the key of the Incident's (or Release's) own thread; with the message's number a receiver drops repeats by it.
    `alert` is the key of the alert there that it goes on with; "" = its own.
    """

    incident: str  # name of the Incident, or of the Release that tells something
    title: str
    thread: str
    message: PageMessage
    details: Mapping[str, str]
    alert: str = ""
    receivers: tuple[str, ...] = (PAGER,)
    about: About = About()


@dataclass(frozen=True, slots=True)
class KeepPage:
    """Sends what was taken again and again, at receivers that would let the alert end; until the thread is resolved."""

    page: SendPage


@dataclass(frozen=True, slots=True)
class WithdrawPage:
    """Stops the delivery of one message to these receivers; what is on the wire already may still arrive."""

    thread: str
    number: int
    receivers: tuple[str, ...] = (PAGER,)


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
    """Creates only, without an owner: a case survives its Incident."""

    name: str
    spec: Mapping[str, Any]  # EvalCaseSpec dump
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartQuarantine:
    """Creates a quarantined pod of a stored template: no Service selects it, nothing scrapes it, nothing owns it."""

    case: str
    release: str
    digest: str
    pod: str
    template: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeQuarantine:
    """Sends one request to a quarantined pod; the reply is a fact of a later reconcile."""

    case: str
    digest: str
    pod_ip: str
    request: EvalRequest
    expect: EvalExpect
    release: str
    repeats: int = 1  # answers that the verdict rests on; a proof has three at least
    min_share: float = 1.0
    load: Load | None = None  # the rate at which it is sent instead
    pod: str = ""  # its name, by which it is watched under load


@dataclass(frozen=True, slots=True)
class SampleRequests:
    """Asks live pods for the requests that they recorded; what they tell is a fact of a later reconcile."""

    incident: str
    release: str
    request: EvalRequest
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoreRequests:
    """Creates the ConfigMap, owned by the Incident, with the requests that were taken. One that is there stays."""

    name: str
    text: str  # one JSON object a line


@dataclass(frozen=True, slots=True)
class CompareQuarantine:
    """Asks quarantined pods of a bad and of a good revision the same; what differs is a fact of a later reconcile."""

    incident: str
    subject: str  # what the pods are labelled with
    release: str
    attempt: int
    requests: tuple[EvalRequest, ...]
    cases: tuple[EvalCase, ...]  # that people wrote: each is asked before any recorded request
    good: tuple[tuple[str, str], ...]  # (pod, IP)
    bad: tuple[str, str]
    live_selector: Mapping[str, str]  # of live pods where they are of the good revision; else empty
    good_words: tuple[str, ...]  # by which an answer may name the revision that gave it
    bad_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopQuarantine:
    """Deletes quarantined pods; with `forget`, drops the answers of this case's pods as well."""

    case: str
    pods: tuple[str, ...]
    forget: bool = True


Action = (
    SetTemplate | EnsureCanaryService | DeleteCanaryService | SetRoute | ScaleDeployment | StartJob | EndJob | CallWebhook | SetPaused | DeleteReplicaSet | DeletePods | EnsureRevision | EnsureCanary | DeleteCanary | EnsureWarm | DeleteWarm | SetWarm | SetGates | MarkPods | RunEvals | AskLive | AskAgain | ForgetLive | StopEvals | CreateIncident | DeleteIncident
    | FileToLedger | MoveAlerts | StoreTicketQueue | TakeTickets | NoteLooked | StoreTaught | TellAnswers | StoreExperience | DeleteInboxEntries | SendPage | KeepPage | WithdrawPage
    | StorePostmortem | CreateEvalCase | StartQuarantine | ProbeQuarantine | SampleRequests | StoreRequests | CompareQuarantine | StopQuarantine
)  # fmt: skip
