"""Reads a guarded Deployment: as it is written, and what its ReplicaSets run while it is paused.

Everything that looks at the live Deployment is given the view of what runs (`seen`); what is written is in `GuardFacts`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from opsloop.api.meta import parse_time
from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.facts import GuardFacts, OrphanFacts, SetFacts
from opsloop.core.release import guarding, identity, revisions
from opsloop.core.release.availability import most_unavailable
from opsloop.names import CANARY, FIELD_MANAGER
from opsloop.shell.ports import DEPLOYMENTS, PODS, RELEASES, REPLICASETS, Object, Reader
from opsloop.shell.reconcile.manifests import is_owned
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import paused_by, paused_manager

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
Templates = Mapping[str, Mapping[str, Any]]


async def seen(
    runtime: Runtime, release: Release, stored: Object, templates: Templates
) -> tuple[Object, GuardFacts | None]:
    """The Deployment as everything else shall see it, and what is written on it; (`stored`, None) of one without a guard.

    ReplicaSets are listed while it is paused, once for each version of the Deployment, and pods while some have no owner.
    """
    by = paused_by(stored)
    paused = bool(stored["spec"].get("paused"))
    if not release.spec.guard and not (paused and by == FIELD_MANAGER):
        runtime.guarded.pop(release.key, None)
        return stored, None
    template = stored["spec"]["template"]
    own = revisions.digest(template, release.spec.ignore_stamps)
    alone = guarding.state(release.status).orphaned
    sets = await _sets(runtime, release, stored) if alone or (paused and by == FIELD_MANAGER) else ()
    of, replicas = _identify(release, templates), stored["spec"].get("replicas", 1)
    guard = GuardFacts(
        template, of(template), own, paused, by, tuple(_facts(one, of) for one in sets),
        generation=stored["metadata"].get("generation", 0),
        orphans=tuple(await _orphans(runtime.reader, stored, sets, alone)),
        may_lack=most_unavailable(stored["spec"].get("strategy"), replicas),
    )  # fmt: skip
    if not guard.ours:
        return stored, guard
    return _view(stored, guard, release.status, templates), guard


async def write_that_lets_go(reader: Reader, namespace: str, name: str) -> tuple[list[Object], list[OrphanFacts]]:
    """The JSON patch that ends guarding of a Deployment without a Release, and the pods to delete before; empty where there
    is nothing to end.

    Everything is read anew: a cache that is behind must not unpause what is guarded.
    """
    stored = await reader.get(DEPLOYMENTS, namespace, name)
    if not stored["spec"].get("paused") or paused_manager(stored).get("name") != FIELD_MANAGER:
        return [], []
    listed = await reader.list(RELEASES, namespace)
    if any(item["spec"]["workloadRef"]["name"] == name for item in listed):
        return [], []
    return await end_of_guard(reader, stored), await without_owner(reader, stored)


async def without_owner(reader: Reader, deployment: Object) -> list[OrphanFacts]:
    """Pods of a Deployment that opsloop left paused whose ReplicaSet it deleted (`core.release.settling`): with the guard
    nobody would see to them any more."""
    return await _orphans(reader, deployment, await _owned(reader, deployment))


async def end_of_guard(reader: Reader, deployment: Object) -> list[Object]:
    """The JSON patch that unpauses with the template that runs: nothing moves, and what was held back is not shipped."""
    template = deployment["spec"]["template"]
    runs = guarding.running([_facts(one, revisions.digest) for one in await _owned(reader, deployment)])
    same = runs is None or revisions.canonical(runs.template) == revisions.canonical(template)
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": deployment["metadata"]["resourceVersion"]},
        *([] if same or runs is None else [{"op": "replace", "path": "/spec/template", "value": runs.template}]),
        {"op": "add", "path": "/spec/paused", "value": False},
    ]


async def _sets(runtime: Runtime, release: Release, stored: Object) -> Sequence[Object]:
    version = stored["metadata"].get("resourceVersion", "")
    known, sets = runtime.guarded.get(release.key, ("", ()))
    if known != version:
        sets = tuple(await _owned(runtime.reader, stored))
        runtime.guarded[release.key] = (version, sets)
    return sets


async def _owned(reader: Reader, deployment: Object) -> list[Object]:
    """The Deployment's ReplicaSets, oldest first."""
    meta = deployment["metadata"]
    selector = deployment["spec"]["selector"].get("matchLabels") or {}
    listed = await reader.list(REPLICASETS, meta["namespace"], selector)
    own = [one for one in listed if is_owned(one, {meta["uid"]})]
    return sorted(own, key=lambda one: (str(one["metadata"].get("creationTimestamp", "")), one["metadata"]["name"]))


async def _orphans(
    reader: Reader, deployment: Object, sets: Sequence[Object], hashes: Sequence[str] | None = None
) -> list[OrphanFacts]:
    """Pods of the Deployment's that no ReplicaSet owns, of these template hashes (None: of any), none of which has one."""
    if hashes is not None and not hashes:
        return []
    owned = {one["metadata"].get("labels", {}).get(_HASH) for one in sets}
    selector = deployment["spec"]["selector"].get("matchLabels") or {}
    found = []
    for pod in await reader.list(PODS, deployment["metadata"]["namespace"], selector):
        meta, status = pod["metadata"], pod.get("status") or {}
        labels = meta.get("labels") or {}
        of = labels.get(_HASH, "")
        nobodys = of and of not in owned and not meta.get("ownerReferences") and CANARY not in labels
        if not nobodys or "deletionTimestamp" in meta or (hashes is not None and of not in hashes):
            continue
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
        found.append(OrphanFacts(meta["name"], meta.get("uid", ""), ready))
    return found


def _identify(release: Release, templates: Templates) -> Any:
    """A function from a template to the digest of its revision: a known one, or its own."""
    ignored, history = release.spec.ignore_stamps, release.status.revisions

    def of(template: Mapping[str, Any]) -> str:
        return identity.identify(template, history, templates, ignored) or revisions.digest(template, ignored)

    return of


def _facts(one: Object, identify: Any) -> SetFacts:
    meta, spec, status = one["metadata"], one["spec"], one.get("status") or {}
    template = _without_hash(spec["template"])
    return SetFacts(
        name=meta["name"],
        uid=meta.get("uid", ""),
        version=meta.get("resourceVersion", ""),
        template=template,
        digest=identify(template),
        pods=max(spec.get("replicas", 1), status.get("replicas", 0)),
        created_at=parse_time(meta["creationTimestamp"]),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        revision=int((meta.get("annotations") or {}).get(_REVISION, 0)),
        hash=(meta.get("labels") or {}).get(_HASH, ""),
    )


def _without_hash(template: Object) -> Object:
    """The template as the Deployment has it: its controller adds one label."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**meta, "labels": labels}}


def _view(stored: Object, guard: GuardFacts, live: ReleaseStatus, templates: Templates) -> Object:
    """The paused Deployment as if it were not, with the template that its pods have."""
    runs = guarding.running(guard.sets, live.live, guarding.state(live).rolling)
    status = dict(stored.get("status") or {})
    template = runs.template if runs is not None else templates.get(live.live, guard.template)
    updated = runs.pods if runs is not None else 0
    status["replicas"] = status.get("replicas", 0) + len(guard.orphans)  # they serve as well, of another revision
    conditions = [c for c in status.get("conditions") or [] if c.get("type") != "Progressing"]
    if updated == status.get("replicas", 0):  # paused after a rollout that was complete
        conditions.append({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"})
    status |= {"updatedReplicas": updated, "conditions": conditions}
    return {**stored, "spec": {**stored["spec"], "template": template, "paused": False}, "status": status}
