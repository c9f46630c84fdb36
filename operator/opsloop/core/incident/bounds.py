"""The size of an Incident's status: no text, storm or number of tickets makes it larger than LIMIT.

etcd refuses an object of 1.5 MiB, and an Incident that cannot be written any more is one that pages nobody. Every list has
a greatest length; this is the bound in bytes for what their items may hold. What was left out is counted in
`status.dropped`. Folding depends on nothing but the status, so a folded one stays as it is.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from opsloop.api.cause import Cause, Evidence
from opsloop.api.incident import IncidentStatus, TimelineEntry
from opsloop.api.meta import Model
from opsloop.api.reported import AlertCounts, LinkedTicket
from opsloop.core.alerts.ledger import tickets_of
from opsloop.core.incident.state import IncidentBuilder

KIB = 1024
LIMIT = 384 * KIB  # bytes of JSON: a quarter of what etcd takes, as managedFields of a status may be as large again
TIMELINE, TICKETS, SERVICES, CAUSE = 96 * KIB, 64 * KIB, 24 * KIB, 8 * KIB
ELLIPSIS = "…"

M = TypeVar("M", bound=Model)
T = TypeVar("T")


def size(value: Any) -> int:
    """Bytes of a JSON value as the API server stores it: it writes <, > and & as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode(errors="surrogatepass")) + 5 * sum(text.count(c) for c in "<>&")


def cut(text: str, most: int) -> str:
    """The beginning of a text that needs at most so many bytes in JSON, quotes not counted."""
    if len(text) * 6 <= most or size(text) - 2 <= most:
        return text
    low, high = 0, min(len(text), most)  # a character needs a byte at least
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[:middle] + ELLIPSIS) - 2 <= most else (low, middle - 1)
    return text[:low] + ELLIPSIS


def fit(decision: IncidentBuilder) -> None:
    """Folds the status where it is larger than LIMIT; then counts what is left out of its lists."""
    status = decision.status
    if size(status.dump()) > LIMIT:
        status = folded(status)
    decision.status = status.model_copy(update={"dropped": _dropped(decision, status)})


def folded(status: IncidentStatus) -> IncidentStatus:
    """The status with every list within its share of LIMIT."""
    alerts = status.alerts.model_copy(
        update={
            "sample": [_cut(s, name=128, service=128, fingerprint=128) for s in status.alerts.sample],
            "by_service": _services(status.alerts),
        }
    )
    page = status.page and status.page.model_copy(
        update={
            "messages": [_cut(m, text=200) for m in status.page.messages],
            "receivers": [_cut(r, answer=200, failure=200) for r in status.page.receivers],
        }
    )
    changes = {
        "title": cut(status.title, 256),
        "assignee": cut(status.assignee, 128),
        "cause": _cause(status.cause),
        "plays": [_cut(p, message=200) for p in status.plays],
        "page": page,
        "alerts": alerts,
        "tickets": first_that_fit([_short(t) for t in status.tickets], TICKETS),
        "timeline": _timeline(status.timeline),
        "conditions": [_cut(c, message=KIB) for c in status.conditions],
    }
    return status.model_copy(update=changes)


def first_that_fit(items: Sequence[M], most: int) -> list[M]:
    """As many items from the beginning as need at most so many bytes."""
    left, kept = most, list[M]()
    for item in items:
        left -= size(item.dump()) + 1
        if left < 0:
            break
        kept.append(item)
    return kept


def _cut(item: M, **most: int) -> M:
    """The item with these texts cut."""
    return item.model_copy(update={field: cut(getattr(item, field), limit) for field, limit in most.items()})


def _services(alerts: AlertCounts) -> dict[str, int]:
    """The services with the most alerts."""
    left, kept = SERVICES, dict[str, int]()
    for service, count in sorted(alerts.by_service.items(), key=lambda item: (-item[1], item[0])):
        left -= size(service) + len(str(count)) + 2
        if left < 0:
            break
        kept[service] = count
    return dict(sorted(kept.items()))


def _short(ticket: LinkedTicket) -> LinkedTicket:
    """Without what the ledger tells of it in full."""
    return _cut(ticket.model_copy(update={"evidence": [], "example": None}), subject=256)


def _cause(cause: Cause | None) -> Cause | None:
    if cause is None:
        return None
    evidence = [_cut(e, name=128, value=256, source=256) for e in cause.evidence]
    return cause.model_copy(update={"evidence": first_that_fit(evidence, CAUSE)})


def _timeline(entries: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    """Cut step by step until it fits. No entry goes, since what follows from facts would come back; see `timeline.add`."""
    steps: tuple[Callable[[TimelineEntry], TimelineEntry], ...] = (
        lambda e: e.model_copy(update={"evidence": [_brief(x) for x in e.evidence[:2]]}),
        lambda e: e.model_copy(update={"evidence": []}),
        lambda e: _cut(e, message=300, actor=64),
        lambda e: _cut(e, message=100),
    )
    kept = list(entries)
    for step in steps:
        if size([e.dump() for e in kept]) <= TIMELINE:
            break
        kept = [step(e) for e in kept]
    return kept


def _brief(evidence: Evidence) -> Evidence:
    return _cut(evidence, name=64, value=128, source=128)


def _dropped(decision: IncidentBuilder, status: IncidentStatus) -> dict[str, int]:
    """Number of items that are left out, by list; lists that are whole are not named."""
    before, known = decision.facts.incident.status, {(p.type, p.attempt, p.requested_at) for p in status.plays}
    gone = sum((p.type, p.attempt, p.requested_at) not in known for p in before.plays)
    numbers = [m.number for m in status.page.messages] if status.page else []
    counts = {
        "plays": before.dropped.get("plays", 0) + gone,
        "page.messages": max(numbers, default=0) - len(numbers),
        "tickets": len(tickets_of(decision.facts.ledger)) - len(status.tickets),
        "alerts.byService": status.alerts.count - sum(status.alerts.by_service.values()),
        "timeline": status.folded + status.dropped.get("timeline", 0),
    }
    return {name: count for name, count in counts.items() if count > 0}
