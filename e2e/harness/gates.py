"""No weight was raised that had not been decided: gate openings of the audit log against the decided number of pods.

What is whose word:
- That and when a pod's status was patched, and by whom, is the API server's word (audit log).
- That a patch opens and not closes is the operator's: the field manager of the request. What an opening does, traffic,
  is counted elsewhere, by the shoppers (answers served by version).
- How many pods were decided, `decided`, is what had been *stored* in the Release's status. The audit log has no bodies,
  so a watch (`e2e.harness.recorder`) reads each stored version, and the time is that of the PUT in the audit log.
What follows if `undecided_openings` is empty: at no instant had the operator opened more gates than the last status
stored before said. It does not follow that the decision was right (that is for core's tests), nor that pods were ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.harness.audit import Request, gate_patches, select
from e2e.harness.recorder import Version
from opsloop import names
from opsloop.api.target import ACTIVE

Decided = Sequence[tuple[float, int]]  # (from this instant on, so many pods may be in traffic)
WARM = re.compile(
    r"-warm-[a-z0-9]+-[a-z0-9]{5}$"
)  # the end of the name of a pod that is kept warm: it has a number of its own


@dataclass(frozen=True, slots=True)
class Undecided:
    """An opening after which more pods were in traffic than decided."""

    request: Request
    open: int
    decided: int


def openings(requests: Iterable[Request], namespace: str = "") -> list[Request]:
    """Successful openings."""
    return [r for r in gate_patches(requests, namespace) if r.field_manager == names.GATE_OPEN]


def closings(requests: Iterable[Request], namespace: str = "") -> list[Request]:
    """Successful closings."""
    return [r for r in gate_patches(requests, namespace) if r.field_manager == names.GATE_CLOSE]


def undecided_openings(
    requests: Iterable[Request], decided: Decided, namespace: str = "", warm: Decided = ()
) -> list[Undecided]:
    """Openings that exceeded the number of pods decided before they were received; [] is the promise kept. `warm`: the number
    for pods of last-good that are kept warm, which are counted apart.

    `found`: requests of the operator; with those of all users, pods that others deleted count as out of traffic too
    (without them they count as in traffic, which may accuse and cannot acquit). One Release per namespace is assumed.
    Whoever patches a pod's status counts, but for kubelets, which report in that way what they see; a patch that is
    neither an opening nor a closing by its field manager counts as an opening.
    """
    wrong, opened = [], set[str]()
    for request in sorted((r for r in requests if namespace in ("", r.namespace)), key=lambda r: r.time):
        if _leaves(request):
            opened.discard(request.name)
        elif request.verb == "delete" and request.target == "deployments" and request.ok:
            opened = {pod for pod in opened if not pod.startswith(f"{request.name}-")}
        elif request.verb == "patch" and request.target == "pods/status" and request.ok and not _kubelet(request):
            opened.add(request.name)
            kept = is_warm(request.name)
            alike = sum(is_warm(pod) == kept for pod in opened)
            allowed = _at(warm if kept else decided, request.time)
            if alike > allowed:
                wrong.append(Undecided(request, alike, allowed))
    return wrong


def is_warm(pod: str) -> bool:
    """True for the name of a pod of last-good that is kept warm."""
    return WARM.search(pod) is not None


def _leaves(request: Request) -> bool:
    """A pod that is closed, deleted, or was found gone by a patch."""
    if request.target == "pods" and request.verb == "delete":
        return request.ok
    patched = request.target == "pods/status" and request.verb == "patch"
    return patched and (request.code == 404 or (request.ok and request.field_manager == names.GATE_CLOSE))


def _kubelet(request: Request) -> bool:
    return request.user.startswith("system:node:")


def _at(decided: Decided, instant: float) -> int:
    return next((pods for since, pods in sorted(decided, reverse=True) if since < instant), 0)


def decided_by_status(
    versions: Iterable[Version], requests: Iterable[Request], namespace: str, release: str, warm: bool = False
) -> Decided:
    """The number of canary pods (or `warm` ones) that each stored status allows, from the instant at which its PUT was answered.

    `versions` are of a `Recorder` of releases that ran through the whole canary. What a watch showed had been stored by
    the last status PUT received before it; if a later PUT slipped in between, the time comes out late: it may accuse
    and cannot acquit.
    """
    puts = select(requests, "update", "releases/status", namespace, release)
    decided: list[tuple[float, int]] = []
    for version in versions:
        count = _warm if warm else _pods
        pods = count(version.status) if version.name == release else None
        if pods is not None and (not decided or decided[-1][1] != pods):
            stored = max((p.done for p in puts if p.time <= version.at), default=version.at)
            decided.append((min(stored, version.at), pods))
    return decided


def _pods(status: dict[str, Any]) -> int:
    target = status.get("target") or {}
    return int(target.get("pods", 0)) if target.get("state") in ACTIVE else 0


def _warm(status: dict[str, Any]) -> int:
    return int((status.get("warm") or {}).get("pods", 0))
