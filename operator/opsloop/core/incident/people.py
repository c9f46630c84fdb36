"""What people add to an Incident, told in its timeline: who works on it, and their notes."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from opsloop.api.incident import Note
from opsloop.core.alerts.corrections import told
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.release.commands import OBEYED
from opsloop.core.reported import Correction

# Types of timeline entries, and the reason of an Event
ASSIGNED = "Assigned"  # who works on the Incident was changed by a person
NOTE = "Note"  # a person added a note
ACTED = "Acted"  # a person gave a command on the Release, and it was obeyed
CORRECTED = "Corrected"  # a person corrected a ticket of the Incident
MOST_TOLD = 50  # notes in the timeline; the spec and the postmortem have all of them
SOMEBODY = "an unknown manager"
SOMEONE = "a person"  # who gave a command is in the audit log


def record(decision: IncidentBuilder) -> None:
    """Tells each change of the assignee, and each note once. Who wrote it is the author of a note, else the field manager."""
    _assignee(decision)
    for note in decision.facts.incident.spec.notes[:MOST_TOLD]:
        _note(decision, note)


def record_acts(decision: IncidentBuilder) -> None:
    """Each command on the root Release that was obeyed since the harm was detected, once: undo, promote, abort and the like."""
    incident, root = decision.facts.incident, decision.facts.root
    since = decision.status.detected_at
    if root is None or since is None or not incident.is_open:
        return
    for command in root.release.status.commands:
        if command.reason == OBEYED and command.at >= since:
            key = f"act-{command.name}-{command.at.timestamp():.0f}"
            text = f"{command.name}: {command.message}" if command.message else command.name
            timeline.record(decision, key, command.at, ACTED, text, SOMEONE)


def record_corrections(decision: IncidentBuilder, corrections: Iterable[Correction]) -> None:
    """Each correction of a ticket once: who changed what, when, from and to. A ticket that left and came back brings a second record of
    its leaving."""
    for record in sorted(corrections, key=lambda r: (r.at, r))[-MOST_TOLD:]:
        text = f"ticket {record.ticket} {told(record)}"
        matter = "link" if record.what == "unlink" else record.what
        timeline.record(decision, f"corrected-{record.id}-{matter}", record.at, CORRECTED, text, record.by)


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
