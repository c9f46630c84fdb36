"""The outage of an Incident: no pod of its root is available. Evidence that needs no SLI, which is silent then."""

from datetime import timedelta

from opsloop.api.meta import Severity
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder, worse
from opsloop.core.release.outages import OUTAGE_AFTER, outage_lasts, outage_since

SEVERITY: Severity = "sev1"  # of an outage: nobody is served
STARVED_SEVERITY: Severity = "sev2"  # of traffic that is gone while pods are missing: pods serve, to nobody
STEADY = timedelta(minutes=2)  # a crash loop lets pods be available for seconds: they must stay so for this time


def record(decision: IncidentBuilder) -> None:
    """Records an outage of the root that lasts: the harm begins with it, whatever the Incident was opened for."""
    root, now = decision.facts.root, decision.now
    since = outage_since(root.release) if root else None
    if root is None or since is None:
        return
    if decision.status.outage_at == since:
        return
    if not outage_lasts(root.release, now) and decision.facts.incident.spec.signal.kind != "workload":
        decision.look_again(OUTAGE_AFTER - (now - since))
        return
    first = decision.status.burn is None and decision.status.outage_at is None
    decision.set(phase="Open" if decision.status.phase == "Mitigated" else decision.status.phase)
    decision.set(
        outage_at=since, mitigated_at=None, back_since=None, severity=worse(decision.status.severity, SEVERITY)
    )
    if first:
        decision.set(title=title(decision.facts.incident.spec.service))
    if decision.status.burn is None:
        decision.set(onset_at=decision.status.onset_at or since)
    text = f"no pod of {root.release.metadata.name} is available"
    timeline.record(decision, f"outage-{since.timestamp():.0f}", since, "Outage", text, "kubernetes")
    decision.event("Outage", text, "Warning")


def title(service: str) -> str:
    """The harm in one line."""
    return f"{service}: no pod is available"[:256]
