"""The canary: dark first, then step by step, then promotion."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.target import Target
from opsloop.core.actions import DeleteCanary, EnsureCanary, SetTemplate
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import Harm, Readings, SideBySide
from opsloop.core.statistics.evidence import Interval as PairCounts
from tests.builders.objects import V1, V2, V4, at, evalcase, incident, readings, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    FIFTY,
    HOLD,
    NOT_REACHED,
    NOW,
    TEMPLATES,
    TRIED,
    actions_of,
    analysed,
    canary,
    condition_of,
    dark,
    decide,
    end_of,
    facts,
    gates_closed,
    gates_opened,
    incident_with_rollback,
    release_asking,
    result,
    revision,
    status_after,
    status_with,
    step,
    target,
)


@pytest.mark.parametrize(
    ("situation", "held"),
    [
        pytest.param(dark(canary=canary(0)), "WaitingForPods", id="its pods are starting"),
        pytest.param(dark(canary=canary(1, containers_ready=False)), "WaitingForPods", id="its containers are not ready"),
        pytest.param(dark(canary=canary(1, deleting=True)), "WaitingForPods", id="its pod is going"),
        pytest.param(dark(release_asking(paused=True), canary=canary(1)), "Paused", id="a person paused it"),
        pytest.param(dark(release_asking(steps=[{"weight": 20, "approve": True}, {"weight": 100}]), canary=canary(1)), "WaitingForApproval", id="its first step wants approval"),
        pytest.param(dark(release_asking(evals={"port": 80}), canary=canary(1)), "EvalsInconclusive", id="there is no eval case: never a pass"),
        pytest.param(dark(release_asking(evals={"port": 80}), canary=canary(1), cases=(evalcase(proven="Unknown"),)), "EvalsInconclusive", id="an unproven case is none"),
        pytest.param(dark(release_asking(evals={"port": 80}), canary=canary(1), cases=(evalcase(),)), "WaitingForEvals", id="its eval cases run"),
    ],
)  # fmt: skip
def test_it_stays_dark_while(situation: ReleaseFacts, held: str) -> None:
    status = status_after(situation)
    assert (end_of(situation)[0], condition_of(status, "Held"), status.phase) == ("Dark", ("True", held), "Held")
    assert gates_opened(situation) == set()


def test_the_first_step_is_only_stored_when_decided() -> None:
    situation = dark(canary=canary(1))
    new_target = status_after(situation).target
    assert new_target is not None and (new_target.state, new_target.weight, new_target.pods, new_target.step) == (
        "Stepping",
        20,
        1,
        0,
    )
    assert gates_opened(situation) == set(), "gates open on the next look, up to what is stored by then"


def test_at_no_replicas_there_is_no_traffic_to_share_and_the_version_is_set_after_its_dark_pod() -> None:
    asleep = workload(replicas=0)
    assert end_of(dark(workload=asleep)) == ("Dark", "") and len(actions_of(dark(workload=asleep), EnsureCanary)) == 1
    new = status_after(dark(workload=asleep, canary=canary(1))).target
    assert new is not None and (new.state, new.weight, new.step) == ("Promoting", 100, 2)


def test_live_that_is_scaled_to_0_in_mid_canary_takes_the_canary_with_it() -> None:
    asleep = step(workload=workload(replicas=0), canary=canary(1, 1))
    assert gates_closed(asleep) == {"c0"}
    after = status_after(asleep)
    assert after.target is not None and (after.target.state, after.target.pods) == ("Stepping", 0)
    told = replace(asleep, canary=canary(1), release=asleep.release.model_copy(update={"status": after}))
    assert condition_of(status_after(told), "Held") == ("True", "LiveAtZero")
    assert len(actions_of(told, DeleteCanary)) == 1, "recorded first; whoever stopped the service stopped all of it"
    back = replace(told, workload=workload(), canary=None)
    assert condition_of(status_after(back), "Held") != ("True", "LiveAtZero"), "it goes on"


@pytest.mark.parametrize(
    ("limit", "state"),
    [
        pytest.param(1, ("Refused", "WeightUnreachable"), id="a later step needs more pods than allowed: refused before it starts"),
        pytest.param(4, ("Dark", ""), id="all steps can be reached"),
    ],
)  # fmt: skip
def test_weights_that_pods_cannot_reach(limit: int, state: tuple[str, str]) -> None:
    item = release_asking(canary={"maxCanaryReplicas": limit})
    assert end_of(dark(item)) == state
    assert end_of(facts(item, status_with(target("Refused", reason="WeightUnreachable")))) == state, "and once only"


@pytest.mark.parametrize(
    ("situation", "weight", "held"),
    [
        pytest.param(step(), 50, "", id="reached, known and good: on to the next step"),
        pytest.param(step(target=FIFTY, canary=canary(4, 4)), 100, "", id="the last step is the promotion"),
        pytest.param(step(release_asking(steps=HOLD)), 20, "", id="its hold is not over"),
        pytest.param(step(release_asking(steps=HOLD), target={"reached_at": at(39)}), 50, "", id="its hold is over"),
        pytest.param(step(release_asking(paused=True)), 20, "Paused", id="a person paused it"),
        pytest.param(step(release_asking(steps=[{"weight": 20}, {"weight": 100, "approve": True}])), 20, "WaitingForApproval", id="the next step wants approval"),
        pytest.param(step(readings=analysed(None)), 20, "TelemetryUnknown", id="unknown holds"),
        pytest.param(step(readings=analysed(0.0, total=5)), 20, "TooFewEvents", id="too few events hold"),
        pytest.param(step(release_asking(unknownTelemetry="continue"), readings=analysed(None)), 50, "", id="unknown goes on where a person wrote so"),
        pytest.param(step(release_asking(slo=None), readings=analysed(None)), 50, "", id="without an SLO nothing is judged"),
        pytest.param(step(canary=canary(1, 1, ready=False), target=NOT_REACHED), 20, "", id="its pod is not ready yet"),
    ],
)  # fmt: skip
def test_a_step(situation: ReleaseFacts, weight: int, held: str) -> None:
    status = status_after(situation)
    assert status.target is not None and status.target.weight == weight
    assert condition_of(status, "Held") == (("True", held) if held else ("False", condition_of(status, "Held")[1]))


def test_a_hold_counts_from_the_look_at_which_all_pods_serve() -> None:
    new_target = status_after(step(release_asking(steps=HOLD), target=NOT_REACHED)).target
    assert new_target is not None and new_target.reached_at == NOW and new_target.weight == 20


def test_a_step_that_scaling_put_out_of_reach_is_rejected_without_block() -> None:
    item, two = release_asking(canary={"maxCanaryReplicas": 4}), {"pods": 2, "served": 2}
    situation = step(item, workload=workload(replicas=9), target=two, canary=canary(2, 2))
    status = status_after(situation)
    assert end_of(situation) == ("Rejected", "WeightUnreachable") and status.revisions[1].blocked is None
    assert gates_closed(situation) == {"c0", "c1"}


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
    assert end_of(step(incidents=(burnt,))) == state


def beside_live(canary_bad: float, live_bad: float, own: str = V4, intervals: int = 3) -> Readings:
    """The service burns; canary and live served 100 and 400 events in each interval since the harm began."""
    pairs = tuple(PairCounts(n, n + 1, canary_bad, 100, live_bad, 400) for n in range(intervals))
    return replace(readings(0.2, NOW), harm=Harm((), SideBySide(own, V1, pairs)))


@pytest.mark.parametrize(
    ("seen", "restarts", "reason"),
    [
        pytest.param(beside_live(20, 80), 0, "NotTheCanary", id="live errs alike: it may start again by itself"),
        pytest.param(beside_live(0, 80), 0, "NotTheCanary", id="only live errs"),
        pytest.param(beside_live(20, 80), 1, "IncidentOpen", id="it has started again once before: what both suffer may be its doing"),
        pytest.param(beside_live(20, 1), 0, "IncidentOpen", id="it alone errs"),
        pytest.param(beside_live(1, 4, intervals=1), 0, "IncidentOpen", id="too few events to tell"),
        pytest.param(beside_live(20, 80, own=V2), 0, "IncidentOpen", id="another revision was counted"),
        pytest.param(readings(0.2, NOW), 0, "IncidentOpen", id="nothing was counted side by side"),
    ],
)  # fmt: skip
def test_harm_that_live_has_as_well(seen: Readings, restarts: int, reason: str) -> None:
    burnt = incident("answers-1", {"phase": "Open", "detectedAt": at(80), **BURNT})
    assert end_of(step(incidents=(burnt,), readings=seen, target={"restarts": restarts})) == ("Cancelled", reason)


@pytest.mark.parametrize(
    ("before", "restarts", "phase", "seen", "reason"),
    [
        pytest.param("IncidentOpen", 0, "Open", beside_live(20, 80), "NotTheCanary", id="what was counted meanwhile clears it"),
        pytest.param("IncidentOpen", 1, "Open", beside_live(20, 80), "IncidentOpen", id="not one that has started again before"),
        pytest.param("NotTheCanary", 0, "Open", beside_live(20, 1), "IncidentOpen", id="what was counted meanwhile blames it"),
        pytest.param("NotTheCanary", 0, "Open", beside_live(1, 4, intervals=1), "NotTheCanary", id="too little says nothing else"),
        pytest.param("NotTheCanary", 0, "Open", readings(0.2, NOW), "NotTheCanary", id="nor does nothing"),
        pytest.param("IncidentOpen", 0, "Resolved", beside_live(20, 80), "IncidentOpen", id="when the harm is over it is too late"),
        pytest.param("LiveChanged", 0, "Open", beside_live(20, 80), "LiveChanged", id="it ended for another reason"),
    ],
)  # fmt: skip
def test_a_cancelled_canary_is_judged_until_the_harm_is_over(
    before: str, restarts: int, phase: str, seen: Readings, reason: str
) -> None:
    over = target("Cancelled", reason=before, ended_at=at(90), restarts=restarts)
    burnt = incident("answers-1", {"phase": phase, "detectedAt": at(80), **BURNT})
    assert end_of(facts(status=status_with(over), incidents=(burnt,), readings=seen)) == ("Cancelled", reason)


def test_an_incident_without_a_burn_ends_no_canary() -> None:
    assert end_of(step(incidents=(incident("answers-1", {"phase": "Open", "detectedAt": at(80)}),)))[0] == "Stepping"


def promoting(image: str = "shop:v1", settled: bool = True, live: str = V1, **more: Any) -> ReleaseFacts:
    goal: Target = target("Promoting", evals=[result(1), result(0, must=False, case="odd")])
    situation = {"workload": workload(image, settled), "canary": canary(4, 4), **more}
    return facts(release_asking(), status_with(goal, ADOPTED, TRIED, live=live), **situation)


def test_weight_100_writes_the_template_while_the_canary_serves() -> None:
    situation = promoting()
    assert actions_of(situation, SetTemplate) == [SetTemplate("answers", V1, TEMPLATES[V4], V4)]
    assert gates_closed(situation) == set() and not actions_of(situation, DeleteCanary)


def test_the_canary_serves_until_the_deployment_is_available() -> None:
    situation = promoting("shop:v4", settled=False)
    assert (end_of(situation)[0], gates_closed(situation), actions_of(situation, SetTemplate)) == (
        "Promoting",
        set(),
        [],
    ) and status_after(situation).live == V4


def test_an_available_deployment_ends_the_promotion_and_the_canary() -> None:
    situation = promoting("shop:v4", live=V4)
    status = status_after(situation)
    assert status.target is not None and (status.target.state, status.target.pods) == ("Promoted", 0)
    assert status.promotion is not None and (status.promotion.digest, status.promotion.at) == (V4, NOW)
    assert status.promotion.cases == ["answers-1-regression"], "only what ran and passed"
    assert gates_closed(situation) == {"c0", "c1", "c2", "c3"} and not actions_of(situation, SetTemplate)


@pytest.mark.parametrize(
    ("state", "ago", "pods", "closed", "deleted"),
    [
        pytest.param("Promoted", 0.0, canary(4, 4), 4, False, id="promoted: gates close, and its pods wait for endpoints to spread"),
        pytest.param("Promoted", 4.0, canary(4, 0), 0, False, id="they still wait"),
        pytest.param("Promoted", 5.0, canary(4, 0), 0, True, id="then they end"),
        pytest.param("Promoted", 5.0, canary(4, 4), 4, True, id="also where no gate could be closed"),
        pytest.param("Promoted", 0.0, canary(0, 0), 0, True, id="nobody sends to a canary without pods"),
        pytest.param("Rejected", 0.0, canary(4, 4), 4, True, id="rejected: it ends at once, as kept-alive connections end with its pods only"),
    ],
)  # fmt: skip
def test_pods_of_a_promoted_canary_leave_the_endpoints_before_they_end(
    state: str, ago: float, pods: Any, closed: int, deleted: bool
) -> None:
    goal = target(state, ended_at=NOW - timedelta(seconds=ago))
    status = status_with(goal, ADOPTED, TRIED, live=V4 if state == "Promoted" else V1)
    image = "shop:v4" if state == "Promoted" else "shop:v1"
    situation = facts(release_asking(), status, workload=workload(image), canary=pods)
    assert (len(gates_closed(situation)), bool(actions_of(situation, DeleteCanary))) == (closed, deleted)


def test_a_promoted_canary_that_is_rolled_back_meanwhile_ends_at_once() -> None:
    known = (ADOPTED, revision("v4", "Canaried", live_since=at(60)))
    status = status_with(target("Promoted", ended_at=NOW - timedelta(seconds=1)), *known, live=V4)
    decided = incident_with_rollback(from_=V4)
    situation = facts(release_asking(), status, workload=workload("shop:v4"), canary=canary(4, 4), incidents=(decided,))
    assert actions_of(situation, DeleteCanary) and len(gates_closed(situation)) == 4


def test_an_incident_does_not_stop_a_promotion() -> None:
    burn = incident().spec.signal.burn
    burnt = incident("answers-1", {"phase": "Open", "detectedAt": at(90), "burn": burn, "severity": "sev1"})
    assert end_of(promoting(incidents=(burnt,)))[0] == "Promoting"


def test_nothing_is_stored_twice_while_it_waits() -> None:
    item = release_asking(paused=True)
    once = status_after(step(item))
    again = decide(facts(item.model_copy(update={"status": once}), canary=canary(1, 1)))
    assert again.status is None and BAD.digest == V2
