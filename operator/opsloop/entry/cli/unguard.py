"""`opsloop unguard`: unpauses Deployments that opsloop keeps paused, where no operator does it (any more)."""

import argparse
import asyncio
import time

from opsloop.entry.cli.out import complain, say
from opsloop.errors import Conflict, NotFound
from opsloop.names import FIELD_MANAGER
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, PODS, RELEASES, Object
from opsloop.shell.reconcile import guarded
from opsloop.shell.watch.cache import paused_manager

PAUSE = 1.0  # seconds between two looks while an operator may still be ending


async def unguard(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Unpauses them with the template that runs, so that nothing moves. Exit code 2 where a Release still guards one.

    `--quiet SECONDS` looks again until nothing was paused for so long: an operator that is ending may pause once more.
    """
    left, quiet_since = 0, time.monotonic()
    while True:
        left, again = 0, False
        for namespace in arguments.namespace or [""]:
            for deployment in await _paused(cluster, namespace):
                if not arguments.force and (release := await _release_of(cluster, deployment)):
                    left += 1
                    complain(
                        f"{_name(deployment)} is guarded by Release {release}: set its spec.guard to false instead, or use --force"
                    )
                else:
                    again |= not await _let_go(cluster, deployment)
                    quiet_since = time.monotonic()
        if not again and time.monotonic() - quiet_since >= arguments.quiet:
            return 2 if left else 0
        await asyncio.sleep(PAUSE)


async def _paused(cluster: Cluster, namespace: str) -> list[Object]:
    listed = await cluster.list(DEPLOYMENTS, namespace)
    return [d for d in listed if d["spec"].get("paused") and paused_manager(d).get("name") == FIELD_MANAGER]


async def _release_of(cluster: Cluster, deployment: Object) -> str:
    for item in await cluster.list(RELEASES, deployment["metadata"]["namespace"]):
        spec = item["spec"]
        if spec.get("guard") and spec["workloadRef"]["name"] == deployment["metadata"]["name"]:
            return str(item["metadata"]["name"])
    return ""


async def _let_go(cluster: Cluster, deployment: Object) -> bool:
    """True where it was unpaused; one that changed meanwhile is looked at again."""
    meta = deployment["metadata"]
    patch = await guarded.end_of_guard(cluster, deployment)
    try:
        for pod in await guarded.without_owner(cluster, deployment):
            await cluster.delete(PODS, meta["namespace"], pod.name, pod.uid)
        await cluster.json_patch(DEPLOYMENTS, meta["namespace"], meta["name"], patch)
    except (Conflict, NotFound) as error:
        say(f"{_name(deployment)}: {error}; it is looked at again")
        return False
    held = any(op["path"] == "/spec/template" for op in patch)
    say(f"{_name(deployment)} is unpaused{'; the template that was held back is taken off it' if held else ''}")
    return True


def _name(deployment: Object) -> str:
    return f"Deployment {deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
