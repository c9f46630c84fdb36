"""Checks of the SLI's history, instant by instant, for the rows of the recovery.

A burst of bad events stays visible in a short window for exactly the window's length, and a reader that looks once a
tick sees it a tick longer. A stretch over budget that is no longer than both together is tolerated here, because
everything since the recovery is added up as well and must meet the objective.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.gate.evidence import Missing, ShiftEvidence, SliPoint, SliSeries
from opsloop.core.gate.report import Findings
from opsloop.core.gate.scope import root_with_slo
from opsloop.core.slo.tiers import budget_of


@dataclass(frozen=True, slots=True)
class History:
    """The SLI over the short window, and the error budget that it is held against."""

    series: SliSeries
    budget: float

    def between(self, start: datetime, end: datetime) -> list[SliPoint]:
        """Instants of the series, both ends included."""
        return [point for point in self.series.points if start <= point.at <= end]


def history(evidence: ShiftEvidence, incident: Incident) -> History | Missing:
    """The history of the root's SLI, or why there is none."""
    if isinstance(evidence.sli, Missing):
        return evidence.sli
    root = root_with_slo(evidence.releases, incident)
    return root if isinstance(root, Missing) else History(evidence.sli, budget_of(root[1].objective))


def check_harm(past: History, factor: float, start: datetime, end: datetime, findings: Findings) -> None:
    """Requires that the SLI burned above `factor` at some instant between start and end."""
    ratios = [p.ratio for p in past.between(start, end) if p.ratio is not None]
    if not ratios:
        findings.gap("Prometheus has no events from before the recovery")
        return
    peak = max(ratios) / past.budget
    window = past.series.window.total_seconds()
    findings.fact("worst burn before", f"{peak:.1f}x over {window:g}s", past.series.source)
    findings.require(
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


def check_within_budget(
    past: History, start: datetime, end: datetime, tick: timedelta, period: str, findings: Findings
) -> None:
    """Requires that between start and end (`period` in words) no stretch over budget is longer than tolerated."""
    points = past.between(start, end)
    if not any(p.total > 0 for p in points):
        findings.gap(f"Prometheus has no events {period}")
        return
    worst = longest_over(points, past.budget)
    findings.fact(f"over budget {period}", f"{seconds(worst)} at most, of {len(points)} instants", past.series.source)
    findings.require(
        worst <= past.series.window + tick, f"{period} the SLI was over budget for {seconds(worst)} without a break"
    )


def seconds(value: timedelta) -> str:
    """A duration in whole seconds."""
    return f"{value.total_seconds():.0f} s"
