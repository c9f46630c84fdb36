"""Payloads of ticket systems as they come. Their forms and sources: tests/core/tickets/desks/README.md."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.tickets.arriving import Arrived
from opsloop.core.tickets.desks import PassedOver, desks_of, read_payload, ready_made
from opsloop.core.tickets.message import MAX_MESSAGE, read_message
from opsloop.core.tickets.triage import triage
from opsloop.errors import Invalid
from tests.builders.correlation import NOW

SAMPLES = Path(__file__).parent / "desks"
WRITTEN = datetime(2026, 1, 5, 8, 58, 38, tzinfo=UTC)
POSTMARK = {
    "id": "$.MessageID", "subject": "$.Subject", "body": ["$.TextBody", "$.HtmlBody"], "createdAt": "$.Date", "reporter": "$.From",
    "headers": "$.Headers",
}  # fmt: skip
DESKS = desks_of(
    {"automation": {"like": "jira", "only": {}}, "postmark": POSTMARK, "issues": {"subject": "$.t", "id": "$.n"}}
)


def read(desk: str, body: Any) -> Arrived:
    found = read_payload(DESKS[desk], body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)
    assert isinstance(found, Arrived)
    return found


@pytest.mark.parametrize(
    ("desk", "file", "identity", "reporter"),
    [
        ("zendesk", "zendesk.json", "zendesk-5158", "8447388090494"),
        ("jira", "jira.json", "jira-SUP-42", "ana@example.org"),
        ("automation", "jira-document.json", "automation-SUP-43", "Ana"),
        ("github", "github.json", "github-444500041", "ana"),
        ("mail", "mail.eml", "mail-CA+a-b=c@mail.example.org", "Ana Muñoz <ana@example.org>"),
        ("postmark", "postmark.json", "postmark-73e6d360-66eb-11e1-8e72-a8904824019b", "ana@example.org"),
    ],
)
def test_a_payload_as_its_vendor_documents_it(desk: str, file: str, identity: str, reporter: str) -> None:
    arrived = read(desk, (SAMPLES / file).read_bytes())
    ticket = arrived.ticket
    assert (ticket.id, ticket.subject, ticket.reporter, arrived.cut) == (identity, "Wrong answers", reporter, ())
    assert ticket.created_at.replace(microsecond=0) == WRITTEN and "this morning the assistant gives" in ticket.body
    if not ticket.automatic:
        assert triage(ticket).category == "outage"


@pytest.mark.parametrize(("desk", "file"), [("mail", "away.eml"), ("postmark", "postmark.json")])
def test_an_automatic_mail_is_known_by_its_headers(desk: str, file: str) -> None:
    ticket = read(desk, (SAMPLES / file).read_bytes()).ticket
    assert ticket.automatic == "auto-reply" and triage(ticket).category == "unknown"


def test_the_words_of_a_document_are_one_text() -> None:
    ticket = read("automation", (SAMPLES / "jira-document.json").read_bytes()).ticket
    assert ticket.body == "Since this morning the assistant gives \nwrong\nanswers to all of us."


def test_a_mail_as_json_is_the_mail() -> None:
    raw = (SAMPLES / "mail.eml").read_bytes()
    assert read("mail", read_message(raw)) == read("mail", raw)


@pytest.mark.parametrize(
    ("desk", "body", "reason"),
    [
        pytest.param("github", {"zen": "x", "hook_id": 1}, "$.action is not there", id="GitHub's ping"),
        pytest.param("github", {"action": "labeled", "issue": {"title": "x"}}, '$.action is "labeled"', id="another action"),
        pytest.param("jira", {"webhookEvent": "jira:issue_updated"}, '$.webhookEvent is "jira:issue_updated"', id="an update"),
        pytest.param("zendesk", {"type": "zen:event-type:ticket.status_changed"}, "$.type is", id="a change of status"),
    ],
)  # fmt: skip
def test_what_is_no_new_ticket_is_passed_over_with_its_reason(desk: str, body: Any, reason: str) -> None:
    found = read_payload(DESKS[desk], json.dumps(body).encode(), NOW)
    assert isinstance(found, PassedOver) and found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        pytest.param({"t": "x", "n": 7}, "issues-7", id="a whole number"),
        pytest.param({"t": "x", "n": "A 7/b"}, "issues-A-7-b", id="letters that an id may not have"),
        pytest.param({"t": "x", "n": "7" * 200}, f"issues-{'7' * 108}", id="a long one"),
    ],
)
def test_ids_are_unique_among_desks(body: Any, identity: str) -> None:
    found = read("issues", body).ticket.id
    assert found[:115] == identity and len(found) <= 128


def test_without_an_id_the_same_payload_is_the_same_ticket() -> None:
    assert (
        read("issues", {"t": "x"}).ticket.id
        == read("issues", {"t": "x", "y": 1}).ticket.id
        != read("issues", {"t": "z"}).ticket.id
    )


def test_a_time_that_cannot_be_read_is_the_time_of_arrival_and_that_is_said() -> None:
    body = json.loads((SAMPLES / "github.json").read_text())
    body["issue"]["created_at"] = "yesterday"
    arrived = read("github", body)
    assert arrived.ticket.created_at == NOW
    assert arrived.cut[0].startswith("createdAt: 'yesterday' is not") and arrived.cut[0].endswith(
        "the time of arrival is taken"
    )


def test_a_payload_without_a_text_is_refused_with_the_places_and_what_there_is() -> None:
    with pytest.raises(Invalid, match=r"subject: nothing at \$\.t; the body has title"):
        read("issues", {"title": "x"})


def test_of_a_long_mail_the_beginning_is_read_and_that_is_said() -> None:
    raw = (SAMPLES / "away.eml").read_bytes() + b"x" * MAX_MESSAGE
    arrived = read("mail", raw)
    assert arrived.cut[0] == f"body: a mail of {len(raw)} bytes; the first {MAX_MESSAGE} are read"
    assert arrived.ticket.subject == "Wrong answers"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"x": {"subjct": "$.a"}}, "desks.x.subjct: there is no such field; did you mean desks.x.subject?", id="a misspelt field"),
        pytest.param({"x": {"subject": "$.a", "colour": 1}}, "desks.x.colour: there is no such field; there are id,", id="an unknown field"),
        pytest.param({"Help Desk": {}}, "desks.Help Desk: not a name of", id="a name that is no part of an address"),
        pytest.param({"x": {"subject": "$.a["}}, 'desks.x.subject: "$.a[" is not a JSONPath', id="half an expression"),
        pytest.param({"x": {"subject": ["$.a", "b"]}}, 'desks.x.subject: "b" is not a JSONPath', id="one of several"),
        pytest.param({"x": {"subject": 7}}, "desks.x.subject: 7 is not a JSONPath", id="a number"),
        pytest.param({"x": {"id": "$.a"}}, "desks.x: neither subject nor body", id="no text"),
        pytest.param({"x": {"like": "otrs"}}, 'desks.x.like: "otrs" is no ready-made desk; there are github, jira, mail, zendesk', id="unknown like"),
        pytest.param({"x": {"like": "jira", "only": {"$.a": []}}}, "desks.x.only.$.a: [] is not a list", id="no value"),
        pytest.param({"x": 1, "y": 2}, "desks.x: 1 is not a JSON object; desks.y: 2 is not a JSON object", id="two at once"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_by_the_name_of_its_field(config: Any, message: str) -> None:
    with pytest.raises(Invalid) as error:
        desks_of(config)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b"hello", "neither JSON nor a mail", id="a word"),
        pytest.param(b"", "neither JSON nor a mail", id="nothing"),
        pytest.param(b"From: x\n" + b"A: b\n" * 9000, "lines of headers", id="very many headers"),
        pytest.param(b"From: x\n" + b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 30, "more than 20 parts", id="parts in parts"),
        pytest.param(b"From: x\n" + b"Content-Type: message/rfc822\n\n" * 30, "more than 20 parts", id="mails in mails"),
        pytest.param(b"From: x\nContent-Type: text/plain" + b"; a=b" * 9000, "a header Content-", id="a header that takes long"),
    ],
)  # fmt: skip
def test_a_mail_that_would_take_long_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        read_message(raw)


@pytest.mark.parametrize("charset", ["idna", "zlib", "nobody-knows", "utf-16", "\x00", ""])
def test_a_charset_that_is_none_costs_letters_and_no_ticket(charset: str) -> None:
    raw = f"From: x\nContent-Type: text/plain; charset={charset}\n\nit is broken".encode()
    assert isinstance(read_message(raw)["text"], str)


@pytest.mark.parametrize("charset", [b"idna", b"zlib", b"nobody-knows", b"utf\xc48", b"u\x99f-8", b"\x00"])
def test_a_subject_in_a_charset_that_is_none_is_read_as_it_is_written(charset: bytes) -> None:
    raw = b"From: x\nSubject: it =?utf-8?q?is?= =?" + charset + b"?q?broken?=\n\nsince today"
    assert "broken" in read_message(raw)["headers"]["subject"]


_ANY: Any = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["issue", "fields", "title", "description", "text", "headers", "action", "id", "name"]), x, max_size=3), max_leaves=8)  # fmt: skip


@given(
    st.sampled_from(sorted(ready_made())),
    _ANY | st.dictionaries(st.sampled_from(["issue", "headers", "text", "fields"]), _ANY),
)
def test_any_json_is_a_ticket_or_passed_over_or_invalid(desk: str, body: Any) -> None:
    try:
        read_payload(DESKS[desk], json.dumps(body).encode(), NOW)
    except Invalid:
        return


@given(
    st.binary(max_size=200) | st.text(alphabet='From: Subject\n=?utf-8bqQ;"\\\r\x00<>{', max_size=200).map(str.encode)
)
def test_any_bytes_are_a_mail_or_invalid(raw: bytes) -> None:
    try:
        read_payload(DESKS["mail"], b"From: x\n" + raw, NOW)
    except Invalid:
        return


@given(
    st.sampled_from(["mail.eml", "away.eml"]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_a_mail_with_wrong_bytes_is_a_mail_or_invalid(file: str, wrong: list[tuple[int, int]]) -> None:
    raw = bytearray((SAMPLES / file).read_bytes())
    for place, byte in wrong:
        raw[place % len(raw)] = byte
    try:
        read_payload(DESKS["mail"], bytes(raw), NOW)
    except Invalid:
        return
