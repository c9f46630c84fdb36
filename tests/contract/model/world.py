"""Random series sets: a service's counters as scraped through births, resets, deaths, gaps and late ingestion.

A set is a function of its number alone, on every Python version: only `Random.random` is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from opsloop.simulator.prometheus.labels import NAME
from opsloop.simulator.prometheus.store import STALE

T = TypeVar("T")
BEGIN = 1_704_067_200_000  # 2024-01-01 00:00 UTC: behind every machine's clock, a multiple of all steps
VERSIONS = ("v1", "v2", "v3-rc.1")


class Dice:
    """Choices made of `Random.random`."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def chance(self, share: float) -> bool:
        return self._random() < share

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return low + int(self._random() * (high - low + 1))

    def one(self, options: Sequence[T]) -> T:
        return options[int(self._random() * len(options))]

    def share(self) -> float:
        return self._random()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sample and when it becomes visible."""

    at: int
    value: float
    visible: int


@dataclass(slots=True)
class World:
    """One series set."""

    number: int
    interval: int  # milliseconds between scrapes
    scrapes: int
    series: dict[tuple[tuple[str, str], ...], list[Arrival]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return BEGIN + self.interval * self.scrapes

    @property
    def checkpoints(self) -> tuple[int, int, int]:
        """Wall times at which it is looked at: on a scrape, between two, and long after the end of most."""
        third = BEGIN + self.interval * (self.scrapes // 3)
        return third, BEGIN + self.interval * (2 * self.scrapes // 3) + self.interval // 3 + 137, self.end + 977


@dataclass(frozen=True, slots=True)
class _Target:
    """A pod: when it is scraped, from when to when, and what befalls it."""

    labels: dict[str, str]
    times: list[int]
    born: int  # index of its first scrape
    gone: int  # index after its last
    missed: frozenset[int]  # no scrape took place
    failed: frozenset[int]  # the scrape failed: staleness markers
    restarts: frozenset[int]
    clean_end: bool  # markers at the end, or silence


def world(number: int) -> World:
    """The series set of this number."""
    dice = Dice(number)
    made = World(number, 1000 * dice.one((5, 10, 15, 15, 15, 30, 60)), dice.whole(40, 110))
    delay = dice.one((0, 0, 0, 20_000, 90_000))
    out_of_order = dice.chance(0.25)
    aligned = dice.chance(0.4)
    for pod in range(dice.whole(1, 4)):
        target = _target(made, dice, pod, aligned)
        for labels, values in _exposed(target, made, dice):
            _scrape(made, target, labels, values, dice, delay, out_of_order)
    _rules(made, dice)
    _alerts(made, dice)
    return made


def _target(made: World, dice: Dice, pod: int, aligned: bool) -> _Target:
    offset = 0 if aligned else dice.whole(1, made.interval - 1)
    jitter = 0 if aligned else dice.one((0, 0, 3, 250))
    times = [BEGIN + offset + made.interval * n + (dice.whole(0, jitter) if jitter else 0) for n in range(made.scrapes)]
    born = 0 if dice.chance(0.5) else dice.whole(0, made.scrapes - 2)
    gone = made.scrapes if dice.chance(0.6) else dice.whole(born + 1, made.scrapes)
    missed, failed = set[int](), set[int]()
    if dice.chance(0.4):
        first = dice.whole(born, gone)
        missed = set(range(first, first + dice.whole(1, 12)))
    if dice.chance(0.3):
        first = dice.whole(born, gone)
        failed = set(range(first, first + dice.whole(1, 4)))
    restarts = {dice.whole(born, gone) for _ in range(dice.one((0, 0, 1, 3)))}
    labels = {"case": str(made.number), "pod": f"web-{pod}", "version": dice.one(VERSIONS)}
    return _Target(
        labels, times, born, gone, frozenset(missed), frozenset(failed), frozenset(restarts), dice.chance(0.7)
    )


Exposition = tuple[dict[str, str], list[float | None]]
"""Labels of a series and its value at each scrape; None where the process does not show it."""


def _exposed(target: _Target, made: World, dice: Dice) -> list[Exposition]:
    """What the process shows: answers by verdict and code, a latency histogram, a gauge."""
    shown = [
        _counter(target, made, dice, {NAME: "ask_total", "verdict": "good", "code": "200"}, dice.one((3, 40, 900)), 0),
        _counter(target, made, dice, {NAME: "ask_total", "verdict": "bad", "code": "503"}, dice.one((0, 1, 30)), 0.7),
    ]
    if dice.chance(0.5):
        shown.append(_counter(target, made, dice, {NAME: "ask_total", "verdict": "bad", "code": "500"}, 5, 0.9))
    if dice.chance(0.6):
        shown += _histogram(target, made, dice)
    if dice.chance(0.4):
        numbers = [None if n < target.born else _gauge(dice) for n in range(made.scrapes)]
        shown.append(({NAME: "queue_length", **target.labels}, numbers))
    return shown


def _gauge(dice: Dice) -> float:
    return dice.one(
        (float(dice.whole(-5, 5)), dice.share() * 1e6, dice.share() / 1e6, float("inf"), float("nan"), -0.0)
    )


def _counter(
    target: _Target, made: World, dice: Dice, labels: dict[str, str], growth: int, late_birth: float
) -> Exposition:
    """A counter; with the chance `late_birth` it appears with its first events only, with their number as first value."""
    waits = dice.chance(late_birth)
    fractional = dice.chance(0.15)
    onset = dice.whole(target.born, made.scrapes) if waits else target.born
    values, total = list[float | None](), 0.0 if dice.chance(0.7) else float(dice.whole(0, 10**7))
    for n in range(made.scrapes):
        if n in target.restarts:
            total = 0.0 if dice.chance(0.8) else float(dice.whole(0, growth))
        if n >= onset:
            total += dice.share() * growth if fractional else dice.whole(0, growth)
        values.append(total if n >= onset and not (waits and total == 0) else None)
    return {**labels, **target.labels}, values


def _histogram(target: _Target, made: World, dice: Dice) -> list[Exposition]:
    one = dice.one(("1", "1.0"))
    bounds = ("0.1", "0.5", one, "+Inf")
    counts, columns = [0.0] * len(bounds), [list[float | None]() for _ in bounds]
    for n in range(made.scrapes):
        if n in target.restarts:
            counts = [0.0] * len(bounds)
        rises = sorted(dice.whole(0, 20) for _ in bounds)
        for place, rise in enumerate(rises):
            counts[place] += rise
            columns[place].append(counts[place])
    parts: list[Exposition] = [
        ({NAME: "latency_bucket", "le": bound, **target.labels}, column)
        for bound, column in zip(bounds, columns, strict=True)
    ]
    return [*parts, ({NAME: "latency_count", **target.labels}, columns[-1])]


def _scrape(
    made: World,
    target: _Target,
    labels: dict[str, str],
    values: list[float | None],
    dice: Dice,
    delay: int,
    out_of_order: bool,
) -> None:
    """The series as ingested: markers where it ends, late where the ingestion lags, now and then out of order."""
    arrivals, alive = list[Arrival](), False
    held = dice.whole(2, 7) * made.interval if out_of_order and dice.chance(0.5) else 0
    for n in range(target.born, min(target.gone + 1, made.scrapes)):
        if n in target.missed:
            continue
        at, value = target.times[n], values[n]
        late = at + delay + (held if held and dice.chance(0.3) else 0)
        ended = n in target.failed or n >= target.gone or value is None
        if not ended:
            assert value is not None
            arrivals.append(Arrival(at, value, late))
        elif alive and (target.clean_end or n < target.gone):
            arrivals.append(Arrival(at, STALE, late))
        alive = not ended
    if arrivals:
        made.series[tuple(sorted(labels.items()))] = arrivals


def _rules(made: World, dice: Dice) -> None:
    """Recording rules that carry a window in their name."""
    if not dice.chance(0.3):
        return
    for name, high in (("svc:errors:increase5m", 40), ("svc:requests:increase5m", 900)):
        times = [BEGIN + made.interval * n for n in range(made.scrapes)]
        labels = tuple(sorted({NAME: name, "case": str(made.number)}.items()))
        made.series[labels] = [Arrival(at, dice.share() * high, at) for at in times]


def _alerts(made: World, dice: Dice) -> None:
    """ALERTS as Prometheus writes it: 1 while the alert is pending or firing, then a marker."""
    for name in ("HighErrors", "Slow")[: dice.whole(0, 2)]:
        first = dice.whole(0, made.scrapes - 2)
        last = dice.whole(first + 1, made.scrapes - 1)
        turn = dice.whole(first, last)
        for state, begin, end in (("pending", first, turn), ("firing", turn, last)):
            labels = {NAME: "ALERTS", "alertname": name, "alertstate": state, "namespace": f"shop-{made.number}"}
            samples = [BEGIN + made.interval * n for n in range(begin, end)]
            if samples:
                arrivals = [Arrival(at, 1.0, at) for at in samples]
                arrivals.append(Arrival(BEGIN + made.interval * end, STALE, BEGIN + made.interval * end))
                made.series[tuple(sorted(labels.items()))] = arrivals
