"""`opsloop stop` and `resume`: set and take away the emergency stop."""

import argparse
import contextlib

from opsloop.api.meta import API_VERSION
from opsloop.entry.cli.out import say
from opsloop.errors import AlreadyExists
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import STOPS

NAME = "emergency"


async def stop(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Creates a Stop in the namespace; one that is there already keeps its reason. Says what stands afterwards."""
    namespace: str = arguments.namespace
    body = {
        "apiVersion": API_VERSION,
        "kind": "Stop",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"reason": arguments.reason},
    }
    with contextlib.suppress(AlreadyExists):
        await cluster.create(STOPS, namespace, body)
    for stored in await cluster.list(STOPS, namespace):
        say(f"Stop {namespace}/{stored['metadata']['name']}: {stored['spec']['reason']}")
    say(f"opsloop does not act in {namespace}; if it runs there, nowhere. To go on: opsloop resume -n {namespace}")
    return 0


async def resume(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Deletes every Stop of the namespace."""
    namespace: str = arguments.namespace
    stored = await cluster.list(STOPS, namespace)
    for item in stored:
        await cluster.delete(STOPS, namespace, item["metadata"]["name"], item["metadata"].get("uid", ""))
        say(f"Stop {namespace}/{item['metadata']['name']} is deleted")
    if not stored:
        say(f"there is no Stop in {namespace}; kubectl get stops -A lists all")
    return 0
