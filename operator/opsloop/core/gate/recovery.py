"""Row 5, SLI recovered within SLO: burn above the page factor before, within the objective ever since, events now."""

from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, ShiftEvidence, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import root_with_slo
from opsloop.core.gate.sli import History, check_harm, check_within_budget, history, seconds

LEAST_LOOK = timedelta(seconds=30)  # the SLI must have had events without a pause for at least so long, up to now


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """Harm, no stretch over budget since, events up to now, and all events since the recovery added up."""
    mitigated = incident.status.mitigated_at
    past = history(evidence, incident)
    if isinstance(past, Missing):
        findings.gap(past.why)
    if mitigated is None:
        findings.require(False, f"{incident.metadata.name} was never mitigated")
        return ""
    if isinstance(past, Missing):
        return ""
    if isinstance(evidence.burns, Missing):  # a lower factor in its place would let a harmless bump count as harm
        findings.gap(f"the page tier's factor is not known: {evidence.burns.why}")
    start, _ = shift_of(incident, evidence.now)
    check_harm(past, _page_factor(evidence), start, mitigated, findings)
    check_within_budget(past, mitigated, evidence.now, evidence.options.tick, "since the recovery", findings)
    _check_recent_events(evidence, incident, mitigated, past, findings)
    _check_others(evidence, findings)
    return _check_total(evidence, past.budget, findings)


def _page_factor(evidence: ShiftEvidence) -> float:
    tiers = () if isinstance(evidence.burns, Missing) else evidence.burns
    return min((t.tier.factor for t in tiers if t.tier.severity == evidence.options.severity), default=1.0)


def _check_recent_events(
    evidence: ShiftEvidence, incident: Incident, mitigated: datetime, past: History, findings: Findings
) -> None:
    root = root_with_slo(evidence.releases, incident)
    look = LEAST_LOOK if isinstance(root, Missing) else max(LEAST_LOOK, root[1].resolve_after)
    recent = past.between(evidence.now - look, evidence.now)
    least = look.total_seconds() / past.series.step * 0.8
    silent = sum(1 for point in recent if point.total <= 0)
    if len(recent) < least or silent:
        findings.gap(
            f"the SLI did not speak all through the last {seconds(look)} ({len(recent) - silent} instants with events)"
        )
    elif mitigated > evidence.now - LEAST_LOOK:
        findings.gap(f"it recovered only {seconds(evidence.now - mitigated)} ago")


def _check_others(evidence: ShiftEvidence, findings: Findings) -> None:
    """The other objectives as well: a recovery that breaks one of them is none. One without events was met by nobody."""
    if isinstance(evidence.others, Missing):
        findings.gap(evidence.others.why)
        return
    for other in evidence.others:
        ratio = other.since.ratio
        seen = "no events" if ratio is None else f"{ratio:.2%} of {other.since.total:.0f} events"
        findings.fact(f"errors since, {other.name}", f"{seen}, budget {other.budget:.2%}", "its SLI since mitigated")
        findings.require(
            ratio is None or ratio <= other.budget,
            f"{seen} of {other.name} since the recovery were bad, more than {other.budget:.2%}",
        )


def _check_total(evidence: ShiftEvidence, budget: float, findings: Findings) -> str:
    total = evidence.since_mitigated
    if isinstance(total, Missing) or total.ratio is None:
        findings.gap(total.why if isinstance(total, Missing) else "Prometheus has no events since the recovery")
        return ""
    counted = f"{total.ratio:.2%} of {total.total:.0f} events"
    findings.fact("errors since", f"{counted}, budget {budget:.2%}", "the SLI over the time since mitigated")
    findings.require(
        total.ratio <= budget, f"{total.ratio:.2%} of the events since the recovery were bad, more than {budget:.2%}"
    )
    return f"{counted} since the recovery were bad; the budget is {budget:.2%}"
