"""Prometheus' past, fetched by range queries where the operator's code asks moment by moment.

Who asks the same expression at regular times is given what one range query over the coming times says: Prometheus evaluates
each step of it as an instant query at that time. How far ahead is read grows with each range that was used up, within bounds:
points and samples of one query, queries in all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from opsloop.errors import Invalid, OpsloopError, Retryable, TimedOut
from opsloop.shell.ports import Sample, Series, Telemetry

MOST_POINTS = 5000  # of a series in one answer; Prometheus refuses more than 11,000
FIRST_POINTS = 8
GROWTH = 4
MOST_KNOWN = 256  # expressions whose last answers are kept
TRIES = 4
PAUSE = 1.0  # seconds before the second try; twice as long before each further one
TOO_MUCH = ("too many samples", "maximum resolution", "too many points", "exceeds the limit", "max-samples", "too long")
"""What Prometheus and its likes say to a query that asks for too much at once."""

T = TypeVar("T")


class Stopped(Exception):
    """The past cannot be read to its end; the message is for a person. No OpsloopError, so that no reading is made of it."""


@dataclass(slots=True)
class Bounds:
    """What may be asked for. `series` of the SLI and `functions` over them are what a point of one query costs in samples."""

    queries: int
    samples: int
    timeout: float  # seconds of one query
    series: int = 1
    functions: int = 10

    @property
    def points(self) -> int:
        """Most points of one range query."""
        return max(1, min(MOST_POINTS, self.samples // (max(1, self.series) * self.functions)))


@dataclass(slots=True)
class _Asked:
    """One expression: its last time and answer, and what was read ahead."""

    at: datetime
    answer: list[Sample]
    start: datetime | None = None
    period: timedelta = timedelta(0)
    coming: list[list[Sample]] = field(default_factory=list)
    used: int = 0
    size: int = FIRST_POINTS

    def found(self, at: datetime) -> list[Sample] | None:
        """The answer as of `at`, where it was read ahead."""
        if self.start is None or (at - self.start) % self.period:
            return None
        number = (at - self.start) // self.period
        if not 0 <= number < len(self.coming):
            return None
        self.used = max(self.used, number + 1)
        return self.coming[number]


class ReadAhead:
    """`Telemetry` of the past, up to `until`."""

    def __init__(
        self,
        telemetry: Telemetry,
        until: datetime,
        bounds: Bounds,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._telemetry, self._until, self._sleep = telemetry, until, sleep
        self.bounds = bounds
        self.queries = 0
        self._asked: dict[str, _Asked] = {}

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """As the port; `at` must be given. The answer of a range query where this expression is asked at regular times."""
        assert at is not None
        known = self._asked.get(query)
        if known is None or at < known.at:
            return self._keep(query, _Asked(at, await self._ask(lambda: self._telemetry.instant(query, at))))
        if at == known.at:
            return known.answer
        period, found = at - known.at, known.found(at)
        if found is None:
            if known.start is not None:  # less is read ahead where not all of it was used
                known.size = known.size * GROWTH if known.used >= len(known.coming) else max(FIRST_POINTS, known.used)
            found = await self._further(query, known, at, period)
        known.at, known.answer = at, found
        return found

    def ready(self, query: str, at: datetime) -> list[Sample] | None:
        """What `instant` would answer without asking anybody; None where it would have to ask."""
        known = self._asked.get(query)
        if known is None or at < known.at:
            return None
        if at > known.at:
            found = known.found(at)
            if found is None:
                return None
            known.at, known.answer = at, found
        return known.answer

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port, in as many queries as the bounds want."""
        width = timedelta(seconds=step)
        parts: dict[frozenset[tuple[str, str]], list[tuple[datetime, float]]] = {}
        at = start
        while at <= end:
            most = min(self.bounds.points, (end - at) // width + 1)
            answer, number = await self._range(query, at, width, most)
            for series in answer:
                parts.setdefault(frozenset(series.labels.items()), []).extend(series.points)
            at += number * width
        return [Series(dict(labels), tuple(points)) for labels, points in parts.items()]

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """As the port."""
        return await self._ask(lambda: self._telemetry.samples(query, at))

    def _keep(self, query: str, asked: _Asked) -> list[Sample]:
        self._asked.pop(query, None)
        self._asked[query] = asked
        while len(self._asked) > MOST_KNOWN:
            del self._asked[next(iter(self._asked))]
        return asked.answer

    async def _further(self, query: str, known: _Asked, at: datetime, period: timedelta) -> list[Sample]:
        """Reads ahead from `at`. The one moment alone where nothing is left to come."""
        most = min(known.size, self.bounds.points, max(0, (self._until - at) // period) + 1)
        if most <= 1:
            return await self._ask(lambda: self._telemetry.instant(query, at))
        answer, number = await self._range(query, at, period, most)
        coming: list[list[Sample]] = [[] for _ in range(number)]
        for series in answer:
            for moment, value in series.points:
                coming[round((moment - at) / period)].append(Sample(series.labels, value, moment))
        known.start, known.period, known.coming, known.used, known.size = (
            at,
            period,
            coming,
            1,
            max(number, FIRST_POINTS),
        )
        return coming[0]

    async def _range(self, query: str, start: datetime, step: timedelta, points: int) -> tuple[list[Series], int]:
        """The answer from `start` on, and how many points it has: fewer where so many are refused or take too long."""
        while True:
            end, seconds = start + (points - 1) * step, step.total_seconds()
            try:
                return await self._ask(lambda: self._telemetry.range(query, start, end, seconds), points == 1), points  # noqa: B023
            except TimedOut:
                points = max(1, points // 2)
            except Invalid as refusal:
                if points == 1 or not any(text in str(refusal) for text in TOO_MUCH):
                    raise
                points = max(1, points // 2)
            self.bounds.samples = max(1, self.bounds.samples // 2)  # the next ones as well

    async def _ask(self, ask: Callable[[], Awaitable[T]], alone: bool = True) -> T:
        """The answer, after a few tries where nothing answers. `alone`: it cannot be made smaller, so a time-out is tried again."""
        for number in range(TRIES):
            if self.queries >= self.bounds.queries:
                raise Stopped(
                    f"the budget of {self.bounds.queries} queries is spent; give --max-queries more, --since less or a longer --step"
                )
            self.queries += 1
            try:
                async with asyncio.timeout(self.bounds.timeout):
                    return await ask()
            except TimeoutError as error:
                failure: OpsloopError = TimedOut(f"no answer within {self.bounds.timeout:g} s")
                failure.__cause__ = error
            except Invalid:
                raise
            except Retryable as error:
                failure = error
            except OpsloopError as error:
                raise Stopped(str(error)) from error
            if isinstance(failure, TimedOut) and not alone:
                raise failure
            if number < TRIES - 1:
                await self._sleep(PAUSE * 2**number)
        raise Stopped(str(failure))
