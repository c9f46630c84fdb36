"""Asks which selectors of an SLI match something, and of one that does not, what keeps it from it."""

from datetime import datetime

from opsloop.core.slo import parts
from opsloop.shell.ports import Telemetry


async def guilty(telemetry: Telemetry, selector: str, at: datetime) -> str:
    """What to mend in a selector that matches nothing as of `at`. Raises OpsloopError."""
    alone = parts.metric_alone(selector)
    metric = await number(telemetry, alone, at) if alone else 0.0
    found: dict[str, tuple[float, list[str]]] = {}
    for matcher, (count, values) in parts.without(selector).items() if metric else ():
        series = await number(telemetry, count, at)
        label = matcher.partition("=")[0].rstrip("!")
        shown = await telemetry.instant(values, at) if series else []
        found[matcher] = series, sorted({one.labels.get(label, "") for one in shown})
    return parts.sentence(selector, metric, found)


async def number(telemetry: Telemetry, query: str, at: datetime) -> float:
    """The one number of an answer; 0 where there is none. Raises OpsloopError."""
    samples = await telemetry.instant(query, at)
    return samples[0].value if samples else 0.0
