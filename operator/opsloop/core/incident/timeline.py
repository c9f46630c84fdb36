"""The timeline of an Incident: each entry once per key, in order of time, bounded."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from opsloop.api.cause import Evidence
from opsloop.api.incident import IncidentStatus, TimelineEntry
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.reported import Moved

MOST_ENTRIES = 200
MOST_EVIDENCE = 10
MOST_MOVES = 40  # entries about alerts that came or left
MOST_REASONS = 3
LONGEST_KEY, LONGEST_ACTOR, LONGEST_MESSAGE = 128, 128, 1000
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


def record_moves(decision: IncidentBuilder, moves: Iterable[Moved]) -> None:
    """What came and left, the latest of it: one entry for what moved at once between two Incidents, with the reasons."""
    together: dict[tuple[datetime, bool, str], list[Moved]] = {}
    for move in moves:
        together.setdefault((move.at, move.out, move.other), []).append(move)
    for (at, out, other), each in sorted(together.items())[-MOST_MOVES:]:
        reasons = sorted({move.why for move in each if move.why})
        more = f" and {len(reasons) - MOST_REASONS} more" if len(reasons) > MOST_REASONS else ""
        what = f"{len(each)} alert{'s' if len(each) > 1 else ''} moved {'to' if out else 'here from'} {other}"
        why = f": {'; '.join(reasons[:MOST_REASONS])}{more}" if reasons else ""
        record(decision, f"moved-{at.timestamp():.0f}-{'to' if out else 'from'}-{other}", at, "Moved", what + why)


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
