"""One suite for Reader and Writer, on the fake and (OPSLOOP_CONTRACT_KUBECONFIG set) on a real API server, in a namespace of its own."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from opsloop.adapters.kube import Kube
from opsloop.core.runbook.rights import Identity
from opsloop.errors import AlreadyExists, Conflict, Invalid, LeadershipLost, NotFound
from opsloop.shell.ports import CONFIGMAPS, DEPLOYMENTS, INCIDENTS, PODS, Object, Reader, Resource, Watcher, Writer
from opsloop.shell.watch.cache import paused_manager, template_manager
from opsloop.simulator.fakes.cluster import FakeCluster

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG")
NAMESPACES = Resource("v1", "Namespace", "namespaces")


class Api(Reader, Writer, Watcher, Protocol):
    """All of them."""


@dataclass
class Subject:
    """What is tested, where it may play, and a switch for its fence."""

    api: Api
    namespace: str
    led: bool = True

    def fence(self) -> None:
        if not self.led:
            raise LeadershipLost("fenced")


@pytest.fixture(
    params=[
        "fake",
        pytest.param("real", marks=pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG")),
    ]
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "fake":
        fake = FakeCluster()
        made = Subject(fake, "contract")
        fake.fence = made.fence
        yield made
        return
    kube = await Kube.connect(KUBECONFIG)
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    made = Subject(kube, namespace)
    made.api = kube.fenced(made.fence)
    try:
        yield made
    finally:
        await kube.delete(NAMESPACES, "", namespace)
        await kube.close()


def config(name: str = "a", data: dict[str, str] | None = None, **meta: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data or {"k": "1"}}


def pod(name: str = "p") -> Object:
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "example.invalid/app:v1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def deployment(image: str = "example.invalid/app:v1") -> Object:
    labels = {"app": "d"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


def incident(title: str = "t") -> Object:
    signal = {"kind": "alerts", "at": "2026-01-05T09:00:00Z", "severity": "sev3"}
    spec = {"service": "s", "title": title, "signal": signal}
    return {"apiVersion": INCIDENTS.api_version, "kind": "Incident", "metadata": {"name": "i-1"}, "spec": spec}


def version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])


async def create_incident(subject: Subject, body: Object) -> Object:
    try:
        return await subject.api.create(INCIDENTS, subject.namespace, body)
    except NotFound:
        pytest.skip("the CRDs are not installed in this cluster")


async def test_metadata_comes_without_the_content(subject: Subject) -> None:
    await subject.api.create(CONFIGMAPS, subject.namespace, config("a"))
    answer = await subject.api.metadata(CONFIGMAPS, subject.namespace, "a")
    assert answer["kind"] == "PartialObjectMetadata" and answer["metadata"]["name"] == "a"
    assert "data" not in answer and answer["metadata"]["creationTimestamp"]
    with pytest.raises(NotFound):
        await subject.api.metadata(CONFIGMAPS, subject.namespace, "missing")


async def test_a_watch_tells_of_what_exists_and_of_what_comes_with_its_labels(subject: Subject) -> None:
    async def create(name: str, value: str) -> None:
        await subject.api.create(CONFIGMAPS, subject.namespace, config(name, labels={"x": value}))

    await create("before", "y")
    await create("other", "z")
    async with (
        asyncio.timeout(20),
        contextlib.aclosing(subject.api.watch(CONFIGMAPS, subject.namespace, {"x": "y"})) as batches,
    ):
        (first,) = await anext(batches)
        assert first["name"] == "before" and first["namespace"] == subject.namespace
        await create("stranger", "z")
        await create("after", "y")
        (second,) = await anext(batches)
        assert second["name"] == "after" and second["uid"] and "data" not in second


async def test_a_delete_of_a_version_that_is_stale_is_a_conflict(subject: Subject) -> None:
    made = await subject.api.create(CONFIGMAPS, subject.namespace, config())
    fresh = await subject.api.replace(CONFIGMAPS, subject.namespace, {**made, "data": {"k": "2"}})
    uid = made["metadata"]["uid"]
    with pytest.raises(Conflict):
        await subject.api.delete(CONFIGMAPS, subject.namespace, "a", uid, version(made))
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a", uid, version(fresh))
    with pytest.raises(NotFound):
        await subject.api.get(CONFIGMAPS, subject.namespace, "a")
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a", uid, version(fresh))  # gone is success


async def test_what_was_created_is_read_back_with_its_identity(subject: Subject) -> None:
    made = await subject.api.create(CONFIGMAPS, subject.namespace, config(labels={"x": "y"}))
    read = await subject.api.get(CONFIGMAPS, subject.namespace, "a")
    assert read == made
    assert read["data"] == {"k": "1"}
    assert read["metadata"]["labels"] == {"x": "y"}
    assert read["metadata"]["namespace"] == subject.namespace
    assert read["metadata"]["uid"] and read["metadata"]["creationTimestamp"] and version(read)


async def test_a_taken_name_is_already_exists(subject: Subject) -> None:
    await subject.api.create(CONFIGMAPS, subject.namespace, config())
    with pytest.raises(AlreadyExists):
        await subject.api.create(CONFIGMAPS, subject.namespace, config())


async def test_a_missing_object_is_not_found(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.api.get(CONFIGMAPS, subject.namespace, "a")
    with pytest.raises(NotFound):
        await subject.api.replace(CONFIGMAPS, subject.namespace, config())
    with pytest.raises(NotFound):
        await subject.api.json_patch(
            CONFIGMAPS, subject.namespace, "a", [{"op": "add", "path": "/data/x", "value": "1"}]
        )
    with pytest.raises(NotFound):
        await subject.api.patch_pod_condition(subject.namespace, "p", "", {"type": "x", "status": "True"})


async def test_list_filters_by_labels_and_names_the_kind(subject: Subject) -> None:
    await subject.api.create(CONFIGMAPS, subject.namespace, config("a", labels={"x": "1", "y": "1"}))
    await subject.api.create(CONFIGMAPS, subject.namespace, config("b", labels={"x": "1"}))
    await subject.api.create(CONFIGMAPS, subject.namespace, config("c"))
    both = await subject.api.list(CONFIGMAPS, subject.namespace, {"x": "1"})
    assert sorted(item["metadata"]["name"] for item in both) == ["a", "b"]
    assert {(item["apiVersion"], item["kind"]) for item in both} == {("v1", "ConfigMap")}
    one = await subject.api.list(CONFIGMAPS, subject.namespace, {"x": "1", "y": "1"})
    assert [item["metadata"]["name"] for item in one] == ["a"]
    everywhere = await subject.api.list(CONFIGMAPS, "", {"x": "1"})
    assert {"a", "b"} <= {item["metadata"]["name"] for item in everywhere}


async def test_a_replace_with_a_stale_version_is_a_conflict_and_changes_nothing(subject: Subject) -> None:
    first = await subject.api.create(CONFIGMAPS, subject.namespace, config())
    second = await subject.api.replace(CONFIGMAPS, subject.namespace, {**first, "data": {"k": "2"}})
    assert version(second) != version(first)
    with pytest.raises(Conflict):
        await subject.api.replace(CONFIGMAPS, subject.namespace, {**first, "data": {"k": "3"}})
    assert (await subject.api.get(CONFIGMAPS, subject.namespace, "a"))["data"] == {"k": "2"}


async def test_a_replace_that_changes_nothing_makes_no_new_version(subject: Subject) -> None:
    first = await subject.api.create(CONFIGMAPS, subject.namespace, config())
    assert version(await subject.api.replace(CONFIGMAPS, subject.namespace, first)) == version(first)


async def test_status_and_spec_are_written_apart(subject: Subject) -> None:
    made = await create_incident(subject, {**incident(), "status": {"phase": "Resolved"}})
    assert "phase" not in made.get("status", {}), "a create ignores the status"
    body = {**made, "spec": {**made["spec"], "title": "ignored"}, "status": {"phase": "Mitigating", "severity": "sev1"}}
    stored = await subject.api.replace_status(INCIDENTS, subject.namespace, body)
    assert (stored["status"]["phase"], stored["spec"]["title"]) == ("Mitigating", "t")
    assert stored["metadata"]["generation"] == made["metadata"]["generation"]
    body = {**stored, "spec": {**stored["spec"], "title": "new"}, "status": {"phase": "Open"}}
    changed = await subject.api.replace(INCIDENTS, subject.namespace, body)
    assert (changed["status"]["phase"], changed["spec"]["title"]) == ("Mitigating", "new")
    assert changed["metadata"]["generation"] == made["metadata"]["generation"] + 1


async def test_a_stale_status_is_a_conflict(subject: Subject) -> None:
    made = await create_incident(subject, incident())
    await subject.api.replace_status(INCIDENTS, subject.namespace, {**made, "status": {"phase": "Mitigating"}})
    with pytest.raises(Conflict):
        await subject.api.replace_status(INCIDENTS, subject.namespace, {**made, "status": {"phase": "Resolved"}})


async def test_a_json_patch_whose_test_holds_replaces_the_whole_template(subject: Subject) -> None:
    await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    template = deployment("example.invalid/app:v2")["spec"]["template"]
    assert await replaced_under_its_version(subject, {"op": "replace", "path": "/spec/template", "value": template})
    patched = await subject.api.get(DEPLOYMENTS, subject.namespace, "d")
    assert patched["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/app:v2"


async def test_a_dry_run_answers_with_what_a_write_would_store_and_stores_nothing(subject: Subject) -> None:
    made = await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    template = made["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "example.invalid/app:v2"
    replace = {"op": "replace", "path": "/spec/template", "value": template}
    tried = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [replace], dry_run=True)
    read = await subject.api.get(DEPLOYMENTS, subject.namespace, "d")
    assert read["metadata"]["generation"] == made["metadata"]["generation"]
    assert read["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/app:v1"
    stored = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [replace])
    assert tried["spec"]["template"] == stored["spec"]["template"]
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/app:v2"


async def test_a_template_is_written_by_the_field_manager_opsloop(subject: Subject) -> None:
    await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    template = deployment("example.invalid/app:v2")["spec"]["template"]
    replace = {"op": "replace", "path": "/spec/template", "value": template}
    stored = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [replace])
    assert template_manager(stored)["name"] == "opsloop"


async def test_who_paused_a_deployment_is_told_by_its_managed_fields_until_it_is_unpaused(subject: Subject) -> None:
    await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    pause = {"op": "add", "path": "/spec/paused", "value": True}
    stored = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [pause])
    assert paused_manager(stored)["name"] == "opsloop"
    template = deployment("example.invalid/app:v2")["spec"]["template"]
    both = [{"op": "replace", "path": "/spec/template", "value": template}, {**pause, "value": False}]
    stored = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", both)
    assert not stored["spec"].get("paused") and paused_manager(stored) == {}
    stored = await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [pause])
    assert (paused_manager(stored)["name"], template_manager(stored)["name"]) == ("opsloop", "opsloop")


@pytest.mark.parametrize("text", ['sh -c "a && b"', "a < b > c", "grüezi"])
async def test_a_json_patch_that_tests_a_template_compares_the_bytes_of_json(subject: Subject, text: str) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["args"] = [text]
    made = await subject.api.create(DEPLOYMENTS, subject.namespace, body)
    replace = {"op": "replace", "path": "/spec/template", "value": made["spec"]["template"]}
    with pytest.raises(Conflict):
        test = {"op": "test", "path": "/spec/template", "value": made["spec"]["template"]}
        await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [test, replace])
    assert await replaced_under_its_version(subject, replace)


async def replaced_under_its_version(subject: Subject, replace: Object) -> bool:
    """Tries again while the Deployment controller's status writes move the resourceVersion."""
    for _ in range(20):
        live = await subject.api.get(DEPLOYMENTS, subject.namespace, "d")
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]}
        with contextlib.suppress(Conflict):
            await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", [test, replace])
            return True
    return False


@pytest.mark.parametrize(
    "op",
    [
        pytest.param(
            {"op": "test", "path": "/spec/template/spec/containers/0/image", "value": "other"},
            id="a test that does not hold",
        ),
        pytest.param({"op": "test", "path": "/metadata/annotations/x", "value": "y"}, id="a test of what is not there"),
        pytest.param(
            # not under /metadata/annotations: once a controller has added some, the server takes a replace for an add
            {"op": "replace", "path": "/spec/template/metadata/annotations/x", "value": "y"},
            id="a replace of what is not there",
        ),
        pytest.param(
            {"op": "remove", "path": "/spec/template/metadata/annotations/x"}, id="a removal of what is not there"
        ),
    ],
)
async def test_a_json_patch_that_does_not_fit_is_a_conflict_and_changes_nothing(subject: Subject, op: Object) -> None:
    await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    ops = [{"op": "replace", "path": "/spec/replicas", "value": 0}, op]
    with pytest.raises(Conflict):
        await subject.api.json_patch(DEPLOYMENTS, subject.namespace, "d", ops)
    read = await subject.api.get(DEPLOYMENTS, subject.namespace, "d")
    assert read["spec"]["template"]["spec"]["containers"][0]["image"] == "example.invalid/app:v1"


async def test_apply_removes_fields_it_no_longer_sets_but_not_those_of_others(
    subject: Subject,
) -> None:
    made = await subject.api.apply(CONFIGMAPS, subject.namespace, config(data={"ours": "1", "old": "1"}))
    await subject.api.json_patch(
        CONFIGMAPS, subject.namespace, "a", [{"op": "add", "path": "/data/theirs", "value": "1"}]
    )
    again = await subject.api.apply(CONFIGMAPS, subject.namespace, config(data={"ours": "2"}))
    assert again["data"] == {"ours": "2", "theirs": "1"}
    assert again["metadata"]["uid"] == made["metadata"]["uid"]


async def test_apply_of_the_same_makes_no_new_version(subject: Subject) -> None:
    first = await subject.api.apply(CONFIGMAPS, subject.namespace, config())
    assert version(await subject.api.apply(CONFIGMAPS, subject.namespace, config())) == version(first)


async def test_delete_is_done_also_where_there_is_nothing(subject: Subject) -> None:
    await subject.api.create(CONFIGMAPS, subject.namespace, config())
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a")
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a")
    with pytest.raises(NotFound):
        await subject.api.get(CONFIGMAPS, subject.namespace, "a")


async def test_delete_by_uid_spares_a_successor(subject: Subject) -> None:
    made = await subject.api.create(CONFIGMAPS, subject.namespace, config())
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a", uid=str(uuid.uuid4()))
    assert (await subject.api.get(CONFIGMAPS, subject.namespace, "a"))["metadata"]["uid"] == made["metadata"]["uid"]
    await subject.api.delete(CONFIGMAPS, subject.namespace, "a", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await subject.api.get(CONFIGMAPS, subject.namespace, "a")


async def test_a_pod_condition_is_set_and_changed_beside_the_others(subject: Subject) -> None:
    made = await subject.api.create(PODS, subject.namespace, pod())
    uid = made["metadata"]["uid"]
    for status in ("True", "False"):
        for kind in ("opsloop.dev/in-traffic", "example.com/other"):
            await subject.api.patch_pod_condition(subject.namespace, "p", uid, {"type": kind, "status": status})
    read = await subject.api.get(PODS, subject.namespace, "p")
    ours = {c["type"]: c["status"] for c in read["status"]["conditions"] if "/" in c["type"]}
    assert ours == {"opsloop.dev/in-traffic": "False", "example.com/other": "False"}


async def test_labels_come_and_go_in_the_write_of_a_pod_condition(subject: Subject) -> None:
    await subject.api.create(PODS, subject.namespace, pod())
    before = (await subject.api.get(PODS, subject.namespace, "p"))["metadata"].get("labels") or {}
    for status, value in (("True", "answers"), ("False", None)):
        condition = {"type": "opsloop.dev/in-traffic", "status": status}
        await subject.api.patch_pod_condition(subject.namespace, "p", "", condition, {"counted": value})
        read = await subject.api.get(PODS, subject.namespace, "p")
        assert (read["metadata"].get("labels") or {}) == before | ({"counted": value} if value else {})


async def test_a_pod_condition_for_another_pod_of_that_name_is_a_conflict(subject: Subject) -> None:
    await subject.api.create(PODS, subject.namespace, pod())
    with pytest.raises(Conflict):
        await subject.api.patch_pod_condition(
            subject.namespace, "p", str(uuid.uuid4()), {"type": "x/y", "status": "True"}
        )
    read = await subject.api.get(PODS, subject.namespace, "p")
    assert not [c for c in read.get("status", {}).get("conditions", []) if c["type"] == "x/y"]


async def test_behind_a_closed_fence_nothing_is_written_and_reading_goes_on(subject: Subject) -> None:
    made = await subject.api.create(CONFIGMAPS, subject.namespace, config())
    await subject.api.create(PODS, subject.namespace, pod())
    subject.led = False
    api, ns = subject.api, subject.namespace
    changed = {**made, "data": {"k": "2"}}
    for write in (
        lambda: api.create(CONFIGMAPS, ns, config("b")),
        lambda: api.apply(CONFIGMAPS, ns, config(data={"k": "2"})),
        lambda: api.replace(CONFIGMAPS, ns, changed),
        lambda: api.replace_status(CONFIGMAPS, ns, changed),
        lambda: api.json_patch(CONFIGMAPS, ns, "a", [{"op": "remove", "path": "/data"}]),
        lambda: api.json_patch(CONFIGMAPS, ns, "a", [{"op": "remove", "path": "/data"}], dry_run=True),
        lambda: api.patch_pod_condition(ns, "p", "", {"type": "x/y", "status": "True"}),
        lambda: api.delete(CONFIGMAPS, ns, "a"),
    ):
        with pytest.raises(LeadershipLost):
            await write()
    assert await api.get(CONFIGMAPS, ns, "a") == made
    assert (
        len(await api.list(CONFIGMAPS, ns, {}))
        - len([1 for o in await api.list(CONFIGMAPS, ns) if "root-ca" in o["metadata"]["name"]])
        == 1
    )


async def test_what_validation_refuses_is_invalid_and_no_conflict(subject: Subject) -> None:
    if isinstance(subject.api, FakeCluster):
        pytest.skip("the fake does not validate")
    await subject.api.create(DEPLOYMENTS, subject.namespace, deployment())
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        await subject.api.json_patch(
            DEPLOYMENTS, subject.namespace, "d", [{"op": "replace", "path": "/spec/replicas", "value": -1}]
        )
    with pytest.raises(Invalid, match=r"metadata\.name"):
        await subject.api.create(CONFIGMAPS, subject.namespace, config("NOT A NAME"))


async def test_tokens_and_rights_are_reviewed(subject: Subject) -> None:
    if not isinstance(subject.api, Kube):
        pytest.skip("the fake has no accounts")
    account = Resource("v1", "ServiceAccount", "serviceaccounts")
    await subject.api.create(account, subject.namespace, {"metadata": {"name": "caller"}})
    token = await subject.api.token(subject.namespace, "caller", "opsloop", 600)
    reviewed = await subject.api.review_token(token, "opsloop")
    assert reviewed and reviewed.name == f"system:serviceaccount:{subject.namespace}:caller"
    assert "system:serviceaccounts" in reviewed.groups
    assert await subject.api.review_token(token, "somebody-else") is None
    assert await subject.api.review_token("nonsense", "opsloop") is None
    asked = ("create", "opsloop.dev", "alerts", subject.namespace)
    assert not await subject.api.allowed(reviewed, *asked)
    assert await subject.api.allowed(Identity("root", ("system:masters",)), *asked)
    # a resource that no CRD serves can be granted all the same
    rbac, rules = (
        "rbac.authorization.k8s.io/v1",
        [{"apiGroups": ["opsloop.dev"], "resources": ["alerts"], "verbs": ["create"]}],
    )
    who = {"kind": "ServiceAccount", "name": "caller", "namespace": subject.namespace}
    to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "caller"}
    role, binding = Resource(rbac, "Role", "roles"), Resource(rbac, "RoleBinding", "rolebindings")
    await subject.api.create(role, subject.namespace, {"metadata": {"name": "caller"}, "rules": rules})
    await subject.api.create(
        binding, subject.namespace, {"metadata": {"name": "caller"}, "roleRef": to, "subjects": [who]}
    )
    for _ in range(50):  # the authorizer learns of it by a watch
        if await subject.api.allowed(reviewed, *asked):
            break
        await asyncio.sleep(0.1)
    assert await subject.api.allowed(reviewed, *asked)
    assert not await subject.api.allowed(reviewed, "create", "opsloop.dev", "incidents", subject.namespace)


async def test_raw_reaches_any_path_and_reports_any_status(subject: Subject) -> None:
    if not isinstance(subject.api, Kube):
        pytest.skip("the fake has no paths")
    assert await subject.api.raw("GET", "/readyz") == (200, b"ok")
    status, _ = await subject.api.raw("GET", "/api/v1/nothing", query={"a": "b c"})
    assert status == 404
