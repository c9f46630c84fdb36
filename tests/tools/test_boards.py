"""The Grafana boards: right by Grafana's own schema, and every query asks for metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from opsloop.simulator.prometheus.labels import NAME
from opsloop.simulator.prometheus.parser import parse
from opsloop.simulator.prometheus.syntax import Aggregate, Selector
from tools import boards

ROOT = Path(__file__).resolve().parents[2]
BOARDS = {name: json.loads(text) for name, text in boards.boards().items()}
PROCESS = {
    "process_cpu_seconds_total": {"job", "pod"},
    "process_resident_memory_bytes": {"job", "pod"},
}  # of the client library
QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]


def metrics() -> dict[str, set[str]]:
    """Metric → labels, as docs/operations.md lists them; tests/docs holds that page to what the process exports."""
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(opsloop_\w+)` \|([^|]*)\|([^|]*)", page, re.MULTILINE)
    found = dict(PROCESS)
    for name, labels, says in rows:
        own = {label.strip() for label in labels.split(",") if label.strip()} | {"pod", "job", "instance"}
        found[name] = own
        if "histogram" in says or name.endswith("_seconds"):
            found |= {f"{name}_bucket": own | {"le"}, f"{name}_count": own, f"{name}_sum": own}
    return found


def filled(query: str) -> str:
    """With values for Grafana's variables."""
    return re.sub(
        r"\$[a-z]\w*",
        "x",
        query.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$__interval", "1m"),
    )


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for value in (getattr(node, one.name) for one in fields(node)):
        for child in value if isinstance(value, tuple) else (value,):
            if is_dataclass(child) and not isinstance(child, type):
                yield from nodes(child)


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """Metric and labels of each selector, and the labels by which what is above it is aggregated."""
    tree = parse(filled(query))
    for node in nodes(tree):
        if isinstance(node, Selector):
            (metric,) = [one.value for one in node.matchers if one.name == NAME]
            yield metric, {one.name for one in node.matchers} - {NAME}
        if isinstance(node, Aggregate):
            for below in nodes(node.inner):
                if isinstance(below, Selector):
                    yield next(one.value for one in below.matchers if one.name == NAME), set(node.labels)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    known, asked = metrics(), list(selectors(query))
    assert asked, "it asks for nothing"
    assert {metric for metric, _ in asked} - known.keys() == set()
    assert {(metric, label) for metric, labels in asked for label in labels - known[metric]} == set()


def test_a_query_of_a_metric_that_there_is_none_of_is_found() -> None:
    ((metric, labels),) = selectors('rate(opsloop_nothing_total{b=~"$b"}[$__rate_interval])')
    assert metric not in metrics() and labels == {"b"}


@pytest.mark.parametrize("name", BOARDS)
def test_variables_are_labels_of_metrics_and_every_query_knows_its_variables(name: str) -> None:
    board, known = BOARDS[name], metrics()
    variables = {one["name"] for one in board["templating"]["list"]}
    for one in board["templating"]["list"]:
        if one["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", one["query"]["query"]).groups()  # type: ignore[union-attr]
            assert label in known[metric]
    used = {
        word
        for panel in board["panels"]
        for target in panel["targets"]
        for word in re.findall(r"\$([a-z]\w*)", target["expr"])
    }
    assert used <= variables


@pytest.mark.parametrize("name", BOARDS)
def test_legends_and_columns_are_labels_of_the_answer(name: str) -> None:
    for panel in BOARDS[name]["panels"]:
        for target in panel["targets"]:
            tree = parse(filled(target["expr"]))
            outer = next((node for node in nodes(tree) if isinstance(node, Aggregate)), None)
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            if panel["type"] == "table":
                wanted |= panel["transformations"][0]["options"]["indexByName"].keys() - {"Value"}
            have = (
                set(outer.labels)
                if outer
                else {label for metric, _ in selectors(target["expr"]) for label in metrics()[metric]}
            )
            assert wanted <= have, (panel["title"], wanted - have)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side_and_say_what_they_show(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and all(panel["description"] for panel in panels)
    for place in (panel["gridPos"] for panel in panels):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_schema_knows_every_field(name: str) -> None:
    """Through the types that Grafana Labs generate from its schemas: what they do not know would be lost on the way."""
    register_default_plugins()
    typed = Dashboard.from_json(BOARDS[name])
    again = json.loads(JSONEncoder().encode(typed))
    assert lost(BOARDS[name], again) == []


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    register_default_plugins()
    wrong = {**BOARDS["fleet.json"], "panles": []} | {"refreshh": "5s"}
    assert lost(wrong, json.loads(JSONEncoder().encode(Dashboard.from_json(wrong)))) == [".refreshh: '5s' → None"]


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Paths of values that are not there any more, or other ones."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [one for key, value in before.items() for one in lost(value, after.get(key), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [one for n, (a, b) in enumerate(zip(before, after, strict=True)) for one in lost(a, b, f"{path}[{n}]")]
    return [] if before == after or (not before and not after) else [f"{path}: {before!r} → {after!r}"]
