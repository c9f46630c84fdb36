"""The approximate way: what windows of PromQL show of a rollout, where an SLI is no sum of plain counters.

A window of SCRAPES scrapes sees what happened between its first and its last one and scales that up, as `increase()` does.
"""

from collections.abc import Iterator, Sequence
from random import Random

from opsloop.core.slo import counts
from opsloop.core.statistics.evidence import Interval
from opsloop.simulator.traffic import poisson
from tests.sim.laws.weather import Weather

SCRAPES = 4
assert counts.DISPERSION == SCRAPES / (SCRAPES - 1), "the samples are those of the windows that the product asks for"


class Windows:
    """The windows of one rollout, one after the other; the share of the canary is what the rollout has decided."""

    dispersion = counts.DISPERSION

    def __init__(self, weather: Weather, random: Random) -> None:
        self._weather, self._random = weather, random
        self._offsets = [random.uniform(0, weather.scrape) for _ in range(2 * weather.live_pods)]
        self._number = 0

    def before(self) -> Iterator[Interval]:
        """Nothing is read of the time before."""
        return iter(())

    def interval(self, share: float) -> Interval:
        """The next window while the canary has this share of the requests."""
        weather, length = self._weather, SCRAPES * self._weather.scrape
        begin = self._number * length
        self._number += 1
        live = self._side(begin, range(weather.live_pods), weather.live, 1 - share)
        pods = range(weather.live_pods, weather.live_pods + weather.canary_pods(share))
        canary = self._side(begin, pods, weather.canary, share)
        if weather.bursts.per_hour:
            live, canary = self._with_bursts(length, share, live, canary)
        numbers = [self.dispersion * n for n in (canary[0], sum(canary), live[0], sum(live))]
        return Interval(begin, begin + length, numbers[0], numbers[1], numbers[2], numbers[3])

    def _side(self, begin: float, pods: Sequence[int], ratio: float, share: float) -> tuple[int, int]:
        """(bad, good) of one version in the seconds that its scrapes see."""
        weather, seen = self._weather, (SCRAPES - 1) * self._weather.scrape
        requests, parts = weather.rps * share * seen, (self._offsets[pod] for pod in pods)
        errors = [weather.with_outages(ratio, begin + offset, begin + offset + seen) for offset in parts]
        bad = sum(errors) / len(errors)
        return poisson(self._random, requests * bad), poisson(self._random, requests * (1 - bad))

    def _with_bursts(
        self, length: float, share: float, live: tuple[int, int], canary: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Bad requests in clumps, each to one pod of either version; a clump between two windows is not seen."""
        for size in self._weather.bursts.draw(self._random, length):
            if self._random.random() > 1 / self.dispersion:
                continue
            if self._random.random() < share:
                canary = canary[0] + size, canary[1]
            else:
                live = live[0] + size, live[1]
        return live, canary
