"""Scrapes of single pods gathered into the intervals of the canary's test.

An interval closes when every pod that serves was scraped in it. So its counts are of the same time for canary and live, up
to the offsets of their scrapes, and no event is lost or counted twice: Σ intervals = last − first, pod by pod.

A pod that is not scraped any more (gone, not ready, its scrapes fail) is waited for until DEADLINE scrapes after its last
one; comes it back, its events of the meantime count then. While no pod of the canary is scraped nothing closes: there is
nothing to judge, the evidence grows old, and that is said. While live has pods, one of them must be in every interval.
"""

from dataclasses import dataclass, field
from math import inf

from opsloop.core.statistics.evidence import Interval

DEADLINE = 3  # scrapes


@dataclass(frozen=True, slots=True)
class Scrape:
    """Events of one pod since its last scrape, at a time in seconds since the canary took traffic."""

    at: float
    pod: str
    canary: bool
    bad: float
    total: float


@dataclass(slots=True)
class _Pod:
    """A pod in the open interval."""

    canary: bool
    last: float  # scrape
    scraped: bool = False  # in the open interval
    bad: float = 0.0
    total: float = 0.0


@dataclass(slots=True)
class Rounds:
    """The open interval. Give it the scrapes in the order of time."""

    every: float  # seconds between two scrapes of a pod
    begin: float = -inf
    pods: dict[str, _Pod] = field(default_factory=dict)
    began: bool = False  # the canary's traffic

    def add(self, scrape: Scrape) -> Interval | None:
        """One more scrape; the interval that it closes. Before the canary's traffic (time 0) live's pods close theirs alone."""
        pod = self.pods.get(scrape.pod)
        if pod is None:
            pod = self.pods[scrape.pod] = _Pod(scrape.canary, scrape.at)
        pod.last = max(pod.last, scrape.at)
        if scrape.canary and scrape.at <= 0:
            return None
        if scrape.at > 0 and not self.began:
            self._begin()
        pod.scraped = True
        pod.bad += scrape.bad
        pod.total += scrape.total
        return self._closed(scrape.at) if self._is_complete(scrape.at) else None

    def _is_complete(self, now: float) -> bool:
        """Every pod that serves was scraped. The first interval waits for no pod of live that was scraped just before."""
        if now <= self.begin:
            return False
        due = now - DEADLINE * self.every
        fresh = -self.every if self.began and self.begin <= 0 else now
        canary, live, serving = now <= 0, False, False
        for pod in self.pods.values():
            if pod.scraped:
                canary, live = canary or pod.canary, live or not pod.canary
            elif pod.canary:
                if now > 0 and pod.last >= due:
                    return False
            elif pod.last > fresh:
                live = True
            elif pod.last >= due:
                return False
            serving = serving or (not pod.canary and pod.last >= due)
        return canary and (live or not serving)

    def _begin(self) -> None:
        """The canary's traffic began: what live served before is not compared with it."""
        self.began, self.begin = True, min(self.begin, 0.0)
        for pod in self.pods.values():
            pod.scraped, pod.bad, pod.total = False, 0.0, 0.0

    def _closed(self, now: float) -> Interval:
        own, live = [0.0, 0.0], list[tuple[float, float]]()
        for pod in self.pods.values():
            if not pod.scraped:
                continue
            bad, total = min(max(pod.bad, 0.0), max(pod.total, 0.0)), max(pod.total, 0.0)
            if pod.canary:
                own[0] += bad
                own[1] += total
            else:
                live.append((bad, total))
            # one series was read before the other: what does not fit together belongs to the next interval
            pod.bad, pod.total, pod.scraped = pod.bad - bad, pod.total - total, False
        begin, self.begin = max(self.begin, 0.0 if now > 0 else now - self.every), now
        live_bad, live_total = sum(bad for bad, _ in live), sum(total for _, total in live)
        return Interval(begin, now, own[0], own[1], live_bad, live_total, live_pods=tuple(live))
