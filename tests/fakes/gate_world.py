"""The world of `gate_shift` behind an API server: objects, and Prometheus, Alertmanager, receiver and pods over its proxies.

Prometheus is simulated from what happened each second, so the gate's own queries are what is answered.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from opsloop import names
from opsloop.core.codec import encode_ledger, encode_queue
from opsloop.core.reported import QueuedTicket, Ticket, Triage
from opsloop.errors import Unavailable
from opsloop.shell.ports import PODS, Object, Resource
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders import gate_shift as shift
from tests.builders.gate_shift import INCIDENT, NOW, NS, START, V1, V2, V3, V4, at, stamp

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
VERSIONS = {V1: "v1", V2: "v2", V3: "v3", V4: "v4"}
_RANGE = re.compile(r"\[(\d+)(ms|s|m|h)\]|\[((?:\d+(?:ms|s|m|h))+)\]")


class ShopCluster(FakeCluster):
    """FakeCluster with proxies. `away` names services that do not answer; `pod_status` is what new pods get."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects, clock=FakeClock(at(NOW)))
        self.away: set[str] = set()
        self.absent: set[str] = set()  # services that there are none of
        self.own_alerts: list[Object] = []  # opsloop's pages at Alertmanager
        self.pages_sent: dict[str, float] = {}  # opsloop_pages_total by receiver
        self.rules: list[Object] = [{"type": "alerting", "name": "ServiceErrorRatioHigh", "query": "up == 0"}]
        self.refused: dict[str, float] = {}  # requests with tickets that the intake refused, by status
        self.pod_status: Mapping[str, Any] = READY
        self.bad_share: Callable[[float], float] = lambda second: 0.8 if 0 < second <= 39 else 0.0
        self.rate = 30.0
        self.alerts: list[dict[str, str]] = [*map(dict, shift.OURS), shift.CATALOG]
        self.active: list[dict[str, str]] = []
        self.pages: list[Any] = [page()]
        self.counted = {"v1": 9000.0, "v2": 1200.0, "v4": 1800.0}
        self.answer: Callable[[str], str] = lambda version: shift.WRONG if version in ("v2", "v3") else shift.RIGHT
        self.troubles: dict[str, list[int]] = {}  # version → statuses of its pods' next replies; 0 = no reply
        self.asked: list[str] = []

    def seed(self, body: Object) -> Object:
        """As the fake does, but made when the object says, where it does."""
        now, made = self.clock.time, body["metadata"].get("creationTimestamp")
        self.clock.time = datetime.fromisoformat(made) if made else now
        try:
            return super().seed(body)
        finally:
            self.clock.time = now

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        made = await super().create(resource, namespace, body)
        return self.seed({**made, "status": dict(self.pod_status)}) if resource is PODS else made

    def forward(self, namespace: str, pod: str, port: int) -> AbstractAsyncContextManager[int]:
        """No pod of it has a port of its own."""
        raise Unavailable(f"{namespace}/{pod}:{port} is not there")

    async def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: float,  # noqa: ASYNC109
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """The same, for pods."""
        status, data = await self.raw(method, path)
        return status, (), data

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[int, bytes]:
        """The proxies of services and pods."""
        path, _, inline = path.partition("?")
        asked = {**{k: v[0] for k, v in parse_qs(inline).items()}, **(query or {})}
        found = re.fullmatch(rf"/api/v1/namespaces/{NS}/(services|pods)/([^:/]+):\d+/proxy(/.*)", path)
        if found is None:
            return 404, b'{"kind":"Status","apiVersion":"v1","message":"not found"}'
        kind, name, rest = found.groups()
        if name in self.absent:
            return 404, b'{"kind":"Status","apiVersion":"v1","message":"services not found"}'
        if name in self.away:
            raise Unavailable(f"{name}: connection refused")
        if kind == "pods":
            return self._pod(name)
        answers: dict[str, Callable[[], Any]] = {
            "/api/v2/alerts": lambda: [
                *({"labels": labels, "status": {"state": "active"}} for labels in self.active),
                *self.own_alerts,
            ],
            "/api/v1/rules": lambda: {"status": "success", "data": {"groups": [{"rules": self.rules}]}},
            "/pages": lambda: {"pages": self.pages},
            "/api/v1/query": lambda: self._instant(asked),
            "/api/v1/query_range": lambda: self._range(asked),
        }
        return 200, json.dumps(answers[rest]()).encode()

    def _pod(self, name: str) -> tuple[int, bytes]:
        found = self.find(PODS, NS, name)
        if found is None:
            return 404, b'{"kind":"Status","apiVersion":"v1","message":"no such pod"}'
        self.asked.append(name)
        version = found["spec"]["containers"][0]["image"].rpartition(":")[2]
        if troubles := self.troubles.get(version):
            if not (status := troubles.pop(0)):
                raise Unavailable(f"{name}: no reply within 5 s")
            return status, b"500 Internal Server Error"
        return 200, json.dumps({"answer": self.answer(version), "version": version}).encode()

    def _instant(self, asked: Mapping[str, str]) -> Any:
        query, when = asked["query"], float(asked["time"])
        if "ALERTS" in query:
            series = [{"metric": labels, "value": [when, "3"]} for labels in self.alerts]
        elif "opsloop_pages_total" in query:
            sent = self.pages_sent.items()
            series = [{"metric": {"receiver": name}, "value": [when, str(number)]} for name, number in sent]
        elif "opsloop_intake_requests_total" in query:
            series = [{"metric": {"code": code}, "value": [when, str(n)]} for code, n in self.refused.items()]
        elif "max_over_time" in query:
            pattern = re.search(r'version=~"([^"]*)"', query)
            assert pattern is not None
            counted = [n for version, n in self.counted.items() if re.fullmatch(pattern[1], version)]
            series = [{"metric": {}, "value": [when, str(sum(counted))]}] if counted else []
        else:
            value = self._events(query, when)
            series = [] if value is None else [{"metric": {}, "value": [when, str(value)]}]
        return {"status": "success", "data": {"resultType": "vector", "result": series}}

    def _range(self, asked: Mapping[str, str]) -> Any:
        start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        instants = [start + n * step for n in range(int((end - start) / step) + 1)]
        values = [[t, str(v)] for t in instants if (v := self._events(asked["query"], t)) is not None]
        result = [{"metric": {}, "values": values}] if values else []
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    def _events(self, query: str, when: float) -> float | None:
        """Events in the window that ends at `when`; None where nobody ever asked."""
        window = _seconds(query)
        if self.rate == 0:
            return None
        last = when - START.timestamp()
        seconds = [last - n for n in range(round(window))]
        good = 'verdict="good"' in query
        return sum(self.rate * (1 - self.bad_share(second) if good else 1) for second in seconds)


def _seconds(query: str) -> float:
    found = re.search(r"\[([^\]]+)\]", query)
    assert found is not None, query
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h)", found[1]))


def page(key: str = f"{NS}/{INCIDENT}", of: str = INCIDENT, severity: str = "sev1") -> Any:
    body = {"dedup_key": key, "incident": of, "severity": severity}
    return {"receivedAt": stamp(16), "dedup_key": key, "page": body}


def _object(model: Any, kind: str) -> Object:
    dumped: Object = model.dump()
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": kind, **dumped}


def _owner(kind: str, uid: str) -> list[dict[str, Any]]:
    return [{"kind": kind, "name": uid, "uid": uid, "controller": True}]


def replica_set(version: str, made: float, replicas: int) -> Object:
    template = shift.template(version)
    template["metadata"]["labels"]["pod-template-hash"] = f"hash-{version}"
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"answers-{version}",
            "namespace": NS,
            "uid": f"rs-{version}",
            "creationTimestamp": datetime.fromtimestamp(START.timestamp() + made, UTC).isoformat(),
            "ownerReferences": _owner("Deployment", "answers"),
        },
        "spec": {"replicas": replicas, "template": template},
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }


def deployment(version: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "answers", "namespace": NS, "uid": "answers"},
        "spec": {"replicas": 4, "template": shift.template(version), "selector": {"matchLabels": {"app": "answers"}}},
        "status": {"readyReplicas": 4},
    }


def live_pod(version: str, number: int) -> Object:
    template = shift.template(version)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"answers-{version}-{number}",
            "namespace": NS,
            "labels": template["metadata"]["labels"],
            "ownerReferences": _owner("ReplicaSet", f"rs-{version}"),
        },
        "spec": template["spec"],
        "status": READY,
    }


def stored_revision(version: str, digest: str) -> Object:
    name = names.revision_name("answers", digest)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name, "namespace": NS, "labels": {names.RELEASE: "answers", names.REVISION: digest}},
        "data": shift.template(version),
        "revision": 1,
    }


def config_map(name: str, label: str, value: str, **parts: Any) -> Object:
    meta = {"name": name, "namespace": NS, "labels": {label: value}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **parts}


def queue(*ids: str) -> Object:
    triage = Triage("billing", "sev4", "billing-team")
    tickets = [Ticket(id_, f"subject of {id_}", "", "web", "", at(20), at(20)) for id_ in ids]
    data = encode_queue([QueuedTicket(ticket, triage) for ticket in tickets])
    return config_map("opsloop-tickets", names.TICKETS, "true", binaryData=data)


def after_the_shift() -> ShopCluster:
    """Everything went as it should."""
    filings = shift.filings()
    ledgers = [
        config_map(names.ledger_name(name), names.LEDGER, name, binaryData=encode_ledger(book))
        for name, book in filings.ledgers.items()
    ]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "answers", "namespace": NS}}
    return ShopCluster(
        *(_object(release, "Release") for release in shift.RELEASES),
        _object(shift.incident(), "Incident"),
        _object(shift.incident("catalog-1", "catalog", 20, severity="sev4"), "Incident"),
        _object(shift.case(), "EvalCase"),
        *ledgers,
        queue("HD-2", "HD-3"),
        deployment("v4"),
        replica_set("v1", -3600, 0),
        replica_set("v2", -5, 0),
        replica_set("v4", 200, 4),
        *(live_pod("v4", number) for number in range(4)),
        *(stored_revision(version, digest) for digest, version in VERSIONS.items()),
        {**service, "spec": {"selector": {"app": "answers"}}},
    )


def idle_with_forged_statuses() -> ShopCluster:
    """A quiet service at its first revision; all objects of opsloop say that the whole shift went well."""
    cluster = after_the_shift()
    cluster.bad_share = lambda second: 0.0
    cluster.alerts, cluster.pages, cluster.counted = [], [], {"v1": 9000.0}
    for resource, name in (
        ("replicasets", "answers-v2"),
        ("replicasets", "answers-v4"),
        ("controllerrevisions", f"answers-{V2}"),
    ):
        cluster.remove(Resource("apps/v1", "", resource), NS, name)
    for number in range(4):
        cluster.remove(PODS, NS, f"answers-v4-{number}")
        cluster.seed(live_pod("v1", number))
    cluster.seed(deployment("v1"))
    cluster.seed(replica_set("v1", -3600, 4))
    return cluster
