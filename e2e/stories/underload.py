"""What no single request shows: latency and memory under load stop a version in the dark; a flaky case is set aside and stops none.

The service has no SLO and no users: all of it is decided by EvalCases, before a version gets any.
"""

from __future__ import annotations

import json
import time
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories import podinfo
from e2e.stories.shifts import story_shift

HOME = paths.REPO / "e2e" / "search"
NAME, IMAGE = "search", "opsloop/helpdesk:v1"
LOAD = {"requestsPerSecond": 10, "duration": "10s"}
ALL_GOOD = "100 of 100 replies good (100.0%)"


def underload(api: Client, name: str, seed: int) -> None:
    """A flaky case is found; a slow, a hungry and a killed version serve nobody; a good one is promoted without the flaky case."""
    shift = story_shift(api, name, seed)
    _open(shift)
    _shown_on_live(shift)
    _flaky_is_found(shift)
    _rejected(shift, "queue", {"FAULT": "queue"}, "busy failed", "wanted a reply within 1s")
    _rejected(shift, "hoard", {"FAULT": "hoard"}, "hungry failed: under load memory ", f"of at most 120Mi; {ALL_GOOD}")
    killed = {"FAULT": "hoard", "HOARD_MIB": "5"}
    _rejected(shift, "killed", killed, "failed: container search ended under load (OOMKilled)")
    _promoted(shift)
    clear(shift)


def _open(shift: Shift) -> None:
    make_empty(shift)
    apply_crds(shift.api)
    shift.api.kubectl("apply", "-f", "-", text=podinfo._monitoring(shift))
    program = {"service.py": (HOME / "service.py").read_text()}
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": program},
        *(one for one in yaml.safe_load_all((HOME / "manifests" / "search.yaml").read_text()) if one),
    ]
    shift.api.kubectl("-n", shift.namespace, "apply", "-f", "-", text=yaml.safe_dump_all(objects))
    for deployment in ("prometheus", "receiver", NAME):
        wait_available(shift.api, shift.progress, shift.namespace, deployment, 120)
    install_operator(shift)
    shift.apply([_release("v1", {}), *_cases(shift)])
    shift.progress.wait("search to be adopted", 60, lambda: (shift.status(NAME).get("live"), "not adopted"))
    shift.progress.say("search is adopted, with one case that is flaky and two checks under load")


def _release(version: str, env: dict[str, str]) -> Object:
    spec: dict[str, Any] = {
        "workloadRef": {"name": NAME},
        "version": version,
        "images": {NAME: IMAGE},
        "strategy": {"canary": {"steps": [{"weight": 50, "hold": "5s"}, {"weight": 100}]}},
        "evals": {"port": 8080},
    }
    variables = [{"name": name, "value": value} for name, value in (env | {"VERSION": version}).items()]
    if env:
        spec["templatePatch"] = {"spec": {"containers": [{"name": NAME, "env": variables}]}}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}


def _cases(shift: Shift) -> list[Object]:
    """Not one of them can be passed or failed by a single reply."""
    asked = {"path": "/search?q=boots", "port": 8080, "timeoutSeconds": 5}
    own = f'process_resident_memory_bytes{{namespace="{shift.namespace}",pod="{{{{pod}}}}"}}[{{{{window}}}}]'
    memory = {"name": "memory", "query": f"max(max_over_time({own}))", "max": "120Mi"}
    specs: dict[str, Object] = {
        "suggests-boots": {
            "request": {"path": "/suggest", "port": 8080},
            "expect": {"json": [{"path": "$.word", "equals": "boots"}]},
        },
        "busy": {"request": asked, "expect": {"maxLatency": "1s"}, "minShare": 0.9, "load": LOAD},
        "hungry": {
            "request": asked,
            "expect": {"status": 200},
            "minShare": 0.5,
            "load": {**LOAD, "measured": [memory]},
        },
    }
    meta = {"apiVersion": "opsloop.dev/v1alpha1", "kind": "EvalCase"}
    return [
        {**meta, "metadata": {"name": name}, "spec": {"release": NAME, "mustPass": True, **spec}}
        for name, spec in specs.items()
    ]


def _shown_on_live(shift: Shift) -> None:
    """`kubectl apply` of a case shows its result on live within a minute, by the command that a pipeline waits with."""
    began = time.monotonic()
    asked = {"path": "/search?q=boots", "port": 8080}
    spec = {"release": NAME, "request": asked, "expect": {"json": [{"path": "$.hits", "equals": "3"}]}}
    case = {"apiVersion": "opsloop.dev/v1alpha1", "kind": "EvalCase", "metadata": {"name": "finds-three"}, "spec": spec}
    shift.api.kubectl("-n", shift.namespace, "apply", "-f", "-", text=yaml.safe_dump(case))
    waiting = ("wait", "--for=condition=PassesOnLive", "evalcase/finds-three", "--timeout=60s")
    shift.api.kubectl("-n", shift.namespace, *waiting, seconds=70)
    shift.progress.say(f"an applied case passes on live after {time.monotonic() - began:.1f} s")


def _flaky_is_found(shift: Shift) -> None:
    """The same version is asked the same until its answers differ; the case says so where a person looks."""
    began = time.monotonic()

    def look() -> tuple[object, str]:
        case = shift.api.get("evalcases", shift.namespace, "suggests-boots") or {}
        steady: Object = next((c for c in case.get("status", {}).get("conditions", []) if c["type"] == "Steady"), {})
        return steady.get("reason") == "Flaky" and steady, f"{steady.get('reason')}: {steady.get('message')}"

    steady = shift.progress.wait("the case that is right in half of its answers to be set aside", 90, look)
    assert isinstance(steady, dict)
    shift.progress.say(f"flaky after {time.monotonic() - began:.0f} s: {steady['message']}")
    listed = shift.api.kubectl("-n", shift.namespace, "get", "evalcases")
    row = next(line for line in listed.splitlines() if line.startswith("suggests-boots"))
    events = shift.api.items("events", shift.namespace)
    told = [e for e in events if e.get("reason") == "Flaky" and e["involvedObject"]["name"] == "suggests-boots"]
    if "Flaky" not in row or not told:
        raise StageFailed(f"kubectl get evalcases shows {row!r}; Events: {told}")


def _rejected(shift: Shift, version: str, env: dict[str, str], *said: str) -> None:
    """By its check, in the dark, although each reply to a single request is right."""
    began = time.monotonic()
    shift.apply([_release(version, env)])
    shift.progress.wait(f"{version} to be rejected", 180, lambda: _is(shift, version, "Rejected"))
    target = shift.status(NAME)["target"]
    shift.progress.say(f"{version} is rejected after {time.monotonic() - began:.0f} s: {target['message'][:230]}")
    wrong = [text for text in said if text not in target["message"]]
    if (
        target["reason"] != "EvalFailed"
        or wrong
        or target.get("reachedAt")
        or "suggests-boots failed" in target["message"]
    ):
        raise StageFailed(f"{version} was to be rejected in the dark with {said}: {json.dumps(target)}")


def _promoted(shift: Shift) -> None:
    """A version as good as live passes both checks; the flaky case is named as set aside and stops nothing."""
    shift.apply([_release("v2", {"FAULT": ""})])
    shift.progress.wait("v2 to be promoted", 240, lambda: _is(shift, "v2", "Promoted"))
    status = shift.status(NAME)
    message, cases = status["target"]["message"], status["promotion"]["cases"]
    shift.progress.say(f"v2 is promoted on {cases}: {message}")
    if "set aside as flaky: suggests-boots" not in message or "and the pod within its bounds" not in message:
        raise StageFailed(f"the promotion's message is {message}")
    if not {"busy", "hungry"} <= set(cases) or "suggests-boots" in cases:
        raise StageFailed(f"the promotion rests on {cases}")


def _is(shift: Shift, version: str, state: str) -> tuple[object, str]:
    """Whether the target of this version is in this state, and what it says."""
    status = shift.status(NAME)
    target: Object = status.get("target") or {}
    held: Object = next((c for c in status.get("conditions", []) if c["type"] == "Held"), {})
    seen = f"{target.get('version')} {target.get('state')}: {target.get('message')}; {held.get('message')}"
    return (target.get("version"), target.get("state")) == (version, state), seen
