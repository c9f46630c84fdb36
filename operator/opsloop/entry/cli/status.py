"""`opsloop status REL [--watch]`: gathers what the tree shows, and shows it again when something changed."""

import argparse
import asyncio
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.entry.cli.acts import PREFIXES
from opsloop.entry.cli.found import bare, found
from opsloop.entry.cli.listing import serialized
from opsloop.entry.cli.out import say, say_rendered
from opsloop.entry.cli.tree import Seen, picture
from opsloop.errors import Forbidden, NotFound, OpsloopError
from opsloop.names import CANARY, WARM
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, PODS, RELEASES, Object

POLL = 1.0  # seconds between two looks of --watch
CLEAR = "\033[H\033[2J"


async def status(arguments: argparse.Namespace, cluster: Cluster) -> int:
    """Prints the tree (or JSON, YAML) once, or with --watch whenever it changes, until Ctrl-C."""
    name, before = bare(arguments.release, PREFIXES), None
    while True:
        objects = await _gathered(cluster, arguments.namespace, name)
        if arguments.output in ("json", "yaml"):
            shown = [serialized(objects, arguments.output)]
        else:
            shown = picture(_seen(objects), datetime.now(UTC), arguments.width or width())
        if shown != before:
            _show(shown, again=before is not None, watched=arguments.watch)
        if not arguments.watch:
            return 0
        before = shown
        await asyncio.sleep(POLL)


def _show(shown: list[str], again: bool, watched: bool) -> None:
    """On a terminal a watched picture takes the place of the one before; elsewhere it follows, with its time."""
    if watched and sys.stdout.isatty():
        say_rendered(CLEAR + "\n".join(shown))
        return
    if watched and again:
        say("")
    if watched:
        say(f"{datetime.now(UTC):%H:%M:%S} UTC")
    say_rendered("\n".join(shown))


async def _gathered(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """The Release and what belongs to it; a text in place of what cannot be read."""
    release = await found(cluster, RELEASES, namespace, name)
    state = release.get("status") or {}
    workload = release["spec"]["workloadRef"]["name"]
    incident = state.get("incident") or ""
    return {
        "release": release,
        "deployment": await _one(cluster, DEPLOYMENTS, namespace, workload),
        "canaryPods": await _some(cluster, PODS, namespace, {CANARY: name}),
        "warmPods": await _some(cluster, PODS, namespace, {WARM: name}) if _keeps_warm(state) else [],
        "incident": await _one(cluster, INCIDENTS, namespace, incident) if incident else None,
        "evalCases": await _cases(cluster, namespace, name),
    }


def _keeps_warm(status: Object) -> bool:
    return bool((status.get("warm") or {}).get("state", "Over") != "Over")


async def _one(cluster: Cluster, resource: Any, namespace: str, name: str) -> Object | None:
    try:
        return await cluster.get(resource, namespace, name)
    except (NotFound, Forbidden):
        return None


async def _some(cluster: Cluster, resource: Any, namespace: str, labels: dict[str, str]) -> list[Object] | str:
    try:
        items = await cluster.list(resource, namespace, labels)
    except OpsloopError as error:
        return str(error)
    return sorted(items, key=lambda item: item["metadata"]["name"])


async def _cases(cluster: Cluster, namespace: str, name: str) -> list[Object] | str:
    cases = await _some(cluster, EVALCASES, namespace, {})
    return cases if isinstance(cases, str) else [case for case in cases if case["spec"].get("release") == name]


def _seen(objects: dict[str, Any]) -> Seen:
    pods, cases, incident = objects["canaryPods"], objects["evalCases"], objects["incident"]
    warm = objects["warmPods"]
    return Seen(
        release=Release.model_validate(objects["release"]),
        deployment=objects["deployment"],
        pods=pods if isinstance(pods, str) else tuple(pods),
        warm=warm if isinstance(warm, str) else tuple(warm),
        incident=Incident.model_validate(incident) if incident else None,
        cases=cases if isinstance(cases, str) else tuple(EvalCase.model_validate(case) for case in cases),
    )


def width() -> int:
    """Columns of the terminal, 120 where there is none."""
    return shutil.get_terminal_size((120, 24)).columns
