"""Carries a Decision out, in its order: safety, record, actions, events. Each act is idempotent and keeps its precondition."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from opsloop.api.meta import API_VERSION, Model
from opsloop.core.actions import (
    Action,
    CreateEvalCase,
    CreateIncident,
    DeleteCanary,
    DeleteInboxEntries,
    EnsureCanary,
    EnsureRevision,
    FileToLedger,
    ProbeQuarantine,
    RunEvals,
    SendPage,
    SetGates,
    SetTemplate,
    StartQuarantine,
    StopQuarantine,
    StorePostmortem,
    StoreTicketQueue,
)
from opsloop.core.decision import Decision
from opsloop.core.evalcase.quarantine import pod_from_template
from opsloop.core.release import revisions
from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.names import CANARY, GATE, canary_name
from opsloop.shell.ports import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    EVALCASES,
    INCIDENTS,
    PODS,
    RELEASES,
    RUNBOOKS,
    SERVICES,
    Object,
    Resource,
)
from opsloop.shell.reconcile import manifests
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.mapping import requests_for_object

log = logging.getLogger(__name__)

KINDS: Mapping[str, Resource] = {r.kind: r for r in (RELEASES, INCIDENTS, RUNBOOKS, EVALCASES)}


async def apply_decision(runtime: Runtime, kind: str, obj: Object, decision: Decision) -> None:
    """`obj` is the object that was decided on, as it was observed."""
    namespace = obj["metadata"]["namespace"]
    for action in decision.safety:
        await execute(runtime, namespace, obj, action)
    if decision.status is not None:
        await _store_status(runtime, kind, obj, decision.status)
    elif any(_raises(action) for action in decision.actions):
        await _check_current(runtime, kind, obj)
    try:
        for action in decision.actions:
            await execute(runtime, namespace, obj, action)
    finally:  # the turn is stored: people are told of it even where an act has to be tried again
        for event in decision.events:
            await runtime.events.post(obj, event)


def _raises(action: Action) -> bool:
    """Does it bring anything to users? What it stands on was stored by an earlier look."""
    return isinstance(action, SetTemplate) or (isinstance(action, SetGates) and action.open)


async def _check_current(runtime: Runtime, kind: str, obj: Object) -> None:
    """Where no status is stored in the same turn, nothing refuses a stale cache (a new leader's): so the object is read."""
    meta = obj["metadata"]
    stored = await runtime.reader.get(KINDS[kind], meta["namespace"], meta["name"])
    if stored["metadata"].get("resourceVersion") != meta.get("resourceVersion"):
        raise Conflict(f"{kind} {meta['namespace']}/{meta['name']} changed since it was decided on")


async def _store_status(runtime: Runtime, kind: str, obj: Object, status: Model) -> None:
    """Under the observed resourceVersion: a stale one is a Conflict, and nothing after it is done."""
    meta = obj["metadata"]
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {k: meta[k] for k in ("name", "namespace", "resourceVersion", "uid") if k in meta},
        "spec": obj["spec"],
        "status": status.dump(),
    }
    stored = await runtime.writer.replace_status(KINDS[kind], meta["namespace"], body)
    if runtime.cache.put(kind, stored):
        for key in requests_for_object(kind, stored, runtime.cache):
            runtime.enqueue(key)


async def execute(runtime: Runtime, namespace: str, obj: Object, action: Action) -> None:
    """One effect."""
    match action:
        case SetGates():
            await _set_gates(runtime, namespace, action)
        case SetTemplate():
            await _set_template(runtime, namespace, action)
        case EnsureRevision():
            await _ensure_revision(runtime, namespace, action)
        case EnsureCanary():
            await _ensure_canary(runtime, namespace, obj, action)
        case DeleteCanary():
            await _delete_canary(runtime, namespace, obj, action)
        case RunEvals():
            runtime.evals.start_run(namespace, action)
        case SendPage():
            runtime.pages.send(namespace, action)
        case StorePostmortem():
            await runtime.writer.apply(CONFIGMAPS, namespace, manifests.postmortem(obj, action))
            runtime.owned.postmortems[namespace, action.incident.metadata.name] = action.markdown
            runtime.enqueue(("Incident", namespace, action.incident.metadata.name))
        case CreateEvalCase():
            await _create_if_absent(
                runtime, EVALCASES, namespace, _object("EvalCase", action.name, action.spec, action.labels)
            )
        case CreateIncident():
            await _create_incident(runtime, namespace, action)
        case FileToLedger():
            await _file_to_ledger(runtime, namespace, action)
        case StoreTicketQueue():
            await runtime.ledgers.store_queue(namespace, action.queue)
        case DeleteInboxEntries():
            for name, uid in action.entries.items():
                await runtime.writer.delete(CONFIGMAPS, namespace, name, uid)
                runtime.inbox.deleted(namespace, name)
        case StartQuarantine():
            await _start_quarantine(runtime, namespace, action)
        case ProbeQuarantine():
            runtime.evals.probe_quarantine(namespace, action)
        case StopQuarantine():
            await asyncio.gather(*(runtime.writer.delete(PODS, namespace, pod) for pod in action.pods))
            if action.forget:
                runtime.evals.forget_proof(namespace, action.case)


async def _set_gates(runtime: Runtime, namespace: str, action: SetGates) -> None:
    condition = {
        "type": GATE,
        "status": "True" if action.open else "False",
        "reason": "WeightDecided" if action.open else "OutOfTraffic",
        "message": action.reason,
        "lastTransitionTime": runtime.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    calls = (runtime.writer.patch_pod_condition(namespace, pod, "", condition) for pod in action.pods)
    failed = [e for e in await asyncio.gather(*calls, return_exceptions=True) if isinstance(e, BaseException)]
    for error in failed:
        if not isinstance(error, NotFound):  # a pod that is gone is out of traffic
            raise error


async def _set_template(runtime: Runtime, namespace: str, action: SetTemplate) -> None:
    """The whole template, if it still is what was observed; then the stored digest is checked."""
    live = runtime.cache.get("Deployment", namespace, action.deployment)
    if live is None or revisions.digest(live["spec"]["template"]) != action.expect:
        raise Conflict(f"Deployment {namespace}/{action.deployment} is not at {action.expect} any more")
    ops: list[Object] = [
        {"op": "test", "path": "/spec/template", "value": live["spec"]["template"]},
        {"op": "replace", "path": "/spec/template", "value": action.template},
    ]
    stored = await runtime.writer.json_patch(DEPLOYMENTS, namespace, action.deployment, ops)
    runtime.cache.put("Deployment", stored)
    digest = revisions.digest(stored["spec"]["template"])
    if digest != action.digest:
        log.error("Deployment %s/%s stored %s, not %s: admission changed the template", namespace, action.deployment,
                  digest, action.digest)  # fmt: skip
    for key in requests_for_object("Deployment", stored, runtime.cache):
        runtime.enqueue(key)


async def _ensure_revision(runtime: Runtime, namespace: str, action: EnsureRevision) -> None:
    known = runtime.owned.templates.setdefault((namespace, action.release), {})
    if action.digest not in known:
        body = manifests.controller_revision(namespace, action)
        await _create_if_absent(runtime, CONTROLLERREVISIONS, namespace, body)
    known[action.digest] = action.template


async def _ensure_canary(runtime: Runtime, namespace: str, obj: Object, action: EnsureCanary) -> None:
    """A Deployment of that name which is not ours is a user's: an apply by force would take it over."""
    body = manifests.canary_deployment(obj, action)
    name = body["metadata"]["name"]
    known = runtime.cache.get("Deployment", namespace, name)
    if known is not None and known["metadata"].get("labels", {}).get(CANARY) != action.release:
        raise Invalid(
            f"Deployment {namespace}/{name} is not opsloop's; rename it, the canary of {action.release} needs the name"
        )
    runtime.cache.put("Deployment", await runtime.writer.apply(DEPLOYMENTS, namespace, body))


async def _delete_canary(runtime: Runtime, namespace: str, obj: Object, action: DeleteCanary) -> None:
    name = canary_name(obj["spec"]["workloadRef"]["name"])
    stored = runtime.cache.get("Deployment", namespace, name)
    if stored is None or stored["metadata"].get("labels", {}).get(CANARY) != action.release:
        return
    uid = stored["metadata"].get("uid", "")
    await runtime.writer.delete(DEPLOYMENTS, namespace, name, uid)
    runtime.cache.drop("Deployment", namespace, name, uid)
    runtime.evals.forget(namespace, action.release)


async def _create_incident(runtime: Runtime, namespace: str, action: CreateIncident) -> None:
    """Creates the Incident and puts it into the cache: the next decision must know of it before the watch tells."""
    body = _object("Incident", action.name, action.spec.dump(), action.labels)
    try:
        stored = await runtime.writer.create(INCIDENTS, namespace, body)
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
    if await runtime.ledgers.file(incident, action.alerts, action.tickets):
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(action.reasons.items()))
        log.info(
            "incident %s/%s: filed %d alerts (%s) and %d tickets",
            namespace, action.incident, len(action.alerts), reasons, len(action.tickets),
        )  # fmt: skip
        runtime.enqueue(("Incident", namespace, action.incident))


async def _start_quarantine(runtime: Runtime, namespace: str, action: StartQuarantine) -> None:
    services = await runtime.reader.list(SERVICES, namespace)
    selectors = [s["spec"].get("selector") or {} for s in services]
    try:
        body = pod_from_template(
            action.case, action.release, action.digest, action.pod, namespace, action.template, selectors
        )
    except Invalid as error:
        log.warning("%s", error)
        return
    await _create_if_absent(runtime, PODS, namespace, body)


async def _create_if_absent(runtime: Runtime, resource: Resource, namespace: str, body: Object) -> bool:
    try:
        await runtime.writer.create(resource, namespace, body)
    except AlreadyExists:
        return False
    return True


def _object(kind: str, name: str, spec: Mapping[str, Any], labels: Mapping[str, str]) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": dict(spec),
    }
