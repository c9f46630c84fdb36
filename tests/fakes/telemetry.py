"""A Prometheus whose series are spans of traffic: what `core.slo.promql` asks is computed from them, exactly.

It understands the parts that opsloop's own expressions are made of (their `opsloop` label says what they ask), and
replies to any other query only what it was told in `scripted`.
"""

import asyncio
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache

from opsloop.adapters.prometheus import NoPrometheus
from opsloop.api.meta import parse_duration
from opsloop.api.slo import DEFAULT_SOURCE
from opsloop.errors import Invalid, OpsloopError
from opsloop.shell.ports import Sample, Series, Source, Telemetry


def only(telemetry: Telemetry, resolution: timedelta, delay: timedelta | None = None) -> dict[str, Source]:
    """The sources of an operator that has this one."""
    return {DEFAULT_SOURCE: Source(telemetry, NoPrometheus(), resolution, delay)}


_PART = re.compile(r'"opsloop", "((?:[^"\\]|\\.)*)", "", ""')
_POINTS = 120


@dataclass(frozen=True, slots=True)
class Span:
    """Traffic of one version: events per second and the share of them that is bad."""

    start: datetime
    end: datetime
    rps: float
    error: float = 0.0
    version: str = "v1"

    def seconds(self, start: datetime, end: datetime) -> float:
        return max(0.0, (min(self.end, end) - max(self.start, start)).total_seconds())

    def share(self, kind: str) -> float:
        return {"total": 1.0, "good": 1 - self.error, "bad": self.error}[kind]


@dataclass(slots=True)
class FakeTelemetry:
    """Telemetry port. `failure` is raised by every call, `stalled` never answers.

    `refused` are parts of bad queries, `slow` those of queries that take so many seconds.
    """

    spans: list[Span] = field(default_factory=list)
    scrape: timedelta = timedelta(seconds=1)  # between two scrapes of a pod
    failure: OpsloopError | None = None
    stalled: bool = False
    refused: dict[str, OpsloopError] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    scripted: dict[str, Sequence[Sample | Series] | OpsloopError] = field(default_factory=dict)
    others: Callable[[str, datetime], list[Sample]] | None = None  # answers queries that are none of opsloop's own
    instants: list[str] = field(default_factory=list)
    ranges: list[tuple[str, datetime, datetime, float]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)  # the loop's time of each instant query

    def serve(
        self, start: datetime, seconds: float, rps: float = 50, error: float = 0.0, version: str = "v1"
    ) -> datetime:
        """Adds traffic, to the version's last span where that goes on unchanged; returns its end, where the next may start."""
        end = start + timedelta(seconds=seconds)
        last = next((n for n in reversed(range(len(self.spans))) if self.spans[n].version == version), None)
        if last is not None and self.spans[last] == Span(self.spans[last].start, start, rps, error, version):
            self.spans[last] = replace(self.spans[last], end=end)
        else:
            self.spans.append(Span(start, end, rps, error, version))
        return end

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        self.instants.append(query)
        self.moments.append(asyncio.get_running_loop().time())
        await self._misbehave(query)
        if query in self.scripted:
            return [one for one in self._script(query) if isinstance(one, Sample)]
        assert at is not None, "opsloop always says of which second it asks"
        if self.others is not None and not self.asked(query):
            return self.others(query, at)
        numbers = [(part, self._number(part, at)) for part in self.asked(query)]
        return [Sample({"opsloop": part}, value, at) for part, value in numbers if value is not None]

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        self.ranges.append((query, start, end, step))
        await self._misbehave(query)
        if query in self.scripted:
            return [one for one in self._script(query) if isinstance(one, Series)]
        parts, count = self.asked(query), int((end - start).total_seconds() / step) + 1
        moments = [start + timedelta(seconds=step * n) for n in range(count)]
        series = [Series({"opsloop": part}, self._points(part, moments)) for part in parts]
        return [one for one in series if one.points]

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """Refused unless it is scripted: spans of traffic have no samples."""
        await self._misbehave(query)
        if query not in self.scripted:
            raise Invalid(f"this Prometheus has no samples of {query}")
        return [one for one in self._script(query) if isinstance(one, Series)]

    def _points(self, part: str, moments: Sequence[datetime]) -> tuple[tuple[datetime, float], ...]:
        kind = part.split(":")[0]
        numbers = [(at, self._ratio(part, at) if kind == "ratio" else self._number(part, at)) for at in moments]
        return tuple((at, number) for at, number in numbers if number is not None)

    def _ratio(self, part: str, at: datetime) -> float | None:
        window = parse_duration(part.split(":")[1])
        total = self._count("total", window, at)
        return (self._count("bad", window, at) or 0.0) / total if total else None

    @staticmethod
    def asked(query: str) -> list[str]:
        """The labels of the parts that an expression of opsloop is made of."""
        return [part.replace("$$", "$") for part in _PART.findall(query)]

    async def _misbehave(self, query: str) -> None:
        if self.stalled:
            await asyncio.Event().wait()
        await asyncio.sleep(max((seconds for part, seconds in self.slow.items() if part in query), default=0))
        if self.failure is not None:
            raise self.failure
        for part, error in self.refused.items():
            if part in query:
                raise error

    def _script(self, query: str) -> Sequence[Sample | Series]:
        answer = self.scripted[query]
        if isinstance(answer, OpsloopError):
            raise answer
        return answer

    def _number(self, part: str, at: datetime) -> float | None:
        if ":" not in part:
            return None  # of single processes (`core.slo.vanished`): its traffic names none
        kind, span, *version = part.split(":", 2)
        if kind == "carried":
            return None  # its traffic has no counters that go on while nobody looks (`core.slo.carried`)
        window = parse_duration(span)
        if kind == "scrapes":
            if version and self._count("total", window, at, *version) is None:
                return None
            return window / self.scrape * (self._covered(window, at) or 0.0)
        return self._covered(window, at) if kind == "covered" else self._count(kind, window, at, *version)

    def _count(self, kind: str, window: timedelta, at: datetime, version: str | None = None) -> float | None:
        """Events in the window; None where the series do not exist, as a counter that was never incremented."""
        start = at - window
        spans = [(s, s.seconds(start, at)) for s in self.spans if version in (None, s.version)]
        counted = [s.rps * s.share(kind) * seconds for s, seconds in spans if seconds > 0 and s.share(kind) > 0]
        return sum(counted) if counted else None

    def _covered(self, window: timedelta, at: datetime) -> float | None:
        ages, seen = _ages(window), set[int]()
        for span in self.spans:
            if span.seconds(at - window, at) > 0:  # start <= at - age < end, of ages in ascending order
                seen.update(range(bisect_right(ages, at - span.end), bisect_right(ages, at - span.start)))
        return len(seen) / _POINTS if seen else None


@lru_cache
def _ages(window: timedelta) -> list[timedelta]:
    """How long before the end of the window its points are, the latest first."""
    return [window * (n + 0.5) / _POINTS for n in range(_POINTS)]
