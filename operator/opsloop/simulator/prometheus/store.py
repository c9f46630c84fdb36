"""Series of samples in memory.

Times are milliseconds. A sample belongs to its timestamp and becomes visible at its ingestion, which may be later
(remote write, a slow agent): queries see what `advance` has passed. The past can be asked, but not as it was seen then.
Samples that arrive out of order are put in their place, as Prometheus does within its `out_of_order_time_window`.
"""

import heapq
import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import inf, isnan
from typing import Final, Generic, TypeVar

from .labels import NAME, Interner, Labels

T = TypeVar("T")

STALE: Final[float] = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""Prometheus' staleness marker: the series ended here. Told from other NaN by its bits."""


def milliseconds(at: datetime) -> int:
    """A time as Prometheus keeps it."""
    return round(at.timestamp() * 1000)


class Points:
    """Samples in the order of time, without staleness markers.

    `resets[i]` is the sum of all values that counter resets up to sample i took away; None where it is not kept (then
    it is looked for), or where it is not finite. From the sample `rising` on no value is NaN or below the one before;
    infinity where that is not known.
    """

    __slots__ = ("resets", "rising", "times", "values")

    def __init__(
        self, times: list[int], values: list[float], resets: list[float] | None = None, rising: float = inf
    ) -> None:
        self.times, self.values, self.resets, self.rising = times, values, resets, rising


class Series:
    """One label set and its samples."""

    __slots__ = ("labels", "points", "stale")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.points = Points([], [], [], 0)
        self.stale: list[int] = []

    def last_time(self) -> int | None:
        """The time of the newest sample or marker."""
        newest = [times[-1] for times in (self.points.times, self.stale) if times]
        return max(newest) if newest else None

    def add(self, at: int, value: float) -> None:
        """Put a sample in its place. ValueError where the second is taken: Prometheus drops such a sample."""
        times, values, resets = self.points.times, self.points.values, self.points.resets
        if not times or at > times[-1]:
            if not (value >= values[-1] if values else value == value):
                self.points.rising = len(values) + (value != value)
            if resets is not None:
                before = resets[-1] if resets else 0.0
                lost = values[-1] if values and value < values[-1] else 0.0
                resets.append(before + lost)
                if not -inf < resets[-1] < inf:
                    self.points.resets = None
            times.append(at)
            values.append(value)
            return
        place = bisect_left(times, at)
        if times[place] == at:
            raise ValueError(f"{self.labels} has a sample at {at} already")
        times.insert(place, at)
        values.insert(place, value)
        self._count_resets()

    def end(self, at: int) -> None:
        """Put a staleness marker. One at the time of a sample is dropped, as by Prometheus."""
        place = bisect_left(self.points.times, at)
        if place == len(self.points.times) or self.points.times[place] != at:
            insort(self.stale, at)

    def _count_resets(self) -> None:
        resets, lost, before = list[float](), 0.0, None
        for value in self.points.values:
            if before is not None and value < before:
                lost += before
            resets.append(lost)
            before = value
        self.points.resets = resets if -inf < lost < inf else None
        self.points.rising = inf


class Memo(Generic[T]):
    """Results at past times, each true until a sample of its time or an earlier one arrives."""

    __slots__ = ("_arrivals", "_results")

    def __init__(self, arrivals: "Arrivals") -> None:
        self._arrivals = arrivals
        self._results: tuple[int, dict[int, T]] = (arrivals.count, {})

    def current(self, oldest: int, newest: int, most: int) -> dict[int, T]:
        """The results that are still true, to be added to with times from `oldest` to `newest`.

        Those before `oldest` are forgotten when there are more than `most`.
        """
        count, results = self._results
        clean = self._arrivals.earliest_since(count)
        if clean < inf or len(results) > most:
            least = oldest if len(results) > most else -inf
            results = {at: result for at, result in results.items() if least <= at < clean}
        self._results = (self._arrivals.count, results)
        self._arrivals.watched = max(self._arrivals.watched, newest)
        return results


class Arrivals:
    """Counts samples that arrive at or before a time of which a result is kept, and knows the earliest of the last ones."""

    _MOST = 4096

    def __init__(self) -> None:
        self.count = 0
        self.watched: float = -inf  # the newest time of which a result is kept
        self._counts: list[int] = []  # with _times: arrivals that no later one undercuts, both ascending
        self._times: list[int] = []
        self._complete_since = 0

    def note(self, at: int) -> None:
        """A sample of `at` became visible."""
        if at > self.watched:
            return
        while self._times and self._times[-1] >= at:
            self._times.pop()
            self._counts.pop()
        self.count += 1
        self._times.append(at)
        self._counts.append(self.count)
        if len(self._times) > self._MOST:
            half = self._MOST // 2
            self._complete_since = self._counts[half - 1]
            del self._times[:half], self._counts[:half]

    def earliest_since(self, count: int) -> float:
        """The earliest time that arrived after the arrival number `count`; infinity where none did."""
        if count >= self.count:
            return inf
        return -inf if count < self._complete_since else self._times[bisect_right(self._counts, count)]


class Store:
    """All series, by label set and by metric name."""

    def __init__(self) -> None:
        self.interner = Interner()
        self.now: float = -inf
        self._series: dict[Labels, Series] = {}
        self._by_name: dict[str, list[Series]] = {}
        self._all: list[Series] = []
        self._pending: list[tuple[float, int, Series, int, float]] = []
        self._queued = 0
        self.ingested = 0  # samples and markers that became visible
        self.arrivals = Arrivals()

    def series(self, labels: Mapping[str, str]) -> Series:
        """The series with these labels, made where it is new; it exists for queries from its first visible sample on."""
        key = self.interner.of(labels)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series(key)
            self._by_name.setdefault(key.get(NAME), []).append(found)
            self._all.append(found)
        return found

    def candidates(self, name: str | None) -> list[Series]:
        """All series of a metric, or all; the list grows at its end and is not to be changed."""
        return self._all if name is None else self._by_name.setdefault(name, [])

    def add(self, series: Series, at: int, value: float, visible: float | None = None) -> None:
        """A sample of `at`, or `STALE`; visible from `visible` on (default: from its own time on)."""
        seen = at if visible is None else max(visible, at)
        if seen > self.now:
            self._queued += 1
            heapq.heappush(self._pending, (seen, self._queued, series, at, value))
        else:
            self._ingest(series, at, value)

    def append(self, labels: Mapping[str, str], at: int, value: float, visible: float | None = None) -> None:
        """`add` by label set."""
        self.add(self.series(labels), at, value, visible)

    def load(self, labels: Mapping[str, str], samples: Iterable[tuple[int, float]]) -> None:
        """`add` of many samples."""
        series = self.series(labels)
        for at, value in samples:
            self.add(series, at, value)

    def advance(self, now: float) -> None:
        """Let wall time pass: what was ingested by then becomes visible. An earlier time is refused."""
        if now < self.now:
            raise ValueError(f"the store was seen at {self.now} and cannot go back to {now}")
        self.now = now
        while self._pending and self._pending[0][0] <= now:
            _, _, series, at, value = heapq.heappop(self._pending)
            self._ingest(series, at, value)

    def _ingest(self, series: Series, at: int, value: float) -> None:
        self.ingested += 1
        self.arrivals.note(at)
        if isnan(value) and is_stale(value):
            series.end(at)
        else:
            series.add(at, value)


def is_stale(value: float) -> bool:
    """Is this NaN the staleness marker?"""
    return struct.pack("<d", value) == struct.pack("<d", STALE)
