"""`opsloop unguard`: unpauses what opsloop left paused, and says what it did."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from opsloop.core import http_route
from opsloop.core.http_route import Backends
from opsloop.entry.cli import commands
from opsloop.errors import Conflict, Forbidden
from opsloop.names import CANARY, LIVE_METADATA
from opsloop.shell.ports import DEPLOYMENTS, HTTPROUTES, PODS, Resource
from opsloop.simulator.fakes.cluster import FakeCluster, json_patch
from tests.builders.objects import template
from tests.shell.reconcile.test_guarded import BY_OTHERS, RUNS, guards, paused
from tests.sim.shop import NS


def run(cluster: Any, *argv: str) -> int:
    @asynccontextmanager
    async def connect(kubeconfig: str | None, context: str | None) -> AsyncIterator[Any]:
        yield cluster

    return commands.main(argv, connect)


def deployment(cluster: FakeCluster) -> Any:
    found = cluster.find(DEPLOYMENTS, NS, "answers")
    assert found is not None
    return found


def test_what_is_left_paused_goes_on_with_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster(paused(), *RUNS)
    assert run(cluster, "unguard") == 0
    stored = deployment(cluster)
    assert not stored["spec"].get("paused")
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:v1"
    assert capsys.readouterr().out == (
        f"Deployment {NS}/answers is unpaused; the template that was held back is taken off it\n"
    )


def test_pods_whose_replica_set_opsloop_deleted_go_with_the_guard() -> None:
    def pod(name: str, hash_: str, **meta: Any) -> Any:
        labels = {"app": "answers", "pod-template-hash": hash_}
        return {"kind": "Pod", "metadata": {"name": name, "namespace": NS, "labels": labels, **meta}}

    owned = {"ownerReferences": [{"kind": "ReplicaSet", "name": "other", "uid": "u"}]}
    cluster = FakeCluster(paused(), *RUNS, pod("left", "gone"), pod("somebodys", "gone-too", **owned))
    assert run(cluster, "unguard") == 0
    assert cluster.find(PODS, NS, "left") is None and cluster.find(PODS, NS, "somebodys") is not None


def test_canaries_go_out_of_traffic_before_they_are_deleted_and_nothing_else_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = {CANARY: "answers"}
    spec = {"selector": {"matchLabels": mine}, "template": template("shop:v4")}
    canary = {
        "kind": "Deployment",
        "metadata": {"name": "answers-canary", "namespace": NS, "labels": mine},
        "spec": spec,
    }
    pods = [{"kind": "Pod", "metadata": {"name": n, "namespace": NS, "labels": labels}, "spec": {}, "status": {"conditions": []}} for n, labels in (("c0", mine), ("l0", {"app": "answers"}))]  # fmt: skip
    live = {"kind": "Deployment", "metadata": {"name": "other", "namespace": NS}, "spec": spec}
    cluster = FakeCluster(canary, live, *pods)
    assert run(cluster, "unguard", "--force") == 0 and cluster.writes == []
    assert run(cluster, "unguard", "--force", "--canaries") == 0
    assert [(w.verb, w.name) for w in cluster.writes] == [("patch_pod_condition", "c0"), ("delete", "answers-canary")]
    assert "canary of Release answers" in capsys.readouterr().out
    assert cluster.find(DEPLOYMENTS, NS, "other") is not None


def test_what_a_release_guards_is_left_alone_and_named_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster(paused(), guards(), *RUNS)
    assert run(cluster, "unguard", "-n", NS) == 2
    assert deployment(cluster)["spec"]["paused"] and "guarded by Release answers" in capsys.readouterr().err
    assert run(cluster, "unguard", "-n", NS, "--force") == 0
    assert not deployment(cluster)["spec"].get("paused")


def test_another_namespace_and_what_others_paused_are_not_touched() -> None:
    cluster = FakeCluster(paused(managed=BY_OTHERS), *RUNS)
    assert run(cluster, "unguard", "--force") == 0
    assert run(FakeCluster(paused(), *RUNS), "unguard", "-n", "elsewhere") == 0
    assert deployment(cluster)["spec"]["paused"] and cluster.writes == []


def test_one_that_changed_meanwhile_is_looked_at_again() -> None:
    cluster = FakeCluster(paused(), *RUNS)
    real, failed = cluster.json_patch, list[int]()

    async def patch(*arguments: Any, **more: Any) -> Any:
        if not failed:
            failed.append(1)
            raise Conflict("the object has been modified")
        return await real(*arguments, **more)

    cluster.json_patch = patch  # type: ignore[method-assign]
    assert run(cluster, "unguard") == 0
    assert not deployment(cluster)["spec"].get("paused")


def moved_route(release: str) -> Any:
    before = {"metadata": {"name": release, "namespace": NS}, "kind": "HTTPRoute"}
    refs = [{"name": "answers", "port": 80, "weight": 3}]
    stored = {**before, "spec": {"rules": [{"backendRefs": refs}]}}
    return json_patch(stored, http_route.moved(stored, release, Backends("answers", "answers-canary"), 20))


def test_routes_of_rollouts_are_put_back_where_no_release_follows_them_or_by_force(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = FakeCluster(moved_route("answers"), moved_route("gone"), guards())

    def weights(name: str) -> list[int]:
        found = cluster.find(HTTPROUTES, NS, name)
        assert found is not None
        return [ref["weight"] for ref in found["spec"]["rules"][0]["backendRefs"]]

    assert run(cluster, "unguard") == 0
    assert (weights("answers"), weights("gone")) == ([80, 20], [3])
    assert capsys.readouterr().out == f"HTTPRoute {NS}/gone is as it was found\n"
    assert run(cluster, "unguard", "--force") == 0
    assert weights("answers") == [3]


@pytest.mark.parametrize("locked", ["a-locked", "answers"])
def test_what_cannot_be_written_keeps_nothing_else_from_being_let_go(
    locked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = {CANARY: "answers"}
    canary = {
        "kind": "Deployment",
        "metadata": {"name": "answers-canary", "namespace": NS, "labels": mine},
        "spec": {"selector": {"matchLabels": mine}, "template": template("shop:v4")},
    }
    cluster = FakeCluster(paused(), *RUNS, canary, moved_route("a-locked"), moved_route("b"))
    real = cluster.json_patch

    async def refused(resource: Resource, namespace: str, name: str, *rest: Any, **more: Any) -> Any:
        if name == locked:
            raise Forbidden("the admission webhook denied the request")
        return await real(resource, namespace, name, *rest, **more)

    monkeypatch.setattr(cluster, "json_patch", refused)
    assert run(cluster, "unguard", "--force", "--canaries") != 0
    assert "the admission webhook denied the request" in capsys.readouterr().err
    assert bool(deployment(cluster)["spec"].get("paused")) is (locked == "answers")
    assert cluster.find(DEPLOYMENTS, NS, "answers-canary") is None


def test_labels_of_a_canarys_time_go_off_every_pod_and_what_was_there_comes_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notes = {"release": "answers", "labels": {"track": ["live", "before"]}, "annotations": {}}
    meta = {"name": "a", "namespace": NS, "labels": {"app": "answers", "track": "live", LIVE_METADATA: "true"}}
    pod = {"kind": "Pod", "metadata": {**meta, "annotations": {LIVE_METADATA: json.dumps(notes)}}}
    other = {"kind": "Pod", "metadata": {"name": "b", "namespace": NS, "labels": {"track": "live"}}}
    cluster = FakeCluster(pod, other)
    assert run(cluster, "unguard") == 0
    assert cluster.written("json_patch", "pods") == [], "while the operator goes on, they are its own"
    assert run(cluster, "unguard", "--canaries") == 0
    stored = [cluster.find(PODS, NS, name) for name in ("a", "b")]
    assert [p["metadata"]["labels"] for p in stored if p] == [{"app": "answers", "track": "before"}, {"track": "live"}]
    assert f"Pod {NS}/a has no labels" in capsys.readouterr().out
