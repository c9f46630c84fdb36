"""The two locks that keep warm pods dark: labels and gate."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from opsloop.core.actions import SetWarm
from opsloop.errors import NotFound
from opsloop.names import GATE
from opsloop.shell.ports import PODS, Object
from opsloop.shell.reconcile.workloads import CLOSED
from opsloop.shell.runtime import Runtime


async def set_traffic(runtime: Runtime, namespace: str, action: SetWarm) -> None:
    """All pods beside each other, each to its end before anything is raised; a pod that was deleted is out of traffic already."""
    move = _into if action.open else _out
    for failure in await asyncio.gather(
        *(move(runtime, namespace, pod, action) for pod in action.pods), return_exceptions=True
    ):
        if isinstance(failure, BaseException) and not isinstance(failure, NotFound):
            raise failure


async def _into(runtime: Runtime, namespace: str, pod: str, action: SetWarm) -> None:
    """The label last of all would make a ready pod a surprise to a PodDisruptionBudget: so it comes first, then the gate."""
    if action.labels:
        await _label(runtime, namespace, pod, "add", action.labels)
    await _gate(runtime, namespace, pod, action)


async def _out(runtime: Runtime, namespace: str, pod: str, action: SetWarm) -> None:
    await _gate(runtime, namespace, pod, action)
    if action.labels:
        await _label(runtime, namespace, pod, "remove", action.labels)


def _gate(runtime: Runtime, namespace: str, pod: str, action: SetWarm) -> Coroutine[Any, Any, Object]:
    condition = {
        "type": GATE,
        "status": "True" if action.open else "False",
        "reason": "WarmServes" if action.open else CLOSED,
        "message": action.reason[:1000],
        "lastTransitionTime": runtime.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return runtime.writer.patch_pod_condition(namespace, pod, "", condition)


async def _label(runtime: Runtime, namespace: str, pod: str, op: str, labels: Mapping[str, str]) -> None:
    """Adds labels, or takes them away where they are there (to remove what is not is refused)."""
    if op == "remove":
        stored = await runtime.reader.get(PODS, namespace, pod)
        present = stored["metadata"].get("labels") or {}
        labels = {key: value for key, value in labels.items() if key in present}
    operations = [
        {"op": op, "path": f"/metadata/labels/{key.replace('~', '~0').replace('/', '~1')}"}
        | ({"value": value} if op == "add" else {})
        for key, value in sorted(labels.items())
    ]
    if operations:
        await runtime.writer.json_patch(PODS, namespace, pod, operations)
