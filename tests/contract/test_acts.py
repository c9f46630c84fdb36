"""Every act of the command line against a real API server: its order and its answer are stored, and read again.

Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster. The operator is `core.release.decide` beside it (`builders.answering`), so that
what is tested is what is written: annotations, the spec, and a status with answers that the CRD takes.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from opsloop.adapters.kube import Kube
from opsloop.api.release import ReleaseStatus
from opsloop.entry.cli import commands as cli
from opsloop.errors import NotFound
from opsloop.names import CLI_MANAGER
from opsloop.shell.evidence.sources import Cluster
from opsloop.shell.ports import RELEASES, Resource
from tests.builders import yamls
from tests.builders.answering import Answered, release_body
from tests.builders.objects import at
from tests.builders.rollouts import canary, status_with, target
from tests.entry.test_acts_cli import PROMOTED, REJECTED, STEPPING

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = Resource("v1", "Namespace", "namespaces")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NO_CANARY = status_with(target("Promoted", "v1", ended_at=at(1)))


@pytest.fixture
async def kube() -> AsyncIterator[Kube]:
    """Connected as the command line is, with the CRDs of this tree."""
    made = await Kube.connect(KUBECONFIG, None, manager=CLI_MANAGER)
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yamls.load(path.read_text())
        query = {"fieldManager": "acts-test", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        code, _ = await made.raw("PATCH", f"{CRDS}/{crd['metadata']['name']}", query, headers, crd)
        assert code in (200, 201)
    yield made
    await made.close()


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    name = f"acts-{uuid.uuid4().hex[:8]}"
    code, _ = await kube.raw("POST", "/api/v1/namespaces", None, None, {"metadata": {"name": name}})
    assert code == 201
    yield name
    await kube.raw("DELETE", f"/api/v1/namespaces/{name}")


async def served(kube: Kube, namespace: str, status: ReleaseStatus, live: str = "v1", **spec: Any) -> Answered:
    """A Release with this status, stored, and an operator that answers."""
    stored = await kube.create(RELEASES, namespace, release_body(namespace=namespace, **spec))
    await kube.replace_status(RELEASES, namespace, {**stored, "status": status.dump()})
    more: dict[str, Any] = {"canary": canary(1, 1)} if status.target and status.target.is_active else {}
    return Answered(kube, live, **more)


async def run(cluster: Any, namespace: str, *argv: str) -> int:
    """Runs the command on this loop, whose connections the cluster has."""

    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Cluster]:
        yield cluster

    arguments = cli.parser().parse_args(argv)
    arguments.namespace = namespace
    return await cli._run(arguments, connect)


ACTS = [
    pytest.param(["promote", "answers"], STEPPING, "v1", {}, "promote", "goes to weight 50", id="promote"),
    pytest.param(["promote", "answers", "--full"], STEPPING, "v1", {}, "promote", "goes live", id="promote --full"),
    pytest.param(["approve", "answers"], STEPPING, "v1", {}, "approve", "weight 50 was approved", id="approve"),
    pytest.param(["abort", "answers"], STEPPING, "v1", {}, "abort", "was aborted", id="abort"),
    pytest.param(["undo", "answers"], PROMOTED, "v4", {}, "undo", "is replaced by v1", id="undo"),
    pytest.param(["unblock", "answers"], PROMOTED, "v4", {}, "unblock", "may be a target again", id="unblock"),
    pytest.param(["restart", "answers"], PROMOTED, "v4", {}, "restart", "start anew", id="restart"),
    pytest.param(["retry", "answers"], REJECTED, "v1", {}, "", "v4: Dark", id="retry"),
    pytest.param(["pause", "answers"], STEPPING, "v1", {}, "", "stays at weight 20", id="pause"),
    pytest.param(["resume", "answers"], STEPPING, "v1", {"paused": True}, "", "goes on from weight 20", id="resume"),
]


@pytest.mark.parametrize(("argv", "status", "live", "spec", "command", "line"), ACTS)
async def test_an_act_is_stored_and_answered(
    kube: Kube, namespace: str, capsys: Any, argv: list[str], status: ReleaseStatus, live: str, spec: Any, command: str, line: str
) -> None:  # fmt: skip
    cluster = await served(kube, namespace, status, live, **spec)
    assert await run(cluster, namespace, *argv) == 0
    assert line in capsys.readouterr().out
    stored = await kube.get(RELEASES, namespace, "answers")
    answers = {c["name"]: c for c in stored["status"].get("commands", [])}
    if command:
        value = stored["metadata"]["annotations"][f"opsloop.dev/{command}"]
        assert (answers[command]["reason"], answers[command]["value"]) == ("Obeyed", value)
        assert " by " in value and line in answers[command]["message"]
    assert stored["status"]["observedGeneration"] == stored["metadata"]["generation"]


async def test_the_conditions_that_kubectl_waits_for_are_stored_with_their_generation(
    kube: Kube, namespace: str
) -> None:
    cluster = await served(kube, namespace, NO_CANARY, version="v1")
    await cluster.get(RELEASES, namespace, "answers")
    stored = await kube.get(RELEASES, namespace, "answers")
    told = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
    assert (told["Promoted"], told["Rejected"], told["Progressing"]) == ("True", "False", "False")
    other = {"version": "v4", "images": {"answers": "shop:v4"}}
    patch = [{"op": "replace", "path": f"/spec/{field}", "value": value} for field, value in other.items()]
    changed = await kube.json_patch(RELEASES, namespace, "answers", patch)
    assert changed["status"]["observedGeneration"] < changed["metadata"]["generation"]  # kubectl wait counts it not
    await cluster.get(RELEASES, namespace, "answers")
    stored = await kube.get(RELEASES, namespace, "answers")
    told = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
    assert (told["Promoted"], told["Progressing"]) == ("False", "True")


async def test_stop_and_resume(kube: Kube, namespace: str, capsys: Any) -> None:
    assert await run(kube, namespace, "stop", "the contract") == 0
    assert await run(kube, namespace, "get", "stops") == 0 and "the contract" in capsys.readouterr().out
    assert await run(kube, namespace, "resume") == 0 and "is deleted" in capsys.readouterr().out


async def test_lint_hears_the_rules_of_the_api_server(kube: Kube, namespace: str, tmp_path: Path, capsys: Any) -> None:
    falling = {"canary": {"steps": [{"weight": 50}, {"weight": 20}]}}
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(release_body(namespace=namespace, strategy=falling)))
    assert await run(kube, namespace, "lint", str(path)) == 1
    out = capsys.readouterr().out
    assert "weights must rise from step to step" in out
    assert "spec.workloadRef.name: Deployment answers is neither in these files nor in namespace" in out


async def test_an_act_on_a_release_that_is_gone_says_so(kube: Kube, namespace: str) -> None:
    with pytest.raises(NotFound, match="there is no Release 'answers' in namespace"):
        await run(kube, namespace, "abort", "answers")
    await asyncio.sleep(0)
