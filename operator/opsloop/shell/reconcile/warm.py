"""The two locks that keep warm pods dark, labels and gate: one write of a pod's status turns both."""

import asyncio

from opsloop.core.actions import SetWarm
from opsloop.errors import NotFound
from opsloop.names import GATE
from opsloop.shell.reconcile.workloads import CLOSED
from opsloop.shell.runtime import Runtime


async def set_traffic(runtime: Runtime, namespace: str, action: SetWarm) -> None:
    """All pods beside each other, each to its end before anything is raised; a pod that was deleted is out of traffic already."""
    condition = {
        "type": GATE,
        "status": "True" if action.open else "False",
        "reason": "WarmServes" if action.open else CLOSED,
        "message": action.reason[:1000],
        "lastTransitionTime": runtime.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    labels = {key: value if action.open else None for key, value in action.labels.items()}
    writes = (runtime.writer.patch_pod_condition(namespace, pod, "", condition, labels) for pod in action.pods)
    for failure in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(failure, BaseException) and not isinstance(failure, NotFound):
            raise failure
