"""Analysis of a canary: its SLI against live, and its eval cases."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.api.target import CaseResult
from opsloop.core.actions import DeleteCanary, RunEvals, SetGates, SetTemplate
from opsloop.core.facts import EvalOutcome, ReleaseFacts
from opsloop.core.readings import Unknown
from tests.builders.objects import V3, V4, at, evalcase, readings, verdict, workload
from tests.builders.rollouts import (
    HOLD,
    NOT_REACHED,
    NOW,
    actions_of,
    analysed,
    canary,
    canary_reading,
    condition_of,
    dark,
    decide,
    end_of,
    facts,
    gates_closed,
    release_asking,
    result,
    status_after,
    status_with,
    step,
)


@pytest.mark.parametrize(
    ("situation", "reason", "blocked"),
    [
        pytest.param(step(readings=analysed(0.5)), "AnalysisFailed", True, id="surely worse than the objective"),
        pytest.param(step(target=NOT_REACHED, readings=analysed(0.5)), "AnalysisFailed", True, id="also while the step is being reached"),
        pytest.param(step(release_asking(steps=HOLD), readings=analysed(0.5)), "AnalysisFailed", True, id="also within the hold"),
        pytest.param(step(release_asking(paused=True), readings=analysed(0.5)), "AnalysisFailed", True, id="also when paused: safety still acts"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=analysed(None)), "TelemetryUnknown", False, id="unknown aborts where a person wrote so, and blocks nothing"),
        pytest.param(step(release_asking(steps=[{"weight": 100}])), "NewTarget", False, id="the steps became shorter than the one reached"),
    ],
)  # fmt: skip
def test_a_rejected_canary(situation: ReleaseFacts, reason: str, blocked: bool) -> None:
    status = status_after(situation)
    assert end_of(situation) == ("Rejected", reason) and (status.revisions[1].blocked is not None) == blocked
    assert (
        gates_closed(situation) == {"c0"}
        and actions_of(situation, DeleteCanary)
        and not actions_of(situation, SetTemplate)
    )
    assert status.weight.wanted == 0


REFUSED = Unknown("TelemetryUnreachable", "refused")
MINUTE = {"patience": "1m"}


def inconclusive(policy: str = "hold", **analysis: Any) -> Release:
    return release_asking(canary={"analysis": {"minEvents": 10, "inconclusive": policy, **analysis}})


@pytest.mark.parametrize(
    ("situation", "held"),
    [
        pytest.param(step(readings=analysed(0.0, total=20)), "TooFewEvents", id="20 events rule nothing out: a matter of time"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=analysed(0.0, total=20)), "TooFewEvents", id="also where unknown telemetry aborts"),
        pytest.param(step(release_asking(unknownTelemetry="continue"), readings=analysed(0.0, total=20)), "TooFewEvents", id="and where it goes on: nothing is unknown here"),
        pytest.param(step(inconclusive(**MINUTE), readings=analysed(0.0, total=5)), "TooLittleTraffic", id="at this rate hold and patience do not suffice"),
        pytest.param(step(inconclusive(**MINUTE), readings=analysed(0.0, total=5), target={"reached_at": at(39)}), "AnalysisInconclusive", id="its patience is spent"),
        pytest.param(step(inconclusive("promote", **MINUTE), readings=analysed(0.3, 0.3), target={"reached_at": at(39)}), "AnalysisInconclusive", id="promote passes nobody who errs that much, even as live does"),
        pytest.param(step(readings=analysed(0.3, 0.3)), "LiveUnhealthy", id="live suffers alike"),
        pytest.param(step(readings=analysed(0.0, until=at(69))), "TelemetryUnknown", id="evidence that is older than three intervals"),
        pytest.param(step(readings=analysed(0.0, until=at(71))), "", id="evidence that is just not"),
        pytest.param(step(readings=replace(analysed(0.0), verdict=verdict(None))), "TelemetryUnknown", id="the whole service's SLI is not known now"),
        pytest.param(step(readings=analysed(0.0, since=at(40))), "TelemetryUnknown", id="evidence of an earlier attempt"),
        pytest.param(step(readings=analysed(0.9, since=at(40))), "TelemetryUnknown", id="which rejects nobody either"),
        pytest.param(step(readings=analysed(0.0, failure=REFUSED)), "TelemetryUnknown", id="the last read failed"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=analysed(0.0, failure=REFUSED)), "TelemetryUnknown", id="one failed read aborts nobody"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=readings(0.0, NOW)), "TelemetryUnknown", id="nor does a canary that is about to be read"),
        pytest.param(step(release_asking(unknownTelemetry="continue"), readings=analysed(0.0, failure=REFUSED)), "", id="a failed read goes on where a person wrote so"),
    ],
)  # fmt: skip
def test_a_canary_that_is_not_good_enough_to_go_on(situation: ReleaseFacts, held: str) -> None:
    status = status_after(situation)
    assert status.target is not None and status.target.state == "Stepping"
    if held:
        assert (condition_of(status, "Held"), status.target.weight) == (("True", held), 20)
    else:
        assert status.target.weight == 50


@pytest.mark.parametrize(
    ("situation", "end"),
    [
        pytest.param(step(inconclusive("abort", **MINUTE), readings=analysed(0.0, total=5), target={"reached_at": at(39)}), ("Rejected", "AnalysisInconclusive"), id="abort, when its patience is spent"),
        pytest.param(step(inconclusive("abort", **MINUTE), readings=analysed(0.0, total=5), target={"reached_at": at(41)}), ("Stepping", ""), id="not before"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=analysed(0.0, until=at(69))), ("Rejected", "TelemetryUnknown"), id="old evidence aborts where unknown telemetry does"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=readings(0.0, NOW), target={"traffic": [at(39)]}), ("Rejected", "TelemetryUnknown"), id="so does none at all, after a minute"),
    ],
)  # fmt: skip
def test_a_canary_that_nobody_can_judge(situation: ReleaseFacts, end: tuple[str, str]) -> None:
    status = status_after(situation)
    assert end_of(situation) == end
    assert status.revisions[1].blocked is None


def test_promote_goes_on_with_too_few_events_when_patience_is_spent() -> None:
    situation = step(inconclusive("promote", **MINUTE), readings=analysed(0.0, total=5), target={"reached_at": at(39)})
    goal = status_after(situation).target
    assert goal is not None and goal.weight == 50
    assert goal.message == ("canary 0.00% bad of 5 events, live 0.00% of 20; no fault could have been seen yet")


def test_a_step_says_why_its_counts_are_approximate_and_so_does_the_condition() -> None:
    reading = replace(canary_reading(0.0), approximate="spec.slo.sli.total is no sum")
    status = status_after(step(readings=replace(analysed(0.0), canary=reading)))
    assert status.target is not None
    assert status.target.message.endswith("; approximate, in windows of 10 s: spec.slo.sli.total is no sum")
    assert condition_of(status, "TelemetryKnown") == ("True", "Approximate")


def test_a_step_says_what_was_seen_and_what_could_not_have_been() -> None:
    situation = step()
    goal, events = status_after(situation).target, decide(situation).events
    assert goal is not None and "would have been caught with 80 %" in goal.message
    assert [e.reason for e in events] == ["Weight50"] and goal.message in events[0].message


def test_each_step_is_dated_and_counting_starts_at_the_first() -> None:
    first = status_after(dark(canary=canary(1))).target
    assert first is not None and (first.traffic, first.traffic_since) == ([NOW], NOW)
    second = status_after(step()).target
    assert second is not None and (second.traffic, second.traffic_since) == ([at(50), NOW], at(50))


def test_an_event_says_once_that_patience_is_spent() -> None:
    situation = step(inconclusive(**MINUTE), readings=analysed(0.0, total=5), target={"reached_at": at(39)})
    (event,) = decide(situation).events
    assert (event.reason, event.type) == ("Held", "Warning") and event.message.startswith("v4: AnalysisInconclusive, ")
    again = situation.release.model_copy(update={"status": status_after(situation)})
    assert decide(replace(situation, release=again)).events == ()


@pytest.mark.parametrize(
    ("objective", "patience", "said"),
    [
        pytest.param(0.99, "1h", False, id="17 requests/s give enough events in seconds"),
        pytest.param(0.9999, "5m", True, id="a tight objective needs thousands: more than hold and patience"),
        pytest.param(0.9999, "10h", False, id="unless there is more patience"),
    ],
)
def test_too_little_traffic_is_said_when_the_target_is_taken(objective: float, patience: str, said: bool) -> None:
    slo = {"objective": objective, "sli": {"good": "g[{{window}}]", "total": "t[{{window}}]"}}
    item = release_asking(canary={"analysis": {"patience": patience}}, slo=slo)
    situation = facts(item, status_with())
    goal, reasons = status_after(situation).target, [e.reason for e in decide(situation).events]
    assert goal is not None and goal.state == "Dark"
    assert (goal.message != "", "TooLittleTraffic" in reasons) == (said, said)
    if said:
        assert goal.message == (
            "at 17 requests/s, 20% of them for the canary, enough events take 10m, more than hold and patience of its"
            " first step; after that: hold"
        )


def evaluated(*results: CaseResult, of: str = V4, at_step: int = -1, **more: Any) -> ReleaseFacts:
    outcome = EvalOutcome(of, at_step, results)
    return dark(release_asking(evals={"port": 80}), canary=canary(1), cases=(evalcase(),), eval_outcome=outcome, **more)


@pytest.mark.parametrize(
    ("situation", "state"),
    [
        pytest.param(evaluated(result(1)), ("Stepping", ""), id="passed: on to the first step"),
        pytest.param(evaluated(result(0)), ("Rejected", "EvalFailed"), id="failed: rejected while it serves nobody"),
        pytest.param(evaluated(result(0, runs=5, must=False)), ("Rejected", "EvalFailed"), id="worse than live, which is no chance: rejected"),
        pytest.param(evaluated(result(0, must=False)), ("Dark", ""), id="worse than live once, which may be chance: held"),
        pytest.param(evaluated(result(0, must=False, live=0)), ("Stepping", ""), id="as wrong as live, and it need not pass: no reason to stop"),
        pytest.param(evaluated(), ("Dark", ""), id="zero cases run is never a pass"),
        pytest.param(evaluated(result(0, runs=0)), ("Dark", ""), id="no answer is no pass"),
        pytest.param(evaluated(result(1), of=V3), ("Dark", ""), id="what another revision did says nothing"),
        pytest.param(evaluated(result(1), at_step=0), ("Dark", ""), id="nor what it did at another step"),
    ],
)  # fmt: skip
def test_evals_before_the_first_step(situation: ReleaseFacts, state: tuple[str, str]) -> None:
    assert end_of(situation) == state


def test_a_failed_case_blocks_the_revision_for_its_incident() -> None:
    situation = evaluated(result(0))
    blocked = status_after(situation).revisions[1].blocked
    assert blocked is not None and (blocked.reason, blocked.incident) == ("EvalFailed", "answers-1")
    assert actions_of(situation, SetGates) == [] and actions_of(situation, DeleteCanary)


def test_evals_ask_canary_pods_by_address_and_live_pods_by_label() -> None:
    (run,) = actions_of(
        dark(release_asking(evals={"port": 80, "repeats": 3}), canary=canary(1), cases=(evalcase(),)), RunEvals
    )
    assert (run.canary_ips, run.live_selector, run.repeats, run.step) == (
        ("10.0.0.0",),
        {"app": "answers"},
        3,
        -1,
    )


def test_each_step_is_evaluated_anew_and_once() -> None:
    item, outcome = release_asking(evals={"port": 80}), EvalOutcome(V4, 0, (result(1),))
    passed_dark = {"evals_step": -1}
    assert actions_of(step(item, target=passed_dark, cases=(evalcase(),)), RunEvals)
    situation = step(item, target=passed_dark, cases=(evalcase(),), eval_outcome=outcome)
    new_target = status_after(situation).target
    assert (
        new_target is not None
        and (new_target.weight, new_target.evals_step) == (50, 0)
        and not actions_of(situation, RunEvals)
    )


def test_a_promotion_right_after_the_dark_phase_names_its_evals() -> None:
    item = release_asking(evals={"port": 80}, steps=[{"weight": 100}])
    outcome = EvalOutcome(V4, -1, (result(1),))
    passed = status_after(dark(item, canary=canary(1), cases=(evalcase(),), eval_outcome=outcome)).target
    assert passed is not None and (passed.state, passed.evals, passed.evals_step) == ("Promoting", [result(1)], -1)
    promoted = status_after(
        facts(item, status_with(passed, live=V4), canary=canary(1), workload=workload("shop:v4"))
    ).promotion
    assert promoted is not None and promoted.cases == ["answers-1-regression"]
