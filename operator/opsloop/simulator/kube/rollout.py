"""How a Deployment moves from one template to the next: pure functions of pods and numbers."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsloop.shell.ports import Object

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' letters for names that it makes up


@dataclass(frozen=True, slots=True)
class Member:
    """A pod that counts: its name, whether it has the present template, and whether it is available."""

    name: str
    new: bool
    available: bool


@dataclass(frozen=True, slots=True)
class Moves:
    """What the controller does now: pods to start, and names of pods to delete."""

    start: int = 0
    stop: tuple[str, ...] = ()


def template_hash(template: Mapping[str, Any]) -> str:
    """Ten letters that stand for a pod template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def suffix(number: int) -> str:
    """Five letters for the n-th pod."""
    digest = hashlib.sha256(str(number).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:5])


def bounds(spec: Object) -> tuple[int, int]:
    """(maxSurge, maxUnavailable) in pods; 25 % each where the Deployment does not say. Never both 0."""
    rolling, replicas = spec.get("strategy", {}).get("rollingUpdate", {}), spec.get("replicas", 1)
    surge = _pods(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _pods(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _pods(value: int | str, replicas: int, rounded: Any) -> int:
    return int(rounded(int(value[:-1]) * replicas / 100)) if isinstance(value, str) else value


def moves(spec: Object, members: Sequence[Member]) -> Moves:
    """The next moves of a Deployment that is not paused."""
    replicas = spec.get("replicas", 1)
    new, old = [m for m in members if m.new], [m for m in members if not m.new]
    extra = tuple(m.name for m in sorted(new, key=lambda m: m.available)[: max(0, len(new) - replicas)])
    if spec.get("strategy", {}).get("type") == "Recreate" and old:
        return Moves(stop=(*extra, *(m.name for m in old)))
    surge, unavailable = bounds(spec)
    start = max(0, min(replicas - len(new), replicas + surge - len(members)))
    least = replicas - unavailable
    unready = [m.name for m in old if not m.available]
    waiting = sum(not m.available for m in new)
    broken = unready[: max(0, len(members) - least - waiting)]
    available = sum(m.available for m in members) - sum(m.available for m in new if m.name in extra)
    ready = [m.name for m in old if m.available][: max(0, available - least)]
    return Moves(start, (*extra, *broken, *ready))


def active_or_latest(sets: Sequence[str], active: Collection[str], wanted: str) -> str:
    """The ReplicaSet (of `sets`, oldest first) that a paused Deployment scales; empty where Kubernetes leaves all as they are.

    The only one with pods; without any the template's own, else the newest. With two it scales both in proportion when
    the number of pods changes, which the fake does not.
    """
    if len(active) == 1:
        return next(iter(active))
    if active or not sets:
        return ""
    return wanted if wanted in sets else sets[-1]


def scaled(spec: Object, members: Sequence[Member]) -> Moves:
    """The moves of a paused Deployment: it is scaled and keeps its templates."""
    short = spec.get("replicas", 1) - len(members)
    return Moves(max(0, short), tuple(m.name for m in sorted(members, key=lambda m: m.available)[: max(0, -short)]))
