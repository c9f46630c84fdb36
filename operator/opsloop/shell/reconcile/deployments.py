"""Writes to the user's Deployment: its whole pod template, its number of pods, and of a guarded one whether it is paused. Each has a precondition."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opsloop.core.actions import ScaleDeployment, SetPaused, SetTemplate
from opsloop.core.facts import TemplateWrite
from opsloop.core.release import revisions
from opsloop.errors import Conflict
from opsloop.shell.ports import DEPLOYMENTS, Object
from opsloop.shell.reconcile.cached import store_in_cache
from opsloop.shell.runtime import Runtime

TEMPLATE_TRIES = 3  # writes within one look; further ones wait for the queue's back-off


async def set_template(runtime: Runtime, namespace: str, obj: Object, action: SetTemplate) -> None:
    """Replaces the whole template, if it still is the observed one, and notes the digest that was stored.

    The patch tests the resourceVersion: a test on the template itself is refused for ever where it holds `&`, `<`, `>` or
    a non-ASCII letter, because the API server compares the bytes of JSON. The Deployment's own status moves that version
    while pods start or crash, so a conflict is answered by a live read and another try.
    """
    await _write_template(runtime, namespace, obj, action, [_replaced(action.template)])


async def set_paused(runtime: Runtime, namespace: str, obj: Object, action: SetPaused) -> None:
    """Pauses or unpauses, in the same patch with a template where there is one, if the Deployment still has the observed one."""
    template = [] if action.template is None else [_replaced(action.template)]
    paused = {"op": "add", "path": "/spec/paused", "value": action.paused}
    await _write_template(runtime, namespace, obj, action, [*template, paused])


def _replaced(template: Mapping[str, Any]) -> Object:
    return {"op": "replace", "path": "/spec/template", "value": template}


async def _write_template(
    runtime: Runtime, namespace: str, obj: Object, action: SetTemplate | SetPaused, operations: list[Object]
) -> None:
    ignored = obj.get("spec", {}).get("ignoreStamps") or ()

    def written(live: Object) -> list[Object]:
        _expect_template(live, action.expect, ignored)
        return operations

    stored = await _patch(runtime, namespace, action.deployment, written)
    digest = revisions.digest(stored["spec"]["template"], ignored)
    release = (namespace, obj["metadata"]["name"])
    runtime.owned.written[release] = TemplateWrite(action.digest, digest, runtime.now())


async def scale(runtime: Runtime, namespace: str, action: ScaleDeployment) -> None:
    """Sets `spec.replicas`, if it still is the number that was decided on."""

    def scaled(live: Object) -> list[Object]:
        present = live["spec"].get("replicas", 1)
        if present == action.replicas:
            return []
        if present != action.expect:
            raise Conflict(f"Deployment {namespace}/{action.deployment} has {present} pods, not {action.expect}")
        return [{"op": "add", "path": "/spec/replicas", "value": action.replicas}]

    await _patch(runtime, namespace, action.deployment, scaled)


def _expect_template(live: Object, digest: str, ignored: Iterable[str]) -> None:
    if revisions.digest(live["spec"]["template"], ignored) != digest:
        meta = live["metadata"]
        raise Conflict(f"Deployment {meta['namespace']}/{meta['name']} is not at {digest} any more")


async def _patch(runtime: Runtime, namespace: str, name: str, change: Callable[[Object], list[Object]]) -> Object:
    """Patches the Deployment as `change` says of it, no operation = nothing, under its resourceVersion; the object as it is stored.

    The Deployment's own status moves that version while pods start or crash, so a conflict is answered by a live read and
    another try. Conflict where `change` raises it, or the Deployment is gone.
    """
    live = runtime.cache.get("Deployment", namespace, name)
    for remaining in reversed(range(TEMPLATE_TRIES)):
        if live is None:
            raise Conflict(f"Deployment {namespace}/{name} is gone")
        wanted = change(live)
        if not wanted:
            return live
        version = {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}
        try:
            stored = await runtime.writer.json_patch(DEPLOYMENTS, namespace, name, [version, *wanted])
            break
        except Conflict:
            if not remaining:
                raise
            live = await runtime.reader.get(DEPLOYMENTS, namespace, name)
            runtime.cache.put("Deployment", live)
    store_in_cache(runtime, "Deployment", stored)
    return stored
