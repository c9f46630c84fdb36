"""The end of an Incident's record: long after its resolution it is deleted, and its ledger and postmortem with it.

What was learnt of it stays: EvalCases have no owner, and blocks are on the Release.
"""

from datetime import timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import format_duration
from opsloop.core.actions import DeleteIncident
from opsloop.core.incident.state import IncidentBuilder
from opsloop.names import KEEP

# Default of the setting OPSLOOP_INCIDENT_RETENTION: a quarter, so that a quarterly review still finds every Incident of it.
RETENTION = timedelta(days=90)
FOR_EVER = timedelta(0)
RETRY = timedelta(days=1)  # a merged Incident waits for the one that counts its alerts

# Named reasons
RETENTION_OVER = "RetentionOver"  # Resolved for longer than the retention: it is deleted with its ledger and postmortem


def expire(decision: IncidentBuilder, retention: timedelta) -> None:
    """Deletes an Incident that is Resolved for `retention` (0 = never), unless a person keeps it or a Stop stands.

    Only one that was Resolved when it was observed, at the version that was observed: who reopens or keeps it meanwhile wins.
    """
    incident, facts = decision.facts.incident, decision.facts
    ended = incident.status.resolved_at
    if retention == FOR_EVER or incident.status.phase != "Resolved" or decision.status.phase != "Resolved":
        return
    if ended is None or incident.metadata.annotations.get(KEEP) == "true" or facts.stop is not None:
        return
    left = ended + retention - decision.now
    if left > timedelta(0):
        decision.look_again(left)
    elif _counts_for_another(incident, facts.incidents):
        decision.look_again(RETRY)
    else:
        meta = incident.metadata
        decision.execute(DeleteIncident(meta.name, meta.uid, meta.resource_version))
        text = f"resolved at {ended:%Y-%m-%d %H:%M} UTC and kept for {format_duration(retention)}: deleted with its ledger and postmortem"
        decision.event(RETENTION_OVER, text)


def _counts_for_another(incident: Incident, incidents: tuple[Incident, ...]) -> bool:
    """True while the Incident that this one was merged into is there: its counts hold this one's ledger."""
    return any(other.metadata.name == incident.status.merged_into for other in incidents)
