"""A rollout that a tool keeps breaking off is finished while paused: which ReplicaSets and pods go, and when."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.records import Guarding
from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import DeletePods, DeleteReplicaSet, SetPaused
from opsloop.core.facts import OrphanFacts, WorkloadFacts
from opsloop.core.release import settling
from opsloop.core.stop import Stop
from tests.builders.objects import V1, at
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    actions_of,
    condition_of,
    incident_with_rollback,
    record,
    status_after,
    status_with,
)
from tests.core.release.test_guard import CONTEST, one_set, seen, situation

FOUGHT = Guarding(rolling=V1, since=at(90), answered=CONTEST)


def back_to_v1(guard: Guarding = FOUGHT) -> ReleaseStatus:
    """v2 is rolled back, and a tool has written it again for the third time."""
    return status_with(None, ADOPTED, BAD, live=V1, rollback=record("Written"), guard=guard)


def written(
    *sets: Any, orphans: tuple[OrphanFacts, ...] = (), generation: int = 0, paused: bool = True
) -> WorkloadFacts:
    workload = seen("v2", *sets, settled=False, paused=paused)
    assert workload.guard is not None
    guard = replace(workload.guard, orphans=orphans, may_lack=1, generation=generation)
    return replace(workload, guard=guard)


def look(workload: WorkloadFacts, status: ReleaseStatus, **more: Any) -> Any:
    return situation(workload, status, incidents=(incident_with_rollback(),), **more)


def hashed(version: str, pods: int, created: int = 0, revision: int = 0, ready: int = 0) -> Any:
    one = replace(one_set(version, pods, ready, created), hash=f"hash-{version}", revision=revision)
    return replace(one, available=ready)


def orphan(name: str, ready: bool = True) -> OrphanFacts:
    return OrphanFacts(name, f"uid-{name}", ready)


@pytest.mark.parametrize(
    ("sets", "gone"),
    [
        pytest.param((hashed("v1", 2), hashed("v2", 2)), [("answers-v2", True)], id="the other one, whose pods stay for now"),
        pytest.param((hashed("v1", 0), hashed("v2", 4, created=5)), [("answers-v2", True)], id="also where no pod of the revision is left: Kubernetes starts them then"),
        pytest.param((hashed("v1", 0), hashed("v4", 0, created=3), hashed("v2", 4, created=5)), [("answers-v4", False), ("answers-v2", True)], id="and before it a newer one without pods, which would be scaled up instead"),
        pytest.param((hashed("v1", 1), hashed("v4", 2), hashed("v2", 2)), [("answers-v4", True), ("answers-v2", True)], id="all others that have pods"),
        pytest.param((hashed("v1", 4),), [], id="none where it is the only one"),
    ],
)  # fmt: skip
def test_which_replica_sets_are_deleted_so_that_kubernetes_scales_the_one_that_is_left(sets: Any, gone: Any) -> None:
    given_ = look(written(*sets), back_to_v1())
    assert [(a.name, a.orphan) for a in actions_of(given_, DeleteReplicaSet)] == gone
    assert not actions_of(given_, SetPaused), "the template is written no more"
    guard = status_after(given_).guard
    assert guard is not None and guard.orphaned == [f"hash-{n.removeprefix('answers-')}" for n, stays in gone if stays]


def test_of_several_with_the_same_revision_the_one_rolled_out_last_is_kept() -> None:
    stamped = replace(hashed("v1", 1, revision=3), uid="stamped", name="answers-stamped", hash="hash-stamped")
    given_ = look(written(hashed("v1", 3, revision=1), hashed("v2", 1, revision=4), stamped), back_to_v1())
    assert {a.name for a in actions_of(given_, DeleteReplicaSet)} == {"answers-v1", "answers-v2"}


def test_it_says_what_it_does_once_and_then_by_its_condition() -> None:
    first = look(written(hashed("v1", 1), hashed("v2", 3)), back_to_v1())
    after = status_after(first)
    assert condition_of(after, "Guarded") == ("True", "RollsOutPaused")
    later = look(written(hashed("v1", 4), orphans=(orphan("a"),)), after)
    assert condition_of(status_after(later), "Guarded") == ("True", "RollsOutPaused")
    assert after.rollback is not None and after.rollback.is_active


def test_an_emergency_stop_leaves_all_as_it_is() -> None:
    stopped = look(written(hashed("v1", 1), hashed("v2", 3)), back_to_v1(), stop=Stop("shop", "now", "fire"))
    assert not actions_of(stopped, DeleteReplicaSet) and not actions_of(stopped, DeletePods)


@pytest.mark.parametrize(
    ("ready", "orphans", "gone"),
    [
        pytest.param(0, 4, ["a"], id="as many as may be missing, which makes room"),
        pytest.param(2, 4, ["a", "b", "c"], id="one for each that has become available"),
        pytest.param(3, 2, ["a", "b"], id="all, once no more than may be missing are"),
        pytest.param(0, 0, [], id="none are left"),
    ],
)
def test_pods_without_an_owner_go_as_others_become_available(ready: int, orphans: int, gone: list[str]) -> None:
    left = tuple(orphan(name) for name in "abcd"[:orphans])
    guard = FOUGHT.model_copy(update={"orphaned": ["hash-v2"]})
    given_ = look(written(hashed("v1", 4, ready=ready), orphans=left), back_to_v1(guard))
    deleted = [name for a in actions_of(given_, DeletePods) for name, _ in a.pods]
    assert len(deleted) == len(gone) and set(deleted) <= {one.name for one in left}
    after = status_after(given_).guard
    assert after is not None and bool(after.orphaned) == bool(orphans), "the record ends after the last of them"


@given(
    orphans=st.lists(st.builds(OrphanFacts, st.uuids().map(str), st.just("u"), st.booleans()), max_size=8, unique_by=lambda o: o.name),
    replicas=st.integers(0, 8),
    available=st.integers(0, 8),
    may_lack=st.integers(0, 3),
)  # fmt: skip
def test_never_are_more_missing_than_the_strategy_allows_or_than_were_before(
    orphans: list[OrphanFacts], replicas: int, available: int, may_lack: int
) -> None:
    gone = settling.surplus(tuple(orphans), replicas, available, may_lack)
    serving = sum(one.ready for one in orphans)
    left = serving - sum(one.ready for one in gone)
    assert available + left >= min(replicas - may_lack, available + serving)
    if available >= replicas - may_lack:
        assert set(gone) == set(orphans), "and at its end none is left"


def test_each_write_of_another_template_counts_once_however_often_it_is_looked_at() -> None:
    status = back_to_v1(Guarding(rolling=V1, since=at(90)))
    first = status_after(look(written(generation=7, paused=False), status))
    again = status_after(look(written(generation=7, paused=False), first))
    later = status_after(look(written(generation=9, paused=False), again))
    assert [s.guard.answered for s in (first, again, later) if s.guard] == [1, 1, 2]
