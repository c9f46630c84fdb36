"""Many Incidents of one namespace that page within minutes: beyond a few, one page says how many there are.

A crowd lasts for WITHIN from its first page, so that what comes later is heard in another one.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from opsloop.api.page import Page, PageMessage
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import thread

MOST_PAGES = 5  # of one namespace WITHIN this time, each with a thread of its own
WITHIN = timedelta(minutes=5)
MOST_NAMES = 8


def others_paging(facts: IncidentFacts, now: datetime) -> list[str]:
    """Names of the other Incidents that called a person within the time, by time of their first call."""
    calls = (
        (m.decided_at, name) for name, m in _messages(facts) if m.action == "trigger" and now - m.decided_at < WITHIN
    )
    return list(dict.fromkeys(name for _, name in sorted(calls)))


def group_of(facts: IncidentFacts, now: datetime) -> str:
    """Key of the thread that a new call belongs to; "" = its Incident's own."""
    if len(others_paging(facts, now)) < MOST_PAGES:
        return ""
    began: dict[str, datetime] = {}
    for _, message in _messages(facts):
        if message.group:
            began[message.group] = min(message.decided_at, began.get(message.group, message.decided_at))
    present = [key for key, at in began.items() if now - at < WITHIN]
    # two that open a crowd in the same moment have one key, so that the pager has one alert
    return min(present, default=f"{facts.incident.metadata.namespace}/pages-{int(now.timestamp()) // 60}")


def tells(facts: IncidentFacts, group: str, now: datetime) -> bool:
    """True if this Incident's call is sent: the first of the crowd, and each time that their number has doubled (12, 24 …)."""
    if not any(m.group == group for _, m in _messages(facts)):
        return True
    times, rest = divmod(len(others_paging(facts, now)) + 1, MOST_PAGES + 1)
    return rest == 0 and times.bit_count() == 1


def sentence(facts: IncidentFacts, now: datetime) -> str:
    """How many Incidents page, and some of their names."""
    names = [*others_paging(facts, now), facts.incident.metadata.name]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    minutes = WITHIN.total_seconds() / 60
    shown = ", ".join(names[:MOST_NAMES])
    return f"{len(names)} Incidents of namespace {facts.incident.metadata.namespace} page within {minutes:.0f} minutes: {shown}{more}"


def is_over(facts: IncidentFacts, group: str) -> bool:
    """True if no other Incident that was called in this crowd is open."""
    return not any(i.is_open and any(m.group == group for m in thread.calls(i.status.page)) for i in facts.incidents)


def was_ended(facts: IncidentFacts, group: str) -> bool:
    """True if another Incident has ended the thread of this crowd."""
    return any(m.group == group and m.action == "resolve" for _, m in _messages(facts))


def groups_of(page: Page | None) -> list[str]:
    """Crowds in which the Incident was called since its thread was last resolved."""
    named = dict.fromkeys(m.group for m in thread.messages_of(page) if m.group)
    return [group for group in named if thread.calls(page, group)]


def _messages(facts: IncidentFacts) -> Iterator[tuple[str, PageMessage]]:
    for incident in facts.incidents:
        for message in thread.messages_of(incident.status.page):
            yield incident.metadata.name, message
