"""The CRDs are deleted while a canary is in traffic and a Deployment is kept paused: neither is left behind, and all comes back with them.

It takes the kinds from every other namespace too: `e2e.stories` runs it when no other story is left.
"""

from __future__ import annotations

from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories import guard
from e2e.stories.guard import BAD, GOOD, NAME
from e2e.stories.shifts import story_shift

KINDS = ("releases", "incidents", "runbooks", "evalcases", "stops")


def lost(api: Client, name: str, seed: int) -> None:
    """A guarded canary in traffic; every CRD goes; what is left behind; they come back, and a canary runs as before."""
    shift = story_shift(api, name, seed)
    make_empty(shift)
    apply_crds(shift.api)
    try:
        _lose(shift)
    finally:
        apply_crds(shift.api)
    _come_back(shift)
    clear(shift)


def _lose(shift: Shift) -> None:
    shift.apply(guard.manifests())
    wait_available(shift.api, shift.progress, shift.namespace, NAME, 120)
    install_operator(shift)
    _release(shift)
    _ship(shift, GOOD)
    shift.progress.wait("the canary to take traffic", 90, lambda: (_in_traffic(shift) > 0, str(_canary(shift))))
    shift.progress.wait("the Deployment to be paused", 30, lambda: (guard.is_paused(shift), "not yet"))
    shift.api.kubectl("delete", "crd", *(f"{kind}.opsloop.dev" for kind in KINDS), "--timeout=60s")
    shift.progress.say("the CRDs are gone, with a canary in traffic")
    shift.progress.wait("the Deployment to be unpaused", 90, lambda: (not guard.is_paused(shift), "still paused"))
    shift.progress.wait("the canary to leave the traffic", 120, lambda: (_in_traffic(shift) == 0, str(_canary(shift))))
    shift.progress.wait(
        "the canary's Deployment to go", 120,
        lambda: (shift.api.get("deployments", shift.namespace, f"{NAME}-canary") is None, "it is still there"),
    )  # fmt: skip


def _come_back(shift: Shift) -> None:
    """The Release again, beside the operator that was there all the while."""
    shift.api.kubectl("wait", "--for=condition=Established", "crd/releases.opsloop.dev", "--timeout=30s")
    _release(shift)
    _ship(shift, BAD)
    shift.progress.wait("bad to be canaried again", 120, lambda: (_in_traffic(shift) > 0, str(_canary(shift))))
    shift.progress.say("the same operator canaries again")


def _release(shift: Shift) -> None:
    canary = {"steps": [{"weight": 25, "approve": True}, {"weight": 100, "approve": True}]}
    spec = {"workloadRef": {"name": NAME}, "guard": True, "strategy": {"canary": canary}}
    shift.apply([{"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}])
    shift.progress.wait("the Deployment to be guarded", 120, lambda: guard.is_guarded(shift))


def _ship(shift: Shift, image: str) -> None:
    shift.api.kubectl("-n", shift.namespace, "set", "image", f"deployment/{NAME}", f"{NAME}={image}")
    shift.progress.wait(
        "it to wait for approval", 90,
        lambda: ((shift.status(NAME).get("target") or {}).get("state") in ("Dark", "Stepping"), str(shift.status(NAME).get("target"))),
    )  # fmt: skip
    shift.api.kubectl(
        "-n", shift.namespace, "annotate", "--overwrite", "release", NAME, f"opsloop.dev/approve={_version(shift)}/25"
    )


def _version(shift: Shift) -> str:
    version = (shift.status(NAME).get("target") or {}).get("version")
    if not version:
        raise StageFailed(f"the target has no version: {shift.status(NAME)}")
    return str(version)


def _canary(shift: Shift) -> list[Object]:
    found = shift.api.items("pods", shift.namespace, guard.CANARY_LABEL)
    return [{"name": p["metadata"]["name"], "conditions": p["status"].get("conditions", [])} for p in found]


def _in_traffic(shift: Shift) -> int:
    """Canary pods that are ready."""
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in pod["conditions"]) for pod in _canary(shift))
