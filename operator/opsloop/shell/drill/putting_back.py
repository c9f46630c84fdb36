"""Live as it was before the drill: the good template on the Deployment, and the Release's spec, whatever the drill had reached."""

import copy
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from pydantic import ValidationError

from opsloop import names
from opsloop.api.release import Release
from opsloop.core.drill.order import Order, Template
from opsloop.core.release.revisions import digest, images_of
from opsloop.errors import Conflict, NotFound, OpsloopError, Unavailable
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, Object, Reader, Resource, Writer

_MARK = f"/metadata/annotations/{names.DRILL.replace('/', '~1')}"
TRIES, PAUSE = 60, 1.0  # looks at an API server that does not answer, or while others write the same object


class Cluster(Reader, Writer, Protocol):
    """The API server, with the caller's own rights."""


class NotPutBack(OpsloopError):
    """Live could not be put back; the message says what a person must do."""


async def put_back(
    cluster: Cluster,
    order: Order,
    pause: Callable[[float], Awaitable[None]],
    say: Callable[[str], None],
    unheard: Collection[str] = (),
) -> None:
    """Writes what differs, and nothing where a fix is live or somebody else has written something of their own.

    `unheard`: resourceVersions under which a write of the drill had no answer: it may still arrive, unless the object moves on first.
    Raises NotPutBack with the command for a person.
    """
    last: Exception | None = None
    for step in (_template_back, _spec_back):  # users first; neither waits for the other
        for number in range(TRIES):
            try:
                if told := await step(cluster, order, unheard):
                    say(told)
                break
            except (Conflict, Unavailable) as error:
                if number == TRIES - 1:
                    last = error
                await pause(PAUSE)
            except (OpsloopError, ValidationError) as error:
                last = error
                break
    if last is None:
        return
    raise NotPutBack(
        f"live could not be put back ({last}); do it by hand, now:"
        f" kubectl -n {order.namespace} rollout undo deployment/{order.workload}"
    ) from last


async def _spec_back(cluster: Cluster, order: Order, unheard: Collection[str]) -> str:
    """What was done; "" where the drill had not come to the fix."""
    try:
        stored = await _moved_on(cluster, RELEASES, order.namespace, order.release, unheard)
    except NotFound:
        return ""  # nothing asks for the fix any more
    release = Release.model_validate(stored)
    version, images = order.fix
    ours = (release.spec.version, release.spec.images) == (version, dict(images))
    target = release.status.target
    if not ours:
        return ""
    if target is not None and target.version == version and target.state in ("Promoting", "Promoted"):
        return f"Release {order.release} stays at the fix {version}, which is {target.state.lower()}"
    await write_spec(cluster, order, stored, order.before)
    return f"Release {order.release} is at {order.before[0]} again"


async def _moved_on(
    cluster: Cluster, resource: Resource, namespace: str, name: str, unheard: Collection[str]
) -> Object:
    """The object, at no resourceVersion that a write without an answer was made for: such a write is refused from then on.

    An annotation that is added and removed again moves it on; nothing of it stays. Raises Conflict where that write came first.
    """
    stored = await cluster.get(resource, namespace, name)
    if stored["metadata"]["resourceVersion"] not in unheard:
        return stored
    none = (
        [{"op": "add", "path": "/metadata/annotations", "value": {}}]
        if not stored["metadata"].get("annotations")
        else []
    )
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": stored["metadata"]["resourceVersion"]},
        *none,
        {"op": "add", "path": _MARK, "value": "a write of the drill had no answer and must not arrive any more"},
    ]
    await cluster.json_patch(resource, namespace, name, operations)
    return await cluster.json_patch(resource, namespace, name, [{"op": "remove", "path": _MARK}])


async def write_spec(cluster: Cluster, order: Order, stored: Object, wanted: tuple[str, Mapping[str, str]]) -> None:
    """Version and images of the Release's spec; images of other containers stay. Raises Conflict where somebody else wrote."""
    version, images = wanted
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": stored["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/version", "value": version},
        {"op": "add", "path": "/spec/images", "value": dict(images)}  # a Release may have had a templatePatch alone
        if images
        else {"op": "remove", "path": "/spec/images"},
    ]
    await cluster.json_patch(RELEASES, order.namespace, order.release, operations)


async def _template_back(cluster: Cluster, order: Order, unheard: Collection[str]) -> str:
    stored = await _moved_on(cluster, DEPLOYMENTS, order.namespace, order.workload, unheard)
    live = stored["spec"]["template"]
    if digest(live) == digest(order.good):
        return f"Deployment {order.workload} runs the good template"
    if order.fix[1].items() <= images_of(live).items():
        return f"Deployment {order.workload} runs the fix {order.fix[0]}"
    if not _is_ours(live, order.bad):
        return f"Deployment {order.workload} runs neither the good nor the bad template: it is left as somebody else wrote it"
    await write_template(cluster, order, stored, order.good)
    return f"the good template was written to Deployment {order.workload}"


def _is_ours(live: Template, bad: Template) -> bool:
    """The bad template as it was sent, or as admission completed it."""
    return digest(live) == digest(bad) or images_of(live) == images_of(bad)


async def write_template(cluster: Cluster, order: Order, stored: Object, template: Template) -> Template:
    """The pod template, whole, where the Deployment is still as it was read; as it is stored. Raises Conflict where it is not."""
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": stored["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/template", "value": copy.deepcopy(dict(template))},
    ]
    answer = await cluster.json_patch(DEPLOYMENTS, order.namespace, order.workload, operations)
    found: Template = answer["spec"]["template"]
    return found
