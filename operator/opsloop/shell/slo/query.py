"""Queries Prometheus about one SLI; a failure becomes an Unknown reading with its reason and is not raised."""

import asyncio
import logging
from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from opsloop.api.meta import PAGING
from opsloop.api.slo import Sli, Slo
from opsloop.core.readings import Unknown
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import carried, counts, pods, promql, traffic, vanished
from opsloop.core.slo.pods import Labels, Scope
from opsloop.core.slo.tiers import tiers_of, windows_of
from opsloop.core.statistics.evidence import Interval
from opsloop.errors import Invalid, OpsloopError, Partial, TimedOut
from opsloop.shell.ports import Series, Telemetry
from opsloop.shell.slo.spent import note

T = TypeVar("T")
NO_ANSWER = frozenset({slo.QUERY_FAILED, slo.UNREACHABLE, slo.TIMEOUT, slo.PARTIAL})
"""Reasons of a query without an answer. Every other reason is an answer about the service."""

_RANGE_POINTS = 5000  # Prometheus refuses more than 11000

log = logging.getLogger(__name__)


class Scraped(NamedTuple):
    """How many samples a process has, of all on average and of one revision at most; None where nobody says."""

    everybody: float | None = None
    own: float | None = None


class SliQuery:
    """Queries about one SLI at a time, each with a time-out."""

    def __init__(self, telemetry: Telemetry, patience: timedelta, resolution: timedelta) -> None:
        """`patience` is the time-out of one query, `resolution` is Prometheus' scrape interval."""
        self._telemetry, self._patience, self._resolution = telemetry, patience, resolution

    async def readings(
        self, objective: Slo, scope: Scope, windows: Collection[timedelta], splits: promql.Splits, at: datetime
    ) -> promql.Parsed:
        """Readings of all these windows and revisions as of `at`, by one query."""
        try:
            query = promql.window_query(objective.sli, windows, splits, self._resolution, scope)
            samples = await self._in_time(self._telemetry.instant(query, at)) if query else []
        except OpsloopError as error:
            failure = await self._explain(objective, scope, error, at)
            return promql.Parsed(dict.fromkeys(windows, failure), dict.fromkeys(splits, failure))
        return promql.parse(samples, objective.sli, windows, splits, scope)

    async def aftermath(
        self, objective: Slo, scope: Scope, windows: Sequence[timedelta], own: promql.Splits, at: datetime
    ) -> tuple[promql.Parsed, Scraped]:
        """Readings of these windows and of at most one revision, and how often pods were scraped in the first one."""
        sli, span = objective.sli, windows[0]
        asked = promql.window_query(sli, windows, own, self._resolution, scope)
        every = promql.scrapes_query(sli, span, scope)
        of_own = [promql.scrapes_query(sli, span, scope, split, name) for name, split in own.items()]
        try:
            samples = await self._in_time(
                self._telemetry.instant("\nor ".join(filter(None, (asked, every, *of_own))), at)
            )
        except Invalid:  # perhaps how often is what it cannot say
            return await self.readings(objective, scope, windows, own, at), Scraped()
        except OpsloopError as error:
            failure = Unknown(_reason(error), str(error))
            return promql.Parsed(dict.fromkeys(windows, failure), dict.fromkeys(own, failure)), Scraped()
        seen = {
            label.count(":") > 1: s.value
            for s in samples
            if (label := s.labels.get(promql.LABEL, "")).startswith("scrapes:")
        }
        scraped = Scraped(seen.get(False, 0.0) if every else None, seen.get(True, 0.0) if any(of_own) else None)
        return promql.parse(samples, sli, windows, own, scope), scraped

    async def labels(self, sli: Sli, scope: Scope, at: datetime) -> Labels | Unknown | None:
        """The labels of a structured SLI that hold pods and namespace; None where no series names a living pod."""
        named = sli.requests or sli.latency
        assert named is not None
        metric = promql.expressions(sli).metric
        query = pods.labels_query(metric, named.selector, scope, named.pod_label)
        try:
            samples = await self._in_time(self._telemetry.instant(query, at))
        except OpsloopError as error:
            return Unknown(_reason(error), f"{sli.field}: {error}")
        return pods.labels_of([sample.labels for sample in samples], scope.namespace, named.pod_label)

    async def rates(self, objective: Slo, scope: Scope, ends: Mapping[str, datetime]) -> dict[str, float]:
        """Events per second in the hours that end at these times, by their names, as far as they are known."""
        parsed = await asyncio.gather(
            *(self.readings(objective, scope, {traffic.HOUR}, {}, at) for at in ends.values())
        )
        return traffic.known(
            (hour, traffic.rate(p.windows[traffic.HOUR])) for hour, p in zip(ends, parsed, strict=True)
        )

    async def lag(self, sli: Sli, scope: Scope, at: datetime) -> float | None:
        """The age of the newest sample as of `at`, in seconds; None where nobody says."""
        query = promql.lag_query(sli, self._resolution, scope)
        try:
            samples = await self._in_time(self._telemetry.instant(query, at)) if query else []
        except OpsloopError:
            return None
        return samples[0].value if samples else None

    async def lost(
        self, sli: Sli, scope: Scope, short: timedelta, missing: timedelta | None, at: datetime
    ) -> bool | Unknown | None:
        """Has a living process lost its bad events as of `at`? None: the series name no process (`core.slo.vanished`)."""
        query = vanished.query(sli, scope, short, missing, self._resolution)
        try:
            samples = await self._in_time(self._telemetry.instant(query, at)) if query else None
        except OpsloopError as error:
            return Unknown(_reason(error), str(error))
        return vanished.lost([sample.labels for sample in samples], scope) if samples is not None else None

    async def carried(
        self, sli: Sli, scope: Scope, windows: Collection[timedelta], at: datetime
    ) -> dict[timedelta, float]:
        """The share of each of these windows that counters carried over its gaps; empty without an answer."""
        query = carried.query(sli, scope, windows, self._resolution)
        try:
            samples = await self._in_time(self._telemetry.instant(query, at)) if query else []
        except OpsloopError as error:
            log.warning("whether counters carry on is not known yet: %s", error)
            return {}
        return carried.shares(samples, windows)

    async def onset(self, objective: Slo, scope: Scope, at: datetime) -> datetime | None:
        """The start of the present burn by the error ratio over the shortest page window; None where it is not known.

        Searches twice the longest page window, in steps of the scrape interval where Prometheus allows so many.
        """
        tiers = tiers_of(objective)
        paging = [tier for tier in tiers if tier.severity in PAGING] or tiers
        span = 2 * max(tier.long for tier in paging)
        step = max(self._resolution.total_seconds(), 1.0, -(-span.total_seconds() // _RANGE_POINTS))
        query = promql.range_query(objective.sli, min(tier.short for tier in paging), scope)
        try:
            series = await self._in_time(self._telemetry.range(query, at - span, at, step))
        except OpsloopError as error:
            log.warning("onset not known yet: %s", error)
            return None
        return slo.onset(series[0].points, objective.objective) if series else None

    async def counts(
        self, objective: Slo, scope: Scope, windows: counts.Grid, numbers: range, pair: counts.Pair
    ) -> list[Interval | None] | Unknown:
        """Counts of canary and live in these windows, by one range query; Unknown with the reason where it fails."""
        step, first, last = windows.step, windows.end(numbers[0]), windows.end(numbers[-1])
        query = counts.counts_query(objective.sli, pair, scope)
        try:
            answer = await self._in_time(self._telemetry.range(query, first, last, step.total_seconds()))
        except OpsloopError as error:
            return await self._explain(objective, scope, error, last)
        return counts.intervals(answer, objective.sli, windows, numbers, pair)

    async def number(self, query: str, at: datetime) -> float | Unknown:
        """The one number that an expression gives as of `at`; 0 where it gives nothing."""
        try:
            samples = await self._in_time(self._telemetry.instant(query, at))
        except OpsloopError as error:
            return Unknown(_reason(error), str(error))
        return samples[0].value if samples else 0.0

    async def samples(self, query: str, at: datetime) -> list[Series] | Unknown:
        """The raw samples of a range selector that ends at `at`; Unknown where there is no answer."""
        try:
            return await self._in_time(self._telemetry.samples(query, at))
        except OpsloopError as error:
            return Unknown(_reason(error), str(error))

    async def series(
        self,
        objective: Slo,
        scope: Scope,
        since: datetime,
        at: datetime,
        step: timedelta,
        window: timedelta | None = None,
    ) -> list[Series]:
        """Counts of disjoint intervals of `step` from `since` to `at`, each at its end; empty where there is no answer.

        `window` instead of `step`: one scrape more holds all differences of samples within a step, each in one interval.
        """
        query = promql.counts_query(objective.sli, window or step, scope)
        try:
            return await self._in_time(self._telemetry.range(query, since + step, at, step.total_seconds()))
        except OpsloopError as error:
            log.warning("counts by intervals not known yet: %s", error)
            return []

    async def _in_time(self, answer: Awaitable[T]) -> T:
        seconds = self._patience.total_seconds()
        note()
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise TimedOut(f"No answer within {seconds:g} s") from error

    async def _explain(self, objective: Slo, scope: Scope, error: OpsloopError, at: datetime) -> Unknown:
        """The Unknown for a failed query. A refused one is sent again expression by expression, to name the field."""
        if not isinstance(error, Invalid):
            return Unknown(_reason(error), str(error))
        for field, query in promql.single_queries(objective.sli, min(windows_of(objective)), scope).items():
            try:
                await self._in_time(self._telemetry.instant(query, at))
            except Invalid as refusal:
                return Unknown(slo.QUERY_FAILED, f"{field}: {refusal}")
            except OpsloopError:
                break
        return Unknown(slo.QUERY_FAILED, f"{objective.sli.field}: {error}")


def _reason(error: OpsloopError) -> str:
    if isinstance(error, TimedOut):
        return slo.TIMEOUT
    if isinstance(error, Partial):
        return slo.PARTIAL
    return slo.QUERY_FAILED if isinstance(error, Invalid) else slo.UNREACHABLE
