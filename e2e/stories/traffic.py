"""Weights on an HTTPRoute with a real data plane (Traefik): the measured share, abort, a reset by others, promotion, deletion."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from e2e.cluster import golang, images, paths
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift

HOME = paths.REPO / "e2e" / "gateway"
PODINFO = paths.REPO / "e2e" / "podinfo" / "manifests" / "podinfo.yaml"
NAME, ROUTE = "podinfo", "shop"
REQUESTS = 2000
CERTAINTY = 0.999  # of the binomial interval in which the share must lie
RULES: list[Object] = [
    {
        "name": "front",
        "matches": [{"path": {"type": "PathPrefix", "value": "/front"}}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}},
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-seen", "value": "a&b <ü>"}]}},
        ],
        "backendRefs": [{"name": NAME, "port": 9898}],
    },
    {
        "name": "other",
        "matches": [{"path": {"type": "PathPrefix", "value": "/other"}}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
        ],
        "backendRefs": [{"name": "other", "port": 80, "weight": 7}],
    },
]  # fmt: skip


def traffic(api: Client, name: str, seed: int) -> None:
    """Mirroring refused, testers alone, the share at 10 and 30, an abort, a GitOps tool's reset, a promotion under load; the Release deleted, and opsloop uninstalled, in
    mid-canary."""
    shift = story_shift(api, name, seed)
    _open(shift)
    found = _rules(shift)
    with _asking(shift) as asked:
        _mirror_is_not_tried(shift, found)
        _ship(shift, "good", "opsloop/podinfo:good")
        _testers(shift)
        _at(shift, 10)
        _measure(shift, 10)
        _nobody_else(shift)
        _drains_and_scalers(shift)
        _abort(shift, found)
        _promote(shift, found)
    _expect(shift, f"no request failed through abort and promotion: {asked[0]}", not asked[0]["failed"])
    _dark_by_pods(shift)
    _deleted(shift, found)
    _uninstalled(shift, found)
    _clear(shift)


def _open(shift: Shift) -> None:
    """podinfo behind a Gateway, before opsloop; then opsloop and a Release that names the route."""
    make_empty(shift)
    apply_crds(shift.api)
    shift.api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(golang.gateway_crds()))
    shift.api.kubectl(
        "wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=30s"
    )
    program = {"ask.py": (HOME / "ask.py").read_text()}
    client = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "client"}, "data": program}
    text = (HOME / "gateway.yaml").read_text().replace("CLASS", shift.namespace)
    text = text.replace("TRAEFIK", f"traefik:{images.TRAEFIK_VERSION}")
    _apply(shift, client, *yaml.safe_load_all(text), *yaml.safe_load_all(PODINFO.read_text()), *_routed())
    for deployment in ("traefik", "client", NAME):
        wait_available(shift.api, shift.progress, shift.namespace, deployment, 120)
    shift.progress.wait("the Gateway to serve", 60, lambda: _answers(shift))
    install_operator(shift, unguardOnUninstall=True)
    _adopt(shift, "6.9.2", "stefanprodan/podinfo:6.9.2")


def _adopt(shift: Shift, version: str, image: str) -> None:
    _apply(shift, _release(version, image))
    shift.progress.wait("the route to be ready", 60, lambda: _condition(shift, "RouteReady", "True"))


def _routed() -> list[Object]:
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "other"},
        "spec": {"selector": {"app": NAME}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }
    spec = {"parentRefs": [{"name": "edge"}], "rules": RULES}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": ROUTE},
        "spec": spec,
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": NAME},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": NAME}}},
    }
    return [other, route, budget]


TESTERS = {"match": {"headers": [{"name": "x-canary", "value": "yes"}]}, "hold": "1h"}


def _release(version: str, image: str, first: Object | None = None) -> Object:
    steps = [
        *([first] if first else []),
        {"weight": 10, "hold": "1s"},
        {"weight": 30, "approve": True},
        {"weight": 100, "approve": True},
    ]
    strategy = {"traffic": "httpRoute", "httpRoute": {"name": ROUTE}, "canary": {"steps": steps}}
    spec = {"workloadRef": {"name": NAME}, "version": version, "images": {NAME: image}, "strategy": strategy}
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec}


def _measure(shift: Shift, weight: int) -> None:
    low, high = interval(REQUESTS, weight / 100, CERTAINTY)
    found = _ask(shift, "edge", "/front", REQUESTS)
    share = f"{found['canary']} of {REQUESTS} requests at weight {weight} ({low} to {high} is the interval)"
    _expect(shift, share, low <= found["canary"] <= high and not found["failed"])


def _mirror_is_not_tried(shift: Shift, found: list[Object]) -> None:
    """Traefik lists no mirroring, and would answer such a rule by errors: said at rest, and the route is not touched."""
    _apply(shift, _release("6.9.2", "stefanprodan/podinfo:6.9.2", {"mirror": {"percent": 10}, "hold": "1s"}))
    shift.progress.wait("mirroring to be refused", 60, lambda: _condition(shift, "RouteReady", "False"), every=0.3)
    said = _condition_of(shift, "RouteReady")
    shift.progress.say(f"   {said['reason']}: {said['message']}")
    refused = said["reason"] == "MirrorUnsupported" and "HTTPRouteRequestMirror" in said["message"]
    _expect(shift, "the route is as it was", refused and _is_back(shift, found))
    _apply(shift, _release("6.9.2", "stefanprodan/podinfo:6.9.2", TESTERS))
    shift.progress.wait("the route to be ready", 60, lambda: _condition(shift, "RouteReady", "True"), every=0.3)


def _testers(shift: Shift) -> None:
    """Requests with the header reach the canary and no others do; with its hold over, it goes on."""

    def shown() -> tuple[object, str]:
        target = shift.status(NAME).get("target") or {}
        held = _condition_of(shift, "Held")
        return target.get("shown"), f"{target.get('state')}: {held.get('message')}"

    shift.progress.wait("the testers' rule to be taken", 90, shown, every=0.3)
    users, testers = _ask(shift, "edge", "/front", 500), _ask(shift, "edge", "/front", 300, header="x-canary: yes")
    _expect(shift, f"users reach nothing of the canary: {users}", (users["canary"], users["live"]) == (0, 500))
    _expect(shift, f"testers reach it alone: {testers}", (testers["canary"], testers["live"]) == (300, 0))
    other = _ask(shift, "edge", "/other", 100, header="x-canary: yes")
    _expect(
        shift, f"another rule is as it was, with the header too: {other}", (other["canary"], other["live"]) == (0, 100)
    )
    _apply(shift, _release("good", "opsloop/podinfo:good", {**TESTERS, "hold": "1s"}))


def _nobody_else(shift: Shift) -> None:
    """Neither the other rule, whose Service selects the same live pods, nor the Service itself sends the canary anything."""
    for host, path in (("edge", "/other"), (f"{NAME}:9898", "/"), ("other", "/")):
        found = _ask(shift, host, path, 300)
        _expect(shift, f"{host}{path}: {found}", (found["canary"], found["live"]) == (0, 300))


def _drains_and_scalers(shift: Shift) -> None:
    budget = shift.api.get("poddisruptionbudgets", shift.namespace, NAME) or {"status": {}}
    names = _counted(shift)
    status = budget["status"]
    _expect(
        shift,
        f"the budget sees live pods alone: {status.get('expectedPods')} expected, {status.get('disruptionsAllowed')} allowed",
        (status.get("expectedPods"), status.get("disruptionsAllowed")) == (3, 1),
    )
    _expect(shift, f"so would an autoscaler: {names}", len(names) == 3 and not [n for n in names if "canary" in n])


def _abort(shift: Shift, found: list[Object]) -> None:
    began = time.monotonic()
    _annotate(shift, "abort=good")
    shift.progress.wait("the route to be as it was", 30, lambda: (_is_back(shift, found), "other rules"), every=0.1)
    shift.progress.say(f"aborted: the route is as it was after {time.monotonic() - began:.1f} s")
    shift.progress.wait("the canary to go", 30, lambda: (shift.api.get("deployments", shift.namespace, f"{NAME}-canary") is None, ""))  # fmt: skip


def _promote(shift: Shift, found: list[Object]) -> None:
    """From anew to 30; a GitOps tool resets the list of rules, which is held; a person's order goes on."""
    _annotate(shift, "retry=1")
    _at(shift, 10)
    _annotate(shift, "approve=good/30")
    _at(shift, 30)
    _measure(shift, 30)
    text = yaml.safe_dump(_routed()[1])
    shift.api.kubectl("-n", shift.namespace, "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-", text=text)  # fmt: skip
    shift.progress.wait("the reset to be held", 30, lambda: _held(shift, "WeightLower"), every=0.3)
    time.sleep(3)
    _expect(shift, "what somebody lowered stays low", len(_rules(shift)[0]["backendRefs"]) == 1)
    _annotate(shift, "promote=good/100")
    shift.progress.wait("good to be promoted", 120, lambda: _target(shift, "good", "Promoted"))
    shift.progress.wait("the route to be as it was", 30, lambda: (_is_back(shift, found), "other rules"), every=0.3)
    shift.progress.wait("the canary to go", 30, lambda: (shift.api.get("deployments", shift.namespace, f"{NAME}-canary") is None, ""))  # fmt: skip


def _dark_by_pods(shift: Shift) -> None:
    """Without the route: a dark pod holds up no eviction under maxUnavailable, and has live's labels only while it serves."""
    steps = [{"weight": 25, "approve": True}, {"weight": 100, "approve": True}]
    spec = {"strategy": {"traffic": "replicas", "httpRoute": None, "canary": {"steps": steps}}}
    shift.api.kubectl("-n", shift.namespace, "patch", "release", NAME, "--type=merge", "-p", json.dumps({"spec": spec}))
    _ship(shift, "again", "opsloop/podinfo:bad-again")
    shift.progress.wait("the canary to be held dark", 90, lambda: _held(shift, "WaitingForApproval"), every=0.3)
    _drains_and_scalers(shift)
    live = shift.api.items("pods", shift.namespace, f"app={NAME}")[0]["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": live, "namespace": shift.namespace}}
    path = f"/api/v1/namespaces/{shift.namespace}/pods/{live}/eviction"
    shift.api.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(body))
    shift.progress.say(f"   {live} was evicted beside a dark canary, as a node's drain would")
    wait_available(shift.api, shift.progress, shift.namespace, NAME, 60)
    _annotate(shift, "approve=again/25")
    shift.progress.wait(
        "a canary pod to serve", 60, lambda: (len(_counted(shift)) == 4, str(_counted(shift))), every=0.3
    )
    _annotate(shift, "abort=again")
    shift.progress.wait("the canary to go", 30, lambda: (shift.api.get("deployments", shift.namespace, f"{NAME}-canary") is None, ""))  # fmt: skip
    back = {"spec": {**_release("good", "opsloop/podinfo:good")["spec"]}}
    shift.api.kubectl("-n", shift.namespace, "patch", "release", NAME, "--type=merge", "-p", json.dumps(back))
    shift.progress.wait("the route to be ready", 60, lambda: _condition(shift, "RouteReady", "True"))


def _counted(shift: Shift) -> list[str]:
    """Pods that an autoscaler of live's counts, which are no pods on their way out, and no dark one among them."""
    pods = [p["metadata"] for p in shift.api.items("pods", shift.namespace, f"app={NAME}")]
    return [pod["name"] for pod in pods if "deletionTimestamp" not in pod]


def _deleted(shift: Shift, found: list[Object]) -> None:
    _ship(shift, "again", "opsloop/podinfo:bad-again")
    _at(shift, 10)
    shift.api.kubectl("-n", shift.namespace, "delete", "release", NAME, "--wait=false")
    shift.progress.wait("the route to be as it was", 30, lambda: (_is_back(shift, found), "other rules"), every=0.1)
    service = shift.api.get("services", shift.namespace, f"{NAME}-canary")
    shift.progress.say(
        f"the Release is deleted, the route is as it was; its canary's Service {'goes' if service else 'is gone'}"
    )


def _uninstalled(shift: Shift, found: list[Object]) -> None:
    _adopt(shift, "good", "opsloop/podinfo:good")
    _ship(shift, "again", "opsloop/podinfo:bad-again")
    _at(shift, 10)
    shift.api.helm("uninstall", shift.release_name, "--namespace", shift.ops, seconds=120)
    _expect(shift, "an uninstall in mid-canary leaves the route as it was", _is_back(shift, found))
    asked = _ask(shift, "edge", "/front", 300)
    _expect(shift, f"nobody is sent to the canary that is left: {asked}", (asked["canary"], asked["live"]) == (0, 300))


# what is written and looked at


def interval(number: int, share: float, certainty: float) -> tuple[int, int]:
    """The counts between which all but a chance of 1 - certainty falls, half of it on each side; exact binomial sums."""
    logs = [
        math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
        + k * math.log(share) + (number - k) * math.log(1 - share)
        for k in range(number + 1)
    ]  # fmt: skip
    tail = (1 - certainty) / 2
    low, high, below, above = 0, number, math.exp(logs[0]), math.exp(logs[number])
    while below <= tail:
        low += 1
        below += math.exp(logs[low])
    while above <= tail:
        high -= 1
        above += math.exp(logs[high])
    return low, high


@contextmanager
def _asking(shift: Shift) -> Iterator[list[dict[str, Any]]]:
    """Requests to the routed path all the while; what came of them is in the list at the end."""
    asked: list[dict[str, Any]] = []
    _exec(shift, "rm", "-f", "/tmp/enough")
    thread = threading.Thread(
        target=lambda: asked.append(_ask(shift, "edge", "/front", 0, until="/tmp/enough", seconds=200)), daemon=True
    )
    thread.start()
    try:
        yield asked
    finally:
        _exec(shift, "touch", "/tmp/enough")
        thread.join(timeout=20)


def _ask(
    shift: Shift, host: str, path: str, number: int, until: str = "", seconds: float = 60, header: str = ""
) -> dict[str, Any]:
    more = [*(["--until", until] if until else []), *(["--header", header] if header else [])]
    said = _exec(shift, "python3", "/client/ask.py", host, path, str(number), *more, seconds=seconds)
    found: dict[str, Any] = json.loads(said)
    return found


def _exec(shift: Shift, *command: str, seconds: float = 60) -> str:
    return shift.api.kubectl("-n", shift.namespace, "exec", "deploy/client", "--", *command, seconds=seconds)


def _answers(shift: Shift) -> tuple[object, str]:
    found = _ask(shift, "edge", "/front", 5)
    return found["live"] == 5, json.dumps(found)


def _apply(shift: Shift, *objects: Object) -> None:
    shift.api.kubectl("-n", shift.namespace, "apply", "-f", "-", text=yaml.safe_dump_all(objects))


def _ship(shift: Shift, version: str, image: str) -> None:
    spec = {"version": version, "images": {NAME: image}}
    shift.api.kubectl("-n", shift.namespace, "patch", "release", NAME, "--type=merge", "-p", json.dumps({"spec": spec}))


def _annotate(shift: Shift, order: str) -> None:
    shift.api.kubectl("-n", shift.namespace, "annotate", "--overwrite", "release", NAME, f"opsloop.dev/{order}")


def _at(shift: Shift, weight: int) -> None:
    def reached() -> tuple[object, str]:
        target = shift.status(NAME).get("target") or {}
        held = _condition_of(shift, "Held")
        return target.get("routed") == weight, f"{target.get('state')} {target.get('weight')}: {held.get('message')}"

    shift.progress.wait(f"weight {weight} to be reached", 90, reached, every=0.3)


def _rules(shift: Shift) -> list[Object]:
    text = shift.api.kubectl("-n", shift.namespace, "get", "httproute", ROUTE, "-o", "json")
    found: list[Object] = json.loads(text)["spec"]["rules"]
    return found


def _is_back(shift: Shift, found: list[Object]) -> bool:
    text = shift.api.kubectl("-n", shift.namespace, "get", "httproute", ROUTE, "-o", "json")
    route = json.loads(text)
    marks = str(route["metadata"].get("labels")) + str((route["metadata"].get("annotations") or {}).keys())
    return bool(route["spec"]["rules"] == found and "opsloop" not in marks)


def _condition_of(shift: Shift, kind: str) -> Object:
    found: list[Object] = shift.status(NAME).get("conditions", [])
    return next((c for c in found if c["type"] == kind), {})


def _condition(shift: Shift, kind: str, status: str) -> tuple[object, str]:
    found = _condition_of(shift, kind)
    return found.get("status") == status, f"{found.get('reason')}: {found.get('message')}"


def _held(shift: Shift, reason: str) -> tuple[object, str]:
    found = _condition_of(shift, "Held")
    return (found.get("status"), found.get("reason")) == (
        "True",
        reason,
    ), f"{found.get('reason')}: {found.get('message')}"


def _target(shift: Shift, version: str, state: str) -> tuple[object, str]:
    target = shift.status(NAME).get("target") or {}
    held = _condition_of(shift, "Held")
    seen = f"{target.get('version')} {target.get('state')}: {target.get('message')}; {held.get('message')}"
    return (target.get("version"), target.get("state")) == (version, state), seen


def _expect(shift: Shift, what: str, holds: bool) -> None:
    if not holds:
        raise StageFailed(f"{what}: no. {shift.status(NAME).get('target')}; {_rules(shift)}")
    shift.progress.say(f"   {what}")


def _clear(shift: Shift) -> None:
    """What the namespaces do not take with them."""
    for kind in ("clusterrole", "clusterrolebinding", "gatewayclass"):
        shift.api.kubectl("delete", kind, shift.namespace, "--ignore-not-found", check=False)
    clear(shift)
