"""Paging: what a person must hear of an Incident, each thing once, in one thread that ends with the Incident.

Decided and stored before the pager is called. What it does not take is tried again while it matters, and said meanwhile.
"""

from datetime import datetime, timedelta

from opsloop.api.incident import Cause, Incident, IncidentStatus, Play
from opsloop.api.meta import PAGING
from opsloop.api.page import PageMessage
from opsloop.core import conditions
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import crowd, handover, suspicion, thread, timeline
from opsloop.core.incident.cause import written
from opsloop.core.incident.recovery import WENT_STALE
from opsloop.core.incident.state import IncidentBuilder, burns_of
from opsloop.core.slo.objectives import label
from opsloop.core.topology import Topology
from opsloop.names import ACKNOWLEDGE

# Named reasons
SEVERITY = "Severity"  # the severity pages
SEVERITY_RAISED = "SeverityRaised"  # it is more severe than what people were paged for
REOPENED = "Reopened"  # the harm of a resolved Incident is back
ESCALATED = "Escalated"  # the runbook is at its end: a person must act
NO_RUNBOOK = "NoRunbook"  # no Runbook matches cause, severity and labels, or it is gone
ACKNOWLEDGED = "Acknowledged"  # annotation opsloop.dev/acknowledge
RESOLVED = "Resolved"  # the Incident is resolved: the thread ends
MERGED = "Merged"  # a dependency's Incident explains it
DELIVERED = "Delivered"  # the pager took the message
UNDELIVERED = "Undelivered"  # the pager refused it or did not answer; it is tried again
ROOT_FOUND = "RootFound"  # people were called for an Incident that this one explains: its page goes on here
GROUPED = "Grouped"  # too many Incidents of the namespace page at once: one page says how many
GIVEN_UP = "GivenUp"  # the message did not matter any more before the pager took it

MOST_PLAYS = 32  # of status.plays
PAGE_RETRY = timedelta(seconds=10)  # a process that died between record and call calls after this time at the latest
CROWD_RETRY = timedelta(seconds=30)
LONGEST_END = timedelta(days=1)  # time for which the end of a thread is tried
OVERTAKEN = "a later message says it"


def with_play(status: IncidentStatus, play: Play) -> list[Play]:
    """The plays with a new one; only the newest are kept."""
    return [*status.plays, play][-MOST_PLAYS:]


# --- what a person must hear


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
        _record(decision, last.model_copy(update={"reason": main, "text": text[: thread.LONGEST_TEXT]}))
        return
    if other := handover.continued(decision.facts, decision.status):
        _carry_on(decision, other, text)
        return
    group = "" if thread.calls(decision.status.page) else crowd.group_of(decision.facts, decision.now)
    if group:
        _join(decision, reason, group)
    else:
        _record(decision, _message(decision, "trigger", reason, text))


def _carry_on(decision: IncidentBuilder, other: Incident, text: str) -> None:
    """Calls in the alert that the pager has of a merged Incident: people hear of the root there, and are not woken again."""
    assert other.status.page is not None
    name, at = other.metadata.name, other.status.page.decided_at
    told = f"{text}; it explains {name}, for which people were called at {at:%H:%M:%S} UTC"
    _record(decision, _message(decision, "trigger", ROOT_FOUND, told), other.status.page.alert)
    more = f"people were called for {name} at {at:%H:%M:%S} UTC, which this explains: its page goes on here"
    timeline.record(decision, f"continues-{name}", decision.now, "PageContinues", more)


def _join(decision: IncidentBuilder, reason: str, group: str) -> None:
    """Joins the crowd of the namespace: its page says how many there are, and is sent again only when they have doubled."""
    text = crowd.sentence(decision.facts, decision.now)
    message = _message(decision, "trigger", reason, text, group)
    if not crowd.tells(decision.facts, group, decision.now):
        message = thread.ended(message, "Grouped", decision.now)
        decision.condition("Paged", True, GROUPED, f"another page of {group} tells of it")
    _record(decision, message)


def _message(decision: IncidentBuilder, action: str, reason: str, text: str, group: str = "") -> PageMessage:
    status = decision.status
    return PageMessage.model_validate(
        {
            "number": thread.next_number(status.page),
            "action": action,
            "reason": reason,
            "severity": status.severity,
            "text": text[: thread.LONGEST_TEXT],
            "state": "Decided",
            "group": group,
            "decided_at": decision.now,
        }
    )


def _record(decision: IncidentBuilder, message: PageMessage, continues: str = "") -> None:
    meta = decision.facts.incident.metadata
    decision.set(page=thread.put(decision.status.page, meta.uid or meta.name, message, continues))


# --- the thread's end, and what came of each message


def deliver(decision: IncidentBuilder) -> None:
    """The last part of a decision: notes what was delivered, ends the thread with the Incident, sends what is left."""
    for message in thread.undelivered(decision.facts.incident.status.page):
        outcome = decision.facts.deliveries.get(message.number)
        if outcome is not None and outcome.sent_at is not None:
            _delivered(decision, thread.ended(message, "Sent", outcome.sent_at))
    _acknowledge(decision)
    _resolve(decision)
    for message in thread.undelivered(decision.status.page):
        why = pointless(decision.facts, decision.status, message, decision.now)
        if why and _failure(decision, message):
            _give_up(decision, message, why)
    _send(decision)


def _delivered(decision: IncidentBuilder, message: PageMessage) -> None:
    _record(decision, message)
    decision.condition("Paged", True, DELIVERED, f"the pager took message {message.number}: {message.reason}")
    if message.action != "trigger":
        return
    key = "paged" if message.number == 1 else f"paged-{message.number}"
    assert message.ended_at is not None
    text = f"a {message.severity} page was delivered: {message.reason}"
    timeline.record(decision, key, message.ended_at, "Paged", text)
    decision.event("Paged", f"{message.severity}: {message.text or decision.status.title}")


def _acknowledge(decision: IncidentBuilder) -> None:
    """Tells the pager once in each thread that a person has taken the Incident on."""
    status, taken = decision.status, acknowledged(decision.facts, decision.status)
    if not taken or status.phase == "Resolved" or not thread.calls(status.page, ""):
        return
    if any(m.action == "acknowledge" and m.text == taken for m in thread.messages_of(status.page)):
        return
    _record(decision, _message(decision, "acknowledge", ACKNOWLEDGED, taken))
    number = thread.next_number(status.page)
    timeline.record(decision, f"acknowledged-{number}", decision.now, "Acknowledged", taken)


def acknowledged(facts: IncidentFacts, status: IncidentStatus) -> str:
    """A sentence where annotation opsloop.dev/acknowledge was set for the present thread; "" = nobody has it.

    A value that was obeyed before the thread ended is left over: it has no power over what came back.
    """
    value, calls = facts.incident.metadata.annotations.get(ACKNOWLEDGE, ""), thread.calls(status.page)
    if not value or not calls:
        return ""
    text = f"a person has taken it on (annotation {value[:64]})"
    before = [m for m in thread.messages_of(status.page) if m.number < calls[0].number]
    return "" if any(m.action == "acknowledge" and m.text == text for m in before) else text


def _resolve(decision: IncidentBuilder) -> None:
    """Ends the threads of an Incident that is over; its people hear of it, also where no call had reached them."""
    status = decision.status
    if status.phase != "Resolved":
        return
    reason = MERGED if status.merged_into else RESOLVED
    groups = crowd.groups_of(status.page)
    calls = thread.calls(status.page, "")
    if calls and not (status.merged_into and _hand_over(decision)):
        missed = [m for m in calls if m.state == "Decided" and _failure(decision, m)]
        text = f"merged into {status.merged_into}" if status.merged_into else _ended(decision)
        if missed:
            text += f"; the page of {missed[0].decided_at:%H:%M:%S} UTC had not been delivered"
        _record(decision, _message(decision, "resolve", reason, text))
    for group in groups:
        _leave(decision, group)


def _hand_over(decision: IncidentBuilder) -> bool:
    """True where the Incident that took this one in goes on with its page, or may still do so: nothing is ended here then."""
    fate, heir = handover.fate_of(decision.facts, decision.status)
    if fate == "waits":
        decision.look_again(PAGE_RETRY)
    elif fate == "goes on":
        over = _message(decision, "resolve", MERGED, f"its page goes on as that of {heir}")
        _record(decision, thread.ended(over, "Grouped", decision.now))
        decision.condition("Paged", True, MERGED, over.text)
        timeline.record(decision, "handed-over", decision.now, "PageContinues", over.text)
    return fate != "ends"


def _ended(decision: IncidentBuilder) -> str:
    known = conditions.get(decision.status.conditions, "Mitigated")
    stale = known is not None and known.reason == WENT_STALE
    return f"ended without a word that it is over: {known.message}" if known and stale else "resolved"


def _leave(decision: IncidentBuilder, group: str) -> None:
    """The last Incident of a crowd ends its thread; the others look again, as two may be the last at once."""
    if not crowd.is_over(decision.facts, group):
        decision.look_again(CROWD_RETRY)
        return
    end = _message(decision, "resolve", RESOLVED, "all of them are resolved", group)
    ended = crowd.was_ended(decision.facts, group)
    _record(decision, thread.ended(end, "Grouped", decision.now) if ended else end)


def pointless(facts: IncidentFacts, status: IncidentStatus, message: PageMessage, now: datetime) -> str:
    """Why nobody would act on this message any more; "" = it still matters.

    A call matters while the Incident is open and nobody has it, an end for a day; a later message of the same kind says
    all that an earlier one would have said.
    """
    later = [m for m in thread.messages_of(status.page) if m.number > message.number and m.group == message.group]
    if any(m.action == message.action for m in later) or (message.action != "trigger" and later):
        return OVERTAKEN
    if message.action != "trigger":
        return "a day has passed" if now - message.decided_at > LONGEST_END else ""
    if message.group:  # it speaks for others too
        return "all of them are over" if status.phase == "Resolved" and crowd.is_over(facts, message.group) else ""
    if status.phase == "Resolved":
        return "the Incident is over"
    return "a person has taken it on" if acknowledged(facts, status) else ""


def _give_up(decision: IncidentBuilder, message: PageMessage, why: str) -> None:
    _record(decision, thread.ended(message, "GivenUp", decision.now))
    decision.execute(WithdrawPage(_key(decision), message.number))
    if why != OVERTAKEN:
        text = f"message {message.number} ({message.reason}) was given up, as {why}: {_failure(decision, message)}"
        decision.condition("Paged", False, GIVEN_UP, text)
        decision.event("PageGivenUp", text, "Warning")


def _send(decision: IncidentBuilder) -> None:
    """Sends what is decided, and says what the pager has not taken."""
    left = thread.undelivered(decision.status.page)
    for message in left:
        decision.execute(request(decision, message))
        decision.look_again(PAGE_RETRY)
    failed = next((m for m in left if _failure(decision, m)), None)
    if failed is None:
        return
    text = (
        f"message {failed.number} ({failed.reason}) is not delivered and is tried again: {_failure(decision, failed)}"
    )
    before = conditions.get(decision.status.conditions, "Paged")
    decision.condition("Paged", False, UNDELIVERED, text)
    if before is None or (before.status, before.message) != ("False", text):
        decision.event("PageUndelivered", text, "Warning")


def _failure(decision: IncidentBuilder, message: PageMessage) -> str:
    """The last failure of the message's delivery as far as this process saw it; "" = none."""
    outcome = decision.facts.deliveries.get(message.number)
    return outcome.failure if outcome is not None and outcome.sent_at is None else ""


def _cause(namespace: str, cause: Cause) -> dict[str, str]:
    """The cause for a page; of a changed object with who changed it, and how to look at that. opsloop cannot undo it."""
    sure = f"confidence {cause.confidence:.2f}"
    if not cause.object:
        return {"cause": f"{cause.kind} {cause.version}, {sure}"}
    kind, name = cause.object.split()[:2]
    show = f"kubectl -n {namespace} get {kind.lower()} {name} -o jsonpath={{.metadata.managedFields}}"
    return {
        "cause": f"{cause.kind}: {written(cause.object, cause.changed_at, cause.manager)}, {sure}",
        "act": f"opsloop does not undo it: ask who writes as {cause.manager or 'an unknown manager'};"
        f" {show} says which fields were written",
    }


def _key(decision: IncidentBuilder) -> str:
    assert decision.status.page is not None
    return decision.status.page.dedup_key


def request(decision: IncidentBuilder, message: PageMessage) -> SendPage:
    """The call to the pager."""
    incident, status = decision.facts.incident, decision.status
    details = {"service": incident.spec.service, "phase": status.phase, "reason": message.reason}
    if status.burn:
        details["burn"] = "; ".join(
            f"{label(b.slo)}{b.burn_long:g}x over {b.long}, {b.error_ratio:.1%} {b.wrong}" for b in burns_of(status)
        )
        details["events"] = "; ".join(
            f"{label(b.slo)}{b.bad:.0f} of {b.total:.0f} in {b.long}" for b in burns_of(status)
        )
    if status.cause and status.cause.kind != "unknown":
        details |= _cause(incident.metadata.namespace, status.cause)
    if decision.facts.stop:
        details["stopped"] = decision.facts.stop.sentence
    title = message.text[:256] if message.group else status.title or incident.spec.title
    alert = status.page.continues if status.page else ""
    return SendPage(incident.metadata.name, title, _key(decision), message, details, alert)
