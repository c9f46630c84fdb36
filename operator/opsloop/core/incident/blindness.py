"""One Incident for a namespace whose SLIs nobody can read: Prometheus is away, and sixty Incidents would say no more."""

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.release.silence import silent_since, silent_together

MOST_NAMES = 64  # of status.affected


def is_about(incident: Incident) -> bool:
    """True for the Incident that speaks for many Releases."""
    return incident.spec.signal.kind == "telemetry" and incident.spec.release == ""


def title(count: int) -> str:
    """The harm in one line."""
    return f"the SLIs of {count} Releases are unknown"


def silent_now(facts: IncidentFacts, status: IncidentStatus) -> list[str]:
    """Names of the Releases of which it tells that are still silent."""
    return [
        view.release.metadata.name
        for view in facts.releases
        if view.release.metadata.name in status.affected and silent_since(view.release) is not None
    ]


def record(decision: IncidentBuilder) -> None:
    """The Releases that are silent together: each once, and in the title how many were at most."""
    incident, known = decision.facts.incident, decision.status.affected
    if not is_about(incident):
        return
    new = [n for n in silent_together([v.release for v in decision.facts.releases]) if n not in known]
    if not new or len(known) >= MOST_NAMES:
        return
    names = [*known, *new]
    decision.set(affected=names[:MOST_NAMES], title=title(len(names)))
    text = f"unknown: {', '.join(new[:8])}{f' and {len(new) - 8} more' if len(new) > 8 else ''}"
    timeline.record(decision, f"silent-{len(names)}", decision.now, "Affected", text, "prometheus")
