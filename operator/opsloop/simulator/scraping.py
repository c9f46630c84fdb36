"""Prometheus beside the world: it finds pods, scrapes them every 15 seconds, misses some, and may be down."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final

from opsloop.simulator.prometheus.scrape import Exposed, Target
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.service import ROUTE, Counter

METRIC: Final = "http_requests_total"
TIMED: Final = "http_request_duration_seconds"
EVERY: Final = 15  # seconds
_GOOD, _BAD = (METRIC, (("code", "200"),)), (METRIC, (("code", "500"),))
_ROUTE_GOOD = (METRIC, (("code", "200"), ("path", ROUTE)))
_TIMED_ALL: Final[tuple[str, tuple[tuple[str, str], ...]]] = (f"{TIMED}_count", ())
_ROUTE_BAD = (METRIC, (("code", "500"), ("path", ROUTE)))


@dataclass(slots=True)
class Weakness:
    """What is wrong with the telemetry now; a world changes it."""

    down: bool = False  # it neither scrapes nor answers
    blind: set[str] = field(default_factory=set)  # services whose scrapes fail
    missed: float = 0.0  # share of scrapes that fail
    late: float = 0.0  # seconds from a scrape until queries see it
    held_up: float = 0.0  # mean seconds by which a scrape begins late: the machine is starved


def exposed(counter: Counter, threshold: float = 0.0) -> Exposed:
    """What a process shows: a series appears with its first event, a histogram with the first request.

    `threshold` is a bound of the histogram's buckets, in seconds; 0: there is no histogram.
    """
    found = {_GOOD: counter.good, _BAD: counter.bad, _ROUTE_GOOD: counter.route_good, _ROUTE_BAD: counter.route_bad}
    seen = {key: float(value) for key, value in found.items() if value}
    if counter.slow is not None and threshold:
        total = float(counter.total)
        seen |= {_bucket(threshold): total - counter.slow, _bucket("+Inf"): total, _TIMED_ALL: total}
    return seen


@cache
def _bucket(bound: float | str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"{TIMED}_bucket", (("le", f"{bound:g}" if isinstance(bound, float) else bound),)


class Scraper:
    """Scrapes each pod at an offset of its own. Times are seconds of the simulation; `begin` is its start in the store."""

    def __init__(
        self, store: Store, namespace: str, begin: int, random: Random, thresholds: Mapping[str, float] = {}
    ) -> None:
        """`thresholds`: service → a bound of its histogram's buckets, of those that have one."""
        self.weakness, self._thresholds = Weakness(), thresholds
        self._store, self._namespace, self._begin, self._random = store, namespace, begin, random
        self._targets: dict[str, tuple[Target, str]] = {}
        self._gone: dict[str, tuple[Target, float]] = {}
        self._begins: dict[str, float] = {}  # pod → when its scrape that is held up begins

    def offset(self, pod: str, step: int) -> int:
        """Seconds from a full scrape interval at which this pod is scraped; a multiple of the world's step."""
        return hashlib.sha256(pod.encode()).digest()[0] * step % EVERY

    def target(self, pod: str, service: str, version: str, ip: str) -> Target:
        """The pod's target; `version` is a label that its metrics carry, where they do."""
        found = self._targets.get(pod)
        if found is None:
            labels = {"namespace": self._namespace, "pod": pod, "job": service, "instance": f"{ip}:8080"}
            if version:
                labels["version"] = version
            found = self._targets[pod] = Target(self._store, labels), service
        return found[0]

    def scrape(self, now: float, step: int, pods: Mapping[str, tuple[str, str, str, Counter]]) -> None:
        """Everything that is due now. `pods`: name → (service, version label, address, counter) of running processes."""
        due = int(now) % EVERY
        for name in sorted(self._targets.keys() - pods.keys()):
            self._gone[name] = self._targets.pop(name)[0], now
        for name, (target, since) in list(self._gone.items()):
            if self.offset(name, step) == due and now > since:
                del self._gone[name]
                if not self.weakness.down:
                    target.vanish(self._at(now))
        if self.weakness.down:
            return
        visible = self._at(now + self.weakness.late) if self.weakness.late else None
        for name, (service, version, ip, counter) in pods.items():
            if not self._is_due(name, now, step):
                continue
            target = self.target(name, service, version, ip)
            failed = service in self.weakness.blind
            if failed or (self.weakness.missed and self._random.random() < self.weakness.missed):
                target.fail(self._at(now), visible)
            else:
                target.scrape(self._at(now), exposed(counter, self._thresholds.get(service, 0.0)), visible)

    def _is_due(self, pod: str, now: float, step: int) -> bool:
        """The pod is scraped now. A scrape that is held up drops those that come due meanwhile, as Prometheus does."""
        due = self.offset(pod, step) == int(now) % EVERY
        if not self.weakness.held_up and pod not in self._begins:
            return due
        if due and pod not in self._begins:
            self._begins[pod] = now + (self._random.expovariate(1 / self.weakness.held_up))
        if self._begins.get(pod, now + 1) > now:
            return False
        del self._begins[pod]
        return True

    def _at(self, seconds: float) -> int:
        return self._begin + round(seconds * 1000)
