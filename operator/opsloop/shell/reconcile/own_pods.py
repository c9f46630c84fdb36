"""Pods of a Deployment that opsloop owns: listed live at each look, but while all of them serve and nothing tells of a change.

A canary that holds is looked at every second. Once all of its pods are ready and in traffic, whatever happens to one of them (it gets unready,
is deleted, its gate is closed by hand) changes the number of ready ones in its Deployment's status, and that is watched. Dark pods tell nothing by
that status: as long as one is, they are listed. A step that is recorded, a gate that opsloop writes and QUIET end what is known.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from opsloop.api.release import Release
from opsloop.core.facts import PodFacts
from opsloop.names import CANARY
from opsloop.shell.ports import PODS, Object
from opsloop.shell.reconcile.workloads import pod
from opsloop.shell.runtime import Runtime

QUIET = timedelta(minutes=15)  # after which they are listed all the same: a watch may have stopped without a word


async def own_pods(runtime: Runtime, release: Release, key: str, deployment: Object) -> tuple[PodFacts, ...]:
    """The pods with label `key` of this Release, whose Deployment is `deployment`."""
    namespace, name = release.key
    known, of = runtime.own_pods.get((namespace, name)), _of(release, deployment)
    if key == CANARY and known is not None and known[0] == of and runtime.now() - known[1] < QUIET:
        return known[2]
    found = tuple(pod(one) for one in await runtime.reader.list(PODS, namespace, {key: name}))
    if key == CANARY:
        runtime.own_pods.pop((namespace, name), None)
        if _all_serve(found, deployment):
            runtime.own_pods[namespace, name] = (of, runtime.now(), found)
    return found


def _of(release: Release, deployment: Object) -> tuple[Any, ...]:
    meta = deployment["metadata"]
    return meta.get("uid", ""), meta.get("resourceVersion", ""), release.status.target


def _all_serve(pods: Sequence[PodFacts], deployment: Object) -> bool:
    """True where the pods and their Deployment's status agree that as many as wanted are ready, all of them in traffic."""
    spec, status, meta = deployment["spec"], deployment.get("status") or {}, deployment["metadata"]
    there = [one for one in pods if not one.ended]
    observed = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    counted = {status.get(count, 0) for count in ("replicas", "updatedReplicas", "readyReplicas")}
    serve = all(one.ready and one.in_traffic and not one.deleting for one in there)
    return bool(there) and observed and counted == {spec.get("replicas", 1)} == {len(there)} and serve
