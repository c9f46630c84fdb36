"""Events of a service's objective by the samples that its Prometheus stored: no PromQL, no operator."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from opsloop.core.slo.bursts import Slot
from opsloop.simulator.burn import LATENCY
from opsloop.simulator.prometheus.store import Series, Store, milliseconds
from opsloop.simulator.scraping import METRIC, TIMED
from opsloop.simulator.service import Service


class Counted:
    """Increases of the counters, each at the time of its sample."""

    def __init__(self, store: Store, service: Service, objective: str) -> None:
        """`objective`: its name; all but `latency` count answers by their code."""
        late = objective == LATENCY
        threshold = f"{service.timing.threshold:g}" if service.timing else ""
        job = [
            one
            for metric in _METRICS[late]
            for one in store.candidates(metric)
            if one.labels.get("job") == service.name
        ]
        self._total = [_Series(one) for one in job if one.labels.get("__name__") in (METRIC, f"{TIMED}_count")]
        bad = [one for one in job if one.labels.get("code").startswith("5")]
        good = [one for one in job if late and one.labels.get("le") == threshold]
        self._parts = [(1, _Series(one)) for one in bad] + [(-1, _Series(one)) for one in good]
        self._late = late
        self._of_total = _Sums([(1, one) for one in self._total])
        self._of_bad = _Sums([*([(1, one) for one in self._total] if late else []), *self._parts])

    def window(self, end: datetime, width: timedelta) -> Slot:
        """All events of the samples in the window that ends then."""
        last, first = milliseconds(end), milliseconds(end - width)
        total = self._of_total.between(first, last)
        return Slot(min(self._of_bad.between(first, last), total), total)

    def within(self, end: datetime, width: timedelta, births: bool) -> Slot:
        """What is between the samples in the window: the interval in which it begins is not seen.

        `births`: a series that is new counts with its first value, else from its first sample on.
        """
        last, first = milliseconds(end), milliseconds(end - width)
        total = sum(one.within(first, last, births) for one in self._total)
        part = sum(sign * one.within(first, last, births) for sign, one in self._parts)
        return Slot(min(max(0.0, total + part if self._late else part), total), total)

    def slots(self, end: datetime, width: timedelta, step: timedelta) -> list[Slot]:
        """The windows of `step` in the one that ends then, oldest first."""
        count = width // step
        return [self.window(end - (count - 1 - n) * step, step) for n in range(count)]


_METRICS: dict[bool, Sequence[str]] = {False: (METRIC,), True: (f"{TIMED}_count", f"{TIMED}_bucket")}


class _Series:
    """A counter: how much it has counted until each of its samples, over all resets."""

    def __init__(self, series: Series) -> None:
        points = series.points
        self.times = list(points.times)
        self.added = [
            value - before if value >= before else value
            for before, value in zip([0.0, *points.values], points.values, strict=False)
        ]
        self.sums = [0.0, *accumulate(self.added)]

    def within(self, first: int, last: int, births: bool) -> float:
        """What it counted from its first sample after `first` to its last one until `last`."""
        low, high = bisect_right(self.times, first), bisect_right(self.times, last)
        born = births and low == 0
        return self.sums[high] - self.sums[low if born else min(low + 1, high)]


class _Sums:
    """Several counters with a sign each as one."""

    def __init__(self, parts: Sequence[tuple[int, _Series]]) -> None:
        events = sorted(_events(parts))
        self._times = [at for at, _ in events]
        self._sums = [0.0, *accumulate(number for _, number in events)]

    def between(self, first: int, last: int) -> float:
        """Counted after `first`, until `last`."""
        return self._sums[bisect_right(self._times, last)] - self._sums[bisect_right(self._times, first)]


def _events(parts: Sequence[tuple[int, _Series]]) -> Iterator[tuple[int, float]]:
    for sign, one in parts:
        yield from zip(one.times, (sign * number for number in one.added), strict=True)
