"""Objects of the API server: Incidents and Releases as pointers, the Deployment and its ReplicaSets as they are."""

import copy
from collections.abc import Container
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release
from opsloop.core.gate.evidence import ReplicaSetSeen, WorkloadSeen
from opsloop.core.release.revisions import digest
from opsloop.errors import Invalid, NotFound
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, RELEASES, REPLICASETS, Object, Reader

_HASH = "pod-template-hash"


async def incidents(reader: Reader, namespace: str) -> tuple[Incident, ...]:
    """All Incidents of the namespace."""
    return tuple(Incident.model_validate(item) for item in await reader.list(INCIDENTS, namespace))


async def releases(reader: Reader, namespace: str) -> tuple[Release, ...]:
    """All Releases of the namespace."""
    return tuple(Release.model_validate(item) for item in await reader.list(RELEASES, namespace))


async def workload(reader: Reader, namespace: str, name: str) -> WorkloadSeen:
    """The Deployment now, with the digest of its template computed here, and its ReplicaSets."""
    deployment = await reader.get(DEPLOYMENTS, namespace, name)
    owned = [
        rs for rs in await reader.list(REPLICASETS, namespace) if is_owned(rs, {deployment["metadata"].get("uid", "")})
    ]
    return WorkloadSeen(
        name=name,
        digest=digest(deployment["spec"]["template"]),
        wanted=int(deployment["spec"].get("replicas", 1)),
        ready=int((deployment.get("status") or {}).get("readyReplicas") or 0),
        replica_sets=tuple(_replica_set(rs) for rs in owned),
    )


def is_owned(item: Object, uids: Container[str]) -> bool:
    """True where an owner of the object has one of these UIDs."""
    return any(owner.get("uid") in uids for owner in item["metadata"].get("ownerReferences") or [])


def _replica_set(item: Object) -> ReplicaSetSeen:
    created = ObjectMeta.model_validate(item["metadata"]).creation_timestamp
    if created is None:
        raise Invalid(f"ReplicaSet {item['metadata'].get('name')}: metadata.creationTimestamp is missing")
    return ReplicaSetSeen(
        name=item["metadata"]["name"],
        digest=digest(without_hash(item["spec"]["template"])),
        created_at=created,
        wanted=int(item["spec"].get("replicas") or 0),
        ready=int((item.get("status") or {}).get("readyReplicas") or 0),
    )


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """The template as the Deployment has it: its controller adds one label."""
    cleaned = copy.deepcopy(template)
    (cleaned.get("metadata", {}).get("labels") or {}).pop(_HASH, None)
    return cleaned


async def regression_case(reader: Reader, namespace: str, incident: Incident) -> EvalCase | None:
    """The case captured from this Incident: by the name that it points at, else by origin. None: there is none."""
    if incident.status.eval_case:
        try:
            return EvalCase.model_validate(await reader.get(EVALCASES, namespace, incident.status.eval_case))
        except NotFound:
            pass
    cases = [EvalCase.model_validate(item) for item in await reader.list(EVALCASES, namespace)]
    mine = [c for c in cases if c.spec.origin.kind == "regression" and c.spec.origin.incident == incident.metadata.name]
    return min(mine, key=lambda case: case.metadata.name, default=None)
