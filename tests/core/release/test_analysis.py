"""Is the canary good enough: eval cases, then the promotion."""

from typing import Any

import pytest

from opsloop.api.release import CaseResult, Target
from opsloop.core.actions import DeleteCanary, RunEvals, SetGates, SetTemplate
from opsloop.core.facts import EvalOutcome, ReleaseFacts
from tests.builders.objects import V1, V2, V3, V4, at, evalcase, incident, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    NOW,
    TEMPLATES,
    TRIED,
    acts,
    after,
    canary,
    closes,
    dark,
    decide,
    ends,
    facts,
    going,
    result,
    step,
    target,
    wants,
)


def evaluated(*results: CaseResult, of: str = V4, at_step: int = -1, **more: Any) -> ReleaseFacts:
    outcome = EvalOutcome(of, at_step, results)
    return dark(wants(evals={"port": 80}), canary=canary(1), cases=(evalcase(),), eval_outcome=outcome, **more)


@pytest.mark.parametrize(
    ("seen", "state"),
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
def test_evals(seen: ReleaseFacts, state: tuple[str, str]) -> None:
    assert ends(seen) == state


def test_a_failed_case_blocks_the_revision_for_the_incident_that_it_came_from() -> None:
    seen = evaluated(result(0))
    blocked = after(seen).revisions[1].blocked
    assert blocked is not None and (blocked.reason, blocked.incident) == ("EvalFailed", "answers-1")
    assert acts(seen, SetGates) == [] and acts(seen, DeleteCanary)


def test_evals_ask_canary_pods_by_address_and_live_pods_by_label() -> None:
    (asked,) = acts(dark(wants(evals={"port": 80, "repeats": 3}), canary=canary(1), cases=(evalcase(),)), RunEvals)
    assert (asked.canary_ips, asked.live_selector, asked.repeats, asked.step) == (
        ("10.0.0.0",),
        {"app": "answers"},
        3,
        -1,
    )


def test_each_step_is_evaluated_anew_and_once() -> None:
    item, outcome = wants(evals={"port": 80}), EvalOutcome(V4, 0, (result(1),))
    passed_dark = {"evals_step": -1}
    assert acts(step(item, target=passed_dark, cases=(evalcase(),)), RunEvals)
    seen = step(item, target=passed_dark, cases=(evalcase(),), eval_outcome=outcome)
    found = after(seen).target
    assert found is not None and (found.weight, found.evals_step) == (50, 0) and not acts(seen, RunEvals)


def promoting(image: str = "shop:v1", settled: bool = True, live: str = V1, **more: Any) -> ReleaseFacts:
    goal: Target = target("Promoting", evals=[result(1), result(0, must=False, case="odd")])
    seen = {"workload": workload(image, settled), "canary": canary(4, 4), **more}
    return facts(wants(), going(goal, ADOPTED, TRIED, live=live), **seen)


def test_weight_100_gives_the_deployment_the_template_and_leaves_the_canary_serving() -> None:
    seen = promoting()
    assert acts(seen, SetTemplate) == [SetTemplate("answers", V1, TEMPLATES[V4], V4)]
    assert closes(seen) == set() and not acts(seen, DeleteCanary)


def test_the_canary_serves_until_the_deployment_is_available() -> None:
    seen = promoting("shop:v4", settled=False)
    assert (ends(seen)[0], closes(seen), acts(seen, SetTemplate)) == ("Promoting", set(), []) and after(seen).live == V4


def test_then_it_is_promoted_and_the_canary_goes() -> None:
    seen = promoting("shop:v4", live=V4)
    status = after(seen)
    assert status.target is not None and (status.target.state, status.target.pods) == ("Promoted", 0)
    assert status.promotion is not None and (status.promotion.digest, status.promotion.at) == (V4, NOW)
    assert status.promotion.cases == ["answers-1-regression"], "only what ran and passed"
    assert closes(seen) == {"c0", "c1", "c2", "c3"} and acts(seen, DeleteCanary) and not acts(seen, SetTemplate)


def test_an_incident_does_not_stop_a_promotion_half_way_a_rollback_does() -> None:
    burn = incident().spec.signal.burn
    burnt = incident("answers-1", {"phase": "Open", "detectedAt": at(90), "burn": burn, "severity": "sev1"})
    assert ends(promoting(incidents=(burnt,)))[0] == "Promoting"


def test_a_canary_without_a_target_goes() -> None:
    seen = facts(wants("v1"), going(None, ADOPTED, templates={}), canary=canary(2, 1), templates={})
    assert closes(seen) == {"c0"} and acts(seen, DeleteCanary)


def test_status_shows_wanted_and_actual_share() -> None:
    weight = after(step(wants(paused=True))).weight
    assert (weight.wanted, weight.actual) == (20, 20)
    three = workload(replicas=3)
    few = after(
        step(wants(paused=True, steps=[{"weight": 10}, {"weight": 100}]), target={"weight": 10}, workload=three)
    )
    assert (few.weight.wanted, few.weight.actual) == (10, 25), "10 % of three pods is 25 %"


def test_nothing_is_stored_twice_while_it_waits() -> None:
    item = wants(paused=True)
    once = after(step(item))
    again = decide(facts(item.model_copy(update={"status": once}), canary=canary(1, 1)))
    assert again.status is None and BAD.digest == V2


def test_evals_of_the_dark_phase_are_kept_and_named_in_a_promotion_right_after_it() -> None:
    item = wants(evals={"port": 80}, steps=[{"weight": 100}])
    outcome = EvalOutcome(V4, -1, (result(1),))
    passed = after(dark(item, canary=canary(1), cases=(evalcase(),), eval_outcome=outcome)).target
    assert passed is not None and (passed.state, passed.evals, passed.evals_step) == ("Promoting", [result(1)], -1)
    promoted = after(facts(item, going(passed, live=V4), canary=canary(1), workload=workload("shop:v4"))).promotion
    assert promoted is not None and promoted.cases == ["answers-1-regression"]
