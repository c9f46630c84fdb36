"""Live pods while they have labels of one's own: listed when their Deployment has changed, patched one by one."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from opsloop.api.pod_metadata import Added
from opsloop.api.release import Release
from opsloop.core.actions import MarkPods
from opsloop.core.facts import LivePod
from opsloop.core.release import pod_metadata
from opsloop.core.selectors import serves
from opsloop.errors import Conflict, Forbidden, NotFound, OpsloopError
from opsloop.names import CANARY, LIVE_METADATA, WARM
from opsloop.shell.ports import PODS, Object, ObjectKey, Reader, Resource
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import Cache

TOGETHER = 8  # patches that go on beside each other
TRIES = 5  # for a pod that changes between the reading and the patch

log = logging.getLogger("opsloop")


class Patcher(Protocol):
    """What writes pods: the operator, or a command."""

    async def json_patch(self, resource: Resource, namespace: str, name: str, ops: Sequence[Object]) -> Object:
        """JSON patch; a failed `test` is a Conflict."""
        ...


async def seen(runtime: Runtime, release: Release, deployment: Object | None) -> tuple[LivePod, ...] | None:
    """The Deployment's pods while a canary runs that marks them, the marked ones after that; None where none may be marked.

    Listed once for each version of the Deployment: its status changes whenever one of its pods comes or goes. While it gets the
    canary's template, once.
    """
    key, status = release.key, release.status
    if status.pod_metadata is None or not status.pod_metadata.marked:
        runtime.live_pods.pop(key, None)
        return None
    target = status.target
    state = target.state if target is not None and target.is_active else ""
    version = deployment["metadata"].get("resourceVersion", "") if deployment else ""
    wanted = (state in ("Dark", "Stepping"), state or "over", "" if state == "Promoting" else version)
    before = runtime.live_pods.get(key)
    if before is not None and before[0] == wanted:
        return before[1]
    selector = (deployment["spec"]["selector"].get("matchLabels") if deployment else None) or {}
    by_selector = bool(selector) and wanted[0]
    try:
        listed = await runtime.reader.list(PODS, key[0], selector if by_selector else {LIVE_METADATA: "true"})
    except OpsloopError as error:  # labels keep no canary from being taken out of traffic
        log.warning("live pods of %s/%s cannot be listed: %s", *key, error)
        return None
    pods = [one for one in listed if not _leaves(one)]
    mine = [one for one in pods if (_is_live(one) if by_selector else _is_marked_by(one, key[1], selector))]
    found = tuple(map(_pod, mine))
    runtime.live_pods[key] = (wanted, found)
    return found


async def mark(runtime: Runtime, namespace: str, action: MarkPods) -> None:
    """Patches all of these pods before it raises. One that is gone needs nothing; one that has changed is looked at again."""
    runtime.live_pods.pop((namespace, action.release), None)
    failure: OpsloopError | None = None
    for first in range(0, len(action.patches), TOGETHER):
        writes = (
            runtime.writer.json_patch(PODS, namespace, pod, [dict(op) for op in operations])
            for pod, operations in action.patches[first : first + TOGETHER]
        )
        for outcome in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(outcome, Conflict | NotFound):
                runtime.enqueue(("Release", namespace, action.release))
            elif isinstance(outcome, OpsloopError):
                failure = failure or outcome
            elif isinstance(outcome, BaseException):
                raise outcome
    if failure is not None:
        raise failure


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
        except (Forbidden, Conflict) as error:  # it keeps no other pod from being put back
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


def _is_marked_by(stored: Object, release: str, selector: Mapping[str, str]) -> bool:
    """True for a pod that this Release has marked, or one of its Deployment whose record somebody has overwritten."""
    whose = pod_metadata.marked_by(_pod(stored))
    own = bool(selector) and serves(selector, stored["metadata"].get("labels") or {})
    return whose == release or (not whose and own)


def _leaves(stored: Object) -> bool:
    """True for a pod that goes, or has ended: whatever it has goes with it."""
    ended = (stored.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return ended or "deletionTimestamp" in stored["metadata"]


def _is_live(stored: Object) -> bool:
    """True for a pod of the user's Deployment that a ReplicaSet keeps: not of the canary, kept warm, or somebody's own."""
    meta = stored["metadata"]
    kept = any(owner.get("kind") == "ReplicaSet" for owner in meta.get("ownerReferences") or ())
    return kept and not {CANARY, WARM} & set(meta.get("labels") or {})
