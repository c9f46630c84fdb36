"""A guarded Deployment as it is read, written and let go: what runs is shown, what is written stands beside it."""

from typing import Any

import pytest

from opsloop.core.actions import DeleteReplicaSet, SetPaused
from opsloop.errors import Conflict
from opsloop.shell.ports import DEPLOYMENTS, Object
from opsloop.shell.reconcile import observe
from opsloop.shell.reconcile.apply import execute
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.shell.watch.mapping import left_paused, requests_for_object
from tests.builders.objects import V1, V2, incident, release_spec, template
from tests.fakes.runtime import Bench, CountingCluster, deployment, release
from tests.sim.shop import NS

BY_US = [{"manager": "opsloop", "time": "2026-01-05T09:00:00Z", "fieldsV1": {"f:spec": {"f:paused": {}}}}]
BY_OTHERS = [{**BY_US[0], "manager": "kubectl-rollout"}]


def paused(image: str = "shop:v2", managed: Any = BY_US) -> Object:
    """The Deployment, paused with a template that asks for v2 while v1 runs."""
    body = deployment(image=image, uid="uid-d", managedFields=managed)
    body["spec"]["paused"] = True
    body["status"] |= {
        "updatedReplicas": 0,
        "conditions": [{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}],
    }
    return body


def one_set(image: str, pods: int) -> Object:
    body = template(image, **{"pod-template-hash": image[-2:]})
    owner = {"kind": "Deployment", "name": "answers", "uid": "uid-d"}
    meta = {"name": f"answers-{image[-2:]}", "namespace": NS, "labels": {"app": "answers"}, "ownerReferences": [owner]}  # fmt: skip
    status = {"replicas": pods, "readyReplicas": pods, "availableReplicas": pods}
    return {"kind": "ReplicaSet", "metadata": meta, "spec": {"replicas": pods, "template": body}, "status": status}


RUNS = (one_set("shop:v3", 0), one_set("shop:v1", 4))


def guards() -> Object:
    spec = {k: v for k, v in release_spec(guard=True).items() if k not in ("version", "images")}
    return {**release(), "spec": spec}


def on(item: Object, *sets: Object, with_release: bool = True) -> Bench:
    """A cluster with these; a ReplicaSet is a second younger than the one before it."""
    cluster = CountingCluster(item, *([guards()] if with_release else []))
    for one in sets:
        cluster.clock.advance(1)
        cluster.seed(one)
    return Bench(cluster)


async def test_what_runs_is_shown_and_what_is_written_stands_beside_it() -> None:
    facts = await observe.release_facts(on(paused(), *RUNS).runtime, NS, "answers")
    assert facts is not None and facts.workload is not None and facts.workload.guard is not None
    seen, guard = facts.workload, facts.workload.guard
    assert (seen.digest, seen.settled, seen.rollout.completed, seen.rollout.paused) == (V1, True, True, False)
    assert (guard.digest, guard.ours, [one.digest for one in guard.with_pods]) == (V2, True, [V1])
    assert "pod-template-hash" not in str(seen.template), "the controller's own label is no part of it"


async def test_replica_sets_are_listed_once_for_each_version_of_a_paused_deployment() -> None:
    made = on(paused(), *RUNS)
    for _ in range(3):
        await observe.release_facts(made.runtime, NS, "answers")
    assert made.cluster.reads.count("list replicasets") == 1
    made.seed({**made.cached("Deployment"), "metadata": {**made.cached("Deployment")["metadata"], "annotations": {"a": "b"}, "managedFields": BY_US}})  # fmt: skip
    await observe.release_facts(made.runtime, NS, "answers")
    assert made.cluster.reads.count("list replicasets") == 2


@pytest.mark.parametrize(
    ("item", "digest"),
    [
        pytest.param(paused(managed=BY_OTHERS), V2, id="paused by somebody else"),
        pytest.param(deployment(image="shop:v2", uid="uid-d"), V2, id="not paused"),
    ],
)
async def test_what_opsloop_did_not_pause_is_shown_as_it_is_written(item: Object, digest: str) -> None:
    facts = await observe.release_facts(on(item, *RUNS).runtime, NS, "answers")
    assert facts is not None and facts.workload is not None and facts.workload.guard is not None
    assert (facts.workload.digest, facts.workload.guard.ours) == (digest, False)


@pytest.mark.parametrize(
    ("action", "image", "is_paused"),
    [
        pytest.param(SetPaused("answers", V2, False, V2), "shop:v2", False, id="unpaused as it stands"),
        pytest.param(SetPaused("answers", V2, False, V1, template("shop:v1")), "shop:v1", False, id="with another template, in one patch"),
        pytest.param(SetPaused("answers", V2, True, V2), "shop:v2", True, id="paused"),
    ],
)  # fmt: skip
async def test_a_patch_of_a_guarded_deployment(action: SetPaused, image: str, is_paused: bool) -> None:
    made = on(paused(), *RUNS)
    await execute(made.runtime, NS, guards(), action)
    (write,) = made.cluster.written("json_patch", "deployments")
    assert write.body[0]["path"] == "/metadata/resourceVersion"
    stored = await made.cluster.get(DEPLOYMENTS, NS, "answers")
    assert bool(stored["spec"].get("paused")) == is_paused
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == image


async def test_another_template_than_the_observed_one_is_not_unpaused() -> None:
    made = on(paused("shop:v3"), *RUNS)
    with pytest.raises(Conflict):
        await execute(made.runtime, NS, guards(), SetPaused("answers", V2, False, V2))


async def test_a_replica_set_that_has_changed_is_not_deleted() -> None:
    made = on(paused(), *RUNS)
    with pytest.raises(Conflict):
        await execute(made.runtime, NS, guards(), DeleteReplicaSet("answers-v3", "", "an older version"))


@pytest.mark.parametrize(
    ("item", "sets", "image"),
    [
        pytest.param(paused(), RUNS, "shop:v1", id="a template that was held back is taken off"),
        pytest.param(paused("shop:v1"), RUNS, "shop:v1", id="that of what runs stays"),
        pytest.param(paused(), (one_set("shop:v3", 0), one_set("shop:v1", 0)), "shop:v1", id="at 0 replicas the newest ReplicaSet is live's"),
        pytest.param(paused(), (), "shop:v2", id="without any ReplicaSet nothing is known to run"),
    ],
)  # fmt: skip
async def test_without_a_release_a_deployment_is_let_go_with_what_runs(item: Object, sets: tuple[Object, ...], image: str) -> None:  # fmt: skip
    made = on(item, *sets, with_release=False)
    assert left_paused(made.runtime.cache) == {("Deployment", NS, "answers")}
    assert await reconcile(made.runtime, ("Deployment", NS, "answers")) is None
    stored = await made.cluster.get(DEPLOYMENTS, NS, "answers")
    assert not stored["spec"].get("paused")
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(paused(managed=BY_OTHERS), id="somebody else paused it"),
        pytest.param(deployment(uid="uid-d"), id="it is not paused"),
    ],
)
async def test_what_opsloop_did_not_pause_is_not_let_go(item: Object) -> None:
    made = on(item, *RUNS, with_release=False)
    await reconcile(made.runtime, ("Deployment", NS, "answers"))
    assert made.cluster.writes == []


async def test_a_cache_that_is_behind_lets_nothing_go() -> None:
    made = on(paused(), *RUNS)
    made.runtime.cache.drop("Release", NS, "answers")
    await reconcile(made.runtime, ("Deployment", NS, "answers"))
    assert made.cluster.writes == [], "the Release is there: the live read says so"


def test_a_release_that_is_deleted_asks_for_its_deployment() -> None:
    made = on(paused(), *RUNS)
    item = made.cached("Release")
    assert ("Deployment", NS, "answers") not in requests_for_object("Release", item, made.runtime.cache)
    made.runtime.cache.drop("Release", NS, "answers")
    assert ("Deployment", NS, "answers") in requests_for_object("Release", item, made.runtime.cache)


async def test_the_cause_of_an_incident_is_looked_for_in_what_runs_and_not_in_what_is_held_back() -> None:
    def uses(item: Object, name: str) -> Object:
        template = item["spec"]["template"]
        template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}}]
        return item

    made = on(uses(paused(), "held-back"), uses(one_set("shop:v1", 4), "runs"))
    for name in ("held-back", "runs"):
        entry = {"manager": "helm", "time": "2026-01-05T09:00:00Z", "fieldsV1": {"f:data": {}}}
        made.cluster.seed({"kind": "ConfigMap", "metadata": {"name": name, "namespace": NS, "managedFields": [entry]}})
    body = incident().model_dump(by_alias=True, mode="json", exclude_none=True)
    made.seed({**body, "kind": "Incident", "status": {"phase": "Open"}})
    facts = await observe.incident_facts(made.runtime, NS, "answers-1")
    assert facts is not None and facts.root is not None
    assert [change.what for change in facts.root.objects.found] == ["ConfigMap runs"]
