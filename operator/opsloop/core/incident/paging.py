"""Paging: one page for one Incident, and the last play, which calls a person."""

from datetime import datetime, timedelta

from opsloop.api.incident import Incident, IncidentStatus, Page, Play
from opsloop.api.meta import PAGING
from opsloop.core.actions import SendPage
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder

# Named reasons
SEVERITY = "Severity"  # the severity pages
ESCALATED = "Escalated"  # the runbook is at its end, or there is none

MOST_PLAYS = 32  # of status.plays
PAGE_RETRY = timedelta(seconds=10)


def with_play(status: IncidentStatus, play: Play) -> list[Play]:
    """The plays with a new one; only the newest are kept."""
    return [*status.plays, play][-MOST_PLAYS:]


def page(decision: IncidentBuilder) -> None:
    """Pages once. Decided and stored before the call; the key lets the receiver fold a repeat after a crash."""
    status, sent = decision.status, decision.facts.page_sent_at
    if status.page is None:
        if status.severity in PAGING and status.phase != "Resolved":
            _decide_page(decision, SEVERITY)
    elif status.page.state == "Decided" and sent is None:
        _send(decision, status.page)
    elif status.page.state == "Decided":
        decision.set(page=status.page.model_copy(update={"state": "Sent", "sent_at": sent}))
        assert sent is not None
        timeline.record(decision, "paged", sent, "Paged", f"one {status.page.severity} page was delivered")
        decision.event("Paged", f"{status.page.severity}: {status.title}")


def escalate(decision: IncidentBuilder, reason: str, text: str) -> None:
    """The last play: a person. One page for one Incident: where it was sent already, the timeline tells of it."""
    now = decision.now
    done = Play(
        runbook="", step=0, type="escalate", state="Done", reason=reason, message=text[:500], requested_at=now, ended_at=now
    )  # fmt: skip
    decision.set(plays=with_play(decision.status, done))
    decision.condition("Acting", False, reason, text)
    timeline.record(decision, f"escalated-{len(decision.status.plays)}", now, "Escalated", text)
    decision.event("Escalated", text, "Warning")
    if decision.status.page is None:
        _decide_page(decision, ESCALATED)


def _decide_page(decision: IncidentBuilder, reason: str) -> None:
    """Records the page; it is sent after that is stored."""
    decided = new_page(decision.facts.incident, decision.status, reason, decision.now)
    decision.set(page=decided)
    _send(decision, decided)


def _send(decision: IncidentBuilder, decided: Page) -> None:
    decision.execute(request(decision.facts.incident, decision.status, decided))
    decision.look_again(PAGE_RETRY)


def new_page(incident: Incident, status: IncidentStatus, reason: str, now: datetime) -> Page:
    """The page to store; its key is the Incident's uid."""
    key = incident.metadata.uid or incident.metadata.name
    return Page(state="Decided", severity=status.severity, dedup_key=key, decided_at=now, reason=reason)


def request(incident: Incident, status: IncidentStatus, decided: Page) -> SendPage:
    """The call to the pager."""
    details = {"service": incident.spec.service, "phase": status.phase, "reason": decided.reason}
    if status.burn:
        details["burn"] = f"{status.burn.burn_long:g}x over {status.burn.long}, {status.burn.error_ratio:.1%} bad"
    return SendPage(incident.metadata.name, status.title or incident.spec.title, decided, details)
