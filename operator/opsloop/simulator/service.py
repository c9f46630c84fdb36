"""A service: its versions, the requests that its pods answer, and who is to blame for the bad ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from opsloop.simulator.kube.pods import Image
from opsloop.simulator.traffic import NO_BURSTS, Bursts, Wave, binomial, poisson

IMAGE: Final = Image()
ROUTE: Final = "/checkout"
ROUTE_SHARE: Final = 0.1  # of the requests go to this path
OWN, SHARED, UNSERVED = "own", "shared", "unserved"
"""Why a request was bad: by the version's own fault, by one that all versions have, or no pod was there."""


@dataclass(frozen=True, slots=True)
class Version:
    """What one version does. `harm` is what the oracle says of it: it errs more than its users accept."""

    name: str
    errors: float  # its error ratio, in full effect
    harm: bool = False
    ramp: float = 0.0  # seconds from its first request until its errors are in full effect
    route: bool = False  # all errors are on one path
    image: Image = IMAGE
    slow: float = 0.0  # share of its requests that take too long, in full effect; where the service is timed

    def effect(self, age: float) -> float:
        """Share of its errors that are there so many seconds after its first request."""
        return min(1.0, age / self.ramp) if self.ramp else 1.0

    def ratio(self, age: float) -> float:
        """Its error ratio so many seconds after its first request."""
        return self.errors * self.effect(age)


@dataclass(frozen=True, slots=True)
class Timing:
    """A second objective: requests that take longer than `threshold` seconds are bad, whatever they answer."""

    objective: float = 0.99
    threshold: float = 0.5

    @property
    def budget(self) -> float:
        """Accepted share of slow requests."""
        return round(1 - self.objective, 12)


@dataclass(frozen=True, slots=True)
class Service:
    """A Deployment with users."""

    name: str
    wave: Wave
    versions: Mapping[str, Version]
    objective: float = 0.99
    replicas: int = 4
    bursts: Bursts = NO_BURSTS
    depends: tuple[str, ...] = ()
    share: float = 1.0  # of a dependency's bad answers that make an answer of its own bad
    timing: Timing | None = None  # None: it has no histogram
    settings: str = ""  # ConfigMap that its pods mount

    @property
    def budget(self) -> float:
        """Accepted error ratio."""
        return round(1 - self.objective, 12)


@dataclass(slots=True)
class Counter:
    """What one process counts; a restart sets it to nothing."""

    good: int = 0
    bad: int = 0
    route_good: int = 0
    route_bad: int = 0
    slow: int | None = None  # None: nothing is timed

    @property
    def total(self) -> int:
        """All requests."""
        return self.good + self.bad + self.route_good + self.route_bad


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests of one version in one step; version "" where no pod served them."""

    at: float  # end of the step
    version: str
    total: int
    own: int = 0  # bad by the version's own fault
    shared: int = 0  # bad by a fault that every version has
    slow: int = 0  # too slow, for whatever reason
    own_slow: int = 0  # too slow by the version's own fault

    @property
    def bad(self) -> int:
        """Bad requests that users saw."""
        return self.own + self.shared


@dataclass(slots=True)
class Traffic:
    """The users of one service, step by step. `tallies` is the truth that the oracle knows."""

    service: Service
    random: Random
    midnight: float  # seconds since midnight at time 0
    counters: dict[str, Counter] = field(default_factory=dict)  # by pod
    tallies: list[Tally] = field(default_factory=list)
    first_request: dict[str, float] = field(default_factory=dict)  # by version
    strain: float = 1.0  # factor on the rate
    ratio: float = 0.0  # of bad answers in the last step, for those that depend on it
    clock: Random = field(default_factory=Random)  # its own, so that a timed service has the same requests

    def serve(
        self,
        now: float,
        seconds: float,
        pods: Sequence[tuple[str, str]],
        shared: float,
        shared_slow: float = 0.0,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        """The requests of the last seconds, spread over `pods` (name, version): evenly, or by `shares` (of all requests, by name).

        What the shares leave over is answered by nobody. `shared` is an error ratio that all have, `shared_slow` a share of slow requests that all have.
        """
        rate = self.service.wave.at(self.midnight + now) * self.strain
        if not pods:
            lost = poisson(self.random, rate * seconds)
            self.ratio = 1.0
            if lost:
                self.tallies.append(Tally(now, "", lost, 0, lost))
            return
        totals: dict[str, list[int]] = {}
        if shares is not None and (lost := poisson(self.random, rate * seconds * max(0.0, 1 - sum(shares.values())))):
            self.tallies.append(Tally(now, "", lost, 0, lost))
        for pod, name in pods:
            mean = rate * seconds / len(pods) if shares is None else rate * seconds * shares[pod]
            version = self.service.versions[name]
            since = self.first_request.setdefault(name, now)
            own_ratio = version.ratio(now - since)
            own = poisson(self.random, mean * own_ratio)
            caught = poisson(self.random, mean * shared * (1 - own_ratio))
            good = poisson(self.random, mean * (1 - own_ratio) * (1 - shared))
            self._count(pod, version, good, own, caught)
            sums = totals.setdefault(name, [0, 0, 0, 0, 0])
            sums[0] += good + own + caught
            sums[1] += own
            sums[2] += caught
            if self.service.timing is not None:
                number = good + own + caught
                slow = binomial(self.clock, number, version.slow * version.effect(now - since))
                also = binomial(self.clock, number - slow, shared_slow)
                self._time(pod, slow + also)
                sums[3] += slow + also
                sums[4] += slow
        for size in self.service.bursts.draw(self.random, seconds):
            pod, name = pods[self.random.randrange(len(pods))]
            self._count(pod, self.service.versions[name], 0, 0, size)
            totals[name][0] += size
            totals[name][2] += size
        bad, total = 0, 0
        for name, (number, own, caught, slow, own_slow) in totals.items():
            bad, total = bad + own + caught, total + number
            if number:
                self.tallies.append(Tally(now, name, number, own, caught, slow, own_slow))
        if total:
            self.ratio = bad / total

    def _time(self, pod: str, slow: int) -> None:
        counter = self.counters[pod]
        counter.slow = (counter.slow or 0) + slow

    def _count(self, pod: str, version: Version, good: int, own: int, caught: int) -> None:
        counter = self.counters.get(pod)
        if counter is None:
            counter = self.counters[pod] = Counter()
        if not version.route:
            counter.good += good
            counter.bad += own + caught
            return
        on_route = max(0, round((good + own) * ROUTE_SHARE) - own)  # its errors are all on that path
        counter.route_bad += own
        counter.route_good += min(good, on_route)
        counter.good += good - min(good, on_route)
        counter.bad += caught
