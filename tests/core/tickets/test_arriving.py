"""Tickets as they arrive: what is read, cut, named as misspelt, and refused."""

import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.tickets.arriving import (
    MAX_MARKUP,
    MAX_TEXT,
    MAX_TICKET,
    arrive,
    parse_ticket,
    read_ticket,
)
from opsloop.core.tickets.dates import moment
from opsloop.core.tickets.triage import triage
from opsloop.errors import Invalid
from tests.builders.correlation import NOW

CASES = Path(__file__).parents[2] / "shell" / "intake" / "cases"
TICKET: dict[str, Any] = {
    "id": "HD-1",
    "subject": "Wrong answers",
    "body": "since this morning",
    "channel": "web",
    "reporter": "ana@example.org",
    "example": {"asked": "How do returns work?", "got": "21 days", "expected": "30 days"},
}


def test_createdat_of_a_ticket_defaults_to_the_time_of_receipt() -> None:
    found = parse_ticket(TICKET, NOW)
    assert (found.id, found.created_at, found.received_at) == ("HD-1", NOW, NOW)
    assert found.example is not None and found.example.expected == "30 days"
    assert parse_ticket(TICKET | {"createdAt": "2026-01-05T08:00:00Z"}, NOW).created_at.hour == 8


def test_a_ticket_without_an_id_gets_the_same_one_each_time() -> None:
    bare = {"subject": "Wrong answers", "body": "today"}
    assert parse_ticket(bare, NOW).id == parse_ticket(bare, NOW).id != parse_ticket(bare | {"body": "now"}, NOW).id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"subject": "", "body": " "}, "subject: empty, as is body", id="no text"),
        pytest.param({"id": "a b"}, 'id: "a b" is not 1 to 128 characters', id="an id with a space"),
        pytest.param({"id": True}, "id: true is not a string", id="an id that is a truth"),
        pytest.param({"createdAt": "now"}, "createdAt: 'now' is not an RFC 3339 time", id="now in words"),
        pytest.param({"createdAt": [1]}, "createdAt: list is not an RFC 3339 time", id="a list of times"),
        pytest.param({"example": "x"}, 'example: "x" is not a JSON object', id="an example as text"),
        pytest.param({"example": {"asked": "a"}}, "example.expected: missing", id="an example without what was expected"),
        pytest.param(
            {"example": {"asked": "a", "expected": "b", "got": "x" * 1025}}, "example.got: ", id="a long example"
        ),
    ],
)  # fmt: skip
def test_a_malformed_ticket_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as error:
        parse_ticket(TICKET | change, NOW)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("subjct", "subject"), ("Subject", "subject"), ("boddy", "body"), ("created_at", "createdAt"), ("created", "createdAt"),
        ("reportr", "reporter"), ("chanel", "channel"), ("exmple", "example"), ("ID", "id"), ("_id", "id"),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_named_with_the_right_one(wrong: str, right: str) -> None:
    body = {**TICKET, "createdAt": "2026-01-05T08:00:00Z"}
    body[wrong] = body.pop(right)
    with pytest.raises(Invalid) as error:
        arrive(body, NOW)
    assert str(error.value) == f"{wrong}: there is no such field; did you mean {right}?"


def test_a_misspelt_field_of_an_example_is_named() -> None:
    with pytest.raises(Invalid, match=r"example\.expectd: there is no such field; did you mean example\.expected\?"):
        arrive(TICKET | {"example": {"asked": "a", "expectd": "b"}}, NOW)


@pytest.mark.parametrize(
    "name", ["attachments", "priority", "storm", "url", "status", "tags", "title", "bodyHtml", "uid", "subjects", "updatedAt"]
)  # fmt: skip
def test_another_field_is_taken_for_no_misspelling_and_said(name: str) -> None:
    assert arrive(TICKET | {"createdAt": 1_767_603_600, name: "x"}, NOW).ignored == (name,)


def test_a_body_of_another_system_is_refused_with_what_it_has() -> None:
    with pytest.raises(Invalid, match=r"subject: empty, as is body; .* \(there are title, description\)"):
        arrive({"title": "x", "description": "y"}, NOW)


def test_the_cases_of_real_life_are_taken() -> None:
    for raw in json.loads((CASES / "tickets.json").read_text()).values():
        assert arrive(raw, NOW).cut == ()


@pytest.mark.parametrize(
    ("change", "cut"),
    [
        pytest.param({"body": "x" * 20_000}, f"body: 20000 characters; the first {MAX_TEXT} are kept", id="a novel"),
        pytest.param({"subject": "x" * 300}, "subject: 300 characters; the first 256 are kept", id="a subject"),
        pytest.param({"reporter": "x" * 300}, "reporter: 300 characters; the first 256 are kept", id="a sender"),
    ],
)
def test_what_is_long_is_cut_and_said(change: dict[str, Any], cut: str) -> None:
    assert arrive(TICKET | change, NOW).cut == (cut,)


def test_markup_goes_before_words_are_cut() -> None:
    style = "<html><head><style>" + "p{margin:0;color:#444444}" * 2000 + "</style></head><body>"
    body = style + "<p>Since this morning the assistant gives wrong answers.</p></body></html>"
    arrived = arrive({"subject": "Hello", "body": body}, NOW)
    assert arrived.ticket.body == "Since this morning the assistant gives wrong answers." and not arrived.cut
    assert triage(arrived.ticket).category == "outage"


def test_of_very_much_markup_the_beginning_is_read_and_that_is_said() -> None:
    arrived = arrive({"subject": "Hello", "body": "<p>Broken.</p>" + "<br>" * 100_000}, NOW)
    assert arrived.ticket.body == "Broken."
    assert arrived.cut == (f"body: 400014 characters; the first {MAX_MARKUP} are read",)


def test_a_body_that_is_too_long_for_one_ticket_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Invalid, match="body: 1048577 bytes are too many for one ticket"):
        read_ticket(b"[" * (MAX_TICKET + 1), NOW)


@pytest.mark.parametrize(("given_id", "found"), [(7, "7"), (-3, "-3"), (10**40, str(10**40)), ("HD-1", "HD-1")])
def test_ids_may_be_whole_numbers(given_id: Any, found: str) -> None:
    assert parse_ticket(TICKET | {"id": given_id}, NOW).id == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("2026-01-05T09:00:00Z", "2026-01-05T09:00:00+00:00", id="RFC 3339"),
        pytest.param("2026-01-05t10:00:00.123456789+01:00", "2026-01-05T09:00:00.123456+00:00", id="with nanoseconds"),
        pytest.param("2018-05-07T15:03:57.042+0000", "2018-05-07T15:03:57.042000+00:00", id="Jira"),
        pytest.param("2026-01-05T10:00:00+01", "2026-01-05T09:00:00+00:00", id="a zone of hours"),
        pytest.param("2013-12-12T05:35Z", "2013-12-12T05:35:00+00:00", id="Zendesk's placeholder, without seconds"),
        pytest.param("2026-01-05 09:00:00 UTC", "2026-01-05T09:00:00+00:00", id="GitLab"),
        pytest.param("2026-01-05 09:00:00", "2026-01-05T09:00:00+00:00", id="ServiceNow, in UTC without saying so"),
        pytest.param("Mon, 05 Jan 2026 10:00:00 +0100", "2026-01-05T09:00:00+00:00", id="a mail"),
        pytest.param("5 Jan 2026 09:00 GMT", "2026-01-05T09:00:00+00:00", id="a mail without a weekday"),
        pytest.param("Mon, 05 Jan 2026 09:00:00 -0000", "2026-01-05T09:00:00+00:00", id="a mail that does not know its zone"),
        pytest.param(1525698237764, "2018-05-07T13:03:57.764000+00:00", id="milliseconds"),
        pytest.param(1525698237, "2018-05-07T13:03:57+00:00", id="seconds"),
        pytest.param(1525698237.5, "2018-05-07T13:03:57.500000+00:00", id="seconds with a fraction"),
        pytest.param("1525698237", "2018-05-07T13:03:57+00:00", id="seconds as text"),
        pytest.param("0001-01-01T00:00:00Z", None, id="Go's zero time"),
    ],
)  # fmt: skip
def test_times_as_ticket_systems_write_them(value: Any, found: str | None) -> None:
    read = moment(value, "at")
    assert (read and read.isoformat()) == found


@pytest.mark.parametrize(
    "value",
    ["", "now", "2026-01-05", "05/01/2026 09:00", "12:00", "2026-13-05T09:00:00Z", "2026-01-05T25:00:00Z", "9" * 15, "Mon, 99 Foo 2026 10:00:00",
     True, None, 0, -1, 1e300, float("nan"), float("inf"), 10**40, [], {}, "٢٠٢٦-01-05T09:00:00Z", "9999-12-31T23:59:59-23:59", "x" * 10_000],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_forms(value: Any) -> None:
    with pytest.raises(Invalid, match=r"^at: .{0,90} is not an RFC 3339 time such as"):
        moment(value, "at")


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)), st.integers(-14 * 60, 14 * 60).map(lambda m: timedelta(minutes=m))
)  # fmt: skip
def test_every_form_is_the_same_time(naive: datetime, offset: timedelta) -> None:
    wanted = naive.replace(tzinfo=timezone(offset), microsecond=0)
    forms: list[Any] = [
        wanted.isoformat(),
        wanted.isoformat(" "),
        wanted.strftime("%Y-%m-%dT%H:%M:%S%z"),
        format_datetime(wanted),
    ]
    forms += [
        wanted.timestamp(),
        int(wanted.timestamp() * 1000),
        wanted.astimezone(UTC).replace(tzinfo=None).isoformat(),
    ]
    assert {moment(form, "at") for form in forms} == {wanted}


@given(st.text(max_size=60) | st.floats() | st.integers() | st.text(alphabet="0123456789-:TZ+ .,JanMo", max_size=40))
def test_anything_is_a_time_or_invalid(value: Any) -> None:
    try:
        read = moment(value, "at")
    except Invalid:
        return
    assert read is None or read.tzinfo is UTC


_JSON: Any = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), lambda x: st.lists(x, max_size=3), max_leaves=4)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*TICKET, "createdAt", "subjct", "x"]), _JSON) | _JSON)
def test_any_json_is_a_ticket_or_invalid(body: Any) -> None:
    try:
        found = parse_ticket(body, NOW)
    except Invalid:
        return
    assert found.subject.strip() or found.body.strip()
