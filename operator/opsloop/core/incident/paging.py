"""Paging: what a person must hear of an Incident, each thing once, in one thread that ends with the Incident.

Decided and stored before a receiver is called; `core.incident.delivery` says what becomes of it.
"""

from collections.abc import Sequence

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.meta import PAGING, Severity
from opsloop.api.page import PageMessage
from opsloop.api.play import Play
from opsloop.core.incident import crowd, handover, suspicion, thread, timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.notify.routing import MOST_RECEIVERS, Subject
from opsloop.core.topology import Topology

# Named reasons
SEVERITY = "Severity"  # the severity pages
SEVERITY_RAISED = "SeverityRaised"  # it is more severe than what people were paged for
REOPENED = "Reopened"  # the harm of a resolved Incident is back
ESCALATED = "Escalated"  # the runbook is at its end: a person must act
NO_RUNBOOK = "NoRunbook"  # no Runbook matches cause, severity and labels, or it is gone
ROOT_FOUND = "RootFound"  # people were called for an Incident that this one explains: its page goes on here
GROUPED = "Grouped"  # too many Incidents of the namespace page at once: one page says how many

MOST_PLAYS = 32  # of status.plays


def with_play(status: IncidentStatus, play: Play) -> list[Play]:
    """The plays with a new one; only the newest are kept."""
    return [*status.plays, play][-MOST_PLAYS:]


def page(decision: IncidentBuilder, topology: Topology) -> None:
    """Calls a person for an open Incident whose severity pages, and again where it became worse than they know."""
    status = decision.status
    if status.phase == "Resolved" or status.severity not in PAGING:
        return
    calls = thread.calls(status.page)
    if hold := suspicion.held(decision.facts, status, topology, decision.now):
        _wait(decision, hold)
    elif not calls:
        call(decision, SEVERITY, status.title or decision.facts.incident.spec.title)
    elif status.severity < calls[-1].severity:
        call(decision, SEVERITY_RAISED, f"was {calls[-1].severity}: {status.title}")


def _wait(decision: IncidentBuilder, hold: suspicion.Hold) -> None:
    """Says why the first call waits, and when it is made at the latest."""
    decision.condition("Paged", False, hold.reason, hold.text)
    timeline.record(decision, f"waits-{hold.reason}", decision.now, "PageWaits", hold.text)
    decision.look_again(hold.again)


def escalate(decision: IncidentBuilder, reason: str, text: str) -> None:
    """The last play: a person. It calls whether or not somebody was paged before."""
    now, status = decision.now, decision.status
    attempt = 1 + max((p.attempt for p in status.plays if p.type == "escalate"), default=0)
    done = Play(
        runbook="", step=0, type="escalate", attempt=attempt, state="Done", reason=reason, message=text[:500],
        requested_at=now, ended_at=now,
    )  # fmt: skip
    nothing_new = reason == NO_RUNBOOK and _was_told(decision)
    decision.set(plays=with_play(status, done))
    decision.condition("Acting", False, reason, text)
    timeline.record(decision, f"escalated-{attempt}", now, "Escalated", text)
    decision.event("Escalated", text, "Warning")
    if not nothing_new:
        call(decision, reason, text)


def _was_told(decision: IncidentBuilder) -> bool:
    """True if people were called in an earlier decision, and no play since then let them think that opsloop acts."""
    status, known = decision.status, decision.facts.incident.status.page
    calls = [m for m in thread.calls(status.page) if m in thread.messages_of(known)]
    return bool(calls) and not any(p.requested_at >= calls[-1].decided_at for p in status.plays if p.type != "escalate")


def call(decision: IncidentBuilder, reason: str, text: str) -> None:
    """Records a call to a person. What is decided together is one call; that nothing will act is no reason of its own then."""
    stored, present = decision.facts.incident.status.page, thread.messages_of(decision.status.page)
    last = present[-1] if present else None
    if last is not None and last.action == "trigger" and last.number >= thread.next_number(stored):
        text = f"{last.text}; {text}" if last.text and not last.group else last.text or text
        main = last.reason if reason == NO_RUNBOOK else reason
        record(decision, last.model_copy(update={"reason": main, "text": text[: thread.LONGEST_TEXT]}))
        return
    if other := handover.continued(decision.facts, decision.status):
        _carry_on(decision, other, text)
        return
    group = "" if thread.calls(decision.status.page) else crowd.group_of(decision.facts, decision.now)
    if group:
        _join(decision, reason, group)
    else:
        record(decision, new_message(decision, "trigger", reason, text))


def _carry_on(decision: IncidentBuilder, other: Incident, text: str) -> None:
    """Calls in the alert that the pager has of a merged Incident: people hear of the root there, and are not woken again."""
    assert other.status.page is not None
    name, at = other.metadata.name, other.status.page.decided_at
    told = f"{text}; it explains {name}, for which people were called at {at:%H:%M:%S} UTC"
    before = other.status.page
    message = new_message(decision, "trigger", ROOT_FOUND, told, also=thread.told(before))
    record(decision, message, before.alert)
    assert decision.status.page is not None
    opener = {
        "opened_by": before.opened_by or name,
        "opened_for": before.opened_for or other.spec.service,
    }
    decision.set(page=decision.status.page.model_copy(update=opener))
    more = f"people were called for {name} at {at:%H:%M:%S} UTC, which this explains: its page goes on here"
    timeline.record(decision, f"continues-{name}", decision.now, "PageContinues", more)


def _join(decision: IncidentBuilder, reason: str, group: str) -> None:
    """Joins the crowd of the namespace: its page says how many there are, and is sent again only when they have doubled."""
    text = crowd.sentence(decision.facts, decision.now)
    message = new_message(decision, "trigger", reason, text, group)
    if not crowd.tells(decision.facts, group, decision.now):
        message = thread.ended(message, "Grouped", decision.now)
        decision.condition("Paged", True, GROUPED, f"another page of {group} tells of it")
    record(decision, message)


def new_message(
    decision: IncidentBuilder, action: str, reason: str, text: str, group: str = "", also: Sequence[str] = ()
) -> PageMessage:
    """The next message of the thread, for the receivers of its route and for those `also`."""
    status = decision.status
    to = [*addressees(decision, status.severity, reason, group), *also]
    return PageMessage.model_validate(
        {
            "number": thread.next_number(status.page),
            "action": action,
            "reason": reason,
            "severity": status.severity,
            "text": text[: thread.LONGEST_TEXT],
            "state": "Decided",
            "to": list(dict.fromkeys(to))[:MOST_RECEIVERS],
            "group": group,
            "decided_at": decision.now,
        }
    )


def addressees(decision: IncidentBuilder, severity: Severity, reason: str, group: str = "") -> list[str]:
    """Receivers of a message: those of its route, and all that know of the thread: who was called hears how it goes on."""
    facts, page = decision.facts, decision.status.page
    meta, owner = facts.incident.metadata, facts.incident.spec.owner
    routed = facts.routing.receivers_of(Subject(meta.namespace, "Incident", owner, severity, reason))
    others = [i.status.page for i in facts.incidents] if group else []
    told = (name for each in [page, *others] for name in thread.told(each, group))
    return [*routed, *(name for name in told if not facts.routing.is_gone(name))]


def record(decision: IncidentBuilder, message: PageMessage, continues: str = "") -> None:
    """Puts a message into the thread; `continues` is the alert that a new thread goes on with."""
    meta = decision.facts.incident.metadata
    decision.set(page=thread.put(decision.status.page, meta.uid or meta.name, message, continues))
