"""Measures the pod under load: what Prometheus shows of it, and whether its containers ran on."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from opsloop.api.evalcase import Load, Measured
from opsloop.core.evalcase.measured import PATIENCE, Seen, ended, expression, judged, together, untold
from opsloop.errors import Forbidden, OpsloopError
from opsloop.shell.ports import PODS, Clock, Object, Reader, Source

PAUSE = 3.0  # seconds between two looks for a sample
IN_TIME = 10.0  # seconds for one answer of Prometheus

SourceOf = Callable[[str, str], Source | None]
"""(namespace, Release) → the source that its SLO names; None where there is none of that name."""


class Meter:
    """Watches one pod at a time, around a load."""

    def __init__(self, reader: Reader, clock: Clock, source_of: SourceOf) -> None:
        self._reader, self._clock, self._source_of = reader, clock, source_of

    async def before(self, namespace: str, pod: str) -> tuple[datetime, Object | Seen]:
        """The time and the pod; an empty one where it cannot be read, and what that says where opsloop may not read it."""
        return self._clock.now(), await self._pod(namespace, pod)

    async def after(
        self, namespace: str, release: str, pod: str, load: Load, before: tuple[datetime, Object | Seen]
    ) -> Seen:
        """How the pod fared since `before`. Waits for samples from after this moment, where the load has something measured."""
        (began, then), over = before, self._clock.now()
        now = await self._pod(namespace, pod) if then else {}
        refused = next((one for one in (then, now) if isinstance(one, Seen)), None)
        died = refused or (
            ended(then, now) if then and not isinstance(then, Seen) and not isinstance(now, Seen) else Seen()
        )
        if died.fate == "Failed" or not load.measured:
            return died
        source = self._source_of(namespace, release)
        if source is None:
            unnamed = "the Release's spec.slo.source names no source of the operator"
            return together((died, *(untold(one, pod, unnamed) for one in load.measured)))
        asked = await asyncio.gather(*(self._measure(source, one, pod, began, over) for one in load.measured))
        return together((died, *asked))

    async def _measure(self, source: Source, measured: Measured, pod: str, began: datetime, over: datetime) -> Seen:
        late, why = source.delay or timedelta(0), ""
        while True:
            at = self._clock.now() - late
            if at - over >= timedelta(seconds=1):
                values, why = await _values(source, expression(measured, pod, at - over), at)
                if values:
                    values, why = await _values(source, expression(measured, pod, at - began), at)
                    if not why:
                        return judged(measured, values)
            if at - over >= PATIENCE:
                return untold(measured, pod, why)
            await asyncio.sleep(PAUSE)

    async def _pod(self, namespace: str, name: str) -> Object | Seen:
        try:
            return await self._reader.get(PODS, namespace, name)
        except Forbidden as error:  # at every load: somebody has to know that a container's end would not be seen
            return Seen("NoAnswer", f"whether pod {name} ran on is not known, opsloop may not get pods: {error}")
        except OpsloopError:
            return {}  # whether it ran on is not known; its replies tell whether it answers


async def _values(source: Source, query: str, at: datetime) -> tuple[list[float], str]:
    """(the value of each series, "") or ([], why there is no answer)."""
    try:
        async with asyncio.timeout(IN_TIME):
            return [sample.value for sample in await source.telemetry.instant(query, at)], ""
    except TimeoutError:
        return [], f"no answer of Prometheus within {IN_TIME:.0f} s"
    except OpsloopError as error:
        return [], str(error)


def measured_by(sources: Mapping[str, Source], name_of: Callable[[str, str], str]) -> SourceOf:
    """The source of each Release; `name_of` gives its name."""
    return lambda namespace, release: sources.get(name_of(namespace, release))
