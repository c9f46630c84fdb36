"""Flaky cases: how they are found on one revision, what is asked for it, and how they come back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.evalcase import Steadiness
from opsloop.api.release import Release
from opsloop.api.strategy import Evals
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.actions import AskAgain, ForgetLive
from opsloop.core.decision import Decision
from opsloop.core.evalcase.decide import decide
from opsloop.core.evalcase.expectation import Answer
from opsloop.core.evalcase.live import claim, outcome
from opsloop.core.evalcase.steadiness import add, judged, wanted
from opsloop.core.stop import Stop
from tests.builders.evalcases import BAD, GOOD, T0, case, facts, release, revision

NAME = "refund"
RIGHT, WRONG, SILENT = Answer("passed"), Answer("failed", "wanted A, got B"), Answer("no_answer", "x", "Unreachable")


def live(digest: str = GOOD, rolled_out: bool = True, repeats: int = 10, **status: Any) -> Release:
    said = conditions.put([], "RolledOut", conditions.truth(rolled_out), "RollingOut", "2 of 4 pods run it", T0)
    evals = Evals(port=8080, steady_repeats=repeats)
    return release(evals, live=digest, revisions=[revision(digest, 1, "v1")], conditions=said, **status)


class Story:
    """One case, look after look: what it asks for again is answered by the next look."""

    def __init__(self, known: Release | None = None, first: Answer = RIGHT, **spec: Any) -> None:
        self.now = T0
        one = case(NAME, **{"kind": "manual", **spec})
        found = outcome(claim(one, GOOD), [first] * (one.spec.repeats or 1))
        self.facts = facts(case=one, release=known or live(), live_selector={"app": "answers"}, live_outcome=found)
        self.decision = Decision()
        self.look()

    def look(self, **changes: Any) -> AskAgain | None:
        self.facts = replace(self.facts, **changes)
        self.decision = decide(self.facts, self.now)
        status = self.decision.status or self.facts.case.status
        stored = self.facts.case.model_copy(update={"status": status})
        self.facts = replace(self.facts, case=stored, live_outcome=None, sounded=None)
        return next((a for a in self.decision.actions if isinstance(a, AskAgain)), None)

    def answer(self, action: AskAgain | None, answers: Sequence[Answer]) -> AskAgain | None:
        assert action is not None and len(answers) == action.times, action
        return self.look(sounded=outcome(action.claim, answers))

    def pass_time(self) -> AskAgain | None:
        assert self.decision.look_again is not None
        self.now += self.decision.look_again
        return self.look()

    @property
    def again(self) -> AskAgain | None:
        return next((a for a in self.decision.actions if isinstance(a, AskAgain)), None)

    @property
    def told(self) -> tuple[str, str, str]:
        status = self.facts.case.status
        found = conditions.get(status.conditions, "Steady")
        assert found is not None
        return status.steady, found.reason, found.message

    @property
    def events(self) -> list[str]:
        return [e.reason for e in self.decision.events]


def test_a_case_that_answers_alike_ten_times_is_steady_and_asked_no_more() -> None:
    story = Story()
    assert story.again is not None and story.again.times == 9, "one answer is known from its result"
    assert story.told == ("", "TooFewAnswers", "1 of 1 answers on v1 right; 10 are asked for")
    assert story.answer(story.again, [RIGHT] * 9) is None
    assert story.told == ("Steady", "Steady", "10 of 10 answers on v1 right")
    assert ForgetLive(NAME, again=True) in story.decision.actions and story.events == []
    story.now += timedelta(days=1)
    assert story.look() is None and story.decision.status is None


def test_a_case_that_is_always_wrong_is_steady_as_well() -> None:
    story = Story(first=WRONG)
    story.answer(story.again, [WRONG] * 9)
    assert story.told == ("Steady", "Steady", "0 of 10 answers on v1 right")


def test_one_wrong_answer_of_ten_on_one_revision_sets_a_case_aside_and_says_so() -> None:
    story = Story()
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    assert story.told == (
        "Flaky",
        "Flaky",
        "9 of 10 answers on v1 right: set aside, it gates nothing; steady again after 60 alike in a row (0 so far), or with"
        " another spec",
    )
    assert story.events == ["Flaky"] and story.facts.case.is_flaky


def test_a_must_pass_case_that_is_flaky_says_what_holds_instead() -> None:
    story = Story(must_pass=True)
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    assert "set aside, compared with live instead of must-pass;" in story.told[2]


def test_a_flaky_case_is_asked_again_every_ten_minutes_and_is_back_after_sixty_alike() -> None:
    story = Story()
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    began = story.now
    for n in (1, 2, 3):
        assert story.facts.case.is_flaky
        action = story.pass_time()
        assert story.now - began == n * timedelta(minutes=10) and action is not None and action.times == 20
        story.answer(action, [RIGHT] * 20)
    assert story.told == ("Steady", "Steady", "60 of 60 answers on v1 right") and story.events == ["Steady"]
    assert not story.facts.case.is_flaky and story.decision.look_again is None


def test_one_more_wrong_answer_begins_the_row_anew() -> None:
    story = Story()
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    story.answer(story.pass_time(), [RIGHT] * 20)
    story.answer(story.pass_time(), [RIGHT] * 19 + [WRONG])
    assert "(0 so far)" in story.told[2] and story.facts.case.is_flaky


def test_another_spec_is_another_claim() -> None:
    story = Story()
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    meta = story.facts.case.metadata.model_copy(update={"generation": 2})
    edited = story.facts.case.model_copy(update={"metadata": meta})
    assert not edited.is_flaky, "nor is it set aside before the next look"
    story.look(case=edited)
    assert story.told[:2] == ("", "TooFewAnswers")


def test_on_another_live_version_a_flaky_case_stays_aside_until_its_answers_agree_there() -> None:
    story = Story()
    story.answer(story.again, [RIGHT] * 8 + [WRONG])
    known = live(BAD)
    found = outcome(claim(story.facts.case, BAD), [RIGHT])
    action = story.look(release=known, live_outcome=found)
    assert story.facts.case.is_flaky and action is not None and action.times == 20
    for _ in range(2):
        story.answer(action, [RIGHT] * 20)
        action = story.pass_time()
    story.answer(action, [RIGHT] * 20)
    assert story.told[0] == "Steady"


def test_answers_of_another_version_are_not_counted() -> None:
    story = Story()
    action = story.again
    assert action is not None
    story.look(release=live(BAD), sounded=outcome(action.claim, [WRONG] * 9))
    told = story.facts.case.status.steadiness
    assert told is not None and (told.digest, told.right, told.wrong) == (GOOD, 1, 0)


def test_without_answers_it_is_asked_again_after_five_minutes_and_is_neither_steady_nor_flaky() -> None:
    story = Story()
    assert story.answer(story.again, [SILENT] * 9) is None
    assert story.told[:2] == ("", "TooFewAnswers")
    began = story.now
    assert story.pass_time() is not None and story.now - began == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        pytest.param(live(repeats=0), {}, id="its Release asks for none"),
        pytest.param(live(), {"stop": Stop("shop", "emergency", "alice", T0)}, id="opsloop is stopped"),
        pytest.param(live(rolled_out=False), {}, id="a rollout is under way"),
        pytest.param(live(), {"live_selector": {}}, id="its Deployment is not there"),
    ],
)
def test_nothing_is_asked_again_where(known: Release, changes: dict[str, Any]) -> None:
    story = Story(known)
    story.facts = replace(story.facts, sounded=None)
    assert story.look(**changes) is None


def rollout(live_passed: int, live_runs: int, state: str = "Dark", name: str = NAME) -> Release:
    result = CaseResult(
        case=name, asked=live_runs, canary_passed=0, canary_runs=live_runs, live_passed=live_passed, live_runs=live_runs
    )
    target = Target.model_validate(
        {"digest": BAD, "version": "v2", "state": state, "startedAt": T0.isoformat(), "evals": [result.dump()]}
    )
    return live(target=target)


@pytest.mark.parametrize(
    ("known", "flaky"),
    [
        pytest.param(rollout(2, 3), True, id="live was right and wrong"),
        pytest.param(rollout(3, 3), False, id="live was right each time, the canary never"),
        pytest.param(rollout(2, 3, state="Promoted"), False, id="another version is live by now"),
        pytest.param(rollout(2, 3, name="other"), False, id="it was another case"),
    ],
)
def test_answers_of_live_in_a_rollout_count_and_those_of_the_canary_do_not(known: Release, flaky: bool) -> None:
    story = Story()
    story.look(release=known)
    assert story.facts.case.is_flaky is flaky


def test_one_run_of_a_rollout_counts_once() -> None:
    story = Story()
    for _ in range(3):
        story.look(release=rollout(3, 3))
    told = story.facts.case.status.steadiness
    assert told is not None and told.right == 4


def test_where_answers_may_vary_results_are_compared() -> None:
    story = Story(min_share=0.8, repeats=10)
    assert story.again is not None and story.again.times == 10
    story.answer(story.again, [RIGHT] * 8 + [WRONG] * 2)
    assert story.told == ("Steady", "Steady", "2 of 2 results on v1 right")
    story = Story(min_share=0.8, repeats=10)
    story.answer(story.again, [RIGHT] * 7 + [WRONG] * 3)
    assert story.told[0] == "Flaky" and story.told[2].startswith("1 of 2 results on v1 right: set aside")


@pytest.mark.parametrize(
    ("spec", "evals", "answers"),
    [
        pytest.param({}, {"steady_repeats": 10}, 10, id="answers"),
        pytest.param({"min_share": 0.8, "repeats": 20}, {"steady_repeats": 10}, 2, id="two results at least"),
        pytest.param({"min_share": 0.8, "repeats": 10}, {"steady_repeats": 50}, 5, id="results of as many answers"),
        pytest.param({"min_share": 0.8, "repeats": 10}, {"steady_repeats": 0}, 0, id="none"),
    ],
)
def test_how_many_are_wanted(spec: dict[str, Any], evals: dict[str, Any], answers: int) -> None:
    assert wanted(case(NAME, kind="manual", **spec), Evals(port=8080, **evals)) == answers


batches = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20)


@given(batches, st.integers(1, 60))
def test_set_aside_exactly_from_the_first_difference_until_a_long_enough_row(
    given_answers: list[tuple[int, int]], row: int
) -> None:
    told, right, wrong, flaky, length = Steadiness(digest=GOOD), 0, 0, False, 0
    latest = ""
    for a, b in given_answers:
        told = judged(add(told, a, b), row, T0)
        right, wrong = right + a, wrong + b
        if a and b:
            length, latest = 0, ""
        elif a or b:
            now = "right" if a else "wrong"
            length, latest = (length if latest == now else 0) + a + b, now
        if not flaky and right and wrong:
            flaky = True
        elif flaky and length >= row:
            flaky, right, wrong = False, length * (latest == "right"), length * (latest == "wrong")
        assert (told.flaky_since is not None) == flaky
        assert (told.right, told.wrong) == (right, wrong)
