"""Canary pods and their gates: pods before traffic on the way up, traffic before pods on the way down."""

import pytest

from opsloop.core.actions import DeleteCanary, EnsureCanary
from opsloop.core.facts import CanaryFacts, ReleaseFacts
from tests.builders.objects import V4, at
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


MISSING_SINCE = {"type": "CanaryPodsReady", "status": "False", "reason": "WaitingForPods"}


@pytest.mark.parametrize(
    ("started", "missing", "failing", "state"),
    [
        pytest.param(-500, -400, "", "Rejected", id="no pods for five minutes: it is given up"),
        pytest.param(-500, -100, "", "Stepping", id="but holds before do not count"),
        pytest.param(50, -400, "", "Stepping", id="nor what an earlier target waited"),
        pytest.param(-500, 30, "ImagePullBackOff", "Rejected", id="an image that cannot be pulled for a minute is enough"),
        pytest.param(-500, 60, "ImagePullBackOff", "Stepping", id="but not for forty seconds"),
    ],
)  # fmt: skip
def test_pods_that_do_not_start(started: float, missing: float, failing: str, state: str) -> None:
    since = {**MISSING_SINCE, "lastTransitionTime": at(missing)}
    status = status_with(target("Stepping", step=1, pods=4, weight=50, started_at=at(started)), conditions=[since])
    some = CanaryFacts(V4, 4, (*pods(1, 1), *pods(4, containers_ready=False, failing=failing)[1:]))
    situation = facts(release_asking(), status, canary=some)
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
        pytest.param(step(target=FIFTY, canary=canary(4, 3)), set(), set(), id="a weight found lower is left lower"),
        pytest.param(step(target={**FIFTY, **NOT_REACHED}, canary=CanaryFacts(V4, 4, pods(2))), set(), set(), id="pods before traffic: nothing opens until all are ready"),
        pytest.param(step(target=NOT_REACHED, canary=CanaryFacts(V4, 2, (*pods(1, version="v3"), pods(2)[1]))), {"c1"}, set(), id="a pod of another revision is never opened"),
        pytest.param(step(canary=canary(1, 1, failing="CrashLoopBackOff", containers_ready=False)), set(), set(), id="a pod that crashes is left: its own readiness takes it out"),
    ],
)  # fmt: skip
def test_gates(situation: ReleaseFacts, opened: set[str], closed: set[str]) -> None:
    assert (gates_opened(situation), gates_closed(situation)) == (opened, closed)


def test_a_weight_found_lower_holds_until_retry() -> None:
    situation = step(target=FIFTY, canary=canary(4, 3))
    assert (
        condition_of(status_after(situation), "Held") == ("True", "WeightLower") and end_of(situation)[0] == "Stepping"
    )


def test_a_weight_found_higher_does_not_advance() -> None:
    new_target = status_after(step(canary=canary(3, 3))).target
    assert new_target is not None and new_target.weight == 20


def test_a_canary_without_a_target_is_deleted() -> None:
    situation = facts(release_asking("v1"), status_with(None, ADOPTED, templates={}), canary=canary(2, 1), templates={})
    assert gates_closed(situation) == {"c0"} and actions_of(situation, DeleteCanary)
