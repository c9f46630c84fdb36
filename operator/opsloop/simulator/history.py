"""Samples from before the simulation began: three quiet days, made cheaply.

Rules that look far back need samples there, not many of them. The last hours are at scrape resolution; before that one
pod's counter is seen every 30 seconds, which is what coverage needs, and the others' every ten minutes.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from random import Random
from typing import Final

from opsloop.simulator.prometheus.store import Points, Store
from opsloop.simulator.scraping import EVERY, METRIC, TIMED
from opsloop.simulator.service import Counter, Service, Timing, Traffic
from opsloop.simulator.traffic import binomial, poisson

NEAR: Final = 2 * 3600 + 600  # seconds at scrape resolution
FAR: Final = 3 * 86_400 + 4 * 3600
DENSE: Final = 30
SPARSE: Final = 600


def times(offset: int, dense: bool) -> list[int]:
    """Seconds before the start (negative) at which a pod was scraped."""
    coarse = DENSE if dense else SPARSE
    far = list(range(-FAR + offset, -NEAR + offset, coarse))
    return far + list(range(-NEAR + offset, 0, EVERY))


def fill(
    store: Store, begin: int, service: Service, pods: Mapping[str, tuple[int, Mapping[str, str]]], errors: float,
    midnight: float, random: Random,
) -> dict[str, Counter]:  # fmt: skip
    """Fills the store for these pods: name → (scrape offset, labels); returns their counters at the start.

    Bad requests came at the error ratio `errors`.
    """
    counters = {}
    for number, (name, (offset, labels)) in enumerate(pods.items()):
        moments = times(offset, dense=number == 0)
        gaps = [moments[0] + FAR + 60, *(b - a for a, b in pairwise(moments))]
        rates = [service.wave.at(midnight + at) / len(pods) for at in moments]
        bad = list(accumulate(_draws(random, gaps, rates, errors)))
        good = list(accumulate(_draws(random, gaps, rates, 1 - errors)))
        stamps = [begin + at * 1000 for at in moments]
        _load(store, {**labels, "__name__": METRIC, "code": "200"}, stamps, good)
        born = next((n for n, value in enumerate(bad) if value), len(bad))
        _load(store, {**labels, "__name__": METRIC, "code": "500"}, stamps[born:], bad[born:])
        _load(store, {**labels, "__name__": "up"}, stamps, [1] * len(stamps))
        counters[name] = Counter(good[-1], bad[-1])
    return counters


def fill_times(
    store: Store, begin: int, timing: Timing, pods: Mapping[str, tuple[int, Mapping[str, str]]], slow: float,
    traffic: Traffic,
) -> None:  # fmt: skip
    """The histogram beside those counters: as many requests, of which the share `slow` took too long."""
    for name, (_, labels) in pods.items():
        good, bad = (store.series({**labels, "__name__": METRIC, "code": code}).points for code in ("200", "500"))
        wrong = dict(zip(bad.times, bad.values, strict=True))
        stamps, late, failed, before = list(good.times), 0, 0.0, 0.0
        totals, slows = [], []
        for stamp, value in zip(good.times, good.values, strict=True):
            failed = wrong.get(stamp, failed)
            total = value + failed
            late += binomial(traffic.clock, round(total - before), slow)
            before = total
            totals.append(round(total))
            slows.append(late)
        for bound, values in (
            (f"{timing.threshold:g}", [t - s for t, s in zip(totals, slows, strict=True)]),
            ("+Inf", totals),
        ):
            _load(store, {**labels, "__name__": f"{TIMED}_bucket", "le": bound}, stamps, values)
        _load(store, {**labels, "__name__": f"{TIMED}_count"}, stamps, totals)
        traffic.counters[name].slow = late


def _draws(random: Random, gaps: list[int], rates: list[float], share: float) -> list[int]:
    return [poisson(random, gap * rate * share) for gap, rate in zip(gaps, rates, strict=True)]


def _load(store: Store, labels: Mapping[str, str], stamps: list[int], values: list[int]) -> None:
    """Puts samples of a counter that never was reset before everything else of its series."""
    series = store.series(labels)
    assert not series.points.times, "history comes first"
    series.points = Points(list(stamps), [float(value) for value in values], [0.0] * len(stamps), 0)
