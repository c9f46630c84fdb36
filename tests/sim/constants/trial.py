"""One constant changed: a part of a law, or a weather that the whole operator lives through."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from opsloop.simulator import kinds
from opsloop.simulator.episode import Episode, live_through
from opsloop.simulator.figures import GOALS, Row, Sample, measure, table
from tests.sim.constants import laws, registry
from tests.sim.constants.names import EXERCISED, PANEL, law_of

NOT_SMALL = 0.05
"""Change of a share that is none of the small ones, where the goal is not met in the first place."""


class Trial(NamedTuple):
    """A constant's name ("" for none), the factor on it, and where: a law and its part, or a kind of weather and its seed."""

    name: str
    factor: float
    where: str
    seed: int


class Outcome(NamedTuple):
    """(figure, trials, failures) in all, the decisions with their times, and errors of the operator."""

    samples: list[tuple[str, float, float]]
    decisions: list[str]
    errors: int


def trials_of(name: str, first: int, seeds: int, parts: int) -> list[tuple[str, int]]:
    """Where a constant is tried: parts of the law that covers it, else so many weathers of the kinds that exercise it."""
    law = law_of(name)
    if law:
        return [(law, part) for part in range(first, first + parts)]
    wanted = EXERCISED.get(".".join(name.split(".")[:2]), PANEL)
    return [(wanted[number % len(wanted)], 1 + number) for number in range(first, first + seeds)]


def run(trial: Trial) -> tuple[Trial, Outcome]:
    """Tries it. Samples, the oracle and the figures do not see the change."""
    if trial.where in laws.LAWS:
        laws.prepare(trial.where, trial.seed)
    with registry.patched(trial.name, trial.factor):
        if trial.where in laws.LAWS:
            samples, decided = laws.LAWS[trial.where](trial.seed)
            return trial, Outcome(_summed(samples), decided, 0)
        episode = live_through(kinds.weather(trial.seed, trial.where))
    return trial, Outcome(_summed(measure(episode)), decisions(episode), len(episode.failures))


def _summed(samples: Iterable[Sample]) -> list[tuple[str, float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for sample in samples:
        trials, failures = found.get(sample.figure, (0.0, 0.0))
        found[sample.figure] = trials + sample.trials, failures + float(sample.failures)
    return [(figure, *numbers) for figure, numbers in sorted(found.items())]


def decisions(episode: Episode) -> list[str]:
    """What was done, and when: ends of targets, rollbacks, blocks and pages."""
    record = episode.record
    found = [f"{t.ended:.0f} {t.version} {t.state} {t.reason}" for t in record.targets if t.ended is not None]
    found += [f"{r.at:.0f} rollback {r.service} {r.version}" for r in record.rollbacks]
    found += [f"{b.at:.0f} block {b.service} {b.version} {b.reason}" for b in record.blocks]
    return [*found, *(f"{p.at:.0f} page {p.incident} {p.what}" for p in record.pages)]


class Effect(NamedTuple):
    """What one value of a constant changed against the unchanged one on the same samples. Empty `moved`: nothing was tried.

    `figures`: those whose failures changed; `missed`: why it is not flat.
    """

    moved: str
    changed: bool
    figures: list[str]
    missed: list[str]


def effect(outcomes: Mapping[Trial, Outcome], name: str, factor: float) -> Effect:
    """Of one value, over all that was tried with it and without it."""
    pairs = [
        (before, after)
        for trial, after in outcomes.items()
        if (trial.name, trial.factor) == (name, factor)
        and (before := outcomes.get(Trial("", 1.0, trial.where, trial.seed))) is not None
    ]
    if not pairs:
        return Effect("", False, [], [])
    law = law_of(name)
    if law:
        of = [one for before, after in pairs for one in zip_longest(before.decisions, after.decisions)]
    else:
        of = [(before.decisions, after.decisions) for before, after in pairs]
    moved = sum(before != after for before, after in of)
    rows = [_rows([pair[side] for pair in pairs]) for side in (0, 1)]
    figures = [
        f"{before.goal.figure} {before.failures:g} → {after.failures:g} of {after.trials:.4g}"
        for before, after in zip(*rows, strict=True)
        if before.failures != after.failures
    ]
    missed = [why for before, after in zip(*rows, strict=True) if (why := _missed(before, after))]
    errors = [sum(pair[side].errors for pair in pairs) for side in (0, 1)]
    if errors[1] > errors[0]:
        missed.append(f"errors of the operator {errors[0]} → {errors[1]}")
    what = {"": "episodes", "tiers": "days and harms", "said": "rows"}.get(law, "samples")
    return Effect(f"{moved} of {len(of)} {what}", bool(moved), figures, missed)


def _rows(outcomes: Sequence[Outcome]) -> list[Row]:
    return table(
        [(0, Sample(*sample)) for one in outcomes for sample in one.samples if sample[0] != "bad-requests"],
        (*GOALS, *laws.GOALS),
    )


def _missed(before: Row, after: Row) -> str:
    """Why a row is not flat; empty where it is."""
    if not after.trials or not before.trials:
        return ""
    values = f"{before.value:.3g} → {after.value:.3g}"
    if before.met and not after.met:
        return f"{after.goal.figure} over its limit ({values})"
    worse = before.value - after.value if after.goal.better == "least" else after.value - before.value
    if after.goal.unit == "share" and worse > NOT_SMALL:
        return f"{after.goal.figure} worse by {worse:.1%} ({values})"
    return ""
