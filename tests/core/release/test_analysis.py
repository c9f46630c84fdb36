"""Analysis of a canary: its SLI against live, and its eval cases."""

from typing import Any

import pytest

from opsloop.api.release import CaseResult
from opsloop.core.actions import DeleteCanary, RunEvals, SetGates, SetTemplate
from opsloop.core.facts import EvalOutcome, ReleaseFacts
from tests.builders.objects import V3, V4, evalcase, workload
from tests.builders.rollouts import (
    HOLD,
    NOT_REACHED,
    actions_of,
    canary,
    dark,
    end_of,
    facts,
    gates_closed,
    readings_by_version,
    release_asking,
    result,
    status_after,
    status_with,
    step,
)


@pytest.mark.parametrize(
    ("situation", "reason", "blocked"),
    [
        pytest.param(step(readings=readings_by_version(0.5)), "AnalysisFailed", True, id="surely worse than the objective"),
        pytest.param(step(target=NOT_REACHED, readings=readings_by_version(0.5)), "AnalysisFailed", True, id="also while the step is being reached"),
        pytest.param(step(release_asking(steps=HOLD), readings=readings_by_version(0.5)), "AnalysisFailed", True, id="also within the hold"),
        pytest.param(step(release_asking(paused=True), readings=readings_by_version(0.5)), "AnalysisFailed", True, id="also when paused: safety still acts"),
        pytest.param(step(release_asking(unknownTelemetry="abort"), readings=readings_by_version(None)), "TelemetryUnknown", False, id="unknown aborts where a person wrote so, and blocks nothing"),
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


def test_too_few_events_do_not_abort_even_where_unknown_does() -> None:
    assert (
        end_of(step(release_asking(unknownTelemetry="abort"), readings=readings_by_version(0.0, total=5)))[0]
        == "Stepping"
    )


def evaluated(*results: CaseResult, of: str = V4, at_step: int = -1, **more: Any) -> ReleaseFacts:
    outcome = EvalOutcome(of, at_step, results)
    return dark(release_asking(evals={"port": 80}), canary=canary(1), cases=(evalcase(),), eval_outcome=outcome, **more)


@pytest.mark.parametrize(
    ("situation", "state"),
    [
        pytest.param(evaluated(result(1)), ("Stepping", ""), id="passed: on to the first step"),
        pytest.param(evaluated(result(0)), ("Rejected", "EvalFailed"), id="failed: rejected while it serves nobody"),
        pytest.param(evaluated(result(0, must=False)), ("Rejected", "EvalFailed"), id="worse than live: rejected"),
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
