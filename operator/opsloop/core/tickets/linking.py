"""Links tickets to Incidents: a sum of named evidence, in the same unit for all, and a threshold.

Not linked at all, whatever the sum: a ticket that tells of no failing service (billing, account, question, wish, a standing
defect, or one that the model cannot read), one about something past, one outside the Incident's time, and an Incident that harms
nobody (sev4). Method: docs/tickets.md.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from opsloop.api.cause import Evidence
from opsloop.api.meta import format_time
from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts import corrections
from opsloop.core.reported import Candidate, HouseWords, Ledger, Looked, QueuedTicket, Ticket, Triage
from opsloop.core.tickets.corrected import of_queue
from opsloop.core.tickets.features import cues_of, cues_of_word, tokens_of
from opsloop.core.tickets.mentions import GENERAL, Mention, Text
from opsloop.core.tickets.model import Pulls
from opsloop.core.tickets.triage import is_over, text_of, triage

BEFORE = timedelta(minutes=4)  # users are quicker than rules, and onsets are estimates
AFTER = timedelta(hours=3)
THRESHOLD = 0.5  # what a ticket that names nothing and shares a common symptom with a small Incident does not reach
HARM = frozenset({"outage", "performance"})
FAILING, SLOW = "failing", "slow"

LEARNT = 0.6  # share of its worth that a word has which people's corrections taught, and nobody wrote down
ROOT, ONE_HOP, FURTHER, STARVED = 2.0, 1.4, 0.9, 0.8  # a word for such a service, ÷ √ of the Incidents that touch it
REACHED = 0.6  # share of its worth that such a word has of a service that needs the root and of which nothing is told
ELSEWHERE, ELSEWHERE_IN_GENERAL = (
    -1.0,
    -0.3,
)  # only a word for a service that it does not harm; a general word is a guess
SAME_SLOW, SAME_FAILING = 0.6, 0.3
EVERYTHING = 0.6  # "nothing works", "the site is down", of what harms the service that users enter by
EXAMPLE = 0.6  # an example of what came back is a failure that can be asked again
SIZE = 0.25  # × ln(1 + services): of two that fit the greater one is the likelier
LATE = 0.5  # less per half an hour after the onset
LATE_MOST = 1.5  # after so long all hours are alike: who names the failing service in the third hour still means it
_EVERYTHING = frozenset(["everything", "anything", "nothing", "all", "alles", "nichts", "tout", "rien", "todo", "nada"])
_SENTENCE_ENDS = frozenset(".;!?\n:")
_FIRST_WORDS = 3
_HALF_HOUR = 1800.0
MOST_COMPARED = 1000  # tickets of one look: a third of a second


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate with the sum of the evidence for it."""

    candidate: Candidate
    total: float  # by which candidates are compared
    evidence: tuple[Evidence, ...]
    sure: float = 0.0  # what has to reach the threshold: who names what is harmed means it in the third hour too

    @property
    def score(self) -> float:
        """Confidence from 0 to 1: ½ at the threshold."""
        return round(1 / (1 + math.exp(2 * (THRESHOLD - self.sure))), 2)


@dataclass(frozen=True, slots=True)
class Linked:
    """What one look links. `links`: Incident → its new tickets; `queue`: all that wait afterwards; `judged`: how many were compared;
    `more`: others have to be."""

    links: Mapping[str, tuple[LinkedTicket, ...]]
    queue: tuple[QueuedTicket, ...]
    looked: Looked
    judged: int
    more: bool


def link_tickets(
    tickets: Sequence[Ticket],
    queue: Sequence[QueuedTicket],
    ledgers: Mapping[str, Ledger],
    candidates: Sequence[Candidate],
    house: HouseWords | None = None,
    looked: Looked | None = None,
    most: int = MOST_COMPARED,
) -> Linked:
    """A ticket that some ledger holds is settled; `house`: its routes and categories.

    `looked` saves work and changes nothing: a ticket that the last look compared is compared again only where a candidate that
    is or was in its time came, went or changed, or a person corrected it. At most `most` are compared, the others by the next look.
    """
    waiting = {q.ticket.id: q for q in waiting_of(tickets, queue, ledgers, house)}
    before = looked or Looked()
    changed = [c for c in candidates if c not in before.candidates]
    changed += [c for c in before.candidates if c not in candidates]
    links: dict[str, list[LinkedTicket]] = {}
    todo = [q for q in waiting.values() if not corrections.is_out(q.corrections) and _is_due(q, before, changed)]
    # those that the last look had no time for come first
    todo.sort(key=lambda q: (q.ticket.id in before.tickets, q.ticket.id))
    for queued in todo[:most]:
        judgement = of_queue(queued, house or HouseWords())
        if match := link(queued.ticket, judgement, candidates):
            links.setdefault(match.candidate.incident, []).append(linked_ticket(queued, match))
    gone = {t.id for new in links.values() for t in new}
    rest = tuple(q for q in waiting.values() if q.ticket.id not in gone)
    left = {q.ticket.id for q in todo[most:]}
    after = Looked(tuple(candidates), {q.ticket.id: len(q.corrections) for q in rest if q.ticket.id not in left})
    new_links = {name: tuple(sorted(new, key=lambda t: t.id)) for name, new in links.items()}
    return Linked(new_links, rest, before if after == before else after, len(todo[:most]), bool(left))


def _is_due(queued: QueuedTicket, looked: Looked, changed: Iterable[Candidate]) -> bool:
    known = looked.tickets.get(queued.ticket.id) == len(queued.corrections)
    return not known or any(_in_time(queued.ticket, c) for c in changed)


def waiting_of(
    tickets: Iterable[Ticket],
    queue: Iterable[QueuedTicket],
    ledgers: Mapping[str, Ledger],
    house: HouseWords | None = None,
    pulls: Pulls | None = None,
) -> tuple[QueuedTicket, ...]:
    """The queue with what arrived, judged; without what a ledger holds. Of a ticket in both the later word of a person counts."""
    turns: dict[str, int] = {}
    for ledger in ledgers.values():
        records = corrections.by_ticket(ledger.corrections)
        for item in ledger.tickets:
            own = records.get(item["id"], ())
            if not corrections.is_out(own):
                turns[item["id"]] = max(turns.get(item["id"], 0), corrections.turn(own))
    held = {str(item["id"]) for ledger in ledgers.values() for item in ledger.tickets}
    waiting = {
        q.ticket.id: q
        for q in queue
        if q.ticket.id not in turns or corrections.turn(q.corrections) > turns[q.ticket.id]
    }
    for ticket in tickets:
        if ticket.id not in held and ticket.id not in waiting:
            waiting[ticket.id] = QueuedTicket(ticket, triage(ticket, house=house, pulls=pulls))
    return tuple(waiting.values())


def link(ticket: Ticket, judgement: Triage, candidates: Sequence[Candidate]) -> Match | None:
    """The candidate with the greatest sum of at least THRESHOLD; of equals the one that began later."""
    if judgement.category not in HARM or is_over(judgement):
        return None
    fits = [c for c in candidates if c.severity != "sev4" and _in_time(ticket, c)]
    if not fits:
        return None
    said = _said(text_of(ticket), judgement, fits)
    matches = [match for c in fits if (match := _match(ticket, said, c)).sure >= THRESHOLD]
    return max(matches, key=lambda m: (m.total, m.candidate.onset, m.candidate.incident), default=None)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a text says, read once for all candidates. `touched`: service → how many of them harm it."""

    text: Text
    mentions: Mapping[str, Mention]
    symptoms: frozenset[str]
    everything: bool
    touched: Mapping[str, int]


def _said(words: str, judgement: Triage, fits: Sequence[Candidate]) -> _Said:
    services: dict[str, Collection[str]] = {}
    for c in fits:
        services |= {name: c.known_as.get(name, ()) for name in (*c.affected, *c.reached, *c.elsewhere)}
    tokens = tokens_of(words)
    text, cues = Text(words), set(cues_of(tokens))
    touched = Counter(service for c in fits for service in (*c.affected, *c.reached))
    everything = _of_everything(tokens) or not cues.isdisjoint({"k:site", "n:site"})
    return _Said(text, text.mentions(services), symptoms_of(cues, judgement), everything, touched)


def linked_ticket(queued: QueuedTicket, match: Match) -> LinkedTicket:
    """The ticket as the Incident's ledger holds it; the owning team takes it, if it is known."""
    ticket, judgement = queued.ticket, queued.triage
    because = (
        [Evidence(name="Triage", value=judgement.because[:1000], source="ticket text")] if judgement.because else []
    )
    return LinkedTicket(
        id=ticket.id,
        subject=ticket.subject[:256] or ticket.body[:80],
        category=judgement.called,
        severity=judgement.severity,
        route=(match.candidate.team or judgement.route)[:64],
        score=match.score,
        evidence=[*match.evidence, *because],
        example=ticket.example,
        received_at=ticket.received_at,
    )


def _of_everything(tokens: Sequence[str]) -> bool:
    """True where "nothing works" or "is everything down" begins a sentence; not of "the list shows nothing"."""
    begun = 0
    for token in tokens:
        begun = begun + 1 if token[0].isalpha() else 0 if token in _SENTENCE_ENDS else begun
        if begun <= _FIRST_WORDS and token in _EVERYTHING:
            return True
    return False


def symptoms_of(cues: Collection[str], judgement: Triage) -> frozenset[str]:
    """What a text with these cues complains of: slow, where it says so; failing, unless it is merely slow."""
    slow = judgement.category == "performance" or "k:slow" in cues
    failing = judgement.category == "outage"
    return frozenset(name for name, is_so in ((SLOW, slow), (FAILING, failing)) if is_so)


def _in_time(ticket: Ticket, candidate: Candidate) -> bool:
    latest = candidate.onset + AFTER
    if candidate.ended:
        latest = min(latest, candidate.ended + timedelta(minutes=30))  # people write late
    return candidate.onset - BEFORE <= ticket.created_at <= latest


def _match(ticket: Ticket, said: _Said, candidate: Candidate) -> Match:
    proof: list[tuple[float, Evidence]] = [*_named(said, candidate), *_alike(said.symptoms, candidate)]
    if ticket.example and FAILING in candidate.symptoms:
        proof.append((EXAMPLE, Evidence(name="Example", value=ticket.example.asked[:200], source="ticket example")))
    if not any(worth > 0 for worth, _ in proof):
        return Match(candidate, 0.0, ())
    services = len(candidate.affected)
    size = SIZE * math.log(1 + services)
    proof.append((size, Evidence(name="Size", value=f"{services} affected services", source="alerts")))
    proof.append(_late(ticket, candidate))
    total, names = sum(worth for worth, _ in proof), any(worth > 0 and e.name == "Service" for worth, e in proof)
    sure = total - proof[-1][0] if names else total
    return Match(candidate, total, tuple(_worth(worth, e) for worth, e in proof), sure)


def _named(said: _Said, candidate: Candidate) -> Iterable[tuple[float, Evidence]]:
    """The best word for a service that it harms; else what speaks for all, or for another service."""
    best: tuple[float, Evidence] | None = None
    harmed = {**{service: REACHED * worth for service, worth in candidate.reached.items()}, **candidate.affected}
    for service, weight in sorted(harmed.items(), key=lambda item: (-item[1], item[0])):
        worth = weight / math.sqrt(said.touched[service])
        if best is not None and worth <= best[0]:
            continue
        mention = said.mentions.get(service)
        if mention and not (service in candidate.reached and _is_the_site(mention.word)):
            where = "" if service == candidate.root else ", which this incident affects"
            where = ", which needs what is at fault" if service in candidate.reached else where
            best = (
                worth,
                Evidence(name="Service", value=f"“{mention.word}” means {service}{where}", source="ticket text"),
            )
        elif best is None or LEARNT * worth > best[0]:
            learnt = candidate.learnt.get(service, {})
            if word := said.text.has(learnt):
                value = f"“{word}” means {service}, as people corrected {learnt[word]} tickets"
                best = LEARNT * worth, Evidence(name="Service", value=value, source="corrections")
    return [best] if best else _of_others(said, candidate)


def _of_others(said: _Said, candidate: Candidate) -> Iterable[tuple[float, Evidence]]:
    """What a text that names none of the harmed services says of this Incident."""
    others = {name: m for name, m in said.mentions.items() if name in candidate.elsewhere and not _is_the_site(m.word)}
    if others:
        service, mention = max(others.items(), key=lambda item: (item[1].sure, item[0]))
        value = f"“{mention.word}” means {service}, which this incident does not affect"
        worth = ELSEWHERE_IN_GENERAL if mention.sure == GENERAL else ELSEWHERE
        return [(worth, Evidence(name="Service", value=value, source="ticket text"))]
    if said.everything and candidate.entry and FAILING in said.symptoms & candidate.symptoms:
        return [(EVERYTHING, Evidence(name="Everything", value="it affects what users enter by", source="ticket text"))]
    return []


def _is_the_site(word: str) -> bool:
    """True of words for all that a house runs: "page" and "system" name no service that could be unaffected."""
    return "site" in cues_of_word(word)


def _alike(symptoms: frozenset[str], candidate: Candidate) -> Iterable[tuple[float, Evidence]]:
    for name, worth in ((SLOW, SAME_SLOW), (FAILING, SAME_FAILING)):
        if name in symptoms & candidate.symptoms:
            return [(worth, Evidence(name="Symptom", value=name, source="ticket text; alerts, SLI"))]
    return []


def _late(ticket: Ticket, candidate: Candidate) -> tuple[float, Evidence]:
    offset = (ticket.created_at - candidate.onset).total_seconds()
    where = f"{abs(offset):.0f} s {'after' if offset >= 0 else 'before'} the onset"
    source = f"ticket {format_time(ticket.created_at)}, onset {format_time(candidate.onset)}"
    return -min(LATE_MOST, LATE * max(0.0, offset) / _HALF_HOUR), Evidence(name="Time", value=where, source=source)


def _worth(worth: float, evidence: Evidence) -> Evidence:
    return evidence.model_copy(update={"value": f"{evidence.value} ({worth:+.2f})"})
