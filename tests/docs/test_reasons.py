"""The pages list the reasons, condition types, annotations, metrics and settings of the code."""

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from opsloop import names
from opsloop.api.crd import object_schema
from opsloop.api.kinds import KINDS, Kind
from opsloop.entry.settings import Settings, variable
from opsloop.entry.telemetry import Metrics
from tools import reasons

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "operator" / "opsloop" / "core"
PAGE = (ROOT / "docs" / "reasons.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
ROOMS = {"Release": "release", "Incident": "incident", "Runbook": "runbook", "EvalCase": "evalcase"}  # in core
DECISIONS = (
    "approve",
    "promote",
    "undo",
    "restart",
    "unblock",
    "retry",
    "acknowledge",
    "mitigated",
    "waive-regression",
)


@cache
def calls_of_condition() -> list[tuple[str, ast.Call]]:
    """File and call of each `….condition(type, status, reason, message)` in core."""
    return [
        (str(path.relative_to(CORE)), node)
        for path in sorted(CORE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "condition"
    ]


def literal(node: ast.expr) -> str:
    """The string of a literal, else ""."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_the_page_of_reasons_is_current() -> None:
    assert reasons.page() == PAGE


def test_every_named_reason_has_a_sentence() -> None:
    assert [r for r in reasons.reasons() if not r.sentence] == []


def test_a_reason_without_a_constant_is_on_the_page() -> None:
    known = {r.value for r in reasons.reasons()} | set(reasons.IN_PLACE)
    written = {(file, literal(call.args[2])) for file, call in calls_of_condition() if literal(call.args[2])}
    assert {(file, reason) for file, reason in written if reason not in known} == set()


def test_every_condition_type_is_explained() -> None:
    types = {literal(call.args[0]) for _, call in calls_of_condition()} - {""}
    assert {t for t in types if f"`{t}`" not in OPERATIONS} == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_conditions_in_the_crd_are_those_that_core_sets(kind: Kind) -> None:
    """`kubectl explain KIND.status.conditions` lists the types of that kind, and no other."""
    status = object_schema(kind)["properties"]["status"]["properties"]
    listed = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", status["conditions"]["description"].split(": ")[1]))
    written = {literal(call.args[0]) for file, call in calls_of_condition() if file.split("/")[0] == ROOMS[kind.name]}
    source = "\n".join(path.read_text() for path in CORE.rglob("*.py") if ROOMS[kind.name] in path.parts)
    assert written - {""} <= listed  # a type may also be passed as a constant
    assert {name for name in listed if f'"{name}"' not in source} == set()


@pytest.mark.parametrize("word", DECISIONS)
def test_every_annotation_that_is_a_decision_is_explained_and_guarded(word: str) -> None:
    annotation = f"opsloop.dev/{word}"
    assert annotation in vars(names).values()
    assert f"`{annotation}`" in OPERATIONS
    assert f'"{word}"' in (ROOT / "charts" / "opsloop" / "templates" / "guard.yaml").read_text()


def test_the_page_lists_exactly_the_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.watch_releases(list)
    metrics.watch_incidents(list)
    for kind in ("evalcase", "runbook"):
        metrics.watch_conditions(kind, list)
    metrics.watch_stops(list)
    exported = {metric.name for metric in metrics.registry.collect() if metric.name.startswith("opsloop_")}
    listed = {re.sub(r"_total$", "", name) for name in re.findall(r"`(opsloop_[a-z_]+)`", OPERATIONS)}
    assert listed == exported


def test_every_setting_is_listed() -> None:
    assert {variable(f.name) for f in fields(Settings) if f"`{variable(f.name)}`" not in OPERATIONS} == set()


def test_what_admission_cannot_see_is_said_by_conditions_and_reasons_that_there_are() -> None:
    section = OPERATIONS.split("### What admission cannot see")[1].split("\n## ")[0]
    rows = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ")][1:]
    words = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    listed = [object_schema(kind)["properties"]["status"]["properties"]["conditions"]["description"] for kind in KINDS]
    known = {reason.value for reason in reasons.reasons()} | set(re.findall(r"\w+", " ".join(listed)))
    assert len(rows) >= 9
    assert words - known == set()
