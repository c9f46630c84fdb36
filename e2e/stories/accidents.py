"""Accidents in mid-canary on a real cluster, asserted on the world: endpoints, pods, status.

A Deployment of the demo's service, a Release without an SLO whose first step holds for an hour, so that each accident meets a
canary in traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift

HOUR: list[Object] = [{"weight": 30, "hold": "1h"}, {"weight": 100, "hold": "1h"}]
QUICK: list[Object] = [{"weight": 30, "hold": "2s"}, {"weight": 100}]
NAME = "catalog"
LIVE = 2  # pods


def accidents(api: Client, name: str, seed: int) -> None:
    """Scaled to 0, `helm upgrade` and death of the operator, resources changed, a third version, back to live, Release and
    Deployment deleted, and an uninstall."""
    shift = story_shift(api, name, seed)
    _open(shift)
    _in_traffic(shift, "v4")
    _scaled_to_0(shift)
    _operator_replaced(shift)
    _resources_changed(shift)
    _ship(shift, "v3")
    shift.progress.wait("v4 to be out, and v3 to serve", 90, lambda: _serves(shift, "v3"), every=0.3)
    _ship(shift, "v1")
    _until_live_alone(shift, "the spec went back to live")
    _in_traffic(shift, "v4")
    shift.api.kubectl("-n", shift.namespace, "delete", "release", NAME)
    _until_live_alone(shift, "the Release was deleted")
    _in_traffic(shift, "v4")
    _deployment_deleted(shift)
    _uninstalled(shift)
    prepare.clear(shift)


def kills(api: Client, name: str, seed: int) -> None:
    """The operator is killed at five points of a promotion, each time of another one: every promotion ends as one."""
    shift = story_shift(api, name, seed)
    _open(shift)
    points: dict[str, Callable[[], object]] = {
        "its target is recorded": lambda: _target(shift).get("state") == "Dark",
        "its pods start": lambda: bool(_canaries(shift)),
        "it takes traffic": lambda: bool(_served_by_canaries(shift)),
        "its promotion is written": lambda: _target(shift).get("state") == "Promoting",
        "it is promoted": lambda: _target(shift).get("state") == "Promoted",
    }
    for version, (point, reached) in zip(("v4", "v3", "v4", "v3", "v4"), points.items(), strict=True):
        _killed(shift, version, point, reached)
    prepare.clear(shift)


def _killed(shift: Shift, version: str, point: str, reached: Callable[[], object]) -> None:
    def there() -> tuple[object, str]:
        return _target(shift).get("version") == version and reached(), str(_target(shift))

    def ended() -> tuple[object, str]:
        target = _target(shift)
        promoted = (target.get("version"), target.get("state")) == (version, "Promoted")
        return promoted and not _canaries(shift), str(target)

    _ship(shift, version, QUICK)
    shift.progress.wait(f"{version}: {point}", 90, there, every=0.1)
    shift.kill_operator(f"when {point}")
    shift.progress.wait(f"{version} to be promoted all the same", 150, ended)
    shift.progress.wait("live alone", 60, lambda: _live_alone(shift, version), every=0.3)


def _scaled_to_0(shift: Shift) -> None:
    _kubectl(shift, "scale", f"deployment/{NAME}", "--replicas=0")
    shift.progress.wait(
        "nobody to serve, with live at 0", 30, lambda: (not _endpoints(shift), str(_endpoints(shift))), every=0.3
    )
    shift.progress.wait("no canary pod to be left", 60, lambda: (not _canaries(shift), str(_canaries(shift))))
    _kubectl(shift, "scale", f"deployment/{NAME}", f"--replicas={LIVE}")
    shift.progress.wait("v4 to serve again beside live", 90, lambda: _serves(shift, "v4"), every=0.3)


def _operator_replaced(shift: Shift) -> None:
    """`helm upgrade`, and a death: the canary stays as it is."""
    before = _canaries(shift)
    prepare.install_operator(shift, unguardOnUninstall=True, podAnnotations={"story": "upgraded"})
    _expect(shift, "helm upgrade leaves the canary in traffic", _serves(shift, "v4")[0] and _canaries(shift) == before)
    shift.kill_operator("in mid-canary")
    prepare.wait_available(shift.api, shift.progress, shift.ops, "opsloop", 90)
    _expect(shift, "so does the operator's death", _serves(shift, "v4")[0] and _canaries(shift) == before)


def _resources_changed(shift: Shift) -> None:
    before = set(_canaries(shift))
    _kubectl(shift, "set", "resources", f"deployment/{NAME}", "--requests=cpu=11m")

    def anew() -> tuple[object, str]:
        pods = shift.api.items("pods", shift.namespace, f"opsloop.dev/canary={NAME}")
        requests = [p["spec"]["containers"][0]["resources"].get("requests", {}).get("cpu") for p in pods]
        serves, seen = _serves(shift, "v4")
        return serves and not before & set(_canaries(shift)) and set(requests) == {"11m"}, f"{seen} {requests}"

    shift.progress.wait("the canary to start again with live's resources", 120, anew, every=0.5)


def _deployment_deleted(shift: Shift) -> None:
    _kubectl(shift, "delete", "deployment", NAME)
    shift.progress.wait(
        "nobody to serve without the Deployment", 60, lambda: (not _endpoints(shift), str(_endpoints(shift))), every=0.3
    )
    told = {c["type"]: c["status"] for c in shift.status(NAME).get("conditions", [])}
    _expect(shift, "the Release says WorkloadMissing", told.get("WorkloadMissing") == "True")
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(_shop(shift)))
    prepare.wait_available(shift.api, shift.progress, shift.namespace, NAME, 90)


def _uninstalled(shift: Shift) -> None:
    shift.progress.wait("v4 to serve", 120, lambda: _serves(shift, "v4"), every=0.5)
    shift.api.helm("uninstall", shift.release_name, "--namespace", shift.ops, seconds=120)
    found = _live_alone(shift, "v1")
    _expect(shift, f"after helm uninstall live serves alone: {found[1]}", found[0])
    _expect(shift, "and no canary is left", not _canaries(shift))


# what is written and looked at


def _open(shift: Shift) -> None:
    prepare.make_empty(shift)
    prepare.apply_crds(shift.api)
    shift.api.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(_shop(shift)))
    _ship(shift, "v1")
    prepare.install_operator(shift, unguardOnUninstall=True)
    prepare.wait_available(shift.api, shift.progress, shift.namespace, NAME, 90)
    shift.progress.wait("v1 to be adopted", 60, lambda: (shift.status(NAME).get("version") == "v1", "not yet"))


def _shop(shift: Shift) -> list[Object]:
    objects = [one for one in yaml.safe_load_all(prepare.manifests(shift)) if one]
    return [o for o in objects if o["metadata"]["name"] == NAME and o["kind"] in ("Deployment", "Service")]


def _ship(shift: Shift, version: str, steps: list[Object] = HOUR) -> None:
    spec: dict[str, Any] = {
        "workloadRef": {"name": NAME},
        "version": version,
        "images": {NAME: f"opsloop/helpdesk:{version}"},
        "strategy": {"canary": {"steps": steps}},
    }
    meta = {"name": NAME}
    shift.apply([{"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": meta, "spec": spec}])


def _in_traffic(shift: Shift, version: str) -> None:
    """v1 is live, and a canary of this version serves beside it. A Release that was deleted adopts v1 first."""
    if shift.api.get("releases", shift.namespace, NAME) is None:
        _ship(shift, "v1")
        shift.progress.wait("v1 to be adopted", 60, lambda: (shift.status(NAME).get("version") == "v1", "not yet"))
    _ship(shift, version)
    shift.progress.wait(f"{version} to serve", 90, lambda: _serves(shift, version), every=0.3)


def _serves(shift: Shift, version: str) -> tuple[object, str]:
    """Exactly one canary pod, of this version, serves beside live's."""
    target, ready = _target(shift), _endpoints(shift)
    canaries = _served_by_canaries(shift)
    right = len(canaries) == 1 and len(ready) == LIVE + 1
    seen = f"{target.get('version')} {target.get('state')} {target.get('message')}; endpoints {ready}"
    return right and (target.get("version"), target.get("state")) == (version, "Stepping"), seen


def _until_live_alone(shift: Shift, why: str) -> None:
    shift.progress.wait(f"live to serve alone, since {why}", 60, lambda: _live_alone(shift, "v1"), every=0.3)
    shift.progress.wait("no canary pod to be left", 60, lambda: (not _canaries(shift), str(_canaries(shift))))


def _live_alone(shift: Shift, version: str) -> tuple[bool, str]:
    pods = {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in _items(shift, "pods", f"app={NAME}")}
    ready = _endpoints(shift)
    alone = len(ready) == LIVE and {pods.get(name) for name in ready} == {f"opsloop/helpdesk:{version}"}
    return alone and not _served_by_canaries(shift), f"endpoints {ready}, pods {pods}"


def _endpoints(shift: Shift) -> list[str]:
    """Names of the pods that the Service sends requests to."""
    slices = _items(shift, "endpointslices", f"kubernetes.io/service-name={NAME}")
    ready = [e for one in slices for e in one.get("endpoints") or [] if e.get("conditions", {}).get("ready")]
    return sorted(e["targetRef"]["name"] for e in ready)


def _canaries(shift: Shift) -> list[str]:
    pods = _items(shift, "pods", f"opsloop.dev/canary={NAME}")
    return sorted(p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"])


def _served_by_canaries(shift: Shift) -> set[str]:
    return set(_endpoints(shift)) & {p["metadata"]["name"] for p in _items(shift, "pods", f"opsloop.dev/canary={NAME}")}


def _items(shift: Shift, plural: str, selector: str) -> list[Object]:
    return shift.api.items(plural, shift.namespace, selector)


def _target(shift: Shift) -> Object:
    found: Object = shift.status(NAME).get("target") or {}
    return found


def _kubectl(shift: Shift, *arguments: str) -> str:
    return shift.api.said("-n", shift.namespace, *arguments)


def _expect(shift: Shift, what: str, holds: object) -> None:
    if not holds:
        raise StageFailed(f"{what}: no. {_endpoints(shift)}, canaries {_canaries(shift)}, {_target(shift)}")
    shift.progress.say(f"   {what}")
