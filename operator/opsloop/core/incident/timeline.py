"""The timeline of an Incident: each entry once per key, in order of time, bounded."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from opsloop.api.incident import Evidence, IncidentStatus, TimelineEntry
from opsloop.core.incident.state import IncidentBuilder

MOST_ENTRIES = 200
MOST_EVIDENCE = 10
LONGEST_KEY, LONGEST_MESSAGE = 128, 1000
# Types of entries that are added at a transition of the Incident. All others are derived from the facts at every decision,
# so that a folded one would come back with the next decision.
TRANSITIONS = ("Relapse", "Mitigated", "Resolved", "Reopened", "Escalated", "Assigned")


def add(status: IncidentStatus, entry: TimelineEntry) -> IncidentStatus:
    """The status with this entry in its timeline; unchanged where the timeline has an entry of that key.

    Folding: beyond 200 entries the transition in the middle of all transitions makes room and is counted in `folded`;
    without a transition to fold, the new entry is left out.
    """
    if any(e.key == entry.key for e in status.timeline):
        return status
    timeline = sorted([*status.timeline, entry], key=lambda e: e.at)
    if len(timeline) <= MOST_ENTRIES:
        return status.model_copy(update={"timeline": timeline})
    transitions = [e for e in timeline if e.type in TRANSITIONS and e is not entry]
    if not transitions:
        return status
    timeline.remove(transitions[len(transitions) // 2])
    return status.model_copy(update={"timeline": timeline, "folded": status.folded + 1})


def record(
    decision: IncidentBuilder,
    key: str,
    at: datetime,
    type_: str,
    message: str,
    actor: str = "opsloop",
    evidence: Sequence[Evidence] = (),
) -> None:
    """Adds an entry to the timeline of the decision's status, once per key."""
    entry = TimelineEntry(
        key=_bounded(key),
        at=at,
        type=type_,
        actor=actor,
        message=message[:LONGEST_MESSAGE],
        evidence=list(evidence)[:MOST_EVIDENCE],
    )
    decision.status = add(decision.status, entry)
    if not any(e.key == entry.key for e in decision.status.timeline):
        left_out = decision.status.dropped.get("timeline", 0) + 1
        decision.set(dropped={**decision.status.dropped, "timeline": left_out})


def _bounded(key: str) -> str:
    """The key, or a digest of one that is too long: ids of tickets may have letters that need six bytes each."""
    if len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    return f"{key.split('-')[0][:32]}-{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:32]}"
