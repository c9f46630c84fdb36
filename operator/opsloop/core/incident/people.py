"""What people add to an Incident, told in its timeline: who works on it, and their notes."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from opsloop.api.incident import Note
from opsloop.core.alerts.corrections import told
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.reported import Correction

# Types of timeline entries, and the reason of an Event
ASSIGNED = "Assigned"  # who works on the Incident was changed by a person
NOTE = "Note"  # a person added a note
CORRECTED = "Corrected"  # a person corrected a ticket of the Incident
MOST_TOLD = 50  # notes in the timeline; the spec and the postmortem have all of them
SOMEBODY = "an unknown manager"


def record(decision: IncidentBuilder) -> None:
    """Tells each change of the assignee, and each note once. Who wrote it is the author of a note, else the field manager."""
    _assignee(decision)
    for note in decision.facts.incident.spec.notes[:MOST_TOLD]:
        _note(decision, note)


def record_corrections(decision: IncidentBuilder, corrections: Iterable[Correction]) -> None:
    """Each correction of a ticket once: who changed what, when, from and to."""
    for record in sorted(corrections, key=lambda r: (r.at, r))[-MOST_TOLD:]:
        text = f"ticket {record.ticket} {told(record)}"
        timeline.record(decision, f"corrected-{record.id}-{record.what}", record.at, CORRECTED, text, record.by)


def _assignee(decision: IncidentBuilder) -> None:
    incident, known = decision.facts.incident, decision.status.assignee
    wanted = incident.spec.assignee
    if wanted == known:
        return
    decision.set(assignee=wanted)
    text = f"assigned to {wanted}" if wanted else f"assigned to nobody any more, before to {known}"
    at, who = _written(decision, "assignee")
    timeline.record(decision, f"assigned-{incident.metadata.generation}", at, ASSIGNED, text, who)
    decision.event(ASSIGNED, text)


def _note(decision: IncidentBuilder, note: Note) -> None:
    at, who = _written(decision, "notes")
    digest = hashlib.sha256(f"{note.at} {note.author} {note.text}".encode()).hexdigest()[:16]
    timeline.record(decision, f"note-{digest}", note.at or at, NOTE, note.text, note.author or who)


def _written(decision: IncidentBuilder, field: str) -> tuple[datetime, str]:
    """When and by which field manager a field of the spec was last written, as far as the API server noted it."""
    write = decision.facts.writes.get(field)
    return (write.at, write.manager or SOMEBODY) if write else (decision.now, SOMEBODY)
