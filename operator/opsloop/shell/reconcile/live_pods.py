"""Live pods while they have labels of one's own: listed when their Deployment has changed, patched one by one.

Only pods whose ReplicaSet the Deployment owns: who writes a Release labels no pod but those that its Deployment makes.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from opsloop.api.pod_metadata import Added
from opsloop.api.release import Release
from opsloop.core.actions import MarkPods
from opsloop.core.facts import LivePod
from opsloop.core.release import pod_metadata
from opsloop.core.selectors import selects
from opsloop.errors import Conflict, Forbidden, NotFound, OpsloopError, Permanent, Retryable, TimedOut
from opsloop.names import CANARY, LIVE_METADATA, WARM
from opsloop.shell.ports import PODS, REPLICASETS, NamespacedName, Object, ObjectKey, Reader, Resource
from opsloop.shell.reconcile.manifests import is_owned
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import Cache

TOGETHER = 8  # patches that go on beside each other
SECONDS = 5.0  # for the lists, or for the patches, of one look: its next one may have a gate to close
LISTED_AGAIN = timedelta(seconds=3)  # between two lists while a Deployment's pods come and go
TRIES = 5  # for a pod that changes between the reading and the patch

log = logging.getLogger("opsloop")


class Patcher(Protocol):
    """What writes pods: the operator, or a command."""

    async def json_patch(self, resource: Resource, namespace: str, name: str, ops: Sequence[Object]) -> Object:
        """JSON patch; a failed `test` is a Conflict."""
        ...


async def seen(
    runtime: Runtime, release: Release, deployment: Object | None
) -> tuple[tuple[LivePod, ...] | None, timedelta | None]:
    """The Deployment's pods while a canary runs that marks them, the marked ones after that and before a Release is adopted
    (one of its name may have left them); None where none may be marked, or they cannot be listed. Then, where it is due: the
    time until they are listed anew.

    Listed when the Deployment has changed, whose status changes whenever one of its pods comes or goes, but no more often than
    once per LISTED_AGAIN. While it gets the canary's template, and before it is adopted, once.
    """
    key, status = release.key, release.status
    marked = status.pod_metadata is not None and status.pod_metadata.marked
    if not marked and status.live:
        runtime.live_pods.pop(key, None)
        return None, None
    state = "over" if marked else "new"
    if marked and status.target is not None and status.target.is_active:
        state = status.target.state
    once = deployment is None or state in ("Promoting", "new")
    version = "" if once or deployment is None else str(deployment["metadata"].get("resourceVersion", ""))
    now, before = runtime.now(), runtime.live_pods.get(key)
    if before is not None and before[0][0] == state:
        if before[0][1] == version:
            return before[2], None
        if timedelta(0) <= now - before[1] < LISTED_AGAIN:
            return before[2], before[1] + LISTED_AGAIN - now
    try:
        async with asyncio.timeout(SECONDS):
            found = await _listed(runtime.reader, key, state, deployment)
    except (OpsloopError, TimeoutError) as error:  # labels keep no canary from being taken out of traffic
        if state == "new" and not isinstance(error, Forbidden):
            raise  # there is no canary yet, and nobody asks again once it is adopted
        log.warning("live pods of %s/%s cannot be listed: %s", *key, error or "no answer")
        return None, None
    runtime.live_pods[key] = ((state, version), now, found)
    return found, None


async def _listed(reader: Reader, key: NamespacedName, state: str, deployment: Object | None) -> tuple[LivePod, ...]:
    if deployment is not None and state in ("Dark", "Stepping"):
        whole = deployment["spec"]["selector"]
        plain = whole.get("matchLabels") or {}  # of none, all are listed: its expressions are asked here
        sets = await reader.list(REPLICASETS, key[0], plain)
        owners = {one["metadata"]["uid"] for one in sets if is_owned(one, {deployment["metadata"]["uid"]})}
        pods = [one for one in await reader.list(PODS, key[0], plain) if is_owned(one, owners)]
        pods = [one for one in pods if selects(whole, _labels(one)) and not {CANARY, WARM} & set(_labels(one))]
    else:
        selector = deployment["spec"]["selector"] if deployment is not None else None
        pods = await reader.list(PODS, key[0], {LIVE_METADATA: "true"})
        pods = [one for one in pods if _is_marked_by(one, key[1], selector)]
    return tuple(_pod(one) for one in pods if not _leaves(one))


async def mark(runtime: Runtime, namespace: str, action: MarkPods) -> None:
    """Patches all of these pods before it raises, or as many as SECONDS allow. One that is gone needs nothing; one that has
    changed is looked at again. Raises TimedOut."""
    key = (namespace, action.release)
    before = runtime.live_pods.pop(key, None)
    known = {pod.name: pod for pod in before[2]} if before else {}
    failure: OpsloopError | None = None
    try:
        async with asyncio.timeout(SECONDS):
            for first in range(0, len(action.patches), TOGETHER):
                some = action.patches[first : first + TOGETHER]
                outcomes = await asyncio.gather(
                    *(_patched(runtime, namespace, pod, operations) for pod, operations in some), return_exceptions=True
                )
                for (pod, _), outcome in zip(some, outcomes, strict=True):
                    if isinstance(outcome, Permanent | Retryable):
                        failure = failure or outcome
                    elif isinstance(outcome, BaseException):
                        raise outcome
                    elif outcome is None:
                        known.pop(pod, None)
                    else:
                        known[pod] = outcome
    except TimeoutError as error:
        raise TimedOut(f"live pods were not patched within {SECONDS:.0f} s") from error
    if before is not None:  # what was written is known: no list is needed for it
        runtime.live_pods[key] = (*before[:2], tuple(known.values()))
    if failure is not None:
        raise failure


async def _patched(
    runtime: Runtime, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
) -> LivePod | None:
    """The pod as it is after its patch, or as somebody else has changed it; None where it is gone."""
    try:
        try:
            stored = await runtime.writer.json_patch(PODS, namespace, name, [dict(op) for op in operations])
        except Conflict:
            stored = await runtime.reader.get(PODS, namespace, name)
    except NotFound:
        return None
    return None if _leaves(stored) else _pod(stored)


async def let_go(reader: Reader, writer: Patcher, namespace: str, release: str = "") -> list[str]:
    """Puts pods back as they were that this Release, or ("") any, has marked; their "NAMESPACE/NAME".

    Nothing where opsloop may not look.
    """
    try:
        found = await reader.list(PODS, namespace, {LIVE_METADATA: "true"})
    except Forbidden as error:
        log.debug("pods of %s: %s", namespace or "all namespaces", error)
        return []
    done: list[str] = []
    failure: OpsloopError | None = None
    for stored in found:
        if _leaves(stored) or (pod_metadata.marked_by(_pod(stored)) not in (release, "") and release):
            continue
        name = f"{stored['metadata']['namespace']}/{stored['metadata']['name']}"
        try:
            await _take_off(reader, writer, stored)
            done.append(name)
        except (Permanent, Retryable) as error:  # it keeps no other pod from being put back
            log.warning("pod %s is not put back: %s", name, error)
            failure = failure or error
    if failure is not None:
        raise failure
    return done


async def _take_off(reader: Reader, writer: Patcher, stored: Object) -> None:
    namespace, name = stored["metadata"]["namespace"], stored["metadata"]["name"]
    for remaining in reversed(range(TRIES)):
        try:
            if operations := pod_metadata.patch(_pod(stored), Added(), ""):
                await writer.json_patch(PODS, namespace, name, [dict(op) for op in operations])
            return
        except Conflict:
            if not remaining:
                raise
            stored = await reader.get(PODS, namespace, name)
        except NotFound:
            return


async def of_deleted_releases(reader: Reader, cache: Cache, namespaces: Sequence[str]) -> list[ObjectKey]:
    """Keys of Releases that are not there (any more) and have left marked pods, perhaps while no operator ran."""
    keys: set[ObjectKey] = set()
    for namespace in namespaces or ("",):
        try:
            found = await reader.list(PODS, namespace, {LIVE_METADATA: "true"})
        except OpsloopError as error:
            log.warning("marked pods of %s cannot be listed: %s", namespace or "all namespaces", error)
            continue
        for stored in found:
            where, release = stored["metadata"]["namespace"], pod_metadata.marked_by(_pod(stored))
            if release and cache.get("Release", where, release) is None:
                keys.add(("Release", where, release))
    return sorted(keys)


def _pod(stored: Object) -> LivePod:
    meta = stored["metadata"]
    version = meta.get("resourceVersion", "")
    return LivePod(meta["name"], version, meta.get("labels") or {}, meta.get("annotations") or {})


def _is_marked_by(stored: Object, release: str, selector: Mapping[str, Any] | None) -> bool:
    """True for a pod that this Release has marked, or one of its Deployment whose record somebody has overwritten."""
    whose = pod_metadata.marked_by(_pod(stored))
    own = selector is not None and selects(selector, _labels(stored))
    return whose == release or (not whose and own)


def _labels(stored: Object) -> Mapping[str, str]:
    return stored["metadata"].get("labels") or {}


def _leaves(stored: Object) -> bool:
    """True for a pod that goes, or has ended: whatever it has goes with it."""
    ended = (stored.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return ended or "deletionTimestamp" in stored["metadata"]
