"""What the chart makes for the Prometheus operator, against that operator's own Go types, and its alerts in a real Prometheus."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.api.test_chart import Object, needs_helm, of_kind, one
from tests.api.test_chart_platform import ALERTS, with_values
from tests.contract.admission import validator
from tests.contract.model import real

SOURCES = Path(__file__).parent / "monitoring" / "go"
VALUES = """
serviceMonitor: {enabled: true, namespace: monitoring, labels: {release: prom}, scrapeTimeout: 10s,
  relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}],
  metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: python_.*}]}
podMonitor: {enabled: true, interval: 30s, relabelings: [{action: labeldrop, regex: endpoint}]}
prometheusRule: {enabled: true, labels: {role: alerts}, alertLabels: {team: platform},
  additionalRules: [{alert: Mine, expr: "vector(1)", for: 5m, keep_firing_for: 10m, labels: {severity: none}}]}
"""
KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


def said(objects: list[Object]) -> list[str]:
    """What the types do not know of each object; empty where they know all of it."""
    try:
        program = validator.built("monitoring", SOURCES)
    except validator.NotHere as reason:
        pytest.skip(str(reason))
    done = subprocess.run([program], input=json.dumps(objects), capture_output=True, text=True, timeout=60, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@needs_helm
def test_the_prometheus_operators_types_know_every_field() -> None:
    made = [one(with_values(VALUES), kind) for kind in KINDS]
    assert said(made) == [""] * 3


@needs_helm
@pytest.mark.parametrize(
    ("number", "path", "says"),
    [
        pytest.param(0, ("endpoints", 0, "scrapeTimeouts"), 'unknown field "scrapeTimeouts"', id="a field written wrong"),
        pytest.param(1, ("endpoints",), 'unknown field "endpoints"', id="a field of the other monitor"),
        pytest.param(2, ("groups", 0, "rules", 0, "for"), "cannot unmarshal", id="a duration that is a list"),
    ],
)  # fmt: skip
def test_a_field_that_they_do_not_know_is_found(number: int, path: tuple[str | int, ...], says: str) -> None:
    made = [one(with_values(VALUES), kind) for kind in KINDS]
    at = made[number]["spec"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = ["5m"]
    assert says in said(made)[number]


@needs_helm
def test_a_real_prometheus_loads_the_alerts_and_knows_each() -> None:
    binary = real.binary()
    if binary is None:
        pytest.skip("no Prometheus on this machine")
    (rule,) = of_kind(with_values(VALUES), "PrometheusRule")
    with real.running(binary, yaml.safe_dump(rule["spec"])) as server:
        answer = server.get("/api/v1/rules")
        refused = [a["alert"] for a in ALERTS if server.ask("/api/v1/query", {"query": a["expr"]}) is None]
    assert refused == []
    (group,) = answer["groups"]
    assert [one["name"] for one in group["rules"]] == [*(a["alert"] for a in ALERTS), "Mine"]
    assert all(one["health"] in ("ok", "unknown") and "lastError" not in one for one in group["rules"])
