"""One shift: where it happens, what was sent, what is known of it. The stages act on it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from e2e.api import Api, Object, environment, kubectl, port_forward
from e2e.cluster import paths
from e2e.demo import render
from e2e.demo.tickets import tickets
from e2e.drill.progress import Progress, StageFailed
from e2e.recorder import Version

OBJECTS = paths.REPO / "e2e" / "demo" / "opsloop"
CRDS = paths.REPO / "crds"
SEND_TRIES = 20  # two seconds apart: the help desk's form keeps trying while the operator restarts
CHART = paths.REPO / "charts" / "opsloop"


@dataclass
class Shift:
    """`ops` is the operator's namespace. Times are Unix seconds."""

    api: Api
    progress: Progress
    namespace: str
    ops: str
    seed: int = 1
    extra_tickets: list[Object] = field(default_factory=list)
    began: float = 0.0
    broke: float = 0.0
    marks: dict[str, float] = field(default_factory=dict)
    alerts: dict[str, Object] = field(default_factory=dict)  # fingerprint → alert, as Alertmanager's API listed it
    weights: list[int] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)  # each stored status of the Releases

    @property
    def release_name(self) -> str:
        """Helm release; cluster-wide names carry the operator's namespace."""
        return "opsloop"

    def mark(self, name: str) -> None:
        """Remember now."""
        self.marks[name] = time.time()

    def sent(self) -> list[Object]:
        """Tickets of this shift; `expect_link` tells the gate which one is about the fault."""
        own = [{**t, "expect_link": "example" in t} for t in tickets(self.seed)]
        return own + self.extra_tickets

    def objects(self, name: str) -> list[Object]:
        """What the team wrote for opsloop, for this namespace."""
        text = (OBJECTS / name).read_text().replace("demo-shop", self.namespace)
        return [o for o in yaml.safe_load_all(text) if o]

    def apply(self, objects: list[Object]) -> None:
        """kubectl apply."""
        kubectl("-n", self.namespace, "apply", "-f", "-", text=yaml.safe_dump_all(objects))

    def release(self, name: str = "answers") -> Object:
        """The Release; {} where it is not there."""
        return self.api.get("releases", self.namespace, name) or {}

    def status(self, name: str = "answers") -> Object:
        """Its status."""
        return self.release(name).get("status") or {}

    def incidents(self) -> list[Object]:
        """All Incidents."""
        return self.api.items("incidents", self.namespace)

    def incident(self, name: str = "answers-1") -> Object:
        """One Incident's status; {} where it is not there."""
        found = self.api.get("incidents", self.namespace, name)
        return (found or {}).get("status") or {}

    def sli(self) -> str:
        """Share of good answers over the last five seconds, for the eye."""
        good, total = (
            f'sum(increase(shop_answers_total{{namespace="{self.namespace}",service="answers"{extra}}}[5s]))'
            for extra in (',verdict="good"', "")
        )
        found = self.api.instant(self.namespace, f"{good} / {total}")
        return f"SLI {float(found[0]['value'][1]):.3f}" if found else "SLI unknown"

    def look_at_alerts(self) -> list[Object]:
        """Alerts of Alertmanager's own API; all distinct ones that were ever seen are kept."""
        found = self.api.service(self.namespace, "alertmanager:9093", "/api/v2/alerts") or []
        for alert in found:
            self.alerts[alert["fingerprint"]] = alert
        return list(found)

    def distinct(self, *services: str) -> int:
        """Distinct alerts seen on these services."""
        return sum(1 for a in self.alerts.values() if a["labels"].get("service") in services)

    def send_tickets(self, chosen: list[Object]) -> None:
        """As the help desk's form would: with a token of its ServiceAccount."""
        token = kubectl("-n", self.namespace, "create", "token", "helpdesk-tickets", "--audience", "opsloop").strip()
        for attempt in range(SEND_TRIES):
            try:
                with port_forward(self.ops, "svc/opsloop-intake", 8080) as base:
                    for ticket in chosen:
                        _post(f"{base}/v1/namespaces/{self.namespace}/tickets", token, ticket)
                return
            except (OSError, RuntimeError) as error:
                if attempt == SEND_TRIES - 1:
                    raise StageFailed(f"tickets could not be sent: {error}") from error
                time.sleep(2)  # the operator's pod may just be starting

    def set_image(self, version: str) -> None:
        """What somebody does by hand."""
        image = f"answers=opsloop/helpdesk:{version}"
        kubectl("-n", self.namespace, "set", "image", "deployment/answers", image)

    def live_image(self) -> str:
        """Image that the live Deployment asks for."""
        found = self.api.get("deployments", self.namespace, "answers")
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"]) if found else ""

    def operator_pod(self) -> str:
        """Name of the operator's running pod; "" while there is none."""
        pods = self.api.items("pods", self.ops, "app.kubernetes.io/name=opsloop")
        running = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        return str(running[0]["metadata"]["name"]) if running else ""

    def kill_operator(self, why: str) -> None:
        """Delete its pod without any grace: it dies at whatever line it is at."""
        pod = self.operator_pod()
        if pod:
            kubectl("-n", self.ops, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
            self.progress.say(f"   operator pod {pod} was killed {why}")

    def gate(self, *more: str) -> tuple[int, str]:
        """Run the gate as a person would; (exit code, what it printed)."""
        folder = paths.CACHE / "shifts" / self.namespace
        folder.mkdir(parents=True, exist_ok=True)
        sent = folder / "tickets.json"
        sent.write_text(json.dumps(self.sent(), indent=1))
        command = [str(Path(paths.REPO) / ".venv" / "bin" / "opsloop"), "gate", "-n", self.namespace, "--incident", "answers-1",
                   "--tickets", str(sent), "--min-alerts", "35", "--rejected", "v3", "--kubeconfig", str(paths.KUBECONFIG),
                   *more]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=180, check=False)
        return done.returncode, done.stdout + done.stderr


def _post(url: str, token: str, ticket: Object) -> None:
    body = {k: v for k, v in ticket.items() if k != "expect_link"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"ticket {ticket.get('id')}: {error.code} {error.read().decode()[:300]}") from error


def manifests(shift: Shift) -> str:
    """The shop and its monitoring, for this namespace and seed."""
    return render.render(shift.namespace, shift.ops, shift.seed)


def apply_crds() -> None:
    """By kubectl: helm installs CRDs once and never again."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


def install_operator(shift: Shift) -> None:
    """The chart, scoped to the shop's namespace."""
    values: dict[str, Any] = {
        "image": {"tag": "dev"},
        "watchNamespaces": [shift.namespace],
        "prometheus": {"url": f"http://prometheus.{shift.namespace}.svc:9090", "resolution": "1s"},
        "pager": {"url": f"http://receiver.{shift.namespace}.svc:8080/page"},
    }
    command = [str(paths.HELM), "upgrade", "--install", shift.release_name, str(CHART), "--namespace", shift.ops,
               "--create-namespace", "--skip-crds", "--wait", "--timeout", "180s", "--values", "-"]  # fmt: skip
    done = subprocess.run(
        command,
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=240,
        check=False,
    )
    if done.returncode:
        pods = kubectl("-n", shift.ops, "get", "pods", "-o", "wide", check=False)
        logs = kubectl("-n", shift.ops, "logs", "deploy/opsloop", "--tail=20", check=False)
        raise StageFailed(f"helm: {done.stderr.strip()}\n{pods}\n{logs}")
