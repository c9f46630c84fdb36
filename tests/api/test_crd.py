"""The generated CRDs are structural, described in every field and bounded in every field that people write."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from opsloop.api.crd import crd, crds, object_schema, structural
from opsloop.api.kinds import ALL, EVALCASE, INCIDENT, KINDS, RELEASE, RUNBOOK, STOP, Kind
from opsloop.api.meta import Model

Schema = dict[str, Any]
each_kind = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
each_reconciled_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """All nodes of a schema, each with its path as kubectl explain spells it."""
    yield path, schema
    for name, sub in schema.get("properties", {}).items():
        yield from nodes(sub, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


def models(base: type[Model]) -> Iterator[type[Model]]:
    """All models that derive from `base`."""
    for model in base.__subclasses__():
        yield model
        yield from models(model)


def at(kind: Kind, path: str) -> Schema:
    return dict(nodes(object_schema(kind)))[path]


def rules_at(kind: Kind, path: str) -> list[str]:
    return [rule["rule"] for rule in at(kind, path).get("x-kubernetes-validations", [])]


@each_kind
def test_every_field_is_described(kind: Kind) -> None:
    """Items of lists and maps are described by their field; metadata by the API server."""
    undescribed = [
        path
        for path, node in nodes(object_schema(kind))
        if path != ".metadata" and not re.search(r"(\[\]|\{\})$", path) and not node.get("description", "").strip()
    ]
    assert undescribed == []


@each_kind
def test_every_description_is_one_line(kind: Kind) -> None:
    assert [path for path, node in nodes(object_schema(kind)) if "\n" in node.get("description", "")] == []


@each_kind
def test_a_field_does_not_repeat_the_docstring_of_its_type(kind: Kind) -> None:
    """`kubectl explain` prints a list's description and that of its items one below the other."""
    schema = dict(nodes(object_schema(kind)))
    docstrings = {" ".join((model.__doc__ or "").split()) for model in models(Model)}
    for path, node in schema.items():
        words = node.get("description", "")
        assert not [text for text in docstrings if text and text in words and text != words], path
        assert not (words and schema.get(f"{path}[]", {}).get("description")), path


@each_kind
def test_a_description_says_each_sentence_once(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        sentences = re.split(r"(?<=[.!?]) ", node.get("description", ""))
        assert len(sentences) == len(set(sentences)), path


@each_kind
def test_a_description_is_a_sentence_that_ends(kind: Kind) -> None:
    described = [(path, node["description"]) for path, node in nodes(object_schema(kind)) if "description" in node]
    assert [path for path, words in described if not re.fullmatch(r"[A-Za-z].*\.", words)] == []


@each_kind
def test_the_schema_is_structural(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        assert node.get("type") in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert not {"$ref", "anyOf", "allOf", "oneOf", "const", "title", "$defs"} & node.keys(), path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert isinstance(node.get("exclusiveMinimum", False), bool), path
        if node["type"] == "array":
            assert "items" in node, path
        if path not in ("", ".metadata") and node["type"] == "object":
            free = node.get("x-kubernetes-preserve-unknown-fields", False)
            assert "properties" in node or "additionalProperties" in node or free, path


@each_kind
def test_every_field_that_people_write_is_bounded(kind: Kind) -> None:
    """The API server computes the cost of CEL rules from these bounds."""
    bound = {"string": "maxLength", "array": "maxItems"}
    for path, node in nodes(at(kind, ".spec"), ".spec"):
        if node["type"] in bound:
            assert bound[node["type"]] in node or "enum" in node or node.get("format") == "date-time", path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


@each_kind
def test_every_list_is_bounded(kind: Kind) -> None:
    assert [
        path for path, node in nodes(object_schema(kind)) if node["type"] == "array" and "maxItems" not in node
    ] == []


@each_reconciled_kind
def test_status_has_no_defaults(kind: Kind) -> None:
    """The API server must not fill in measurements."""
    assert [path for path, node in nodes(at(kind, ".status")) if "default" in node] == []


@each_kind
def test_keys_of_lists_are_required_fields(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        for key in node.get("x-kubernetes-list-map-keys", []):
            assert key in node["items"]["required"], path


@each_kind
def test_a_rule_has_a_message_of_one_line(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 30, path
            assert "\n" not in rule["rule"] + rule["message"], path


@each_reconciled_kind
def test_conditions_are_told_apart_by_type(kind: Kind) -> None:
    node = at(kind, ".status.conditions")
    assert (node["x-kubernetes-list-type"], node["x-kubernetes-list-map-keys"]) == ("map", ["type"])


@each_kind
def test_printer_columns_point_at_fields(kind: Kind) -> None:
    fields = dict(nodes(object_schema(kind)))
    for column in kind.columns:
        if column.path == ".metadata.creationTimestamp":
            continue
        node = fields[re.sub(r'\[\?\(@\.type=="[A-Za-z]+"\)\]', "[]", column.path)]
        expected = "string" if column.type == "date" else column.type
        assert node["type"] == expected, column


NARROW = [
    pytest.param(RELEASE, ["Phase", "Version", "Weight", "Burn", "Incident", "Age"], id="Release"),
    pytest.param(
        INCIDENT, ["Severity", "Phase", "Service", "Title", "Alerts", "Assignee", "Merged into", "Age"], id="Incident"
    ),
    pytest.param(RUNBOOK, ["Mode", "Last play", "Age"], id="Runbook"),
    pytest.param(EVALCASE, ["Origin", "Proven", "Live", "Steady", "Last result", "Age"], id="EvalCase"),
    pytest.param(STOP, ["Reason", "Age"], id="Stop"),
]


@pytest.mark.parametrize(("kind", "names"), NARROW)
def test_columns_without_wide_output(kind: Kind, names: list[str]) -> None:
    columns = crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == names


def test_kinds_with_their_short_names_in_one_category() -> None:
    names = {file: document["spec"]["names"] for file, document in crds().items()}
    assert {file: spec.get("shortNames") for file, spec in names.items()} == {
        "opsloop.dev_releases.yaml": ["rel"],
        "opsloop.dev_incidents.yaml": ["inc"],
        "opsloop.dev_runbooks.yaml": ["rb"],
        "opsloop.dev_evalcases.yaml": ["ec"],
        "opsloop.dev_stops.yaml": None,
    }
    assert all(spec["categories"] == ["opsloop"] for spec in names.values())


@pytest.mark.parametrize(
    ("kind", "path", "default"),
    [
        pytest.param(RELEASE, ".spec.slo.period", "30d", id="a timedelta is a duration string"),
        pytest.param(RELEASE, ".spec.strategy.canary.steps[].hold", "0s", id="no time at all is 0s"),
        pytest.param(RELEASE, ".spec.strategy", {}, id="an object with defaults of its own is an empty object"),
        pytest.param(
            RELEASE,
            ".spec.strategy.canary.steps",
            [{"weight": 20}, {"weight": 50}, {"weight": 100}],
            id="a list of objects says only what differs",
        ),
        pytest.param(RELEASE, ".spec.paused", False, id="false is a default too"),
        pytest.param(RELEASE, ".spec.evals.margin", 0.0, id="and so is zero"),
        pytest.param(RELEASE, ".spec.slo", None, id="absent stays absent"),
        pytest.param(RELEASE, ".spec.dependsOn", None, id="an empty list is absent"),
        pytest.param(EVALCASE, ".spec.expect.status", None, id="the expected status is not filled in for anybody"),
        pytest.param(RUNBOOK, ".spec.safety.mode", "auto", id="a literal"),
    ],
)
def test_the_default_of_a_field(kind: Kind, path: str, default: Any) -> None:
    assert at(kind, path).get("default") == default


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param(RELEASE, "", id="the length of a Release's name"),
        pytest.param(RELEASE, ".spec.workloadRef.name", id="one Deployment for ever"),
        pytest.param(RELEASE, ".spec.slo", id="tiers that the objective can reach"),
        pytest.param(RELEASE, ".spec.slo.sli", id="good or bad"),
        pytest.param(RELEASE, ".spec.slo.sli.good", id="a window in good"),
        pytest.param(RELEASE, ".spec.slo.sli.bad", id="a window in bad"),
        pytest.param(RELEASE, ".spec.slo.sli.total", id="a window in total"),
        pytest.param(RELEASE, ".spec.slo.tiers[]", id="short before long"),
        pytest.param(RELEASE, ".spec.strategy.canary.steps", id="weights that rise to 100"),
        pytest.param(INCIDENT, ".spec", id="one root for ever"),
        pytest.param(INCIDENT, ".spec.signal", id="one signal for ever"),
        pytest.param(RUNBOOK, ".spec.steps", id="escalate last"),
        pytest.param(EVALCASE, ".spec", id="where a regression comes from"),
        pytest.param(EVALCASE, ".spec.expect", id="an expectation that says something"),
    ],
)
def test_a_field_has_a_rule(kind: Kind, path: str) -> None:
    """tests/contract/test_admission.py shows on a real API server that they hold."""
    assert rules_at(kind, path)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(
            {"$ref": "#/$defs/T", "description": "Field."},
            {"type": "string", "description": "Field."},
            id="a reference is inlined and described by its field",
        ),
        pytest.param(
            {"$ref": "#/$defs/T"}, {"type": "string", "description": "Type."}, id="a field without words has its type's"
        ),
        pytest.param(
            {"type": "array", "description": "Field.", "items": {"$ref": "#/$defs/T"}},
            {"type": "array", "description": "Field.", "items": {"type": "string"}},
            id="a described list has items without a description",
        ),
        pytest.param(
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "exclusiveMaximum": True},
            id="exclusive bounds are flags beside the bound",
        ),
        pytest.param({"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}, id="a constant is an enum of one"),
        pytest.param({"type": "string", "title": "T"}, {"type": "string"}, id="pydantic's titles are left out"),
        pytest.param(
            {"type": "object", "properties": {"title": {"type": "string"}}},
            {"type": "object", "properties": {"title": {"type": "string"}}},
            id="but a field may be called title",
        ),
        pytest.param(
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "object", "properties": {}},
            id="additionalProperties never stands beside properties",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "string", "title": "V"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
            id="a map keeps the type of its values",
        ),
    ],
)  # fmt: skip
def test_conversion_of_one_node(node: Schema, expected: Schema) -> None:
    defs = {"T": {"type": "string", "description": "Type.", "title": "T"}}
    assert structural(node, defs) == expected


def test_rules_of_field_and_type_both_apply() -> None:
    key = "x-kubernetes-validations"
    node = structural({"$ref": "#/$defs/T", key: [{"rule": "b"}]}, {"T": {"type": "object", key: [{"rule": "a"}]}})
    assert [rule["rule"] for rule in node[key]] == ["a", "b"]
