"""Carries out what people ask to correct: where a ticket belongs, and its category, severity and route.

Each change is a record in the ledger or the queue that holds the ticket. What a ticket moves to has it before it leaves where it
was, and a correction that was half carried out is found by its id and carried out to the same end.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import get_args

from opsloop.api.cause import Evidence
from opsloop.api.incident import Incident
from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts import corrections
from opsloop.core.alerts.ledger import merge
from opsloop.core.facts import CorrelationFacts
from opsloop.core.reported import (
    Answer,
    Asked,
    Correction,
    HouseWords,
    Ledger,
    Lesson,
    Matter,
    QueuedTicket,
    Taught,
    Ticket,
    Triage,
)
from opsloop.core.text import line
from opsloop.core.tickets import corrected, taught
from opsloop.core.tickets.model import POSSIBLE
from opsloop.core.tickets.triage import ROUTES, possible, route_of
from opsloop.errors import Invalid

CORRECTED = "TicketCorrected"  # a person corrected a ticket, or took back what was learnt
REFUSED = "CorrectionRefused"  # it names something that there is not; the message says what there is
MOST_NAMED = 20  # in an answer


@dataclass(slots=True)
class Filed:
    """What goes into one ledger."""

    tickets: tuple[LinkedTicket, ...] = ()
    originals: tuple[Ticket, ...] = ()
    corrections: tuple[Correction, ...] = ()


@dataclass(slots=True)
class Corrected:
    """The namespace's tickets after all corrections. `filed` is written before the queue, and `taken` after it."""

    ledgers: dict[str, Ledger]
    queue: dict[str, QueuedTicket]
    taught: Taught
    filed: dict[str, Filed] = field(default_factory=dict)
    taken: dict[str, tuple[Correction, ...]] = field(default_factory=dict)  # Incident → records of what left it
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A ticket: the Incident that it is linked to, "" = in the queue, and what people corrected of it, wherever that lies."""

    where: str
    ticket: Ticket
    triage: Triage  # as it was judged
    linked: LinkedTicket | None
    records: tuple[Correction, ...]


def correct(facts: CorrelationFacts, queue: Iterable[QueuedTicket], now: datetime, grace: timedelta) -> Corrected:
    """Everything that is asked for in the inbox, in the order in which it was asked. `grace`: an Incident takes tickets so long."""
    state = Corrected({**facts.further, **facts.ledgers}, {q.ticket.id: q for q in queue}, facts.taught)
    for asked in facts.asked:
        try:
            text = _forget(asked, state) if asked.forget else _one(asked, facts, state, now, grace)
            answer = Answer(asked.id, asked.at, asked.by, asked.ticket, True, text)
        except Invalid as error:
            answer = Answer(asked.id, asked.at, asked.by, asked.ticket, False, line(str(error))[:800])
        state.answers.append(answer)
    state.taught = taught.with_answers(state.taught, state.answers) if state.answers else state.taught
    return state


def _forget(asked: Asked, state: Corrected) -> str:
    if done := next((a for a in state.taught.answers if a.id == asked.id), None):
        return done.text
    state.taught, text = taught.forget(state.taught, asked.forget)
    return f"{text}, says {asked.by}"


def _one(asked: Asked, facts: CorrelationFacts, state: Corrected, now: datetime, grace: timedelta) -> str:
    """Carries one out; what to tell of it."""
    if asked.wrong:
        raise Invalid(asked.wrong)
    found = _find(asked.ticket, state, facts.house)
    records = _of(asked.id, found.records)  # half carried out by a process that ended
    if not records:
        if asked.link:
            _may_take(asked.link, facts.incidents, now, grace)
        records = _records(asked, found, facts)
    if not records:
        return f"ticket {asked.ticket}: nothing to change, it is so already"
    _file(found, records, state, facts)
    services = {i.metadata.name: i.spec.release or i.spec.service for i in facts.incidents}
    lessons = _lessons(found, records, services, facts.house)
    state.taught = taught.with_lessons(state.taught, lessons) if lessons else state.taught
    return f"ticket {asked.ticket} {', '.join(map(corrections.told, records))}, by {asked.by}"


def _of(identity: str, records: Iterable[Correction]) -> tuple[Correction, ...]:
    """The records of one correction, without what says in the ledger that a ticket left that it went to another."""
    own = [r for r in records if r.id == identity]
    moves = [replace(r, what="link" if r.after else "unlink") for r in own if r.what in ("link", "unlink")]
    return _in_order([*moves[:1], *(r for r in own if r.what not in ("link", "unlink"))])


def _in_order(records: Iterable[Correction]) -> tuple[Correction, ...]:
    return tuple(sorted(records, key=lambda r: get_args(Matter).index(r.what)))


def _find(identity: str, state: Corrected, house: HouseWords) -> _Found:
    """Where the ticket is: a person's word on it counts, then a ledger that holds it, then the queue. Raises Invalid."""
    queued = state.queue.get(identity)
    holders = {
        name: item for name, book in sorted(state.ledgers.items()) for item in book.tickets if item["id"] == identity
    }
    if queued is None and not holders:
        ids = dict.fromkeys([*state.queue, *(str(t["id"]) for book in state.ledgers.values() for t in book.tickets)])
        near = difflib.get_close_matches(identity, list(ids)[:5000], n=3)
        more = f"; there is {', '.join(near)}" if near else "; `opsloop tickets` lists those that there are"
        raise Invalid(f"ticket: there is no ticket {identity} in this namespace, linked or in the queue{more}")
    books = [book.corrections for book in state.ledgers.values()]
    everywhere = (queued.corrections if queued else (), *books)
    records = corrections.merged(*([r for r in some if r.ticket == identity] for some in everywhere))
    place = corrections.latest(records).get(corrections.PLACE)
    where = place.after if place else next(iter(holders), "")
    if where and where not in holders:
        where = ""
    holder = where or next(iter(holders), "")
    linked = LinkedTicket.model_validate(holders[holder]) if holder else None
    if queued is not None:
        return _Found(where, queued.ticket, queued.triage, linked, records)
    assert linked is not None
    originals = (t for book in state.ledgers.values() for t in book.originals if t.id == identity)
    judged = corrected.in_category(Triage("unknown", linked.severity, linked.route), linked.category, house)
    return _Found(where, next(originals, _bare(linked)), judged, linked, records)


def _bare(linked: LinkedTicket) -> Ticket:
    """What is left of a ticket whose ledger was too full for its text, or older than texts in ledgers."""
    at = linked.received_at
    return Ticket(linked.id, linked.subject, "", "", "", at, at, linked.example)


def _may_take(name: str, incidents: Sequence[Incident], now: datetime, grace: timedelta) -> None:
    """Raises Invalid where this Incident takes no ticket."""
    incident = next((i for i in incidents if i.metadata.name == name), None)
    takes = [i.metadata.name for i in incidents if i.is_open or i.resolved_within(grace, now)]
    right = f"those that take tickets are {', '.join(takes[:MOST_NAMED])}" if takes else "none of them is open"
    if incident is None:
        raise Invalid(f"link: there is no Incident {name} in this namespace; {right}")
    if incident.status.merged_into:
        raise Invalid(f"link: {name} was merged into {incident.status.merged_into}; link to that one")
    if name not in takes:
        raise Invalid(f"link: {name} is over; {right}")


def _records(asked: Asked, found: _Found, facts: CorrelationFacts) -> tuple[Correction, ...]:
    """What changes, and what follows from it: a category brings its route, and a severity that it can have, unless people chose them."""
    house = facts.house
    now, chosen = corrected.judged(found.triage, found.records, house), corrections.latest(found.records)
    if found.linked and "route" not in chosen:
        now = replace(now, route=found.linked.route)
    changes: dict[Matter, tuple[str, str]] = {}
    if asked.link:
        changes["link"] = found.where, asked.link
    if asked.unlink:
        changes["unlink"] = found.where, ""
    if asked.category:
        _known(asked.category, "category", {*ROUTES, *house.categories})
        after = corrected.in_category(now, asked.category, house)
        changes["category"] = now.called, asked.category
        if "route" not in chosen and not asked.route:
            changes["route"] = now.route, route_of(asked.category, house)
        if "severity" not in chosen and not asked.severity:
            own = house.categories.get(asked.category)
            can = own.severities if own and own.severities else POSSIBLE[after.category]
            changes["severity"] = now.severity, possible(now.severity, can)
    if asked.severity:
        changes["severity"] = now.severity, asked.severity
    if asked.route:
        _known(asked.route, "route", routes(facts))
        changes["route"] = now.route, asked.route
    turn = max((r.turn for r in found.records), default=0) + 1
    return _in_order(
        Correction(asked.ticket, turn, what, before, after_, asked.by, asked.at, asked.id)
        for what, (before, after_) in changes.items()
        if before != after_ or what in ("link", "unlink")
    )


def routes(facts: CorrelationFacts) -> set[str]:
    """Every route that there is: opsloop's, the house's, and the teams of Releases."""
    own = {category.route for category in facts.house.categories.values()}
    teams = {view.release.metadata.labels.get("team", "")[:64] for view in facts.releases}
    return {*ROUTES.values(), *facts.house.routes.values(), *own, *teams} - {""}


def _known(value: str, path: str, there: Iterable[str]) -> None:
    names = sorted(there)
    if value not in names:
        raise Invalid(f"{path}: there is no {value}; there are {', '.join(names[:MOST_NAMED])}")


def _file(found: _Found, new: tuple[Correction, ...], state: Corrected, facts: CorrelationFacts) -> None:
    """Puts the ticket where it belongs now, with all records of it, and notes that it left where it was."""
    identity = found.ticket.id
    moved = next((r for r in new if r.what in ("link", "unlink")), None)
    records = corrections.merged(found.records, new)
    later = corrections.turn(
        records
    )  # more than that of `moved` where a later one was carried out by a process that ended
    where = moved.after if moved and moved.turn >= later else found.where
    if where:
        tickets: tuple[LinkedTicket, ...] = ()
        book = state.ledgers.get(where, Ledger())
        if moved and not any(r.id == moved.id and r.ticket == identity for r in book.corrections):
            tickets = (_as_linked(found, where, moved, facts),)
        _into(state, where, Filed(tickets, (found.ticket,), records))
        state.queue.pop(identity, None)
    else:
        state.queue[identity] = QueuedTicket(found.ticket, found.triage, records)
    if moved and moved.before and moved.before != where:
        left = (replace(moved, what="unlink"), *(r for r in new if r is not moved))
        state.taken[moved.before] = (*state.taken.get(moved.before, ()), *left)
        state.ledgers[moved.before] = merge(state.ledgers.get(moved.before, Ledger()), corrections=left)


def _as_linked(found: _Found, where: str, moved: Correction | None, facts: CorrelationFacts) -> LinkedTicket:
    """The ticket for the ledger of the Incident that a person chose; the owning team takes it, if it is known."""
    release = next((i.spec.release for i in facts.incidents if i.metadata.name == where), "")
    teams = [v.release.metadata.labels.get("team", "") for v in facts.releases if v.release.metadata.name == release]
    judged = found.triage
    own = route_of("outage" if judged.severity == "sev1" else judged.called, facts.house)
    route = (next(filter(None, teams), "") or own)[:64]
    by = [Evidence(name="Person", value=f"linked by {moved.by}", source="correction")] if moved else []
    if found.linked:
        return found.linked.model_copy(update={"score": 1.0, "route": route, "evidence": by})
    ticket = found.ticket
    because = [Evidence(name="Triage", value=judged.because[:1000], source="ticket text")] if judged.because else []
    return LinkedTicket(
        id=ticket.id,
        subject=ticket.subject[:256] or ticket.body[:80],
        category=judged.called,
        severity=judged.severity,
        route=route,
        score=1.0,
        evidence=[*by, *because],
        example=ticket.example,
        received_at=ticket.received_at,
    )


def _into(state: Corrected, incident: str, new: Filed) -> None:
    old = state.filed.get(incident, Filed())
    state.filed[incident] = Filed(
        (*old.tickets, *new.tickets), (*old.originals, *new.originals), (*old.corrections, *new.corrections)
    )
    ledger = state.ledgers.get(incident, Ledger())
    state.ledgers[incident] = merge(ledger, (), new.tickets, (), new.originals, new.corrections)


def _lessons(found: _Found, new: Sequence[Correction], services: Mapping[str, str], house: HouseWords) -> list[Lesson]:
    lessons: list[Lesson] = []
    for record in new:
        if record.what in ("link", "unlink"):
            words = taught.words_to_learn(found.ticket)
            of = {services.get(record.before, ""): False, services.get(record.after, ""): True}
            lessons += [Lesson(record.id, record.ticket, s, means, words=words) for s, means in of.items() if s]
        elif record.what == "category":
            blank = Triage("unknown", "sev3", "")
            before, after = (
                corrected.in_category(blank, name, house).category for name in (found.triage.called, record.after)
            )
            lessons.append(Lesson(record.id, record.ticket, before=before, after=after))
    return lessons
