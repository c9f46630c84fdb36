"""Corrections of tickets by people: the latest word of a person on each matter wins over whatever was judged.

A correction is a record beside the ticket, in the ledger or in the queue. Records are merged like alerts: in any order, and twice
is once, so that a process that ends between two writes leaves nothing that the next one does not understand.
"""

from collections.abc import Iterable, Sequence

from opsloop.api.reported import Corrected, LinkedTicket
from opsloop.core.reported import Correction

MOST_RECORDS = 200  # of a ledger; the latest one on each matter of each ticket is kept beyond that
PLACE = "place"  # the matter of link and unlink


def merged(*records: Iterable[Correction]) -> tuple[Correction, ...]:
    """All of these records once, the oldest left out where they are too many."""
    found: dict[tuple[str, str, str], Correction] = {}
    for record in (record for some in records for record in some):
        key = record.ticket, record.id, record.what
        found[key] = max(found.get(key, record), record)
    ordered = sorted(found.values())
    if len(ordered) <= MOST_RECORDS:
        return tuple(ordered)
    newest = sorted(ordered, key=lambda r: (r.at, r))[-MOST_RECORDS:]
    current = {r for some in by_ticket(ordered).values() for r in latest(some).values()}
    return tuple(sorted({*newest, *current}))


def by_ticket(records: Iterable[Correction]) -> dict[str, list[Correction]]:
    """The records of each ticket."""
    found: dict[str, list[Correction]] = {}
    for record in records:
        found.setdefault(record.ticket, []).append(record)
    return found


def latest(records: Iterable[Correction]) -> dict[str, Correction]:
    """Of one ticket the record that counts, by matter: PLACE, route, category, severity. Whoever leaves one Incident for
    another is there."""
    found: dict[str, Correction] = {}
    for record in sorted(records, key=lambda r: (r.turn, r.what == "link", r)):
        found[PLACE if record.what in ("link", "unlink") else record.what] = record
    return found


def is_out(records: Iterable[Correction]) -> bool:
    """True of a ticket that a person took out of where these records lie."""
    place = latest(records).get(PLACE)
    return place is not None and place.what == "unlink"


def turn(records: Iterable[Correction]) -> int:
    """Of the record that says where the ticket is; 0 = no person said it."""
    place = latest(records).get(PLACE)
    return place.turn if place else 0


def linked(ticket: LinkedTicket, records: Sequence[Correction]) -> LinkedTicket:
    """A linked ticket with what people changed of it."""
    if not records:
        return ticket
    found = latest(records)
    last = max(found.values(), key=lambda r: r.turn)
    fields = sorted("link" if matter == PLACE else matter for matter in found)
    changes = {matter: record.after for matter, record in found.items() if matter != PLACE}
    return ticket.model_copy(update={**changes, "corrected": Corrected(at=last.at, by=last.by, fields=fields)})


def told(record: Correction) -> str:
    """One change in words."""
    before, after = record.before or "the queue", record.after or "the queue"
    match record.what:
        case "link" if record.before == record.after:
            return f"confirmed in {after}"
        case "link":
            return f"linked to {after}, before in {before}"
        case "unlink" if record.before == record.after:
            return "kept in the queue"
        case "unlink":
            return f"taken out of {before}, now in {after}"
    return f"{record.what} {record.before} → {record.after}"


def shown(records: Iterable[Correction]) -> dict[str, str]:
    """Matter → `VALUE, by WHO`, for people."""
    names = {PLACE: "incident"}
    return {names.get(m, m): f"{record.after or 'none'}, by {record.by}" for m, record in latest(records).items()}
