"""What a case says of the live version: when it is asked, what is stored, and when it is asked again."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from opsloop.api.evalcase import EvalCaseStatus
from opsloop.api.release import Release
from opsloop.api.strategy import Evals
from opsloop.core import conditions
from opsloop.core.actions import AskAgain, AskLive, ForgetLive
from opsloop.core.decision import Decision
from opsloop.core.evalcase.decide import decide
from opsloop.core.evalcase.expectation import Answer
from opsloop.core.evalcase.live import claim, outcome
from opsloop.core.facts import EvalCaseFacts
from opsloop.core.stop import Stop
from tests.builders.evalcases import BAD, GOOD, T0, at, case, facts, release, revision

NAME = "refund"
RIGHT, WRONG, SILENT = (
    Answer("passed"),
    Answer("failed", "wanted A, got B"),
    Answer("no_answer", "no answer (Unreachable): x", "Unreachable"),
)
SELECTOR = {"app": "answers"}


def live(digest: str, version: str, rolled_out: bool = True) -> Release:
    said = conditions.put([], "RolledOut", conditions.truth(rolled_out), "RollingOut", "2 of 4 pods run it", T0)
    asked_once = Evals(port=8080, steady_repeats=0)
    return release(asked_once, live=digest, revisions=[revision(digest, 1, version)], conditions=said)


def asked(*answers: Answer, digest: str = GOOD, **changes: Any) -> EvalCaseFacts:
    """A manual case of a Release that is live, and what live pods answered to it, if they were asked."""
    one = case(
        NAME,
        kind="manual",
        **{k: changes.pop(k) for k in ("min_share", "repeats", "status", "generation") if k in changes},
    )
    found = outcome(claim(one, digest), answers) if answers else None
    known = {"release": live(GOOD, "v1"), "live_selector": SELECTOR, "live_outcome": found}
    return facts(case=one, **{**known, **changes})


def told(decision: Decision) -> tuple[str, str, str]:
    assert isinstance(decision.status, EvalCaseStatus)
    found = conditions.get(decision.status.conditions, "PassesOnLive")
    assert found is not None
    return found.status, found.reason, found.message


def after(decision: Decision, before: EvalCaseFacts, **changes: Any) -> EvalCaseFacts:
    """The next look: the status is stored, the answers are forgotten."""
    status = decision.status or before.case.status
    return replace(before, case=before.case.model_copy(update={"status": status}), live_outcome=None, **changes)


def test_a_revision_on_which_it_failed_is_kept_when_another_one_is_live() -> None:
    """What a regression case may be made from, after the rollback."""
    before = asked(WRONG, WRONG, digest=BAD, release=live(BAD, "v2"))
    failed = decide(before, at(10))
    assert isinstance(failed.status, EvalCaseStatus)
    (kept,) = failed.status.failed_on
    assert (kept.digest, kept.version, kept.at) == (BAD, "v2", at(10)) and "wanted A, got B" in kept.message
    found = outcome(claim(before.case, GOOD), [RIGHT])
    passed = decide(replace(after(failed, before, release=live(GOOD, "v1")), live_outcome=found), at(60))
    assert isinstance(passed.status, EvalCaseStatus)
    assert passed.status.live is not None and passed.status.live.result == "Passed"
    assert passed.status.failed_on == [kept]


def test_an_edited_case_has_failed_on_nothing_yet() -> None:
    failed = decide(asked(WRONG, digest=BAD, release=live(BAD, "v2")), at(10)).status
    assert isinstance(failed, EvalCaseStatus) and failed.failed_on
    edited = decide(asked(status=failed, generation=2, release=live(BAD, "v2")), at(20)).status
    assert isinstance(edited, EvalCaseStatus) and edited.failed_on == []


def test_a_new_case_is_asked_of_the_live_pods() -> None:
    before = asked()
    decision = decide(before, T0)
    assert decision.actions == (AskLive(before.case, GOOD, 1, SELECTOR),)
    assert told(decision)[:2] == ("Unknown", "Asking")
    assert decision.look_again is not None and decision.look_again <= timedelta(seconds=5)


@pytest.mark.parametrize(
    ("answers", "changes", "result", "condition"),
    [
        pytest.param([RIGHT], {}, "Passed", ("True", "Passed", "on v1: 1 of 1 answers right"), id="the answer is right"),
        pytest.param([WRONG], {}, "Failed", ("False", "Failed", "on v1: 0 of 1 answers right: wanted A, got B"), id="the answer is wrong"),
        pytest.param([SILENT], {}, "NoAnswer", ("Unknown", "Unreachable", "on v1: 0 of 0 answers right: no answer (Unreachable): x"), id="no pod answers"),
        pytest.param([RIGHT, RIGHT, SILENT], {}, "NoAnswer", ("Unknown", "Unreachable", "on v1: 2 of 2 answers right: no answer (Unreachable): x"), id="one of three is missing, and all must be right"),
        pytest.param([RIGHT, WRONG, SILENT], {}, "Failed", ("False", "Failed", "on v1: 1 of 2 answers right: wanted A, got B"), id="one is wrong, and all must be right"),
        pytest.param([RIGHT] * 8 + [WRONG] * 2, {"min_share": 0.8, "repeats": 10}, "Passed", ("True", "Passed", "on v1: 8 of 10 answers right, 8 of 10 needed"), id="enough answers are right"),
        pytest.param([RIGHT] * 7 + [WRONG] * 2 + [SILENT], {"min_share": 0.8, "repeats": 10}, "NoAnswer", ("Unknown", "Unreachable", "on v1: 7 of 9 answers right, 8 of 10 needed: wanted A, got B"), id="the missing answer decides"),
        pytest.param([RIGHT] * 7 + [WRONG] * 3, {"min_share": 0.8, "repeats": 10}, "Failed", ("False", "Failed", "on v1: 7 of 10 answers right, 8 of 10 needed: wanted A, got B"), id="too few answers are right"),
    ],
)  # fmt: skip
def test_a_result(answers: list[Answer], changes: dict[str, Any], result: str, condition: tuple[str, str, str]) -> None:
    decision = decide(asked(*answers, **changes), T0)
    assert isinstance(decision.status, EvalCaseStatus) and decision.status.live is not None
    assert (decision.status.live.result, told(decision)) == (result, condition)
    assert decision.actions[0] == ForgetLive(NAME)
    asked_again = [action for action in decision.actions[1:] if isinstance(action, AskAgain)]
    assert decision.actions[1:] == tuple(asked_again) and bool(asked_again) is (
        RIGHT in answers and WRONG in answers and not changes
    )
    assert [e.reason for e in decision.events if e.reason == "FailsOnLive"] == (
        ["FailsOnLive"] if result == "Failed" else []
    )


@pytest.mark.parametrize("answers", [[RIGHT], [WRONG]], ids=["right", "wrong"])
def test_a_result_that_is_known_is_not_asked_for_again(answers: list[Answer]) -> None:
    before = asked(*answers)
    known = after(decide(before, T0), before)
    assert decide(known, at(3600)) == Decision()


def test_another_live_version_is_asked_and_the_old_result_names_its_version_until_then() -> None:
    before = asked(WRONG)
    known = after(decide(before, T0), before, release=live(BAD, "v2"))
    decision = decide(known, at(60))
    assert decision.actions == (AskLive(known.case, BAD, 1, SELECTOR),)
    assert decision.status is None
    found = conditions.get(known.case.status.conditions, "PassesOnLive")
    assert found is not None and found.message.startswith("on v1: ")


def test_an_edited_case_is_asked_anew() -> None:
    before = asked(WRONG)
    status = decide(before, T0).status
    edited = asked(status=status, generation=2)
    decision = decide(edited, at(60))
    assert decision.actions == (AskLive(edited.case, GOOD, 1, SELECTOR),)
    assert isinstance(decision.status, EvalCaseStatus) and decision.status.live is None


def test_answers_to_another_case_or_of_another_version_are_none() -> None:
    stale = replace(asked(RIGHT), live_outcome=outcome(claim(case(NAME, kind="manual", generation=7), GOOD), [RIGHT]))
    assert any(isinstance(a, AskLive) for a in decide(stale, T0).actions)
    assert any(isinstance(a, AskLive) for a in decide(asked(RIGHT, digest=BAD), T0).actions)


def test_a_missing_answer_is_asked_for_ever_less_often_but_never_given_up() -> None:
    before, now, waits = asked(SILENT), T0, list[float]()
    for _ in range(8):
        decision = decide(before, now)
        assert decision.look_again is not None
        waits.append(decision.look_again.total_seconds())
        known = after(decision, before)
        assert decide(known, now + decision.look_again / 2).actions == ()
        now += decision.look_again
        again = decide(known, now)
        assert [type(a) for a in again.actions] == [AskLive]
        before = replace(after(again, known), live_outcome=outcome(claim(known.case, GOOD), [SILENT]))
    assert waits == [30, 60, 120, 240, 300, 300, 300, 300]


def test_while_opsloop_is_stopped_nothing_is_asked_and_what_is_under_way_ends() -> None:
    stopped = asked(stop=Stop("shop", "emergency", "alice", T0))
    decision = decide(stopped, T0)
    assert decision.actions == (ForgetLive(NAME),)
    assert told(decision)[:2] == ("Unknown", "NotAsked")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"release": None}, id="there is no Release"),
        pytest.param({"release": release()}, id="nothing is live yet"),
        pytest.param({"release": live(GOOD, "v1", rolled_out=False)}, id="pods of two versions serve"),
        pytest.param({"live_selector": {}}, id="its Deployment is not there"),
    ],
)
def test_nothing_is_asked_where_nothing_is_live(changes: dict[str, Any]) -> None:
    decision = decide(asked(**changes), T0)
    assert not any(isinstance(a, AskLive) for a in decision.actions)
    assert told(decision)[:2] == ("Unknown", "NotAsked")


def _late(now: datetime) -> datetime:
    return now + timedelta(days=1)


def test_the_next_look_after_a_result_changes_nothing() -> None:
    before = asked(RIGHT)
    first = decide(before, T0)
    again = decide(after(first, before), _late(T0))
    assert again.status is None and again.actions == ()
