"""The EvalCase's decision: its proof in quarantined pods, and the copy of its last result."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opsloop.api.evalcase import EvalCaseStatus, ProofPair
from opsloop.api.release import Release
from opsloop.api.strategy import Evals
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.actions import ProbeQuarantine, StartQuarantine, StopQuarantine
from opsloop.core.decision import Decision
from opsloop.core.evalcase.decide import decide
from opsloop.core.facts import EvalCaseFacts, PodFacts
from tests.builders.evalcases import BAD, CASE, GOOD, T0, at, case, facts, pod, proven, release, template

BOTH = (pod(BAD, ip="10.0.0.1"), pod(GOOD, ip="10.0.0.2"))
AS_HOPED: Mapping[str, tuple[bool, str]] = {BAD: (False, "wanted X, got Y"), GOOD: (True, "")}


def after(decision: Decision, before: EvalCaseFacts, **changes: Any) -> EvalCaseFacts:
    """The next look: the stored status, and what changed in the world."""
    status = decision.status or before.case.status
    return replace(before, case=before.case.model_copy(update={"status": status}), **changes)


def status_of(decision: Decision) -> EvalCaseStatus:
    assert isinstance(decision.status, EvalCaseStatus)
    return decision.status


def running(now: datetime = T0, attempts: int = 1, **changes: Any) -> EvalCaseFacts:
    """A case whose proof was recorded at `now`."""
    status = EvalCaseStatus(
        observed_generation=1, proven="Unknown", reason="Proving", started_at=now, attempts=attempts
    )  # fmt: skip
    return settle(facts(case=case(status=status), **changes))


def settle(before: EvalCaseFacts) -> EvalCaseFacts:
    """With its condition written as the reconciler writes it."""
    status = before.case.status
    message = f"attempt {status.attempts} of 3: both revisions are asked in quarantined pods"
    put = conditions.put([], "Proven", "Unknown", status.reason, message, T0)
    put = conditions.put(put, "PassesOnLive", "Unknown", "NotAsked", "no version of its Release is live", T0)
    return replace(
        before, case=before.case.model_copy(update={"status": status.model_copy(update={"conditions": put})})
    )


def test_a_regression_case_is_recorded_and_then_asked_of_both_revisions() -> None:
    decision = decide(facts(), T0)
    status = status_of(decision)
    assert (status.started_at, status.attempts, status.reason) == (T0, 1, "Proving")
    assert decision.actions == (
        StartQuarantine(CASE, "answers", BAD, f"{CASE}-{BAD}-1", template("shop:v2")),
        StartQuarantine(CASE, "answers", GOOD, f"{CASE}-{GOOD}-1", template("shop:v1")),
    )


def test_dying_after_the_record_starts_the_same_two_pods() -> None:
    first = decide(facts(), T0)
    again = decide(after(first, facts()), at(5))
    assert again.actions == first.actions
    assert again.status is None


def test_a_pod_that_is_not_ready_is_waited_for() -> None:
    decision = decide(running(pods=(pod(BAD, ready=False), pod(GOOD, ip=""))), at(10))
    assert decision == Decision(look_again=timedelta(seconds=2))


def test_a_ready_pod_is_asked_what_the_case_says() -> None:
    before = running(pods=(pod(BAD, ip="10.0.0.1"), pod(GOOD, ready=False)))
    spec = before.case.spec
    assert decide(before, at(10)).actions == (
        ProbeQuarantine(CASE, BAD, "10.0.0.1", spec.request, spec.expect, "answers", pod=f"{CASE}-{BAD}-1"),
    )


def test_a_revision_that_has_answered_is_not_asked_again() -> None:
    before = running(pods=BOTH, outcomes={BAD: (False, "x")})
    assert [a.digest for a in decide(before, at(10)).actions if isinstance(a, ProbeQuarantine)] == [GOOD]


def test_a_pod_that_vanished_before_it_answered_is_started_again_under_its_name() -> None:
    decision = decide(running(pods=(pod(GOOD),), outcomes={GOOD: (True, "")}), at(10))
    assert [(a.digest, a.pod) for a in decision.actions if isinstance(a, StartQuarantine)] == [(BAD, f"{CASE}-{BAD}-1")]


def test_a_pod_that_vanished_after_it_answered_is_not_started_again() -> None:
    decision = decide(running(pods=(pod(GOOD),), outcomes={BAD: (False, "x")}), at(10))
    assert [type(a) for a in decision.actions] == [ProbeQuarantine]


def test_a_pod_on_its_way_out_is_not_asked() -> None:
    assert decide(running(pods=tuple(replace(p, deleting=True) for p in BOTH)), at(10)).actions == ()


@pytest.mark.parametrize(
    ("bad_passed", "good_passed", "truth", "reason"),
    [
        pytest.param(False, True, "True", "Proven", id="fails on bad and passes on good: proven"),
        pytest.param(True, True, "False", "PassesOnBad", id="passes on bad: it does not catch it"),
        pytest.param(False, False, "False", "FailsOnGood", id="fails on good: it would reject what is right"),
        pytest.param(True, False, "False", "Inverted", id="the wrong way round"),
    ],
)
def test_verdicts(bad_passed: bool, good_passed: bool, truth: str, reason: str) -> None:
    outcomes = {BAD: (bad_passed, "b"), GOOD: (good_passed, "g")}
    decision = decide(running(pods=BOTH, outcomes=outcomes), at(20))
    status = status_of(decision)
    assert (status.proven, status.reason) == (truth, reason)
    condition = conditions.get(status.conditions, "Proven")
    assert condition and (condition.status, condition.reason) == (truth, reason)
    assert status.bad and (status.bad.digest, status.bad.passed, status.bad.message) == (BAD, bad_passed, "b")
    assert status.good and (status.good.digest, status.good.passed, status.good.at) == (GOOD, good_passed, at(20))
    assert decision.actions == (StopQuarantine(CASE, (f"{CASE}-{GOOD}-1", f"{CASE}-{BAD}-1")),)
    assert [e.reason for e in decision.events] == ["Proven" if truth == "True" else "NotProven"]


def test_what_is_proven_stays_proven_and_nothing_is_written() -> None:
    before = running(pods=BOTH, outcomes=AS_HOPED)
    settled = after(decide(before, at(20)), before, pods=(), outcomes={})
    tidied = after(decide(settled, at(22)), settled)
    assert (tidied.case.status.proven, tidied.case.status.started_at) == ("True", None)
    assert decide(tidied, at(500)) == Decision()


def test_after_the_verdict_pods_are_stopped_until_they_are_gone() -> None:
    before = running(pods=BOTH, outcomes=AS_HOPED)
    settled = after(decide(before, at(20)), before)
    assert isinstance(decide(settled, at(21)).actions[0], StopQuarantine)
    leaving = replace(settled, pods=tuple(replace(p, deleting=True) for p in BOTH), outcomes={})
    assert decide(leaving, at(22)) == Decision(look_again=timedelta(seconds=2))


@pytest.mark.parametrize(
    ("pods", "seconds", "reason", "told"),
    [
        pytest.param((replace(BOTH[0], failing="ImagePullBackOff"), BOTH[1]), 5, "PodFailing", "ImagePullBackOff", id="an image is gone"),
        pytest.param((BOTH[0], replace(BOTH[1], failing="Error")), 5, "PodFailing", "Error", id="the good revision crashes"),
        pytest.param((BOTH[0], pod(GOOD, ready=False)), 120, "PodNotReady", f"{GOOD}-1", id="a pod was never ready"),
        pytest.param((BOTH[0],), 120, "PodNotReady", f"{GOOD}-1", id="a pod was never there"),
        pytest.param(BOTH, 120, "NoAnswer", f"{BAD}-1", id="pods were ready and silent"),
    ],
)  # fmt: skip
def test_no_proof_is_unknown_and_not_a_verdict(
    pods: tuple[PodFacts, ...], seconds: int, reason: str, told: str
) -> None:
    decision = decide(running(pods=pods), at(seconds))
    status = status_of(decision)
    assert (status.proven, status.reason) == ("Unknown", reason)
    condition = conditions.get(status.conditions, "Proven")
    assert condition and told in condition.message and "attempt 1 of 3" in condition.message
    assert isinstance(decision.actions[0], StopQuarantine)


def test_just_before_the_time_out_it_still_waits() -> None:
    decision = decide(running(pods=BOTH), at(119))
    assert decision.status is None
    assert decision.look_again == timedelta(seconds=1)


def test_a_failed_attempt_rests_and_then_the_next_one_starts_with_new_pods() -> None:
    failing = running(pods=(replace(BOTH[0], failing="Error"), BOTH[1]))
    resting = after(decide(failing, at(5)), failing, pods=())
    assert decide(resting, at(29)).actions == ()
    assert decide(resting, at(29)).look_again == timedelta(seconds=1)
    second = decide(resting, at(30))
    assert status_of(second).attempts == 2
    assert [a.pod for a in second.actions if isinstance(a, StartQuarantine)] == [f"{CASE}-{BAD}-2", f"{CASE}-{GOOD}-2"]


def test_after_three_attempts_it_stays_unknown() -> None:
    failing = running(attempts=3, pods=(pod(BAD, attempt=3, failing="Error"),))
    decision = decide(failing, at(5))
    assert decision.look_again is None
    assert decide(after(decision, failing, pods=()), at(5000)) == Decision()


@pytest.mark.parametrize(
    "left",
    [
        pytest.param({"pods": (pod(BAD, attempt=7),)}, id="a pod of an earlier attempt"),
        pytest.param({"pods": (pod(BAD, deleting=True),)}, id="a pod that is not gone yet"),
        pytest.param({"outcomes": AS_HOPED}, id="an answer to an earlier question"),
    ],
)
def test_no_attempt_starts_beside_leftovers(left: dict[str, Any]) -> None:
    decision = decide(facts(**left), T0)
    assert not [a for a in decision.actions if isinstance(a, StartQuarantine)]
    assert decision.look_again == timedelta(seconds=2)


def test_a_strangers_pod_beside_a_running_attempt_is_stopped_and_its_answers_stay() -> None:
    decision = decide(running(pods=(*BOTH, pod(BAD, attempt=9))), at(5))
    assert decision.actions[0] == StopQuarantine(CASE, (f"{CASE}-{BAD}-9",), forget=False)


def test_an_edited_case_is_proven_anew() -> None:
    edited = case(generation=2, status=proven(attempts=3, started_at=T0))
    cleaned = decide(facts(case=edited, outcomes=AS_HOPED), at(60))
    assert (status_of(cleaned).proven, status_of(cleaned).attempts) == ("Unknown", 0)
    assert cleaned.actions == (StopQuarantine(CASE, ()),)
    again = decide(after(cleaned, facts(case=edited)), at(62))
    assert status_of(again).attempts == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"release": None}, "ReleaseMissing", id="its Release is gone"),
        pytest.param({"templates": {GOOD: template()}}, "TemplateMissing", id="the bad template is not stored"),
        pytest.param({"templates": {BAD: template()}}, "TemplateMissing", id="the good template is not stored"),
        pytest.param({"case": case(proof=None)}, "NoProofPair", id="no pair is named"),
        pytest.param({"case": case(proof=ProofPair(bad=BAD, good=BAD))}, "NoProofPair", id="the pair is one revision"),
        pytest.param({"release": release(Evals(port=1, quarantine="never"))}, "QuarantineNever", id="pods of this service do things by running"),
        pytest.param({"service_selectors": ({"opsloop.dev/release": "answers"},)}, "QuarantineUnsafe", id="a Service would find the pod"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_unknown_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    before = facts(**changes, pods=BOTH)
    decision = decide(before, T0)
    assert (status_of(decision).proven, status_of(decision).reason) == ("Unknown", reason)
    assert [type(a) for a in decision.actions] == [StopQuarantine]
    assert decide(after(decision, before, pods=()), at(60)).status is None


def test_when_the_obstacle_is_gone_the_proof_begins() -> None:
    hindered = decide(facts(templates={}), T0)
    assert status_of(decide(after(hindered, facts(), pods=()), at(60))).reason == "Proving"


def without_evals() -> Release:
    known = release()
    return known.model_copy(update={"spec": known.spec.model_copy(update={"evals": None})})


ASKS = release(Evals(port=1))
APPROVED = "opsloop.dev/approve"


@pytest.mark.parametrize(
    ("of_release", "annotations", "reason"),
    [
        pytest.param(ASKS, {}, "AwaitsQuarantine", id="the default asks before a bad revision runs again"),
        pytest.param(ASKS, {APPROVED: BAD}, "Proving", id="a person approved the bad revision"),
        pytest.param(ASKS, {APPROVED: GOOD}, "AwaitsQuarantine", id="another revision was approved"),
        pytest.param(ASKS, {APPROVED: "true"}, "AwaitsQuarantine", id="an approval names what it approves"),
        pytest.param(without_evals(), {}, "AwaitsQuarantine", id="a Release without evals asks as well"),
        pytest.param(without_evals(), {APPROVED: BAD}, "Proving", id="evals are not needed for a quarantine"),
        pytest.param(release(Evals(port=1, quarantine="auto")), {}, "Proving", id="auto starts it at once"),
        pytest.param(release(Evals(port=1, quarantine="never")), {APPROVED: BAD}, "QuarantineNever", id="never is stronger than an approval"),
    ],
)  # fmt: skip
def test_a_bad_revision_runs_again_only_where_somebody_said_so(
    of_release: Release, annotations: dict[str, str], reason: str
) -> None:
    decision = decide(facts(release=of_release, case=case(annotations=annotations)), T0)
    assert status_of(decision).reason == reason
    assert bool(decision.actions) == (reason == "Proving")


def test_what_it_waits_for_is_said_with_the_annotation_to_set() -> None:
    proof = conditions.get(status_of(decide(facts(release=ASKS), T0)).conditions, "Proven")
    assert proof and proof.status == "Unknown" and f"opsloop.dev/approve={BAD}" in proof.message


def test_a_persons_case_needs_no_proof() -> None:
    decision = decide(facts(case=case(kind="manual")), T0)
    status = status_of(decision)
    assert (status.proven, status.reason) == ("NotNeeded", "NotNeeded")
    assert decision.actions == ()
    assert decide(after(decision, facts(case=case(kind="manual"))), at(9)) == Decision()


def test_a_case_that_is_being_deleted_starts_nothing_and_stops_its_pods() -> None:
    leaving = case()
    meta = leaving.metadata.model_copy(update={"deletion_timestamp": T0})
    decision = decide(facts(case=leaving.model_copy(update={"metadata": meta}), pods=BOTH), T0)
    assert [type(a) for a in decision.actions] == [StopQuarantine]


def rolled_out(passed: int, runs: int, started: float = 0, version: str = "v3") -> Any:
    said = CaseResult(case=CASE, canary_passed=passed, canary_runs=runs, live_passed=1, live_runs=1, message="m")
    target = Target(digest=BAD, version=version, state="Dark", started_at=at(started), evals=[said])
    return release(target=target)


@pytest.mark.parametrize(
    ("passed", "runs", "result"),
    [
        pytest.param(3, 3, "Passed", id="each run passed"),
        pytest.param(2, 3, "Failed", id="one run failed"),
        pytest.param(0, 0, "", id="no run was answered, which is no result"),
    ],
)
def test_the_last_rollouts_result_is_copied(passed: int, runs: int, result: str) -> None:
    before = facts(case=case(status=proven()), release=rolled_out(passed, runs))
    status = status_of(decide(before, at(9)))
    assert status.result == result
    assert (status.last_result is not None) == bool(result)


def test_the_same_result_is_not_written_again_and_a_new_rollouts_is() -> None:
    before = facts(case=case(status=proven()), release=rolled_out(3, 3))
    copied = after(decide(before, at(9)), before)
    assert decide(copied, at(99)).status is None
    later = status_of(decide(replace(copied, release=rolled_out(3, 3, started=50)), at(99)))
    assert later.last_result and later.last_result.at == at(99)
