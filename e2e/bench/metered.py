"""Services whose SLI a benchmark sets: a counter that grows as it is told, the demo's Prometheus, and a tap between that and the operator.

The pods of the services do nothing: what a rollout asks of the API server, and when a reading is acted on, do not depend on what runs in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from e2e.cluster import paths
from e2e.drill.prepare import apply_crds, install_operator, make_empty, wait_available
from e2e.drill.shift import Shift
from e2e.harness.client import Object
from e2e.harness.progress import StageFailed

IMAGE = "opsloop/helpdesk:v1"  # it has a shell and Python, and is on the node
METRICS, TAP = 8080, 9090
PROGRAM = paths.REPO / "e2e" / "bench" / "meter.py"
PROMETHEUS = paths.REPO / "e2e" / "demo" / "manifests" / "prometheus.yaml"
# Windows that a counter of some minutes fills: those of the drill. Longer ones would be unknown until it is as old as they are
TIERS: list[Object] = [
    {"long": "1m", "short": "5s", "factor": 14.4, "severity": "sev1"},
    {"long": "6m", "short": "30s", "factor": 6, "severity": "sev2"},
]
SOON: Object = {"objective": 0.99, "tiers": TIERS, "resolveAfter": "15s", "bakeTime": "10s"}
SET_AT_ONCE = 500  # series in one request


def idle_pod(labels: Object) -> Object:
    """The template of a pod that does nothing: it is ready as soon as it runs, and ends at once."""
    container = {
        "name": "app",
        "image": IMAGE,
        "command": ["sleep", "36000"],
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
    }
    spec = {"containers": [container], "enableServiceLinks": False, "terminationGracePeriodSeconds": 0}
    return {"metadata": {"labels": labels}, "spec": spec}


def workload(name: str, replicas: int) -> list[Object]:
    """A Deployment of such pods with its Service."""
    labels = {"app": name}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": idle_pod(labels)}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": ports},
        },
    ]


def release(name: str, version: str, steps: Sequence[Object], **more: Any) -> Object:
    """Its Release: the SLI is read by the label `version`."""
    count = f'sum(increase(bench_requests_total{{service="{name}",%sversion=~"{{{{version}}}}"}}[{{{{window}}}}]))'
    slo = {**SOON, "sli": {"bad": count % 'code="500",', "total": count % ""}}
    analysis = {"window": "10s", "minEvents": 10, "warmUp": "5s"}
    spec = {
        "workloadRef": {"name": name},
        "version": version,
        "images": {"app": IMAGE},
        "strategy": {"canary": {"steps": list(steps), "analysis": analysis}},
        "slo": slo,
        **more,
    }
    return {"apiVersion": "opsloop.dev/v1alpha1", "kind": "Release", "metadata": {"name": name}, "spec": spec}


def _meter(namespace: str) -> list[Object]:
    program = {"name": "program", "configMap": {"name": "meter"}}
    container = {
        "name": "meter",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "python3",
            "-u",
            "/program/meter.py",
            str(METRICS),
            str(TAP),
            f"http://prometheus.{namespace}.svc:9090",
        ],
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": METRICS}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
    }
    pod = {
        "containers": [container],
        "volumes": [program],
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
    }
    labels = {"app": "meter"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "metrics", "port": METRICS}, {"name": "tap", "port": TAP}]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "meter"},
            "data": {"meter.py": PROGRAM.read_text()},
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "meter"}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "meter"},
            "spec": {"selector": labels, "ports": ports},
        },
    ]


def _prometheus(namespace: str, every: str) -> list[Object]:
    """The demo's, which reads the meter and nothing else."""
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [
            {"job_name": "meter", "static_configs": [{"targets": [f"meter.{namespace}.svc:{METRICS}"]}]}
        ],
    }
    parts = [p for p in yaml.safe_load_all(PROMETHEUS.read_text().replace("demo-shop", namespace)) if p]
    for part in parts:
        if part["kind"] == "ConfigMap":
            part["data"] = {"prometheus.yml": yaml.safe_dump(config)}
    rules = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "alert-rules", "namespace": namespace}}
    return [rules | {"data": {"none.yml": "groups: []\n"}}, *parts]


class Metered:
    """The meter of a namespace."""

    def __init__(self, shift: Shift) -> None:
        self.shift = shift

    def prepare(self, objects: Iterable[Object] = (), every: str = "1s") -> None:
        """Both namespaces anew, with the meter, Prometheus and these objects; then the operator. `every`: between two scrapes."""
        shift = self.shift
        make_empty(shift)
        apply_crds(shift.api)
        shift.apply([*_meter(shift.namespace), *_prometheus(shift.namespace, every), *objects])
        for name in ("meter", "prometheus"):
            wait_available(shift.api, shift.progress, shift.namespace, name, 120)
        url = f"http://meter.{shift.namespace}.svc:{TAP}"
        install_operator(shift, pager={"url": ""}, prometheus={"url": url, "resolution": every})

    def set(self, rates: Sequence[tuple[str, str, float, float]]) -> None:
        """(service, version, requests per second, share of bad ones), from now on. Raises StageFailed where nobody takes it."""
        path = f"/api/v1/namespaces/{self.shift.namespace}/services/meter:{METRICS}/proxy/set"
        for first in range(0, len(rates), SET_AT_ONCE):
            body = {"rates": [list(rate) for rate in rates[first : first + SET_AT_ONCE]]}

            def taken(body: Object = body) -> tuple[object, str]:
                return self.shift.api.call(path, "POST", body) is not None, "no answer"

            self.shift.progress.wait("the meter to be set", 30, taken)

    def answers(self, since: float) -> list[tuple[float, str]]:
        """(Unix time at which the tap had sent an answer, the query). Raises StageFailed where the meter does not say."""
        found: list[list[tuple[float, str]]] = []

        def told() -> tuple[object, str]:
            answer = self.shift.api.service(self.shift.namespace, f"meter:{METRICS}", f"/answers?since={since:.3f}")
            found.extend([[(at, query) for at, query in answer]] if isinstance(answer, list) else [])
            return found, "no answer"

        self.shift.progress.wait("the meter to say what was read", 30, told)
        return found[0]

    def is_read(self, name: str) -> None:
        """Waits until the operator has read this service's SLI."""
        since = time.time()

        def read() -> tuple[object, str]:
            seen = self.answers(since)
            about = [query for _, query in seen if name in query]
            return about, f"{len(seen)} answers of Prometheus, none about {name}"

        self.shift.progress.wait(f"the SLI of {name} to be read", 60, read)


def require(holds: bool, sentence: str) -> None:
    """Raises StageFailed with the sentence where it does not hold."""
    if not holds:
        raise StageFailed(sentence)
