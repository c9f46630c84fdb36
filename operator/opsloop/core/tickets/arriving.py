"""A user's ticket as it arrives: what is long is cut, what is misspelt is named, and what is said of both goes back to the sender.

Every refusal is `errors.Invalid` and names the field by its path and the right form.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from opsloop.api.reported import TicketExample
from opsloop.core.intake import parse_json, prose_of, require_object, shown
from opsloop.core.reported import Ticket
from opsloop.core.text import line
from opsloop.core.tickets.dates import moment
from opsloop.core.tickets.mail import visible
from opsloop.errors import Invalid

MAX_TICKET = 1024 * 1024  # bytes of its JSON: some ten milliseconds, and a page of a ticket system with all its fields
MAX_SUBJECT = 256  # characters
MAX_TEXT = 16_384
MAX_MARKUP = 262_144  # of which the text is taken: what mail programs write around few words
MAX_NAME = 256  # channel, reporter
FIELDS = ("id", "subject", "body", "channel", "reporter", "createdAt", "example")
EXAMPLE = ("asked", "got", "expected")
ALIKE = (
    0.85  # share of letters (difflib's ratio) from which another name is a misspelling: one letter of four, two of ten
)
MOST_NAMED = 20  # unknown fields in an answer

_ID = re.compile(r"[^\s/\x00-\x1f]{1,128}")
_HALF_A_TAG = re.compile(r"<[^<>]{0,300}\Z")
_BETWEEN = re.compile(r"[\s_.-]+")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A ticket, and what its sender should know of it."""

    ticket: Ticket
    cut: tuple[str, ...] = ()  # what was left out of it
    ignored: tuple[str, ...] = ()  # its fields that mean nothing here


def read_ticket(raw: bytes, received_at: datetime) -> Arrived:
    """The ticket of a body in our own form. Raises Invalid."""
    return arrive(ticket_json(raw), received_at)


def ticket_json(raw: bytes) -> Any:
    """The body as JSON. Raises Invalid where it is none, or too long for one ticket."""
    if len(raw) > MAX_TICKET:
        raise Invalid(f"body: {len(raw)} bytes are too many for one ticket; at most {MAX_TICKET}")
    return parse_json(raw)


def parse_ticket(body: Any, received_at: datetime) -> Ticket:
    """The ticket alone. Raises Invalid as `arrive` does."""
    return arrive(body, received_at).ticket


def arrive(body: Any, received_at: datetime) -> Arrived:
    """A ticket in our own form; without `id` one is computed from its text, so that sending it twice is one ticket. Raises Invalid."""
    require_object(body, "body")
    refuse_misspelt(body, FIELDS)
    cut: list[str] = []
    subject = shorten(prose_of(body.get("subject") or "", "subject"), "subject", MAX_SUBJECT, cut)
    text = shorten_text(prose_of(body.get("body") or "", "body"), cut)
    if not (subject.strip() or text.strip()):
        raise Invalid(f"subject: empty, as is body; say in one of them what happened{_instead(body)}")
    created = moment(body["createdAt"], "createdAt") if body.get("createdAt") is not None else None
    texts = json.dumps([body.get("subject") or "", body.get("body") or "", body.get("createdAt")])
    identity = body.get("id") if body.get("id") is not None else computed_id(texts)
    channel, reporter = (
        shorten(prose_of(body.get(name) or "", name), name, MAX_NAME, cut) for name in ("channel", "reporter")
    )
    ticket = Ticket(
        id=identified(identity, "id"),
        subject=line(subject),
        body=text,
        channel=channel,
        reporter=reporter,
        created_at=created or received_at,
        received_at=received_at,
        example=_example(body.get("example")),
    )
    ignored = [name for name in body if name not in FIELDS]
    return Arrived(ticket, tuple(cut), tuple(line(name[:MAX_NAME]) for name in ignored[:MOST_NAMED]))


def refuse_misspelt(body: Mapping[str, Any], known: Iterable[str], path: str = "") -> None:
    """Raises Invalid for a name that is nearly a known one which is not there; others are nobody's mistake."""
    missing = {_bare(name): name for name in known if name not in body}
    for name in body:
        if name in known or len(name) > MAX_NAME:
            continue
        if near := difflib.get_close_matches(_bare(name), missing, n=1, cutoff=ALIKE):
            raise Invalid(f"{path}{shown_name(name)}: there is no such field; did you mean {path}{missing[near[0]]}?")


def identified(value: Any, path: str) -> str:
    """An identifier: a text, or a whole number. Raises Invalid."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else prose_of(value, path)
    if not _ID.fullmatch(text):
        raise Invalid(f"{path}: {shown(text)} is not 1 to 128 characters without spaces and slashes")
    return text


def computed_id(content: str) -> str:
    """An identifier for a ticket that has none: the same content, the same ticket."""
    return "t-" + hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:12]


def shorten(text: str, path: str, most: int, cut: list[str]) -> str:
    """The first so many characters; where more is left out, `cut` says so."""
    if len(text) > most:
        cut.append(f"{path}: {len(text)} characters; the first {most} are kept")
    return text[:most]


def shorten_text(text: str, cut: list[str]) -> str:
    """A ticket's text of at most MAX_TEXT characters. Markup goes first: around few words some mail programs write much of it."""
    if len(text) <= MAX_TEXT:
        return text
    if len(text) > MAX_MARKUP:
        cut.append(f"body: {len(text)} characters; the first {MAX_MARKUP} are read")
        text = _HALF_A_TAG.sub("", text[:MAX_MARKUP])
    return shorten(visible(text).strip(), "body", MAX_TEXT, cut)


def shown_name(name: str) -> str:
    """The name of a field, for a message."""
    return line(name if len(name) <= 80 else name[:77] + "...")


def _bare(name: str) -> str:
    return _BETWEEN.sub("", name).lower()


def _instead(body: Mapping[str, Any]) -> str:
    """What there is in place of a text: names that a ticket system uses."""
    names = [shown_name(name) for name in body if name not in FIELDS][:5]
    return f" (there are {', '.join(names)})" if names else ""


def _example(value: Any) -> TicketExample | None:
    if value is None:
        return None
    require_object(value, "example")
    refuse_misspelt(value, EXAMPLE, "example.")
    for name in ("asked", "expected"):
        if not prose_of(value.get(name) or "", f"example.{name}").strip():
            raise Invalid(
                f"example.{name}: missing; an example says what was asked, what came back and what was expected"
            )
    try:
        return TicketExample.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"example.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
