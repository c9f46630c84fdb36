"""Rollouts as samples: what scrapes of canary and live pods show of a rollout, window by window, as PromQL counts it.

Requests come as `opsloop.simulator.traffic` makes them. Each pod is scraped at an offset of its own. A window of _SCRAPES
scrapes sees what happened between its first and its last one and scales that up, as `increase()` does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from opsloop.core.slo import counts
from opsloop.core.statistics.evidence import Interval
from opsloop.simulator.traffic import Bursts, poisson

SCRAPES = 4
assert counts.DISPERSION == SCRAPES / (SCRAPES - 1), "the samples are those of the windows that the product asks for"
NO_BURSTS = Bursts()


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
    bursts: Bursts = NO_BURSTS
    outages: tuple[Outage, ...] = ()
    live_pods: int = 4

    @property
    def window(self) -> float:
        """Seconds of one window."""
        return SCRAPES * self.scrape


class Sky:
    """The windows of one rollout, one after the other; the share of the canary is what the rollout has decided."""

    def __init__(self, weather: Weather, random: Random) -> None:
        self._weather, self._random = weather, random
        self._offsets = [random.uniform(0, weather.scrape) for _ in range(2 * weather.live_pods)]
        self._number = 0

    def window(self, share: float) -> Interval:
        """The next window while the canary has this share of the requests."""
        weather, begin = self._weather, self._number * self._weather.window
        self._number += 1
        canary_pods = max(1, round(share / (1 - share) * weather.live_pods))
        live = self._side(begin, range(weather.live_pods), weather.live, 1 - share)
        pods = range(weather.live_pods, weather.live_pods + min(canary_pods, weather.live_pods))
        canary = self._side(begin, pods, weather.canary, share)
        if weather.bursts.per_hour:
            live, canary = self._with_bursts(begin, share, live, canary)
        scale = counts.DISPERSION
        numbers = [scale * n for n in (canary[0], sum(canary), live[0], sum(live))]
        return Interval(begin, begin + weather.window, *numbers)

    def _side(self, begin: float, pods: Sequence[int], ratio: float, share: float) -> tuple[int, int]:
        """(bad, good) of one version in the seconds that its scrapes see."""
        weather, seen = self._weather, self._weather.window - self._weather.scrape
        requests = weather.rps * share * seen
        bad = ratio
        for outage in weather.outages:
            if outage.begin < begin + weather.window and outage.end > begin:
                covered = [outage.overlap(begin + o, begin + o + seen) for o in (self._offsets[p] for p in pods)]
                bad = 1 - (1 - bad) * (1 - outage.ratio * sum(covered) / len(covered))
        return poisson(self._random, requests * bad), poisson(self._random, requests * (1 - bad))

    def _with_bursts(
        self, begin: float, share: float, live: tuple[int, int], canary: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Bad requests in clumps, each to one pod of either version; a clump between two windows is not seen."""
        weather, random = self._weather, self._random
        for size in weather.bursts.draw(random, weather.window):
            if random.random() > 1 / counts.DISPERSION:
                continue
            if random.random() < share:
                canary = canary[0] + size, canary[1]
            else:
                live = live[0] + size, live[1]
        return live, canary


def windows(weather: Weather, random: Random) -> Iterator[Interval]:
    """The windows of a rollout that stays at its first weight."""
    sky = Sky(weather, random)
    while True:
        yield sky.window(weather.weights[0][0] / 100)
