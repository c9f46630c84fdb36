"""Pods: from scheduled over started to ready, and what goes wrong on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsloop.shell.ports import Object

RUNNING, PENDING, FAILED = "Running", "Pending", "Failed"


@dataclass(frozen=True, slots=True)
class Image:
    """How containers of one image start."""

    starts: float = 10.0  # seconds from the pod's creation until its containers are ready
    waiting: str = ""  # why they never are, for example CrashLoopBackOff


@dataclass(slots=True)
class Faults:
    """What is wrong with the cluster now; a world changes it."""

    no_room: bool = False  # new pods are not scheduled
    quota: int | None = None  # most pods of the namespace
    refused: str = ""  # admission refuses new pods, with these words
    down: set[str] = field(default_factory=set)  # Deployments whose containers are not ready
    sick: set[str] = field(default_factory=set)  # pods whose containers are not ready


def is_true(pod: Object, condition: str) -> bool:
    """True where the pod has this condition."""
    return any(c["type"] == condition and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


def is_ready(pod: Object) -> bool:
    """True where the pod is in its Services."""
    return is_true(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]


def is_active(pod: Object) -> bool:
    """True where a ReplicaSet counts it: it has not ended."""
    return bool(pod.get("status", {}).get("phase") != FAILED)


def status(pod: Object, image: Image, age: float, ip: str, at: str, faults: Faults, deployment: str) -> Object:
    """The status of a pod of this age in seconds; `at` stamps what changes. Conditions of other writers stay."""
    name, old = pod["metadata"]["name"], pod.get("status", {})
    if old.get("phase") == FAILED:
        return dict(old)
    scheduled = is_true(pod, "PodScheduled") or not faults.no_room
    started = scheduled and age >= image.starts and not image.waiting
    healthy = started and deployment not in faults.down and name not in faults.sick
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
    held: dict[str, Object] = {c["type"]: c for c in old.get("conditions", ())}
    values = {
        "PodScheduled": (scheduled, "" if scheduled else "Unschedulable"),
        "Initialized": (scheduled, ""),
        "ContainersReady": (healthy, "" if healthy else "ContainersNotReady"),
    }
    open_gates = all(held.get(gate, {}).get("status") == "True" for gate in gates)
    unready = "ContainersNotReady" if not healthy else "ReadinessGatesNotReady" if not open_gates else ""
    values["Ready"] = (healthy and open_gates, unready)
    for kind, (value, reason) in values.items():
        held[kind] = _condition(held.get(kind), kind, value, reason, at)
    return {
        **old,
        "phase": RUNNING if started else PENDING,
        **({"podIP": ip} if scheduled else {}),
        "conditions": list(held.values()),
        "containerStatuses": [_container(c, image, started, healthy) for c in pod["spec"]["containers"]],
    }


def _condition(old: Object | None, kind: str, value: bool, reason: str, at: str) -> Object:
    new: Object = {"type": kind, "status": str(value), **({"reason": reason} if reason else {})}
    if reason == "Unschedulable":
        new["message"] = "0/3 nodes are available: 3 Insufficient cpu."
    same = old is not None and old["status"] == new["status"]
    return new | {"lastTransitionTime": old["lastTransitionTime"] if old is not None and same else at}


def _container(container: Mapping[str, Any], image: Image, started: bool, ready: bool) -> Object:
    state: Object = {"running": {}} if started else {"waiting": {"reason": image.waiting or "ContainerCreating"}}
    return {"name": container["name"], "image": container["image"], "ready": ready, "restartCount": 0, "state": state}
