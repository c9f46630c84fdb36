"""Paging: one page for one Incident, and the last play, which is a person."""

from datetime import timedelta

from opsloop.api.incident import Page, Play
from opsloop.api.meta import PAGING
from opsloop.core.actions import SendPage
from opsloop.core.incident.state import MOST_PLAYS, Sheet

# Named reasons
SEVERITY = "Severity"  # the severity pages
ESCALATED = "Escalated"  # the runbook is at its end, or there is none

PAGE_RETRY = timedelta(seconds=10)


def page(sheet: Sheet) -> None:
    """Page once: decided and stored before the call; the key lets the receiver fold a repeat after a crash."""
    status = sheet.status
    if status.page is None:
        if status.severity in PAGING and status.phase != "Resolved" and not sheet.facts.incident.status.merged_into:
            decide_page(sheet, SEVERITY)
        return
    if status.page.state == "Decided":
        sent = sheet.facts.page_sent_at
        if sent is None:
            _send(sheet)
            return
        sheet.set(page=status.page.model_copy(update={"state": "Sent", "sent_at": sent}))
        sheet.note("paged", sent, "Paged", "opsloop", f"one {status.page.severity} page was delivered")
        sheet.event("Paged", f"{status.page.severity}: {status.title}")


def decide_page(sheet: Sheet, reason: str) -> None:
    """Record that a page is to be sent, and send it after that is stored."""
    new = Page(
        state="Decided",
        severity=sheet.status.severity,
        dedup_key=sheet.facts.incident.metadata.uid or sheet.name,
        decided_at=sheet.now,
        reason=reason,
    )
    sheet.set(page=new)
    _send(sheet)


def _send(sheet: Sheet) -> None:
    status, spec = sheet.status, sheet.facts.incident.spec
    assert status.page is not None
    details = {"service": spec.service, "phase": status.phase, "reason": status.page.reason}
    if status.burn:
        details["burn"] = f"{status.burn.burn_long:g}x over {status.burn.long}, {status.burn.error_ratio:.1%} bad"
    sheet.act(SendPage(sheet.name, status.title or spec.title, status.page, details))
    sheet.look(PAGE_RETRY)


def escalate(sheet: Sheet, reason: str, text: str) -> None:
    """The last play: a person. One page for one Incident: where it was sent already, the timeline says so."""
    done = Play(
        runbook="", step=0, type="escalate", state="Done", reason=reason, message=text, requested_at=sheet.now,
        ended_at=sheet.now,
    )  # fmt: skip
    sheet.set(plays=[*sheet.status.plays, done][-MOST_PLAYS:])
    sheet.condition("Acting", False, reason, text)
    sheet.note(f"escalated-{len(sheet.status.plays)}", sheet.now, "Escalated", "opsloop", text)
    sheet.event("Escalated", text, "Warning")
    if sheet.status.page is None:
        decide_page(sheet, ESCALATED)
