"""Which Incident a ticket belongs to: a score between 0 and 1 as a sum of named evidence, and a threshold.

Not linked at all, whatever the score: a ticket that tells of no failing service (billing, account, question, wish, a
standing defect), one about something past, one outside the Incident's time, and an Incident that harms nobody (sev4).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Evidence, LinkedTicket
from opsloop.api.meta import Severity, format_time
from opsloop.core.alerts.labels import name_of
from opsloop.core.facts import Alert, Ticket
from opsloop.core.tickets.triage import Queued, Triage, has_now, is_blocked, is_over, own_words

WINDOW = timedelta(minutes=30)  # before the onset and after the end: people write late, and clocks differ
THRESHOLD = 0.6  # time and symptom alone (0.5) are no link: half of the world is slow at any time
TIME, SYMPTOM, ROOT_NAMED, SERVICE_NAMED, EXAMPLE, PRESENT = 0.25, 0.25, 0.3, 0.2, 0.25, 0.1
HARM = frozenset({"outage", "performance"})

# What users say, and what alerts are called, for the same thing going wrong.
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
# How people call what services do; a service is recognised by the words of its own name, and by these.
_CALLED = {
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
    """An Incident that is open, or closed lately."""

    incident: str
    root: str
    services: frozenset[str]
    alerts: Sequence[Alert]
    burned: bool
    onset: datetime
    ended: datetime | None
    severity: Severity


@dataclass(frozen=True, slots=True)
class Match:
    """The best candidate, with its score and why."""

    candidate: Candidate
    score: float
    evidence: tuple[Evidence, ...]


def link(ticket: Ticket, judged: Triage, candidates: Iterable[Candidate]) -> Match | None:
    """The candidate with the highest score of at least THRESHOLD; of equals the one with more alerts."""
    fits = [c for c in candidates if c.severity != "sev4" and _in_time(ticket, c)]
    if judged.category not in HARM or not fits or is_over(text := own_words(ticket)):
        return None
    matches = [match for c in fits if (match := _match(ticket, text, c)).score >= THRESHOLD]
    return max(matches, key=lambda m: (m.score, len(m.candidate.alerts), m.candidate.incident), default=None)


def linked(queued: Queued, match: Match, team: str = "") -> LinkedTicket:
    """As the Incident's ledger keeps it; the owning team takes the ticket, if it is known."""
    ticket, judged = queued.ticket, queued.triage
    return LinkedTicket(
        id=ticket.id,
        subject=ticket.subject[:256] or ticket.body[:80],
        category=judged.category,
        severity=judged.severity,
        route=(team or judged.route)[:64],
        score=match.score,
        evidence=list(match.evidence),
        example=ticket.example,
        received_at=ticket.received_at,
    )


def symptoms_of_text(text: str) -> frozenset[str]:
    """Of wrong, error and slow, those that the text complains of."""
    return frozenset(name for name, (said, _) in _SYMPTOMS.items() if re.search(rf"\b(?:{said})", text, re.IGNORECASE))


def symptoms_of_alerts(alerts: Iterable[Alert]) -> frozenset[str]:
    """Of wrong, error and slow, those that the alerts tell of."""
    said = " ".join(f"{name_of(a)} {a.labels.get('sli', '')} {a.annotations.get('summary', '')}" for a in alerts)
    return frozenset(name for name, (_, called) in _SYMPTOMS.items() if re.search(called, said, re.IGNORECASE))


def named_in(text: str, service: str) -> str:
    """The word of the text that means this service, "" if none does."""
    words: set[str] = set(_TOKEN.findall(text.lower()))
    for part in re.split(r"[^a-z0-9]+", service.lower()):
        stem = part.removesuffix("s")
        called = [stem, f"{stem}s"]
        for name, said in _CALLED.items():
            if stem.startswith(name) and (len(name) > 2 or stem == name):
                called += said.split()
        if found := sorted(words.intersection(called) if len(stem) > 1 else ()):
            return found[0]
    return ""


def _in_time(ticket: Ticket, candidate: Candidate) -> bool:
    latest = candidate.ended or max(ticket.created_at, candidate.onset)
    return candidate.onset - WINDOW <= ticket.created_at <= latest + WINDOW


def _match(ticket: Ticket, text: str, candidate: Candidate) -> Match:
    found = [(TIME, _time_evidence(ticket, candidate))]
    complaint = symptoms_of_text(text)
    seen = symptoms_of_alerts(candidate.alerts) or (frozenset({"wrong", "error"}) if candidate.burned else frozenset())
    if both := complaint & seen:
        found.append(
            (SYMPTOM, Evidence(name="Symptom", value=", ".join(sorted(both)), source="ticket text; alerts, SLI"))
        )
    found += _named(text, candidate)
    if ticket.example and candidate.burned | ("wrong" in seen):
        found.append((EXAMPLE, Evidence(name="Example", value=ticket.example.asked[:200], source="ticket example")))
    if has_now(text) or is_blocked(text):
        found.append(
            (PRESENT, Evidence(name="Present", value="the text says that it happens now", source="ticket text"))
        )
    score = round(min(1.0, sum(weight for weight, _ in found)), 2)
    return Match(candidate, score, tuple(evidence for _, evidence in found))


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
