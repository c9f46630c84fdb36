"""Objects of the API server: Incidents and Releases as pointers, the Deployment and its ReplicaSets as they are."""

import copy
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import ObjectMeta
from opsloop.api.release import Release
from opsloop.api.revision import Revision
from opsloop.core.gate.evidence import ReplicaSetSeen, WorkloadSeen
from opsloop.core.release import identity
from opsloop.core.release.revisions import digest
from opsloop.errors import Invalid, NotFound
from opsloop.names import FIELD_MANAGER, RELEASE, REVISION
from opsloop.shell.ports import (
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    EVALCASES,
    INCIDENTS,
    RELEASES,
    REPLICASETS,
    Object,
    Reader,
)
from opsloop.shell.watch.cache import paused_manager

_HASH = "pod-template-hash"


async def incidents(reader: Reader, namespace: str) -> tuple[Incident, ...]:
    """All Incidents of the namespace."""
    return tuple(Incident.model_validate(item) for item in await reader.list(INCIDENTS, namespace))


async def releases(reader: Reader, namespace: str) -> tuple[Release, ...]:
    """All Releases of the namespace."""
    return tuple(Release.model_validate(item) for item in await reader.list(RELEASES, namespace))


@dataclass(frozen=True, slots=True)
class Spellings:
    """Which revision of a Release a template is of, recomputed: the API server may have stored it otherwise than decided."""

    release: Release
    stored: Mapping[str, Mapping[str, Any]]  # digest → template of the ControllerRevision

    def digest_of(self, template: Mapping[str, Any]) -> str:
        """The template's own digest, or that of the revision of which it is another spelling.

        That the Release says so (`also`, `leftOut`) is no proof: the images must fit those of the revision's stored template.
        """
        own = digest(template, self.release.spec.ignore_stamps)
        history = self.release.status.revisions
        if any(own == revision.digest for revision in history):
            return own
        return next((r.digest for r in history if self._is_spelling(template, own, r)), own)

    def is_stored(self, wanted: str, template: Mapping[str, Any]) -> bool:
        """True where a stored template is that of this revision, by its own digest."""
        revision = next((r for r in self.release.status.revisions if r.digest == wanted), None)
        ignored, left_out = self.release.spec.ignore_stamps, revision.left_out if revision else ()
        own = {digest(template), digest(template, ignored), digest(identity.without(template, left_out), ignored)}
        return wanted in own

    def _is_spelling(self, template: Mapping[str, Any], own: str, revision: Revision) -> bool:
        own_without = digest(identity.without(template, revision.left_out), self.release.spec.ignore_stamps)
        said = own in revision.also or (revision.left_out and own_without in (revision.digest, *revision.also))
        stored = self.stored.get(revision.digest)
        if not said or stored is None or not self.is_stored(revision.digest, stored):
            return False
        return identity.images_of_both_may_be_same(stored, template)


async def spellings(reader: Reader, release: Release) -> Spellings:
    """With the templates that are stored for this Release."""
    found = await reader.list(CONTROLLERREVISIONS, release.metadata.namespace, {RELEASE: release.metadata.name})
    labelled = ((item["metadata"].get("labels") or {}, item.get("data") or {}) for item in found)
    return Spellings(release, {labels[REVISION]: data for labels, data in labelled if REVISION in labels})


async def workload(reader: Reader, namespace: str, release: Release) -> WorkloadSeen:
    """The Deployment now, with the digest of its template computed here, and its ReplicaSets."""
    name, spelled = release.spec.workload_ref.name, await spellings(reader, release)
    deployment = await reader.get(DEPLOYMENTS, namespace, name)
    owned = [
        rs for rs in await reader.list(REPLICASETS, namespace) if is_owned(rs, {deployment["metadata"].get("uid", "")})
    ]
    return WorkloadSeen(
        name=name,
        digest=spelled.digest_of(running_template(deployment, owned)),
        wanted=int(deployment["spec"].get("replicas", 1)),
        ready=int((deployment.get("status") or {}).get("readyReplicas") or 0),
        replica_sets=tuple(_replica_set(rs, spelled) for rs in owned),
    )


def running_template(deployment: dict[str, Any], owned: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The template that a Deployment runs: its own; of a guarded one, which is kept paused, that of the ReplicaSet with most
    ready pods."""
    template: dict[str, Any] = deployment["spec"]["template"]
    if not deployment["spec"].get("paused") or paused_manager(deployment).get("name") != FIELD_MANAGER:
        return template
    runs = max(owned, key=lambda rs: int((rs.get("status") or {}).get("readyReplicas") or 0), default=None)
    return template if runs is None else without_hash(runs["spec"]["template"])


def is_owned(item: Object, uids: Container[str]) -> bool:
    """True where an owner of the object has one of these UIDs."""
    return any(owner.get("uid") in uids for owner in item["metadata"].get("ownerReferences") or [])


def _replica_set(item: Object, spelled: Spellings) -> ReplicaSetSeen:
    created = ObjectMeta.model_validate(item["metadata"]).creation_timestamp
    if created is None:
        raise Invalid(f"ReplicaSet {item['metadata'].get('name')}: metadata.creationTimestamp is missing")
    return ReplicaSetSeen(
        name=item["metadata"]["name"],
        digest=spelled.digest_of(without_hash(item["spec"]["template"])),
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
