"""`opsloop slo`: rules of a file or of a stored Release, imports, and bad input that is named by file and field."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opsloop.entry.cli import commands as cli
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.builders import yamls
from tests.contract.admission.objects import at

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "release.yaml"
SLOTH = ROOT / "tests" / "core" / "slo" / "foreign" / "examples"


def run(*argv: object) -> int:
    return cli.main(["slo", *map(str, argv)])


def test_a_file_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "-f", EXAMPLE, "-n", "shop") == 0
    groups = yamls.load(capsys.readouterr().out)["groups"]
    assert [group["name"] for group in groups] == [
        "opsloop-shop-answers-sli-1h-5m-14.4",
        "opsloop-shop-answers-sli-6h-30m-6",
    ]
    assert 'pod=~"answers(-canary|-warm)?-' in groups[0]["rules"][1]["expr"]
    assert [rule["labels"]["opsloop_severity"] for group in groups for rule in group["rules"] if "alert" in rule] == [
        "sev1",
        "sev2",
    ]


def test_objects_of_the_prometheus_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "-f", EXAMPLE, "-n", "shop", "-o", "operator", "--only-while-down", "--pod-label", "kubernetes_pod_name") == 0  # fmt: skip
    made = yamls.load(capsys.readouterr().out)
    assert (made["kind"], made["metadata"]) == ("PrometheusRule", {"name": "opsloop-slo-answers", "namespace": "shop"})
    rules = made["spec"]["groups"][0]["rules"]
    assert "kubernetes_pod_name=~" in rules[1]["expr"] and "opsloop_leader" in rules[-1]["expr"]


def test_a_counter_that_names_no_pods_is_counted_by_its_selector(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", "-f", EXAMPLE, "-n", "shop", "--pod-label", "") == 0
    assert "pod" not in yamls.load(capsys.readouterr().out)["groups"][0]["rules"][1]["expr"]


def test_a_stored_release(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster()
    body = at("Release")
    body["metadata"] = {"name": "answers", "namespace": "shop"}
    cluster.seed(body)

    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Any]:
        yield cluster

    assert cli.main(["slo", "rules", "-n", "shop", "answers"], connect) == 0
    assert yamls.load(capsys.readouterr().out)["groups"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        pytest.param(["-f", "/nowhere.yaml"], "/nowhere.yaml: ", id="no such file"),
        pytest.param(["-f", EXAMPLE], "Release answers: metadata.namespace is not given; give it with -n", id="no namespace"),
        pytest.param(["-f", EXAMPLE, "-n", "shop", "answers"], "not both", id="a file and a name"),
        pytest.param(["-f", ROOT / "docs" / "examples" / "runbook.yaml", "-n", "shop"], "no Release with spec.slo", id="no Release"),
        pytest.param(["-f", EXAMPLE, "-n", "shop", "--pod-label", "a-b"], "--pod-label: 'a-b' is no name of a label", id="no label"),
        pytest.param(["-f", EXAMPLE, "-n", "shop", "--pod-label", "instance"], "addresses of pods change", id="addresses"),
    ],
)  # fmt: skip
def test_bad_input_is_named(argv: list[object], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rules", *argv) == 2
    assert sentence in capsys.readouterr().err


def test_an_import_is_yaml_with_what_was_left_out_as_comments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", SLOTH / "sloth-answers.yaml", SLOTH / "pyrra-two-objects.yaml") == 0
    text = capsys.readouterr().out
    made = list(yamls.load_all(text))
    assert [one["spec"]["slo"]["name"] for one in made] == [
        "answers",
        "edge-errors",
        "edge-speed",
    ]
    assert "# - answers: alerting (" in text


def test_an_import_that_leaves_an_slo_out_says_so_in_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", SLOTH / "sloth-raw.yaml") == 1
    assert yamls.load(capsys.readouterr().out) is None


def test_an_import_of_no_slo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", EXAMPLE) == 2
    assert "known are Sloth" in capsys.readouterr().err
