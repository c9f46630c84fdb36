"""How alerts and tickets are stored: JSON, gzip, base64, as a ConfigMap's binaryData, below the API server's limit."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opsloop.api.incident import TicketExample
from opsloop.core.facts import Alert, Ticket
from opsloop.errors import Invalid

MAX_OBJECT = 900 * 1024  # bytes of base64 in one ConfigMap; the API server refuses at 1 MiB
ENTRY = "entry.json.gz"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one inbox ConfigMap holds."""

    alerts: tuple[Alert, ...] = ()
    tickets: tuple[Ticket, ...] = ()


def encode_entries(alerts: Sequence[Alert], tickets: Sequence[Ticket] = ()) -> list[dict[str, str]]:
    """The binaryData of as many ConfigMaps as needed, each below MAX_OBJECT."""
    data = pack({"alerts": [dump_alert(a) for a in alerts], "tickets": [dump_ticket(t) for t in tickets]})
    if len(data) <= MAX_OBJECT or len(alerts) + len(tickets) <= 1:
        return [{ENTRY: data}]
    a, t = (len(alerts) + 1) // 2, len(tickets) // 2
    return encode_entries(alerts[:a], tickets[:t]) + encode_entries(alerts[a:], tickets[t:])


def decode_entry(binary_data: Mapping[str, str]) -> Entry:
    """The inverse of one item of `encode_entries`. Raises Invalid for what opsloop did not write."""
    content = unpack(binary_data, ENTRY)
    try:
        return Entry(
            tuple(load_alert(item) for item in content.get("alerts", [])),
            tuple(load_ticket(item) for item in content.get("tickets", [])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{ENTRY}: not an inbox entry ({error!r})") from error


def pack(content: Any) -> str:
    """JSON, gzip (without a time stamp: same content, same bytes), base64."""
    raw = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def unpack(binary_data: Mapping[str, str], key: str) -> dict[str, Any]:
    """The inverse of `pack` for one key of binaryData. Raises Invalid."""
    try:
        content = json.loads(gzip.decompress(base64.b64decode(binary_data[key], validate=True)))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        return content
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise Invalid(f"binaryData.{key}: not gzip of JSON ({error!r})") from error


def dump_alert(alert: Alert) -> dict[str, Any]:
    """Short names: a ledger holds thousands."""
    item = {
        "fp": alert.fingerprint,
        "status": alert.status,
        "start": alert.starts_at.astimezone(UTC).isoformat(),
        "labels": dict(alert.labels),
        "notes": dict(alert.annotations),
        "seen": alert.received_at.astimezone(UTC).isoformat(),
    }
    return item if alert.ends_at is None else item | {"end": alert.ends_at.astimezone(UTC).isoformat()}


def load_alert(item: Mapping[str, Any]) -> Alert:
    """The inverse of `dump_alert`. Raises KeyError, TypeError or ValueError."""
    return Alert(
        fingerprint=item["fp"],
        status=item["status"],
        starts_at=datetime.fromisoformat(item["start"]),
        labels=item["labels"],
        annotations=item.get("notes", {}),
        received_at=datetime.fromisoformat(item["seen"]),
        ends_at=datetime.fromisoformat(item["end"]) if "end" in item else None,
    )


def dump_ticket(ticket: Ticket) -> dict[str, Any]:
    """As JSON, camel case."""
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "body": ticket.body,
        "channel": ticket.channel,
        "reporter": ticket.reporter,
        "createdAt": ticket.created_at.astimezone(UTC).isoformat(),
        "receivedAt": ticket.received_at.astimezone(UTC).isoformat(),
        "example": ticket.example.dump() if ticket.example else None,
    }


def load_ticket(item: Mapping[str, Any]) -> Ticket:
    """The inverse of `dump_ticket`. Raises KeyError, TypeError or ValueError."""
    return Ticket(
        id=item["id"],
        subject=item["subject"],
        body=item["body"],
        channel=item["channel"],
        reporter=item["reporter"],
        created_at=datetime.fromisoformat(item["createdAt"]),
        received_at=datetime.fromisoformat(item["receivedAt"]),
        example=TicketExample.model_validate(item["example"]) if item.get("example") else None,
    )
