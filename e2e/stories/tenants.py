"""Another team beside the shop: what it tries with opsloop's rights, each refused with its reason where people look.

Its namespace has Releases without a Deployment, whose Incidents are opened by critical alerts, and Runbooks for causes that nobody
knows. `probe` tries what it must not, `limit` runs into a limit, `flip` asks the on-call before each step while a name changes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from e2e.drill import prepare
from e2e.drill.shift import Shift
from e2e.harness.client import Object
from e2e.harness.progress import StageFailed
from e2e.stories import life

API = "opsloop.dev/v1alpha1"
RBAC = "rbac.authorization.k8s.io"
KEY = "k3y-of-the-story"  # in each URL, and nowhere in what is told
METADATA = "100.100.100.200"  # of a cloud, at an address that a Service may have
PROBE = ["rollback", "webhook", "webhook", "webhook", "webhook"]
WRITER = "writer"  # may write Runbooks, and create no Jobs
SERVER = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen = []


class Hooks(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        seen.append(path)
        self.send_response(307 if path == "/moved" else 200)
        if path == "/moved":
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8080), Hooks).serve_forever()
"""


def name_of(shift: Shift) -> str:
    """The other team's namespace."""
    return f"{shift.namespace}-tenant"


def team(shift: Shift) -> Shift:
    """The same cluster and operator, seen from the other team's namespace."""
    return replace(shift, namespace=name_of(shift))


def hooks(namespace: str) -> list[Object]:
    """A server that notes what is called; /moved leads to the metadata of a cloud."""
    labels = {"app": "hooks"}
    container = {
        "name": "hooks",
        "image": "opsloop/helpdesk:v1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hooks", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hooks", "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
    ]


def allowed(shift: Shift) -> list[Object]:
    """The administrator's addresses: one for the shop alone; for the team one that redirects, one whose name it controls, one that is
    private and not said to be, and, by mistake, the metadata of the cloud."""
    server, theirs = f"http://hooks.{shift.namespace}.svc:8080", [name_of(shift)]
    return [
        {"url": f"{server}/ok", "namespaces": [shift.namespace], "internal": True},
        {"url": f"{server}/moved", "namespaces": theirs, "internal": True},
        {"url": f"{server}/count", "namespaces": theirs, "internal": True},
        {"url": f"{server}/private", "namespaces": theirs},
        {"url": f"http://flip.{name_of(shift)}.svc:8080/", "namespaces": theirs, "internal": True},
        {"url": "http://169.254.169.254/", "namespaces": theirs, "internal": True},
    ]


def call(url: str) -> Object:
    """A step that calls it, with a key."""
    return {"type": "webhook", "webhook": {"url": f"{url}?token={KEY}"}, "verify": "none", "timeout": "30s"}


def runbook(name: str, *steps: Object, causes: str = "unknown", labels: dict[str, str] | None = None, **safety: Any) -> Object:  # fmt: skip
    """A Runbook of the account `runbook`."""
    match = {"causes": [causes], **({"releaseLabels": labels} if labels else {})}
    limits = {"mode": "auto", "cooldown": "5s", "maxPerHour": 50, "maxPerHourAndRelease": 50, **safety}
    spec = {"match": match, "steps": list(steps), "safety": limits, "serviceAccountName": "runbook"}
    return {"apiVersion": API, "kind": "Runbook", "metadata": {"name": name}, "spec": spec}


def account(name: str, *rules: Object) -> list[Object]:
    """A ServiceAccount with these rights in its namespace."""
    ref = {"apiGroup": RBAC, "kind": "Role", "name": name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}, "rules": list(rules)},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": ref,
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]


def rule(group: str, resource: str, *verbs: str, name: str = "") -> Object:
    """A rule of a Role."""
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **({"resourceNames": [name]} if name else {})}  # fmt: skip


def move_in(shift: Shift) -> None:
    """Its objects, and one critical alert on each of its services."""
    own, server = team(shift), f"http://hooks.{shift.namespace}.svc:8080"
    tries = [
        {"type": "rollback"},  # its Deployment is not one that its account may patch
        call(f"{server}/ok"),  # the shop's
        call("http://169.254.169.254/latest/meta-data"),
        call(f"{server}/private"),
        call(f"{server}/moved"),
    ]
    flip = call(f"http://flip.{own.namespace}.svc:8080/flip")
    own.apply(
        [
            *account("runbook", rule("opsloop.dev", "webhooks", "create")),
            *account(WRITER, rule("opsloop.dev", "runbooks", "get", "create", "patch")),
            *prepare.alert_sender(own.namespace, life.SENDER),
            *(_release(name) for name in ("probe", "limit", "flip")),
            runbook("probe", *tries, labels={"try": "probe"}),
            runbook("limit", *2 * [call(f"{server}/count")], labels={"try": "limit"}, maxPerHourAndRelease=1),
            runbook("flip", flip, flip, labels={"try": "flip"}, mode="approve"),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "flip"}, "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 8080}]}},
        ]
    )  # fmt: skip
    began = datetime.now(UTC) - timedelta(seconds=30)
    life.send(own, [[life.alert(name, f"{name}-0", began, severity="critical") for name in ("probe", "limit", "flip")]])


def _release(name: str) -> Object:
    spec = {"workloadRef": {"name": f"{name}-pods"}, "version": "v1", "images": {"app": f"{name}:v1"}}
    return {"apiVersion": API, "kind": "Release", "metadata": {"name": name, "labels": {"try": name}}, "spec": spec}


def lead_to(shift: Shift, address: str) -> None:
    """The team's own name `flip` resolves to this address."""
    team(shift).apply(
        [
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": "flip", "labels": {"kubernetes.io/service-name": "flip"}},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            }
        ]
    )


def plays(shift: Shift, incident: str) -> list[Object]:
    """An Incident's plays."""
    return list(shift.incident(incident).get("plays", []))


def acting(shift: Shift, incident: str, type_: str = "Acting") -> Object:
    """A condition of an Incident."""
    found = [c for c in shift.incident(incident).get("conditions", []) if c["type"] == type_]
    return dict(found[0]) if found else {}


def ended(shift: Shift, incident: str, wanted: int) -> tuple[object, str]:
    """Whether so many plays have ended."""
    found = plays(shift, incident)
    seen = [f"{p['type']} {p['state']} {p.get('reason', '')}" for p in found]
    return sum("endedAt" in p for p in found) >= wanted, f"{seen}, {acting(shift, incident)}"


def what_it_may_not_write(shift: Shift) -> None:
    """What no Runbook can even say, or not by somebody who may create no Jobs, is refused as it is written."""
    own, job = team(shift), {"type": "job", "job": {"image": "tools:1"}}
    foreign = runbook("foreign", {"type": "job", "job": {"image": "tools:1", "serviceAccountName": "deployer"}})
    elsewhere = runbook("elsewhere", job)
    elsewhere["spec"]["serviceAccountName"] = f"{shift.namespace}:runbook"
    abroad = _release("abroad")
    abroad["spec"]["workloadRef"] = {"name": "answers", "namespace": shift.namespace}
    writer = f"system:serviceaccount:{own.namespace}:{WRITER}"
    for what, item, user, words in (
        ("a Job as another account", foreign, "", "serviceAccountName"),
        ("a Job as another namespace's account", elsewhere, "", "ServiceAccount in the Runbook's namespace"),
        ("a rollback of another namespace's Deployment", abroad, "", "namespace"),
        ("a Job by somebody who may create none", runbook("lent", job), writer, "may create Jobs in this namespace"),
    ):
        _refused(own, what, words, ["apply", "-f", "-", *([f"--as={user}"] if user else [])], yaml.safe_dump(item))
    approval = ["annotate", "incident", "answers-1", "opsloop.dev/approve=rollback-1", f"--as={writer}"]
    _refused(shift, "an approval in another namespace", "orbidden", approval)


def _refused(shift: Shift, what: str, words: str, command: list[str], text: str | None = None) -> None:
    try:
        shift.api.kubectl("-n", shift.namespace, *command, text=text)
    except RuntimeError as error:
        if words in str(error):
            shift.progress.say(f"   refused: {what}: {str(error).splitlines()[-1][-160:]}")
            return
        raise StageFailed(f"{what} was refused otherwise: {error}") from error
    raise StageFailed(f"{what} was not refused")


def what_it_tried(shift: Shift) -> None:
    """Each step of `probe` was refused, or its redirect not followed, and the reason is in the timeline and in Ready."""
    own = team(shift)
    shift.progress.wait("the other team's tries to end", 120, lambda: ended(own, "probe-1", len(PROBE)))
    wanted = [
        ("rollback", "Refused", "Forbidden", "lacks the right to rollback probe"),
        ("webhook", "Refused", "AddressNotAllowed", "none of the addresses that opsloop's settings let"),
        ("webhook", "Refused", "AddressNotAllowed", "link-local"),
        ("webhook", "Refused", "AddressNotAllowed", "is a private address"),
        ("webhook", "NotProven", "WebhookFailed", "answered 307, and redirects are not followed"),
    ]
    told = " | ".join(e["message"] for e in own.incident("probe-1")["timeline"])
    for play, (type_, state, reason, words) in zip(plays(own, "probe-1"), wanted, strict=False):
        found = play["type"], play["state"], play.get("reason")
        if found != (type_, state, reason) or words not in play.get("message", "") or words not in told:
            raise StageFailed(
                f"probe-1: {type_} should have ended as {state} {reason} ({words}), it is {play}; timeline: {told}"
            )
        shift.progress.say(f"   {reason}: {play['message'][:150]}")
    book = own.api.get("runbooks", own.namespace, "probe") or {}
    ready = [c for c in book.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
    if not ready or (ready[0]["status"], ready[0]["reason"]) != ("False", "AddressNotAllowed"):
        raise StageFailed(f"Runbook probe should have said before that it could not act: {ready}")


def no_key_is_told(shift: Shift) -> None:
    """Neither in Incidents with their timelines, nor in Runbooks' statuses, Events, logs, or at the pager."""
    for one in (shift, team(shift)):
        stored = [i.get("status") for kind in ("incidents", "runbooks") for i in one.api.items(kind, one.namespace)]
        told = json.dumps([*stored, one.api.items("events", one.namespace)])
        if KEY in told or "token=…" not in json.dumps(stored, ensure_ascii=False):
            raise StageFailed(
                f"a webhook's key is told in {one.namespace}, or its place is not: …{told[max(0, told.find(KEY) - 200) :][:300]}"
            )
    logs = shift.api.kubectl("-n", shift.ops, "logs", "deploy/opsloop", "--tail=-1")
    if KEY in logs or KEY in json.dumps(shift.api.service(shift.namespace, "receiver:8080", "/pages")):
        raise StageFailed("a webhook's key is in the operator's log, or at the pager")
    shift.progress.say("   the key of the webhooks is in no status, Event, log or page")
