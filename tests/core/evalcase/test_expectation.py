"""Replies against an expectation, and how many replies one answer rests on."""

from collections.abc import Container
from typing import Any

import pytest

from opsloop.api.evalcase import EvalExpect
from opsloop.core.evalcase.expectation import GATEWAY_ERRORS, SERVER_ERRORS, Answer, answer, compare
from opsloop.core.facts import ProbeReply

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
def test_comparing_a_reply(expect: dict[str, Any], status: int, body: str, fit: str, told: str) -> None:
    answer = compare(EvalExpect(**expect), ProbeReply(status, body))
    assert answer.fit == fit
    assert told in answer.message


def test_a_pod_that_cannot_be_reached_has_not_failed() -> None:
    assert compare(EvalExpect(), ProbeReply(0, "", "refused")) == Answer("no_answer", "no answer: refused")


def test_a_message_is_short_whatever_came_back() -> None:
    expect = EvalExpect(field="answer", equals="w" * 4000)
    for body in ("x" * 60000, '{"answer": "' + "y" * 60000 + '"}'):
        assert len(compare(expect, ProbeReply(200, body)).message) <= 300
    assert len(compare(expect, ProbeReply(500, "z" * 60000)).message) <= 300
    assert len(compare(expect, ProbeReply(0, "", "e" * 60000)).message) <= 300


WRONG_REPLY, RIGHT_REPLY = ProbeReply(200, "In June."), ProbeReply(200, "After 14 days.")
TIMED_OUT, REFUSED = ProbeReply(0, "", "no reply within 5 s"), ProbeReply(0, "", "ClientConnectorError: refused")
ERROR, GATEWAY = ProbeReply(500, "trouble"), ProbeReply(504, "the catalog took too long")


@pytest.mark.parametrize(
    ("replies", "transient", "fit"),
    [
        pytest.param([], SERVER_ERRORS, None, id="before the first reply"),
        pytest.param([RIGHT_REPLY], SERVER_ERRORS, "passed", id="a right reply stands at once"),
        pytest.param([WRONG_REPLY], SERVER_ERRORS, "failed", id="a wrong reply stands at once"),
        pytest.param([ProbeReply(404, "")], SERVER_ERRORS, "failed", id="a status of the pod's own is an answer"),
        pytest.param([TIMED_OUT], SERVER_ERRORS, None, id="a time-out is asked again"),
        pytest.param([REFUSED], GATEWAY_ERRORS, None, id="a refused connection is asked again"),
        pytest.param([TIMED_OUT, RIGHT_REPLY], SERVER_ERRORS, "passed", id="right after a time-out"),
        pytest.param([TIMED_OUT, REFUSED, WRONG_REPLY], GATEWAY_ERRORS, "failed", id="wrong after two missing replies"),
        pytest.param([TIMED_OUT, TIMED_OUT, TIMED_OUT], SERVER_ERRORS, "no_answer", id="three time-outs are no answer"),
        pytest.param([ERROR], SERVER_ERRORS, None, id="a server error in quarantine is asked again"),
        pytest.param([ERROR], GATEWAY_ERRORS, "failed", id="the canary's own server error stands at once"),
        pytest.param([GATEWAY], GATEWAY_ERRORS, None, id="a gateway's time-out is asked again"),
        pytest.param([ERROR, ERROR, ERROR], SERVER_ERRORS, "failed", id="a server error that stays is a failure"),
        pytest.param([GATEWAY, GATEWAY, GATEWAY], GATEWAY_ERRORS, "failed", id="a gateway's time-out that stays is a failure"),
        pytest.param([ERROR, RIGHT_REPLY], SERVER_ERRORS, "passed", id="right after a server error"),
        pytest.param([TIMED_OUT, TIMED_OUT, ERROR], SERVER_ERRORS, "no_answer", id="one server error after two time-outs is no failure"),
        pytest.param([ERROR, ERROR, TIMED_OUT], SERVER_ERRORS, "no_answer", id="a time-out after two server errors is no failure"),
        pytest.param([GATEWAY, REFUSED, GATEWAY], GATEWAY_ERRORS, "no_answer", id="a refused connection between two gateway time-outs is no failure"),
    ],
)  # fmt: skip
def test_replies_that_make_an_answer(replies: list[ProbeReply], transient: Container[int], fit: str | None) -> None:
    given = answer(EvalExpect(equals="After 14 days."), replies, transient)
    assert (given.fit if given else None) == fit


def test_an_expected_server_error_passes_at_once() -> None:
    assert answer(EvalExpect(status=503), [ProbeReply(503, "")], SERVER_ERRORS) == Answer("passed")
