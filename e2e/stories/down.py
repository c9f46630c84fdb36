"""The page docs/operator-down.md, line by line, while the operator is scaled to 0; then it comes back and takes it as it is."""

from __future__ import annotations

import re
import shlex
from typing import Any

from e2e.cluster import paths
from e2e.drill.shift import Shift
from e2e.harness.progress import StageFailed

PAGE = paths.REPO / "docs" / "operator-down.md"
INSIDE = re.compile(r"\$\((kubectl [^)]*)\)")
BLOCK = re.compile(r"<!-- run by e2e/stories/down.py: -->\n```sh\n(.*?)```", re.DOTALL)


def lines() -> dict[str, str]:
    """The page's commands by the first word of the comment above each."""
    found = BLOCK.search(PAGE.read_text())
    if found is None:
        raise StageFailed(f"{PAGE.name} has no commands to run")
    parts = [part.strip().splitlines() for part in found[1].strip().split("\n\n")]
    return {comment.removeprefix("# ").split()[0].rstrip(":,"): command for comment, command in parts}


def while_down(shift: Shift, name: str, image: str, before: str) -> None:
    """Canary out, promote, undo, unguard; `image` is promoted, `before` is what ran. A canary must be in traffic."""
    given = lines()
    _scale(shift, 0)
    canary = f"{name}-canary"
    _run(shift, name, given["A"])
    _run(shift, name, given["Stay"])
    shift.progress.wait("the canary's pods to go", 60, lambda: (not _pods(shift, canary), "some are left"))
    _run(shift, name, given["Promote"].replace("IMAGE", image))
    shift.progress.wait("all pods to run what was promoted", 90, lambda: _runs(shift, name, image))
    _run(shift, name, given["Undo"])
    shift.progress.wait("all pods to run what was before", 90, lambda: _runs(shift, name, before))
    shift.api.kubectl("-n", shift.namespace, "rollout", "pause", f"deployment/{name}")
    _run(shift, name, given["Unguard"])
    told = _run(shift, name, given["Is"])
    if not re.search(rf"^{name}\s+(false|<none>)$", told, re.MULTILINE):
        raise StageFailed(f"{name} is still paused: {told}")
    _scale(shift, 1)
    shift.progress.wait("opsloop to take it as it is", 90, lambda: _at_rest(shift, name))
    if _pods(shift, canary):
        raise StageFailed("a canary is back in the traffic, which nobody asked for")
    shift.progress.say(f"{len(given)} lines of {PAGE.name} were run without the operator, and it took them as they are")


def _run(shift: Shift, name: str, command: str) -> str:
    """The command as it stands on the page, for this namespace and Deployment."""
    command = INSIDE.sub(lambda inner: _run(shift, name, inner[1]).strip(), command)
    words = shlex.split(command.replace("answers", name))
    return shift.api.kubectl(*(shift.namespace if word == "shop" else word for word in words[1:]))


def _scale(shift: Shift, replicas: int) -> None:
    shift.api.kubectl("-n", shift.ops, "scale", "deployment/opsloop", f"--replicas={replicas}")
    shift.progress.wait(
        f"the operator to have {replicas} pods", 90,
        lambda: (len(shift.api.items("pods", shift.ops, "app.kubernetes.io/name=opsloop")) == replicas, "not yet"),
    )  # fmt: skip


def _pods(shift: Shift, name: str) -> list[Any]:
    """Pods of a Deployment by their names."""
    pattern = re.compile(rf"{name}-[a-z0-9]+-[a-z0-9]{{5}}")
    return [p for p in shift.api.items("pods", shift.namespace) if pattern.fullmatch(p["metadata"]["name"])]


def _runs(shift: Shift, name: str, image: str) -> tuple[object, str]:
    images = {p["spec"]["containers"][0]["image"] for p in _pods(shift, name)}
    return images == {image}, f"they run {sorted(images)}"


def _at_rest(shift: Shift, name: str) -> tuple[object, str]:
    """The Release has seen it: no canary is on its way."""
    release = shift.api.get("releases", shift.namespace, name) or {}
    status = release.get("status", {})
    target = status.get("target") or {}
    over = target.get("state") not in ("Dark", "Stepping", "Promoting")
    seen = status.get("observedGeneration", 0) >= release.get("metadata", {}).get("generation", 1)
    return over and seen, f"target {target.get('state')} ({target.get('reason')}), phase {status.get('phase')}"
