"""Row 4, incident resolved: harm before, the SLI back from mitigated to resolved, and nothing refused is live."""

from datetime import timedelta

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, ShiftEvidence, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import refused_digests, version_and_digest
from opsloop.core.gate.sli import check_harm, check_within_budget, history, seconds


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """Phase, live revision, and the SLI before the mitigation and until it was resolved."""
    status, name = incident.status, incident.metadata.name
    findings.fact("phase", status.phase, f"Incident {name}")
    findings.require(status.phase == "Resolved", f"{name} is {status.phase}, not Resolved{_last_step(incident)}")
    _check_live_revision(evidence, incident, findings)
    past = history(evidence, incident)
    if isinstance(past, Missing):
        findings.gap(past.why)
    if status.mitigated_at is None or status.resolved_at is None:
        findings.require(status.phase != "Resolved", f"{name} has no times of recovery")
        return ""
    if isinstance(past, Missing):
        return ""
    start, _ = shift_of(incident, evidence.now)
    check_harm(past, 1.0, start, status.mitigated_at, findings)
    end = status.resolved_at + timedelta(seconds=past.series.step)
    period = "between mitigated and resolved"
    check_within_budget(past, status.mitigated_at, end, evidence.options.tick, period, findings)
    held = seconds(status.resolved_at - status.mitigated_at)
    return f"{name} is Resolved: the SLI was back for {held} before, and no refused revision is live"


def _last_step(incident: Incident) -> str:
    """What the Runbook did last, or why none did anything."""
    if not incident.status.plays:
        return ""
    play = incident.status.plays[-1]
    said = ", ".join(filter(None, (play.reason, play.message[:160])))
    return f" (last step: {play.type} {play.state}{f', {said}' if said else ''})"


def _check_live_revision(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> None:
    if isinstance(evidence.workload, Missing):
        findings.gap(evidence.workload.why)
        return
    if isinstance(evidence.releases, Missing):
        findings.gap(evidence.releases.why)
    digest = evidence.workload.digest
    live = version_and_digest(evidence, incident, digest)
    findings.fact("live revision", live, f"digest of Deployment {evidence.workload.name}'s template")
    findings.require(
        digest not in refused_digests(evidence, incident),
        f"the live revision {live} is one that was rolled back or refused",
    )
