"""Requests and errors as users make them: pure functions of a `random.Random`, for the world and for tests of decisions.

Requests arrive as a Poisson process whose rate follows a daily wave. Each is bad with the error ratio of what serves it;
bad requests also come in bursts (a client that retries, one pod with a sick neighbour), all to one pod.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

DAY: Final = 86_400.0  # seconds
_MULTIPLIED: Final = 12.0  # up to this mean a draw multiplies uniform numbers; above it is made by rejection


def poisson(random: Random, mean: float) -> int:
    """A Poisson number, exact for every mean: Knuth's product, above 12 Hörmann's PTRS (1993)."""
    if mean <= 0:
        return 0
    if mean <= _MULTIPLIED:
        limit, product, number = math.exp(-mean), random.random(), 0
        while product > limit:
            number += 1
            product *= random.random()
        return number
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha, v_r, log_mean = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2), math.log(mean)
    while True:
        u, v = random.random() - 0.5, random.random()
        us = 0.5 - abs(u)
        number = math.floor((2 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return number
        if number < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v * inverse_alpha / (a / (us * us) + b)) <= number * log_mean - mean - math.lgamma(number + 1):
            return number


@dataclass(frozen=True, slots=True)
class Wave:
    """Requests per second over the day: `mean` · (1 + `swing` · cos of the distance from the hour `peak`)."""

    mean: float
    swing: float = 0.0  # 0 to 1
    peak: float = 14.0  # hour of the day, UTC

    def at(self, seconds: float) -> float:
        """Requests per second at a time in seconds since midnight of any day."""
        return self.mean * (1 + self.swing * math.cos(2 * math.pi * (seconds / DAY - self.peak / 24)))


@dataclass(frozen=True, slots=True)
class Bursts:
    """Clumps of bad requests to one pod: so many per hour of the whole service, each of `least` to `most` requests."""

    per_hour: float = 0.0
    least: int = 5
    most: int = 100

    def draw(self, random: Random, seconds: float) -> list[int]:
        """Sizes of the bursts that begin within so many seconds; small ones are commoner (uniform in their logarithm)."""
        count = poisson(random, self.per_hour * seconds / 3600)
        low, high = math.log(self.least), math.log(self.most + 1)
        return [min(self.most, int(math.exp(random.uniform(low, high)))) for _ in range(count)]


NO_BURSTS: Final = Bursts()


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one pod in one interval."""

    bad: int
    total: int


def counts(
    random: Random, seconds: float, rate: float, errors: Sequence[float], bursts: Bursts = NO_BURSTS
) -> list[Count]:
    """Requests of each pod within so many seconds; `rate` per second over all pods, `errors` the error ratio of each pod.

    The requests are spread evenly at random; each burst goes to one pod.
    """
    share = seconds * rate / len(errors) if errors else 0.0
    bad = [poisson(random, share * ratio) for ratio in errors]
    good = [poisson(random, share * (1 - ratio)) for ratio in errors]
    for size in bursts.draw(random, seconds) if errors else ():
        bad[random.randrange(len(errors))] += size
    return [Count(b, b + g) for b, g in zip(bad, good, strict=True)]


@dataclass(frozen=True, slots=True)
class Side:
    """What one of two revisions serves in one scrape interval, by pod."""

    pods: tuple[Count, ...]

    @property
    def bad(self) -> int:
        """Bad requests of all its pods."""
        return sum(pod.bad for pod in self.pods)

    @property
    def total(self) -> int:
        """Requests of all its pods."""
        return sum(pod.total for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A canary beside live, without an operator: what a decision on counts is fed with.

    `outage`: error ratio that both have in addition, and the seconds (from, to) in which they have it.
    """

    rps: float
    live: float  # error ratio
    canary: float
    live_pods: int = 4
    canary_pods: int = 1
    bursts: Bursts = NO_BURSTS
    outage: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scrape: float = 15.0

    def intervals(self, random: Random) -> Iterator[tuple[Side, Side]]:
        """(canary, live) of one scrape interval after the other, for ever."""
        start = 0.0
        while True:
            extra, begin, end = self.outage
            overlap = max(0.0, min(end, start + self.scrape) - max(begin, start)) / self.scrape
            ratios = [1 - (1 - own) * (1 - extra * overlap) for own in (self.canary, self.live)]
            errors = [ratios[0]] * self.canary_pods + [ratios[1]] * self.live_pods
            pods = counts(random, self.scrape, self.rps, errors, self.bursts)
            yield Side(tuple(pods[: self.canary_pods])), Side(tuple(pods[self.canary_pods :]))
            start += self.scrape


def misaligned(random: Random, pods: Sequence[Sequence[Count]]) -> list[list[Count]]:
    """The same counts as scrapes see them that do not fall on the intervals' ends: each pod has an offset of its own.

    `pods[n]` are one pod's counts by interval. Each request moves into the interval in which its pod is scraped next; no
    request is lost, except those after the last scrape.
    """
    moved = []
    for series in pods:
        late = random.random()  # share of an interval by which this pod is scraped early
        left, seen = Count(0, 0), []
        for count in series:
            bad = sum(random.random() < late for _ in range(count.bad))
            good = binomial(random, count.total - count.bad, late)
            kept = Count(count.bad - bad, count.total - good - bad)
            seen.append(Count(left.bad + kept.bad, left.total + kept.total))
            left = Count(bad, bad + good)
        moved.append(seen)
    return moved


def binomial(random: Random, number: int, share: float) -> int:
    """How many of `number` have a property that each has with this probability; exact."""
    if number < 32:
        return sum(random.random() < share for _ in range(number))
    # the median of the order statistics splits the numbers in two until few are left (Devroye 1986, X.4.3)
    taken = 0
    while number >= 32:
        middle = number // 2 + 1
        point = random.betavariate(middle, number + 1 - middle)
        if point <= share:
            taken, number = taken + middle, number - middle
            share = (share - point) / (1 - point)
        else:
            number, share = middle - 1, share / point
    return taken + sum(random.random() < share for _ in range(number))
