"""Facts: observed state as plain data, the only input of a decision besides `now`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.api.target import CaseResult
from opsloop.core.alert_rules import NO_RULES, AlertRules
from opsloop.core.notify.routing import Routing
from opsloop.core.readings import Readings
from opsloop.core.reported import Alert, Asked, HouseWords, InboxEntry, Ledger, Looked, QueuedTicket, Taught, Ticket
from opsloop.core.stop import Stop
from opsloop.names import FIELD_MANAGER


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What Kubernetes says of the rollout of a Deployment's present template."""

    observed: bool = True  # the Deployment's controller has seen the template
    replaced: bool = True  # all pods have it, none of an older template is left
    percent: int = 100  # share of pods that have it
    completed: bool = False  # Kubernetes saw the rollout complete once (pods may have become unavailable since)
    serves: bool = True  # a pod of it is available
    paused: bool = False
    failure: str = ""  # why pods are not created: quota, admission
    trouble: str = (
        ""  # what keeps the first pod that does not start, in its own words; read while a rollout is waited for
    )
    unscheduled: str = ""  # why a pod of it fits no node; read while a rollout is waited for, or pods are kept warm
    stalled: str = ""  # Progressing is False: no progress within the deadline
    stalled_at: datetime | None = None
    progressed_at: datetime | None = None
    deadline: timedelta = timedelta(seconds=600)  # the Deployment's progressDeadlineSeconds


@dataclass(frozen=True, slots=True)
class SetFacts:
    """A ReplicaSet of the user's Deployment; `template` is as the Deployment has it, without the label of the controller."""

    name: str
    uid: str
    version: str  # resourceVersion
    template: Mapping[str, Any]
    digest: str  # of the revision
    pods: int  # wanted or present, whichever is more
    created_at: datetime
    ready: int = 0
    available: int = 0
    revision: int = 0  # of the Deployment: the highest is that of the template which was rolled out last
    hash: str = ""  # pod-template-hash


@dataclass(frozen=True, slots=True)
class OrphanFacts:
    """A pod whose ReplicaSet opsloop deleted without it; it serves until it is deleted as well."""

    name: str
    uid: str
    ready: bool


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """A guarded Deployment as it is written, beside what its ReplicaSets run: paused, no pod has a new template."""

    template: Mapping[str, Any]  # as it is written, which somebody asks for
    digest: str  # of its revision
    own_digest: str  # of itself
    paused: bool = False
    paused_by: str = ""  # field manager that paused it
    sets: tuple[SetFacts, ...] = ()  # oldest first
    generation: int = 0  # of the Deployment: every write of its spec is another one
    orphans: tuple[OrphanFacts, ...] = ()  # of the ReplicaSets in status.guard.orphaned that are gone
    may_lack: int = 0  # pods that may be unavailable in a rollout, by the Deployment's strategy

    @property
    def ours(self) -> bool:
        """Paused, and by opsloop."""
        return self.paused and self.paused_by == FIELD_MANAGER

    @property
    def with_pods(self) -> tuple[SetFacts, ...]:
        """The ReplicaSets that have pods, or are about to."""
        return tuple(one for one in self.sets if one.pods)


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """The user's Deployment as the API server returned it; of one that opsloop keeps paused, all but `guard` is of what runs."""

    name: str
    uid: str
    template: dict[str, Any]
    digest: str
    replicas: int
    selector: Mapping[str, str]
    settled: bool  # rolled out: observed, no pod of an older template left, as many available as its strategy demands
    available: int  # pods that are available, of whatever template: ready for minReadySeconds
    manager: str = ""  # field manager that last wrote the template
    written_at: datetime | None = None
    below_minimum: bool = False  # the Deployment's own condition Available is False: fewer than its strategy allows
    ready: int | None = None  # ready pods; None: as many as wanted
    min_ready: timedelta = timedelta(0)  # time for which a pod must be ready to count as available
    strategy: str = "RollingUpdate"
    rollout: RolloutState = field(default_factory=RolloutState)
    stored_as: str = ""  # digest of the template itself, where `digest` is of the revision that it spells otherwise
    guard: GuardFacts | None = None  # where the Release guards it, or opsloop still has it paused
    scaler: str = ""  # what sets its number of pods by the scale subresource, such as an autoscaler
    selector_keys: frozenset[str] = frozenset()  # labels that its selector asks for, by whatever operator

    @property
    def serving(self) -> int:
        """Live pods that take traffic and that are to stay."""
        return self.replicas if self.ready is None else min(self.ready, self.replicas)

    @property
    def own_digest(self) -> str:
        """Digest of the template as it is stored."""
        return self.stored_as or self.digest


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A canary (or quarantined) pod."""

    name: str
    digest: str  # of the revision it was started from (label opsloop.dev/revision)
    ip: str
    containers_ready: bool
    in_traffic: bool  # its readiness gate is open
    ready: bool
    failing: str = ""  # e.g. CrashLoopBackOff, ImagePullBackOff; of an init container as well
    deleting: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False  # Failed (evicted) or Succeeded: it stays in the list and serves nobody
    unschedulable: str = ""  # why no node takes it
    ready_since: datetime | None = None  # since when its containers are ready (or are not)
    own_ports: frozenset[int] | None = None  # those of its address that are its own; None: all
    closed_by_hand: bool = False  # somebody other than opsloop closed its readiness gate


@dataclass(frozen=True, slots=True)
class LivePod:
    """A pod of the user's Deployment, as far as labels of one's own go."""

    name: str
    version: str  # resourceVersion
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CanaryFacts:
    """A Deployment that opsloop owns: the canary, or the pods that are kept warm."""

    digest: str
    replicas: int
    pods: tuple[PodFacts, ...] = ()
    failure: str = ""  # why its pods are not created: quota, admission
    images: Mapping[str, str] = field(default_factory=dict)  # as the API server stored them
    labels: Mapping[str, str] = field(default_factory=dict)  # of its template
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused a write of opsloop's: what it said, and when the same write is worth another try."""

    write: Literal["canary", "warm", "template", "scale", "route", "service", "warm-service", "pods"]
    digest: str
    message: str
    again_at: datetime


@dataclass(frozen=True, slots=True)
class AdmissionAnswer:
    """The API server's answer to what it would store, asked twice by dry runs of one template on the user's Deployment.

    Without a template it did not answer: `reason` is a constant of `core.release.admission`, `message` its words.
    """

    template: Mapping[str, Any] | None = None
    unstable: tuple[str, ...] = ()  # JSON pointers to what differed between both answers
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class TemplateWrite:
    """The last template that this process wrote to the user's Deployment: digests of what was decided and of what was stored."""

    decided: str
    stored: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EvalOutcome:
    """Results of a finished eval run of one canary digest at one step."""

    digest: str
    step: int
    results: tuple[CaseResult, ...]


@dataclass(frozen=True, slots=True)
class LiveOutcome:
    """What live pods answered to one case. `claim`: what was claimed by asking (core.evalcase.live)."""

    claim: tuple[object, ...]
    asked: int
    passed: int
    answered: int
    message: str = ""  # the first difference, else why there is no answer
    reason: str = ""  # why there is no answer


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A Release of the namespace, as far as the others look at it."""

    name: str
    workload: str  # its Deployment
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget that selects the Deployment's pods; one of the two numbers is set: a count, or a percentage."""

    name: str
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    shared: bool = False  # it is for pods of other Deployments as well


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the Deployment and sees its pods."""

    selectors: tuple[
        Mapping[str, Any], ...
    ] = ()  # LabelSelectors of the Services and PodDisruptionBudgets that fit live pods
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # all of the namespace, as they are stored
    unready: tuple[str, ...] = ()  # Services that send requests to pods which are not ready, and would to a dark canary
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """An HTTPRoute that the spec or the status names, as the API server has it; None where it is not there or cannot be read."""

    name: str
    stored: Mapping[str, Any] | None = None
    reason: str = ""  # why it is not known: a constant of core.release.routing
    message: str = ""
    features: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """Gateway → what its class says that it can do; read where a step mirrors. None: it cannot be read."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Outcome of a message at one receiver, as far as this process saw it: taken at a time with an answer, or the last failure."""

    sent_at: datetime | None
    failure: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is known of a webhook's call, or of a Job."""

    state: Literal["Going", "Done", "Failed", "Refused"]
    message: str = ""
    at: datetime | None = None  # of its end
    tail: str = ""  # the end of the Job's log
    reason: str = ""  # of a refusal
    code: int | None = None  # the status that was answered, or the code with which the Job's container itself ended


@dataclass(frozen=True, slots=True)
class Address:
    """What the administrator lets Runbooks call: all URLs that begin so, from these namespaces (none: from all)."""

    url: str
    namespaces: tuple[str, ...] = ()
    internal: bool = False  # it may have a private address, for example that of a Service


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What is known of a Release's checks; rights are asked for only where one is due."""

    errands: Mapping[str, Errand] = field(default_factory=dict)  # of those that run, by name
    addresses: tuple[Address, ...] = ()  # that may be called
    allowed: Mapping[str, bool] = field(default_factory=dict)  # by plural of the right, for the Release's account
    account_exists: bool | None = None  # None: not known
    runs_jobs: bool = True  # opsloop itself may create Jobs


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """For `core.release.decide.decide`."""

    release: Release
    workload: WorkloadFacts | None
    canary: CanaryFacts | None
    templates: Mapping[str, dict[str, Any]]  # digest → stored template (ControllerRevisions of this Release)
    incidents: tuple[Incident, ...]  # whose root is this Release
    readings: Readings
    cases: tuple[EvalCase, ...]  # selected by the Release
    eval_outcome: EvalOutcome | None
    refusals: tuple[Refusal, ...] = ()
    replica_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by digest, where pods tell them
    addresses: Mapping[str, tuple[str, ...]] | None = None  # of living pods by digest; None where none are needed
    answers: Mapping[str, AdmissionAnswer] = field(default_factory=dict)  # by digest of what was asked
    written: TemplateWrite | None = None
    neighbours: tuple[Neighbour, ...] = ()  # all Releases of the namespace
    claims: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # PersistentVolumeClaim of live pods → access modes
    beside: Beside | None = None  # None: it may not be read
    routes: Mapping[str, RouteFacts] = field(
        default_factory=dict
    )  # by name: the spec's, and those whose weights were moved
    warm: CanaryFacts | None = None  # the Deployment with pods of last-good that are kept warm
    deliveries: Mapping[int, Mapping[str, Delivery]] = field(
        default_factory=dict
    )  # of notices, as of an Incident's messages
    routing: Routing = field(default_factory=Routing)
    stop: Stop | None = None  # in effect for the namespace
    freezing: tuple[Incident, ...] = ()  # open Incidents of the namespace that froze something
    checks: CheckFacts = field(default_factory=CheckFacts)
    live_pods: tuple[LivePod, ...] | None = None  # listed while they may have labels of one's own; None: not known
    live_pods_due: timedelta | None = None  # until they are listed anew, where their Deployment has changed since


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """A write of an object that pods use, or of the number of pods."""

    kind: Literal["config", "scaling"]
    what: str  # "ConfigMap settings", "Deployment answers scaled from 4 to 2 pods"
    at: datetime
    manager: str = ""  # the field manager that made it; empty where the object does not say
    fewer: bool = False  # of scaling: pods were taken away


@dataclass(frozen=True, slots=True)
class ObjectChanges:
    """Changes beside the template, as they were read for an Incident."""

    found: tuple[ObjectChange, ...] = ()
    unseen: tuple[str, ...] = ()  # what pods use and could not be read, each with the reason


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One Release with its readings, for the Incident and correlation decisions."""

    release: Release
    readings: Readings
    changed_at: datetime | None = None  # when the live revision became live
    objects: ObjectChanges = ObjectChanges()  # of an Incident's root only


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """Last write of one field, as managedFields note it."""

    manager: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Deployed:
    """The root's Deployment, as far as a play has to know it."""

    name: str
    replicas: int
    scaler: str = (
        ""  # what sets its number of pods by the scale subresource, such as an autoscaler; empty where nothing does
    )
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of asking a bad and a good revision the same, in one attempt."""

    attempt: int
    failing: str = ""  # EvalCase of a person that fails on the bad revision and passes on the good one
    request: EvalRequest | None = None  # the recorded request whose answers differ most tellingly
    expect: EvalExpect | None = None  # what the good revision's answers have and the bad one's have not
    text: str = ""
    left_out: tuple[str, ...] = ()  # parts that vary among answers of one revision


@dataclass(frozen=True, slots=True)
class Taken:
    """Requests that live pods told of, without credentials."""

    text: str = ""  # one JSON object a line
    requests: int = 0
    bad: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonFacts:
    """For `core.incident.comparison`; gathered only where an Incident has no case that can be proven."""

    requests: tuple[EvalRequest, ...] = ()
    failed: tuple[EvalRequest, ...] = ()  # of these: the service recorded that it answered 500 or more
    remark: str = ""  # what was recorded, or why nothing can be asked
    cases: tuple[EvalCase, ...] = ()  # that people wrote
    templates: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    pods: tuple[PodFacts, ...] = ()
    service_selectors: tuple[Mapping[str, str], ...] = ()
    outcome: Compared | None = None


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """For `core.incident.decide.decide`."""

    incident: Incident
    root: ReleaseView | None
    releases: tuple[ReleaseView, ...]  # all of the namespace
    incidents: tuple[Incident, ...]  # all of the namespace
    runbooks: tuple[Runbook, ...]
    eval_cases: tuple[EvalCase, ...]  # of the root release
    ledger: Ledger
    postmortem: str | None  # digest of the subject of the stored postmortem; None where none is stored
    deliveries: Mapping[int, Mapping[str, Delivery]] = field(default_factory=dict)
    """By number of the message and name of the receiver; only what was tried."""
    routing: Routing = field(default_factory=Routing)
    stop: Stop | None = None
    heard_since: datetime | None = None  # alerts of which nobody spoke since then are stale; None: nobody can say
    writes: Mapping[str, FieldWrite] = field(default_factory=dict)  # of people, by field of the spec: assignee, notes
    stored_at: datetime | None = None  # when this process stored its status last; None: it did not, or long ago
    busy: int = 0  # Incidents of all namespaces that got alerts lately
    deployed: Deployed | None = None  # the root's Deployment
    errand: Errand | None = None  # of the play that runs; None: there is none, or this process knows of none
    addresses: tuple[Address, ...] = ()  # that Runbooks may call
    comparison: ComparisonFacts | None = None  # None: not wanted
    taken: Taken | None = None  # what live pods told of the requests that they recorded; None: nothing yet


@dataclass(frozen=True, slots=True)
class Experience:
    """What past Incidents taught of alert rules (`core.correlation.experience`)."""

    past: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Rule → seconds by which its alerts were later than expected, one number per past Incident."""
    until: datetime | None = None  # when the last Incident ended that taught something


@dataclass(frozen=True, slots=True)
class CorrelationFacts:
    """For `core.correlation.decide.decide`: one namespace."""

    namespace: str
    releases: tuple[ReleaseView, ...] = ()
    incidents: tuple[Incident, ...] = ()  # all of the namespace
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)  # of open, lately resolved and still firing Incidents
    owners: Mapping[str, str] = field(default_factory=dict)  # Service or workload → Release
    inbox: tuple[InboxEntry, ...] = ()
    queue: tuple[QueuedTicket, ...] = ()  # tickets that wait unlinked
    since: datetime | None = None  # when this process began to look; readings are younger than that
    heard_since: datetime | None = None  # as in IncidentFacts
    rules: AlertRules = NO_RULES
    experience: Experience = field(default_factory=Experience)
    house: HouseWords = field(default_factory=HouseWords)
    taught: Taught = field(default_factory=Taught)
    looked: Looked = field(default_factory=Looked)  # of the last look of this process
    written: Mapping[str, datetime] = field(
        default_factory=dict
    )  # Incident → when this process wrote its ledger last, of late
    busy: int = 0  # Incidents of all namespaces that get alerts now
    crowded: bool = False  # there is more in the inbox than one look takes
    further: Mapping[str, Ledger] = field(
        default_factory=dict
    )  # of Incidents that are over, where a correction is on their tickets

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All alerts in the inbox."""
        return tuple(alert for entry in self.inbox for alert in entry.alerts)

    @property
    def tickets(self) -> tuple[Ticket, ...]:
        """All tickets in the inbox."""
        return tuple(ticket for entry in self.inbox for ticket in entry.tickets)

    @property
    def asked(self) -> tuple[Asked, ...]:
        """All corrections in the inbox, the first one first."""
        return tuple(sorted((a for entry in self.inbox for a in entry.asked), key=lambda a: (a.at, a.id)))


@dataclass(frozen=True, slots=True)
class RunbookFacts:
    """For `core.runbook.decide`. `allowed` by (resource, Release): True if the Runbook's account has the right that a step needs."""

    runbook: Runbook
    incidents: tuple[Incident, ...]  # that ask for a play of it
    releases: tuple[Release, ...]
    allowed: Mapping[tuple[str, str], bool]
    stop: Stop | None = None
    others: tuple[Runbook, ...] = ()  # the other ones of the namespace
    known: tuple[Incident, ...] = ()  # all of the namespace
    account_exists: bool | None = None  # None: nobody could say
    addresses: tuple[Address, ...] = ()  # that Runbooks may call
    runs_jobs: bool = True  # opsloop itself may create Jobs in the namespace


@dataclass(frozen=True, slots=True)
class EvalCaseFacts:
    """For `core.evalcase.decide.decide`. `pods` are this case's quarantined pods, `outcome` what they answered (role → ProofRun parts)."""

    case: EvalCase
    release: Release | None
    templates: Mapping[str, dict[str, Any]]
    pods: tuple[PodFacts, ...]
    outcomes: Mapping[str, tuple[bool, str]]  # digest → (passed, message)
    service_selectors: tuple[Mapping[str, str], ...] = ()
    stop: Stop | None = None
    live_outcome: LiveOutcome | None = None
    live_selector: Mapping[str, str] = field(default_factory=dict)
    others: tuple[EvalCase, ...] = ()  # all cases of its Release, itself among them
    sounded: LiveOutcome | None = None  # what live pods answered when they were asked the same once more


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """A pod's reply to an eval request; status 0 with `error` and a named `reason` where no reply came."""

    status: int
    body: str
    error: str = ""
    reason: str = ""  # of core.evalcase.silence
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0  # from the request to the end of the reply
    cut: bool = False  # the body goes on; only its beginning was read
