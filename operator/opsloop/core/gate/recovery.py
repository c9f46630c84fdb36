"""Rows 4 and 5: the harm was there, and it is over; both from the SLI's history, instant by instant.

A burst of bad events stays visible in a short window for exactly the window's length, and a reader that looks once a
tick sees it a tick longer: a stretch over budget that is no longer than both together is tolerated here, because
everything since the recovery is added up as well and must meet the objective.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.gate.evidence import Missing, ShiftEvidence, SliPoint, SliSeries, shift_of
from opsloop.core.gate.report import Findings
from opsloop.core.slo.tiers import budget_of

LEAST_LOOK = timedelta(seconds=30)  # the SLI must have spoken without a pause for at least so long, up to now


def release_of(evidence: ShiftEvidence, incident: Incident) -> Release | None:
    """The root Release, as it was read now."""
    releases = () if isinstance(evidence.releases, Missing) else evidence.releases
    return next((r for r in releases if r.metadata.name == incident.spec.release), None)


def refused_digests(evidence: ShiftEvidence, incident: Incident) -> frozenset[str]:
    """Revisions that must not be live: blamed or blocked by this Incident, or blocked on its Release."""
    release = release_of(evidence, incident)
    blocked = {r.digest for r in release.status.revisions if r.blocked} if release else set()
    blamed = {incident.status.cause.revision} if incident.status.cause else set()
    return frozenset((blocked | blamed | set(incident.status.blocked)) - {""})


def named(evidence: ShiftEvidence, incident: Incident, digest: str) -> str:
    """`v2 (bc0a68f915e0b003)`: the digest with the version label that the Release knows it by."""
    release = release_of(evidence, incident)
    version = next((r.version for r in release.status.revisions if r.digest == digest), "") if release else ""
    return f"{version} ({digest})" if version else digest


def resolved(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    """Row 4: phase, harm before, the SLI back from mitigated to resolved, nothing refused is live."""
    status, name = incident.status, incident.metadata.name
    found.fact("phase", status.phase, f"Incident {name}")
    found.require(status.phase == "Resolved", f"{name} is {status.phase}, not Resolved")
    _not_refused(evidence, incident, found)
    known = _history(evidence, incident, found)
    if known is None or status.mitigated_at is None or status.resolved_at is None:
        found.require(
            status.phase != "Resolved" or None not in (status.mitigated_at, status.resolved_at),
            f"{name} has no times of recovery",
        )
        return ""
    series, budget = known
    start, _ = shift_of(incident, evidence.now)
    _harm(series, budget, 1.0, (start, status.mitigated_at), found)
    held = _between(series, status.mitigated_at, status.resolved_at + timedelta(seconds=series.step))
    _stays_back(held, series, budget, evidence.options.tick, found, "between mitigated and resolved")
    return f"{name} is Resolved: the SLI was back for {_seconds(status.resolved_at - status.mitigated_at)} before, and no refused revision is live"


def recovered(evidence: ShiftEvidence, incident: Incident, found: Findings) -> str:
    """Row 5: burn above the page factor before, within the objective ever since, and events that say so now."""
    mitigated = incident.status.mitigated_at
    known = _history(evidence, incident, found)
    if (
        not found.require(mitigated is not None, f"{incident.metadata.name} was never mitigated")
        or known is None
        or not mitigated
    ):
        return ""
    series, budget = known
    start, _ = shift_of(incident, evidence.now)
    if isinstance(evidence.burns, Missing):  # a lower factor in its place would let a harmless bump count as harm
        found.gap(f"the page tier's factor is not known: {evidence.burns.why}")
    _harm(series, budget, _page_factor(evidence), (start, mitigated), found)
    after = _between(series, mitigated, evidence.now)
    _stays_back(after, series, budget, evidence.options.tick, found, "since the recovery")
    _speaks_now(evidence, incident, series, found)
    return _whole(evidence, budget, found)


def _history(evidence: ShiftEvidence, incident: Incident, found: Findings) -> tuple[SliSeries, float] | None:
    """(series over the short window, error budget), or a gap."""
    release = release_of(evidence, incident)
    if isinstance(evidence.sli, Missing):
        found.gap(evidence.sli.why)
        return None
    if release is None or release.spec.slo is None:
        found.gap(f"there is no Release {incident.spec.release!r} with an SLO")
        return None
    return evidence.sli, budget_of(release.spec.slo.objective)


def _page_factor(evidence: ShiftEvidence) -> float:
    tiers = () if isinstance(evidence.burns, Missing) else evidence.burns
    return min((t.tier.factor for t in tiers if t.tier.severity == "sev1"), default=1.0)


def _between(series: SliSeries, start: datetime, end: datetime) -> list[SliPoint]:
    return [point for point in series.points if start <= point.at <= end]


def _harm(series: SliSeries, budget: float, factor: float, span: tuple[datetime, datetime], found: Findings) -> None:
    ratios = [p.ratio for p in _between(series, *span) if p.ratio is not None]
    if not ratios:
        found.gap("Prometheus has no events from before the recovery")
        return
    peak = max(ratios) / budget
    found.fact("worst burn before", f"{peak:.1f}x over {series.window.total_seconds():g}s", series.source)
    found.require(
        peak > factor,
        f"before the recovery the SLI burned at {peak:.1f}x at most, not above {factor:g}x: nothing broke",
    )


def longest_over(points: Iterable[SliPoint], budget: float) -> timedelta:
    """Longest stretch without an instant inside the budget; instants without events end no stretch."""
    longest, since = timedelta(0), None
    for point in points:
        if point.ratio is None:
            continue
        since = (since or point.at) if point.ratio > budget else None
        longest = max(longest, point.at - since) if since else longest
    return longest


def _stays_back(
    points: list[SliPoint], series: SliSeries, budget: float, tick: timedelta, found: Findings, when: str
) -> None:
    if not any(p.total > 0 for p in points):
        found.gap(f"Prometheus has no events {when}")
        return
    worst = longest_over(points, budget)
    found.fact(f"over budget {when}", f"{_seconds(worst)} at most, of {len(points)} instants", series.source)
    found.require(
        worst <= series.window + tick, f"{when} the SLI was over budget for {_seconds(worst)} without a break"
    )


def _speaks_now(evidence: ShiftEvidence, incident: Incident, series: SliSeries, found: Findings) -> None:
    release = release_of(evidence, incident)
    slo = release.spec.slo if release else None
    look = max(LEAST_LOOK, slo.resolve_after if slo else LEAST_LOOK)
    recent = _between(series, evidence.now - look, evidence.now)
    least = look.total_seconds() / series.step * 0.8
    silent = sum(1 for point in recent if point.total <= 0)
    if len(recent) < least or silent:
        found.gap(
            f"the SLI did not speak all through the last {_seconds(look)} ({len(recent) - silent} instants with events)"
        )
    elif incident.status.mitigated_at and incident.status.mitigated_at > evidence.now - LEAST_LOOK:
        found.gap(f"it recovered only {_seconds(evidence.now - incident.status.mitigated_at)} ago")


def _whole(evidence: ShiftEvidence, budget: float, found: Findings) -> str:
    whole = evidence.since_mitigated
    if isinstance(whole, Missing) or whole.ratio is None:
        found.gap(whole.why if isinstance(whole, Missing) else "Prometheus has no events since the recovery")
        return ""
    found.fact(
        "errors since",
        f"{whole.ratio:.2%} of {whole.total:.0f} events, budget {budget:.2%}",
        "the SLI over the time since mitigated",
    )
    found.require(
        whole.ratio <= budget, f"{whole.ratio:.2%} of the events since the recovery were bad, more than {budget:.2%}"
    )
    return f"{whole.ratio:.2%} of {whole.total:.0f} events since the recovery were bad; the budget is {budget:.2%}"


def _not_refused(evidence: ShiftEvidence, incident: Incident, found: Findings) -> None:
    if isinstance(evidence.workload, Missing):
        found.gap(evidence.workload.why)
        return
    if isinstance(evidence.releases, Missing):
        found.gap(evidence.releases.why)
    live, refused = evidence.workload.digest, refused_digests(evidence, incident)
    said = named(evidence, incident, live)
    found.fact("live revision", said, f"digest of Deployment {evidence.workload.name}'s template")
    found.require(live not in refused, f"the live revision {said} is one that was rolled back or refused")


def _seconds(value: timedelta) -> str:
    return f"{value.total_seconds():.0f} s"
