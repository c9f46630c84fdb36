"""`opsloop lint`: what is wrong with manifests, with the field and what would be right; good ones pass."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from opsloop.entry.cli.checks import Document, of_expressions, of_references, of_schema
from tests.builders.answering import NS, Fake, release_body
from tests.entry.test_acts_cli import call

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "answers", "namespace": NS},
    "spec": {"template": {"spec": {"containers": [{"name": "answers", "image": "shop:v1"}]}}},
}


def document(**spec: Any) -> Document:
    return Document("x.yaml Release/answers", release_body(**spec))


def slo(**sli: str) -> dict[str, Any]:
    return {"slo": {"objective": 0.99, "sli": sli}}


GOOD_TOTAL = "sum(increase(b[{{window}}]))"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        pytest.param(document(imagse={"answers": "x"}), "spec.imagse: there is no such field; did you mean images?", id="a field with a mistake"),
        pytest.param(document(zzz=1), "spec.zzz: there is no such field; there: ", id="a field like none"),
        pytest.param(document(strategy={"canary": {"steps": [{"weight": 101}]}}), "spec.strategy.canary.steps[0].weight: 101", id="a number beyond its bound"),
        pytest.param(document(strategy={"canary": {"steps": [{"wieght": 10}]}}), "spec.strategy.canary.steps[0].wieght", id="in a list"),
        pytest.param(document(version=4), 'spec.version: 4 is not of type "string"', id="a type"),
        pytest.param(document(slo={"objective": 1.0, "sli": {}}), "spec.slo.objective: 1", id="an exclusive bound"),
        pytest.param(Document("x", {**release_body(), "kind": "Relase"}), "kind: Relase is none of", id="a kind with a mistake"),
        pytest.param(Document("x", {**release_body(), "apiVersion": "opsloop.dev/v1"}), "opsloop.dev/v1 is not served; write opsloop.dev/v1alpha1", id="another version"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong(item: Document, text: str) -> None:
    assert any(text in finding.text for finding in of_schema(item)), of_schema(item)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        pytest.param(document(**slo(bad='sum(increase(a{x="y"[{{window}}]))', total=GOOD_TOTAL)), "spec.slo.sli.bad: is no PromQL", id="a brace that is not closed"),
        pytest.param(document(**slo(bad="sum(increase(a[{{window}}]))", total="sum(icnrease(b[{{window}}]))")), "spec.slo.sli.total: is no PromQL", id="a function with a mistake"),
        pytest.param(document(**slo(bad="sum(rate(a[{{window}}]))", total=GOOD_TOTAL)), "NotACount: spec.slo.sli.bad gives events per second", id="a rate"),
        pytest.param(document(**slo(bad="sum(increase(a[5m]))", total=GOOD_TOTAL)), "does not hold {{window}}", id="no window"),
        pytest.param(document(slo={"objective": 0.9, "sli": {"requests": {"counter": "a_total", "bad": 'code=~"5'}}}), "spec.slo.sli.requests", id="a selector of a structured SLI"),
    ],
)  # fmt: skip
def test_promql_that_is_wrong(item: Document, text: str) -> None:
    assert any(text in finding.text for finding in of_expressions(item)), of_expressions(item)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        pytest.param('max(max_over_time(rss{pod="{{pod}}"}[{{window}}]))', [], id="a measure under load"),
        pytest.param('max(max_over_time(rss{pod="{{pod}}"[{{window}}]))', ["spec.load.measured[0].query: is no PromQL"], id="a brace that is not closed"),
    ],
)  # fmt: skip
def test_a_measure_under_load(query: str, said: list[str]) -> None:
    load = {"requestsPerSecond": 20, "duration": "5s", "measured": [{"name": "memory", "query": query, "max": "1Gi"}]}
    spec = {"release": "answers", "request": {"path": "/", "port": 80}, "expect": {}, "mustPass": True, "load": load}
    found = of_expressions(Document("x", {"kind": "EvalCase", "metadata": {"name": "busy"}, "spec": spec}))
    assert [finding.text[: len(text)] for finding, text in zip(found, said, strict=True)] == said


def test_references_are_notes_without_a_cluster_and_mistakes_with_one() -> None:
    item = document(dependsOn=["catalog"])
    alone = of_references([item], None, NS)
    assert [(f.text.split(":")[0], f.fatal) for f in alone] == [
        ("spec.workloadRef.name", False),
        ("spec.dependsOn", False),
    ]
    there: Mapping[str, Any] = {NS: {"Deployment": {"answers": DEPLOYMENT}, "Release": {"catalogue": {}}}}
    (found,) = of_references([item], there, NS)
    assert (
        found.fatal
        and "Release catalog is neither in these files nor in namespace shop; did you mean catalogue?" in found.text
    )
    assert of_references([item], {NS: {}}, NS) == []  # what may not be listed is not judged


def test_a_container_that_the_deployment_does_not_have() -> None:
    wrong = [document(images={"anwers": "x"}), Document("y", DEPLOYMENT)]
    assert [f.text for f in of_references(wrong, None, NS)] == [
        "spec.images.anwers: the Deployment has no such container, but answers"
    ]


async def test_the_examples_and_the_demo_pass_offline(capsys: Any) -> None:
    folders = [str(ROOT / "docs" / "examples"), str(ROOT / "e2e" / "demo" / "opsloop")]
    assert await call(Fake(), "lint", "--offline", *folders) == 0, capsys.readouterr().out
    assert "nothing to correct" in capsys.readouterr().out


class Server(Fake):
    """An API server that refuses the dry run of each Release by a CEL rule, and knows what an account may."""

    def __init__(self, *objects: Any, allowed: bool = True) -> None:
        super().__init__(*objects)
        self.allowed = allowed

    async def raw(self, method: str, path: str, query: Any = None, headers: Any = None, body: Any = None, timeout: Any = None) -> tuple[int, bytes]:  # noqa: ASYNC109  # fmt: skip
        if path.endswith("subjectaccessreviews"):
            return 201, json.dumps({"status": {"allowed": self.allowed}}).encode()
        assert query == {"dryRun": "All", "fieldManager": "opsloop-cli", "force": "true", "fieldValidation": "Strict"}
        if "/releases/" in path:
            return 422, b'{"message": "weights must rise from step to step"}'
        return 200, b"{}"


RUNBOOK = {
    "apiVersion": "opsloop.dev/v1alpha1",
    "kind": "Runbook",
    "metadata": {"name": "bad", "namespace": NS},
    "spec": {"steps": [{"type": "rollback"}], "serviceAccountName": "robot"},
}


async def test_with_a_cluster_rules_and_rights_are_asked(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "all.yaml"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": NS}}
    checks = [{"name": "load", "job": {"image": "k6:1"}}]
    asked = release_body()
    asked["spec"] |= {"serviceAccountName": "robot", "strategy": {"canary": {"checks": checks}}}
    path.write_text(yaml.safe_dump_all([asked, DEPLOYMENT, RUNBOOK, account]))
    server = Server(allowed=False)
    assert await call(server, "lint", str(path)) == 1
    out = capsys.readouterr().out
    assert "Release/answers: the API server says 422: weights must rise" in out
    assert "Runbook/bad: spec.serviceAccountName: robot may not patch Deployment answers" in out
    assert "Release/answers: spec.serviceAccountName: robot lacks create on jobs.batch, which checks need" in out
    assert out.splitlines()[-1] == "2 objects checked and by a dry run: 3 to correct"


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        pytest.param("a: [", "expected the node content", 1, id="no YAML"),
        pytest.param("- 1", "is no Kubernetes object", 1, id="no object"),
        pytest.param("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", "no object of opsloop.dev in", 2, id="nothing of opsloop's"),
        pytest.param("apiVersion: opsloop.dev/v1alpha1\nkind: Release\nmetadata: [1]\nspec: 7", "spec: 7 is not", 1, id="an object of wrong types"),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_read(text: str, line: str, code: int, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert await call(Fake(), "lint", "--offline", str(path)) == code
    printed = capsys.readouterr()
    assert line in printed.out + printed.err
