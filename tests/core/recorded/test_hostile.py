"""Recorded requests and answers that a service, or whoever writes its log, did not mean for us: long lines and credentials."""

import json
import time

import pytest

from opsloop.core.facts import ProbeReply
from opsloop.core.recorded import lines, redact
from opsloop.core.recorded.difference import Told, difference
from opsloop.core.recorded.sample import sample

HANGS = 5.0  # seconds; what it is against took half a minute, and stops the operator for everybody


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("a" * 60000, id="one long word"),
        pytest.param('x "' + '\\"' * 30000, id="a quotation of quotes that never ends"),
        pytest.param('x "' + '\\"' * 30000 + "\\", id="and a backslash behind it"),
        pytest.param("a-" * 30000, id="a word of dashes"),
        pytest.param("eyJ" * 20000, id="the beginnings of many tokens"),
    ],
)
def test_no_line_keeps_the_operator_busy(line: str) -> None:
    began = time.monotonic()
    lines.read_all(line)
    redact.body(line)
    assert time.monotonic() - began < HANGS


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a;jsessionid=AB12CD34?x=1", id="a session as a parameter of the path"),
        pytest.param("/a?PHPSESSID=abcdef", id="a session of PHP"),
        pytest.param("/a?authtoken=abc", id="a token without an underscore"),
        pytest.param("/a?x=1;token=abc", id="behind a semicolon"),
        pytest.param("/a?clientsecret=x", id="a client's secret"),
        pytest.param("/l?next=https%3A%2F%2Fh%2F%3Ftoken%3Dabcd", id="in an address within the address"),
    ],
)
def test_a_credential_in_a_path_is_taken_out(path: str) -> None:
    assert redact.target(path)[1]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"user":"a","password":"hunter2-secret","items":[{"id":1', id="JSON that the log cut off"),
        pytest.param("user[password]=hunter2&x=1", id="a field of a form of fields"),
        pytest.param("password=abc==&x=1", id="a value with equals signs"),
    ],
)
def test_a_credential_in_a_body_is_taken_out(body: str) -> None:
    assert redact.body(body)[1]


def test_a_credential_in_an_answer_is_told_nowhere() -> None:
    good = [Told(ProbeReply(200, '{"apiKey": "sk_live_1234567890abcdef", "n": 1}'))] * 3
    bad = [Told(ProbeReply(200, '{"apiKey": null, "n": 1}'))] * 3
    found = difference(good, bad)
    assert found is None or "sk_live" not in f"{found.text} {found.expect}"


def test_a_get_with_a_body_is_left_out_as_a_case_could_not_say_it() -> None:
    line = json.dumps({"method": "GET", "path": "/a", "status": 500, "request_body": "{}"})
    assert not sample([line], ["GET"]).requests
