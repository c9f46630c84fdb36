"""The canary: dark first, then steps by gates and analysis."""

from typing import Any

import pytest

from opsloop.core.actions import DeleteCanary, EnsureCanary, SetTemplate
from opsloop.core.facts import CanaryFacts, ReleaseFacts, Unknown
from tests.builders.objects import V4, at, evalcase, incident, readings, value, workload
from tests.builders.rollouts import (
    GOOD,
    NOW,
    TEMPLATES,
    acts,
    after,
    canary,
    closes,
    dark,
    ends,
    facts,
    going,
    opens,
    pods,
    said,
    step,
    target,
    wants,
)


def test_first_come_pods_for_the_first_step_and_they_are_dark() -> None:
    (asked,) = acts(dark(), EnsureCanary)
    assert (asked.replicas, asked.digest, asked.template) == (1, V4, TEMPLATES[V4]) and opens(dark()) == set()


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        pytest.param(dark(canary=canary(0)), "WaitingForPods", id="its pods are starting"),
        pytest.param(dark(canary=canary(1, containers_ready=False)), "WaitingForPods", id="its containers are not ready"),
        pytest.param(dark(canary=canary(1, deleting=True)), "WaitingForPods", id="its pod is going"),
        pytest.param(dark(wants(paused=True), canary=canary(1)), "Paused", id="a person paused it"),
        pytest.param(dark(wants(steps=[{"weight": 20, "approve": True}, {"weight": 100}]), canary=canary(1)), "WaitingForApproval", id="its first step wants approval"),
        pytest.param(dark(wants(evals={"port": 80}), canary=canary(1)), "EvalsInconclusive", id="there is no eval case: never a pass"),
        pytest.param(dark(wants(evals={"port": 80}), canary=canary(1), cases=(evalcase(proven="Unknown"),)), "EvalsInconclusive", id="an unproven case is none"),
        pytest.param(dark(wants(evals={"port": 80}), canary=canary(1), cases=(evalcase(),)), "WaitingForEvals", id="its eval cases run"),
    ],
)  # fmt: skip
def test_it_stays_dark_while(seen: ReleaseFacts, held: str) -> None:
    status = after(seen)
    assert (ends(seen)[0], said(status, "Held"), status.phase) == ("Dark", ("True", held), "Held")
    assert opens(seen) == set()


def test_then_the_first_step_is_decided_and_only_stored() -> None:
    seen = dark(canary=canary(1))
    found = after(seen).target
    assert found is not None and (found.state, found.weight, found.pods, found.step) == ("Stepping", 20, 1, 0)
    assert opens(seen) == set(), "gates open on the next look, up to what is stored by then"


def test_a_gate_that_is_open_in_the_dark_is_closed_at_once() -> None:
    assert closes(dark(canary=canary(1, 1))) == {"c0"}


def test_an_approval_names_the_version() -> None:
    steps = [{"weight": 20, "approve": True}, {"weight": 100}]
    assert ends(dark(wants(steps=steps, annotations={"approve": "v4"}), canary=canary(1)))[0] == "Stepping"
    assert ends(dark(wants(steps=steps, annotations={"approve": "v3"}), canary=canary(1)))[0] == "Dark"


@pytest.mark.parametrize(
    ("limit", "state"),
    [
        pytest.param(1, ("Refused", "WeightUnreachable"), id="a later step needs more pods than allowed: refused before it starts"),
        pytest.param(4, ("Dark", ""), id="all steps can be reached"),
    ],
)  # fmt: skip
def test_weights_that_pods_cannot_reach(limit: int, state: tuple[str, str]) -> None:
    item = wants(canary={"maxCanaryReplicas": limit})
    assert ends(dark(item)) == state
    assert ends(facts(item, going(target("Refused", reason="WeightUnreachable")))) == state, "and once only"


def test_pods_of_another_revision_go_first() -> None:
    seen = dark(canary=canary(1, 1, version="v3"))
    assert closes(seen) == {"c0"} and acts(seen, DeleteCanary) and not acts(seen, EnsureCanary)


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
    status = going(target("Stepping", step=1, pods=4, weight=50, started_at=at(started)), conditions=[since])
    some = CanaryFacts(V4, 4, (*pods(1, 1), *pods(4, containers_ready=False, failing=failing)[1:]))
    seen = facts(wants(), status, canary=some)
    assert ends(seen)[0] == state
    assert all(r.blocked is None for r in after(seen).revisions), "what the cluster did blocks no revision"


FIFTY = {"weight": 50, "pods": 4, "step": 1}
NOT_REACHED = {"reached_at": None}


@pytest.mark.parametrize(
    ("seen", "opened", "closed"),
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
def test_gates(seen: ReleaseFacts, opened: set[str], closed: set[str]) -> None:
    assert (opens(seen), closes(seen)) == (opened, closed)


def test_a_weight_found_lower_is_a_hold_until_a_person_says_retry() -> None:
    seen = step(target=FIFTY, canary=canary(4, 3))
    assert said(after(seen), "Held") == ("True", "WeightLower") and ends(seen)[0] == "Stepping"


HOLD = [{"weight": 20, "hold": "60s"}, {"weight": 50}, {"weight": 100}]
LIVE_AND = {"v1": GOOD}


def split(canary_ratio: float | None, live_ratio: float = 0.0, total: float = 1000) -> Any:
    seen = {"v1": value(live_ratio), "v4": Unknown("NoSeries") if canary_ratio is None else value(canary_ratio, total)}
    return readings(0.0, NOW, bake=GOOD, by_version=seen)


@pytest.mark.parametrize(
    ("seen", "weight", "held"),
    [
        pytest.param(step(), 50, "", id="reached, known and good: on to the next step"),
        pytest.param(step(target=FIFTY, canary=canary(4, 4)), 100, "", id="the last step is the promotion"),
        pytest.param(step(wants(steps=HOLD)), 20, "", id="its hold is not over"),
        pytest.param(step(wants(steps=HOLD), target={"reached_at": at(39)}), 50, "", id="its hold is over"),
        pytest.param(step(wants(paused=True)), 20, "Paused", id="a person paused it"),
        pytest.param(step(wants(steps=[{"weight": 20}, {"weight": 100, "approve": True}])), 20, "WaitingForApproval", id="the next step wants approval"),
        pytest.param(step(readings=split(None)), 20, "TelemetryUnknown", id="unknown holds"),
        pytest.param(step(readings=split(0.0, total=5)), 20, "TelemetryUnknown", id="too few events hold"),
        pytest.param(step(wants(unknownTelemetry="continue"), readings=split(None)), 50, "", id="unknown goes on where a person wrote so"),
        pytest.param(step(wants(slo=None), readings=split(None)), 50, "", id="without an SLO nothing is judged"),
        pytest.param(step(canary=canary(1, 1, ready=False), target=NOT_REACHED), 20, "", id="its pod is not ready yet"),
    ],
)  # fmt: skip
def test_a_step(seen: ReleaseFacts, weight: int, held: str) -> None:
    found = after(seen)
    assert found.target is not None and found.target.weight == weight
    assert said(found, "Held") == (("True", held) if held else ("False", said(found, "Held")[1]))


def test_the_step_is_reached_when_its_pods_are_ready_and_the_hold_counts_from_there() -> None:
    found = after(step(wants(steps=HOLD), target=NOT_REACHED)).target
    assert found is not None and found.reached_at == NOW and found.weight == 20


@pytest.mark.parametrize(
    ("seen", "reason", "blocked"),
    [
        pytest.param(step(readings=split(0.5)), "AnalysisFailed", True, id="surely worse than the objective"),
        pytest.param(step(target=NOT_REACHED, readings=split(0.5)), "AnalysisFailed", True, id="also while the step is being reached"),
        pytest.param(step(wants(steps=HOLD), readings=split(0.5)), "AnalysisFailed", True, id="also within the hold"),
        pytest.param(step(wants(paused=True), readings=split(0.5)), "AnalysisFailed", True, id="also when paused: safety still acts"),
        pytest.param(step(wants(unknownTelemetry="abort"), readings=split(None)), "TelemetryUnknown", False, id="unknown aborts where a person wrote so, and blocks nothing"),
        pytest.param(step(wants(steps=[{"weight": 100}])), "NewTarget", False, id="the steps became shorter than the one reached"),
    ],
)  # fmt: skip
def test_a_rejected_canary(seen: ReleaseFacts, reason: str, blocked: bool) -> None:
    status = after(seen)
    assert ends(seen) == ("Rejected", reason) and (status.revisions[1].blocked is not None) == blocked
    assert closes(seen) == {"c0"} and acts(seen, DeleteCanary) and not acts(seen, SetTemplate)
    assert status.weight.wanted == 0


def test_too_few_events_do_not_abort_even_where_unknown_does() -> None:
    assert ends(step(wants(unknownTelemetry="abort"), readings=split(0.0, total=5)))[0] == "Stepping"


BURNT = {"burn": incident().spec.signal.burn, "severity": "sev1"}


@pytest.mark.parametrize(
    ("phase", "detected", "state"),
    [
        pytest.param("Open", 80, ("Cancelled", "IncidentOpen"), id="an Incident opened in mid-canary: the canary ends"),
        pytest.param("Mitigating", 80, ("Cancelled", "IncidentOpen"), id="also when somebody is at it"),
        pytest.param("Mitigated", 80, ("Stepping", ""), id="not when the harm is over"),
        pytest.param("Resolved", 80, ("Stepping", ""), id="nor when it is resolved"),
        pytest.param("Open", 60, ("Stepping", ""), id="a target that is younger than the harm may be its fix"),
    ],
)
def test_an_incident(phase: str, detected: float, state: tuple[str, str]) -> None:
    burnt = incident("answers-1", {"phase": phase, "detectedAt": at(detected), **BURNT})
    assert ends(step(incidents=(burnt,))) == state


def test_an_incident_without_a_burn_ends_no_canary() -> None:
    assert ends(step(incidents=(incident("answers-1", {"phase": "Open", "detectedAt": at(80)}),)))[0] == "Stepping"


def test_a_weight_found_higher_does_not_advance() -> None:
    found = after(step(canary=canary(3, 3))).target
    assert found is not None and found.weight == 20


def test_a_step_that_more_live_pods_put_out_of_reach_is_rejected_without_a_block() -> None:
    seen = step(wants(canary={"maxCanaryReplicas": 4}), workload=workload(replicas=9))
    status = after(seen)
    assert ends(seen) == ("Rejected", "WeightUnreachable") and status.revisions[1].blocked is None
    assert closes(seen) == {"c0"}
