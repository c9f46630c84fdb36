"""Parses bodies of alerts, as Alertmanager and others send them. Tickets: `core.tickets.arriving`.

Every refusal is `errors.Invalid` and names the field by its path and the right form. Unknown fields are
tolerated: a newer Alertmanager adds some. Storage format: `core.codec`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic_core import from_json

from opsloop.api.meta import FIRST_YEAR, LAST_YEAR, as_utc
from opsloop.core.alerts.labels import is_identifying
from opsloop.core.json_parts import Part, split
from opsloop.core.notify.alertmanager import NAMES
from opsloop.core.reported import Alert
from opsloop.core.text import line, prose
from opsloop.errors import Invalid

MAX_BODY = 8 * 1024 * 1024  # bytes
OWN = frozenset(NAMES.values())
MAX_ALERTS = 10_000  # in one body
MAX_LABELS = 64
MAX_LABEL_NAME = 256  # characters
MAX_LABEL_VALUE = 2048
MAX_ANNOTATION = 1024  # longer prose is cut, not refused
MOST_TRUNCATED = 1_000_000_000  # more than any sender leaves out; a counter stays a number
VERSIONS = ("4", "1")  # of the webhook: Alertmanager's and Grafana's; the fields that are read are the same

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
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
    taken: then with the reason of the first. opsloop's own pages, which Alertmanager may send here too, are left out without a word.
    """
    if isinstance(body, list | Iterator):
        body = {"version": "4", "alerts": body}
    require_object(body, "body")
    if body.get("version") not in VERSIONS:
        raise Invalid(f'version: {shown(body.get("version"))} is not supported; Alertmanager sends "4", Grafana "1"')
    alerts = body.get("alerts")
    if not isinstance(alerts, list | Iterator):
        raise Invalid(f"alerts: {shown(alerts)} is not a list of alerts")
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
        if alert.labels.get("alertname") in OWN:  # Alertmanager brings back what opsloop itself told it
            continue
        taken.append(alert)
        if shortened:
            cut.append(Remark(i, "; ".join(shortened)))
    if aside and not taken:
        raise Invalid(aside[0].reason)
    truncated = body.get("truncatedAlerts", 0)
    left_out = truncated if isinstance(truncated, int) and not isinstance(truncated, bool) and truncated > 0 else 0
    return Received(tuple(taken), tuple(aside), tuple(cut), min(left_out, MOST_TRUNCATED))


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
    require_object(item, path)
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
        raise Invalid(f'{path}.status: {shown(status)} is neither "firing" nor "resolved"')
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
    for name, text in require_object(value, path).items():
        if not isinstance(text, str):
            raise Invalid(f"{path}.{_short(name)}: {shown(text)} is not a string")
        if not 0 < len(name) <= MAX_LABEL_NAME:
            cut.append(
                f"labels: the name {shown(name)} is not 1 to {MAX_LABEL_NAME} characters long, so it is left out"
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


def require_object(value: Any, path: str) -> Any:
    """The value, which is a JSON object. Raises Invalid."""
    if not isinstance(value, dict):
        raise Invalid(f"{path}: {shown(value)} is not a JSON object")
    return value


def prose_of(value: Any, path: str) -> str:
    """A text of several lines. Raises Invalid where it is none."""
    if not isinstance(value, str):
        raise Invalid(f"{path}: {shown(value)} is not a string")
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
        return None if moment.year == _ZERO_YEAR else as_utc(moment)
    except (ValueError, OverflowError):
        form = f"an RFC 3339 time such as 2026-01-05T09:00:00Z, of the years {FIRST_YEAR} to {LAST_YEAR}"
        raise Invalid(f"{path}: {shown(value)} is not {form}") from None


def shown(value: Any) -> str:
    """A value for a message: short, on one line."""
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, float) else repr(value)
    return _short(text)


def _short(text: str) -> str:
    return line(text if len(text) <= 80 else text[:77] + "...")
