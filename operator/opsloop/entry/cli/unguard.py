"""`opsloop unguard`: what an operator that is gone would still have to do: unpause what it keeps paused, put HTTPRoutes of
rollouts back as they were found, and with `--canaries` take its canaries out of traffic and their labels off live pods."""

import argparse
import asyncio
import contextlib
import time
from datetime import UTC, datetime

from opsloop.api.meta import format_time
from opsloop.entry.cli.out import complain, say
from opsloop.errors import Conflict, NotFound, OpsloopError
from opsloop.names import CANARY, FIELD_MANAGER, GATE, WARM
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, PODS, RELEASES, Object
from opsloop.shell.reconcile import guarded, live_pods, routes
from opsloop.shell.reconcile.workloads import CLOSED
from opsloop.shell.watch.cache import paused_manager

PAUSE = 1.0  # seconds between two looks while an operator may still be ending


async def unguard(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Unpauses them with the template that runs, so that nothing moves. Exit code 2 where a Release still guards one.

    `--quiet SECONDS` looks again until nothing was found for so long: an operator that is ending may write once more.
    """
    left, quiet_since = 0, time.monotonic()
    while True:
        left, again = 0, False
        for namespace in arguments.namespace or [""]:
            try:
                for route in await _routes(cluster, namespace, forced=arguments.force or arguments.canaries):
                    again, quiet_since = True, time.monotonic()
                    say(f"HTTPRoute {route} is as it was found")
            except OpsloopError as error:  # it keeps nothing else from being let go
                left += 1
                complain(f"an HTTPRoute could not be put back: {error}")
            if arguments.canaries:
                try:
                    for pod in await live_pods.let_go(cluster, cluster, namespace):
                        quiet_since = time.monotonic()
                        say(f"Pod {pod} has no labels of a canary's time any more")
                except OpsloopError as error:
                    left += 1
                    complain(f"labels could not be taken off live pods: {error}")
            deployments = await cluster.list(DEPLOYMENTS, namespace)
            for canary in [d for d in deployments if arguments.canaries and _is_canary(d)]:
                try:
                    await _take_away(cluster, canary)
                    quiet_since = time.monotonic()
                except OpsloopError as error:
                    left += 1
                    complain(f"{_name(canary)} could not be taken away: {error}")
            for deployment in [d for d in deployments if _is_paused(d)]:
                if not arguments.force and (release := await _release_of(cluster, deployment)):
                    left += 1
                    complain(
                        f"{_name(deployment)} is guarded by Release {release}: set its spec.guard to false instead, or use --force"
                    )
                    continue
                try:
                    again |= not await _let_go(cluster, deployment)
                    quiet_since = time.monotonic()
                except OpsloopError as error:
                    left += 1
                    complain(f"{_name(deployment)} could not be unpaused: {error}")
        if not again and time.monotonic() - quiet_since >= arguments.quiet:
            return 2 if left else 0
        await asyncio.sleep(PAUSE)


def _is_paused(deployment: Object) -> bool:
    return bool(deployment["spec"].get("paused")) and paused_manager(deployment).get("name") == FIELD_MANAGER


def _is_canary(deployment: Object) -> bool:
    """True for a canary, and for pods that are kept warm for a rollback that nobody would decide."""
    meta = deployment["metadata"]
    return _key_of(deployment) in (meta.get("labels") or {}) and "deletionTimestamp" not in meta


def _key_of(deployment: Object) -> str:
    return WARM if WARM in (deployment["metadata"].get("labels") or {}) else CANARY


async def _take_away(cluster: Cluster, canary: Object) -> None:
    """Traffic before pods: its gates are closed, then it is deleted. Live serves on with the pods that it has."""
    meta, key = canary["metadata"], _key_of(canary)
    namespace, release = meta["namespace"], meta["labels"][key]
    closed = {"type": GATE, "status": "False", "reason": CLOSED, "message": "opsloop is being removed"}
    closed["lastTransitionTime"] = format_time(datetime.now(UTC))
    for pod in await cluster.list(PODS, namespace, {key: release}):
        with contextlib.suppress(NotFound):
            await cluster.patch_pod_condition(
                namespace, pod["metadata"]["name"], pod["metadata"].get("uid", ""), closed
            )
    await cluster.delete(DEPLOYMENTS, namespace, meta["name"], meta.get("uid", ""))
    what = "these warm pods" if key == WARM else "this canary"
    say(f"{_name(canary)} is taken out of traffic and deleted: nobody would watch {what} of Release {release}")


async def _routes(cluster: Cluster, namespace: str, forced: bool) -> list[str]:
    """Puts routes back whose rollout nobody follows any more: all where that is forced, else those of Releases that are gone."""
    kept = set() if forced else {_key(item) for item in await cluster.list(RELEASES, namespace)}
    return await routes.let_go(cluster, cluster, namespace, keep=kept)


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


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
