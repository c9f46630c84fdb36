"""Replies against an expectation, and how many replies one answer rests on."""

import json
from collections.abc import Container
from typing import Any

import pytest

from opsloop.api.eval_expect import EvalExpect
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.expectation import GATEWAY_ERRORS, NO_ANSWER, SERVER_ERRORS, Answer, answer, compare
from opsloop.core.evalcase.silence import CASE_INVALID, REPLY_TOO_LONG, TLS_FAILED
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


REPLY = ProbeReply(
    200,
    json.dumps(
        {"order": {"id": "A-17", "total": 19.99, "paid": True, "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}]}}
    ),
    headers=(("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")),
    seconds=0.2,
)
ORDER_SCHEMA = {
    "type": "object",
    "required": ["order"],
    "properties": {"order": {"$ref": "#/$defs/order"}},
    "$defs": {"order": {"type": "object", "properties": {"total": {"type": "number", "maximum": 20}}}},
}


@pytest.mark.parametrize(
    ("expect", "fit", "told"),
    [
        pytest.param({"json": [{"path": "$.order.id", "equals": "A-17"}]}, "passed", "", id="a JSONPath finds the text"),
        pytest.param({"json": [{"path": "$.order.id", "equals": "A-18"}]}, "failed", 'wanted $.order.id "A-18", got "A-17"', id="a JSONPath finds another text"),
        pytest.param({"json": [{"path": "$.order.paid", "equals": "true"}]}, "passed", "", id="true is compared as JSON"),
        pytest.param({"json": [{"path": "$.order.items[1]", "equals": '{"n":2, "sku":"y"}'}]}, "passed", "", id="an object is equal however it is spelled"),
        pytest.param({"json": [{"path": "$.order.total", "number": 20, "tolerance": 0.01}]}, "passed", "", id="a number at the edge of the tolerance"),
        pytest.param({"json": [{"path": "$.order.total", "number": 20}]}, "failed", 'wanted $.order.total 20, got "19.99"', id="a number without tolerance"),
        pytest.param({"json": [{"path": "$.order.paid", "number": 1}]}, "failed", "$.order.paid 1", id="true is not the number 1"),
        pytest.param({"json": [{"path": "$.order.id", "number": 17}]}, "failed", "$.order.id 17", id="a text that is no number"),
        pytest.param({"json": [{"path": "$.order.id", "oneOf": ["A-16", "A-17"]}]}, "passed", "", id="it is one of these"),
        pytest.param({"json": [{"path": "$.order.id", "oneOf": ["A-1", "A-2"]}]}, "failed", 'one of "A-1", "A-2"', id="it is none of these"),
        pytest.param({"json": [{"path": "$.order.id", "matches": "^[A-Z]-[0-9]+$"}]}, "passed", "", id="it matches"),
        pytest.param({"json": [{"path": "$.order.id", "matches": "^[0-9]+$"}]}, "failed", 'something that matches "^[0-9]+$"', id="it does not match"),
        pytest.param({"json": [{"path": "$.order.items[*].sku", "contains": "x"}]}, "failed", 'something with "x", got "y"', id="each value that a path finds must fit"),
        pytest.param({"json": [{"path": "$.order.items[?@.n > 1].sku", "equals": "y"}]}, "passed", "", id="a filter leads to the value"),
        pytest.param({"json": [{"path": "$.order.items[?search(@.sku, 'x|z')].n", "number": 1}]}, "passed", "", id="a filter searches"),
        pytest.param({"json": [{"path": "$.order.address", "exists": True}]}, "failed", "wanted $.order.address, got a reply without it", id="what must be there is missing"),
        pytest.param({"json": [{"path": "$.order.address", "equals": "x"}]}, "failed", "a reply without it", id="what is not there is not equal"),
        pytest.param({"json": [{"path": "$.order.address", "exists": False}]}, "passed", "", id="what must not be there is not"),
        pytest.param({"json": [{"path": "$..sku", "exists": False}]}, "failed", 'wanted no $..sku, got "x"', id="what must not be there is"),
        pytest.param({"headers": [{"name": "content-type", "contains": "json"}]}, "passed", "", id="a header in other letters"),
        pytest.param({"headers": [{"name": "Set-Cookie", "matches": "^[ab]="}]}, "passed", "", id="each of two headers fits"),
        pytest.param({"headers": [{"name": "Set-Cookie", "equals": "a=1"}]}, "failed", 'got "b=2"', id="the second of two headers does not fit"),
        pytest.param({"headers": [{"name": "ETag", "exists": True}]}, "failed", "wanted header ETag, got a reply without it", id="a header is missing"),
        pytest.param({"headers": [{"name": "Server", "exists": False}]}, "passed", "", id="a header must not be there"),
        pytest.param({"maxLatency": "200ms"}, "passed", "", id="the reply is just in time"),
        pytest.param({"maxLatency": "199ms"}, "failed", "wanted a reply within 199ms, got one after 200ms", id="the reply is late"),
        pytest.param({"matches": '"total": *[0-9.]+'}, "passed", "", id="an expression over the whole body"),
        pytest.param({"field": "order.id", "matches": "^B"}, "failed", 'something that matches "^B", got "A-17"', id="an expression over a field"),
        pytest.param({"jsonSchema": ORDER_SCHEMA}, "passed", "", id="the body fits its schema"),
        pytest.param({"jsonSchema": {"properties": {"order": {"required": ["address"]}}}}, "failed", 'wanted what jsonSchema says, got $.order: "address" is a required property', id="the body does not fit its schema"),
    ],
)  # fmt: skip
def test_comparing_what_real_services_answer(expect: dict[str, Any], fit: str, told: str) -> None:
    given = compare(EvalExpect.model_validate(expect), REPLY)
    assert (given.fit, told in given.message) == (fit, True), given


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        pytest.param({"json": [{"path": "$.a", "exists": True}, {"path": "$.[", "exists": True}]}, "expect.json[1].path: '$.[' is no JSONPath", id="no JSONPath"),
        pytest.param({"json": [{"path": "$..a..b", "exists": True}]}, "has .. more than once", id="two descents, whose work is squared"),
        pytest.param({"json": [{"path": "$[*,*]", "exists": True}]}, "in several ways in one bracket", id="a bracket that doubles"),
        pytest.param({"json": [{"path": "$[?@[?count(@..*) > 1]..a]", "exists": True}]}, "has .. more than once", id="descents within filters"),
        pytest.param({"json": [{"path": "$[?@.a == $.b]", "exists": True}]}, "begins at $", id="the whole reply again for each value"),
        pytest.param({"json": [{"path": "$[?count($..x) == 1]", "exists": True}]}, "begins at $", id="the same within a function"),
        pytest.param({"matches": "(a"}, "expect.matches: '(a' is no regular expression", id="no regular expression"),
        pytest.param({"matches": "(a)\\1"}, "is no regular expression", id="a back-reference, which would have to backtrack"),
        pytest.param({"headers": [{"name": "a", "matches": "a{1000}{1000}"}]}, "expect.headers[0].matches", id="an expression that is large when written out"),
        pytest.param({"jsonSchema": {"type": "objekt"}}, "expect.jsonSchema: no JSON Schema", id="no JSON Schema"),
        pytest.param({"jsonSchema": {"$ref": "http://10.96.0.1/secrets"}}, "must name a definition of this schema", id="a schema from elsewhere"),
        pytest.param({"jsonSchema": {"$id": "http://10.96.0.1/", "type": "object"}}, "$id is not read", id="a schema that says that it is from elsewhere"),
        pytest.param({"jsonSchema": {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}}, "leads back to itself", id="a schema of itself"),
        pytest.param({"jsonSchema": {"$ref": "#/$defs/a29", "$defs": {"a0": {}} | {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n - 1}"}] * 2} for n in range(1, 30)}}}, "with each $ref written out", id="a schema of a billion parts"),
        pytest.param({"jsonSchema": {"enum": ["x" * 20000]}}, "at most 16384 are read", id="a schema that is too long"),
    ],
)  # fmt: skip
def test_an_expectation_that_cannot_be_evaluated_is_neither_passed_nor_failed(
    expect: dict[str, Any], told: str
) -> None:
    given = compare(EvalExpect.model_validate(expect), REPLY)
    assert (given.fit, given.reason, told in given.message) == ("no_answer", CASE_INVALID, True), given
    assert answer(EvalExpect.model_validate(expect), [REPLY], ()) == given, "asking again changes nothing"


def test_an_expression_that_would_backtrack_for_years_is_answered() -> None:
    for expect in (
        {"matches": "(a+)+$"},
        {"json": [{"path": "$[?search(@, '(a+)+$')]", "exists": False}]},
        {"jsonSchema": {"items": {"pattern": "(a+)+$"}}},
    ):
        assert (
            compare(EvalExpect.model_validate(expect), ProbeReply(200, json.dumps(["a" * 50000 + "b"]))).fit
            != "no_answer"
        )


@pytest.mark.parametrize(
    ("expect", "fit"),
    [
        pytest.param({"json": [{"path": "$[10]", "equals": "0"}]}, "passed", id="a path to one place looks at nothing else"),
        pytest.param({"json": [{"path": "$[?@ > 0]", "exists": False}]}, "passed", id="a filter looks at each value"),
        pytest.param({"json": [{"path": f"$[?@[{n}]]", "exists": False} for n in range(32)]}, "no_answer", id="many filters look at too many"),
        pytest.param({"jsonSchema": {"items": {"type": "integer"}}}, "passed", id="a schema looks at each value"),
        pytest.param({"jsonSchema": {"items": {"allOf": [{"minimum": n} for n in range(900)]}}}, "no_answer", id="a schema of many parts looks too often"),
    ],
)  # fmt: skip
def test_no_reply_takes_longer_to_compare_than_it_may(expect: dict[str, Any], fit: str) -> None:
    given = compare(EvalExpect.model_validate(expect), ProbeReply(200, json.dumps([0] * 40_000)))
    assert given.fit == fit and (fit == "passed" or given.reason == REPLY_TOO_LONG), given


def test_what_may_stand_behind_the_part_that_is_read_is_no_difference() -> None:
    cut = ProbeReply(200, '{"answer": "After', cut=True)
    assert compare(EvalExpect(contains="14 days"), cut).reason == REPLY_TOO_LONG
    assert compare(EvalExpect(field="answer", equals="x"), cut).reason == REPLY_TOO_LONG
    assert compare(EvalExpect(contains="After"), cut).fit == "passed"
    assert compare(EvalExpect(status=404), cut).fit == "failed"


def test_a_pod_that_cannot_be_reached_has_not_failed() -> None:
    assert compare(EvalExpect(), ProbeReply(0, "", "refused")) == Answer("no_answer", "no answer: refused", NO_ANSWER)
    refused = ProbeReply(0, "", "certificate is for a.example", TLS_FAILED)
    told = "no answer (TlsFailed): certificate is for a.example"
    assert compare(EvalExpect(), refused) == Answer("no_answer", told, TLS_FAILED)


def test_a_pod_that_takes_longer_than_anybody_waits_is_late_where_the_time_matters() -> None:
    expect, late = (
        EvalExpect.model_validate({"maxLatency": "500ms"}),
        ProbeReply(0, "", "no reply within 5 s", silence.TIMED_OUT),
    )
    assert compare(EvalExpect(), late).fit == "no_answer"
    assert compare(expect, late) == Answer("failed", "wanted a reply within 500ms, got no reply within 5 s")
    assert answer(expect, [late], ()) is None, "asked again: it may have been our own delay"
    assert answer(expect, [late] * 3, ()) == compare(expect, late)


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
