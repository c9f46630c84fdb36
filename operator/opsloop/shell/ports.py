"""Protocols of everything outside of the process, two or three methods wide each, and `Ports`, which holds one of each.

Every method raises errors of `opsloop.errors` only: Conflict, Unavailable, NotFound, AlreadyExists, Forbidden, Invalid.
Objects are plain dicts as the API server returns them (JSON, camel case).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from opsloop.api.eval_request import EvalRequest
from opsloop.core.alert_rules import AlertRule
from opsloop.core.decision import Event
from opsloop.core.facts import Address, ProbeReply
from opsloop.core.notify.routing import Routing
from opsloop.core.runbook.rights import Identity

Object = dict[str, Any]
Labels = Mapping[str, str | None]
"""Labels to set; None takes one off."""
ObjectKey = tuple[str, str, str]
"""(kind, namespace, name): one item of the work queue. ("Namespace", ns, ns) is the correlator's."""
NamespacedName = tuple[str, str]
"""(namespace, name) where the kind is understood; `Release.key`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A namespaced resource type, for example apps/v1 deployments."""

    api_version: str
    kind: str
    plural: str


RELEASES = Resource("opsloop.dev/v1alpha1", "Release", "releases")
INCIDENTS = Resource("opsloop.dev/v1alpha1", "Incident", "incidents")
RUNBOOKS = Resource("opsloop.dev/v1alpha1", "Runbook", "runbooks")
EVALCASES = Resource("opsloop.dev/v1alpha1", "EvalCase", "evalcases")
STOPS = Resource("opsloop.dev/v1alpha1", "Stop", "stops")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
CONTROLLERREVISIONS = Resource("apps/v1", "ControllerRevision", "controllerrevisions")
REPLICASETS = Resource("apps/v1", "ReplicaSet", "replicasets")
PODS = Resource("v1", "Pod", "pods")
SERVICES = Resource("v1", "Service", "services")
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAYCLASSES = Resource("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses")
HTTPROUTES = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
BUDGETS = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CONFIGMAPS = Resource("v1", "ConfigMap", "configmaps")
ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
SECRETS = Resource("v1", "Secret", "secrets")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
JOBS = Resource("batch/v1", "Job", "jobs")
EVENTS = Resource("v1", "Event", "events")


class Reader(Protocol):
    """Reads the API server, live."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object. NotFound where it is not there."""
        ...

    async def metadata(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object's `metadata` and nothing else of it: its content is not sent. NotFound where it is not there."""
        ...

    async def list(self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """All objects of a namespace ("" = all namespaces) that carry these labels."""
        ...


class Logs(Protocol):
    """Reads what containers wrote."""

    async def tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of a pod's one container. NotFound where there is none; Forbidden where opsloop may not."""
        ...


class Writer(Protocol):
    """Writes the API server. Every call checks the leadership fence first (LeadershipLost)."""

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """AlreadyExists where the name is taken."""
        ...

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Server-side apply (field manager opsloop, force) of an object that opsloop owns."""
        ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        """Delete in the background; NotFound is success. With `uid`, only that very object: another one is success too.
        With `version`, only at that resourceVersion: any other is a Conflict. `orphan`: what it owns stays."""
        ...

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Object],
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        """JSON patch; a failed `test` is a Conflict. `dry_run`: the answer is what would be stored, and nothing is.
        `strict`: a field that the API server does not know is Invalid, and not left out."""
        ...

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        """PUT of the whole object; the resourceVersion in its metadata makes a stale one a Conflict."""
        ...

    async def replace_status(self, resource: Resource, namespace: str, body: Object) -> Object:
        """PUT of /status; the resourceVersion in its metadata makes a stale one a Conflict. Returns the stored object."""
        ...

    async def patch_pod_condition(
        self, namespace: str, pod: str, uid: str, condition: Object, labels: Labels | None = None
    ) -> Object:
        """Strategic merge of one status condition of that very pod (`uid` may be empty), with labels in the same write."""
        ...


class Creator(Protocol):
    """Creates objects behind no fence: for what every replica may write, whoever holds the Lease."""

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """AlreadyExists where the name is taken."""
        ...


class Watcher(Protocol):
    """Follows objects that the informer's cache does not hold."""

    def watch(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[Object], None]:
        """Namespace, name and uid of the objects with these labels in a namespace ("" = all): first of all that exist, then of each that
        is created or changed. Says nothing of deletions. Ends after some minutes, to be called anew."""
        ...


class Access(Protocol):
    """Who is calling, and may they?"""

    async def review_token(self, token: str, audience: str) -> Identity | None:
        """Whose token it is, if it is valid for the audience ("": the API server's own), else None. Unavailable where the API
        server cannot say."""
        ...

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        """SubjectAccessReview; namespace "" = in all namespaces."""
        ...


class Reviews(Access, Protocol):
    """The same, and what opsloop itself may."""

    async def may(self, verb: str, group: str, plural: str, namespace: str) -> bool:
        """SelfSubjectAccessReview."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query, or the raw samples of one series."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


class Telemetry(Protocol):
    """A Prometheus-compatible HTTP API. A partial answer raises Partial."""

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """/api/v1/query."""
        ...

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """/api/v1/query_range; step in seconds."""
        ...

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """/api/v1/query of a range selector: its raw samples. Invalid for an expression of another type."""
        ...


class RuleSource(Protocol):
    """What alerts there may be."""

    async def rules(self) -> list[AlertRule]:
        """Alerting rules of Prometheus' /api/v1/rules, or of what speaks like it."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """One Prometheus-compatible API. `resolution` is its scrape interval, `delay` how late samples arrive there; None: as
    the settings of the process say."""

    telemetry: Telemetry
    rules: RuleSource
    resolution: timedelta | None = None
    delay: timedelta | None = None


class Prober(Protocol):
    """Sends eval requests to pods; never raises for what the pod does."""

    async def ask(self, pod_ip: str, request: EvalRequest, secrets: Mapping[str, str] = ...) -> ProbeReply:
        """One request with X-Opsloop-Eval and the headers `secrets`, whose values stand in no log."""
        ...


class Pager(Protocol):
    """Tells receivers, each of which has a name."""

    async def page(self, receiver: str, payload: Object) -> str:
        """Status and beginning of the receiver's answer, which is 2xx; else raises Unavailable or Permanent."""
        ...


class Caller(Protocol):
    """Calls webhooks."""

    async def call(self, address: Address, url: str, payload: Object, key: str) -> int:
        """The status of one POST, whatever it is; redirects are not followed. Forbidden where the host has an address that may
        not be called, Unavailable where no answer came."""
        ...


class Events(Protocol):
    """Posts Kubernetes Events."""

    async def post(self, obj: Object, event: Event) -> None:
        """Posts one Event on this object; never raises."""
        ...


class Clock(Protocol):
    """Wall time, for decisions and stamps."""

    def now(self) -> datetime:
        """Time-zone aware UTC."""
        ...


class Instruments(Protocol):
    """Measures one process; never raises."""

    def reconciled(self, key: ObjectKey, result: str, seconds: float) -> None:
        """Counts one reconcile; `result` is ok, conflict, retryable, permanent, timeout or error."""
        ...

    def stage(self, kind: str, stage: str, seconds: float) -> None:
        """Measures one stage of a reconcile: observe, decide or apply."""
        ...

    def filed(self, seconds: float) -> None:
        """Measures how long an inbox entry waited, from when this process heard of it until all of it was filed."""
        ...

    def asked(self, source: str, result: str, seconds: float) -> None:
        """Counts one query; `result` is ok, invalid, partial, refused, timeout or unavailable."""
        ...

    def page(self, receiver: str, action: str, result: str) -> None:
        """Counts one call to a receiver, or one message given up there; `result` is sent, failed, resent or given_up."""
        ...

    def set_aside(self, what: str, count: int) -> None:
        """Counts what the intake did not take: `alerts` that break a rule, `truncated` ones that their sender left out, `entries`
        of the inbox that cannot be read, `tickets` for which a queue has no room."""
        ...

    def correction(self, result: str) -> None:
        """Counts one correction of a ticket, or of what was learnt, that a person asked for; `result` is done or refused."""
        ...

    def incident_deleted(self, namespace: str) -> None:
        """Counts one Incident that was deleted because its retention was over."""
        ...

    def rollout_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        """Counts one rollout that is over; `result` is promoted, rejected, cancelled or refused (`seconds` is None)."""
        ...

    def rollback_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        """Counts one rollback that is over; `result` is done, failed or refused (`seconds` may be None)."""
        ...

    def check_ended(self, namespace: str, check: str, result: str) -> None:
        """Counts one check of a rollout that ended: passed, failed or unknown."""
        ...

    def hold_ended(self, namespace: str, reason: str, seconds: float) -> None:
        """Counts one hold of a canary that is over, by the reason that it had last."""
        ...

    def incident_opened(self, namespace: str, signal: str, severity: str) -> None:
        """Counts one Incident that is new, by the kind and the severity of its signal."""
        ...

    def incident_reached(self, namespace: str, until: str, seconds: float) -> None:
        """Notes the time from the onset until an Incident was `mitigated` or `resolved`."""
        ...

    def command_answered(self, command: str, reason: str) -> None:
        """Counts one answer to a command that a person gave by annotation."""
        ...

    def undelivered(self, receiver: str, count: int) -> None:
        """Publishes the number of messages that a receiver has refused or not answered, and that are tried again."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """One implementation of each port: the only input of the composition root besides the settings."""

    reader: Reader
    writer: Writer
    intake: Creator  # stores what the intake takes, on a standby too
    watcher: Watcher
    access: Reviews
    sources: Mapping[str, Source]  # by the name that spec.slo.source has; api.slo.DEFAULT_SOURCE is always there
    prober: Prober
    pager: Pager
    routing: Routing  # which receivers of the pager a message is for
    caller: Caller
    logs: Logs
    events: Events
    clock: Clock
    instruments: Instruments
