"""Garbage collection of stored pod templates.

ControllerRevisions have no owner reference (`core.actions.EnsureRevision` says why), so the API server does not collect
them. This module does, when a Release drops a revision from its list and when the Release itself was deleted.
"""

from collections.abc import Collection

from opsloop.names import RELEASE, REVISION, revision_name
from opsloop.shell.ports import CONTROLLERREVISIONS, NamespacedName
from opsloop.shell.reconcile.manifests import MANAGED
from opsloop.shell.runtime import Runtime


async def collect_garbage(runtime: Runtime, namespace: str, release: str, listed: Collection[str]) -> None:
    """Deletes this Release's stored templates that neither its status lists nor an Incident or EvalCase refers to."""
    owned = runtime.owned.templates.get((namespace, release))
    stored = set(owned) if owned is not None else await _stored_digests(runtime, namespace, release)
    for digest in sorted(stored - set(listed) - referenced_digests(runtime, namespace) - {""}):
        await runtime.writer.delete(CONTROLLERREVISIONS, namespace, revision_name(release, digest))
        if owned is not None:
            owned.pop(digest, None)


async def _stored_digests(runtime: Runtime, namespace: str, release: str) -> set[str]:
    revisions = await runtime.reader.list(CONTROLLERREVISIONS, namespace, {RELEASE: release})
    return {str(revision["metadata"]["labels"].get(REVISION, "")) for revision in revisions}


def referenced_digests(runtime: Runtime, namespace: str) -> set[str]:
    """Digests that an Incident or an EvalCase refers to: their templates stay, even after the Release is gone."""
    digests: set[str] = set()
    for incident in runtime.cache.incidents(namespace):
        status = incident.status
        digests.update(status.blocked)
        digests.update((status.rollback.from_digest, status.rollback.to_digest) if status.rollback else ())
        digests.update((status.cause.revision,) if status.cause else ())
    for case in runtime.cache.evalcases(namespace):
        digests.update((case.spec.proof.bad, case.spec.proof.good) if case.spec.proof else ())
    return digests


async def orphaned_releases(runtime: Runtime, namespaces: Collection[str]) -> set[NamespacedName]:
    """Releases that were deleted while no operator ran: their templates are stored, and they are not in the cache."""
    releases: set[NamespacedName] = set()
    for namespace in namespaces or ("",):
        for revision in await runtime.reader.list(CONTROLLERREVISIONS, namespace, MANAGED):
            meta = revision["metadata"]
            releases.add((meta.get("namespace", ""), meta["labels"].get(RELEASE, "")))
    return {release for release in releases if release[1] and runtime.cache.get("Release", *release) is None}
