"""Row 2, page sev1: the burn was really there when it was detected, and one page, not many, reached the receiver."""

from datetime import timedelta

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, PageSeen, ShiftEvidence, SliSeries, TierBurn, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.gate.services import dependents
from opsloop.core.slo.tiers import budget_of

_PAGING = ("sev1", "sev2")


def judge(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    """Burn recomputed, severity, exactly one page, no page for a mere victim."""
    severity = incident.status.severity
    found.require(severity == "sev1", f"{incident.metadata.name} is {severity}, not sev1")
    burn = _burn(evidence, incident, found)
    _pages(evidence, incident, found)
    _victims(evidence, incident, found)
    return f"burn {burn} at detection, one sev1 page reached the receiver"


def highest(series: SliSeries, budget: float, incident: Incident, tick: timedelta) -> float | None:
    """Highest burn rate within one tick of detection; None where no events were seen."""
    at = incident.status.detected_at
    near = [p.ratio for p in series.points if at and abs(p.at - at) <= tick]
    known = [ratio for ratio in near if ratio is not None]
    return max(known) / budget if known else None


def _burn(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    objective = _objective(evidence, incident)
    if isinstance(evidence.burns, Missing) or isinstance(objective, Missing):
        found.gap(evidence.burns.why if isinstance(evidence.burns, Missing) else str(getattr(objective, "why", "")))
        return ""
    if not found.require(incident.status.detected_at is not None, "no time of detection is recorded"):
        return ""
    tiers = [tier for tier in evidence.burns if tier.tier.severity == "sev1"]
    if not found.require(bool(tiers), f"Release {incident.spec.release} has no tier of severity sev1"):
        return ""
    read = [(t, *_rates(t, budget_of(objective), incident, evidence.options.tick)) for t in tiers]
    for tier, long, short in read:
        found.fact(
            f"burn over {_name(tier)}", f"{_say(long)} & {_say(short)}, factor {tier.tier.factor:g}", tier.long.source
        )
    fired = [
        (long, short)
        for t, long, short in read
        if None not in (long, short) and min(long or 0, short or 0) > t.tier.factor
    ]
    if not fired and any(None in (long, short) for _, long, short in read):
        found.gap("Prometheus has no events at the time of detection")
    elif found.require(bool(fired), "at the time of detection no sev1 tier burned above its factor in both windows"):
        return f"{_say(fired[0][0])} & {_say(fired[0][1])}"
    return ""


def _rates(tier: TierBurn, budget: float, incident: Incident, tick: timedelta) -> tuple[float | None, float | None]:
    return highest(tier.long, budget, incident, tick), highest(tier.short, budget, incident, tick)


def _name(tier: TierBurn) -> str:
    return f"{tier.long.window.total_seconds():g}s & {tier.short.window.total_seconds():g}s"


def _say(burn: float | None) -> str:
    return "no events" if burn is None else f"{burn:.1f}x"


def _objective(evidence: ShiftEvidence, incident: Incident) -> float | Missing:
    if isinstance(evidence.releases, Missing):
        return evidence.releases
    for release in evidence.releases:
        if release.metadata.name == incident.spec.release and release.spec.slo:
            return release.spec.slo.objective
    return Missing(f"there is no Release {incident.spec.release!r} with an SLO")


def _pages(evidence: ShiftEvidence, incident: Incident, found: Findings) -> None:
    if isinstance(evidence.pages, Missing):
        found.gap(evidence.pages.why)
        return
    mine = [p for p in evidence.pages if _is_ours(p, incident)]
    keys = {page.dedup_key for page in mine}
    found.fact("pages for it", f"{len(keys)} ({len(mine)} call(s))", "GET /pages of the receiver")
    found.require(len(keys) == 1, f"{len(keys)} pages for {incident.metadata.name} reached the receiver, not one")
    wrong = sorted({page.severity for page in mine} - {"sev1"})
    found.require(not wrong, f"its page was sent as {', '.join(wrong)}")
    start, end = shift_of(incident, evidence.now)
    late = [page for page in mine if not start <= page.received_at <= end]
    found.require(not late, "a page for it reached the receiver outside the shift")


def _is_ours(page: PageSeen, incident: Incident) -> bool:
    key = incident.status.page.dedup_key if incident.status.page else None
    return page.incident == incident.metadata.name or page.dedup_key == key


def _victims(evidence: ShiftEvidence, incident: Incident, found: Findings) -> None:
    if isinstance(evidence.incidents, Missing) or isinstance(evidence.releases, Missing):
        found.gap("the Incidents and Releases of the namespace could not be read")
        return
    victims = dependents(incident.spec.release, evidence.releases)
    start, end = shift_of(incident, evidence.now)
    paged = [
        other.metadata.name
        for other in evidence.incidents
        if other.spec.release in victims and other.status.severity in _PAGING
        and start <= (other.metadata.creation_timestamp or other.spec.signal.at) <= end
    ]  # fmt: skip
    found.fact(
        "incidents of dependents", ", ".join(paged) or "none", f"Incidents of {', '.join(sorted(victims)) or 'none'}"
    )
    found.require(not paged, f"services that only suffer from it got their own incident: {', '.join(paged)}")
    if isinstance(evidence.pages, Missing):
        return
    names = {other.metadata.name for other in evidence.incidents if other.spec.release in victims}
    extra = [p for p in evidence.pages if p.incident in names and start <= p.received_at <= end]
    found.require(not extra, f"{len(extra)} page(s) went out for services that only suffer from it")
