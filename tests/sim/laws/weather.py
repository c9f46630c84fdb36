"""Rollouts as samples: the scrapes of canary and live pods, counted as the product counts them (`core.slo.rounds`).

Requests come as `opsloop.simulator.traffic` makes them, to each pod of a version alike. Each pod is scraped at an offset of
its own; some scrapes fail, and the next one has what they would have had. A burst is to one pod, for up to ten seconds, so
that two scrapes may share it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from opsloop.core.slo.rounds import Rounds, Scrape
from opsloop.core.statistics.evidence import Interval
from opsloop.simulator.traffic import Bursts, poisson

NO_BURSTS: Final = Bursts()
BEFORE: Final = 3600.0  # seconds that are read of live before the canary's traffic
BURST_LENGTH: Final = 10.0  # seconds, at most


@dataclass(frozen=True, slots=True)
class Outage:
    """An error ratio that everybody has in addition, from one second to another."""

    begin: float
    end: float
    ratio: float

    def overlap(self, begin: float, end: float) -> float:
        """The share of these seconds in which it is."""
        return max(0.0, min(end, self.end) - max(begin, self.begin)) / (end - begin)


@dataclass(frozen=True, slots=True)
class Weather:
    """One rollout: traffic, error ratios of both versions, and what happens to them. Times are seconds."""

    rps: float
    live: float  # error ratio
    canary: float
    weights: tuple[tuple[float, float], ...] = ((20.0, 600.0), (50.0, 600.0))  # (percent, hold)
    scrape: float = 15.0
    missed: float = 0.0  # share of scrapes that fail
    bursts: Bursts = NO_BURSTS
    outages: tuple[Outage, ...] = ()
    live_pods: int = 4

    def canary_pods(self, share: float) -> int:
        """Pods of a canary with this share of the requests."""
        return min(self.live_pods, max(1, round(share / (1 - share) * self.live_pods)))

    def with_outages(self, ratio: float, begin: float, end: float) -> float:
        """The mean error ratio between two times of what errs with `ratio` by itself."""
        for outage in self.outages:
            if outage.begin < end and outage.end > begin:
                ratio = 1 - (1 - ratio) * (1 - outage.ratio * outage.overlap(begin, end))
        return ratio


@dataclass(slots=True)
class _Pod:
    """A pod: its offset in the interval between scrapes, and its last scrape."""

    name: str
    canary: bool
    offset: float
    last: float = 0.0


class Scrapes:
    """The intervals of one rollout, one after the other; the share of the canary is what the rollout has decided."""

    dispersion = 1.0

    def __init__(self, weather: Weather, random: Random) -> None:
        self._weather, self._random = weather, random
        self._rounds = Rounds(weather.scrape)
        self._live = [self._pod(f"l{n}", canary=False) for n in range(weather.live_pods)]
        self._canary: list[_Pod] = []
        self._bursts: list[tuple[float, float, str, int]] = []
        self._scrapes = self._all()
        self._share = 0.0
        for pod in self._live:  # they were there before
            self._rounds.add(Scrape(pod.offset - weather.scrape, pod.name, False, 0, 0))

    def before(self) -> Iterator[Interval]:
        """Live alone, in the hour before; of its good requests only their mean."""
        weather, random = self._weather, self._random
        served = weather.rps * weather.scrape / weather.live_pods
        for end in range(-round(BEFORE / weather.scrape) + 1, 1):
            bad = [poisson(random, served * weather.live) for _ in range(weather.live_pods)]
            if weather.bursts.per_hour:
                for size in weather.bursts.draw(random, weather.scrape):
                    bad[random.randrange(weather.live_pods)] += size
            pods = tuple([(float(number), served + number) for number in bad])
            at = end * weather.scrape
            yield Interval(at - weather.scrape, at, 0, 0, sum(bad), sum(total for _, total in pods), live_pods=pods)

    def interval(self, share: float) -> Interval:
        """The next interval while the canary has this share of the requests."""
        self._share = share
        while True:
            if (closed := self._rounds.add(next(self._scrapes))) is not None:
                return closed

    def _pod(self, name: str, canary: bool, since: float = 0.0) -> _Pod:
        return _Pod(name, canary, self._random.uniform(0, self._weather.scrape), since)

    def _all(self) -> Iterator[Scrape]:
        """The scrapes that do not fail, in the order of time."""
        weather, random, number = self._weather, self._random, 0
        while True:
            begin = number * weather.scrape
            number += 1
            while len(self._canary) < weather.canary_pods(self._share):
                self._canary.append(self._pod(f"c{len(self._canary)}", canary=True, since=begin))
            pods = sorted([*self._live, *self._canary], key=lambda pod: pod.offset)
            if weather.bursts.per_hour:
                self._draw_bursts(begin)
            for pod in pods:
                if not weather.missed or random.random() >= weather.missed:
                    yield self._scraped(pod, begin + pod.offset)

    def _scraped(self, pod: _Pod, at: float) -> Scrape:
        weather, share = self._weather, self._share
        rate = weather.rps * (share / len(self._canary) if pod.canary else (1 - share) / len(self._live))
        ratio = weather.canary if pod.canary else weather.live
        if weather.outages:
            ratio = weather.with_outages(ratio, pod.last, at)
        mean = rate * (at - pod.last)
        bad, good = poisson(self._random, mean * ratio), poisson(self._random, mean * (1 - ratio))
        if self._bursts:
            bad += self._of_bursts(pod, at)
        pod.last = at
        return Scrape(at, pod.name, pod.canary, bad, bad + good)

    def _draw_bursts(self, begin: float) -> None:
        """Those of the seconds until the next round begins."""
        weather, random = self._weather, self._random
        self._bursts = [one for one in self._bursts if one[1] > begin - 4 * weather.scrape]
        for size in weather.bursts.draw(random, weather.scrape):
            start = begin + random.uniform(0, weather.scrape)
            pods = self._canary if random.random() < self._share else self._live
            end = start + random.uniform(0.001, BURST_LENGTH)
            self._bursts.append((start, end, random.choice(pods).name, size))

    def _of_bursts(self, pod: _Pod, at: float) -> int:
        """Bad requests of bursts between the pod's last scrape and this one."""
        return sum(
            _so_far(start, end, size, at) - _so_far(start, end, size, pod.last)
            for start, end, name, size in self._bursts
            if name == pod.name
        )


def _so_far(start: float, end: float, size: int, at: float) -> int:
    """Requests of a burst until a time."""
    return round(size * min(1.0, max(0.0, (at - start) / (end - start))))
