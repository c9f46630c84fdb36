"""Many weathers: their samples, in several processes, and the table as text."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from statistics import mean

from opsloop.simulator import kinds
from opsloop.simulator.episode import TICK, Episode, live_through
from opsloop.simulator.figures import GOALS, Row, Sample, measure, table
from opsloop.simulator.judges import JUDGES, Perfect
from opsloop.simulator.weather import Weather


@dataclass(frozen=True, slots=True)
class Lived:
    """What one seed gave."""

    seed: int
    kind: str
    samples: list[Sample]
    failures: list[str]
    seconds: float  # of CPU time


@dataclass(frozen=True, slots=True)
class Task:
    """One seed to be lived through; `toy` names one of `JUDGES`, "" is opsloop."""

    seed: int
    kind: str = ""
    toy: str = ""
    tick: timedelta = TICK


def live(task: Task) -> Lived:
    """Lives through a seed. A failure of the simulation itself is raised; one of opsloop is listed."""
    began = time.process_time()
    weather = kinds.weather(task.seed, task.kind)
    episode = live_through(weather, JUDGES[task.toy] if task.toy else None, task.tick)
    perfect = live_through(weather, Perfect()) if weather.compared else None
    if episode.unsupported:
        raise AssertionError(f"seed {task.seed}: the model of Prometheus does not support {episode.unsupported[0]}")
    samples = measure(episode, perfect)
    return Lived(task.seed, weather.kind, samples, episode.failures, time.process_time() - began)


def campaign(tasks: Sequence[Task], processes: int) -> Iterator[Lived]:
    """Lives through all tasks, in their order."""
    if processes <= 1:
        yield from map(live, tasks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield from pool.map(live, tasks)


def costs(lived: Sequence[Lived], slowest: int = 5) -> list[str]:
    """Lines that say where the CPU time went: by kind, the dearest first, and the slowest seeds."""
    kinds_of = {one.kind for one in lived}
    by_kind = {kind: [one.seconds for one in lived if one.kind == kind] for kind in kinds_of}
    dearest = sorted(by_kind.items(), key=lambda item: (-mean(item[1]), item[0]))
    each = ", ".join(f"{kind} {len(spent)} × {mean(spent):.1f}" for kind, spent in dearest)
    seeds = sorted(lived, key=lambda one: -one.seconds)[:slowest]
    return [
        f"episodes × seconds of CPU time: {each}",
        f"slowest: {', '.join(f'seed {one.seed} ({one.kind}) {one.seconds:.1f} s' for one in seeds)}",
    ]


def rows(lived: Iterable[Lived]) -> list[Row]:
    """The table of a campaign."""
    return table([(one.seed, sample) for one in lived for sample in one.samples])


def number(row: Row, value: float | None) -> str:
    """A figure as its row says it."""
    if value is None or not row.trials:
        return "-"
    if row.goal.unit == "share":
        return f"{value:.1%}"
    return f"{value:.0f}" if row.goal.unit == "count" else f"{value:.3g}"


def text(table_rows: Sequence[Row], markdown: bool = False) -> list[str]:
    """Lines of the table."""
    head = ("figure", "goal", "measured", "95 % bound", "failed of", "")
    body = [
        (
            row.goal.text,
            _goal(row),
            number(row, row.value),
            number(row, row.bound),
            f"{row.failures:g} of {row.trials:.4g}",
            "met" if row.met else ("no trial" if not row.trials else "NOT MET"),
        )
        for row in table_rows
    ]
    if markdown:
        return [f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *body)]
    widths = [max(len(line[n]) for line in (head, *body)) for n in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *body)
    ]


def _goal(row: Row) -> str:
    goal = row.goal
    sign = "≥" if goal.better == "least" else "≤"
    limit = f"{goal.limit:.1%}" if goal.unit == "share" else f"{goal.limit:g}"
    return f"{sign} {limit}" + (" a service-day" if goal.unit == "per service-day" else "")


def failing(table_rows: Sequence[Row], most: int = 8) -> list[str]:
    """For each row that is not met: the seeds that failed it, and why."""
    lines = []
    for row in table_rows:
        if row.met or not row.failing:
            continue
        lines.append(f"{row.goal.figure}: {len(row.failing)} seeds")
        lines += [f"  --seed {seed}  {why}" for seed, why in row.failing[:most]]
        if len(row.failing) > most:
            lines.append("  and " + " ".join(str(seed) for seed, _ in row.failing[most:]))
    return lines


def heading(weather: Weather) -> str:
    """One line that says what the seed made."""
    main = weather.main
    normal = main.versions["v1"].errors / main.budget
    return (
        f"seed {weather.seed}, {weather.kind}: {main.name} at {main.wave.mean:.3g} requests/s on {main.replicas} pods, "
        f"objective {main.objective:g}, {normal:.0%} of the budget in normal errors, SLI by {weather.form}"
    )


def line(at: float, told: str) -> str:
    """A line of a story with its time."""
    minutes, rest = divmod(int(at), 60)
    return f"[{minutes // 60}:{minutes % 60:02d}:{rest:02d}] {told}"


def story(episode: Episode) -> list[str]:
    """An episode as text: when, and what."""
    left = [f"not at rest: {text}" for text in episode.record.unrest]
    return [heading(episode.weather), *(line(at, told) for at, told in episode.story), *left]


__all__ = ["GOALS", "Lived", "Task", "campaign", "costs", "failing", "live", "rows", "story", "text"]
