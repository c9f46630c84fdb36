"""Stored templates: which of them outlive their revision's place in the list, and their Release."""

from typing import Any

import pytest

from opsloop.names import RELEASE, REVISION
from opsloop.shell.ports import CONTROLLERREVISIONS, Object
from opsloop.shell.reconcile.garbage import collect_garbage, orphaned_releases
from opsloop.shell.reconcile.manifests import MANAGED
from tests.builders.objects import V1, V2, V3, V4, evalcase, incident
from tests.fakes.runtime import Bench, bench
from tests.sim.shop import NS


def stored(digest: str, release: str = "answers") -> Object:
    labels = {RELEASE: release, REVISION: digest, **MANAGED}
    meta = {"name": f"{release}-{digest}", "namespace": NS, "labels": labels}
    return {"kind": "ControllerRevision", "metadata": meta, "data": {}, "revision": 1}


def known_to(**status: Any) -> Object:
    return {"kind": "Incident", **incident("answers-1", status).dump()}


ROLLED_BACK = {"release": "answers", "fromDigest": V2, "toDigest": V3, "attempt": 1, "at": "2026-01-01T12:00:00Z"}
CAUSE = {"kind": "bad_release", "reason": "VersionIsBad", "revision": V2, "release": "answers", "version": "v2"}


def left(world: Bench, release: str = "answers") -> set[str]:
    objects = world.cluster._objects.items()
    found = [obj for (plural, _, _), obj in objects if plural == CONTROLLERREVISIONS.plural]
    return {o["metadata"]["labels"][REVISION] for o in found if o["metadata"]["labels"][RELEASE] == release}


@pytest.mark.parametrize("read_before", [False, True], ids=["not read yet", "read before"])
@pytest.mark.parametrize(
    ("objects", "listed", "stay"),
    [
        pytest.param([], [V1, V4], {V1, V4}, id="what the Release lists"),
        pytest.param([], [], set(), id="nothing of a Release that was deleted"),
        pytest.param([known_to(blocked=[V2])], [], {V2}, id="but what an Incident had blocked"),
        pytest.param([known_to(rollback=ROLLED_BACK)], [], {V2, V3}, id="what it rolled back, and to what"),
        pytest.param([known_to(cause=CAUSE)], [], {V2}, id="what it holds for the cause"),
        pytest.param([{"kind": "EvalCase", **evalcase().dump()}], [], {V1, V2}, id="what an EvalCase is proven on"),
    ],
)
async def test_stored_templates_that_stay(
    objects: list[Object], listed: list[str], stay: set[str], read_before: bool
) -> None:
    world = bench(*(stored(digest) for digest in (V1, V2, V3, V4)), stored(V1, "other"), *objects)
    if read_before:
        world.runtime.owned.templates[NS, "answers"] = {digest: {} for digest in (V1, V2, V3, V4)}
    await collect_garbage(world.runtime, NS, "answers", listed)
    assert left(world) == stay and left(world, "other") == {V1}
    if read_before:
        assert set(world.runtime.owned.templates[NS, "answers"]) == stay
    before = len(world.cluster.writes)
    await collect_garbage(world.runtime, NS, "answers", listed)
    assert len(world.cluster.writes) == before, "once"


async def test_releases_that_were_deleted_while_no_operator_ran_are_found_by_their_templates() -> None:
    world = bench(stored(V1), stored(V1, "gone"))
    for namespaces in ((), (NS,)):
        assert await orphaned_releases(world.runtime, namespaces) == {(NS, "gone")}
