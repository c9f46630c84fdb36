"""Removes stored pod templates that nobody names any more.

ControllerRevisions have no owner (see `core.actions.EnsureRevision`), so what a garbage collector would do is done here:
when a Release drops a revision from its list, and when the Release itself is gone.
"""

from collections.abc import Collection

from opsloop.names import RELEASE, REVISION, revision_name
from opsloop.shell.ports import CONTROLLERREVISIONS
from opsloop.shell.reconcile.manifests import MANAGED
from opsloop.shell.runtime import World


def named(world: World, namespace: str) -> set[str]:
    """Digests that an Incident or an EvalCase speaks of: they stay, also when their Release is gone."""
    found: set[str] = set()
    for incident in world.cache.incidents(namespace):
        status = incident.status
        found.update(status.blocked)
        found.update((status.rollback.from_digest, status.rollback.to_digest) if status.rollback else ())
        found.update((status.cause.revision,) if status.cause else ())
    for case in world.cache.evalcases(namespace):
        found.update((case.spec.proof.bad, case.spec.proof.good) if case.spec.proof else ())
    return found


async def retire(world: World, namespace: str, release: str, known: Collection[str]) -> None:
    """Delete this Release's stored templates that are neither `known` to it nor named by anybody."""
    stored = world.memory.templates.get((namespace, release))
    if stored is None:
        listed = await world.reader.list(CONTROLLERREVISIONS, namespace, {RELEASE: release})
        digests = {str(o["metadata"]["labels"].get(REVISION, "")) for o in listed}
    else:
        digests = set(stored)
    for digest in digests - set(known) - named(world, namespace) - {""}:
        await world.writer.delete(CONTROLLERREVISIONS, namespace, revision_name(release, digest))
        if stored is not None:
            stored.pop(digest, None)


async def orphans(world: World, namespaces: Collection[str]) -> set[tuple[str, str]]:
    """(namespace, Release) of stored templates whose Release is not there: it went while nobody was looking."""
    found: set[tuple[str, str]] = set()
    for namespace in namespaces or ("",):
        for item in await world.reader.list(CONTROLLERREVISIONS, namespace, MANAGED):
            meta = item["metadata"]
            found.add((meta.get("namespace", ""), meta["labels"].get(RELEASE, "")))
    return {key for key in found if key[1] and world.cache.get("Release", *key) is None}
