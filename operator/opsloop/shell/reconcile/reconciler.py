"""Reconcile one name: observe, decide, carry out."""

from datetime import timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.core import runbook
from opsloop.core.correlation import decide as correlation
from opsloop.core.decision import Decision
from opsloop.core.evalcase import decide as evals
from opsloop.core.incident import decide as incident
from opsloop.core.release import decide as rollout
from opsloop.shell.ports import Object, ObjectKey
from opsloop.shell.reconcile import observe
from opsloop.shell.reconcile.apply import apply_decision
from opsloop.shell.reconcile.garbage import collect_garbage
from opsloop.shell.runtime import Runtime


async def reconcile(runtime: Runtime, key: ObjectKey) -> timedelta | None:
    """Returns when to look again at the latest; None = when something changes. Errors are the queue's to back off on."""
    kind, namespace, name = key
    obj = _namespace(name) if kind == "Namespace" else runtime.cache.get(kind, namespace, name)
    if obj is None or "deletionTimestamp" in obj["metadata"]:
        if kind == "Release":
            await collect_garbage(runtime, namespace, name, listed=())
        if kind == "Incident":
            runtime.ledgers.forget(namespace, name)
        runtime.owned.forget(kind, namespace, name)
        return None
    decision = await _decide(runtime, kind, namespace, name)
    if decision is None:
        return None
    await apply_decision(runtime, kind, obj, decision)
    if isinstance(decision.status, ReleaseStatus):
        await collect_garbage(runtime, namespace, name, listed=[r.digest for r in decision.status.revisions])
    return decision.look_again


async def _decide(runtime: Runtime, kind: str, namespace: str, name: str) -> Decision | None:
    """None where the object is gone or cannot be read."""
    match kind:
        case "Namespace":
            facts = await observe.namespace_facts(runtime, namespace)
            return correlation.decide(facts, runtime.now(), runtime.reopen_grace)
        case "Release":
            release_facts = await observe.release_facts(runtime, namespace, name)
            return rollout.decide(release_facts, runtime.now()) if release_facts else None
        case "Incident":
            incident_facts = await observe.incident_facts(runtime, namespace, name)
            if incident_facts is None:
                return None
            return incident.decide(incident_facts, runtime.now(), runtime.reopen_grace)
        case "Runbook":
            runbook_facts = await observe.runbook_facts(runtime, namespace, name)
            return runbook.decide(runbook_facts, runtime.now()) if runbook_facts else None
        case "EvalCase":
            evalcase_facts = await observe.evalcase_facts(runtime, namespace, name)
            return evals.decide(evalcase_facts, runtime.now()) if evalcase_facts else None
    raise ValueError(f"no reconciler for {kind}")


def _namespace(name: str) -> Object:
    """The object of the correlator's key; its content is not observed."""
    return {"kind": "Namespace", "metadata": {"name": name, "namespace": name}}
