"""Reads who last wrote what a Release's pods use, for an Incident whose cause is looked for: metadata only, never a watch."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from opsloop.api.incident import Incident
from opsloop.core.facts import ObjectChange, ObjectChanges, ReleaseView
from opsloop.core.incident.cause import is_settled
from opsloop.core.incident.changes import Used, scaling, used_by, writes
from opsloop.errors import Forbidden, NotFound, OpsloopError
from opsloop.shell.ports import CONFIGMAPS, SECRETS, Object
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import SYNTHETIC

EVERY = timedelta(minutes=1)
MOST_WRITES = 200  # that are remembered for one Incident
RESOURCES = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


async def with_objects(runtime: Runtime, incident: Incident, root: ReleaseView, runs: Object | None) -> ReleaseView:
    """The root with the changes beside its template, while the Incident is open. `runs`: its Deployment with the template that its
    pods run; of a guarded one that is not always the stored one, and what no pod uses harms nobody.

    They are read at most once a minute; of an Incident whose cause is settled once per process, so that a restart does
    not make a revision likelier than it was.
    """
    namespace, status = root.release.metadata.namespace, incident.status
    key = (namespace, incident.metadata.name)
    if not is_explained_by_objects(incident) or runs is None:
        runtime.owned.objects.pop(key, None)
        return root
    known = runtime.owned.objects.get(key)
    if known is None or (not is_settled(status) and runtime.now() - known[0] >= EVERY):
        read = await _read(runtime, namespace, runs)
        before = known[1].found if known else ()
        kept = tuple(dict.fromkeys((*before, *read.found)))[-MOST_WRITES:]  # who writes again hides an earlier write
        known = runtime.owned.objects[key] = runtime.now(), replace(read, found=kept)
    scaled = scaling(runs["metadata"]["name"], (runs.get(SYNTHETIC) or {}).get("scaled") or {})
    read = known[1]
    return replace(root, objects=replace(read, found=(*read.found, scaled)) if scaled else read)


def is_explained_by_objects(incident: Incident) -> bool:
    """True while its cause may be looked for."""
    return incident.status.phase != "Resolved" and not incident.status.merged_into


async def _read(runtime: Runtime, namespace: str, deployment: Object) -> ObjectChanges:
    """One after the other; where the API server does not answer, the others are not asked for."""
    found: list[ObjectChange] = []
    unseen: list[str] = []
    left = list(used_by(deployment["spec"]["template"]))
    while left:
        used = left.pop(0)
        try:
            answer = await runtime.reader.metadata(RESOURCES[used.kind], namespace, used.name)
        except NotFound:
            continue  # optional, or its pods do not start, which they say themselves
        except Forbidden:
            unseen.append(f"{used.what} cannot be seen: opsloop may not read it")
        except OpsloopError:
            unseen += _unanswered([used, *left])
            break
        else:
            found += writes(used, answer["metadata"])
    return ObjectChanges(tuple(found), tuple(unseen))


def _unanswered(left: Iterable[Used]) -> list[str]:
    return [f"{used.what} cannot be seen: the API server did not answer" for used in left]
