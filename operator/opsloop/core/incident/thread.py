"""The thread of an Incident at the pager: messages in order, each decided once, delivered or given up; bounded."""

from collections.abc import Sequence
from datetime import datetime

from opsloop.api.page import Page, PageMessage

MOST_MESSAGES = 32
LONGEST_TEXT = 512


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
    """Messages that are decided and neither delivered nor given up, oldest first."""
    return [m for m in messages_of(page) if m.state == "Decided"]


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
    )


def ended(message: PageMessage, state: str, at: datetime) -> PageMessage:
    """The message, delivered or given up at this time."""
    return message.model_copy(update={"state": state, "ended_at": at})


def _bounded(messages: Sequence[PageMessage]) -> list[PageMessage]:
    """At most MOST_MESSAGES, without the oldest that are ended; what is not delivered yet stays as long as it can."""
    kept = list(messages)
    while len(kept) > MOST_MESSAGES:
        old = next((m for m in kept[:-1] if m.state != "Decided"), kept[0])
        kept.remove(old)
    return kept
