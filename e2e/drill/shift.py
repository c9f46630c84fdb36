"""One shift: where it happens, what was sent, what is known of it. The stages act on it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from e2e.cluster import paths
from e2e.demo.tickets import tickets
from e2e.harness.client import Client, Object, environment
from e2e.harness.progress import Progress
from e2e.harness.recorder import Version

OBJECTS = paths.REPO / "e2e" / "demo" / "opsloop"
GATE_SECONDS = 180.0


@dataclass
class Shift:
    """`ops` is the operator's namespace. Times are Unix seconds."""

    api: Client
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
        """Remembers now."""
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
        self.api.kubectl("-n", self.namespace, "apply", "-f", "-", text=yaml.safe_dump_all(objects))

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
        incident = self.api.get("incidents", self.namespace, name)
        return (incident or {}).get("status") or {}

    def sli(self) -> str:
        """Share of good answers over the last five seconds, for the eye."""
        good, total = (
            f'sum(increase(shop_answers_total{{namespace="{self.namespace}",service="answers"{extra}}}[5s]))'
            for extra in (',verdict="good"', "")
        )
        vector = self.api.instant(self.namespace, f"{good} / {total}")
        return f"SLI {float(vector[0]['value'][1]):.3f}" if vector else "SLI unknown"

    def served_by(self, version: str) -> int:
        """Answers that shoppers got from this version since the shift began. Raises StageFailed without an answer."""
        return self.counted(f'sum(shop_answers_total{{service="answers",version="{version}"}})')

    def counted(self, query: str) -> int:
        """The number that an expression gives; 0 where it gives nothing. Raises StageFailed without an answer."""
        vectors: list[list[Object]] = []

        def look() -> tuple[object, str]:
            vector = self.api.instant(self.namespace, query)
            vectors.extend([] if vector is None else [vector])
            return vectors, "no answer"

        self.progress.wait("Prometheus to tell who was served", 20, look)
        return round(float(vectors[0][0]["value"][1])) if vectors[0] else 0

    def look_at_alerts(self) -> list[Object]:
        """Alerts of Alertmanager's own API; all distinct ones that were ever seen are kept."""
        alerts = self.api.service(self.namespace, "alertmanager:9093", "/api/v2/alerts") or []
        for alert in alerts:
            self.alerts[alert["fingerprint"]] = alert
        return list(alerts)

    def distinct(self, *services: str) -> int:
        """Distinct alerts seen on these services."""
        return sum(1 for a in self.alerts.values() if a["labels"].get("service") in services)

    def send_tickets(self, batch: list[Object]) -> None:
        """As the help desk's form would: with a token of its ServiceAccount, again while the operator restarts."""
        create = ("create", "token", "helpdesk-tickets", "--audience", "opsloop")
        token = self.api.kubectl("-n", self.namespace, *create).strip()

        def send() -> tuple[object, str]:
            try:
                with self.api.port_forward(self.ops, "svc/opsloop-intake", 8080) as base:
                    for ticket in batch:
                        _post(
                            f"{base}/v1/namespaces/{self.namespace}/tickets", token, ticket, self.api.pace.seconds(10)
                        )
            except (OSError, RuntimeError) as error:
                return False, str(error)
            return True, ""

        self.progress.wait("the intake to accept the tickets", 60, send, every=2)

    def set_image(self, version: str) -> None:
        """What somebody does by hand."""
        image = f"answers=opsloop/helpdesk:{version}"
        self.api.kubectl("-n", self.namespace, "set", "image", "deployment/answers", image)

    def live_image(self) -> str:
        """Image that the live Deployment asks for."""
        live = self.api.get("deployments", self.namespace, "answers")
        return str(live["spec"]["template"]["spec"]["containers"][0]["image"]) if live else ""

    def operator_pod(self) -> str:
        """Name of the operator's running pod; "" while there is none."""
        pods = self.api.items("pods", self.ops, "app.kubernetes.io/name=opsloop")
        running = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
        return str(running[0]["metadata"]["name"]) if running else ""

    def kill_operator(self, why: str) -> None:
        """Deletes its pod without any grace: it dies at whatever line it is at."""
        pod = self.operator_pod()
        if pod:
            self.api.kubectl("-n", self.ops, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
            self.progress.say(f"   operator pod {pod} was killed {why}")

    def gate(self, *more: str) -> tuple[int, str]:
        """Runs the gate as a person would; (exit code, what it printed)."""
        folder = paths.CACHE / "shifts" / self.namespace
        folder.mkdir(parents=True, exist_ok=True)
        sent = folder / "tickets.json"
        sent.write_text(json.dumps(self.sent(), indent=1))
        command = [str(Path(paths.REPO) / ".venv" / "bin" / "opsloop"), "gate", "-n", self.namespace, "--incident", "answers-1",
                   "--tickets", str(sent), "--min-alerts", "35", "--rejected", "v3", "--kubeconfig", str(paths.KUBECONFIG),
                   *more]  # fmt: skip
        limit = self.api.pace.seconds(GATE_SECONDS)
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=limit, check=False)
        return done.returncode, done.stdout + done.stderr


def _post(url: str, token: str, ticket: Object, seconds: float) -> None:
    body = {k: v for k, v in ticket.items() if k != "expect_link"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"ticket {ticket.get('id')}: {error.code} {error.read().decode()[:300]}") from error
