"""One name: observed, decided, carried out."""

from datetime import timedelta
from unittest.mock import AsyncMock

import pytest

from opsloop.errors import Conflict, Invalid, NotFound
from opsloop.names import LIVE_METADATA, RELEASE, REVISION
from opsloop.shell.ports import CONTROLLERREVISIONS, RELEASES
from opsloop.shell.reconcile.manifests import MANAGED
from opsloop.shell.reconcile.reconciler import reconcile
from tests.builders.objects import V1, evalcase, incident, runbook
from tests.fakes.runtime import bench, release
from tests.sim.shop import NS

KEY = ("Release", NS, "answers")


async def test_a_new_release_is_adopted_and_then_left_in_peace() -> None:
    on = bench()
    for _ in range(4):
        await reconcile(on.runtime, KEY)
        on.clock.advance(1)
    stored = on.cluster.find(RELEASES, NS, "answers")
    assert stored is not None and stored["status"]["live"] == V1
    before = len(on.cluster.writes)
    for _ in range(4):
        await reconcile(on.runtime, KEY)
    assert len(on.cluster.writes) == before and {w.resource.plural for w in on.cluster.writes} == {
        "releases",
        "controllerrevisions",
    }


async def test_it_says_when_to_look_again() -> None:
    assert isinstance(await reconcile(bench().runtime, KEY), timedelta)


@pytest.mark.parametrize("kind", ["Release", "Incident", "Runbook", "EvalCase"])
async def test_a_name_that_is_not_there_is_nothing(kind: str) -> None:
    on = bench()
    assert await reconcile(on.runtime, (kind, NS, "gone")) is None and on.cluster.writes == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("Incident", incident().spec.dump(), id="Incident"),
        pytest.param("Runbook", runbook().spec.dump(), id="Runbook"),
        pytest.param("EvalCase", evalcase().spec.dump(), id="EvalCase"),
    ],
)
async def test_each_kind_has_its_decision(kind: str, spec: dict[str, object]) -> None:
    on = bench({"kind": kind, "metadata": {"name": "answers-1", "namespace": NS}, "spec": spec})
    await reconcile(on.runtime, (kind, NS, "answers-1"))
    assert on.cluster.writes[0].verb == "replace_status" and on.cluster.writes[0].name == "answers-1"


async def test_what_is_being_deleted_is_let_go() -> None:
    on = bench()
    going = release()
    going["metadata"]["deletionTimestamp"] = "2026-01-05T09:00:00Z"
    on.seed(going)
    assert await reconcile(on.runtime, KEY) is None and on.cluster.writes == []


async def test_what_cannot_be_put_back_of_a_deleted_release_keeps_nothing_else_of_it() -> None:
    labels = {RELEASE: "gone", REVISION: V1, **MANAGED}
    stored = {
        "kind": "ControllerRevision",
        "metadata": {"name": f"gone-{V1}", "namespace": NS, "labels": labels},
        "data": {},
    }
    meta = {
        "name": "a",
        "namespace": NS,
        "labels": {LIVE_METADATA: "true"},
        "annotations": {LIVE_METADATA: '{"release": "gone"}'},
    }
    on = bench(stored, {"kind": "Pod", "metadata": meta, "spec": {}})
    on.cluster.json_patch = AsyncMock(side_effect=Invalid("a webhook says no"))  # type: ignore[method-assign]
    with pytest.raises(Invalid):
        await reconcile(on.runtime, ("Release", NS, "gone"))
    assert on.cluster.find(CONTROLLERREVISIONS, NS, f"gone-{V1}") is None


async def test_what_was_deleted_while_it_was_decided_on_is_no_failure() -> None:
    on = bench()
    on.cluster.remove(RELEASES, NS, "answers")
    assert on.runtime.cache.get("Release", NS, "answers"), "the watch has not told yet"
    assert await reconcile(on.runtime, KEY) is None


async def test_what_else_is_missing_is_a_failure() -> None:
    on = bench()
    on.cluster.fail_next = [NotFound("namespaces shop not found")]
    with pytest.raises(NotFound):
        await reconcile(on.runtime, KEY)


async def test_an_unreadable_object_is_left_alone() -> None:
    on = bench()
    broken = release()
    broken["spec"] = {**broken["spec"], "version": 7}
    on.seed(broken)
    assert await reconcile(on.runtime, KEY) is None and on.cluster.writes == []


async def test_a_stale_cache_is_a_conflict_and_the_next_look_succeeds() -> None:
    on = bench()
    await reconcile(on.runtime, KEY)
    found = on.cluster.find(RELEASES, NS, "answers")
    assert found is not None
    on.cluster.seed({**found, "spec": {**found["spec"], "paused": True}})
    on.clock.advance(1)
    with pytest.raises(Conflict):
        await reconcile(on.runtime, KEY)
    on.see()
    await reconcile(on.runtime, KEY)


async def test_an_unknown_kind_is_an_error() -> None:
    on = bench()
    on.runtime.cache.put("Service", {**on.cached("Deployment"), "kind": "Service"})
    with pytest.raises(ValueError, match="no reconciler"):
        await reconcile(on.runtime, ("Service", NS, "answers"))
