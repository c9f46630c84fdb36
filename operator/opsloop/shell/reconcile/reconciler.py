"""Reconcile one name: observe, decide, carry out."""

from datetime import timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.core import runbook
from opsloop.core.decision import Decision
from opsloop.core.evalcase import decide as evals
from opsloop.core.incident import decide as incident
from opsloop.core.release import decide as rollout
from opsloop.shell.reconcile import observe
from opsloop.shell.reconcile.apply import carry_out
from opsloop.shell.reconcile.garbage import retire
from opsloop.shell.runtime import World
from opsloop.shell.watch.workqueue import Key


async def reconcile(world: World, key: Key) -> timedelta | None:
    """Returns when to look again at the latest; None = when something changes. Errors are the queue's to back off on."""
    kind, namespace, name = key
    obj = world.cache.get(kind, namespace, name)
    if obj is None or "deletionTimestamp" in obj["metadata"]:
        if kind == "Release":
            await retire(world, namespace, name, known=())
        world.memory.forget(kind, namespace, name)
        return None
    decision = await _decide(world, kind, namespace, name)
    if decision is None:
        return None
    await carry_out(world, kind, obj, decision)
    if isinstance(decision.status, ReleaseStatus):
        await retire(world, namespace, name, known=[r.digest for r in decision.status.revisions])
    return decision.look_again


async def _decide(world: World, kind: str, namespace: str, name: str) -> Decision | None:
    """None where the object is gone or cannot be read."""
    match kind:
        case "Release":
            release_facts = await observe.release_facts(world, namespace, name)
            return rollout.decide(release_facts, world.now()) if release_facts else None
        case "Incident":
            incident_facts = await observe.incident_facts(world, namespace, name)
            grace = timedelta(seconds=world.grace_seconds)
            return incident.decide(incident_facts, world.now(), grace) if incident_facts else None
        case "Runbook":
            runbook_facts = await observe.runbook_facts(world, namespace, name)
            return runbook.decide(runbook_facts, world.now()) if runbook_facts else None
        case "EvalCase":
            evalcase_facts = await observe.evalcase_facts(world, namespace, name)
            return evals.decide(evalcase_facts, world.now()) if evalcase_facts else None
    raise ValueError(f"no reconciler for {kind}")
