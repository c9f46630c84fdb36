"""Live pods that are marked: listed no more often than their Deployment changes, patched each by itself, put back wherever they are found."""

import asyncio
import copy
import json
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.actions import MarkPods
from opsloop.core.facts import LivePod
from opsloop.core.release import pod_metadata
from opsloop.errors import Conflict, Forbidden, Invalid, NotFound, OpsloopError, TimedOut, Unavailable
from opsloop.names import CANARY, LIVE_METADATA
from opsloop.shell.ports import PODS, Object
from opsloop.shell.reconcile import live_pods
from tests.builders.objects import V1, V4
from tests.fakes.runtime import Bench, bench, deployment, release
from tests.sim.shop import NS

OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "answers-1", "uid": "r1"}]}
OTHERS: dict[str, Any] = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "uid": "r2"}]}
TARGET = {"digest": V4, "version": "v4", "startedAt": "2026-01-05T09:00:00Z"}
RECORD = {"digest": V4, "since": "2026-01-05T09:00:00Z", "live": {"labels": {"track": "live"}}, "marked": True}


def pod(name: str, by: str = "", **meta: Any) -> Object:
    """A live pod; marked `by` a Release."""
    labels = {"app": "answers", **({"track": "live", LIVE_METADATA: "true"} if by else {}), **meta.pop("labels", {})}
    notes = {LIVE_METADATA: json.dumps({"release": by, "labels": {"track": ["live", None]}})} if by else {}
    body = {"name": name, "namespace": NS, "labels": labels, "annotations": notes, **OWNED, **meta}
    return {"kind": "Pod", "metadata": body, "spec": {}}


def told(state: str = "Stepping", record: Object | None = RECORD) -> Release:
    return Release.model_validate(release(live=V1, target={**TARGET, "state": state}, podMetadata=record))


def replica_set(uid: str, of: str) -> Object:
    owner = {"kind": "Deployment", "name": of, "uid": of}
    meta = {"name": uid, "namespace": NS, "uid": uid, "labels": {"app": "answers"}, "ownerReferences": [owner]}
    return {"kind": "ReplicaSet", "metadata": meta, "spec": {}}


def own_deployment(selector: Object | None = None, **meta: Any) -> Object:
    made = deployment(**{"uid": "answers", **meta})
    return {**made, "spec": {**made["spec"], "selector": selector or made["spec"]["selector"]}}


async def names(on: Bench, item: Release, live: Object | None) -> list[str] | None:
    found, _ = await live_pods.seen(on.runtime, item, live)
    return None if found is None else sorted(one.name for one in found)


BY_EXPRESSION = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["answers"]}]}
LISTED = ["list replicasets", "list pods"]
PODS_THERE = (
    replica_set("r1", of="answers"), replica_set("r2", of="web"), pod("g", **OTHERS),
    pod("a"), pod("b", by="answers"), pod("c", labels={CANARY: "answers"}), pod("d", by="others", labels={"app": "x"}),
    pod("e", ownerReferences=[]), pod("f", deletionTimestamp="2026-01-05T09:00:00Z"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("item", "live", "seen"),
    [
        pytest.param(told(), own_deployment(), ["a", "b"], id="while a canary runs: pods of the Deployment's own ReplicaSets, of nobody else whom its selector fits"),
        pytest.param(told(), own_deployment(BY_EXPRESSION), ["a", "b"], id="the same where its selector has expressions only"),
        pytest.param(told("Rejected"), own_deployment(), ["b"], id="after it: those that this Release has marked"),
        pytest.param(told("Rejected"), None, ["b"], id="without the Deployment: the same"),
        pytest.param(Release.model_validate(release()), own_deployment(), ["b"], id="before adoption: those that an earlier Release of its name has marked"),
        pytest.param(told(record=None), own_deployment(), None, id="none, where none may be marked"),
        pytest.param(told(record={**RECORD, "marked": False}), own_deployment(), None, id="none, where only the canary's pods have labels"),
    ],
)  # fmt: skip
async def test_which_are_seen(item: Release, live: Object | None, seen: list[str] | None) -> None:
    assert await names(bench(*PODS_THERE), item, live) == seen


async def test_they_are_listed_once_for_each_version_of_the_deployment_and_at_most_every_three_seconds() -> None:
    on, again = bench(*PODS_THERE), live_pods.LISTED_AGAIN
    first, later = own_deployment(resourceVersion="7"), own_deployment(resourceVersion="8")
    for _ in range(3):
        await names(on, told(), first)
    assert on.cluster.reads == LISTED
    on.clock.advance(1)
    assert (await live_pods.seen(on.runtime, told(), later))[1] == again - timedelta(seconds=1)
    assert on.cluster.reads == LISTED, "put off"
    on.clock.advance(again.total_seconds())
    assert (await live_pods.seen(on.runtime, told(), later))[1] is None
    assert on.cluster.reads == LISTED * 2
    await names(on, told("Rejected"), later)
    assert on.cluster.reads == [*LISTED * 2, "list pods"], "at once, where the canary is over"


async def test_what_was_written_is_known_without_a_list() -> None:
    on, live = bench(*PODS_THERE), own_deployment(resourceVersion="7")
    await names(on, told(), live)
    on.cluster.remove(PODS, NS, "b")
    on.cluster.reads.clear()
    await live_pods.mark(on.runtime, NS, marking(on, "a", "b"))
    found, _ = await live_pods.seen(on.runtime, told(), live)
    assert found is not None and [(one.name, one.labels.get("track")) for one in found] == [("a", "live")]
    assert not on.cluster.reads


async def test_a_list_that_fails_holds_up_nothing() -> None:
    on = bench(*PODS_THERE)
    on.cluster.fail_next = [Unavailable("no answer")]
    assert await names(on, told(), own_deployment()) is None
    assert await names(on, told(), own_deployment()) == ["a", "b"]


async def test_before_adoption_a_list_that_fails_is_tried_again_and_one_that_is_forbidden_is_not() -> None:
    on, item = bench(*PODS_THERE), Release.model_validate(release())
    on.cluster.fail_next = [Unavailable("no answer"), Forbidden("no")]
    with pytest.raises(Unavailable):
        await names(on, item, own_deployment())
    assert await names(on, item, own_deployment()) is None


def marking(on: Bench, *pods: str) -> MarkPods:
    wanted = told().status.pod_metadata
    assert wanted is not None
    patches = []
    for name in pods:
        meta = copy.deepcopy(on.cluster.find(PODS, NS, name) or pod(name))["metadata"]
        seen = LivePod(name, meta.get("resourceVersion", "0"), meta["labels"], meta["annotations"])
        patches.append((name, pod_metadata.patch(seen, wanted.live, "answers")))
    return MarkPods("answers", tuple(patches), True, V4)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(Conflict("it changed"), None, id="one that has changed is looked at again"),
        pytest.param(NotFound("gone"), None, id="one that is gone needs nothing"),
        pytest.param(Forbidden("no"), Forbidden, id="a refusal is raised when all others are written"),
    ],
)
async def test_one_pod_keeps_no_other_from_its_labels(error: OpsloopError, raised: type[OpsloopError] | None) -> None:
    on = bench(pod("a"), pod("b"))
    action = marking(on, "a", "b")
    on.cluster.fail_next = [error]
    if raised is None:
        await live_pods.mark(on.runtime, NS, action)
    else:
        with pytest.raises(raised):
            await live_pods.mark(on.runtime, NS, action)
    stored = on.cluster.find(PODS, NS, "b")
    assert stored is not None and stored["metadata"]["labels"]["track"] == "live"


@pytest.mark.looptime
async def test_a_patch_that_hangs_is_given_up_and_the_others_are_done() -> None:
    on = bench(pod("a"), pod("b"))
    action, whole = marking(on, "a", "b"), on.cluster.json_patch

    def hangs_on_a(resource: Any, namespace: str, name: str, *more: Any) -> Awaitable[Any]:
        return asyncio.sleep(3600) if name == "a" else whole(resource, namespace, name, *more)

    on.cluster.json_patch = hangs_on_a  # type: ignore[assignment, method-assign]
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimedOut):
        await live_pods.mark(on.runtime, NS, action)
    assert asyncio.get_running_loop().time() - began == live_pods.SECONDS
    stored = on.cluster.find(PODS, NS, "b")
    assert stored is not None and stored["metadata"]["labels"]["track"] == "live"


@pytest.mark.parametrize(
    "error", [Invalid("a webhook says no"), Unavailable("no answer")], ids=lambda e: type(e).__name__
)
async def test_one_pod_that_cannot_be_put_back_keeps_no_other_from_it(error: OpsloopError) -> None:
    on = bench(pod("a", by="answers"), pod("b", by="answers"))
    whole = on.cluster.json_patch

    async def fails_on_a(resource: Any, namespace: str, name: str, *more: Any) -> Object:
        if name == "a":
            raise error
        return await whole(resource, namespace, name, *more)

    on.cluster.json_patch = fails_on_a  # type: ignore[assignment, method-assign]
    with pytest.raises(type(error)):
        await live_pods.let_go(on.cluster, on.cluster, NS, "answers")
    stored = on.cluster.find(PODS, NS, "b")
    assert stored is not None and LIVE_METADATA not in stored["metadata"]["labels"]


async def test_a_pod_that_changes_between_the_look_and_the_write_is_put_back_all_the_same() -> None:
    on = bench(pod("a", by="answers"), pod("b", by="others"))
    on.cluster.stale_reads = True
    changed = on.cluster.find(PODS, NS, "a")
    assert changed is not None
    changed["metadata"]["labels"]["new"] = "one"
    on.cluster.seed(changed)
    get = on.cluster.get

    async def fresh(*what: Any) -> Object:
        on.cluster.stale_reads = False
        return await get(*what)

    on.cluster.get = fresh  # type: ignore[assignment, method-assign]
    assert await live_pods.let_go(on.cluster, on.cluster, NS, "answers") == [f"{NS}/a"]
    stored = [on.cluster.find(PODS, NS, name) for name in ("a", "b")]
    assert [p["metadata"]["labels"].get("track") for p in stored if p] == [None, "live"]
    assert stored[0] is not None and stored[0]["metadata"]["labels"] == {"app": "answers", "new": "one"}


async def test_releases_that_are_gone_and_left_marked_pods_are_found_at_the_start() -> None:
    on = bench(pod("a", by="answers"), pod("b", by="gone"), pod("c"))
    assert await live_pods.of_deleted_releases(on.cluster, on.runtime.cache, ()) == [("Release", NS, "gone")]
    on.cluster.fail_next = [Unavailable("no answer")]
    assert await live_pods.of_deleted_releases(on.cluster, on.runtime.cache, (NS,)) == []
