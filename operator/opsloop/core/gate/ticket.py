"""Row 3, ticket routed and linked: the reports about this fault, no others, none lost.

A link is confirmed from outside: the case made of the ticket's example fails on the bad revision when it is asked again,
or the sender's own list (--tickets) says that this ticket is about the fault.
"""

from collections.abc import Iterable
from typing import Any

from opsloop.api.incident import Incident
from opsloop.core.alerts.corrections import by_ticket, is_out
from opsloop.core.gate.evidence import CaseRun, Filings, Missing, SentTicket, ShiftEvidence
from opsloop.core.gate.report import Findings

REFUSALS = {
    "400": "a body that it cannot read",
    "401": "a token that is missing or wrong",
    "403": "a sender that may not create tickets here",
    "503": "not stored",
}
"""Statuses of the intake by what they mean to whoever sends."""

Linked = dict[str, Any]  # a LinkedTicket as the ledger holds it


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """Compares the ledger with the tickets that users sent and with the bad revision's answer."""
    name = incident.metadata.name
    if isinstance(evidence.filings, Missing):
        findings.gap(evidence.filings.why)
        return ""
    filed = evidence.filed_on(name)
    records = by_ticket(filed.corrections)
    linked = [
        t for t in filed.tickets if not is_out(records.get(str(t.get("id")), ()))
    ]  # a person may have taken one out
    findings.fact("linked", ", ".join(str(t.get("id")) for t in linked) or "none", f"ConfigMap {name}-ledger")
    if not findings.require(bool(linked), f"no ticket is linked to {name}{_refused(evidence)}"):
        return ""
    unrouted = [str(t.get("id")) for t in linked if not (t.get("category") and t.get("route") and t.get("severity"))]
    findings.require(not unrouted, f"not triaged: {', '.join(unrouted)}")
    queued = {t.id for t in evidence.filings.queue} & {str(t.get("id")) for t in linked}
    findings.require(not queued, f"linked and still in the queue: {', '.join(sorted(queued))}")
    expected = _check_sent(evidence, evidence.filings, linked, findings)
    _check_confirmed(evidence, linked, findings, expected)
    first = linked[0]
    return f"{first.get('id')} went to {first.get('route')} as {first.get('category')} and is linked to {name}; {len(linked)} linked, {len(evidence.filings.queue)} in the queue"


def _same(ticket: SentTicket, held: Iterable[tuple[str, str]]) -> bool:
    """True for the same id where the sender gave one, else for the same subject."""
    return any((ticket.id == id_) if ticket.id else (ticket.subject == subject) for id_, subject in held)


def _held(tickets: Iterable[Linked]) -> list[tuple[str, str]]:
    return [(str(t.get("id", "")), str(t.get("subject", ""))) for t in tickets]


def _check_sent(evidence: ShiftEvidence, filings: Filings, linked: list[Linked], findings: Findings) -> bool:
    """Every ticket sent is held somewhere, and exactly the expected ones are linked here. True: the file confirms a link."""
    if evidence.sent is None:
        return False
    here = _held(linked)
    anywhere = [h for ledger in filings.ledgers.values() for h in _held(ledger.tickets)] + [
        (t.id, t.subject) for t in filings.queue
    ]
    lost = [t.id or t.subject for t in evidence.sent if not _same(t, anywhere)]
    findings.fact("sent", f"{len(evidence.sent)}, of these {len(evidence.sent) - len(lost)} held", "file of --tickets")
    if lost and filings.inbox:
        findings.gap(f"{', '.join(lost)} not filed yet ({filings.inbox} inbox entries wait)")
    else:
        findings.require(not lost, f"lost: {', '.join(lost)}{_refused(evidence)}")
    wrong = [t.id or t.subject for t in evidence.sent if t.expect_link is False and _same(t, here)]
    findings.require(not wrong, f"linked although it is about something else: {', '.join(wrong)}")
    due = [t for t in evidence.sent if t.expect_link]
    unlinked = [t.id or t.subject for t in due if not _same(t, here) and t.id not in lost and t.subject not in lost]
    findings.require(not unlinked, f"not linked although it is about this fault: {', '.join(unlinked)}")
    return bool(due)


def _refused(evidence: ShiftEvidence) -> str:
    """What the intake answered to tickets that it did not take, as it counted them."""
    if isinstance(evidence.refused, Missing) or not evidence.refused:
        return ""
    counted = [
        f"{number:.0f} with {status}{f', {REFUSALS[status]}' if status in REFUSALS else ''}"
        for status, number in sorted(evidence.refused.items())
    ]
    return f"; the intake refused requests with tickets: {'; '.join(counted)}"


def _check_confirmed(evidence: ShiftEvidence, linked: list[Linked], findings: Findings, expected: bool) -> None:
    """The example's wrong answer is what the bad revision gives, or the sender says so."""
    case = evidence.case
    origin = case.spec.origin.ticket if case is not None and not isinstance(case, Missing) else ""
    ticket = next((t for t in linked if origin and str(t.get("id")) == origin), None)
    if ticket is None:
        if not expected:
            findings.gap(
                "no linked ticket has an example that could be asked again, and no --tickets file says which belong here"
            )
        return
    run = evidence.replay.bad if not isinstance(evidence.replay, Missing) else evidence.replay
    if isinstance(run, Missing):
        findings.gap(f"the example of {origin} could not be asked again: {run.why}")
        return
    _check_example(origin, ticket, run, findings)


def _check_example(origin: str, ticket: Linked, run: CaseRun, findings: Findings) -> None:
    got = str((ticket.get("example") or {}).get("got", ""))
    word_for_word = bool(got) and _plain(got) in _plain(run.reply)
    outcome = "gives the user's wrong answer word for word" if word_for_word else f"answers wrongly: {run.message}"
    findings.fact(
        f"example of {origin}",
        f"the bad revision {outcome}" if not run.passed else "the bad revision answers rightly",
        "asked again in quarantine",
    )
    findings.require(
        not run.passed, f"the example of {origin} does not fail on the bad revision, so it is not about this fault"
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
