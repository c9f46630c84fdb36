"""Canary pods and their gates: pods before traffic on the way up, traffic before pods on the way down."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.actions import DeleteCanary, EnsureCanary
from opsloop.core.facts import CanaryFacts, PodFacts, Refusal, ReleaseFacts, RolloutState, WorkloadFacts
from tests.builders.objects import V4, at, workload
from tests.builders.rollouts import (
    ADOPTED,
    FIFTY,
    NOT_REACHED,
    TEMPLATES,
    actions_of,
    canary,
    condition_of,
    dark,
    end_of,
    facts,
    gates_closed,
    gates_opened,
    pods,
    release_asking,
    status_after,
    status_with,
    step,
    target,
)


def test_pods_for_the_first_step_start_dark() -> None:
    (action,) = actions_of(dark(), EnsureCanary)
    assert (action.replicas, action.digest, action.template) == (1, V4, TEMPLATES[V4]) and gates_opened(dark()) == set()


def test_pods_of_another_revision_are_deleted_first() -> None:
    situation = dark(canary=canary(1, 1, version="v3"))
    assert (
        gates_closed(situation) == {"c0"}
        and actions_of(situation, DeleteCanary)
        and not actions_of(situation, EnsureCanary)
    )


LOST_ONE = {**FIFTY, "served": 4}
REFUSAL = Refusal("canary", V4, "deployments.apps is forbidden: exceeded quota", at(160))


def closed_by_hand() -> tuple[PodFacts, ...]:
    return (replace(pods(4)[3], closed_by_hand=True),)


MISSING_SINCE = {"type": "CanaryPodsReady", "status": "False", "reason": "WaitingForPods"}


@pytest.mark.parametrize(
    ("started", "missing", "deadline", "said", "state"),
    [
        pytest.param(-900, -510, 600, {}, "Rejected", id="no pods for the Deployment's deadline: it is given up"),
        pytest.param(-900, -490, 600, {}, "Stepping", id="not before"),
        pytest.param(-900, 30, 60, {}, "Rejected", id="the deadline is the Deployment's own"),
        pytest.param(-900, -490, 600, {"failing": "app: ImagePullBackOff"}, "Stepping", id="a pod that names its failure is said and waited for as Kubernetes does"),
        pytest.param(-900, -510, 600, {"ready_since": at(-100), "containers_ready": True}, "Stepping", id="it counts from the last pod that became ready"),
        pytest.param(50, -900, 600, {}, "Stepping", id="not from what an earlier target waited"),
    ],
)  # fmt: skip
def test_pods_that_do_not_start(
    started: float, missing: float, deadline: float, said: dict[str, Any], state: str
) -> None:
    since = {**MISSING_SINCE, "lastTransitionTime": at(missing)}
    status = status_with(target("Stepping", step=1, pods=4, weight=50, started_at=at(started)), conditions=[since])
    more = {"containers_ready": False} | said
    some = CanaryFacts(V4, 4, (*pods(1, 1), *pods(4, **more)[1:3], *pods(4, containers_ready=False)[3:]))
    live = replace(workload(), rollout=RolloutState(deadline=timedelta(seconds=deadline)))
    situation = facts(release_asking(), status, canary=some, workload=live)
    assert end_of(situation)[0] == state
    assert all(r.blocked is None for r in status_after(situation).revisions), "what the cluster did blocks no revision"


def test_a_gate_that_is_open_in_the_dark_is_closed_at_once() -> None:
    assert gates_closed(dark(canary=canary(1, 1))) == {"c0"}


@pytest.mark.parametrize(
    ("situation", "opened", "closed"),
    [
        pytest.param(step(target=NOT_REACHED, canary=canary(1)), {"c0"}, set(), id="what was decided is opened"),
        pytest.param(step(target={**FIFTY, **NOT_REACHED}, canary=canary(4, 1)), {"c1", "c2", "c3"}, set(), id="and no more than was decided"),
        pytest.param(step(target={**FIFTY, **NOT_REACHED}, canary=canary(6, 1)), {"c1", "c2", "c3"}, set(), id="however many pods there are"),
        pytest.param(step(canary=canary(3, 3)), set(), {"c1", "c2"}, id="a weight found higher is lowered, as safety"),
        pytest.param(step(target=LOST_ONE, canary=canary(4, 3)), {"c3"}, set(), id="a pod that was lost comes back once its successor is ready"),
        pytest.param(step(target={**LOST_ONE, "lost": 1, "reached_at": at(60)}, canary=canary(4, 3)), set(), set(), id="a weight found lower twice is left lower"),
        pytest.param(step(target=LOST_ONE, canary=CanaryFacts(V4, 4, (*pods(3, 3), *closed_by_hand()))), set(), set(), id="a gate that a person closed stays closed"),
        pytest.param(step(target={**FIFTY, **NOT_REACHED}, canary=CanaryFacts(V4, 4, pods(2))), set(), set(), id="pods before traffic: nothing opens until all are ready"),
        pytest.param(step(target=NOT_REACHED, canary=CanaryFacts(V4, 2, (*pods(1, version="v3"), pods(2)[1]))), {"c1"}, set(), id="a pod of another revision is never opened"),
        pytest.param(step(canary=canary(1, 1, failing="CrashLoopBackOff", containers_ready=False)), set(), set(), id="a pod that crashes is left: its own readiness takes it out"),
    ],
)  # fmt: skip
def test_gates(situation: ReleaseFacts, opened: set[str], closed: set[str]) -> None:
    assert (gates_opened(situation), gates_closed(situation)) == (opened, closed)


def test_the_first_loss_in_a_step_is_recorded_and_the_hold_begins_again() -> None:
    lost = status_after(step(target=LOST_ONE, canary=canary(4, 3))).target
    assert lost is not None and (lost.lost, lost.served, lost.reached_at) == (1, 3, None)


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(step(target={**LOST_ONE, "lost": 1, "reached_at": at(60)}, canary=canary(4, 3)), id="pods left the traffic twice in one step"),
        pytest.param(step(target=LOST_ONE, canary=CanaryFacts(V4, 4, (*pods(3, 3), *closed_by_hand()))), id="a person closed a gate"),
    ],
)  # fmt: skip
def test_a_weight_found_lower_holds_until_retry(situation: ReleaseFacts) -> None:
    assert (
        condition_of(status_after(situation), "Held") == ("True", "WeightLower") and end_of(situation)[0] == "Stepping"
    )


@pytest.mark.parametrize(
    ("live", "opened", "decided", "closed"),
    [
        pytest.param(workload(replicas=4), 4, 4, set(), id="as many live pods as when it was decided"),
        pytest.param(workload(replicas=2), 4, 2, {"c2", "c3"}, id="live was scaled down: gates close at once"),
        pytest.param(replace(workload(replicas=4), ready=1), 4, 1, {"c1", "c2", "c3"}, id="live pods are not ready: they do not count"),
        pytest.param(replace(workload(replicas=4), ready=0), 4, 1, {"c1", "c2", "c3"}, id="one stays in traffic where no live pod is ready"),
        pytest.param(replace(workload(replicas=2), ready=16), 4, 2, {"c2", "c3"}, id="live pods that are about to go do not count"),
        pytest.param(workload(replicas=6), 4, 6, set(), id="live was scaled up: recorded, and opened at a later look"),
    ],
)  # fmt: skip
def test_the_number_of_pods_follows_live(live: WorkloadFacts, opened: int, decided: int, closed: set[str]) -> None:
    situation = step(target={**FIFTY, "served": 4}, canary=canary(8, opened), workload=live)
    new = status_after(situation).target
    assert new is not None and (gates_closed(situation), gates_opened(situation)) == (closed, set())
    if decided != 4:
        assert (new.pods, new.served, new.lost, new.weight) == (decided, min(4, decided), 0, 50)


def test_following_down_is_no_loss() -> None:
    smaller = step(target={**FIFTY, "pods": 2, "served": 2}, canary=canary(4, 2), workload=workload(replicas=2))
    new = status_after(smaller).target
    assert new is not None and (new.state, new.lost) == ("Promoting", 0)


def test_an_evicted_pod_is_not_in_traffic_although_its_gate_is_open() -> None:
    some = CanaryFacts(V4, 4, (*pods(3, 3), replace(pods(4, 4)[3], ended=True, ready=False, containers_ready=False)))
    situation = step(target=LOST_ONE, canary=some)
    assert condition_of(status_after(situation), "Held") == ("True", "WaitingForPods")
    assert gates_closed(dark(canary=CanaryFacts(V4, 1, pods(1, 1, ended=True)))) == set(), (
        "nor closed: it serves nobody"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"canary": canary(0), "refusals": (REFUSAL,)}, "exceeded quota", id="the API server refuses the canary"),
        pytest.param({"canary": replace(canary(0), replicas=1, failure="pods is forbidden: quota")}, "forbidden: quota", id="its pods are not created"),
        pytest.param({"canary": canary(1, containers_ready=False, failing="init container db: Error")}, "init container db", id="a container does not start"),
        pytest.param({"canary": canary(1, containers_ready=False, unschedulable="0/3 nodes are available")}, "0/3 nodes", id="it fits no node"),
    ],
)  # fmt: skip
def test_what_keeps_canary_pods_is_said_while_they_are_waited_for(changes: dict[str, Any], said: str) -> None:
    status = status_after(dark(**changes))
    held = next(c for c in status.conditions if c.type == "Held")
    assert (held.reason, said in held.message) == ("WaitingForPods", True), held.message


def test_a_refused_canary_is_written_again_only_when_its_pause_is_over() -> None:
    assert actions_of(dark(refusals=(REFUSAL,)), EnsureCanary) == []
    assert len(actions_of(dark(refusals=(replace(REFUSAL, again_at=at(99)),)), EnsureCanary)) == 1


def test_a_pod_counts_once_it_was_ready_for_minReadySeconds() -> None:
    slow = replace(workload(), min_ready=timedelta(seconds=30))
    assert end_of(dark(canary=canary(1, ready_since=at(80)), workload=slow))[0] == "Dark"
    assert end_of(dark(canary=canary(1, ready_since=at(70)), workload=slow))[0] == "Stepping"


def test_a_weight_found_higher_does_not_advance() -> None:
    new_target = status_after(step(canary=canary(3, 3))).target
    assert new_target is not None and new_target.weight == 20


def test_a_canary_without_a_target_is_deleted() -> None:
    situation = facts(release_asking("v1"), status_with(None, ADOPTED, templates={}), canary=canary(2, 1), templates={})
    assert gates_closed(situation) == {"c0"} and actions_of(situation, DeleteCanary)
