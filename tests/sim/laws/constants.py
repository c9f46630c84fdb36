"""The constants of the judgement, and what ±30 % on each changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from random import Random

from opsloop.api.strategy import Analysis
from opsloop.core.slo import canary
from opsloop.core.statistics import dispersion, evidence, sequential
from tests.sim.laws.nulls import KINDS, healthy
from tests.sim.laws.power import as_shipped
from tests.sim.laws.rollouts import analysis_of, hold_of, roll_out, slo_of

PATCHED: Mapping[str, tuple[object, str]] = {
    "cut of λ (exponent of 1/α)": (sequential, "CUT"),
    "seconds between starts": (evidence, "RESTART"),
    "memory of live's health (bad events at the floor)": (evidence, "MEMORY"),
    "memory of live's health (seconds)": (evidence, "SECONDS"),
    "bad events that are taken to have come singly": (dispersion, "PRIOR"),
    "bound of one interval on live's health": (evidence, "BOUND"),
    "ignored share of the budget": (canary, "IGNORED"),
    "chance to go on with what pages": (canary, "WRONGLY_ON"),
}
FIELDS = ("margin", "falseRejects", "warmUp")
DEFAULTS: Mapping[str, float] = {"margin": 1.5, "falseRejects": 0.01, "warmUp": 60}
FACTORS = (0.7, 1.0, 1.3)


@dataclass(frozen=True, slots=True)
class Effect:
    """What one value of a constant gives: healthy rollouts rejected, in time, and minutes to the median reject."""

    name: str
    value: float
    rollouts: int
    rejected: int
    in_time: int
    minutes: tuple[float, ...]


def names() -> list[str]:
    """All constants, and the spread of the alternatives."""
    return [*PATCHED, "alternatives (spread of their logarithms)", *FIELDS]


def effect(name: str, factor: float, seed: str, rollouts: int) -> Effect:
    """Runs a small sample with one constant changed."""
    fields, value = dict[str, object](), factor
    if name in FIELDS:
        value = DEFAULTS[name] * factor if name != "margin" else max(1.0, 1.5 * factor)
        fields[name] = f"{value:.0f}s" if name == "warmUp" else value
    with _patched(name, factor) as patched:
        return _measured(name, value if patched is None else patched, analysis_of(**fields), seed, rollouts)


@contextmanager
def _patched(name: str, factor: float) -> Iterator[float | None]:
    """Changes a module's constant meanwhile; gives its new value, None where it is a field of the spec."""
    if name in PATCHED:
        module, constant = PATCHED[name]
        before = getattr(module, constant)
        setattr(module, constant, before * factor)
        try:
            yield before * factor
        finally:
            setattr(module, constant, before)
    elif name in FIELDS:
        yield None
    else:
        before = sequential._RATIOS_AND_LOGS
        sequential._RATIOS_AND_LOGS = tuple((r**factor, factor * log(r)) for r, _ in before)
        sequential._by_odds.cache_clear()
        try:
            yield factor
        finally:
            sequential._RATIOS_AND_LOGS = before
            sequential._by_odds.cache_clear()


def _measured(name: str, value: float, analysis: Analysis, seed: str, rollouts: int) -> Effect:
    random, slo, rejected, in_time = Random(f"{seed} {name} {value}"), slo_of(0.99), 0, 0
    for number in range(rollouts):
        weather = healthy(KINDS[number % len(KINDS)], (5.0, 100.0)[number % 2], 0.99, random)
        end = roll_out(weather, slo, analysis, random)
        rejected += end.state == "rejected"
        in_time += end.state == "promoted" and end.seconds <= 1.1 * hold_of(weather).total_seconds()
    cases = ((3, 5.0), (3, 100.0), (10, 5.0), (40, 5.0))
    runs = [as_shipped(m, rps, rollouts // 10, analysis, random) for m, rps in cases]
    minutes = tuple(run.quantile(0.5) / rps / 60 for run, (_, rps) in zip(runs, cases, strict=True))
    return Effect(name, value, rollouts, rejected, in_time, minutes)
