"""Links tickets to Incidents: a score between 0 and 1 as a sum of named evidence, and a threshold.

Not linked at all, whatever the score: a ticket that tells of no failing service (billing, account, question, wish, a
standing defect), one about something past, one outside the Incident's time, and an Incident that harms nobody (sev4).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Evidence, Incident, IncidentSpec, LinkedTicket
from opsloop.api.meta import Severity, format_time
from opsloop.core.alerts.labels import name_of
from opsloop.core.facts import Alert, Ledger, QueuedTicket, ReleaseView, Ticket, Triage
from opsloop.core.tickets.triage import has_now, is_blocked, is_over, own_words, triage

WINDOW = timedelta(minutes=30)  # before the onset and after the end: people write late, and clocks differ
THRESHOLD = 0.6  # time and symptom alone (0.5) are no link: half of the world is slow at any time
TIME, SYMPTOM, ROOT_NAMED, SERVICE_NAMED, EXAMPLE, PRESENT = 0.25, 0.25, 0.3, 0.2, 0.25, 0.1
HARM = frozenset({"outage", "performance"})

# Words of users, and names of alerts, for the same symptom.
_SYMPTOMS = {
    "wrong": (
        r"wrong|incorrect|false\b|nonsense|not true|untrue|outdated|contradict|makes things up|different things|inaccurate",
        r"wrong|incorrect|quality|mismatch(ed)?answers|accuracy|stale",
    ),
    "error": (
        r"error|erroring|fail|broken|can ?not|can.?t\b|could not|unable|unavailable|down\b|dead|refuse|declin|time[ds]? ?out|crash"
        r"|5\d\d\b|gone|vanish|missing|empty|blank|lost|do(es)? not|doesn|won.?t|nothing|stuck|flat|not a single|keep getting|come back",
        r"error|fail|5xx|unavailable|down|crash|norequests|nodatabase|notready|unreachable|probe|burn|waiting|mismatch|killed|inactive",
    ),
    "slow": (
        r"slow|spinner|loading|takes? (ages|forever|too long|like)|seconds|wait|lag|hang|minute|forever|time[ds]? ?out",
        r"latency|slow|duration|p9\d|throttl|saturation|timeout|lag\b|burn",
    ),
}  # fmt: skip
# Part of a service's name → words that users have for it, besides that name itself.
_SYNONYMS = {
    "answer": "answer answered asked ask question reply replied assistant chat information",
    "cart": "cart basket bag trolley items picked quantity adding add lens",
    "payment": "pay paying paid payment card cards charge charges visa mastercard debit money bank cvv",
    "checkout": "checkout order orders ordering confirm confirming purchase buy",
    "shipping": "shipping delivery deliver postage freight address parcel send undeliverable rates",
    "quote": "shipping delivery postage freight rates estimate",
    "recommendation": "recommendations recommended suggestion suggestions suggested cross-sell also",
    "product": "product products item catalogue",
    "detail": "details book publisher page-count",
    "review": "review reviews stars",
    "rating": "rating ratings stars",
    "search": "search find results",
    "account": "ledger sales finance export",
    "kafka": "ledger sales export slip packing warehouse",
    "auth": "login sign-in password",
    "email": "mail email confirmation",
    "currency": "currency currencies price prices",
    "frontend": "site website shop everything page pages",
    "web": "site website shop everything page pages",
    "ad": "ad ads banner",
    "image": "image images picture pictures photo photos",
}  # fmt: skip
_TOKEN = re.compile(r"[a-z0-9]+(?:-[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An Incident that a ticket may belong to: open, or resolved lately."""

    incident: str
    root: str
    services: frozenset[str]
    alerts: Sequence[Alert]
    burned: bool
    onset: datetime
    ended: datetime | None
    severity: Severity
    team: str = ""  # owner of the root Release, if it is known


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate with its score and the evidence for it."""

    candidate: Candidate
    score: float
    evidence: tuple[Evidence, ...]


def link_tickets(
    tickets: Sequence[Ticket],
    queue: Sequence[QueuedTicket],
    ledgers: Mapping[str, Ledger],
    candidates: Sequence[Candidate],
) -> tuple[dict[str, tuple[LinkedTicket, ...]], tuple[QueuedTicket, ...]]:
    """New links (Incident → tickets), and the whole queue afterwards. A ticket that some ledger holds is settled."""
    settled = {str(t["id"]) for ledger in ledgers.values() for t in ledger.tickets}
    waiting = {q.ticket.id: q for q in queue}
    for ticket in tickets:
        waiting.setdefault(ticket.id, QueuedTicket(ticket, triage(ticket)))
    links: dict[str, list[LinkedTicket]] = {}
    for identity in sorted(waiting.keys() - settled):
        if match := link(waiting[identity].ticket, waiting[identity].triage, candidates):
            links.setdefault(match.candidate.incident, []).append(linked_ticket(waiting[identity], match))
    gone = settled | {t.id for new in links.values() for t in new}
    rest = tuple(q for q in waiting.values() if q.ticket.id not in gone)
    return {name: tuple(new) for name, new in links.items()}, rest


def candidate(
    name: str,
    spec: IncidentSpec,
    incident: Incident | None,
    alerts: Sequence[Alert],
    services: Collection[str],
    view: ReleaseView | None,
) -> Candidate:
    """An Incident as tickets see it; `incident` None = it is about to be created; `services` of its alerts."""
    burned = spec.signal.kind == "burn" or (incident is not None and incident.burned)
    starts = [spec.signal.at, *(a.starts_at for a in alerts)]
    starts += [incident.status.onset_at] if incident and incident.status.onset_at else []
    starts += [view.readings.onset] if view and view.readings.onset and burned else []
    root = spec.release or spec.service
    return Candidate(
        incident=name,
        root=root,
        services=frozenset({root, *services} - {""}),
        alerts=alerts,
        burned=burned,
        onset=min(starts),
        ended=incident.status.resolved_at if incident and not incident.is_open else None,
        severity=min(spec.signal.severity, incident.status.severity) if incident else spec.signal.severity,
        team=view.release.metadata.labels.get("team", "") if view else "",
    )


def link(ticket: Ticket, judgement: Triage, candidates: Iterable[Candidate]) -> Match | None:
    """The candidate with the highest score of at least THRESHOLD; of equals the one with more alerts."""
    text = own_words(ticket)
    if judgement.category not in HARM or is_over(text):
        return None
    fits = [c for c in candidates if c.severity != "sev4" and _in_time(ticket, c)]
    matches = [match for c in fits if (match := _match(ticket, text, c)).score >= THRESHOLD]
    return max(matches, key=lambda m: (m.score, len(m.candidate.alerts), m.candidate.incident), default=None)


def linked_ticket(queued: QueuedTicket, match: Match) -> LinkedTicket:
    """The ticket as the Incident's ledger holds it; the owning team takes it, if it is known."""
    ticket, judgement = queued.ticket, queued.triage
    return LinkedTicket(
        id=ticket.id,
        subject=ticket.subject[:256] or ticket.body[:80],
        category=judgement.category,
        severity=judgement.severity,
        route=(match.candidate.team or judgement.route)[:64],
        score=match.score,
        evidence=list(match.evidence),
        example=ticket.example,
        received_at=ticket.received_at,
    )


def symptoms_of_text(text: str) -> frozenset[str]:
    """Of wrong, error and slow, those that the text complains of."""
    return frozenset(
        name for name, (phrases, _) in _SYMPTOMS.items() if re.search(rf"\b(?:{phrases})", text, re.IGNORECASE)
    )


def symptoms_of_alerts(alerts: Iterable[Alert]) -> frozenset[str]:
    """Of wrong, error and slow, those that the alerts tell of."""
    text = " ".join(f"{name_of(a)} {a.labels.get('sli', '')} {a.annotations.get('summary', '')}" for a in alerts)
    return frozenset(name for name, (_, names) in _SYMPTOMS.items() if re.search(names, text, re.IGNORECASE))


def named_in(text: str, service: str) -> str:
    """The word of the text that means this service, "" if none does."""
    words: set[str] = set(_TOKEN.findall(text.lower()))
    for part in re.split(r"[^a-z0-9]+", service.lower()):
        stem = part.removesuffix("s")
        synonyms = [stem, f"{stem}s"]
        for name, more in _SYNONYMS.items():
            if stem.startswith(name) and (len(name) > 2 or stem == name):
                synonyms += more.split()
        if matches := sorted(words.intersection(synonyms) if len(stem) > 1 else ()):
            return matches[0]
    return ""


def _in_time(ticket: Ticket, candidate: Candidate) -> bool:
    latest = candidate.ended or max(ticket.created_at, candidate.onset)
    return candidate.onset - WINDOW <= ticket.created_at <= latest + WINDOW


def _match(ticket: Ticket, text: str, candidate: Candidate) -> Match:
    proof = [(TIME, _time_evidence(ticket, candidate))]
    by_alerts = symptoms_of_alerts(candidate.alerts)
    symptoms = by_alerts or (frozenset({"wrong", "error"}) if candidate.burned else frozenset())
    if both := symptoms_of_text(text) & symptoms:
        proof.append(
            (SYMPTOM, Evidence(name="Symptom", value=", ".join(sorted(both)), source="ticket text; alerts, SLI"))
        )
    proof += _named(text, candidate)
    if ticket.example and candidate.burned | ("wrong" in symptoms):
        proof.append((EXAMPLE, Evidence(name="Example", value=ticket.example.asked[:200], source="ticket example")))
    if has_now(text) or is_blocked(text):
        proof.append(
            (PRESENT, Evidence(name="Present", value="the text says that it happens now", source="ticket text"))
        )
    score = round(min(1.0, sum(weight for weight, _ in proof)), 2)
    return Match(candidate, score, tuple(evidence for _, evidence in proof))


def _named(text: str, candidate: Candidate) -> list[tuple[float, Evidence]]:
    if word := named_in(text, candidate.root):
        return [(ROOT_NAMED, Evidence(name="Service", value=f"“{word}” means {candidate.root}", source="ticket text"))]
    for service in sorted(candidate.services - {candidate.root}):
        if word := named_in(text, service):
            value = f"“{word}” means {service}, which has alerts of this incident"
            return [(SERVICE_NAMED, Evidence(name="Service", value=value, source="ticket text"))]
    return []


def _time_evidence(ticket: Ticket, candidate: Candidate) -> Evidence:
    offset = (ticket.created_at - candidate.onset).total_seconds()
    where = f"{abs(offset):.0f} s {'after' if offset >= 0 else 'before'} the onset"
    return Evidence(
        name="Time",
        value=where,
        source=f"ticket {format_time(ticket.created_at)}, onset {format_time(candidate.onset)}",
    )
