"""One Incident for one fault: an Incident that what its root depends on explains is merged into that one's.

Calling a person binds nobody: it is merged as long as nothing was done or asked for. One that has called already is merged
only into harm that began with its own: what breaks long after is another thing to wake people for.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import dependencies, thread
from opsloop.core.incident.dependencies import GAP
from opsloop.core.incident.state import is_harmed
from opsloop.core.topology import Topology


def merge_target(
    own: Incident,
    status: IncidentStatus,
    view: ReleaseView | None,
    incidents: Sequence[Incident],
    topology: Topology,
    now: datetime,
) -> Incident | None:
    """The open Incident of a dependency that explains this one; None where this one acts already or is over.

    `view` is of its root, `incidents` are all others. Without harm of its own (alerts alone) there is nothing that a
    dependency would explain. Of two that depend on each other the later one is merged.
    """
    if view is None or not is_mergeable(status) or (status.burn is None and not is_harmed(view)):
        return None
    name = view.release.metadata.name
    for dependency in dependencies.explaining(view, status.severity, incidents, topology, now):
        other = dependencies.incident_on(dependency, incidents)
        if other is None or not other.is_open or _is_another_harm(own, status, other, topology):
            continue
        if name not in topology.dependencies(dependency) or _age(other) < _age(own):
            return other
    return None


def is_mergeable(status: IncidentStatus) -> bool:
    """True while it is open and nothing was done for it, or is asked for: that a person was called is no act."""
    idle = all(play.type == "escalate" or play.state == "Refused" for play in status.plays)
    return status.phase in ("Open", "Mitigated") and idle


def _is_another_harm(own: Incident, status: IncidentStatus, other: Incident, topology: Topology) -> bool:
    """True where people were called for this one, and the other's harm began too long after it to be the same."""
    if not thread.calls(status.page):
        return False
    view = topology.views.get(other.spec.release)
    return began(other, view) - began(own, topology.views.get(own.spec.release)) > GAP


def began(incident: Incident, view: ReleaseView | None) -> datetime:
    """Start of an Incident's harm, as early as it is known."""
    known = [incident.status.onset_at, incident.spec.signal.at, view.readings.onset if view else None]
    return min(at for at in known if at is not None)


def emptied_into(facts: IncidentFacts, status: IncidentStatus) -> Incident | None:
    """The open Incident to which most of its alerts moved, where all have left and nothing else tells of this one; else None."""
    left, signal = Counter(m.other for m in facts.ledger.moves if m.out), facts.incident.spec.signal
    if facts.ledger.alerts or not left or signal.kind not in ("alerts", "housekeeping"):
        return None
    if status.phase == "Resolved" or status.plays or status.burn is not None or status.outage_at is not None:
        return None
    most = min(left, key=lambda name: (-left[name], name))
    path = heirs(facts.incident.metadata.name, most, facts.incidents)
    return path[-1] if path and path[-1].is_open else None


def heirs(name: str, into: str, incidents: Sequence[Incident]) -> list[Incident]:
    """The Incidents that took `name` in: `into`, the one that took that one in, and so on to the last that is known."""
    known, path = {i.metadata.name: i for i in incidents if i.metadata.name != name}, list[Incident]()
    while (other := known.pop(into, None)) is not None:
        path.append(other)
        into = other.status.merged_into
    return path if not into else []


def _age(incident: Incident) -> tuple[datetime, str]:
    return incident.spec.signal.at, incident.metadata.name
