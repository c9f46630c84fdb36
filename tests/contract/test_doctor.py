"""What `opsloop doctor` finds, mistake by mistake: in memory, and (OPSLOOP_CONTRACT_KUBECONFIG set) on a real API server whose own
controllers answer, with a real Prometheus that holds the service's history (tests/contract/model/real.py).

A Release that has all that it needs, and of each row one thing that is wrong: that row tells it, and no other row calls anything a problem.
On the real server no node runs the pods (they name a scheduler that is nobody), so that the row `workload` is a problem there always.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from opsloop.adapters.kube import Kube
from opsloop.adapters.prometheus import Prometheus
from opsloop.api.release import Release, ReleaseStatus
from opsloop.core.doctor.cluster import RIGHTS
from opsloop.core.doctor.row import Row
from opsloop.names import CLI_MANAGER
from opsloop.shell import doctor
from opsloop.shell.evidence.may import may
from opsloop.shell.ports import ACCOUNTS, BUDGETS, DEPLOYMENTS, PODS, RELEASES, SERVICES, Object, Resource, Source
from tests.builders.answering import Fake, release_body
from tests.builders.past import HASHES, START, Era, history, telemetry
from tests.contract.model import real

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
ROOT = Path(__file__).resolve().parents[2]
MINUTES, PODS_WANTED, SETTLE_SECONDS = 120, 4, 60.0
RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACES, CRDS = "/api/v1/namespaces", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROLES, BINDINGS = Resource(RBAC, "Role", "roles"), Resource(RBAC, "RoleBinding", "rolebindings")
GATES = ("", "pods/status", "patch")
STEPS = [{"weight": 20, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100}]
IMPATIENT = {
    "canary": {"steps": [{"weight": 1, "hold": "1m"}, {"weight": 100}], "analysis": {"patience": "0s", "minEvents": 5000}}
}  # fmt: skip
Body = dict[str, Any]


@dataclass
class World:
    """The objects around one Release, and how they differ from what it needs."""

    requests: Body = field(default_factory=lambda: {"counter": "http_requests_total", "bad": 'code=~"5.."'})
    strategy: Body = field(default_factory=lambda: {"canary": {"steps": STEPS}})
    missing: tuple[str, str, str] | None = None  # a right of the operator
    annotations: dict[str, str] = field(default_factory=dict)  # of the Deployment
    manager: str = "kubectl-client-side-apply"
    more: list[tuple[Resource, Body]] = field(default_factory=list)

    def release(self) -> Body:
        made = release_body(strategy=self.strategy, slo={"objective": 0.99, "sli": {"requests": self.requests}})
        return {**made, "metadata": {"name": "answers"}}

    def role(self) -> Body:
        rules = [
            {"apiGroups": [group], "resources": [plural], "verbs": [verb]}
            for group, plural, verb, _ in RIGHTS
            if (group, plural, verb) != self.missing
        ]
        return {"metadata": {"name": "opsloop"}, "rules": rules}


def deployment(name: str, replicas: int, labels: Mapping[str, str], **spec: Any) -> Body:
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    container = {"name": name, "image": "example.invalid/app:v1", "resources": resources}
    pod = {"schedulerName": "nobody", "containers": [container], **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }


def operator(namespace: str) -> Body:
    """An install that looks after this namespace alone; nothing runs of it."""
    made = deployment("opsloop", 0, {"app.kubernetes.io/name": "opsloop"}, serviceAccountName="opsloop")
    made["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "OPSLOOP_NAMESPACES", "value": namespace}]
    return made


class Answering(Fake):
    """An API server in memory whose authorizer reads the Roles that are stored, and whose quota counts as the real one would."""

    async def raw(self, method: str, path: str, query: Any = None, headers: Any = None, body: Any = None, timeout: Any = None) -> tuple[int, bytes]:  # noqa: ASYNC109  # fmt: skip
        if method == "PATCH":
            managed = [{"manager": query["fieldManager"], "operation": "Apply", "time": "2026-03-02T00:00:00Z",
                        "fieldsV1": {"f:spec": {"f:template": {}}}}]  # fmt: skip
            self.seed(
                {
                    **body,
                    "status": {"availableReplicas": PODS_WANTED},
                    "metadata": {**body["metadata"], "managedFields": managed},
                }
            )
            return 201, b"{}"
        asked = body["spec"]["resourceAttributes"]
        plural = "/".join(part for part in (asked["resource"], asked.get("subresource", "")) if part)
        rules = [rule for role in await self.list(ROLES, asked["namespace"]) for rule in role["rules"]]
        wanted = {"apiGroups": [asked.get("group", "")], "resources": [plural], "verbs": [asked["verb"]]}
        return 201, json.dumps({"status": {"allowed": wanted in rules}}).encode()

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        if resource is doctor.QUOTAS:
            body = {**body, "status": {"hard": body["spec"]["hard"], "used": {"pods": str(PODS_WANTED)}}}
        return await super().create(resource, namespace, body)


@dataclass
class Subject:
    """An API server and a Prometheus; `settled` waits for controllers."""

    api: Any
    namespace: str
    source: Callable[[], Any]
    waits: bool = False

    async def build(self, world: World) -> None:
        space, api = self.namespace, self.api
        await api.create(ACCOUNTS, space, {"metadata": {"name": "opsloop"}})
        await api.create(ROLES, space, world.role())
        who = {"kind": "ServiceAccount", "name": "opsloop", "namespace": space}
        to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "opsloop"}
        await api.create(BINDINGS, space, {"metadata": {"name": "opsloop"}, "roleRef": to, "subjects": [who]})
        await api.create(DEPLOYMENTS, space, operator(space))
        service = {"metadata": {"name": "answers"}, "spec": {"selector": {"app": "answers"}, "ports": [{"port": 80}]}}
        await api.create(SERVICES, space, service)
        await self._deploy(world)
        if self.waits:  # a quota that begins while pods are being made counts some of them five minutes later
            await self._until(self._has_pods)
        for resource, body in world.more:
            await api.create(resource, space, body)
        made = await api.create(RELEASES, space, world.release())
        seen = ReleaseStatus(observed_generation=made["metadata"].get("generation", 0), phase="Healthy")
        await api.replace_status(RELEASES, space, {**made, "status": seen.dump()})
        if self.waits:
            await self._until(lambda: self._is_settled(world))

    async def _deploy(self, world: World) -> None:
        """By server-side apply of this field manager, as the tool does it."""
        body = deployment("answers", PODS_WANTED, {"app": "answers"})
        body["metadata"] |= {"namespace": self.namespace, "annotations": world.annotations}
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/answers"
        query = {"fieldManager": world.manager, "force": "true"}
        code, said = await self.api.raw("PATCH", path, query, {"Content-Type": "application/apply-patch+yaml"}, body)
        assert code in (200, 201), said

    async def _until(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                if await true():
                    return
                await asyncio.sleep(0.2)

    async def _has_pods(self) -> bool:
        return len(await self.api.list(PODS, self.namespace, {"app": "answers"})) == PODS_WANTED

    async def _is_settled(self, world: World) -> bool:
        """The pods are there, counted by the quota, and the authorizer knows the account."""
        quotas = await self.api.list(doctor.QUOTAS, self.namespace)
        used = [one.get("status", {}).get("used", {}).get("pods") for one in quotas]
        known = [right[:3] for right in RIGHTS if right[:3] != world.missing]
        account = (self.namespace, "opsloop")
        return (
            await self._has_pods()
            and used == [str(PODS_WANTED)] * len(quotas)
            and all([await may(self.api, self.namespace, account, right) for right in known])
        )

    async def rows(self) -> dict[str, Row]:
        release = Release.model_validate(await self.api.get(RELEASES, self.namespace, "answers"))
        async with self.source() as source:
            found = await doctor.examine(self.api, release, source, START + timedelta(minutes=MINUTES))
        return {row.name: row for row in found}


def past(namespace: str) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Two hours of a service with few errors, in this namespace."""
    era = Era(0, "v1", HASHES[0], 0.001)
    return [
        ({**labels, "namespace": namespace}, points) for labels, points in history([era], MINUTES, pods=PODS_WANTED)
    ]


def timed(one: Any) -> Source:
    return Source(one, one, timedelta(seconds=15), timedelta(0))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[real.Server | None]:
    """A Prometheus of its own, empty, where there is one."""
    binary = real.fetched() if KUBECONFIG else real.binary()
    if binary is None:
        yield None
        return
    with real.running(binary) as server:
        yield server


@pytest.fixture(
    params=[
        "fake",
        "fake API server, real Prometheus",
        pytest.param("real", marks=pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG")),
    ]
)
async def subject(request: pytest.FixtureRequest, prometheus: real.Server | None) -> AsyncIterator[Subject]:
    if request.param == "fake":

        @asynccontextmanager
        async def modelled() -> AsyncIterator[Source]:
            yield timed(telemetry(past("shop"), MINUTES))

        yield Subject(Answering(), "shop", modelled)
        return
    if prometheus is None:
        pytest.skip("no Prometheus on this machine")
    space, port = f"doctor-{uuid.uuid4().hex[:8]}", prometheus.port
    prometheus.write(past(space))

    @asynccontextmanager
    async def live() -> AsyncIterator[Source]:
        async with aiohttp.ClientSession() as session:
            yield timed(Prometheus.over_http(session, f"http://127.0.0.1:{port}"))

    if request.param != "real":
        yield Subject(Answering(), space, live)
        return
    kube = await Kube.connect(KUBECONFIG, None, manager=CLI_MANAGER)
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd, query = yaml.safe_load(path.read_text()), {"fieldManager": "doctor-test", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        code, said = await kube.raw("PATCH", f"{CRDS}/{crd['metadata']['name']}", query, headers, crd)
        assert code in (200, 201), said
    code, said = await kube.raw("POST", NAMESPACES, None, None, {"metadata": {"name": space}})
    assert code == 201, said
    try:
        yield Subject(kube, space, live, waits=True)
    finally:
        await kube.raw("DELETE", f"{NAMESPACES}/{space}")
        await kube.close()


def problems(rows: Mapping[str, Row], subject: Subject) -> set[str]:
    found = {name for name, row in rows.items() if row.verdict == "problem"}
    if subject.waits:
        assert "pods of Deployment answers are available" in rows["workload"].text
        found.discard("workload")
    return found


async def test_a_release_that_has_all_has_no_problem(subject: Subject) -> None:
    await subject.build(World())
    rows = await subject.rows()
    assert not problems(rows, subject), rows
    read = {name: rows[name].verdict for name in ("operator", "operator's rights", "SLI", "traffic", "autoscaler", "quota", "who deploys", "connections")}  # fmt: skip
    assert set(read.values()) == {"ok"}, rows


def budget(**spec: Any) -> tuple[Resource, Body]:
    return BUDGETS, {"metadata": {"name": "strict"}, "spec": {"selector": {"matchLabels": {"app": "answers"}}, **spec}}


SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "answers"}
SCALER = {"metadata": {"name": "scaler"}, "spec": {"scaleTargetRef": SCALED, "minReplicas": PODS_WANTED, "maxReplicas": 9}}  # fmt: skip
QUOTA = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "5"}}}
REQUESTS = {"counter": "http_requests_total", "bad": 'code=~"5.."'}


@pytest.mark.parametrize(
    ("world", "row", "verdict", "text"),
    [
        pytest.param(World(requests={**REQUESTS, "bad": 'status=~"5.."'}), "SLI", "problem", "the series have no such label", id="an SLI that matches no series"),
        pytest.param(World(requests={**REQUESTS, "podLabel": "instance_id"}), "SLI", "problem", "label instance_id holds the name of no living pod of answers; label pod does", id="a pod label that matches no pod"),
        pytest.param(World(requests={**REQUESTS, "podLabel": "instance_id", "selector": 'job="answers"'}), "SLI", "problem", "label instance_id holds the name of no living pod of answers; label pod does", id="and none beside a selector"),
        pytest.param(World(missing=GATES), "operator's rights", "problem", "may not: patch pods/status (gates of canary pods)", id="the right to open gates is missing"),
        pytest.param(World(more=[budget(minAvailable=PODS_WANTED)]), "disruption budget", "problem", "strict wants 4 of 4 pods", id="a budget that allows no disruption"),
        pytest.param(World(more=[(doctor.AUTOSCALERS, SCALER)]), "autoscaler", "note", "scaler keeps 4 to 9 pods and counts canary pods", id="an autoscaler on the Deployment"),
        pytest.param(World(more=[(doctor.QUOTAS, QUOTA)]), "quota", "problem", "few has 1 pods left, 4 canary pods need 4", id="a quota without room for a canary"),
        pytest.param(World(strategy=IMPATIENT), "traffic", "problem", "in hold and patience; after that", id="more minutes than a step has at today's traffic"),
        pytest.param(World(manager="argocd-controller"), "who deploys", "problem", "set spec.guard: true", id="Argo CD by its field manager wants the guard"),
        pytest.param(World(annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/answers"}), "who deploys", "problem", "set spec.guard: true", id="and by its mark"),
        pytest.param(World(manager="helm"), "who deploys", "note", "the next helm upgrade ships past the canary", id="Helm is told what it ships past"),
    ],
)  # fmt: skip
async def test_each_mistake_is_a_row_and_no_other_row_is_a_problem(
    subject: Subject, world: World, row: str, verdict: str, text: str
) -> None:
    await subject.build(world)
    rows = await subject.rows()
    found = rows[row]
    assert found.verdict == verdict and text in f"{found.text} → {found.mend}", rows
    assert problems(rows, subject) == ({row} if verdict == "problem" else set()), rows
