"""Which ways of taking `ownerReferences` off a ControllerRevision work: its `data` is immutable *byte by byte*.

The API server keeps `data` as the bytes that the creator sent and compares bytes on every write. A patch makes it encode
the object anew; whether the bytes survive depends on how the creator wrote them. Each way of creating is tried with each
way of taking the owner off, and with the garbage collector's own (`kubectl delete --cascade=orphan` of the owner).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from e2e.api import kubectl
from e2e.experiments.lab import namespace, require, show
from opsloop.adapters.kube.kube import Kube
from opsloop.core.actions import EnsureRevision
from opsloop.errors import OpsloopError
from opsloop.shell.ports import CONFIGMAPS, CONTROLLERREVISIONS, Object
from opsloop.shell.reconcile import manifests as owned

NS = "exp-orphans"
BASE = f"/apis/apps/v1/namespaces/{NS}/controllerrevisions"
PLAIN = {
    "spec": {"containers": [{"name": "c", "image": "x:1"}], "dnsPolicy": "Default"},
    "metadata": {"labels": {"a": "b"}},
}
ODD = {**PLAIN, "args": ["a && b < c > d", "ümlaut"]}
"""Go's encoder writes &, < and > as \\u0026 …; Python's writes ü as \\u00fc."""


def body(name: str, owner: Object, data: Object) -> Object:
    """A ControllerRevision that is owned by a ConfigMap."""
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": name, "namespace": NS, "ownerReferences": [reference]}, "revision": 1, "data": data}  # fmt: skip


async def _create_kube(kube: Kube, obj: Object) -> None:
    await kube.create(CONTROLLERREVISIONS, NS, obj)


async def _create_canonical(kube: Kube, obj: Object) -> None:
    """Sorted keys, no white space, Go's escapes."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(char, escape)
    kubectl("create", "--raw", BASE, "-f", "-", text=text)


async def _create_apply(kube: Kube, obj: Object) -> None:
    await kube.apply(CONTROLLERREVISIONS, NS, obj)


async def _json_patch(kube: Kube, name: str, obj: Object) -> None:
    await kube.json_patch(CONTROLLERREVISIONS, NS, name, [{"op": "remove", "path": "/metadata/ownerReferences"}])


async def _merge_patch(kube: Kube, name: str, obj: Object) -> None:
    content = {"Content-Type": "application/merge-patch+json"}
    patch = {"metadata": {"ownerReferences": None}}
    status, answer = await kube.raw("PATCH", f"{BASE}/{name}", None, content, patch)
    if status >= 300:
        raise OpsloopError(f"{status} {json.loads(answer).get('message', '')}")


async def _put(kube: Kube, name: str, obj: Object) -> None:
    stored = await kube.get(CONTROLLERREVISIONS, NS, name)
    stored["metadata"].pop("ownerReferences")
    await kube.replace(CONTROLLERREVISIONS, NS, stored)


async def _put_original(kube: Kube, name: str, obj: Object) -> None:
    """The data once more exactly as it was sent, not as it was read."""
    stored = await kube.get(CONTROLLERREVISIONS, NS, name)
    stored["metadata"].pop("ownerReferences")
    await kube.replace(CONTROLLERREVISIONS, NS, {**stored, "data": obj["data"]})


async def _apply(kube: Kube, name: str, obj: Object) -> None:
    bare = {**obj, "metadata": {"name": name, "namespace": NS}}
    await kube.apply(CONTROLLERREVISIONS, NS, bare)


Create = Callable[[Kube, Object], Awaitable[None]]
Remove = Callable[[Kube, str, Object], Awaitable[None]]
CREATE: dict[str, Create] = {
    "POST, our client": _create_kube,
    "POST, Go's bytes": _create_canonical,
    "server-side apply": _create_apply,
}
REMOVE: dict[str, Remove] = {"JSON patch": _json_patch, "merge patch": _merge_patch, "PUT as read": _put,
                             "PUT data as sent": _put_original, "server-side apply": _apply}  # fmt: skip


async def _owned(kube: Kube, name: str) -> bool:
    stored = await kube.get(CONTROLLERREVISIONS, NS, name)
    return bool(stored["metadata"].get("ownerReferences"))


async def _outcome(kube: Kube, create: Create, remove: Remove, data: Object, name: str, owner: Object) -> str:
    obj = body(name, owner, data)
    await create(kube, obj)
    try:
        await remove(kube, name, obj)
    except OpsloopError as error:
        return "422 immutable" if "immutable" in str(error) else str(error)[:60]
    return "still owned" if await _owned(kube, name) else "works"


async def _orphaned(kube: Kube, create: Create, name: str) -> str:
    """Delete the owner with --cascade=orphan: the garbage collector has to take the reference off before the owner goes."""
    owner = await kube.create(CONFIGMAPS, NS, {"metadata": {"name": name}})
    await create(kube, body(name, owner, ODD))
    await asyncio.sleep(1.0)  # the collector's graph follows by watch
    kubectl("-n", NS, "delete", "configmap", name, "--cascade=orphan", "--wait=false")
    ends = time.monotonic() + 6
    while kubectl("-n", NS, "get", "configmap", name, "--ignore-not-found"):
        if time.monotonic() > ends:
            kubectl("-n", NS, "patch", "configmap", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
            return "owner hangs"
        await asyncio.sleep(0.5)
    return "still owned" if await _owned(kube, name) else "works"


async def main() -> None:
    """The table, and what opsloop relies on."""
    rows: list[dict[str, Any]] = []
    async with namespace(NS) as kube:
        owner = await kube.create(CONFIGMAPS, NS, {"metadata": {"name": "owner"}})
        for i, (made, create) in enumerate(CREATE.items()):
            for j, (kind, data) in enumerate({"plain": PLAIN, "with & < > ü": ODD}.items()):
                row: dict[str, Any] = {"created by": made, "data": kind}
                for k, (how, remove) in enumerate(REMOVE.items()):
                    row[how] = await _outcome(kube, create, remove, data, f"r-{i}-{j}-{k}", owner)
                row["owner deleted, orphan"] = await _orphaned(kube, create, f"o-{i}-{j}") if j else ""
                rows.append(row)
    show("Taking ownerReferences off a ControllerRevision (Kubernetes 1.34)", rows)
    _check(rows)


def _check(rows: list[dict[str, Any]]) -> None:
    print()
    ours = [r for r in rows if r["created by"] == "POST, our client"]
    held = all(r["JSON patch"] == r["merge patch"] == "422 immutable" for r in ours)
    hangs = any(r["owner deleted, orphan"] == "owner hangs" for r in ours)
    require(
        held and hangs, "a ControllerRevision that we POST cannot be disowned by a patch, so it never gets an owner"
    )
    stored = owned.controller_revision(NS, EnsureRevision("r", "0" * 16, 1, PLAIN))
    require("ownerReferences" not in stored["metadata"], "what opsloop stores has no owner")
    applied = [r for r in rows if r["created by"] == "server-side apply"]
    free = all(r[how] == "works" for r in applied for how in ("JSON patch", "merge patch", "server-side apply"))
    require(free, "one made by server-side apply could be disowned by any patch: the way out, should owners be wanted")


if __name__ == "__main__":
    asyncio.run(main())
