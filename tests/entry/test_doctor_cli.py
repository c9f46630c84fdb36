"""`opsloop doctor`: rows for what a Release needs, and exit codes for CI."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from opsloop.adapters.prometheus import NoPrometheus
from opsloop.api.release import Release
from opsloop.core.doctor.row import Row
from opsloop.entry.cli import source_options
from opsloop.shell import doctor
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, Source
from tests.builders.answering import NS, Fake, release_body
from tests.builders.past import HASHES, START, Era, history, telemetry
from tests.entry.test_acts_cli import call

MINUTES = 120
POD = {
    "metadata": {"labels": {"app": "answers"}},
    "spec": {"containers": [{"name": "answers", "image": "shop:v1"}], "serviceAccountName": "answers"},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "answers", "namespace": NS},
    "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "answers"}}, "template": POD},
    "status": {"availableReplicas": 4},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "answers", "namespace": NS},
    "spec": {"selector": {"app": "answers"}, "ports": [{"port": 80}]},
}
OPERATOR = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "opsloop", "namespace": "opsloop-system", "labels": {"app.kubernetes.io/name": "opsloop"}},
    "spec": {"template": {"metadata": {}, "spec": {"serviceAccountName": "opsloop"}}},
}


class Server(Fake):
    """An API server that knows what the operator may."""

    def __init__(self, *objects: Any, refused: str = "") -> None:
        super().__init__(*objects)
        self.refused, self.asked = refused, list[str]()

    async def raw(self, method: str, path: str, query: Any = None, headers: Any = None, body: Any = None, timeout: Any = None) -> tuple[int, bytes]:  # noqa: ASYNC109  # fmt: skip
        assert path.endswith("subjectaccessreviews") and method == "POST"
        asked = body["spec"]["resourceAttributes"]
        name = f"{asked['verb']} {asked['resource']}/{asked.get('subresource', '')}"
        assert (body["spec"]["user"], asked["namespace"]) == ("system:serviceaccount:opsloop-system:opsloop", NS)
        self.asked.append(name)
        return 201, json.dumps({"status": {"allowed": name != self.refused}}).encode()


def body(**spec: Any) -> dict[str, Any]:
    made = release_body(**spec)
    made["metadata"]["generation"] = 1
    return {**made, "status": {"observedGeneration": 1, "phase": "Healthy"}}


def server(refused: str = "", **spec: Any) -> Server:
    return Server(body(**spec), DEPLOYMENT, SERVICE, OPERATOR, refused=refused)


async def rows(cluster: Any, source: Source | None = None) -> dict[str, Row]:
    release = Release.model_validate(await cluster.get(RELEASES, NS, "answers"))
    found = await doctor.examine(cluster, release, source, START + timedelta(minutes=MINUTES))
    return {row.name: row for row in found}


async def test_a_release_with_all_that_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = server()
    assert await call(cluster, "doctor", f"{NS}/answers") == 0
    out = capsys.readouterr().out
    assert "nothing to mend, 3 not looked at" in out and "may open gates" in out
    assert "patch pods/status" in cluster.asked
    assert cluster.written() == []


async def test_problems_are_told_with_what_to_do_and_end_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = server(refused="patch pods/status")
    assert await call(cluster, "doctor", "rel/answers", "-o", "json") == 1
    found = json.loads(capsys.readouterr().out)
    [row] = [row for row in found["rows"] if row["verdict"] == "problem"]
    assert (
        found["problems"] == 1
        and "patch pods/status (gates of canary pods)" in row["text"]
        and "helm upgrade" in row["mend"]
    )


async def test_no_such_release_is_an_error_that_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert await call(server(), "doctor", f"{NS}/anwsers") == 2
    assert "did you mean answers?" in capsys.readouterr().err


async def test_without_a_deployment_nothing_of_it_is_judged() -> None:
    found = await rows(Server(body(), OPERATOR))
    assert found["workload"].verdict == "problem" and "quota" not in found
    assert (
        await rows(Server(body(), DEPLOYMENT))
        and (await rows(Server(body(), DEPLOYMENT)))["operator's rights"].verdict == "unknown"
    )


def source(bad: float = 0.001) -> Source:
    model = telemetry(history([Era(0, "v1", HASHES[0], bad)], MINUTES, pods=4), MINUTES)
    return Source(model, model, timedelta(seconds=15), timedelta(0))  # type: ignore[arg-type]


def sli(**requests: str) -> dict[str, Any]:
    return {
        "objective": 0.99,
        "sli": {"requests": {"counter": "http_requests_total", "bad": 'code=~"5.."', **requests}},
    }


@pytest.mark.parametrize(
    ("slo", "row", "verdict", "text"),
    [
        pytest.param(sli(), "SLI", "ok", "requests.counter 8", id="it matches"),
        pytest.param(sli(bad='status=~"5.."'), "SLI", "problem", 'without status=~"5.." it matches 8 series; the series have no such label', id="a label with a mistake"),
        pytest.param(sli(counter="http_request_total"), "SLI", "problem", "no series of http_request_total names a living pod", id="a metric with a mistake"),
        pytest.param(sli(), "versions", "unknown", "label pod holds the pods' names", id="the pods' label"),
        pytest.param(sli(), "traffic", "ok", "the first step takes", id="traffic enough"),
    ],
)  # fmt: skip
async def test_what_prometheus_says(slo: dict[str, Any], row: str, verdict: str, text: str) -> None:
    found = (await rows(server(slo=slo), source()))[row]
    assert found.verdict == verdict and text in found.text, found


async def test_too_little_traffic_is_a_problem_that_says_what_to_change() -> None:
    steps = [{"weight": 1, "hold": "1m"}, {"weight": 100}]
    quick = {"canary": {"steps": steps, "analysis": {"patience": "0s", "minEvents": 5000}}}
    found = (await rows(server(slo=sli(), strategy=quick), source()))["traffic"]
    assert found.verdict == "problem" and "analysis.patience" in found.mend


async def test_a_prometheus_that_does_not_answer_is_one_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def opened(arguments: Any, name: str, cluster: Any) -> AsyncIterator[Source]:
        yield Source(NoPrometheus(), None, timedelta(seconds=15), timedelta(0))  # type: ignore[arg-type]

    monkeypatch.setattr(source_options, "opened", opened)
    assert await call(server(), "doctor", "answers", "--prometheus", "http://nowhere:9090") == 1
    assert "OPSLOOP_PROMETHEUS_URL is not set" in capsys.readouterr().out


async def test_the_deployment_s_marks_say_which_guard_it_needs() -> None:
    cluster = server()
    stored = await cluster.get(DEPLOYMENTS, NS, "answers")
    stored["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/answers"}
    cluster.seed(stored)
    found = (await rows(cluster))["who deploys"]
    assert found.verdict == "problem" and "spec.guard: true" in found.mend
