"""What becomes of the messages of a thread: each is delivered to whom it is for, or given up; the thread ends with its Incident.

A receiver that is down keeps no other one waiting. What it answered is stored, and what it did not take is said.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.cause import Cause
from opsloop.api.incident import IncidentStatus
from opsloop.api.page import Page, PageMessage
from opsloop.core import conditions
from opsloop.core.actions import About, KeepPage, SendPage, WithdrawPage
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import crowd, handover, thread, timeline
from opsloop.core.incident.cause import written
from opsloop.core.incident.paging import addressees, new_message, record
from opsloop.core.incident.recovery import WENT_STALE
from opsloop.core.incident.state import IncidentBuilder, burns_of
from opsloop.core.notify.routing import MOST_RECEIVERS, PAGER
from opsloop.core.slo.objectives import label
from opsloop.names import ACKNOWLEDGE

# Named reasons
ACKNOWLEDGED = "Acknowledged"  # annotation opsloop.dev/acknowledge
RESOLVED = "Resolved"  # the Incident is resolved: the thread ends
MERGED = "Merged"  # a dependency's Incident explains it
DELIVERED = "Delivered"  # every receiver took the message
PARTLY_DELIVERED = "PartlyDelivered"  # one receiver took the message, and it is tried again at another one
UNDELIVERED = "Undelivered"  # no receiver took it yet: they refused it or did not answer; it is tried again
GIVEN_UP = "GivenUp"  # the message did not matter any more before the pager took it

PAGE_RETRY = timedelta(seconds=10)  # a process that died between record and call calls after this time at the latest
CROWD_RETRY = timedelta(seconds=30)
LONGEST_END = timedelta(days=1)  # time for which the end of a thread is tried
OVERTAKEN = "a later message says it"


def deliver(decision: IncidentBuilder) -> None:
    """The last part of a decision: notes what was delivered, ends the thread with the Incident, sends what is left."""
    for message in thread.undelivered(decision.facts.incident.status.page):
        _note(decision, message)
    _follow_configuration(decision)
    _acknowledge(decision)
    _resolve(decision)
    for message in thread.undelivered(decision.status.page):
        why = pointless(decision.facts, decision.status, message, decision.now)
        left = thread.left(decision.status.page, message)
        failed = left if _goes_on(decision, message) else [name for name in left if _failure(decision, message, name)]
        if why and failed:
            _give_up(decision, message, failed, why)
    _send(decision)
    _keep(decision)


def _note(decision: IncidentBuilder, message: PageMessage) -> None:
    """Stores what came of a message at each receiver; the first one that took it makes it sent."""
    if message.state == "Decided" and not message.to:  # of an opsloop that knew one receiver
        message = message.model_copy(update={"to": addressees(decision, message.severity, message.reason)})
        record(decision, message)
    outcomes = {n: o for n, o in decision.facts.deliveries.get(message.number, {}).items() if n in message.to}
    for name, outcome in outcomes.items():
        assert decision.status.page is not None
        decision.set(page=thread.noted(decision.status.page, message.number, name, outcome))
    taken = [outcome.sent_at for outcome in outcomes.values() if outcome.sent_at is not None]
    if taken and message.state == "Decided":
        _delivered(decision, thread.ended(message, "Sent", min(taken)))


def _follow_configuration(decision: IncidentBuilder) -> None:
    """What an open thread told a receiver that is not configured any more is for those of its route in its place."""
    page, gone = decision.status.page, decision.facts.routing.is_gone
    for group in ("", *crowd.groups_of(page)):
        first = min((m.number for m in thread.calls(page, group)), default=None)
        since = [m for m in thread.messages_of(page) if m.group == group and first is not None and m.number >= first]
        for message in since:
            left = tuple(name for name in message.to if gone(name))
            if message.state not in ("Decided", "Sent") or not left:
                continue
            to = [*message.to, *addressees(decision, message.severity, message.reason, group)]
            to = [name for name in dict.fromkeys(to) if not gone(name)][:MOST_RECEIVERS]
            record(decision, message.model_copy(update={"to": to}))
            decision.execute(WithdrawPage(_key(decision), message.number, left))


def _delivered(decision: IncidentBuilder, message: PageMessage) -> None:
    record(decision, message)
    decision.condition("Paged", True, DELIVERED, f"message {message.number} was taken: {message.reason}")
    if message.action != "trigger":
        return
    key = "paged" if message.number == 1 else f"paged-{message.number}"
    assert message.ended_at is not None
    text = f"a {message.severity} page was delivered, reason {message.reason}"
    timeline.record(decision, key, message.ended_at, "Paged", text)
    decision.event("Paged", f"{message.severity}: {message.text or decision.status.title}")


def _acknowledge(decision: IncidentBuilder) -> None:
    """Tells the pager once in each thread that a person has taken the Incident on."""
    status, taken = decision.status, acknowledged(decision.facts, decision.status)
    if not taken or status.phase == "Resolved" or not thread.calls(status.page, ""):
        return
    if any(m.action == "acknowledge" and m.text == taken for m in thread.messages_of(status.page)):
        return
    record(decision, new_message(decision, "acknowledge", ACKNOWLEDGED, taken))
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
        missed = [m for m in calls if m.state == "Decided" and _failures(decision, m, m.to)]
        text = f"merged into {status.merged_into}" if status.merged_into else _ended(decision)
        if missed:
            text += f"; the page of {missed[0].decided_at:%H:%M:%S} UTC had not been delivered"
        record(decision, new_message(decision, "resolve", reason, text))
    for group in groups:
        _leave(decision, group)


def _hand_over(decision: IncidentBuilder) -> bool:
    """True where the Incident that took this one in goes on with its page, or may still do so: nothing is ended here then."""
    fate, heir = handover.fate_of(decision.facts, decision.status)
    if fate == "waits":
        decision.look_again(PAGE_RETRY)
    elif fate == "goes on":
        over = new_message(decision, "resolve", MERGED, f"its page goes on as that of {heir}")
        record(decision, thread.ended(over, "Grouped", decision.now))
        decision.condition("Paged", True, MERGED, over.text)
        timeline.record(decision, "handed-over", decision.now, "PageContinues", over.text)
    return fate != "ends"


def _goes_on(decision: IncidentBuilder, message: PageMessage) -> bool:
    """True for a call of an Incident whose alert another one goes on with: taken now, it would open that alert anew after its end."""
    own = [m for m in thread.messages_of(decision.status.page) if not m.group]
    handed = bool(decision.status.merged_into) and own[-1:] != [] and own[-1].state == "Grouped"
    return handed and message.action == "trigger" and not message.group


def _ended(decision: IncidentBuilder) -> str:
    known = conditions.get(decision.status.conditions, "Mitigated")
    stale = known is not None and known.reason == WENT_STALE
    return f"ended without a word that it is over: {known.message}" if known and stale else "resolved"


def _leave(decision: IncidentBuilder, group: str) -> None:
    """The last Incident of a crowd ends its thread; the others look again, as two may be the last at once."""
    if not crowd.is_over(decision.facts, group):
        decision.look_again(CROWD_RETRY)
        return
    end = new_message(decision, "resolve", RESOLVED, "all of them are resolved", group)
    ended = crowd.was_ended(decision.facts, group)
    record(decision, thread.ended(end, "Grouped", decision.now) if ended else end)


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


def _give_up(decision: IncidentBuilder, message: PageMessage, names: Sequence[str], why: str) -> None:
    """Gives a message up at these receivers; altogether where nobody took it and nobody is left."""
    others = [name for name in message.to if name not in names]
    if others or message.state == "Sent":
        record(decision, message.model_copy(update={"to": others}))
    else:
        record(decision, thread.ended(message, "GivenUp", decision.now))
    decision.execute(WithdrawPage(_key(decision), message.number, tuple(names)))
    if why != OVERTAKEN:
        said = "; ".join(_failure(decision, message, name) for name in names)
        text = f"message {message.number} ({message.reason}) was given up, as {why}: {said}"
        if not others and message.state != "Sent":
            decision.condition("Paged", False, GIVEN_UP, text)
        decision.event("PageGivenUp", text, "Warning")


def _send(decision: IncidentBuilder) -> None:
    """Sends what is decided, and says what some receiver has not taken."""
    page = decision.status.page
    missing = [(m, thread.left(page, m)) for m in thread.undelivered(page)]
    for message, names in missing:
        decision.execute(request(decision, message, names))
        decision.look_again(PAGE_RETRY)
    before = conditions.get(decision.status.conditions, "Paged")
    failed = next(((m, said) for m, names in missing if (said := _failures(decision, m, names))), None)
    if failed is None:
        if before is not None and before.reason == PARTLY_DELIVERED:
            decision.condition("Paged", True, DELIVERED, "every receiver took what it was sent")
        return
    message, said = failed
    text = f"message {message.number} ({message.reason}) is not delivered and is tried again: {said}"
    if message.state == "Sent":
        decision.condition("Paged", True, PARTLY_DELIVERED, text)
    else:
        decision.condition("Paged", False, UNDELIVERED, text)
    if before is None or (before.reason, before.message) not in ((UNDELIVERED, text), (PARTLY_DELIVERED, text)):
        decision.event("PageUndelivered", text, "Warning")


def _keep(decision: IncidentBuilder) -> None:
    """Where an alert ends unless it is sent again, it is: the latest message of each thread that is open, also of an Incident that
    was merged, until the one that explains it goes on with its alert or its end is decided."""
    page, resent = decision.status.page, decision.facts.routing.resent
    if page is None or not resent:
        return
    for group in ("", *crowd.groups_of(page)):
        sent = [m for m in thread.messages_of(page) if m.group == group and m.state == "Sent"]
        names = [n for n in sent[-1].to if n in resent] if sent else []
        if names and thread.calls(page, group) and sent[-1].action != "resolve":
            decision.execute(KeepPage(request(decision, sent[-1], names)))


def _failures(decision: IncidentBuilder, message: PageMessage, names: Sequence[str]) -> str:
    """The last failures at these receivers as far as this process saw them; "" = none."""
    return "; ".join(said for name in names if (said := _failure(decision, message, name)))


def _failure(decision: IncidentBuilder, message: PageMessage, name: str) -> str:
    outcome = decision.facts.deliveries.get(message.number, {}).get(name)
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


def request(decision: IncidentBuilder, message: PageMessage, names: Sequence[str] = (PAGER,)) -> SendPage:
    """The call to these receivers."""
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
    about = _about(decision, message)
    return SendPage(incident.metadata.name, title, _key(decision), message, details, alert, tuple(names), about)


def _about(decision: IncidentBuilder, message: PageMessage) -> About:
    """What receivers may need beside the words; of a crowd only what all of its Incidents share."""
    incident, status, page = decision.facts.incident, decision.status, decision.status.page
    team = incident.spec.owner
    if message.group or page is None:
        return About(team=team, since=message.decided_at)
    last = _last_end(page, message)
    calls = [m for m in thread.messages_of(page) if m.action == "trigger" and last < m.number <= message.number]
    runbook = next((p.runbook for p in reversed(status.plays) if p.runbook), "")
    return About(
        service=incident.spec.service,
        team=team,
        runbook=runbook,
        opened_by=page.opened_by,
        opened_for=page.opened_for,
        opened_team=next((i.spec.owner for i in decision.facts.incidents if i.metadata.name == page.opened_by), team),
        since=calls[0].decided_at if calls else message.decided_at,
        called=tuple(reversed(dict.fromkeys(m.severity for m in reversed(calls)))),
    )


def _last_end(page: Page, message: PageMessage) -> int:
    """Number of the message that ended the thread before this one; 0 = none."""
    ends = (m.number for m in thread.messages_of(page) if m.action == "resolve" and m.number < message.number)
    return max(ends, default=0)
