"""Facts: from the watch caches where possible, live where they do not reach, and no more reads than that."""

from typing import Any

import pytest

from opsloop.api.meta import parse_time
from opsloop.core.facts import RolloutState, WorkloadFacts
from opsloop.names import CANARY, GATE, QUARANTINE, RELEASE, REVISION
from opsloop.shell.ports import CONFIGMAPS
from opsloop.shell.reconcile import observe, workloads
from tests.builders.objects import V1, V4, evalcase, incident, runbook, template
from tests.fakes.runtime import bench, deployment, pod, release
from tests.sim.shop import NS

IDLE = ["list controllerrevisions", "list services", "list poddisruptionbudgets"]


def counts(**changes: int) -> dict[str, Any]:
    base = {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}
    return deployment() | {
        "status": {**base, **changes},
        "metadata": {"name": "answers", "namespace": NS, "generation": 1},
    }


def with_spec(availableReplicas: int = 4, **spec: Any) -> dict[str, Any]:
    body = counts(availableReplicas=availableReplicas)
    return {**body, "spec": {**body["spec"], **spec}}


@pytest.mark.parametrize(
    ("obj", "settled"),
    [
        pytest.param(counts(), True, id="observed, updated, available, nothing old left"),
        pytest.param(counts(observedGeneration=0), False, id="the controller has not seen it yet"),
        pytest.param(counts(updatedReplicas=3), False, id="not all pods are new"),
        pytest.param(counts(availableReplicas=3), True, id="one of four is not available, as its strategy allows (25 % by default)"),
        pytest.param(counts(availableReplicas=2), False, id="fewer are available than its strategy demands"),
        pytest.param(with_spec(strategy={"rollingUpdate": {"maxUnavailable": 0}}, availableReplicas=3), False, id="its strategy demands all"),
        pytest.param(with_spec(strategy={"rollingUpdate": {"maxUnavailable": "50%"}}, availableReplicas=2), True, id="its strategy demands half"),
        pytest.param(with_spec(strategy={"type": "Recreate"}, availableReplicas=3), False, id="Recreate demands all"),
        pytest.param(with_spec(paused=True), True, id="it is paused after it was rolled out"),
        pytest.param(counts(replicas=5), False, id="an old pod is left"),
        pytest.param({**counts(), "status": {}}, False, id="no status at all"),
    ],
)  # fmt: skip
def test_settled(obj: dict[str, Any], settled: bool) -> None:
    assert workloads.workload(obj).settled is settled


def test_settled_at_zero_replicas_and_one_replica_where_unset() -> None:
    none = {**counts(replicas=0, updatedReplicas=0, availableReplicas=0)}
    none["spec"] = {**none["spec"], "replicas": 0}
    assert (workloads.workload(none).settled, workloads.workload(none).replicas) == (True, 0)
    unset = {**counts(), "spec": {k: v for k, v in counts()["spec"].items() if k != "replicas"}}
    assert workloads.workload(unset).replicas == 1


async def test_the_manager_of_the_template_comes_with_its_time() -> None:
    fields = [{"manager": "kubectl-set", "time": "2026-01-05T09:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}}]
    on = bench()
    on.seed(deployment(image="shop:v2", managedFields=fields))
    facts = await observe.release_facts(on.runtime, NS, "answers")
    assert facts is not None and isinstance(facts.workload, WorkloadFacts)
    assert (facts.workload.manager, str(facts.workload.written_at)) == ("kubectl-set", "2026-01-05 09:00:00+00:00")


def told(*conditions: dict[str, Any], **spec: Any) -> RolloutState:
    body = with_spec(availableReplicas=2, **spec)
    body["status"] = {**body["status"], "conditions": list(conditions)}
    return workloads.workload(body).rollout


def test_what_kubernetes_says_of_a_rollout() -> None:
    stalled = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": "2026-01-05T09:00:00Z",
               "message": 'ReplicaSet "answers-1" has timed out progressing.'}  # fmt: skip
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    state = told(stalled, refused, progressDeadlineSeconds=60, paused=True)
    assert (state.stalled, state.failure, state.paused) == (stalled["message"], "exceeded quota", True)
    assert (state.stalled_at, state.deadline.total_seconds()) == (parse_time("2026-01-05T09:00:00Z"), 60)
    assert told({**refused, "status": "False"}) == told(), "a failure that is over is none"
    going = told({**stalled, "status": "True", "reason": "ReplicaSetUpdated"})
    assert (going.stalled, going.progressed_at, going.completed) == ("", parse_time("2026-01-05T09:00:00Z"), False)
    assert told({**stalled, "status": "True", "reason": "NewReplicaSetAvailable"}).completed
    assert told().deadline.total_seconds() == 600, "Kubernetes' own default"


READY = {"ContainersReady": "True", GATE: "True", "Ready": "True"}
CRASHED = [{"name": "answers", "ready": False, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 3}}}]
WAITING = [{"name": "answers", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param(pod("c0", {REVISION: V4}, READY), (True, True, True, ""), id="in traffic"),
        pytest.param(pod("c0", {REVISION: V4}, {"ContainersReady": "True"}), (True, False, False, ""), id="dark"),
        pytest.param(pod("c0", {REVISION: V4}, {**READY, GATE: "False", "Ready": "False"}), (True, False, False, ""), id="taken out"),
        pytest.param(pod("c0", {REVISION: V4}), (False, False, False, ""), id="just made"),
        pytest.param(pod("c0", {REVISION: V4}, containerStatuses=WAITING), (False, False, False, "answers: ImagePullBackOff"), id="its image cannot be pulled"),
        pytest.param(pod("c0", {REVISION: V4}, phase="Failed", reason="Evicted"), (False, False, False, "Evicted"), id="evicted"),
        pytest.param(pod("c0", {REVISION: V4}, containerStatuses=CRASHED), (False, False, False, "answers: CrashLoopBackOff, exit code 3"), id="between two crashes"),
        pytest.param(pod("c0", {REVISION: V4}, initContainerStatuses=CRASHED), (False, False, False, "init container answers: CrashLoopBackOff, exit code 3"), id="an init container crashes"),
        pytest.param(pod("c0", {REVISION: V4}, READY, containerStatuses=[{**CRASHED[0], "ready": True}]), (True, True, True, ""), id="it crashed once and is well now"),
    ],
)  # fmt: skip
def test_a_pod(obj: dict[str, Any], said: tuple[bool, bool, bool, str]) -> None:
    facts = workloads.pod(obj)
    assert (facts.containers_ready, facts.in_traffic, facts.ready, facts.failing) == said
    assert (facts.digest, facts.deleting) == (V4, False)


def test_a_pod_on_its_way_out() -> None:
    going = pod("c0")
    going["metadata"]["deletionTimestamp"] = "2026-01-05T09:00:00Z"
    assert workloads.pod(going).deleting


async def test_a_release_that_is_gone_has_no_facts() -> None:
    on = bench()
    assert await observe.release_facts(on.runtime, NS, "other") is None
    assert await observe.incident_facts(on.runtime, NS, "other") is None
    assert await observe.runbook_facts(on.runtime, NS, "other") is None
    assert await observe.evalcase_facts(on.runtime, NS, "other") is None


async def test_stored_templates_are_read_once() -> None:
    revision = {
        "kind": "ControllerRevision",
        "metadata": {"name": f"answers-{V1}", "namespace": NS, "labels": {RELEASE: "answers", REVISION: V1}},
        "data": template(),
    }
    on = bench(revision)
    for _ in range(3):
        facts = await observe.release_facts(on.runtime, NS, "answers")
        assert facts is not None and facts.templates == {V1: template()}
    assert sorted(on.cluster.reads) == sorted([*IDLE, "list pods"]), "pods once, before it is adopted"


async def test_canary_pods_are_listed_live_but_only_while_there_is_a_canary() -> None:
    labels = {CANARY: "answers", REVISION: V4}
    on = bench(pod("c0", labels, READY), pod("x", {"app": "answers"}, READY))
    canary = deployment("answers-canary", "shop:v4", 1, labels={CANARY: "answers"})
    canary["spec"]["template"] = template("shop:v4", **labels)
    on.seed(canary)
    facts = await observe.release_facts(on.runtime, NS, "answers")
    assert facts is not None and facts.canary is not None
    assert (facts.canary.digest, [p.name for p in facts.canary.pods]) == (V4, ["c0"])
    assert "list pods" in on.cluster.reads


async def test_a_deployment_that_is_only_called_like_a_canary_is_none() -> None:
    on = bench(deployment("answers-canary"))
    on.seed(release(live=V1))
    facts = await observe.release_facts(on.runtime, NS, "answers")
    assert facts is not None and facts.canary is None and "list pods" not in on.cluster.reads


def opened(name: str = "answers-1", **status: Any) -> dict[str, Any]:
    item = incident(name)
    return {"kind": "Incident", "metadata": {"name": name, "namespace": NS}, "spec": item.spec.dump(), "status": status}


async def test_incident_facts_hold_root_and_other_incidents_and_read_stored_objects_once() -> None:
    written = {
        "kind": "ConfigMap",
        "metadata": {"name": "answers-1-postmortem", "namespace": NS, "annotations": {"opsloop.dev/subject": "900d"}},
        "data": {"postmortem.md": "# X"},
    }
    on = bench(opened(), opened("answers-2"), written)
    for _ in range(3):
        facts = await observe.incident_facts(on.runtime, NS, "answers-1")
        assert facts is not None and facts.root is not None and facts.postmortem == "900d"
        assert [i.metadata.name for i in facts.incidents] == ["answers-2"] and facts.ledger.alerts == ()
    assert on.cluster.reads == ["get configmaps answers-1-ledger", "get configmaps answers-1-postmortem"]
    on.cluster.remove(CONFIGMAPS, NS, "answers-1-postmortem")
    assert (again := await observe.incident_facts(on.runtime, NS, "answers-1")) and again.postmortem == "900d"


@pytest.mark.parametrize(
    ("stored", "digest"),
    [
        pytest.param({}, "", id="stored by an opsloop that kept no digest: rendered again"),
        pytest.param(None, None, id="not stored"),
    ],
)
async def test_a_postmortem_without_a_digest(stored: dict[str, Any] | None, digest: str | None) -> None:
    meta = {"name": "answers-1-postmortem", "namespace": NS}
    written = [] if stored is None else [{"kind": "ConfigMap", "metadata": meta, "data": stored}]
    facts = await observe.incident_facts(bench(opened(), *written).runtime, NS, "answers-1")
    assert facts is not None and facts.postmortem == digest


def book(ready: str = "True") -> dict[str, Any]:
    at = {"reason": "x", "lastTransitionTime": "2026-01-05T09:00:00Z"}
    status = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready, **at}]}
    meta = {"name": "bad-release", "namespace": NS, "generation": 1}
    return {"kind": "Runbook", "metadata": meta, "spec": runbook().spec.dump(), "status": status}


def asks(state: str = "Requested", of: str = "bad-release") -> dict[str, Any]:
    play = {
        "runbook": of,
        "step": 0,
        "type": "rollback",
        "attempt": 1,
        "state": state,
        "requestedAt": "2026-01-05T09:00:00Z",
    }
    return opened(plays=[play])


async def test_access_is_reviewed_on_the_releases_that_a_runbook_is_for_and_on_those_that_ask() -> None:
    on = bench(book())
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {("deployments", "answers"): True}
    other = book()
    other["spec"]["match"]["releaseLabels"] = {"tier": "gold"}
    on.seed(other)
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {}
    on.seed(asks())
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {("deployments", "answers"): True}


async def test_each_right_that_a_step_needs_is_asked_for_once() -> None:
    steps = [{"type": "rollback"}, {"type": "restart"}, {"type": "abortCanary"}, {"type": "wait"}]
    item = book()
    item["spec"]["steps"] = steps
    facts = await observe.runbook_facts(bench(item).runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {("deployments", "answers"): True, ("releases", "answers"): True}
    item["spec"]["safety"]["mode"] = "dryRun"
    facts = await observe.runbook_facts(bench(item).runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {}


async def test_of_an_incident_without_a_release_the_rights_are_asked_for_that_need_none() -> None:
    item, nobodys = book(), asks()
    item["spec"]["steps"] = [{"type": "rollback"}, {"type": "job", "job": {"image": "tools:1"}}]
    nobodys["spec"]["release"] = ""
    facts = await observe.runbook_facts(bench(item, nobodys).runtime, NS, "bad-release")
    assert facts is not None
    assert facts.allowed == {("deployments", "answers"): True, ("jobs", "answers"): True, ("jobs", ""): True}


async def test_whether_the_account_exists() -> None:
    on = bench(book())
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.account_exists is False
    on.seed({"kind": "ServiceAccount", "metadata": {"name": "runbook", "namespace": NS}})
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.account_exists is True
    on.cluster.forbidden.add("serviceaccounts")
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.account_exists is None


async def test_access_is_that_of_the_runbooks_account_to_that_deployment() -> None:
    on, asked = bench(asks(), book()), []

    async def allowed(*who: Any) -> bool:
        asked.append(who)
        return False

    on.access.allowed = allowed  # type: ignore[method-assign,assignment]
    facts = await observe.runbook_facts(on.runtime, NS, "bad-release")
    assert facts is not None and facts.allowed == {("deployments", "answers"): False}
    ((account, *what),) = asked
    assert account.name == "system:serviceaccount:shop:runbook" and f"system:serviceaccounts:{NS}" in account.groups
    assert what == ["patch", "apps", "deployments", NS, "answers"]


def case(**status: Any) -> dict[str, Any]:
    item = evalcase(proven="Unknown")
    meta = {"name": "answers-1-regression", "namespace": NS, "generation": 1}
    return {
        "kind": "EvalCase",
        "metadata": meta,
        "spec": item.spec.dump(),
        "status": {"observedGeneration": 1, **status},
    }


@pytest.mark.parametrize(
    ("status", "reads"),
    [
        pytest.param({"proven": "Unknown"}, True, id="while it may need a proof"),
        pytest.param({"proven": "True", "startedAt": "2026-01-05T09:00:00Z"}, True, id="while its pods may be there"),
        pytest.param({"proven": "True"}, False, id="not when it is proven and clean"),
        pytest.param({"proven": "True", "observedGeneration": 0}, True, id="but again when it was edited"),
    ],
)
async def test_pods_and_services_of_a_proof_are_listed(status: dict[str, Any], reads: bool) -> None:
    on = bench(case(**status), pod("q", {QUARANTINE: "answers-1-regression"}))
    facts = await observe.evalcase_facts(on.runtime, NS, "answers-1-regression")
    assert facts is not None and ("list pods" in on.cluster.reads) == reads
    assert len(facts.pods) == (1 if reads else 0)


@pytest.mark.parametrize(
    ("gate", "by_hand"),
    [
        pytest.param(None, False, id="never opened"),
        pytest.param({"status": "True", "reason": "WeightDecided"}, False, id="open"),
        pytest.param({"status": "False", "reason": "OutOfTraffic"}, False, id="closed by opsloop"),
        pytest.param({"status": "False", "reason": "Maintenance"}, True, id="closed by a person"),
        pytest.param({"status": "False"}, True, id="closed without a word"),
    ],
)
def test_a_gate_that_a_person_closed_is_told_apart(gate: dict[str, str] | None, by_hand: bool) -> None:
    body = pod("c0", {REVISION: V4}, {"ContainersReady": "True"})
    body["status"]["conditions"] += [{"type": GATE, **gate}] if gate else []
    assert workloads.pod(body).closed_by_hand is by_hand


def test_a_pod_that_ended_or_fits_no_node() -> None:
    assert workloads.pod(pod("c0", phase="Failed", reason="Evicted")).ended
    assert not workloads.pod(pod("c0", phase="Running")).ended
    body = pod("c0")
    body["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]
    assert workloads.pod(body).unschedulable == "0/3 nodes are available"
