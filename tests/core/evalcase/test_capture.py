"""The regression case of a ticket's example."""

import json

import pytest

from opsloop.api.eval_expect import EvalExpect, JsonCheck
from opsloop.api.eval_request import EvalRequest, Tls
from opsloop.api.evalcase import EvalCaseSpec, Origin, ProofPair
from opsloop.api.reported import TicketExample
from opsloop.api.strategy import EvalAsk, Evals
from opsloop.core.evalcase.capture import case_name, from_ticket, obstacle
from opsloop.core.evalcase.expectation import compare
from opsloop.core.facts import ProbeReply
from tests.builders.evalcases import BAD, GOOD, release, ticket


def test_a_tickets_example_becomes_a_case() -> None:
    spec = from_ticket("answers-1", release(), ticket(), BAD, GOOD)
    assert spec is not None
    assert spec.request == EvalRequest(path="/ask?q=When%20is%20a%20refund%20paid%3F", port=8080)
    assert spec.expect == EvalExpect(field="answer", equals="After 14 days.")
    assert spec.must_pass
    assert spec.origin == Origin(kind="regression", incident="answers-1", ticket="T-5", by="ticket")
    assert spec.proof == ProofPair(bad=BAD, good=GOOD)
    assert case_name("answers-1") == "answers-1-regression"


def test_a_question_cannot_leave_its_place_in_the_path() -> None:
    nasty = ticket(example=TicketExample(asked="a&admin=1#/../ ü\r\nX: {{asked}}", expected="x"))
    spec = from_ticket("answers-1", release(), nasty, BAD, GOOD)
    assert spec is not None
    assert spec.request.path == "/ask?q=a%26admin%3D1%23%2F..%2F%20%C3%BC%0D%0AX%3A%20%7B%7Basked%7D%7D"


CHAT = EvalAsk(
    method="POST", path="/chat", body='{"messages": [{"role": "user", "content": "{{asked}}"}]}',
    headers={"Accept": "application/json"}, tls=Tls(server_name="answers.shop.svc"), answer_path="$.choices[0].message.content",
)  # fmt: skip


def test_a_tickets_example_becomes_a_case_of_a_service_that_is_asked_by_post() -> None:
    asked = ticket(example=TicketExample(asked='When is a "refund" paid?\nThanks \\', expected=" After 14 days. "))
    spec = from_ticket("answers-1", release(Evals(port=8443, ask=CHAT)), asked, BAD, GOOD)
    assert spec is not None
    assert json.loads(spec.request.body)["messages"][0]["content"] == 'When is a "refund" paid?\nThanks \\'
    assert (spec.request.method, spec.request.path, spec.request.port, spec.request.tls) == (
        "POST",
        "/chat",
        8443,
        CHAT.tls,
    )
    assert spec.expect == EvalExpect(json=[JsonCheck(path="$.choices[0].message.content", equals="After 14 days.")])
    assert EvalCaseSpec.model_validate(spec.dump()) == spec, "as the API server gives it back"
    right = {"choices": [{"message": {"content": "After 14 days."}}]}
    assert compare(spec.expect, ProbeReply(200, json.dumps(right))).fit == "passed"


@pytest.mark.parametrize(
    ("evals", "example", "reason"),
    [
        pytest.param(Evals(port=1), TicketExample(asked="a", expected="b"), "NoAsk", id="the Release does not say how to ask"),
        pytest.param(None, None, "NoExample", id="the ticket has no example"),
        pytest.param(None, TicketExample(asked=" ", expected="b"), "NoExample", id="the example asks nothing"),
        pytest.param(None, TicketExample(asked="a", expected="\n"), "NoExample", id="the example expects nothing"),
        pytest.param(None, TicketExample(asked="ü" * 1000, expected="b"), "TooLong", id="the question does not fit into a path"),
        pytest.param(Evals(port=1, ask=EvalAsk(path="/", body="{{asked}}" * 20)), TicketExample(asked="\"" * 1000, expected="b"), "TooLong", id="the question does not fit into a body"),
        pytest.param(Evals(port=1, ask=CHAT), TicketExample(asked="ü" * 1000, expected="b"), "", id="a question that fits into a body"),
        pytest.param(
            Evals(port=1, ask=EvalAsk(path="/{{asked}}")), TicketExample(asked="a", expected="b"), "", id="there is one"
        ),
    ],
)  # fmt: skip
def test_why_there_is_no_case(evals: Evals | None, example: TicketExample | None, reason: str) -> None:
    of, said = release(evals), ticket(example=example)
    assert obstacle(of, said) == reason
    assert (from_ticket("answers-1", of, said, BAD, GOOD) is None) == bool(reason)


def test_without_both_revisions_the_case_has_no_proof_pair() -> None:
    spec = from_ticket("answers-1", release(), ticket(), BAD, "")
    assert spec is not None
    assert spec.proof is None
