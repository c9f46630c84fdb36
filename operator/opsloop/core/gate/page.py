"""Row 2, page sev1: the burn was really there when it was detected, and one page, not many, reached the receiver."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import PAGING
from opsloop.core.gate.evidence import Missing, PageSeen, ShiftEvidence, SliSeries, TierBurn, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import dependents, root_with_slo
from opsloop.core.slo.tiers import budget_of


def judge(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    """Burn recomputed, severity, exactly one page, no page for a mere victim."""
    severity, wanted = incident.status.severity, evidence.options.severity
    findings.require(severity == wanted, f"{incident.metadata.name} is {severity}, not {wanted}")
    burn = _check_burn(evidence, incident, findings)
    _check_pages(evidence, incident, findings)
    _check_victims(evidence, incident, findings)
    return f"burn {burn} at detection, one {wanted} page reached the receiver"


def highest(series: SliSeries, budget: float, at: datetime, tick: timedelta) -> float | None:
    """Highest burn rate within one tick of the instant; None where no events were seen."""
    near = [p.ratio for p in series.points if abs(p.at - at) <= tick]
    known = [ratio for ratio in near if ratio is not None]
    return max(known) / budget if known else None


def _check_burn(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> str:
    root = root_with_slo(evidence.releases, incident)
    if isinstance(evidence.burns, Missing):
        findings.gap(evidence.burns.why)
        return ""
    if isinstance(root, Missing):
        findings.gap(root.why)
        return ""
    if not findings.require(incident.status.detected_at is not None, "no time of detection is recorded"):
        return ""
    wanted = evidence.options.severity
    tiers = [tier for tier in evidence.burns if tier.tier.severity == wanted]
    if not findings.require(bool(tiers), f"Release {incident.spec.release} has no tier of severity {wanted}"):
        return ""
    read = [(t, *_rates(t, budget_of(root[1].objective), evidence.options.tick)) for t in tiers]
    for tier, long, short in read:
        findings.fact(
            f"burn over {_windows(tier)} at {tier.at:%H:%M:%S}",
            f"{_times(long)} & {_times(short)}, factor {tier.tier.factor:g}",
            tier.long.source,
        )
    fired = [
        (long, short)
        for t, long, short in read
        if None not in (long, short) and min(long or 0, short or 0) > t.tier.factor
    ]
    if not fired and any(None in (long, short) for _, long, short in read):
        findings.gap("Prometheus has no events at the time of detection")
    elif findings.require(
        bool(fired), f"at the time of detection no {wanted} tier burned above its factor in both windows"
    ):
        return f"{_times(fired[0][0])} & {_times(fired[0][1])}"
    return ""


def _rates(tier: TierBurn, budget: float, tick: timedelta) -> tuple[float | None, float | None]:
    return highest(tier.long, budget, tier.at, tick), highest(tier.short, budget, tier.at, tick)


def _windows(tier: TierBurn) -> str:
    return f"{tier.long.window.total_seconds():g}s & {tier.short.window.total_seconds():g}s"


def _times(burn: float | None) -> str:
    return "no events" if burn is None else f"{burn:.1f}x"


def _check_delivery(incident: Incident, findings: Findings) -> None:
    """What opsloop says against itself is believed: that no receiver took the page, and what they answered instead."""
    page = incident.status.page
    calls = [m for m in page.messages if m.action == "trigger"] if page else []
    if page is None or not calls or any(m.state in ("Sent", "Grouped") for m in calls):
        return
    answers = [f"{r.name}: {r.failure.removeprefix(f'{r.name}: ')}" for r in page.receivers if r.failure]
    findings.require(False, f"no receiver took its page ({'; '.join(answers) or calls[-1].state})")


def _check_pages(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> None:
    _check_delivery(incident, findings)
    if isinstance(evidence.pages, Missing):
        findings.gap(evidence.pages.why)
        return
    mine = [p for p in evidence.pages if _is_ours(p, incident) and p.action == "trigger"]
    ends = [p for p in evidence.pages if _is_ours(p, incident) and p.action == "resolve"]
    keys = {page.dedup_key for page in mine}
    findings.fact("pages for it", f"{len(keys)} ({len(mine)} call(s))", _said_by(mine))
    findings.fact("ends of its thread", str(len(ends)), _said_by(ends))
    left = [p for p in mine if p.is_open and incident.status.phase == "Resolved"]
    findings.require(not left, "its alert still fires at Alertmanager, though it is resolved")
    findings.require(len(keys) == 1, f"{len(keys)} pages for {incident.metadata.name} reached the receiver, not one")
    sent = {page.severity for page in mine}  # a thread may begin with a milder call: harm grows
    findings.require(not sent or evidence.options.severity in sent, f"its page was sent as {', '.join(sorted(sent))}")
    start, end = shift_of(incident, evidence.now)
    late = [page for page in mine if not start <= page.received_at <= end]
    findings.require(not late, "a page for it reached the receiver outside the shift")


def _said_by(pages: Sequence[PageSeen]) -> str:
    return "; ".join(dict.fromkeys(page.source for page in pages)) or "the receivers"


def _is_ours(page: PageSeen, incident: Incident) -> bool:
    key = incident.status.page.alert if incident.status.page else None
    return page.incident == incident.metadata.name or page.dedup_key == key


def _check_victims(evidence: ShiftEvidence, incident: Incident, findings: Findings) -> None:
    if isinstance(evidence.incidents, Missing) or isinstance(evidence.releases, Missing):
        findings.gap("the Incidents and Releases of the namespace could not be read")
        return
    victims = dependents(incident.spec.release, evidence.releases)
    start, end = shift_of(incident, evidence.now)
    theirs = [
        other
        for other in evidence.incidents
        if other.spec.release in victims and other.status.severity in PAGING
        and start <= (other.metadata.creation_timestamp or other.spec.signal.at) <= end
    ]  # fmt: skip
    own = [o.metadata.name for o in theirs if not _was_merged_into(o, incident, evidence.incidents)]
    told = [o.metadata.name if o.metadata.name in own else f"{o.metadata.name} (merged into it)" for o in theirs]
    findings.fact(
        "incidents of dependents", ", ".join(told) or "none", f"Incidents of {', '.join(sorted(victims)) or 'none'}"
    )
    findings.require(not own, f"services that only suffer from it got their own incident: {', '.join(own)}")
    if isinstance(evidence.pages, Missing):
        return
    names = {other.metadata.name for other in evidence.incidents if other.spec.release in victims}
    calls = [p for p in evidence.pages if p.action == "trigger" and not _is_ours(p, incident)]
    extra = [p for p in calls if p.incident in names and start <= p.received_at <= end]
    findings.require(not extra, f"{len(extra)} page(s) went out for services that only suffer from it")


def _was_merged_into(other: Incident, incident: Incident, incidents: Sequence[Incident]) -> bool:
    """True where a caller was read first and its Incident went into this one, by way of others or at once: one fault, one Incident."""
    into, seen = {i.metadata.name: i.status.merged_into for i in incidents}, set[str]()
    name = other.metadata.name
    while name and name != incident.metadata.name and name not in seen:
        seen.add(name)
        name = into.get(name, "")
    return name == incident.metadata.name
