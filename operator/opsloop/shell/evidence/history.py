"""The shift as Prometheus stores it: alerts, the SLI instant by instant, burn at detection, requests by version."""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import PAGING, format_duration
from opsloop.api.release import Release
from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.gate.evidence import FiredAlert, Missing, Served, SliPoint, SliSeries, TierBurn, shift_of
from opsloop.core.slo import pods, promql
from opsloop.core.slo.splits import scope_of
from opsloop.core.slo.tiers import tiers_of
from opsloop.errors import Invalid
from opsloop.shell.evidence.sources import or_missing
from opsloop.shell.ports import Sample, Series, Telemetry

MOST_POINTS = 5000
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{[^}]*\{\{\s*version\s*\}\}[^}]*\}")
_VERSION = re.compile(r"\{\{\s*version\s*\}\}")


def _queries(sli: Sli, window: timedelta) -> tuple[str, str]:
    """(all events, the good or bad ones) over a window."""
    part, total = promql.single_queries(sli, window).values()
    return total, part


async def as_promql(telemetry: Telemetry, release: Release, slo: Slo, at: datetime) -> Slo:
    """The SLO with its SLI as PromQL over the Release's own pods; a structured one is asked for its labels as the poller does."""
    scope, named = (
        scope_of(release),
        slo.sli.requests or slo.sli.latency,
    )
    if named is not None:
        query = pods.labels_query(promql.expressions(slo.sli).metric, named.selector, scope, named.pod_label)
        samples = [sample.labels for sample in await telemetry.instant(query, at)]
        scope = replace(scope, labels=pods.labels_of(samples, scope.namespace, named.pod_label))
        if scope.labels is None and not named.selector:
            raise Invalid(f"{slo.sli.field}: no series names a living pod of the Deployment; write a selector")
    return slo.model_copy(update={"sli": promql.raw(slo.sli, scope)})


async def fired(telemetry: Telemetry, namespace: str, incident: Incident, now: datetime) -> tuple[FiredAlert, ...]:
    """Every label set that was firing at any evaluation of the shift (a range selector misses none between steps)."""
    start, end = shift_of(incident, now)
    seconds = math.ceil((end - start).total_seconds())
    query = f'count_over_time(ALERTS{{alertstate="firing",namespace="{namespace}"}}[{seconds}s])'
    return tuple(FiredAlert(dict(sample.labels)) for sample in await telemetry.instant(query, end))


async def refused(telemetry: Telemetry, incident: Incident, now: datetime) -> dict[str, float]:
    """Requests with tickets that the intake refused in the shift, by HTTP status, where Prometheus scrapes opsloop.

    The highest value less the one before the shift: a counter that appears with its first event never increases.
    """
    start, end = shift_of(incident, now)
    seconds = math.ceil((end - start).total_seconds())
    counter = 'opsloop_intake_requests_total{route="tickets",code=~"[45].."}'
    grown = f"sum by (code) (max_over_time({counter}[{seconds}s]) - ({counter} offset {seconds}s or {counter} * 0)) > 0"
    return {s.labels.get("code", ""): s.value for s in await telemetry.instant(grown, end)}


async def sli_series(
    telemetry: Telemetry, sli: Sli, window: timedelta, start: datetime, end: datetime, step: float = 1.0
) -> SliSeries:
    """Bad and all events over `window`, every `step` seconds (more where that would be too many points)."""
    step = max(step, (end - start).total_seconds() / MOST_POINTS)
    total_query, part_query = _queries(sli, window)
    totals, parts = await asyncio.gather(
        telemetry.range(total_query, start, end, step), telemetry.range(part_query, start, end, step)
    )
    known = _points(parts)
    points = tuple(
        SliPoint(at, _bad(known.get(at, 0.0), total, sli), total) for at, total in sorted(_points(totals).items())
    )
    return SliSeries(window, step, points, f"{total_query} every {step:g} s")


def _bad(part: float, total: float, sli: Sli) -> float:
    """Bad events; extrapolation may make a part larger than the whole."""
    return min(total, max(0.0, part if promql.expressions(sli).kind == "bad" else total - part))


def _points(series: list[Series]) -> dict[datetime, float]:
    """Instant → sum over the series; NaN and infinity are no data."""
    points: dict[datetime, float] = {}
    for one in series:
        for at, value in one.points:
            if math.isfinite(value):
                points[at] = points.get(at, 0.0) + max(0.0, value)
    return points


def head_window(slo: Slo) -> timedelta:
    """The shortest short window of a tier that pages; Mitigated is decided on it."""
    tiers = tiers_of(slo)
    paging = [tier for tier in tiers if tier.severity in PAGING]
    if not tiers:
        raise Invalid("the SLO has no tier that its objective can reach")
    return min(tier.short for tier in paging or tiers)


async def burns(
    telemetry: Telemetry, slo: Slo, instants: Sequence[datetime], tick: timedelta, severity: str
) -> tuple[TierBurn, ...]:
    """Both windows of every tier of this severity within one tick of each instant."""

    async def both(tier: Tier, at: datetime) -> TierBurn:
        span = (at - tick, at + tick)
        long, short = await asyncio.gather(
            sli_series(telemetry, slo.sli, tier.long, *span), sli_series(telemetry, slo.sli, tier.short, *span)
        )
        return TierBurn(tier, long, short, at)

    tiers = [tier for tier in tiers_of(slo) if tier.severity == severity]
    return tuple(await asyncio.gather(*(both(tier, at) for tier in tiers for at in instants)))


async def whole(telemetry: Telemetry, sli: Sli, start: datetime, end: datetime) -> SliPoint:
    """All events from `start` to `end` as one number."""
    window = timedelta(seconds=max(1, math.ceil((end - start).total_seconds())))
    totals, parts = await asyncio.gather(*(telemetry.instant(query, end) for query in _queries(sli, window)))
    total = _sum(totals)
    return SliPoint(end, _bad(_sum(parts), total, sli), total)


def _sum(samples: list[Sample]) -> float:
    return sum(max(0.0, sample.value) for sample in samples if math.isfinite(sample.value))


async def served(telemetry: Telemetry, sli: Sli, version: str, metric: str, start: datetime, end: datetime) -> Served:
    """Events of a version since `start`: the highest value of its counters, not their increase;

    a counter that appears with its first event never increases.
    """
    window = timedelta(seconds=math.ceil((end - start).total_seconds()))
    selector = metric or next(iter(_SELECTOR.findall(sli.total or "")), "")
    if not selector:
        return Served(version, Missing("the SLI does not tell versions apart; name a counter with --served-metric"))
    mine, all_ = (
        f"sum(max_over_time({_VERSION.sub(pattern, selector)}[{format_duration(window)}]))"
        for pattern in (promql.version_pattern(version), ".*")
    )
    both = await or_missing("Prometheus", asyncio.gather(telemetry.instant(mine, end), telemetry.instant(all_, end)))
    if isinstance(both, Missing):
        return Served(version, both, mine)
    if _sum(both[1]) <= 0:
        return Served(version, Missing("the counter shows no version at all in the shift"), mine)
    return Served(version, _sum(both[0]), mine)
