"""Parses the intake's two bodies: Alertmanager's webhook (version 4, unchanged) and a user's ticket.

Every refusal is `errors.Invalid` and names the field by its path and the right form. Unknown fields are
tolerated: a newer Alertmanager adds some. Storage format: `core.codec`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast

from pydantic import ValidationError

from opsloop.api.incident import TicketExample
from opsloop.core.facts import Alert, Ticket
from opsloop.errors import Invalid

MAX_BODY = 8 * 1024 * 1024  # bytes
MAX_ALERTS = 10_000  # in one body
MAX_LABELS = 64
MAX_LABEL_NAME = 256  # characters
MAX_LABEL_VALUE = 2048
MAX_ANNOTATION = 1024  # longer prose is cut, not refused
MAX_SUBJECT = 256
MAX_TEXT = 16_384

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_ID = re.compile(r"[^\s/\x00-\x1f]{1,128}")
_ZERO_YEAR = 1  # Go's zero time is in the year 1: not set


def parse_json(raw: bytes) -> Any:
    """Parses a body as JSON. Raises Invalid with the place of the mistake."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"body: not JSON ({error})") from error


def parse_alerts(body: Any, received_at: datetime) -> tuple[Alert, ...]:
    """Parses all alerts of a webhook body, in its order. Raises Invalid."""
    _object(body, "body")
    if body.get("version") != "4":
        raise Invalid(f'version: {_show(body.get("version"))} is not supported; Alertmanager sends "4"')
    for name in ("groupKey", "receiver", "externalURL"):
        _string(body.get(name, ""), name)
    alerts = body.get("alerts")
    if not isinstance(alerts, list):
        raise Invalid(f"alerts: {_show(alerts)} is not a list of alerts")
    if len(alerts) > MAX_ALERTS:
        raise Invalid(f"alerts: {len(alerts)} are too many; send at most {MAX_ALERTS} in one body")
    return tuple(_alert(item, f"alerts[{i}]", received_at) for i, item in enumerate(alerts))


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
        subject=subject[:MAX_SUBJECT],
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


def _alert(item: Any, path: str, received_at: datetime) -> Alert:
    _object(item, path)
    status = item.get("status")
    if status not in ("firing", "resolved"):
        raise Invalid(f'{path}.status: {_show(status)} is neither "firing" nor "resolved"')
    labels = _labels(item.get("labels"), f"{path}.labels")
    starts_at = parse_time(item.get("startsAt"), f"{path}.startsAt")
    if starts_at is None:
        raise Invalid(f"{path}.startsAt: the zero time says nothing; give the time at which the alert began")
    ends_at = parse_time(item["endsAt"], f"{path}.endsAt") if item.get("endsAt") is not None else None
    fingerprint = _string(item.get("fingerprint") or "", f"{path}.fingerprint", 64) or fingerprint_of(labels)
    _string(item.get("generatorURL") or "", f"{path}.generatorURL")
    return Alert(
        fingerprint=fingerprint,
        status=cast(Literal["firing", "resolved"], status),
        starts_at=starts_at,
        labels=labels,
        annotations=_annotations(item.get("annotations"), f"{path}.annotations"),
        received_at=received_at,
        ends_at=ends_at if status == "resolved" else None,  # of a firing alert it is Alertmanager's time-out
    )


def _labels(value: Any, path: str) -> dict[str, str]:
    labels = _strings(value, path)
    if not labels:
        raise Invalid(f"{path}: empty; an alert has at least alertname")
    if len(labels) > MAX_LABELS:
        raise Invalid(f"{path}: {len(labels)} are too many; at most {MAX_LABELS}")
    for name, text in labels.items():
        if not 0 < len(name) <= MAX_LABEL_NAME:
            raise Invalid(f"{path}: the name {_show(name)} is not 1 to {MAX_LABEL_NAME} characters long")
        if len(text) > MAX_LABEL_VALUE:
            raise Invalid(f"{path}.{name}: {len(text)} characters are too many; at most {MAX_LABEL_VALUE}")
    return labels


def _annotations(value: Any, path: str) -> dict[str, str]:
    return {name: text[:MAX_ANNOTATION] for name, text in list(_strings(value or {}, path).items())[:MAX_LABELS]}


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


def _strings(value: Any, path: str) -> dict[str, str]:
    for name, text in _object(value, path).items():
        _string(text, f"{path}.{name}")
    return cast("dict[str, str]", value)


def _string(value: Any, path: str, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{path}: {_show(value)} is not a string")
    if len(value) > limit:
        raise Invalid(f"{path}: {len(value)} characters are too many; at most {limit}")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise Invalid(f"{path}: holds half a surrogate pair, which is not text")
    return value


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
    return text if len(text) <= 80 else text[:77] + "..."
