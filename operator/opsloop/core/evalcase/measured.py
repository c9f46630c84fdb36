"""What the pod under load may not exceed: a number that Prometheus shows of it, and whether its containers ran on.

A leak shows in no reply before the pod is killed. A number counts only if it rests on samples from after the load: the expression
is asked over the time since the load's end, which gives one as soon as a scrape has followed, and then over all of it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from opsloop.api.evalcase import Load, Measured
from opsloop.api.meta import format_duration

PATIENCE = timedelta(seconds=75)  # from the load's end to a sample: a scrape each minute, and some time to store it

Fate = Literal["", "Passed", "Failed", "NoAnswer"]


@dataclass(frozen=True, slots=True)
class Seen:
    """How the loaded pod fared, by one measure or by all of them; "" where nothing was measured."""

    fate: Fate = ""
    message: str = ""


def expression(measured: Measured, pod: str, window: timedelta) -> str:
    """The PromQL that is sent; `window` is rounded up to whole seconds."""
    whole = format_duration(timedelta(seconds=max(1, math.ceil(window.total_seconds()))))
    filled = re.sub(r"\{\{\s*pod\s*\}\}", lambda _: pod, measured.query)
    return re.sub(r"\{\{\s*window\s*\}\}", lambda _: whole, filled)


def judged(measured: Measured, values: Sequence[float]) -> Seen:
    """What the values of an answer say, one for each series."""
    if len(values) != 1:
        return Seen(
            "NoAnswer",
            f"{measured.name}: the query gives {len(values)} series and not one; put max() or sum() around it",
        )
    (value,) = values
    if not math.isfinite(value):
        return Seen("NoAnswer", f"{measured.name}: Prometheus answers {value}")
    told = f"{measured.name} {_number(value, measured.max)} of at most {measured.max}"
    return Seen("Passed", told) if value <= measured.most else Seen("Failed", f"under load {told}")


def untold(measured: Measured, pod: str, why: str = "") -> Seen:
    """Nothing could be measured; `why` is Prometheus' answer, if that was an error."""
    waited = f"no sample of pod {pod} within {PATIENCE.total_seconds():.0f} s of the load's end"
    return Seen("NoAnswer", f"{measured.name}: {why or waited}")


def ended(before: Mapping[str, Any], after: Mapping[str, Any]) -> Seen:
    """Failed where a container of the pod, given as it was before and after the load, ended under it."""
    counts = {name: count for name, count, _ in _containers(before)}
    for name, count, reason in _containers(after):
        if name in counts and count > counts[name]:
            return Seen("Failed", f"container {name} ended under load{f' ({reason})' if reason else ''}")
    return Seen()


def together(seen: Iterable[Seen]) -> Seen:
    """One failure is a failure, whatever else is not known."""
    told = [one for one in seen if one.fate]
    for fate in ("Failed", "NoAnswer", "Passed"):
        if of_it := [one for one in told if one.fate == fate]:
            return Seen(fate, "; ".join(one.message for one in of_it))
    return Seen()


def longest(load: Load) -> timedelta:
    """The time that a load and what is measured of it can take."""
    return load.duration + (PATIENCE if load.measured else timedelta(0))


def _containers(pod: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """(name, how often it ended, why it did last) of each container."""
    found = []
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        now = (status.get("state") or {}).get("terminated")
        last = now or (status.get("lastState") or {}).get("terminated") or {}
        found.append(
            (str(status.get("name")), int(status.get("restartCount", 0)) + bool(now), str(last.get("reason", "")))
        )
    return found


def _number(value: float, like: str) -> str:
    """The number in the unit of the threshold, if that is one of bytes."""
    for power, unit in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if like.endswith(unit):
            return f"{value / 2**power:.4g}{unit}"
    return f"{value:.4g}"
