"""Applies a Decision in its order: safety, status (record first), actions, events.

Each action is idempotent and checks its precondition on the cluster, so that a Decision may be applied again after a crash.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from opsloop.api.incident import IncidentStatus
from opsloop.api.meta import API_VERSION, Model
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import (
    Action,
    AskAgain,
    AskLive,
    CallWebhook,
    CompareQuarantine,
    CreateEvalCase,
    CreateIncident,
    DeleteCanary,
    DeleteCanaryService,
    DeleteInboxEntries,
    DeleteIncident,
    DeletePods,
    DeleteReplicaSet,
    DeleteWarm,
    EndJob,
    EnsureCanary,
    EnsureCanaryService,
    EnsureRevision,
    EnsureWarm,
    FileToLedger,
    ForgetLive,
    KeepPage,
    MarkPods,
    MoveAlerts,
    NoteLooked,
    ProbeQuarantine,
    RunEvals,
    SampleRequests,
    ScaleDeployment,
    SendPage,
    SetGates,
    SetPaused,
    SetRoute,
    SetTemplate,
    SetWarm,
    StartJob,
    StartQuarantine,
    StopEvals,
    StopQuarantine,
    StoreExperience,
    StorePostmortem,
    StoreRequests,
    StoreTaught,
    StoreTicketQueue,
    TakeTickets,
    TellAnswers,
    WithdrawPage,
)
from opsloop.core.decision import Decision, Event, EventType
from opsloop.core.evalcase.quarantine import pod_from_template
from opsloop.core.text import line
from opsloop.core.tickets.correcting import CORRECTED, REFUSED
from opsloop.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    LeadershipLost,
    NotFound,
    OpsloopError,
    Permanent,
    Retryable,
)
from opsloop.names import CANARY, GATE, WARM, canary_name, warm_name
from opsloop.shell.ports import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    EVALCASES,
    INCIDENTS,
    PODS,
    RELEASES,
    REPLICASETS,
    RUNBOOKS,
    SERVICES,
    Object,
    Resource,
)
from opsloop.shell.reconcile import counts, deployments, live_pods, manifests, own, postmortems, routes, warm
from opsloop.shell.reconcile.cached import store_in_cache
from opsloop.shell.reconcile.refusals import Refusable, kind_of
from opsloop.shell.runtime import Runtime

log = logging.getLogger(__name__)

SAFETY_SECONDS = 5.0  # for one weight-0 write; then the record and the deletion go on without it
TOGETHER = 8  # writes that go on beside each other, of a look that writes many

KINDS: Mapping[str, Resource] = {r.kind: r for r in (RELEASES, INCIDENTS, RUNBOOKS, EVALCASES)}


async def apply_decision(runtime: Runtime, kind: str, obj: Object, decision: Decision) -> None:
    """Applies what was decided on `obj`, the object as it was observed. Raises Conflict where that is stale."""
    namespace = obj["metadata"]["namespace"]
    unsafe = await _apply_safety(runtime, namespace, obj, decision.safety)
    if decision.status is not None:
        await _store_status(runtime, kind, obj, decision.status)
    elif any(_raises_exposure(action) for action in decision.actions):
        await _check_current(runtime, kind, obj)
    stopped = any(_is_act(action) for action in decision.actions) and await runtime.stops.stands(namespace)
    refused: dict[str, OpsloopError] = {}
    try:
        wanted = [
            action
            for action in decision.actions
            if (unsafe is None or not _sends_users(action)) and not (stopped and _is_act(action))
        ]
        for withheld in (action for action in decision.actions if stopped and isinstance(action, CallWebhook)):
            runtime.errands.withhold(namespace, withheld)
        for beside_each_other in _stretches(wanted):
            await _each(_apart(runtime, namespace, obj, action, refused) for action in beside_each_other)
    finally:  # the status is stored, so its events are posted even where an action has to be tried again
        for event in decision.events:
            await runtime.events.post(obj, event)
    if unsafe is not None:
        raise unsafe
    for error in refused.values():
        raise error


async def _apart(
    runtime: Runtime, namespace: str, obj: Object, action: Action, refused: dict[str, OpsloopError]
) -> None:
    """Executes one action. What the API server refuses of one Incident's filing stops no other Incident's: it is noted in
    `refused`, and its entries stay in the inbox."""
    match action:
        case CreateIncident(name=name) | FileToLedger(incident=name) | MoveAlerts(target=name):
            if name in refused:
                return
            try:
                await execute(runtime, namespace, obj, action)
            except (Forbidden, Invalid) as error:
                log.error("incident %s/%s: not filed: %s", namespace, name, error)
                refused[name] = error
        case DeleteInboxEntries() if refused:
            return
        case _:
            await execute(runtime, namespace, obj, action)


def _stretches(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """The actions in their order; new Incidents, and filings to several ledgers, which do not touch each other, together."""
    for kind, stretch in itertools.groupby(actions, key=type):
        some = list(stretch)
        size = TOGETHER if kind in (CreateIncident, FileToLedger) else 1
        yield from (some[first : first + size] for first in range(0, len(some), size))


async def _each(writes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Waits for all of these, which go on beside each other; then the first failure is raised."""
    for failure in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(failure, BaseException):
            raise failure


async def _apply_safety(
    runtime: Runtime, namespace: str, obj: Object, safety: Sequence[Action]
) -> OpsloopError | TimeoutError | None:
    """Closes gates, each action within its own deadline; the first failure is returned, to be raised at the end of the look.

    A gate that cannot be closed keeps neither the record nor the deletion of the canary from happening.
    """
    failure: OpsloopError | TimeoutError | None = None
    for action in safety:
        try:
            async with asyncio.timeout(SAFETY_SECONDS):
                await execute(runtime, namespace, obj, action)
        except LeadershipLost:
            raise
        except (OpsloopError, TimeoutError) as error:
            failure = failure or error
    return failure


def _sends_users(action: Action) -> bool:
    """True if it brings users to a canary or to warm pods: it opens gates, or raises a weight."""
    return (isinstance(action, SetGates | SetWarm) and action.open) or (
        isinstance(action, SetRoute) and action.expect is not None
    )


def _raises_exposure(action: Action) -> bool:
    """True if it brings a version to users, or moves or marks live pods. Such an action follows from a status that an earlier reconcile stored."""
    return (
        isinstance(action, SetTemplate | ScaleDeployment | StartJob | CallWebhook)
        or _marks_pods(action)
        or _sends_users(action)
        or _unpauses(action)
    )


def _is_act(action: Action) -> bool:
    """True for what a Stop forbids, also where it was decided before: what is left out is decided anew."""
    acts = (
        SetTemplate,
        StartJob,
        CallWebhook,
        ScaleDeployment,
        EnsureCanary,
        EnsureWarm,
        EnsureCanaryService,
        RunEvals,
        AskLive,
        AskAgain,
        StartQuarantine,
        ProbeQuarantine,
        CompareQuarantine,
        SampleRequests,
    )
    moves = _unpauses(action) or _moves_pods(action) or _marks_pods(action)
    return isinstance(action, acts) or _sends_users(action) or moves


def _unpauses(action: Action) -> bool:
    return isinstance(action, SetPaused) and not action.paused


def _marks_pods(action: Action) -> bool:
    return isinstance(action, MarkPods) and action.on


def _moves_pods(action: Action) -> bool:
    return isinstance(action, DeletePods) or (isinstance(action, DeleteReplicaSet) and action.orphan)


async def _check_current(runtime: Runtime, kind: str, obj: Object) -> None:
    """Raises Conflict where the object changed. Without a status write nothing else refuses the stale cache of a new leader."""
    meta = obj["metadata"]
    stored = await runtime.reader.get(KINDS[kind], meta["namespace"], meta["name"])
    if stored["metadata"].get("resourceVersion") != meta.get("resourceVersion"):
        raise Conflict(f"{kind} {meta['namespace']}/{meta['name']} changed since it was decided on")


async def _store_status(runtime: Runtime, kind: str, obj: Object, status: Model) -> None:
    """Replaces the status under the observed resourceVersion; Conflict where that is stale."""
    meta = obj["metadata"]
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {k: meta[k] for k in ("name", "namespace", "resourceVersion", "uid") if k in meta},
        "spec": obj["spec"],
        "status": status.dump(),
    }
    store_in_cache(runtime, kind, await runtime.writer.replace_status(KINDS[kind], meta["namespace"], body), obj)
    if isinstance(status, ReleaseStatus):
        counts.count(runtime, obj, status)
    if isinstance(status, IncidentStatus):
        counts.count_incident(runtime, obj, status)
    if kind == "Incident":
        runtime.activity.stored(meta["namespace"], meta["name"], runtime.now())


async def execute(runtime: Runtime, namespace: str, obj: Object, action: Action) -> None:
    """Executes one action; `obj` is the object that was decided on. Idempotent."""
    match action:
        case SetGates():
            await _set_gates(runtime, namespace, action)
        case SetTemplate():
            await _unless_refused(runtime, obj, action, deployments.set_template(runtime, namespace, obj, action))
        case StartJob():
            await runtime.errands.start(namespace, action)
        case EndJob():
            await runtime.errands.end(namespace, action)
        case CallWebhook():
            runtime.errands.call(namespace, action)
        case ScaleDeployment():
            await _unless_refused(runtime, obj, action, deployments.scale(runtime, namespace, action))
        case SetPaused():
            await _unless_refused(runtime, obj, action, deployments.set_paused(runtime, namespace, obj, action))
        case DeleteReplicaSet():
            await runtime.writer.delete(
                REPLICASETS, namespace, action.name, action.uid, action.version, orphan=action.orphan
            )
        case DeletePods():
            await _each(runtime.writer.delete(PODS, namespace, name, uid) for name, uid in action.pods)
        case EnsureRevision():
            await _ensure_revision(runtime, namespace, action)
        case EnsureCanary():
            body = manifests.canary_deployment(obj, action)
            ensured = own.ensure(runtime, namespace, body, CANARY, action.release, "the canary")
            await _unless_refused(runtime, obj, action, ensured)
        case EnsureWarm():
            body = manifests.warm_deployment(obj, action)
            ensured = own.ensure(runtime, namespace, body, WARM, action.release, "keepWarm")
            await _unless_refused(runtime, obj, action, ensured)
        case DeleteWarm():
            await own.delete(runtime, namespace, warm_name(obj["spec"]["workloadRef"]["name"]), WARM, action.release)
        case SetWarm():
            await warm.set_traffic(runtime, namespace, action)
        case MarkPods():
            marked = live_pods.mark(runtime, namespace, action)
            await _unless_refused(runtime, obj, action, marked, (Permanent, Retryable))
        case SetRoute(expect=None):
            await _lowered(runtime, obj, action)
        case SetRoute():
            await _unless_refused(runtime, obj, action, routes.set_route(runtime, namespace, action))
        case EnsureCanaryService():
            await _unless_refused(runtime, obj, action, routes.ensure_service(runtime, namespace, obj, action))
        case DeleteCanaryService():
            await routes.delete_service(runtime, namespace, action)
        case DeleteCanary():
            name = canary_name(obj["spec"]["workloadRef"]["name"])
            if await own.delete(runtime, namespace, name, CANARY, action.release):
                runtime.evals.forget(namespace, action.release)
        case RunEvals():
            runtime.evals.start_run(namespace, action)
        case AskLive():
            runtime.evals.ask_live(namespace, action)
        case AskAgain():
            runtime.evals.ask_again(namespace, action)
        case ForgetLive(case, again):
            (runtime.evals.forget_sounded if again else runtime.evals.forget_live)(namespace, case)
        case StopEvals():
            runtime.evals.forget(namespace, action.release)
        case CreateIncident():
            await _create_incident(runtime, namespace, action)
        case DeleteIncident():
            await runtime.writer.delete(INCIDENTS, namespace, action.name, action.uid, action.version)
            runtime.instruments.incident_deleted(namespace)
        case FileToLedger():
            await _file_to_ledger(runtime, namespace, action)
        case MoveAlerts():
            await _move_alerts(runtime, namespace, action)
        case StoreTicketQueue():
            await runtime.ledgers.store_queue(namespace, action.queue)
        case StoreExperience():
            await runtime.experience.store(namespace, action.experience)
        case TakeTickets():
            await _take_tickets(runtime, namespace, action)
        case NoteLooked():
            runtime.looked[namespace] = action.looked
        case StoreTaught():
            await runtime.taught.store(namespace, action.taught)
        case TellAnswers():
            await _tell_answers(runtime, obj, action)
        case DeleteInboxEntries():
            await _delete_inbox_entries(runtime, namespace, action)
        case SendPage():
            runtime.pages.send(namespace, action)
        case KeepPage():
            runtime.pages.keep(namespace, action)
        case WithdrawPage():
            runtime.pages.withdraw(action)
        case StorePostmortem():
            await postmortems.store(runtime, namespace, obj, action)
        case CreateEvalCase():
            await _create_if_absent(runtime, EVALCASES, namespace, manifests.new_eval_case(action))
        case StartQuarantine():
            await _start_quarantine(runtime, namespace, action)
        case ProbeQuarantine():
            runtime.evals.probe_quarantine(namespace, action)
        case SampleRequests():
            runtime.evals.sample(namespace, action)
        case StoreRequests():
            body = manifests.config_map(action.name, manifests.MANAGED, obj) | {"data": {"requests": action.text}}
            await _create_if_absent(runtime, CONFIGMAPS, namespace, body)
            runtime.evals.forget_sample(namespace, obj["metadata"]["name"])
        case CompareQuarantine():
            runtime.evals.compare(namespace, action)
        case StopQuarantine():
            await _stop_quarantine(runtime, namespace, action)


# a Release's Deployment, revisions and canary


async def _unless_refused(
    runtime: Runtime,
    obj: Object,
    action: Refusable,
    write: Coroutine[Any, Any, None],
    noted: tuple[type[OpsloopError], ...] = (Forbidden, Invalid),
) -> None:
    """Writes; what the API server refuses for good (`noted`) is no failure of the look but a fact of the next one, which says it."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    try:
        await write
    except noted as error:
        if runtime.refusals.note((namespace, name), action, error, runtime.now()):
            log.warning("%s/%s: the %s was refused: %s", namespace, name, kind_of(action), error)
        runtime.enqueue(("Release", namespace, name))
    else:
        runtime.refusals.accepted((namespace, name), action)


async def _lowered(runtime: Runtime, obj: Object, action: SetRoute) -> None:
    """Lowers a weight. A refusal is told by the next look too, and it is tried again until it is done."""
    release = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    try:
        await routes.set_route(runtime, release[0], action)
    except (Forbidden, Invalid) as error:
        runtime.refusals.note(release, action, error, runtime.now())
        raise
    runtime.refusals.accepted(release, action)


async def _set_gates(runtime: Runtime, namespace: str, action: SetGates) -> None:
    """Writes the condition of all pods before it raises; a pod that was deleted is out of traffic already."""
    condition = {
        "type": GATE,
        "status": "True" if action.open else "False",
        "reason": "WeightDecided" if action.open else "OutOfTraffic",
        "message": action.reason,
        "lastTransitionTime": runtime.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    labels = {key: value if action.open else None for key, value in action.labels.items()}
    runtime.own_pods.pop((namespace, action.release), None)
    writes = (runtime.writer.patch_pod_condition(namespace, pod, "", condition, labels) for pod in action.pods)
    for failure in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(failure, BaseException) and not isinstance(failure, NotFound):
            raise failure


async def _ensure_revision(runtime: Runtime, namespace: str, action: EnsureRevision) -> None:
    templates = runtime.owned.templates.setdefault((namespace, action.release), {})
    if action.digest not in templates:
        body = manifests.controller_revision(namespace, action)
        await _create_if_absent(runtime, CONTROLLERREVISIONS, namespace, body)
    templates[action.digest] = action.template


# an Incident, and what is filed to it


async def _create_incident(runtime: Runtime, namespace: str, action: CreateIncident) -> None:
    """Creates the Incident and puts it into the cache: the next decision must know of it before the watch tells."""
    try:
        stored = await runtime.writer.create(INCIDENTS, namespace, manifests.new_incident(action))
    except AlreadyExists as error:
        runtime.ledgers.forget(namespace)
        raise Conflict(f"incident {namespace}/{action.name} exists already: the cache is behind") from error
    runtime.cache.put("Incident", stored)
    runtime.ledgers.created(namespace, action.name)
    runtime.enqueue(("Incident", namespace, action.name))


async def _file_to_ledger(runtime: Runtime, namespace: str, action: FileToLedger) -> None:
    incident = runtime.cache.get("Incident", namespace, action.incident)
    if incident is None:
        raise Conflict(f"incident {namespace}/{action.incident} was deleted since the decision")
    if await runtime.ledgers.file(
        incident, action.alerts, action.tickets, originals=action.originals, corrections=action.corrections
    ):
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(action.reasons.items()))
        log.info(
            "incident %s/%s: filed %d alerts (%s) and %d tickets",
            namespace, action.incident, len(action.alerts), reasons, len(action.tickets),
        )  # fmt: skip
        runtime.activity.filed(namespace, action.incident, runtime.now())
        runtime.enqueue(("Incident", namespace, action.incident))


async def _move_alerts(runtime: Runtime, namespace: str, action: MoveAlerts) -> None:
    """The target first: nothing has left a ledger that is not in another one. An Incident that was deleted holds nothing more."""
    target = runtime.cache.get("Incident", namespace, action.target)
    if target is None:
        raise Conflict(f"incident {namespace}/{action.target} was deleted since the decision")
    if await runtime.ledgers.file(target, action.alerts, moves=action.came):
        log.info("incident %s/%s: %d alerts moved here", namespace, action.target, len(action.alerts))
        runtime.enqueue(("Incident", namespace, action.target))
    for name, records in action.left.items():
        source = runtime.cache.get("Incident", namespace, name)
        if source is not None and await runtime.ledgers.file(source, moves=records):
            runtime.enqueue(("Incident", namespace, name))


async def _take_tickets(runtime: Runtime, namespace: str, action: TakeTickets) -> None:
    incident = runtime.cache.get("Incident", namespace, action.incident)
    if incident is not None and await runtime.ledgers.file(incident, corrections=action.corrections):
        runtime.enqueue(("Incident", namespace, action.incident))


async def _tell_answers(runtime: Runtime, obj: Object, action: TellAnswers) -> None:
    """On the Namespace: an Event and a line of the log for each, and the count."""
    for answer in action.answers:
        runtime.instruments.correction("done" if answer.done else "refused")
        log.info("%s: correction by %s: %s", obj["metadata"]["name"], answer.by, answer.text)
        reason, kind = (CORRECTED, "Normal") if answer.done else (REFUSED, "Warning")
        text = answer.text if answer.done else f"{answer.by}: {answer.text}"
        await runtime.events.post(obj, Event(reason, line(text)[:1000], cast(EventType, kind)))


async def _delete_inbox_entries(runtime: Runtime, namespace: str, action: DeleteInboxEntries) -> None:
    async def delete(name: str, uid: str) -> None:
        await runtime.writer.delete(CONFIGMAPS, namespace, name, uid)
        if (waited := runtime.inbox.deleted(namespace, name)) is not None:
            runtime.instruments.filed(waited.total_seconds())

    entries = list(action.entries.items())
    for first in range(0, len(entries), TOGETHER):
        await _each(delete(name, uid) for name, uid in entries[first : first + TOGETHER])


# an EvalCase's quarantined pods


async def _start_quarantine(runtime: Runtime, namespace: str, action: StartQuarantine) -> None:
    """Creates the pod, unless its template cannot run without a Service selecting it: then it logs and creates nothing."""
    services = await runtime.reader.list(SERVICES, namespace)
    selectors = [s["spec"].get("selector") or {} for s in services]
    try:
        body = pod_from_template(
            action.case, action.release, action.digest, action.pod, namespace, action.template, selectors
        )
    except Invalid as error:
        log.warning("%s/%s: no quarantined pod of %s: %s", namespace, action.case, action.digest, error)
        return
    await _create_if_absent(runtime, PODS, namespace, body)


async def _stop_quarantine(runtime: Runtime, namespace: str, action: StopQuarantine) -> None:
    await asyncio.gather(*(runtime.writer.delete(PODS, namespace, pod) for pod in action.pods))
    if action.forget:
        runtime.evals.forget_proof(namespace, action.case)
        runtime.evals.forget_comparison(namespace, action.case)


async def _create_if_absent(runtime: Runtime, resource: Resource, namespace: str, body: Object) -> None:
    with contextlib.suppress(AlreadyExists):
        await runtime.writer.create(resource, namespace, body)
