"""An objective's numbers from the samples that a Prometheus stored, as Prometheus 2 defines them: no PromQL, no operator.

    increase(window)   last − first sample in the window, over resets, scaled to the window: to an end of it that is nearer than 1.1
                       mean intervals the whole way, else by half an interval, and never to before the counter's zero
    born               a series without a sample in the hour before the window counts with its highest value in it, where any
                       of the service's had one then
    covered            share of the window's points that have data within four scrapes before them
    carried            share of the increase by series without a reset, with samples in the last four scrapes of the window, and in
                       its first four (or none in the hour before it, where any of the service's had one then)

Windows hold both of their ends. Samples are those that have arrived by the time of the question.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate
from opsloop.core.slo.bursts import Slot
from opsloop.simulator.burn import LATENCY
from opsloop.simulator.prometheus.store import Series, Store, milliseconds
from opsloop.simulator.scraping import EVERY, METRIC, TIMED
from opsloop.simulator.service import Service

HOUR = 3_600_000  # milliseconds
SCRAPE = 1000 * EVERY
POINTS = 120  # of a window's coverage
YOUNG = 300_000  # milliseconds: samples of that time may arrive yet


class Counted:
    """One objective of one service."""

    def __init__(self, store: Store, service: Service, objective: str, form: str) -> None:
        """`objective`: its name; all but `latency` count answers by their code. `form`: how its SLI is written."""
        self._late, self._form = objective == LATENCY, form
        bound = f"{service.timing.threshold:g}" if service.timing else ""
        self._total = _Family(store, f"{TIMED}_count" if self._late else METRIC, service.name)
        self._part = _Family(store, f"{TIMED}_bucket" if self._late else METRIC, service.name, bound, form)
        self._points: dict[int, bool] = {}

    def reading(self, end: datetime, width: timedelta) -> Reading:
        """What is known of the window that ends then."""
        last, span = milliseconds(end), round(width.total_seconds() * 1000)
        part, total = self._counts(last, span)
        if total is None:
            return Unknown(burn_rate.NO_SERIES)
        if self._late and part is None and total > 0:
            return Unknown(burn_rate.NO_BUCKET)
        if total == 0:
            return Unknown(burn_rate.NO_EVENTS)
        return Value(self._bad(part, total), total, self._coverage(last, span))

    def slots(self, end: datetime, width: timedelta, step: timedelta) -> list[Slot | None]:
        """The parts of `step` of the window that ends then, oldest first: each is a scrape longer, and counts in proportion."""
        length, last = round(step.total_seconds() * 1000), milliseconds(end)
        share, count = length / (length + SCRAPE), width // step
        found = [self._counts(last - (count - 1 - n) * length, length + SCRAPE) for n in range(count)]
        return [None if total is None else Slot(self._bad(part, total) * share, total * share) for part, total in found]

    def carried(self, end: datetime, width: timedelta) -> float:
        """Which share of the events in the window that ends then was counted by who was there all the time."""
        last, span = milliseconds(end), round(width.total_seconds() * 1000)
        return self._total.carried(last - span, last) if span > 8 * SCRAPE else 0.0

    def _counts(self, end: int, span: int) -> tuple[float | None, float | None]:
        """(good or bad events, all events); None where no series says."""
        known = self._total.seen(end - span - HOUR, end - span)
        return self._part.counted(end - span, end, known), self._total.counted(end - span, end, known)

    def _bad(self, part: float | None, total: float) -> float:
        if self._late or self._form == "good":
            return max(0.0, total - (part or 0.0))
        return min(part or 0.0, total)

    def _coverage(self, end: int, span: int) -> float:
        step = max(SCRAPE, span // POINTS)
        points = range(-(-(end - span) // step) * step, end + 1, step)
        return sum(self._covered(at, end) for at in points) / len(points)

    def _covered(self, at: int, end: int) -> bool:
        found = self._points.get(at)
        if found is None:
            found = self._total.seen(at - 4 * SCRAPE, at, least=1 if self._form == "requests" else 2)
            if at < end - YOUNG:
                self._points[at] = found
        return found


class _Family:
    """The series of one metric of a service: all, or those of good (or bad) events."""

    def __init__(self, store: Store, metric: str, service: str, bound: str = "", part: str = "") -> None:
        self._candidates, self._service = store.candidates(metric), service
        self._bound, self._form, self._buckets = bound, part, metric.endswith("_bucket")
        self._read, self._series = 0, list[_Counter]()

    def counted(self, begin: int, end: int, known: bool) -> float | None:
        """The sum over its series; None where none has a value. `known`: the service had data before."""
        found = [value for one in self._all() if (value := one.counted(begin, end, known)) is not None]
        return sum(found) if found else None

    def seen(self, begin: int, end: int, least: int = 1) -> bool:
        """Has any series so many samples in the window?"""
        return any(one.samples(begin, end) >= least for one in self._all())

    def carried(self, begin: int, end: int) -> float:
        """The share of the increase by series that were there all the time, or were born in it, and did not begin anew."""
        known = self.seen(begin - HOUR, begin)
        grown = [(one, one.grown(begin, end)) for one in self._all()]
        whole = sum(value for _, value in grown if value is not None)
        kept = sum(value for one, value in grown if value is not None and one.lasted(begin, end, known))
        return kept / whole if whole else 0.0

    def _all(self) -> Iterator["_Counter"]:
        for series in self._candidates[self._read :]:
            if series.labels.get("job") == self._service and self._wanted(series):
                self._series.append(_Counter(series))
        self._read = len(self._candidates)
        return iter(self._series)

    def _wanted(self, series: Series) -> bool:
        if self._buckets:
            return series.labels.get("le") == self._bound
        is_bad = series.labels.get("code").startswith("5")
        return not self._form or is_bad != (self._form == "good")


class _Counter:
    """A counter and how much it has counted until each of its samples, over all resets."""

    def __init__(self, series: Series) -> None:
        self._points, self._sums, self._newest = series.points, list[float](), 0

    def samples(self, begin: int, end: int) -> int:
        """How many lie in the window."""
        times = self._points.times
        return bisect_right(times, end) - bisect_left(times, begin)

    def counted(self, begin: int, end: int, known: bool) -> float | None:
        """Its increase, or all that it shows where it was born in the window."""
        times = self._points.times
        low, high = bisect_left(times, begin), bisect_right(times, end)
        if low == high:
            return None
        grown = self._increase(low, high, begin, end)
        if not known or self.samples(begin - HOUR, begin):
            return grown
        most = max(self._points.values[low:high])
        return most if grown is None else max(most, grown)

    def grown(self, begin: int, end: int) -> float | None:
        """Its increase; None with fewer than two samples."""
        times = self._points.times
        return self._increase(bisect_left(times, begin), bisect_right(times, end), begin, end)

    def lasted(self, begin: int, end: int, known: bool) -> bool:
        """Was it there from the beginning, or from its birth, to the end without a reset?"""
        values = self._points.values[bisect_left(self._points.times, begin) : bisect_right(self._points.times, end)]
        born = known and not self.samples(begin - HOUR, begin)
        there = self.samples(end - 4 * SCRAPE, end) and (born or self.samples(begin, begin + 4 * SCRAPE))
        return bool(there) and all(a <= b for a, b in pairwise(values))

    def _increase(self, low: int, high: int, begin: int, end: int) -> float | None:
        if high - low < 2:
            return None
        times, sums, first = self._points.times, self._until(), self._points.values[low]
        grown, sampled = sums[high - 1] - sums[low], (times[high - 1] - times[low]) / 1000
        mean = sampled / (high - low - 1)
        before, after = (times[low] - begin) / 1000, (end - times[high - 1]) / 1000
        before, after = (mean / 2 if gap >= 1.1 * mean else gap for gap in (before, after))
        if grown > 0:
            before = min(before, sampled * first / grown)
        return grown * (sampled + before + after) / sampled

    def _until(self) -> list[float]:
        """Counted until each sample; reckoned anew where one has arrived out of order."""
        times, values, sums = self._points.times, self._points.values, self._sums
        if sums and times[len(sums) - 1] != self._newest:
            sums.clear()
        for n in range(len(sums), len(times)):
            before = values[n - 1] if n else 0.0
            sums.append((sums[-1] if sums else 0.0) + (values[n] - before if values[n] >= before else values[n]))
        self._newest = times[-1]
        return sums
