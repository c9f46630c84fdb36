"""Parses the intake's two bodies: alerts, as Alertmanager and others send them, and a user's ticket.

Every refusal is `errors.Invalid` and names the field by its path and the right form. Unknown fields are
tolerated: a newer Alertmanager adds some. Storage format: `core.codec`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import from_json

from opsloop.api.incident import TicketExample
from opsloop.core.alerts.labels import is_identifying
from opsloop.core.facts import Alert, Ticket
from opsloop.core.json_parts import Part, split
from opsloop.core.text import line, prose
from opsloop.errors import Invalid

MAX_BODY = 8 * 1024 * 1024  # bytes
MAX_ALERTS = 10_000  # in one body
MAX_LABELS = 64
MAX_LABEL_NAME = 256  # characters
MAX_LABEL_VALUE = 2048
MAX_ANNOTATION = 1024  # longer prose is cut, not refused
MAX_SUBJECT = 256
MAX_TEXT = 16_384
MOST_TRUNCATED = 1_000_000_000  # more than any sender leaves out; a counter stays a number
VERSIONS = ("4", "1")  # of the webhook: Alertmanager's and Grafana's; the fields that are read are the same

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_ID = re.compile(r"[^\s/\x00-\x1f]{1,128}")
_FINGERPRINT = re.compile(r"[!-~]{1,64}")
_ZERO_YEAR = 1  # Go's zero time is in the year 1: not set


def parse_json(raw: bytes) -> Any:
    """Parses a body as JSON. Raises Invalid with the place of the mistake."""
    try:
        return from_json(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"body: not JSON ({error})") from error


@dataclass(frozen=True, slots=True)
class Remark:
    """What became of one alert of a body besides being stored."""

    index: int  # in the body
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """The alerts of one body, in its order, and what the sender should know of the others."""

    alerts: tuple[Alert, ...]
    set_aside: tuple[Remark, ...] = ()  # not stored
    cut: tuple[Remark, ...] = ()  # stored, with something left out
    truncated: int = 0  # alerts that the sender left out (`max_alerts`, its own limits)


def read_alerts(raw: bytes, received_at: datetime) -> Received:
    """All alerts of a body as it arrived, each of them parsed alone. Raises Invalid as `receive` does."""
    fields = split(raw)
    if isinstance(fields, dict):
        wanted: dict[str, Any] = {
            name: fields[name].parse() for name in ("version", "truncatedAlerts") if name in fields
        }
        alerts = fields.get("alerts")
        if alerts is not None:
            wanted["alerts"] = alerts.items() if alerts.is_list() else alerts.parse()
        return receive(wanted, received_at)
    return receive(fields.items() if fields.is_list() else fields.parse(), received_at)


def parse_alerts(body: Any, received_at: datetime) -> tuple[Alert, ...]:
    """The alerts of a body that is JSON already. Raises Invalid as `receive` does."""
    return receive(body, received_at).alerts


def receive(body: Any, received_at: datetime) -> Received:
    """All alerts of a body that keep the rules. Prose is cut, fields that nothing uses are not judged, and an alert that breaks
    a rule is set aside with its reason while the others are taken.

    A body is Alertmanager's webhook (version 4; Mimir's is the same), Grafana's (version 1), or the bare list that Prometheus
    and vmalert send to an Alertmanager. Raises Invalid where the body is none of them, and where no alert of it could be
    taken: then with the reason of the first.
    """
    if isinstance(body, list | Iterator):
        body = {"version": "4", "alerts": body}
    _object(body, "body")
    if body.get("version") not in VERSIONS:
        raise Invalid(f'version: {_show(body.get("version"))} is not supported; Alertmanager sends "4", Grafana "1"')
    alerts = body.get("alerts")
    if not isinstance(alerts, list | Iterator):
        raise Invalid(f"alerts: {_show(alerts)} is not a list of alerts")
    taken: list[Alert] = []
    aside: list[Remark] = []
    cut: list[Remark] = []
    for i, item in enumerate(alerts):
        if i >= MAX_ALERTS:
            more = f"{len(alerts)}" if isinstance(alerts, list) else f"more than {MAX_ALERTS}"
            raise Invalid(f"alerts: {more} are too many; send at most {MAX_ALERTS} in one body")
        try:
            alert, shortened = _alert(_parsed(item, f"alerts[{i}]"), f"alerts[{i}]", received_at)
        except Invalid as error:
            aside.append(Remark(i, str(error)))
            continue
        taken.append(alert)
        if shortened:
            cut.append(Remark(i, "; ".join(shortened)))
    if aside and not taken:
        raise Invalid(aside[0].reason)
    truncated = body.get("truncatedAlerts", 0)
    left_out = truncated if isinstance(truncated, int) and not isinstance(truncated, bool) and truncated > 0 else 0
    return Received(tuple(taken), tuple(aside), tuple(cut), min(left_out, MOST_TRUNCATED))


def parse_ticket(body: Any, received_at: datetime) -> Ticket:
    """Parses a ticket; without `id` one is computed from its text, so that sending it twice is one ticket. Raises Invalid."""
    _object(body, "body")
    subject, text = (
        _string(body.get(name) or "", name, limit) for name, limit in (("subject", 4096), ("body", MAX_TEXT))
    )
    if not (subject.strip() or text.strip()):
        raise Invalid("subject: empty, as is body; say in one of them what happened")
    created = parse_time(body["createdAt"], "createdAt") if body.get("createdAt") is not None else None
    computed = "t-" + hashlib.sha256(json.dumps([subject, text, body.get("createdAt")]).encode()).hexdigest()[:12]
    identity = _string(body["id"], "id") if body.get("id") is not None else computed
    if not _ID.fullmatch(identity):
        raise Invalid(f"id: {_show(identity)} is not 1 to 128 characters without spaces and slashes")
    channel, reporter = (_string(body.get(name) or "", name, 256) for name in ("channel", "reporter"))
    return Ticket(
        id=identity,
        subject=line(subject[:MAX_SUBJECT]),
        body=text,
        channel=channel,
        reporter=reporter,
        created_at=created or received_at,
        received_at=received_at,
        example=_example(body.get("example")),
    )


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """A stable stand-in for Alertmanager's fingerprint: 16 hex characters of a hash of the labels."""
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


def _parsed(item: Any, path: str) -> Any:
    if not isinstance(item, Part):
        return item
    try:
        return item.parse()
    except Invalid as error:
        raise Invalid(f"{path}: {error}") from error


def _alert(item: Any, path: str, received_at: datetime) -> tuple[Alert, list[str]]:
    """The alert and what was cut of it. Raises Invalid, which names the field."""
    _object(item, path)
    labels, cut = _labels(item.get("labels"), f"{path}.labels")
    starts_at = parse_time(item.get("startsAt"), f"{path}.startsAt")
    if starts_at is None:
        raise Invalid(f"{path}.startsAt: the zero time says nothing; give the time at which the alert began")
    status, ends_at = _end(item, path, received_at)
    annotations, prose_cut = _annotations(item.get("annotations"))
    fingerprint = item.get("fingerprint")
    known = isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint)
    return Alert(
        fingerprint=fingerprint if isinstance(fingerprint, str) and known else fingerprint_of(labels),
        status=status,
        starts_at=starts_at,
        labels=labels,
        annotations=annotations,
        received_at=received_at,
        ends_at=ends_at,
    ), [*cut, *prose_cut]


def _end(
    item: Mapping[str, Any], path: str, received_at: datetime
) -> tuple[Literal["firing", "resolved"], datetime | None]:
    """The status, and the end of an alert that is over. Without a status it is over where its end has passed: so Prometheus
    and vmalert say it, whose end of a firing alert lies ahead. Of a firing one it is no more than Alertmanager's time-out."""
    status = item.get("status")
    if status not in ("firing", "resolved", None):
        raise Invalid(f'{path}.status: {_show(status)} is neither "firing" nor "resolved"')
    if status == "firing":
        return "firing", None
    ends_at = parse_time(item["endsAt"], f"{path}.endsAt") if item.get("endsAt") is not None else None
    if status == "resolved":
        return "resolved", ends_at
    over = ends_at is not None and ends_at <= received_at
    return ("resolved", ends_at) if over else ("firing", None)


def _labels(value: Any, path: str) -> tuple[dict[str, str], list[str]]:
    """The labels by clean names and values, at most MAX_LABELS of which those that say what the alert is about come first."""
    cut: list[str] = []
    labels: dict[str, str] = {}
    for name, text in _object(value, path).items():
        if not isinstance(text, str):
            raise Invalid(f"{path}.{_short(name)}: {_show(text)} is not a string")
        if not 0 < len(name) <= MAX_LABEL_NAME:
            cut.append(
                f"labels: the name {_show(name)} is not 1 to {MAX_LABEL_NAME} characters long, so it is left out"
            )
            continue
        if len(text) > MAX_LABEL_VALUE:
            cut.append(f"labels.{_short(name)}: {len(text)} characters; the first {MAX_LABEL_VALUE} are kept")
        labels[line(name)] = line(text[:MAX_LABEL_VALUE])
    if not labels:
        raise Invalid(f"{path}: empty; an alert has at least alertname")
    if len(labels) > MAX_LABELS:
        cut.append(f"labels: {len(labels)} are too many; {MAX_LABELS} are kept")
        labels = dict(sorted(labels.items(), key=lambda item: not is_identifying(item[0]))[:MAX_LABELS])
    return labels, cut


def _annotations(value: Any) -> tuple[dict[str, str], list[str]]:
    """Prose: what is no text is left out, and what is long is cut."""
    if not isinstance(value, dict):
        return {}, []
    texts = [(name, text) for name, text in value.items() if isinstance(text, str) and len(name) <= MAX_LABEL_NAME]
    long = [(name, len(text)) for name, text in texts[:MAX_LABELS] if len(text) > MAX_ANNOTATION]
    cut = [f"annotations.{_short(n)}: {size} characters; the first {MAX_ANNOTATION} are kept" for n, size in long]
    return {line(name): prose(text[:MAX_ANNOTATION]) for name, text in texts[:MAX_LABELS]}, cut


def _example(value: Any) -> TicketExample | None:
    if value is None:
        return None
    _object(value, "example")
    for name in ("asked", "expected"):
        if not _string(value.get(name) or "", f"example.{name}").strip():
            raise Invalid(
                f"example.{name}: missing; an example says what was asked, what came back and what was expected"
            )
    try:
        return TicketExample.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"example.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _object(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f"{path}: {_show(value)} is not a JSON object")
    return value


def _string(value: Any, path: str, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{path}: {_show(value)} is not a string")
    if len(value) > limit:
        raise Invalid(f"{path}: {len(value)} characters are too many; at most {limit}")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise Invalid(f"{path}: holds half a surrogate pair, which is not text")
    return prose(value)


def parse_time(value: Any, path: str) -> datetime | None:
    """RFC 3339 as UTC; None for Go's zero time. Raises Invalid, which names `path`."""
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        # nanoseconds are cut: datetime knows microseconds
        moment = datetime.fromisoformat(
            match[1].upper() + (match[2] or ".0")[:7] + match[3].upper().replace("Z", "+00:00")
        )
        return None if moment.year == _ZERO_YEAR else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{path}: {_show(value)} is not an RFC 3339 time such as 2026-01-05T09:00:00Z") from None


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, float) else repr(value)
    return _short(text)


def _short(text: str) -> str:
    return line(text if len(text) <= 80 else text[:77] + "...")
