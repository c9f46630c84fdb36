from typing import Any

import pytest

from opsloop.api.evalcase import EvalExpect, EvalRequest, Origin, ProofPair
from opsloop.api.incident import TicketExample
from opsloop.api.release import CaseResult, EvalAsk, Evals
from opsloop.core.evalcase.decide import case_name, fits, from_ticket, gate, gating, why_no_case
from opsloop.core.facts import ProbeReply
from tests.builders.learn import BAD, GOOD, T0, case, proven, release, ticket

RIGHT = '{"answer": " After 14 days. ", "version": "v1"}'


@pytest.mark.parametrize(
    ("expect", "status", "body", "fit", "told"),
    [
        pytest.param({"field": "answer", "equals": "After 14 days."}, 200, RIGHT, "passed", "", id="the field is as expected after trimming"),
        pytest.param({"field": "answer", "equals": "After"}, 200, RIGHT, "failed", 'wanted "After", got "After 14 days."', id="the beginning alone is not equal"),
        pytest.param({"field": "answer", "contains": "14 days"}, 200, RIGHT, "passed", "", id="the field contains it"),
        pytest.param({"field": "answer", "contains": "30 days"}, 200, RIGHT, "failed", 'something with "30 days"', id="the field does not contain it"),
        pytest.param({}, 200, "whatever", "passed", "", id="only the status is expected"),
        pytest.param({}, 500, "broken", "failed", "wanted HTTP 200, got 500: broken", id="the status is another one"),
        pytest.param({"status": 404}, 404, "", "passed", "", id="an error may be what is expected"),
        pytest.param({"field": "answer"}, 200, "<html>", "failed", "not JSON", id="the reply is not JSON"),
        pytest.param({"field": "answer"}, 200, "[" * 60000, "failed", "not JSON", id="the reply is JSON made to break a parser"),
        pytest.param({"field": "answer"}, 200, '{"topic": "returns"}', "failed", "without 'answer'", id="the field is missing"),
        pytest.param({"field": "a.1.b", "equals": "x"}, 200, '{"a": [0, {"b": "x"}]}', "passed", "", id="a dotted path goes through objects and lists"),
        pytest.param({"field": "a.2", "equals": "x"}, 200, '{"a": [0, 1]}', "failed", "without '2'", id="a list is too short"),
        pytest.param({"field": "a.b", "equals": "x"}, 200, '{"a.b": "x"}', "passed", "", id="a field with a dot in its name is found"),
        pytest.param({"field": "ok", "equals": "true"}, 200, '{"ok": true}', "passed", "", id="a value that is no text is compared as JSON"),
        pytest.param({"field": "ok", "equals": "null"}, 200, '{"ok": null}', "passed", "", id="null is a value"),
        pytest.param({"equals": "pong"}, 200, "pong\n", "passed", "", id="without a field the whole body is compared"),
        pytest.param({"equals": "", "field": "answer"}, 200, '{"answer": "x"}', "failed", "wanted", id="an empty expectation is not no expectation"),
    ],
)  # fmt: skip
def test_fits(expect: dict[str, Any], status: int, body: str, fit: str, told: str) -> None:
    said, message = fits(EvalExpect(**expect), ProbeReply(status, body))
    assert said == fit
    assert told in message


def test_a_pod_that_cannot_be_reached_has_not_failed() -> None:
    assert fits(EvalExpect(), ProbeReply(0, "", "refused")) == ("no_answer", "no answer: refused")


def test_a_message_is_short_whatever_came_back() -> None:
    expect = EvalExpect(field="answer", equals="w" * 4000)
    for body in ("x" * 60000, '{"answer": "' + "y" * 60000 + '"}'):
        assert len(fits(expect, ProbeReply(200, body))[1]) <= 300
    assert len(fits(expect, ProbeReply(500, "z" * 60000))[1]) <= 300
    assert len(fits(expect, ProbeReply(0, "", "e" * 60000))[1]) <= 300


def result(canary: tuple[int, int], live: tuple[int, int] = (1, 1), must: bool = False, name: str = "c") -> CaseResult:
    return CaseResult(
        case=name, must_pass=must, canary_passed=canary[0], canary_runs=canary[1], live_passed=live[0], live_runs=live[1]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("results", "margin", "verdict", "reason"),
    [
        pytest.param([], 1.0, "inconclusive", "NoCases", id="zero cases run is never a pass"),
        pytest.param([result((3, 3), must=True)], 0.0, "passed", "EvalsPassed", id="the must-pass case passed each time"),
        pytest.param([result((2, 3), must=True)], 1.0, "failed", "MustPassFailed", id="a must-pass case has no margin"),
        pytest.param([result((0, 3), (0, 3), must=True)], 1.0, "failed", "MustPassFailed", id="that live fails too excuses no must-pass case"),
        pytest.param([result((3, 3), (0, 0), must=True)], 0.0, "passed", "EvalsPassed", id="a must-pass case needs no live pods"),
        pytest.param([result((0, 0), must=True)], 0.0, "inconclusive", "NoAnswer", id="a must-pass case without an answer is no pass"),
        pytest.param([result((0, 0)), result((0, 1), must=True)], 0.0, "failed", "MustPassFailed", id="a sure failure counts beside an unanswered case"),
        pytest.param([result((3, 3)), result((0, 0))], 0.0, "inconclusive", "NoAnswer", id="one unanswered case leaves it open"),
        pytest.param([result((3, 3), (0, 0))], 0.0, "inconclusive", "NoAnswer", id="without live there is nothing to compare with"),
        pytest.param([result((9, 10), (10, 10))], 0.1, "passed", "EvalsPassed", id="worse by just the margin is allowed"),
        pytest.param([result((8, 10), (10, 10))], 0.1, "failed", "WorseThanLive", id="worse by more than the margin is not"),
        pytest.param([result((0, 10), (0, 10))], 0.0, "passed", "EvalsPassed", id="as bad as live is not worse"),
        pytest.param([result((1, 1), (0, 1)), result((0, 1), (1, 1))], 0.0, "passed", "EvalsPassed", id="cases that are not must-pass are judged together"),
        pytest.param([result((1, 1), (1, 1)), result((0, 9), (1, 1))], 0.4, "failed", "WorseThanLive", id="each case counts once, however often it was asked"),
    ],
)  # fmt: skip
def test_gate(results: list[CaseResult], margin: float, verdict: str, reason: str) -> None:
    said = gate(results, margin)
    assert (said.verdict, said.reason) == (verdict, reason)


def test_a_failed_gate_names_the_case_and_what_it_said() -> None:
    failed = result((1, 3), must=True, name="refund").model_copy(update={"message": "wanted X, got Y"})
    assert gate([failed], 0).message == "refund failed 2 of 3: wanted X, got Y"


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        pytest.param(case(status=proven()), True, id="a proven regression case gates"),
        pytest.param(case(), False, id="an unproven regression case gates nothing"),
        pytest.param(case(status=proven(proven="False")), False, id="a disproven one gates nothing"),
        pytest.param(
            case(generation=2, status=proven()), False, id="a case that was edited after its proof gates nothing"
        ),
        pytest.param(case(kind="manual"), True, id="a person's case gates as it is"),
        pytest.param(case(kind="manual", release="web"), False, id="a case of another Release does not"),
    ],
)
def test_gating(one: Any, counts: bool) -> None:
    assert gating([one], release()) == ((one,) if counts else ())


def test_a_case_that_is_being_deleted_gates_nothing() -> None:
    leaving = case(kind="manual")
    meta = leaving.metadata.model_copy(update={"deletion_timestamp": T0})
    assert gating([leaving.model_copy(update={"metadata": meta})], release()) == ()


def test_only_cases_with_the_wanted_labels_gate() -> None:
    smoke, slow = case("a", kind="manual", labels={"tier": "smoke", "x": "y"}), case("b", kind="manual")
    assert gating([slow, smoke], release(Evals(port=1, match_labels={"tier": "smoke"}))) == (smoke,)


def test_gating_cases_come_by_name_and_not_as_they_were_listed() -> None:
    one, two = case("a", kind="manual"), case("b", kind="manual")
    assert gating([two, one], release()) == gating([one, two], release()) == (one, two)


def test_a_release_without_evals_is_gated_by_nothing() -> None:
    wanting = release()
    without = wanting.model_copy(update={"spec": wanting.spec.model_copy(update={"evals": None})})
    assert gating([case(kind="manual")], without) == ()


def test_a_tickets_example_becomes_a_case() -> None:
    spec = from_ticket("answers-1", release(), ticket(), BAD, GOOD)
    assert spec is not None
    assert spec.request == EvalRequest(path="/ask?q=When%20is%20a%20refund%20paid%3F", port=8080)
    assert spec.expect == EvalExpect(field="answer", equals="After 14 days.")
    assert spec.must_pass
    assert spec.origin == Origin(kind="regression", incident="answers-1", ticket="T-5")
    assert spec.proof == ProofPair(bad=BAD, good=GOOD)
    assert case_name("answers-1") == "answers-1-regression"


def test_a_question_cannot_leave_its_place_in_the_path() -> None:
    nasty = ticket(example=TicketExample(asked="a&admin=1#/../ ü\r\nX: {{asked}}", expected="x"))
    spec = from_ticket("answers-1", release(), nasty, BAD, GOOD)
    assert spec is not None
    assert spec.request.path == "/ask?q=a%26admin%3D1%23%2F..%2F%20%C3%BC%0D%0AX%3A%20%7B%7Basked%7D%7D"


@pytest.mark.parametrize(
    ("evals", "example", "reason"),
    [
        pytest.param(Evals(port=1), TicketExample(asked="a", expected="b"), "NoAsk", id="the Release does not say how to ask"),
        pytest.param(None, None, "NoExample", id="the ticket has no example"),
        pytest.param(None, TicketExample(asked=" ", expected="b"), "NoExample", id="the example asks nothing"),
        pytest.param(None, TicketExample(asked="a", expected="\n"), "NoExample", id="the example expects nothing"),
        pytest.param(None, TicketExample(asked="ü" * 1000, expected="b"), "TooLong", id="the question does not fit into a path"),
        pytest.param(
            Evals(port=1, ask=EvalAsk(path="/{{asked}}")), TicketExample(asked="a", expected="b"), "", id="there is one"
        ),
    ],
)  # fmt: skip
def test_why_there_is_no_case(evals: Evals | None, example: TicketExample | None, reason: str) -> None:
    of, said = release(evals), ticket(example=example)
    assert why_no_case(of, said) == reason
    assert (from_ticket("answers-1", of, said, BAD, GOOD) is None) == bool(reason)


def test_without_both_revisions_the_case_has_no_proof_pair() -> None:
    spec = from_ticket("answers-1", release(), ticket(), BAD, "")
    assert spec is not None
    assert spec.proof is None
