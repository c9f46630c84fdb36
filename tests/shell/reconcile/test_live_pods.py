"""Live pods that are marked: listed no more often than their Deployment changes, patched each by itself, put back wherever they are found."""

import copy
import json
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.actions import MarkPods
from opsloop.core.facts import LivePod
from opsloop.core.release import pod_metadata
from opsloop.errors import Conflict, Forbidden, NotFound, OpsloopError, Unavailable
from opsloop.names import CANARY, LIVE_METADATA
from opsloop.shell.ports import PODS, Object
from opsloop.shell.reconcile import live_pods
from tests.builders.objects import V4
from tests.fakes.runtime import Bench, bench, deployment, release
from tests.sim.shop import NS

OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "answers-1"}]}
TARGET = {"digest": V4, "version": "v4", "startedAt": "2026-01-05T09:00:00Z"}
RECORD = {"digest": V4, "since": "2026-01-05T09:00:00Z", "live": {"labels": {"track": "live"}}, "marked": True}


def pod(name: str, by: str = "", **meta: Any) -> Object:
    """A live pod; marked `by` a Release."""
    labels = {"app": "answers", **({"track": "live", LIVE_METADATA: "true"} if by else {}), **meta.pop("labels", {})}
    notes = {LIVE_METADATA: json.dumps({"release": by, "labels": {"track": ["live", None]}})} if by else {}
    body = {"name": name, "namespace": NS, "labels": labels, "annotations": notes, **OWNED, **meta}
    return {"kind": "Pod", "metadata": body, "spec": {}}


def told(state: str = "Stepping", record: Object | None = RECORD) -> Release:
    return Release.model_validate(release(target={**TARGET, "state": state}, podMetadata=record))


async def names(on: Bench, item: Release, live: Object | None) -> list[str] | None:
    found = await live_pods.seen(on.runtime, item, live)
    return None if found is None else sorted(one.name for one in found)


PODS_THERE = (
    pod("a"), pod("b", by="answers"), pod("c", labels={CANARY: "answers"}), pod("d", by="others", labels={"app": "x"}),
    pod("e", ownerReferences=[]), pod("f", deletionTimestamp="2026-01-05T09:00:00Z"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("item", "live", "seen"),
    [
        pytest.param(told(), deployment(), ["a", "b"], id="while a canary runs: live pods that a ReplicaSet keeps"),
        pytest.param(told("Rejected"), deployment(), ["b"], id="after it: those that this Release has marked"),
        pytest.param(told("Rejected"), None, ["b"], id="without the Deployment: the same"),
        pytest.param(told(record=None), deployment(), None, id="none, where none may be marked"),
        pytest.param(told(record={**RECORD, "marked": False}), deployment(), None, id="none, where only the canary's pods have labels"),
    ],
)  # fmt: skip
async def test_which_are_seen(item: Release, live: Object | None, seen: list[str] | None) -> None:
    assert await names(bench(*PODS_THERE), item, live) == seen


async def test_they_are_listed_once_for_each_version_of_the_deployment_and_after_each_write() -> None:
    on, live = bench(*PODS_THERE), deployment(resourceVersion="7")
    for _ in range(3):
        await names(on, told(), live)
    assert on.cluster.reads == ["list pods"]
    await names(on, told(), {**live, "metadata": {**live["metadata"], "resourceVersion": "8"}})
    assert on.cluster.reads == ["list pods"] * 2
    await live_pods.mark(on.runtime, NS, MarkPods("answers", (), True, V4))
    await names(on, told(), live)
    assert on.cluster.reads == ["list pods"] * 3


async def test_a_list_that_fails_holds_up_nothing() -> None:
    on = bench(*PODS_THERE)
    on.cluster.fail_next = [Unavailable("no answer")]
    assert await names(on, told(), deployment()) is None
    assert await names(on, told(), deployment()) == ["a", "b"]


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
        assert on.requested == [("Release", NS, "answers")]
    else:
        with pytest.raises(raised):
            await live_pods.mark(on.runtime, NS, action)
    stored = on.cluster.find(PODS, NS, "b")
    assert stored is not None and stored["metadata"]["labels"]["track"] == "live"


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
