"""Why a stored template has no owner: `data` of a ControllerRevision is immutable *byte by byte*.

The API server keeps `data` as the bytes that the creator sent and compares bytes at every write. A patch makes it encode
the object anew, and whether the bytes survive depends on how the creator wrote them. So what our client POSTs cannot be
disowned by a patch, by the garbage collector neither. Runs where OPSLOOP_CONTRACT_KUBECONFIG names a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from opsloop.adapters.kube import Kube
from opsloop.core.actions import EnsureRevision
from opsloop.errors import OpsloopError
from opsloop.shell.ports import CONFIGMAPS, CONTROLLERREVISIONS, Object, Resource
from opsloop.shell.reconcile import manifests

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG", "")
NEEDS_A_CLUSTER = pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")

NAMESPACES = Resource("v1", "Namespace", "namespaces")
NO_OWNER = {"metadata": {"ownerReferences": None}}
PLAIN = {
    "spec": {"containers": [{"name": "c", "image": "x:1"}], "dnsPolicy": "Default"},
    "metadata": {"labels": {"a": "b"}},
}
ODD = {**PLAIN, "args": ["a && b < c > d", "ümlaut"]}
"""Go's encoder writes &, < and > as \\u0026 …; Python's writes ü as \\u00fc."""
DATA = pytest.mark.parametrize("data", [pytest.param(PLAIN, id="plain"), pytest.param(ODD, id="with & < > ü")])
COLLECTOR_SECONDS = 6.0


class Revisions:
    """ControllerRevisions of one namespace and the ConfigMap that owns them."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace

    async def owner(self, name: str) -> Object:
        return await self.kube.create(CONFIGMAPS, self.namespace, {"metadata": {"name": name}})

    def body(self, owner: Object, data: Object) -> Object:
        """An owned ControllerRevision that is called like its owner."""
        name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
        references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}]
        metadata = {"name": name, "namespace": self.namespace, "ownerReferences": references}
        return {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": metadata,
            "revision": 1,
            "data": data,
        }

    async def outcome_of(self, disown: Disown, body: Object) -> str:
        name = body["metadata"]["name"]
        try:
            await disown(self, name, body)
        except OpsloopError as error:
            return "422 immutable" if "immutable" in str(error) else str(error)
        return "still owned" if await self.is_owned(name) else "works"

    async def is_owned(self, name: str) -> bool:
        stored = await self.kube.get(CONTROLLERREVISIONS, self.namespace, name)
        return bool(stored["metadata"].get("ownerReferences"))

    async def patch(self, path: str, patch: Object, content: str = "application/merge-patch+json") -> None:
        status, answer = await self.kube.raw("PATCH", path, None, {"Content-Type": content}, patch)
        if status >= 300:
            raise OpsloopError(f"{status} {json.loads(answer).get('message', '')}")


Disown = Callable[[Revisions, str, Object], Awaitable[None]]


async def json_patch(revisions: Revisions, name: str, body: Object) -> None:
    ops = [{"op": "remove", "path": "/metadata/ownerReferences"}]
    await revisions.kube.json_patch(CONTROLLERREVISIONS, revisions.namespace, name, ops)


async def merge_patch(revisions: Revisions, name: str, body: Object) -> None:
    path = f"/apis/apps/v1/namespaces/{revisions.namespace}/controllerrevisions/{name}"
    await revisions.patch(path, NO_OWNER)


async def server_side_apply(revisions: Revisions, name: str, body: Object) -> None:
    bare = {**body, "metadata": {"name": name, "namespace": revisions.namespace}}
    await revisions.kube.apply(CONTROLLERREVISIONS, revisions.namespace, bare)


@pytest.fixture
async def revisions() -> AsyncIterator[Revisions]:
    kube = await Kube.connect(KUBECONFIG)
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": namespace}})
    try:
        yield Revisions(kube, namespace)
    finally:
        await kube.delete(NAMESPACES, "", namespace)
        await kube.close()


def test_what_opsloop_stores_has_no_owner() -> None:
    stored = manifests.controller_revision("shop", EnsureRevision("r", "0" * 16, 1, PLAIN))
    assert "ownerReferences" not in stored["metadata"]


@NEEDS_A_CLUSTER
@DATA
@pytest.mark.parametrize("disown", [json_patch, merge_patch], ids=lambda way: way.__name__)
async def test_a_revision_that_we_post_cannot_be_disowned_by_a_patch(
    revisions: Revisions, disown: Disown, data: Object
) -> None:
    body = revisions.body(await revisions.owner("posted"), data)
    await revisions.kube.create(CONTROLLERREVISIONS, revisions.namespace, body)
    assert await revisions.outcome_of(disown, body) == "422 immutable"


@NEEDS_A_CLUSTER
@DATA
@pytest.mark.parametrize("disown", [json_patch, merge_patch, server_side_apply], ids=lambda way: way.__name__)
async def test_a_revision_made_by_server_side_apply_can_be_disowned(
    revisions: Revisions, disown: Disown, data: Object
) -> None:
    """The way out, should owners ever be wanted."""
    body = revisions.body(await revisions.owner("applied"), data)
    await revisions.kube.apply(CONTROLLERREVISIONS, revisions.namespace, body)
    assert await revisions.outcome_of(disown, body) == "works"


@NEEDS_A_CLUSTER
async def test_an_owner_deleted_with_orphans_hangs_in_deletion(revisions: Revisions) -> None:
    """The garbage collector patches the reference away first, and what we POST refuses that for ever."""
    kube, namespace = revisions.kube, revisions.namespace
    owner = await revisions.owner("orphaned")
    await kube.create(CONTROLLERREVISIONS, namespace, revisions.body(owner, ODD))
    await asyncio.sleep(1.0)  # the collector's graph follows by watch
    path = f"/api/v1/namespaces/{namespace}/configmaps/orphaned"
    status, answer = await kube.raw("DELETE", path, {"propagationPolicy": "Orphan"}, {}, None)
    assert status < 300, answer
    try:
        await asyncio.sleep(COLLECTOR_SECONDS)
        owner = await kube.get(CONFIGMAPS, namespace, "orphaned")
        assert owner["metadata"]["finalizers"] == ["orphan"]
        assert await revisions.is_owned("orphaned")
    finally:
        with contextlib.suppress(OpsloopError):  # it is gone: then the lines above have said so
            await revisions.patch(path, {"metadata": {"finalizers": None}})
