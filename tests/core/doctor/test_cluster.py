"""What the cluster's objects say to a Release."""

from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.doctor import cluster, rollout_checks
from opsloop.core.doctor.row import Row
from opsloop.core.facts import Budget

LABELS = {"app": "answers"}
POD = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "answers", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}]},
}


def release(generation: int = 3, observed: int = 3, conditions: Any = (), **spec: Any) -> Release:
    meta = {"name": "answers", "namespace": "shop", "generation": generation}
    stamped = [{"message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", **one} for one in conditions]
    status = {"observedGeneration": observed, "phase": "Healthy", "conditions": stamped}
    return Release.model_validate(
        {"metadata": meta, "spec": {"workloadRef": {"name": "answers"}, **spec}, "status": status}
    )


def deployment(replicas: int = 4, available: int = 4, **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "answers", "namespace": "shop", **meta},
        "spec": {"replicas": replicas, "template": POD},
        "status": {"availableReplicas": available},
    }


def said(row: Row, verdict: str, text: str) -> bool:
    return row.verdict == verdict and text in f"{row.text} → {row.mend}"


@pytest.mark.parametrize(
    ("item", "verdict", "text"),
    [
        pytest.param(release(), "ok", "generation 3", id="it has seen the spec"),
        pytest.param(release(4, 3), "problem", "has not looked at generation 4", id="it has not"),
        pytest.param(release(conditions=[{"type": "SpecResolved", "status": "False", "reason": "ContainerMissing"}]), "problem", "ContainerMissing", id="it cannot do what is asked"),
        pytest.param(release(conditions=[{"type": "Stopped", "status": "True", "reason": "Stopped"}]), "problem", "Stopped", id="it was stopped"),
    ],
)  # fmt: skip
def test_the_operator(item: Release, verdict: str, text: str) -> None:
    assert said(cluster.operator(item), verdict, text)


@pytest.mark.parametrize(
    ("answers", "account", "verdict", "text"),
    [
        pytest.param({"patch pods/status": True}, "ServiceAccount o/p", "ok", "may open gates", id="it may"),
        pytest.param({"patch pods/status": False, "list pods": True}, "ServiceAccount o/p", "problem", "may not: patch pods/status", id="it may not open gates"),
        pytest.param({"patch pods/status": None}, "ServiceAccount o/p", "unknown", "SubjectAccessReview", id="who asks may not ask"),
        pytest.param({}, "", "unknown", "not found", id="no operator is found"),
    ],
)  # fmt: skip
def test_its_rights(answers: dict[str, bool | None], account: str, verdict: str, text: str) -> None:
    assert said(cluster.rights(answers, account), verdict, text)


LOAD, ASK = {"name": "load", "job": {"image": "k6:1"}}, {"name": "ask", "webhook": {"url": "https://a.example.com/"}}


@pytest.mark.parametrize(
    ("checks", "known", "verdict", "text"),
    [
        pytest.param([LOAD], (True, {"jobs": True}, True), "ok", "has the rights to load", id="it has all"),
        pytest.param([LOAD, ASK], (True, {"jobs": True, "webhooks": True}, True), "ok", "allows the address of ask", id="addresses are the administrator's"),
        pytest.param([LOAD], (False, {"jobs": True}, True), "problem", "no ServiceAccount robot", id="no such account"),
        pytest.param([LOAD, ASK], (True, {"jobs": True, "webhooks": False}, True), "problem", "lacks create on webhooks.opsloop.dev", id="a right is missing"),
        pytest.param([LOAD], (True, {"jobs": True}, False), "problem", "may not create Jobs", id="opsloop itself may not"),
        pytest.param([LOAD], (None, {"jobs": None}, None), "unknown", "may not see", id="nobody may be asked"),
    ],
)  # fmt: skip
def test_what_its_checks_need(checks: Any, known: Any, verdict: str, text: str) -> None:
    item = release(serviceAccountName="robot", strategy={"canary": {"checks": checks}})
    assert said(rollout_checks.row(item, *known), verdict, text)


def install(space: str, watched: str | None) -> dict[str, Any]:
    env = [] if watched is None else [{"name": "OPSLOOP_NAMESPACES", "value": watched}]
    pod = {"serviceAccountName": "opsloop", "containers": [{"name": "opsloop", "env": env}]}
    return {"metadata": {"name": "opsloop", "namespace": space}, "spec": {"template": {"spec": pod}}}


@pytest.mark.parametrize(
    ("installs", "expected"),
    [
        pytest.param([install("all", None), install("ours", "shop,billing")], ("ours", "opsloop"), id="the one that names the namespace"),
        pytest.param([install("theirs", "billing"), install("all", "")], ("all", "opsloop"), id="else one that looks after all"),
        pytest.param([install("theirs", "billing")], None, id="that of another team is not asked about"),
        pytest.param([], None, id="none"),
    ],
)  # fmt: skip
def test_which_operator_looks_after_a_namespace(installs: list[Any], expected: Any) -> None:
    assert cluster.account_of(installs, "shop") == expected


@pytest.mark.parametrize(
    ("item", "there", "verdict", "text"),
    [
        pytest.param(release(), deployment(), "ok", "a canary adds up to 4 more; by pods, weight 20 is 20 %, 50 is 50 %", id="it fits"),
        pytest.param(release(), deployment(replicas=3, available=3), "ok", "20 is 25 %", id="weights are pods"),
        pytest.param(release(), None, "problem", "there is no Deployment answers", id="there is none"),
        pytest.param(release(), deployment(available=2), "problem", "2 of 4 pods", id="pods are missing"),
        pytest.param(release(conditions=[{"type": "CanaryFits", "status": "False", "reason": "RunsAlone"}]), deployment(), "problem", "RunsAlone", id="none can run beside it"),
        pytest.param(release(strategy={"canary": {"maxCanaryReplicas": 1}}), deployment(), "problem", "more than 1 allowed", id="a weight out of reach"),
    ],
)  # fmt: skip
def test_the_workload(item: Release, there: Any, verdict: str, text: str) -> None:
    assert said(cluster.workload(item, there), verdict, text)


@pytest.mark.parametrize(
    ("found", "verdict", "text"),
    [
        pytest.param([Budget("b", min_available=3)], "ok", "wants 3 of 4", id="a number"),
        pytest.param([Budget("b", min_available=4)], "problem", "no node with one of them can be drained", id="all of them"),
        pytest.param([Budget("b", min_available="50%")], "note", "counts canary pods", id="a percentage counts dark pods"),
        pytest.param([Budget("b", max_unavailable=1)], "note", "counts canary pods", id="so does what may be missing"),
        pytest.param([], "note", "none is for this Deployment alone", id="none"),
        pytest.param([Budget("b", min_available=3, shared=True)], "note", "b is for several Deployments", id="one for several"),
        pytest.param(None, "unknown", "may not be listed", id="nobody may look"),
    ],
)  # fmt: skip
def test_budgets(found: list[Budget] | None, verdict: str, text: str) -> None:
    assert said(cluster.budgets(found, 4), verdict, text)


HPA = {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"name": "answers"}, "minReplicas": 2, "maxReplicas": 6}}


@pytest.mark.parametrize(
    ("found", "verdict", "text"),
    [
        pytest.param([HPA], "note", "keeps 2 to 6 pods and counts canary pods", id="it counts canary pods"),
        pytest.param(
            [{**HPA, "spec": {"scaleTargetRef": {"name": "other"}}}],
            "ok",
            "no HorizontalPodAutoscaler",
            id="of another one",
        ),
        pytest.param(None, "unknown", "may not be listed", id="nobody may look"),
    ],
)
def test_autoscalers(found: Any, verdict: str, text: str) -> None:
    assert said(cluster.autoscaler(found, "", release()), verdict, text)


def quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}}


@pytest.mark.parametrize(
    ("found", "verdict", "text"),
    [
        pytest.param([], "ok", "no ResourceQuota", id="none"),
        pytest.param([quota({"pods": "10"}, {"pods": "4"})], "ok", "room for 4", id="enough pods"),
        pytest.param([quota({"pods": "7"}, {"pods": "4"})], "problem", "q has 3 pods left, 4 canary pods need 4", id="too few pods"),
        pytest.param([quota({"requests.cpu": "2"}, {"requests.cpu": "1500m"})], "problem", "0.5 requests.cpu left, 4 canary pods need 1", id="too little cpu"),
        pytest.param([quota({"memory": "1Gi"}, {"memory": "512Mi"})], "ok", "room", id="enough memory, as requests"),
        pytest.param([quota({"limits.memory": "1Gi"}, {})], "note", "wants limits.memory of each pod, and the template gives none", id="a limit that is not given, and may come by a LimitRange"),
        pytest.param([quota({"pods": "1"}, {"pods": "1"}, scopes=["BestEffort"])], "ok", "room", id="for other pods"),
        pytest.param(None, "unknown", "may not be listed", id="nobody may look"),
    ],
)  # fmt: skip
def test_quotas(found: Any, verdict: str, text: str) -> None:
    assert said(cluster.quota(found, POD, 4), verdict, text)


@pytest.mark.parametrize(
    ("item", "meta", "manager", "verdict", "text"),
    [
        pytest.param(release(), {}, "argocd-controller", "problem", "Argo CD writes the template again and again", id="Argo CD by its manager"),
        pytest.param(release(), {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "opsloop", "problem", "spec.guard: true", id="Argo CD by its mark, whoever wrote last"),
        pytest.param(release(), {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "kustomize-controller", "problem", "Flux writes", id="Flux"),
        pytest.param(release(), {}, "helm", "note", "the next helm upgrade ships past the canary", id="Helm"),
        pytest.param(release(guard=True), {}, "argocd-controller", "ok", "health scripts", id="Argo CD, guarded"),
        pytest.param(release(guard=True), {}, "helm", "ok", "do not use --wait", id="Helm, guarded"),
        pytest.param(release(guard=True, conditions=[{"type": "Guarded", "status": "False", "reason": "PausedByOthers"}]), {}, "helm", "problem", "PausedByOthers", id="a guard that is not (yet)"),
        pytest.param(release(), {}, "kubectl-set", "ok", "written last by kubectl-set", id="people"),
    ],
)  # fmt: skip
def test_who_deploys(item: Release, meta: Any, manager: str, verdict: str, text: str) -> None:
    assert said(cluster.deployer(item, deployment(**meta), manager), verdict, text)


def service(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "answers"},
        "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80}], **spec},
    }


@pytest.mark.parametrize(
    ("services", "verdict", "text"),
    [
        pytest.param([service()], "ok", "any pod", id="plain HTTP"),
        pytest.param([service(sessionAffinity="ClientIP")], "note", "sessionAffinity: ClientIP", id="sessions"),
        pytest.param([service(ports=[{"name": "grpc-api", "port": 1}])], "note", "port grpc-api of Service answers is grpc", id="gRPC by the port's name"),
        pytest.param([service(ports=[{"port": 1, "appProtocol": "kubernetes.io/h2c"}])], "note", "kubernetes.io/h2c", id="HTTP/2 by appProtocol"),
        pytest.param([service(selector={"app": "other"})], "problem", "no Service selects the pods", id="no Service"),
        pytest.param(None, "unknown", "may not be listed", id="nobody may look"),
    ],
)  # fmt: skip
def test_connections(services: Any, verdict: str, text: str) -> None:
    assert said(cluster.connections(services, POD), verdict, text)
