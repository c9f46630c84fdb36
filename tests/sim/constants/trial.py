"""One weather lived through with one constant changed."""

from collections.abc import Mapping
from typing import NamedTuple

from opsloop.simulator import kinds
from opsloop.simulator.episode import Episode, live_through
from opsloop.simulator.figures import measure
from tests.sim.constants import registry

PANEL = (
    "bad-release", "good-release", "bad-push", "outage", "dependency", "quiet", "good-release", "bad-release",
    "slow-push", "pods-dead", "bad-push", "slight-push", "bad-release", "good-release", "two-changes", "outage",
)  # fmt: skip
"""Kinds in which the judgement decides something, as often as they are worth."""


class Trial(NamedTuple):
    """A constant's name ("" for none), the factor on it, and a weather."""

    name: str
    factor: float
    kind: str
    seed: int


class Outcome(NamedTuple):
    """Failures by figure, the decisions with their times, and errors of the operator."""

    failures: dict[str, float]
    decisions: list[str]
    errors: int


def panel(first: int, count: int) -> list[tuple[str, int]]:
    """(kind, seed) of so many weathers."""
    return [(PANEL[number % len(PANEL)], 1 + number) for number in range(first, first + count)]


def run(trial: Trial) -> tuple[Trial, Outcome]:
    """Lives through it. The oracle and the figures do not see the change."""
    weather = kinds.weather(trial.seed, trial.kind)
    if trial.name:
        with registry.patched(trial.name, trial.factor):
            episode = live_through(weather)
    else:
        episode = live_through(weather)
    failures: dict[str, float] = {}
    for sample in measure(episode):
        failures[sample.figure] = failures.get(sample.figure, 0.0) + float(sample.failures)
    return trial, Outcome(failures, decisions(episode), len(episode.failures))


def decisions(episode: Episode) -> list[str]:
    """What was done, and when: ends of targets, rollbacks, blocks and pages."""
    record = episode.record
    found = [f"{t.ended:.0f} {t.version} {t.state} {t.reason}" for t in record.targets if t.ended is not None]
    found += [f"{r.at:.0f} rollback {r.service} {r.version}" for r in record.rollbacks]
    found += [f"{b.at:.0f} block {b.service} {b.version} {b.reason}" for b in record.blocks]
    return [*found, *(f"{p.at:.0f} page {p.incident} {p.what}" for p in record.pages)]


def summary(outcomes: Mapping[Trial, Outcome], name: str, factor: float) -> tuple[str, str]:
    """("3 of 16", "fix-stuck 0 → 1") of one value of a constant, against the unchanged ones of the same weathers."""
    pairs = [
        (outcomes[Trial("", 1.0, trial.kind, trial.seed)], outcome)
        for trial, outcome in outcomes.items()
        if (trial.name, trial.factor) == (name, factor) and Trial("", 1.0, trial.kind, trial.seed) in outcomes
    ]
    moved = sum(before.decisions != after.decisions for before, after in pairs)
    figures = {figure for before, after in pairs for figure in (*before.failures, *after.failures)}
    totals = {f: [sum(one.failures.get(f, 0.0) for one in side) for side in zip(*pairs, strict=True)] for f in figures}
    changed = [f"{f} {before:g} → {after:g}" for f, (before, after) in sorted(totals.items()) if before != after]
    errors = [sum(one.errors for one in side) for side in zip(*pairs, strict=True)]
    if errors and errors[0] != errors[1]:
        changed.append(f"errors {errors[0]} → {errors[1]}")
    return f"{moved} of {len(pairs)}", ", ".join(changed)
