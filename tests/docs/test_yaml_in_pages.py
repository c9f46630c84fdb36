"""Every YAML and JSON block of every page is told by its first keys, and held against what reads it.

Objects of ours and parts of a Release or an EvalCase go through the operator's models and, where Go is, through the API server's own
validation with the CRDs' rules; values of the chart through its schema; what another program reads is told below, with its check.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from opsloop.api.kinds import ALL
from opsloop.api.meta import API_VERSION
from opsloop.entry.settings import Settings
from tests.builders import yamls
from tests.contract.admission import validator
from tests.contract.admission.objects import at
from tests.docs.fenced import ROOT, Block, blocks, commands
from tests.docs.said import wrong

Object = dict[str, Any]
MODELS = {kind.name: kind.model for kind in ALL}
CHART = ROOT / "charts" / "opsloop"
VALUES = yamls.load((CHART / "values.yaml").read_text())
DATA = [block for block in blocks() if block.language in ("yaml", "yml")]
SPECS = {"slo", "strategy", "evals", "workloadRef", "guard", "dependsOn", "paused", "knownAs"}


def documents(block: Block) -> list[Any]:
    return [one for one in yamls.load_all(block.text) if one is not None]


def objects(document: Any) -> Iterator[Object]:
    """What of a document is ours: an object, or a part of one, completed."""
    if not isinstance(document, dict):
        return
    if document.get("apiVersion") == API_VERSION:
        yield document
    elif "kind" in document:
        return
    elif set(document) == {"spec"} and "request" in document["spec"]:
        yield at("EvalCase", **{**dict.fromkeys(at("EvalCase")["spec"]), "release": "answers", **document["spec"]})
    elif set(document) == {"spec"}:
        yield _release(document["spec"])
    elif set(document) <= SPECS:
        yield _release(document)
    elif set(document) == {"sli"}:
        yield _release({"slo": {"objective": 0.99, **document}})
    elif set(document) == {"load"}:
        yield at("EvalCase", **document)
    elif set(document) == {"ask"}:
        yield _release({"evals": {"port": 8080, **document}})


def _release(part: Object) -> Object:
    base: Object = {"workloadRef": {"name": "answers"}}
    if not part.get("guard"):
        base |= {"version": "v1", "images": {"answers": "registry.example/answers:v1"}}
    return {"apiVersion": API_VERSION, "kind": "Release", "metadata": {"name": "case"}, "spec": {**base, **part}}


def is_values(document: Any) -> bool:
    return isinstance(document, dict) and set(document) <= set(VALUES)


def _alertmanager(document: Any) -> None:
    (hook,) = document["receivers"][0]["webhook_configs"]
    assert re.search(r":8080/v1/namespaces/[a-z]+/alerts$", hook["url"])
    assert hook["http_config"]["authorization"]["credentials_file"] == "/var/run/secrets/opsloop/token"


def _token(document: Any) -> None:
    (source,) = document["volumes"][0]["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == Settings().token_audience


def _flux(document: Any) -> None:
    assert {one["apiVersion"] for one in document["healthChecks"] + document["healthCheckExprs"]} == {API_VERSION}
    said = " ".join(str(v) for one in document["healthCheckExprs"] for v in one.values())
    assert set(re.findall(r"c\.type == '(\w+)'", said)) == {"Ready", "Rejected"}


def _pipeline(document: Any) -> None:
    """A job of GitHub or GitLab: the lines of its script are commands."""
    (job,) = document.values()
    scripts = job.get("script") or [step["run"] for step in job["steps"] if "run" in step]
    assert [said for text in scripts for words in commands(text) if (said := wrong(words))] == []


OTHERS: dict[str, Callable[[Any], None]] = {
    "receivers": _alertmanager,
    "volumes": _token,
    "healthChecks": _flux,
    "gate": _pipeline,
}
THEIRS = {"Rollout", "AnalysisTemplate", "Canary", "MetricTemplate", "HTTPRoute", "Gateway", "Deployment", "Service"}
RIGHTS = {"ServiceAccount", "Role", "RoleBinding"}  # applied by the story that runs the page


def way(document: Any) -> str:
    """By what a document is checked; "" for nothing."""
    if [*objects(document)]:
        return "models and admission"
    if is_values(document):
        return "schema of the chart's values"
    key = next(iter(document), "") if isinstance(document, dict) else ""
    if key in OTHERS:
        return f"check of {key}"
    return "another project's" if isinstance(document, dict) and document.get("kind") in THEIRS | RIGHTS else ""


@cache
def said() -> dict[Block, list[list[str]]]:
    """What the API server's packages say of the objects of each block: all are asked at once."""
    asked = [(block, one) for block in DATA for document in documents(block) for one in objects(document)]
    try:
        answers = validator.ask([one for _, one in asked]).objects
    except validator.NotHere as reason:
        pytest.skip(str(reason))
    found: dict[Block, list[list[str]]] = {}
    for (block, _), answer in zip(asked, answers, strict=True):
        found.setdefault(block, []).append(answer)
    return found


@pytest.mark.parametrize("block", DATA, ids=str)
def test_a_block_is_checked_by_something(block: Block) -> None:
    assert documents(block)
    assert [document for document in documents(block) if not way(document)] == []


@pytest.mark.parametrize("block", DATA, ids=str)
def test_the_operator_reads_every_field_of_an_object(block: Block) -> None:
    for document in documents(block):
        for one in objects(document):
            read = MODELS[one["kind"]].model_validate(one)
            assert read.model_dump(mode="json", by_alias=True, exclude_unset=True)["spec"] == one["spec"]


@pytest.mark.parametrize("block", [b for b in DATA if any([*objects(d)] for d in documents(b))], ids=str)
def test_the_api_server_would_take_it(block: Block) -> None:
    assert [words for words in said()[block] if words] == []


@pytest.mark.parametrize("block", [b for b in DATA if any(map(is_values, documents(b)))], ids=str)
def test_the_chart_takes_values(block: Block) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    schema.pop("required", None)
    validator_of_values = jsonschema_rs.validator_for(schema)
    for document in documents(block):
        validator_of_values.validate(document)


@pytest.mark.parametrize("block", DATA, ids=str)
def test_what_another_program_reads(block: Block) -> None:
    for document in documents(block):
        key = next(iter(document), "") if isinstance(document, dict) else ""
        if key in OTHERS and not [*objects(document)] and not is_values(document):
            OTHERS[key](document)


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


def test_no_block_has_a_language_that_nobody_checks() -> None:
    checked = {"sh", "yaml", "json", "jinja", ""}  # jinja: rendered by tests/core; "": output
    assert {str(block) for block in blocks() if block.language not in checked} == set()
