"""The table of a measured load, and its goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Run = Mapping[str, Any]
MOST_MEMORY = 192.0  # MiB: the limit of the chart


@dataclass(frozen=True, slots=True)
class Goal:
    """A number of each run, and what it may be at most."""

    text: str
    of: str
    most: float


GOALS = (
    Goal("alerts lost", "lost", 0),
    Goal("alerts counted twice", "twice", 0),
    Goal("p99 of a request, s", "requestP99", 0.3),
    Goal("an alert on another service filed, slowest, s", "delayMax", 2.0),
    Goal("event loop blocked, longest, ms", "blockedMax", 50),
    Goal("writes to the API server beyond what is bounded, many services", "writesBeyond", 0),
    Goal("resident memory of the pod at most, MiB", "podMemory", MOST_MEMORY),
)
ROWS = (
    ("requests, p50, s", "requestP50"),
    ("requests, p99, s", "requestP99"),
    ("slowest request in 10 s after the kill, s", "requestAfterKill"),
    ("requests that were repeated (503, connection)", "repeated"),
    ("an alert on another service filed, p50, s", "delayP50"),
    ("an alert on another service filed, p99, s", "delayP99"),
    ("an alert on another service filed, slowest, s", "delayMax"),
    ("one that came in 10 s after the kill, slowest, s", "delayAfterKill"),
    ("an inbox entry filed, p50, s", "entryFiledP50"),
    ("an inbox entry filed, slowest, s", "entryFiledMax"),
    ("a look at the namespace, slowest: observe, s", "stageNamespaceObserve"),
    ("decide, s", "stageNamespaceDecide"),
    ("apply, s", "stageNamespaceApply"),
    ("inbox empty after the last request, s", "drained"),
    ("event loop late, p99, ms", "lateP99"),
    ("event loop late, longest, ms", "lateMax"),
    ("event loop late by more than 50 ms, looks", "lateOver50"),
    ("of so many looks", "lateLooks"),
    ("event loop blocked by its own work > 50 ms, looks", "blockedOver50"),
    ("beside it a process that does nothing: late > 50 ms", "controlOver50"),
    ("that process late, longest, ms", "controlMax"),
    ("that process late by its own work, longest, ms", "controlOwn"),
    ("event loop blocked by its own work, longest, ms", "blockedMax"),
    ("resident memory before, MiB", "memoryFirst"),
    ("resident memory at most, MiB", "memoryMax"),
    ("CPU seconds of the operator, many services", "cpuMany"),
    ("CPU seconds of the operator, one Incident", "cpuOne"),
    ("writes to the API server, many services", "writesMany"),
    ("of so many that it may (storm.most_writes)", "writesMost"),
    ("writes to the API server, one Incident", "writesOne"),
    ("MiB written to the API server", "written"),
    ("largest write, KiB", "largest"),
    ("alerts lost", "lost"),
    ("alerts counted twice", "twice"),
)


def render(runs: Sequence[Run], head: str) -> str:
    """One column, or min / median / max where there are several runs."""
    lines = [head, ""]
    for text, key in ROWS:
        values = [run[key] for run in runs if run.get(key) is not None]
        if values:
            lines.append(f"  {text:<52} {_told(values)}")
    lines += ["", "Goals (on the worst run)"]
    for goal in GOALS:
        values = [run[goal.of] for run in runs if run.get(goal.of) is not None]
        if values:
            lines.append(
                f"  {'✓' if max(values) <= goal.most else '✗'} {goal.text}: {_number(max(values))} (at most {_number(goal.most)})"
            )
    return "\n".join(lines)


def _told(values: Sequence[float]) -> str:
    ordered = sorted(values)
    if len(ordered) == 1:
        return _number(ordered[0])
    return " / ".join(map(_number, (ordered[0], ordered[len(ordered) // 2], ordered[-1])))


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
