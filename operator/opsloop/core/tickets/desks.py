"""Payloads of ticket systems as they come: a mapping per desk says by JSONPath (RFC 9535) where each field of a ticket stands.

Four desks are ready-made (`desks.json`); configuration adds others, or says what is different (`like`).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError

from opsloop.core.intake import prose_of, require_object, shown
from opsloop.core.reported import Ticket
from opsloop.core.text import line, prose
from opsloop.core.tickets.arriving import (
    MAX_NAME,
    MAX_SUBJECT,
    Arrived,
    computed_id,
    refuse_misspelt,
    shorten,
    shorten_text,
    shown_name,
    ticket_json,
)
from opsloop.core.tickets.dates import moment
from opsloop.core.tickets.mail import automatic_by_headers
from opsloop.core.tickets.message import MAX_MESSAGE, read_message
from opsloop.errors import Invalid

FIELDS = ("id", "subject", "body", "createdAt", "channel", "reporter", "headers")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
MAX_EXPRESSION = 256  # characters
MOST_TEXTS = 500  # that one expression finds; a description in Jira's document format has one for each line
LONGEST_ID = 128
_UNFIT = re.compile(r"[\s/\x00-\x1f<>]+")
_JSONPATH = JSONPathEnvironment(strict=True)


@dataclass(frozen=True, slots=True)
class Path:
    """One compiled expression."""

    text: str
    compiled: JSONPath

    def find(self, body: Any) -> list[Any]:
        """What it finds, at most MOST_TEXTS. Raises Invalid where the body is nested too deep."""
        found = []
        try:
            for match in self.compiled.finditer(body):
                found.append(match.obj)
                if len(found) == MOST_TEXTS:
                    break
        except (JSONPathError, RecursionError) as error:
            raise Invalid(f"body: {self.text} cannot be read in it ({type(error).__name__})") from error
        return found


@dataclass(frozen=True, slots=True)
class Desk:
    """How the payloads of one ticket system are read. Of several expressions the first that finds a text counts."""

    name: str
    fields: Mapping[str, tuple[Path, ...]]
    only: tuple[tuple[Path, tuple[str, ...]], ...] = ()  # a ticket is made where each of these finds one of its values


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A payload that is no new ticket."""

    reason: str


@lru_cache(maxsize=1)
def ready_made() -> Mapping[str, Desk]:
    """The desks that ship with the package."""
    content = json.loads(files("opsloop.core.tickets").joinpath("desks.json").read_text(encoding="ascii"))
    return {name: _desk(name, item, {}) for name, item in content.items()}


def desks_of(config: Any, path: str = "desks") -> dict[str, Desk]:
    """The ready-made desks and those of the configuration, which come first. Raises Invalid that names each wrong field."""
    found, wrong = dict(ready_made()), []
    for name, item in _object(config, path).items():
        where = f"{path}.{shown_name(name)}"
        try:
            if not NAME.fullmatch(name):
                raise Invalid(
                    f"{where}: not a name of 1 to 40 letters a to z, digits and - (it is a part of the address)"
                )
            found[name] = _desk(name, _object(item, where), ready_made(), where)
        except Invalid as error:
            wrong.append(str(error))
    if wrong:
        raise Invalid("; ".join(wrong))
    return found


def read_payload(desk: Desk, raw: bytes, received_at: datetime) -> Arrived | PassedOver:
    """The ticket of a desk's payload: JSON, or a mail as it is. Raises Invalid where it has no text that the mapping finds.

    A time that cannot be read is the time of arrival, which is said: a desk cannot send it better.
    """
    cut: list[str] = []
    if raw.lstrip()[:1] in (b"{", b"["):
        body = ticket_json(raw)
    else:
        body = read_message(raw)
        if len(raw) > MAX_MESSAGE:
            cut.append(f"body: a mail of {len(raw)} bytes; the first {MAX_MESSAGE} are read")
    require_object(body, "body")
    for path, values in desk.only:
        there = [_text(value) for value in path.find(body)]
        if not set(there) & set(values):
            what = f"is {shown(there[0])}" if there else "is not there"
            return PassedOver(f"{path.text} {what}; tickets are made where it is {' or '.join(values)}")
    subject = shorten(_first(desk, "subject", body, " "), "subject", MAX_SUBJECT, cut)
    text = shorten_text(_first(desk, "body", body, "\n"), cut)
    if not (subject.strip() or text.strip()):
        places = [path.text for name in ("subject", "body") for path in desk.fields.get(name, ())]
        raise Invalid(f"subject: nothing at {', '.join(places)}; the body has {_names(body)}")
    channel, reporter = (
        shorten(_first(desk, name, body, " "), name, MAX_NAME, cut) for name in ("channel", "reporter")
    )
    ticket = Ticket(
        id=_identity(desk, body, subject, text),
        subject=line(subject),
        body=text,
        channel=line(channel) or desk.name,
        reporter=line(reporter),
        created_at=_created(desk, body, cut) or received_at,
        received_at=received_at,
        automatic=automatic_by_headers(_headers(desk, body)),
    )
    return Arrived(ticket, tuple(cut))


def _desk(name: str, item: Mapping[str, Any], known: Mapping[str, Desk], where: str = "") -> Desk:
    refuse_misspelt(item, (*FIELDS, "only", "like"), f"{where}.")
    if unknown := [field for field in item if field not in (*FIELDS, "only", "like")]:
        raise Invalid(
            f"{where}.{shown_name(unknown[0])}: there is no such field; there are {', '.join(FIELDS)}, only, like"
        )
    like = item.get("like")
    if like is not None and like not in known:
        raise Invalid(f"{where}.like: {shown(like)} is no ready-made desk; there are {', '.join(sorted(known))}")
    begin = replace(known[like], name=name) if like is not None else Desk(name, {})
    fields = {field: _paths(item[field], f"{where}.{field}") for field in FIELDS if field in item}
    only = _only(item["only"], f"{where}.only") if "only" in item else begin.only
    desk = Desk(name, {**begin.fields, **fields}, only)
    if not (desk.fields.get("subject") or desk.fields.get("body")):
        raise Invalid(f"{where}: neither subject nor body; say where at least one of them stands, for example $.title")
    return desk


def _paths(value: Any, where: str) -> tuple[Path, ...]:
    return tuple(_path(text, where) for text in (value if isinstance(value, list) else [value]))


def _path(text: Any, where: str) -> Path:
    if not isinstance(text, str) or len(text) > MAX_EXPRESSION:
        raise Invalid(
            f"{where}: {shown(text)} is not a JSONPath of at most {MAX_EXPRESSION} characters, such as $.issue.title"
        )
    try:
        return Path(text, _JSONPATH.compile(text))  # type: ignore[arg-type]  # no compound query: strict
    except JSONPathError as error:
        why = str(error).splitlines()[0]
        raise Invalid(f"{where}: {shown(text)} is not a JSONPath such as $.issue.title ({why})") from error


def _only(value: Any, where: str) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    found = []
    for text, values in _object(value, where).items():
        listed = values if isinstance(values, list) else [values]
        if not listed or not all(isinstance(item, str | int) for item in listed):
            raise Invalid(f"{where}.{shown_name(text)}: {shown(values)} is not a list of texts")
        found.append((_path(text, where), tuple(_text(item) for item in listed)))
    return tuple(found)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    require_object(value, path)
    return dict(value)


def _text(value: Any) -> str:
    """A text, number or truth as text; "" for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _first(desk: Desk, field: str, body: Any, between: str) -> str:
    """The text of a field; what one expression finds in several places is one text."""
    for path in desk.fields.get(field, ()):
        texts = [text for text in map(_text, path.find(body)) if text.strip()]
        if texts:
            return prose_of(between.join(texts), field)
    return ""


def _identity(desk: Desk, body: Any, subject: str, text: str) -> str:
    """The desk's name and its own identifier, so that two desks that count do not mix."""
    own = _UNFIT.sub("-", _first(desk, "id", body, "-")).strip("-")
    if not own:
        return computed_id(json.dumps([desk.name, subject, text, _first(desk, "createdAt", body, " ")]))
    whole = f"{desk.name}-{own}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return whole if len(whole) <= LONGEST_ID else f"{whole[: LONGEST_ID - 13]}-{digest}"


def _created(desk: Desk, body: Any, cut: list[str]) -> datetime | None:
    for path in desk.fields.get("createdAt", ()):
        for value in path.find(body)[:1]:
            try:
                if value is not None and (found := moment(value, "createdAt")):
                    return found
            except Invalid as error:
                cut.append(f"{error}; the time of arrival is taken")
                return None
    return None


def _headers(desk: Desk, body: Any) -> dict[str, str]:
    """The mail's headers: an object, or a list of pairs or of `{name, value}` as services that take mails send them."""
    for path in desk.fields.get("headers", ()):
        for value in path.find(body)[:1]:
            pairs = value.items() if isinstance(value, dict) else map(_pair, value if isinstance(value, list) else ())
            return {name: prose(text) for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
    return {}


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, dict):
        lower = {name.lower(): value for name, value in item.items()}
        return lower.get("name"), lower.get("value")
    return (item[0], item[1]) if isinstance(item, list) and len(item) == 2 else (None, None)


def _names(body: Iterable[str]) -> str:
    return ", ".join([shown_name(name) for name in body][:8]) or "no field"
