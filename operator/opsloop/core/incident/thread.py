"""The thread of an Incident at the pager: messages in order, each decided once, delivered or given up; bounded."""

from collections.abc import Sequence
from datetime import datetime

from opsloop.api.page import Page, PageMessage, PageReceiver
from opsloop.core.facts import Delivery
from opsloop.core.notify.routing import MOST_RECEIVERS

MOST_MESSAGES = 32
LONGEST_TEXT = 512
LONGEST_ANSWER = 256


def messages_of(page: Page | None) -> list[PageMessage]:
    """The messages; the page of an opsloop that kept none counts as the first of them."""
    if page is None or page.messages:
        return list(page.messages) if page else []
    first = PageMessage(
        number=1,
        action="trigger",
        reason=page.reason,
        severity=page.severity,
        state=page.state,
        decided_at=page.decided_at,
        ended_at=page.sent_at,
    )
    return [first]


def undelivered(page: Page | None) -> list[PageMessage]:
    """Messages that somebody has not taken and at whom they are not given up, oldest first."""
    return [m for m in messages_of(page) if m.state == "Decided" or left(page, m)]


def left(page: Page | None, message: PageMessage) -> list[str]:
    """Receivers that have not taken this message yet, of those for whom it is."""
    if message.state not in ("Decided", "Sent") or page is None:
        return []
    taken = {r.name: r.taken for r in page.receivers}
    return [name for name in message.to if taken.get(name, 0) < message.number]


def told(page: Page | None, group: str = "") -> list[str]:
    """Receivers that may know of the thread, as a message of it was for them."""
    names = [] if group or page is None else [r.name for r in page.receivers]
    return list(dict.fromkeys([*names, *(name for m in messages_of(page) if m.group == group for name in m.to)]))


def noted(page: Page, number: int, name: str, outcome: Delivery) -> Page:
    """The thread with what came of a message at one receiver. What it took before is not overwritten."""
    known = next((r for r in page.receivers if r.name == name), PageReceiver(name=name))
    if number <= known.taken:
        return page
    if outcome.sent_at is None:
        new = known.model_copy(update={"failure": outcome.failure[:LONGEST_ANSWER]})
    else:
        answer = outcome.answer[:LONGEST_ANSWER]
        new = PageReceiver(name=name, taken=number, taken_at=outcome.sent_at, answer=answer)
    others = [r for r in page.receivers if r.name != name]
    return page.model_copy(update={"receivers": [*others, new][-MOST_RECEIVERS:]})


def calls(page: Page | None, group: str | None = None) -> list[PageMessage]:
    """Calls to a person since the thread was last resolved; with `group` those of that thread only, "" = the own one."""
    present: list[PageMessage] = []
    for message in messages_of(page):
        if group is None or message.group == group:
            present = [] if message.action == "resolve" else [*present, message]
    return [m for m in present if m.action == "trigger"]


def next_number(page: Page | None) -> int:
    """Number of the next message; numbers only go up."""
    return 1 + max((m.number for m in messages_of(page)), default=0)


def put(page: Page | None, key: str, message: PageMessage, continues: str = "") -> Page:
    """The thread with this message: added, or in place of the one of its number. The oldest ended ones make room.

    A new thread has this key, and `continues` an alert at the pager where that is given.
    """
    kept = messages_of(page)
    known = any(m.number == message.number for m in kept)
    messages = [message if m.number == message.number else m for m in kept] if known else [*kept, message]
    messages = _bounded(messages)
    triggers = [m for m in messages if m.action == "trigger"]
    same = {name: getattr(page, name) for name in ("opened_by", "opened_for", "receivers")} if page else {}
    latest = triggers[-1] if triggers else message
    sent = [m.ended_at for m in triggers if m.state == "Sent" and m.ended_at is not None]
    return Page(
        state=latest.state,
        severity=latest.severity,
        dedup_key=page.dedup_key if page else key,
        decided_at=page.decided_at if page else message.decided_at,
        sent_at=page.sent_at if page and page.sent_at else min(sent, default=None),
        reason=latest.reason,
        continues=page.continues if page else continues,
        messages=messages,
        **same,
    )


def ended(message: PageMessage, state: str, at: datetime) -> PageMessage:
    """The message, delivered or given up at this time."""
    return message.model_copy(update={"state": state, "ended_at": at})


def _bounded(messages: Sequence[PageMessage]) -> list[PageMessage]:
    """At most MOST_MESSAGES, without the oldest that are ended; what is not delivered yet stays as long as it can."""
    kept = list(messages)
    while len(kept) > MOST_MESSAGES:
        ended_ones = (m for m in kept[:-1] if m.state != "Decided")
        old = next(ended_ones, kept[0])
        kept.remove(old)
    return kept
