"""Storage format of inbox entries, ledgers and the ticket queue: JSON, gzip, base64, as binaryData of a ConfigMap."""

import base64
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

from opsloop.api.meta import Severity, parse_time
from opsloop.api.reported import LinkedTicket, TicketExample
from opsloop.core.alerts.labels import is_identifying
from opsloop.core.alerts.pages import MOST_PAGES, page_of, roll
from opsloop.core.json_parts import split
from opsloop.core.reported import (
    Alert,
    Asked,
    Category,
    Correction,
    InboxEntry,
    Ledger,
    Matter,
    Moved,
    Page,
    QueuedTicket,
    Row,
    Ticket,
    Triage,
)
from opsloop.errors import Invalid

MAX_OBJECT = 900 * 1024  # bytes of base64 in one ConfigMap; the API server refuses at 1 MiB
MAX_UNPACKED = 32 * 1024 * 1024  # bytes; ten thousand alerts with their prose are a quarter of that
MOST_IN_ENTRY = 1000  # alerts of one inbox entry, so that what one look takes is bounded
FASTER = 6  # zlib's level for what is written often: half of the time of the best, and a few per cent longer
ENTRY = "entry.json.gz"  # keys of binaryData
LEDGER = "ledger.json.gz"
PAGE = "page.json.gz"
QUEUE = "tickets.json.gz"
# Microseconds of Unix time: the years 1 and 10000, between which a datetime lies
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_800_000_000


def encode_entries(
    alerts: Sequence[Alert], tickets: Sequence[Ticket] = (), asked: Sequence[Asked] = ()
) -> list[dict[str, str]]:
    """The binaryData of as many ConfigMaps as needed, each below MAX_OBJECT. Corrections are few and short: they lie in one."""
    if len(alerts) <= MOST_IN_ENTRY:
        content = {"alerts": [dump_alert(a) for a in alerts], "tickets": [dump_ticket(t) for t in tickets]}
        data = pack(content | ({"asked": [_dump_asked(a) for a in asked]} if asked else {}))
        if len(data) <= MAX_OBJECT or len(alerts) + len(tickets) <= 1:
            return [{ENTRY: data}]
    a, t = (len(alerts) + 1) // 2, len(tickets) // 2
    return encode_entries(alerts[:a], tickets[:t], asked) + encode_entries(alerts[a:], tickets[t:])


def decode_entry(binary_data: Mapping[str, str]) -> InboxEntry:
    """The inverse of one item of `encode_entries`. Raises Invalid for data that opsloop did not write."""
    content = unpack(binary_data, ENTRY)
    try:
        return InboxEntry(
            tuple(load_alert(item) for item in content.get("alerts", [])),
            tuple(load_ticket(item) for item in content.get("tickets", [])),
            asked=tuple(_load_asked(item) for item in content.get("asked", [])),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{ENTRY}: not an inbox entry ({error!r})") from error


def encode_ledger(ledger: Ledger) -> dict[str, str]:
    """binaryData below MAX_OBJECT, without its pages (but with their number): folded are the texts of its tickets, what left it (but not that it left),
    annotations, labels that name no service, older episodes, and all labels but name, service and severity, in this order.

    Raises Invalid where that is not enough.
    """
    for fold in (
        _unchanged,
        _without_originals,
        _without_gone,
        _without_annotations,
        _with_few_labels,
        _latest_episodes,
        _in_short,
    ):
        ledger = fold(ledger)
        data = pack(_dump_ledger(ledger), FASTER)
        if len(data) <= MAX_OBJECT:
            return {LEDGER: data}
    raise Invalid(f"ledger: {len(ledger.alerts)} alerts need {len(data)} bytes; a ConfigMap holds {MAX_OBJECT}")


def decode_ledger(binary_data: Mapping[str, str]) -> Ledger:
    """The inverse of `encode_ledger`, without its pages. Raises Invalid for data that opsloop did not write."""
    return decode_ledger_with_pages(binary_data)[0]


def decode_ledger_with_pages(binary_data: Mapping[str, str]) -> tuple[Ledger, int]:
    """(as `decode_ledger`, number of its pages)."""
    content = unpack(binary_data, LEDGER)
    try:
        number = content.get("pages", 0)
        if type(number) is not int or not 0 <= number <= MOST_PAGES:
            raise ValueError(f"{number!r:.40} pages")
        ledger = Ledger(
            tuple(load_alert(item) for item in content["alerts"]),
            tuple(map(_linked, content["tickets"])),
            tuple(load_alert(item) for item in content.get("gone", ())),
            tuple(_load_move(item) for item in content.get("moves", ())),
            originals=tuple(load_ticket(item) for item in content.get("originals", ())),
            corrections=tuple(_load_correction(item) for item in content.get("corrections", ())),
        )
        return ledger, number
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{LEDGER}: not a ledger ({error!r})") from error


def encode_page(page: Page) -> dict[str, str]:
    """binaryData below MAX_OBJECT: rows, and each kind of labels once. Raises Invalid where that is not enough."""
    for most in (None, 1):  # older episodes are left out first
        kinds: dict[tuple[tuple[str, str], ...], int] = {}
        labels: list[dict[str, str]] = []
        rows: list[list[Any]] = []
        for fingerprint, episodes in page.by_print.items():
            for *moments, ended, names in episodes[-most:] if most else episodes:
                kind = kinds.setdefault(tuple(names.items()), len(labels))
                if kind == len(labels):
                    labels.append(dict(names))
                rows.append([fingerprint, kind, ended, *moments])
        data = pack({"labels": labels, "rows": rows}, FASTER)
        if len(data) <= MAX_OBJECT:
            return {PAGE: data}
    raise Invalid(f"page: {len(page.by_print)} alerts need {len(data)} bytes; a ConfigMap holds {MAX_OBJECT}")


def decode_page(binary_data: Mapping[str, str]) -> Page:
    """The inverse of `encode_page`. Raises Invalid for data that opsloop did not write."""
    content = unpack(binary_data, PAGE)
    try:
        labels = [_texts(item) for item in content["labels"]]
        return page_of(_row(labels, item) for item in content["rows"])
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{PAGE}: not a page of a ledger ({error!r})") from error


def _row(labels: Sequence[dict[str, str]], item: Sequence[Any]) -> tuple[str, Row]:
    fingerprint, kind, ended, starts_at, received_at, ends_at, heard_at = item
    certain, maybe = (starts_at, received_at), [at for at in (ends_at, heard_at) if at is not None]
    if type(kind) is not int or kind < 0 or type(ended) is not bool:
        raise TypeError("a row is [fingerprint, number of its labels, ended, startsAt, receivedAt, endsAt, heardAt]")
    if any(type(at) is not int or not EARLIEST <= at < LATEST for at in (*certain, *maybe)):
        raise ValueError("a row's times are microseconds of Unix time")
    return _text(fingerprint), (starts_at, received_at, ends_at, heard_at, ended, labels[kind])


def _dump_ledger(ledger: Ledger) -> dict[str, Any]:
    content: dict[str, Any] = {"alerts": [dump_alert(a) for a in ledger.alerts], "tickets": list(ledger.tickets)}
    if ledger.moves:
        content |= {"gone": [dump_alert(a) for a in ledger.gone], "moves": [_dump_move(m) for m in ledger.moves]}
    if ledger.originals:
        content["originals"] = [dump_ticket(t) for t in ledger.originals]
    if ledger.corrections:
        content["corrections"] = [_dump_correction(c) for c in ledger.corrections]
    return content | ({"pages": len(ledger.pages)} if ledger.pages else {})


def _dump_asked(asked: Asked) -> dict[str, Any]:
    return {k: v for k, v in asdict(asked).items() if v} | {"at": asked.at.astimezone(UTC).isoformat()}


def _load_asked(item: Mapping[str, Any]) -> Asked:
    texts = {k: _text(v) for k, v in item.items() if k not in ("at", "unlink")}
    return Asked(at=_moment(item["at"]), unlink=item.get("unlink") is True, **texts)


def _dump_correction(record: Correction) -> list[Any]:
    at = record.at.astimezone(UTC).isoformat()
    return [record.ticket, record.turn, record.what, record.before, record.after, record.by, at, record.id]


def _load_correction(item: Sequence[Any]) -> Correction:
    ticket, turn, what, before, after, by, at, identity = item
    if type(turn) is not int or what not in get_args(Matter):
        raise ValueError("a correction is [ticket, turn, what, before, after, by, at, id]")
    return Correction(_text(ticket), turn, what, _text(before), _text(after), _text(by), _moment(at), _text(identity))


def _dump_move(move: Moved) -> list[Any]:
    start, at = (moment.astimezone(UTC).isoformat() for moment in (move.starts_at, move.at))
    return [move.fingerprint, start, move.turn, move.out, move.other, at, move.why]


def _load_move(item: Sequence[Any]) -> Moved:
    fingerprint, start, turn, out, other, at, why = item
    if type(turn) is not int or type(out) is not bool:
        raise TypeError("a move is [fingerprint, startsAt, turn, out, other, at, why]")
    return Moved(_text(fingerprint), _moment(start), turn, out, _text(other), _moment(at), _text(why))


def encode_queue(queue: Sequence[QueuedTicket]) -> dict[str, str]:
    """binaryData of one segment of the queue. Raises Invalid where it is longer than MAX_OBJECT."""
    data = pack({"tickets": [_dump_queued(q) for q in queue]}, FASTER)
    if len(data) > MAX_OBJECT:
        raise Invalid(f"tickets: {len(queue)} need {len(data)} bytes; a ConfigMap holds {MAX_OBJECT}")
    return {QUEUE: data}


def decode_queue(binary_data: Mapping[str, str]) -> tuple[QueuedTicket, ...]:
    """The inverse of `encode_queue`. Raises Invalid for data that opsloop did not write."""
    content = unpack(binary_data, QUEUE)
    try:
        return tuple(_load_queued(item) for item in content["tickets"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"binaryData.{QUEUE}: not a ticket queue ({error!r})") from error


def _dump_queued(queued: QueuedTicket) -> dict[str, Any]:
    records = {"corrections": [_dump_correction(c) for c in queued.corrections]} if queued.corrections else {}
    return dump_ticket(queued.ticket) | asdict(queued.triage) | records


def _load_queued(item: Mapping[str, Any]) -> QueuedTicket:
    records = tuple(_load_correction(record) for record in item.get("corrections", ()))
    return QueuedTicket(load_ticket(item), _triage(item), records)


def pack(content: Any, level: int = 9) -> str:
    """JSON, gzip (without a time stamp: same content, same bytes), base64."""
    raw = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(raw, level, mtime=0)).decode()


def unpack(binary_data: Mapping[str, str], key: str) -> dict[str, Any]:
    """The inverse of `pack` for one key of binaryData, which somebody else may have written. Raises Invalid.

    It is inflated up to MAX_UNPACKED bytes and no further, and each element of its lists is parsed alone.
    """
    try:
        fields = split(_inflated(base64.b64decode(binary_data[key], validate=True)))
        if not isinstance(fields, dict):
            raise ValueError("not a JSON object")
        return {
            name: [item.parse() for item in part.items()] if part.is_list() else part.parse()
            for name, part in fields.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, zlib.error, Invalid) as error:
        raise Invalid(f"binaryData.{key}: not gzip of JSON ({error!r:.200})") from error


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    raw = inflater.decompress(data, MAX_UNPACKED)
    if inflater.unconsumed_tail:
        raise ValueError(f"more than {MAX_UNPACKED} bytes")
    if not inflater.eof:
        raise ValueError("it ends too early")
    return raw


def dump_alert(alert: Alert) -> dict[str, Any]:
    """The alert as JSON, with short names: a ledger holds thousands."""
    item: dict[str, Any] = {
        "fp": alert.fingerprint,
        "status": alert.status,
        "start": alert.starts_at.astimezone(UTC).isoformat(),
        "labels": dict(alert.labels),
        "notes": dict(alert.annotations),
        "seen": alert.received_at.astimezone(UTC).isoformat(),
    }
    for key, moment in (("end", alert.ends_at), ("heard", alert.heard_at)):
        if moment is not None:
            item[key] = moment.astimezone(UTC).isoformat()
    return item


def load_alert(item: Mapping[str, Any]) -> Alert:
    """The inverse of `dump_alert`. Raises KeyError, TypeError or ValueError."""
    if item["status"] not in ("firing", "resolved"):
        raise ValueError(f"status {item['status']!r:.40}")
    return Alert(
        fingerprint=_text(item["fp"]),
        status=item["status"],
        starts_at=_moment(item["start"]),
        labels=_texts(item["labels"]),
        annotations=_texts(item.get("notes", {})),
        received_at=_moment(item["seen"]),
        ends_at=_moment(item["end"]) if "end" in item else None,
        heard_at=_moment(item["heard"]) if "heard" in item else None,
    )


def _linked(item: Mapping[str, Any]) -> dict[str, Any]:
    LinkedTicket.model_validate(item)
    return dict(item)


def _triage(item: Mapping[str, Any]) -> Triage:
    category, severity, route = (_text(item[name]) for name in ("category", "severity", "route"))
    if severity not in get_args(Severity):
        raise ValueError(f"severity {severity!r:.40}")
    because, own = (_text(item.get(name, "")) for name in ("because", "own"))
    return Triage(cast(Category, category), cast(Severity, severity), route, because, own)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _texts(value: Any) -> dict[str, str]:
    return {name: _text(text) for name, text in value.items()}


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r:.40} has no time zone")
    return parse_time(value)


def dump_ticket(ticket: Ticket) -> dict[str, Any]:
    """The ticket as JSON, camel case."""
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "body": ticket.body,
        "channel": ticket.channel,
        "reporter": ticket.reporter,
        "createdAt": ticket.created_at.astimezone(UTC).isoformat(),
        "receivedAt": ticket.received_at.astimezone(UTC).isoformat(),
        "example": ticket.example.dump() if ticket.example else None,
        **({"automatic": ticket.automatic} if ticket.automatic else {}),
    }


def load_ticket(item: Mapping[str, Any]) -> Ticket:
    """The inverse of `dump_ticket`. Raises KeyError, TypeError or ValueError."""
    return Ticket(
        id=_text(item["id"]),
        subject=_text(item["subject"]),
        body=_text(item["body"]),
        channel=_text(item["channel"]),
        reporter=_text(item["reporter"]),
        created_at=_moment(item["createdAt"]),
        received_at=_moment(item["receivedAt"]),
        example=TicketExample.model_validate(item["example"]) if item.get("example") else None,
        automatic=item.get("automatic", ""),
    )


def _unchanged(ledger: Ledger) -> Ledger:
    return ledger


def _without_originals(ledger: Ledger) -> Ledger:
    return replace(ledger, originals=())


def _without_gone(ledger: Ledger) -> Ledger:
    return replace(ledger, gone=())


def _without_annotations(ledger: Ledger) -> Ledger:
    return replace(ledger, alerts=tuple(replace(a, annotations={}) for a in ledger.alerts))


def _with_few_labels(ledger: Ledger) -> Ledger:
    few = (replace(a, labels={k: v for k, v in a.labels.items() if is_identifying(k)}) for a in ledger.alerts)
    return replace(ledger, alerts=tuple(few))


def _latest_episodes(ledger: Ledger) -> Ledger:
    latest = {a.fingerprint: a for a in ledger.alerts}  # sorted by startsAt: the last one stays
    return replace(ledger, alerts=tuple(a for a in ledger.alerts if latest[a.fingerprint] is a))


def _in_short(ledger: Ledger) -> Ledger:
    return replace(ledger, alerts=tuple(map(roll, ledger.alerts)))
