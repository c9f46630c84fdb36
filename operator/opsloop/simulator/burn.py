"""Counts of requests by time, and when a burn-rate rule over them fires: the closed form that reactions are timed by."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from opsloop.simulator.service import Service, Tally, Version

PAGE_TIERS: Final = ((3600.0, 300.0, 14.4), (21_600.0, 1800.0, 6.0))
"""(long, short, factor) of the default tiers that page."""
LEAST_BAD: Final = 5


@dataclass(slots=True)
class Counts:
    """Sums of bad and all requests until a time; before time 0 a steady stream of `rate` at the error ratio `normal`."""

    rate: float
    normal: float
    _times: list[float] = field(default_factory=lambda: [0.0])
    _bad: list[int] = field(default_factory=lambda: [0])
    _total: list[int] = field(default_factory=lambda: [0])

    def add(self, at: float, bad: int, total: int) -> None:
        """Requests at a time, not before those added already."""
        if at == self._times[-1]:
            self._bad[-1] += bad
            self._total[-1] += total
            return
        self._times.append(at)
        self._bad.append(self._bad[-1] + bad)
        self._total.append(self._total[-1] + total)

    def window(self, end: float, width: float) -> tuple[float, float]:
        """(bad, all) requests in the window that ends then."""
        start = end - width
        high = bisect_right(self._times, end) - 1
        if start >= 0:
            low = bisect_right(self._times, start) - 1
            return self._bad[high] - self._bad[low], self._total[high] - self._total[low]
        before = -start * self.rate
        return self._bad[high] + before * self.normal, self._total[high] + before

    def ratio(self, end: float, width: float) -> float:
        """Error ratio of the window; 0 without requests."""
        bad, total = self.window(end, width)
        return bad / total if total else 0.0

    def fires(self, at: float, budget: float) -> bool:
        """True where a paging tier burns over both of its windows."""
        for long, short, factor in PAGE_TIERS:
            limit = factor * budget
            if limit >= 1:
                continue
            bad, total = self.window(at, long)
            if bad >= LEAST_BAD and bad > limit * total and self.ratio(at, short) > limit:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective of a service: its budget, and what of a tally or of a version is bad in it."""

    name: str
    budget: float
    bad: Callable[[Tally], int]
    ratio: Callable[[Version], float]


AVAILABILITY: Final = "availability"
LATENCY: Final = "latency"


def objectives(service: Service) -> tuple[Objective, ...]:
    """Availability, and latency where the service is timed."""
    found = (Objective(AVAILABILITY, service.budget, lambda tally: tally.bad, lambda version: version.errors),)
    if service.timing is None:
        return found
    return *found, Objective(LATENCY, service.timing.budget, _served_late, lambda version: version.slow)


def _served_late(tally: Tally) -> int:
    return tally.slow


def counts_of(
    tallies: Iterable[Tally], rate: float, normal: float, bad: Callable[[Tally], int] = lambda t: t.bad
) -> Counts:
    """The counts of what users saw."""
    found = Counts(rate, normal)
    for tally in tallies:
        found.add(tally.at, bad(tally), tally.total)
    return found


def stretches(counts: Counts, budget: float, until: float, step: float = 15.0) -> list[tuple[float, float]]:
    """(begin, end) of each time in which a paging tier fires; one that is interrupted for under 10 minutes is one."""
    found: list[tuple[float, float]] = []
    at = step
    while at <= until:
        if counts.fires(at, budget):
            if found and at - found[-1][1] < 600:
                found[-1] = (found[-1][0], at)
            else:
                found.append((at, at))
        at += step
    return found


def is_harm(counts: Counts, begin: float, end: float) -> bool:
    """False for a stretch in which a tier fires only because its long window still holds an earlier harm.

    One bad request of a quiet service is enough for the short window then. A stretch is harm by bad requests of its own, as
    many as a tier needs to fire at all.
    """
    shortest = min(short for _, short, _ in PAGE_TIERS)
    bad, _ = counts.window(end, end - begin + shortest)
    return bad >= LEAST_BAD
