"""Checks of a rollout on a cluster: a load test in the dark that passes and one that rejects, a confirmation that holds first, an abort
that ends the load, and what a team may not reach by a check."""

from __future__ import annotations

import json
import time
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import apply_crds, clear, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness import audit
from e2e.harness.client import Client, Object
from e2e.harness.progress import StageFailed
from e2e.stories.shifts import story_shift
from e2e.stories.tenants import account, rule

NAME, ACCOUNT, TOOLS = "podinfo", "rollout-checks", "opsloop/opsloop:dev"
FIRST, GOOD, BAD = "stefanprodan/podinfo:6.9.2", "opsloop/podinfo:good", "opsloop/podinfo:bad"

# What a load test is to opsloop: it asks the canary that its variables name, and its exit code is its word.
LOAD = """
import os, sys, time, urllib.error, urllib.request
url, times, bad = "http://%s:9898/version" % os.environ["OPSLOOP_CANARY_HOST"], [], 0
for n in range(200):
    began = time.monotonic()
    try:
        urllib.request.urlopen(url, timeout=2).read()
    except urllib.error.HTTPError:
        bad += 1
    times.append(time.monotonic() - began)
print("checked", os.environ["OPSLOOP_VERSION"], "at weight", os.environ["OPSLOOP_WEIGHT"], "requests 200 bad", bad,
      "p95 %.0f ms" % (sorted(times)[190] * 1000))
sys.exit(99 if bad > 2 else 0)
"""
# A person's word: no until somebody asks for /yes.
CONFIRM = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
state = {"yes": False, "asked": []}


class Confirm(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state["asked"].append([self.path, asked["check"], asked["version"], asked["weight"]])
        self.answer(200 if state["yes"] else 403)

    def do_GET(self):
        state["yes"] = state["yes"] or self.path == "/yes"
        self.answer(200)

    def answer(self, status):
        body = json.dumps(state).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8080), Confirm).serve_forever()
"""


def checked(api: Client, name: str, seed: int) -> None:
    """All of it, on one Deployment."""
    shift = story_shift(api, name, seed)
    shift.began = time.time()  # an earlier run's operator, which is being uninstalled, may ask in vain
    _open(shift)
    _without_rights(shift)
    _good(shift)
    _bad(shift)
    _aborted(shift)
    clear(shift)


def _open(shift: Shift) -> None:
    make_empty(shift)
    apply_crds(shift.api)
    objects = [o for o in yaml.safe_load_all((paths.REPO / "e2e/podinfo/manifests/podinfo.yaml").read_text()) if o]
    _apply(shift, *objects, *_confirm(), *account(ACCOUNT))
    wait_available(shift.api, shift.progress, shift.namespace, NAME, 120)
    wait_available(shift.api, shift.progress, shift.namespace, "confirm", 60)
    allowed = {"url": f"http://confirm.{shift.namespace}.svc:8080/", "namespaces": [shift.namespace], "internal": True}
    install_operator(shift, runbooks={"jobs": True, "webhooks": [allowed]})
    _ship(shift, "v1", FIRST)
    shift.progress.wait("v1 to be adopted", 60, lambda: (shift.status(NAME).get("live"), str(shift.status(NAME))[:200]))


def _without_rights(shift: Shift) -> None:
    """What its account may not create is not created, what nobody allowed is not called, and an account of somebody else cannot even be named."""
    _ship(shift, "v2", GOOD, _load(), _ask(), _foreign())
    shift.progress.wait("the canary to say which right its account lacks", 60, lambda: _held(shift, "Forbidden"))
    told = _condition(shift, "Held")["message"]
    _expect(shift, f"no Job runs: {told}", not shift.api.items("jobs", shift.namespace) and ACCOUNT in told)
    merge = json.dumps({"spec": {"serviceAccountName": "kube-system/default"}})
    said = shift.api.said("-n", shift.namespace, "patch", "release", NAME, "--type=merge", "-p", merge)
    _expect(shift, f"an account of another namespace: {said.strip()[-120:]!r}", "name of the object alone" in said)
    _apply(shift, *account(ACCOUNT, rule("batch", "jobs", "create"), rule("opsloop.dev", "webhooks", "create")))


def _good(shift: Shift) -> None:
    began = time.time()
    shift.progress.wait(
        "the load to have passed in the dark", 60, lambda: _result(shift, "load", 0, "Passed"), every=0.3
    )
    log = _check(shift, "load", 0)["message"]
    _expect(shift, f"its log is told: {log[-90:]!r}", "checked v2 at weight 0 requests 200 bad 0" in log)
    shift.progress.wait("the confirmation to hold it", 60, lambda: _held(shift, "CheckNotConfirmed"))
    target = shift.status(NAME)["target"]
    passed, served = _check(shift, "load", 0)["endedAt"], target["traffic"][0]
    _expect(shift, f"it served from {served} on, after the load at {passed}", passed <= served)
    foreign = _check(shift, "foreign", 25)
    _expect(
        shift, f"an address that nobody allowed: {foreign['message'][:90]}", foreign["reason"] == "AddressNotAllowed"
    )
    _expect(shift, "its weight stays", target["weight"] == 25)
    asked = _asked(shift, "yes")
    _expect(
        shift,
        f"it was asked {len(asked)} times",
        bool(asked) and {tuple(a) for a in asked} == {("/confirm", "confirm", "v2", 25)},
    )
    shift.progress.wait("v2 to be promoted", 90, lambda: _target(shift, "v2", "Promoted"))
    jobs = [r for r in _requests(shift, began) if (r.verb, r.target, r.code) == ("create", "jobs", 201)]
    _expect(shift, f"one Job was created: {[j.name for j in jobs]}", len(jobs) == 1)
    shift.progress.wait("the Job to go with its canary", 30, lambda: _no_jobs(shift))


def _bad(shift: Shift) -> None:
    began = time.monotonic()
    _ship(shift, "v3", BAD, _load(), _ask())
    shift.progress.wait("v3 to be rejected", 90, lambda: _target(shift, "v3", "Rejected"), every=0.3)
    target = shift.status(NAME)["target"]
    _expect(
        shift,
        f"rejected after {time.monotonic() - began:.0f} s, for: {target['message'][:200]!r}",
        target["reason"] == "CheckFailed" and "exit code 99" in target["message"] and not target.get("traffic"),
    )
    shift.progress.wait("its Job to be gone", 30, lambda: _no_jobs(shift))


def _aborted(shift: Shift) -> None:
    """An abort ends the load, and not at its deadline."""
    endless = {
        "name": "load",
        "job": {"image": TOOLS, "command": ["python3", "-c", "import time; time.sleep(600)"], "deadline": "15m"},
    }
    _ship(shift, "v4", FIRST, endless)
    shift.progress.wait("the load to run", 60, lambda: (_running(shift), "no pod of it runs"), every=0.3)
    shift.api.kubectl("-n", shift.namespace, "annotate", "release", NAME, "opsloop.dev/abort=v4")
    began = time.monotonic()
    shift.progress.wait("the load to end", 30, lambda: (not _running(shift), "it runs"), every=0.2)
    shift.progress.say(f"   an abort ended the load after {time.monotonic() - began:.1f} s")
    shift.progress.wait("v4 to be cancelled", 30, lambda: _target(shift, "v4", "Cancelled"))
    forbidden = audit.forbidden(_requests(shift, 0))
    _expect(shift, f"opsloop asked for nothing that it may not do: {forbidden[:3]}", not forbidden)


# --- what is applied


def _load() -> Object:
    return {"name": "load", "job": {"image": TOOLS, "command": ["python3", "-c", LOAD], "deadline": "1m"}}


def _ask() -> Object:
    return {"name": "confirm", "at": [25], "webhook": {"url": "", "timeout": "10m"}}


def _foreign() -> Object:
    """The metadata of a cloud, which no administrator allowed."""
    return {"name": "foreign", "at": [25], "dryRun": True, "webhook": {"url": "http://169.254.169.254/latest"}}


def _ship(shift: Shift, version: str, image: str, *checks: Object) -> None:
    for check in checks:
        if check["name"] == "confirm":
            check["webhook"]["url"] = f"http://confirm.{shift.namespace}.svc:8080/confirm"
    canary = {"steps": [{"weight": 25}, {"weight": 100}], "checks": list(checks)}
    spec = {
        "workloadRef": {"name": NAME},
        "version": version,
        "images": {NAME: image},
        "serviceAccountName": ACCOUNT,
        "strategy": {"canary": canary},
    }
    _apply(shift, {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": NAME}, "spec": spec})


def _confirm() -> list[Object]:
    labels = {"app": "confirm"}
    container = {
        "name": "confirm",
        "image": TOOLS,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", CONFIRM],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "confirm"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "confirm"},
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
    ]


def _apply(shift: Shift, *objects: Object) -> None:
    shift.api.kubectl("-n", shift.namespace, "apply", "-f", "-", text=yaml.safe_dump_all(objects))


# --- what is seen


def _asked(shift: Shift, word: str) -> list[list[Any]]:
    """What the confirmation was asked so far; `yes` makes it say so from now on."""
    said: Any = shift.api.service(shift.namespace, "confirm:8080", f"/{word}")
    return list((json.loads(said) if isinstance(said, bytes | str) else said)["asked"])


def _check(shift: Shift, name: str, weight: int) -> dict[str, Any]:
    target = shift.status(NAME).get("target") or {}
    return next((c for c in target.get("checks") or [] if (c["name"], c["weight"]) == (name, weight)), {})


def _result(shift: Shift, name: str, weight: int, wanted: str) -> tuple[object, str]:
    found = _check(shift, name, weight)
    return found.get("result") == wanted, f"{found}; {_condition(shift, 'Held')}"


def _condition(shift: Shift, type_: str) -> dict[str, str]:
    return next((c for c in shift.status(NAME).get("conditions") or [] if c["type"] == type_), {"message": ""})


def _held(shift: Shift, reason: str) -> tuple[object, str]:
    found = _condition(shift, "Held")
    return (found.get("status"), found.get("reason")) == ("True", reason), str(found)


def _target(shift: Shift, version: str, state: str) -> tuple[object, str]:
    target = shift.status(NAME).get("target") or {}
    return (target.get("version"), target.get("state")) == (version, state), f"{target}; {_condition(shift, 'Held')}"


def _no_jobs(shift: Shift) -> tuple[object, str]:
    names = [job["metadata"]["name"] for job in shift.api.items("jobs", shift.namespace)]
    return not names, f"{names}"


def _running(shift: Shift) -> bool:
    pods = shift.api.items("pods", shift.namespace, "batch.kubernetes.io/job-name")
    return any(p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"] for p in pods)


def _requests(shift: Shift, since: float) -> list[audit.Request]:
    return audit.requests(audit.operator_user(shift.ops), since=since or shift.began)


def _expect(shift: Shift, what: str, holds: bool) -> None:
    if not holds:
        raise StageFailed(f"{what}: no. {shift.status(NAME).get('target')}; {_condition(shift, 'Held')}")
    shift.progress.say(f"   {what}")
