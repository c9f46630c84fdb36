"""Reconciles one object: observe, decide, apply."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from opsloop.api.release import ReleaseStatus
from opsloop.core.correlation.decide import decide as decide_correlation
from opsloop.core.decision import Decision
from opsloop.core.evalcase.decide import decide as decide_evalcase
from opsloop.core.facts import CorrelationFacts
from opsloop.core.incident.decide import decide as decide_incident
from opsloop.core.release.decide import decide as decide_release
from opsloop.core.runbook.decide import decide as decide_runbook
from opsloop.errors import NotFound, OpsloopError, Permanent, Retryable
from opsloop.shell.ports import DEPLOYMENTS, PODS, Object, ObjectKey
from opsloop.shell.reconcile import guarded, live_pods, observe, routes
from opsloop.shell.reconcile.apply import KINDS, apply_decision
from opsloop.shell.reconcile.garbage import collect_garbage
from opsloop.shell.runtime import Runtime

# Alerts that are encoded as fast as one is placed, or counted for its Incident, or a ticket read
SEARCHED, COUNTED, TICKET = 10, 5, 10
LONG = 0.5  # seconds of one stage
AFTER_STOP = timedelta(seconds=30)  # until a Deployment is let go that a Stop keeps as it is
REST = timedelta(seconds=0.5)  # until the next part of an inbox that one look does not take whole

log = logging.getLogger("opsloop")
T = TypeVar("T")


async def reconcile(runtime: Runtime, key: ObjectKey) -> timedelta | None:
    """Reconciles one object; returns the latest time for the next reconcile, None = when something changes.

    Raises what the ports raise: the queue backs off on it.
    """
    kind, namespace, name = key
    if kind == "Deployment":
        return await _let_go(runtime, namespace, name)
    obj = _namespace(name) if kind == "Namespace" else runtime.cache.get(kind, namespace, name)
    if obj is None or "deletionTimestamp" in obj["metadata"]:
        failures: list[OpsloopError] = []
        if kind == "Release":
            failures = await _put_back(runtime, namespace, name)
            await collect_garbage(runtime, namespace, name, listed=())
            runtime.refusals.forget((namespace, name))
            runtime.views.pop((namespace, name), None)
            runtime.guarded.pop((namespace, name), None)
            runtime.live_pods.pop((namespace, name), None)
            runtime.own_pods.pop((namespace, name), None)
            runtime.pages.drop(namespace, name)
        if kind == "Incident":
            runtime.ledgers.forget(namespace, name)
            runtime.pages.end(namespace, name)
        runtime.errands.forget(kind, namespace, name)
        runtime.owned.forget(kind, namespace, name)
        if failures:
            raise failures[0]
        return None
    async with runtime.one_at_a_time(kind, namespace):
        decision = await _decide(runtime, kind, namespace, name)
        if decision is None:
            return None
        try:
            await _timed(runtime, kind, "apply", apply_decision(runtime, kind, obj, decision))
        except NotFound:
            if not await _is_gone(runtime, kind, namespace, name):
                raise
            return None  # deleted meanwhile: the watch tells of it, and the next look lets it go
    if isinstance(decision.status, ReleaseStatus):
        await collect_garbage(runtime, namespace, name, listed=[r.digest for r in decision.status.revisions])
    return decision.look_again


async def _put_back(runtime: Runtime, namespace: str, name: str) -> list[OpsloopError]:
    """Puts back what a Release that is gone had on objects of others; what failed keeps nothing else of it from being let go."""
    failures: list[OpsloopError] = []
    try:
        if put_back := await routes.let_go(runtime.reader, runtime.writer, namespace, name):
            log.info("release %s/%s is gone: httproute %s is as it was found", namespace, name, ", ".join(put_back))
    except (Permanent, Retryable) as error:
        failures.append(error)
    try:
        if taken_off := await live_pods.let_go(runtime.reader, runtime.writer, namespace, name):
            log.info("release %s/%s is gone: %d pods are as they were", namespace, name, len(taken_off))
    except (Permanent, Retryable) as error:
        failures.append(error)
    return failures


async def _is_gone(runtime: Runtime, kind: str, namespace: str, name: str) -> bool:
    """Whether the object itself, as the API server has it, is there no more."""
    resource = KINDS.get(kind)
    if resource is None:
        return False
    try:
        await runtime.reader.metadata(resource, namespace, name)
    except NotFound:
        return True
    return False


async def _let_go(runtime: Runtime, namespace: str, name: str) -> timedelta | None:
    """Unpauses a Deployment that opsloop keeps paused and that no Release speaks of any more: what runs goes on."""
    if await runtime.stops.stands(namespace):
        return AFTER_STOP
    with contextlib.suppress(NotFound):
        patch, pods = await guarded.write_that_lets_go(runtime.reader, namespace, name)
        for pod in pods:
            await runtime.writer.delete(PODS, namespace, pod.name, pod.uid)
        if patch:
            stored = await runtime.writer.json_patch(DEPLOYMENTS, namespace, name, patch)
            runtime.cache.put("Deployment", stored)
            log.info("deployment %s/%s: no Release guards it any more, it is unpaused", namespace, name)
    return None


async def _decide(runtime: Runtime, kind: str, namespace: str, name: str) -> Decision | None:
    """The Decision on one object; None where it was deleted or cannot be parsed."""
    match kind:
        case "Namespace":
            namespace_facts = await _timed(runtime, kind, "observe", observe.namespace_facts(runtime, namespace))
            return await _timed(runtime, kind, "decide", _correlate(runtime, namespace_facts))
        case "Release":
            release_facts = await _timed(runtime, kind, "observe", observe.release_facts(runtime, namespace, name))
            return decide_release(release_facts, runtime.now()) if release_facts else None
        case "Incident":
            incident_facts = await _timed(runtime, kind, "observe", observe.incident_facts(runtime, namespace, name))
            if incident_facts is None:
                return None
            now, grace, retention = runtime.now(), runtime.reopen_grace, runtime.incident_retention
            alerts = len(incident_facts.ledger.alerts)
            deciding = runtime.apart(COUNTED * alerts, lambda: decide_incident(incident_facts, now, grace, retention))
            return await _timed(runtime, kind, "decide", deciding)
        case "Runbook":
            runbook_facts = await _timed(runtime, kind, "observe", observe.runbook_facts(runtime, namespace, name))
            return decide_runbook(runbook_facts, runtime.now()) if runbook_facts else None
        case "EvalCase":
            evalcase_facts = await _timed(runtime, kind, "observe", observe.evalcase_facts(runtime, namespace, name))
            return decide_evalcase(evalcase_facts, runtime.now()) if evalcase_facts else None
    raise ValueError(f"no reconciler for {kind}")


async def _timed(runtime: Runtime, kind: str, stage: str, work: Awaitable[T]) -> T:
    """The result of one stage, which is measured also where it fails; the log has those that take long."""
    now = asyncio.get_running_loop().time
    began = now()
    try:
        return await work
    finally:
        took = now() - began
        runtime.instruments.stage(kind, stage, took)
        if took > LONG:
            log.info("a look of kind %s took %.1f s to %s", kind, took, stage)


async def _correlate(runtime: Runtime, facts: CorrelationFacts) -> Decision:
    """The Decision on all entries that can be decided on: one that cannot is set aside, and stops nobody else's."""
    now, grace, method = runtime.now(), runtime.reopen_grace, runtime.method
    size = sum(len(ledger.alerts) for ledger in facts.ledgers.values()) + len(facts.alerts)
    size = SEARCHED * size + TICKET * (len(facts.tickets) + len(facts.queue))
    try:
        decision = await runtime.apart(size, lambda: decide_correlation(facts, now, grace, method))
    except Exception as error:
        sound = []
        for entry in facts.inbox:
            try:
                decide_correlation(replace(facts, inbox=(entry,)), now, grace, method)
            except Exception as fault:
                log.exception("inbox entry %s/%s cannot be decided on", facts.namespace, entry.name)
                runtime.inbox.set_aside(facts.namespace, entry.name, f"{type(fault).__name__}: {fault}"[:500])
            else:
                sound.append(entry)
        if len(sound) == len(facts.inbox):
            raise error
        decision = decide_correlation(replace(facts, inbox=tuple(sound)), now, grace, method)
    if runtime.inbox.has_more(facts.namespace):
        return replace(decision, look_again=min(decision.look_again or REST, REST))
    if left := timedelta(seconds=runtime.intake_due_in(("Namespace", facts.namespace, facts.namespace))):
        return replace(decision, look_again=min(decision.look_again or left, left))
    return decision


def _namespace(name: str) -> Object:
    """The object of the correlator's key; its content is not observed."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "namespace": name}}
