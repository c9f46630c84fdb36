"""The Prometheus-compatible APIs that Releases may name: how each answers is counted, and told at the start."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar

from opsloop.errors import Forbidden, Invalid, OpsloopError, Partial, TimedOut
from opsloop.shell.ports import Instruments, Sample, Series, Source, Telemetry

T = TypeVar("T")
PATIENCE = timedelta(seconds=10)

log = logging.getLogger("opsloop.sources")


class CountedTelemetry:
    """Telemetry of one source that tells the instruments of each answer."""

    def __init__(self, telemetry: Telemetry, name: str, instruments: Instruments) -> None:
        self._telemetry, self._name, self._instruments = telemetry, name, instruments

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """As the port."""
        return await self._counted(self._telemetry.instant(query, at))

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port."""
        return await self._counted(self._telemetry.range(query, start, end, step))

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """As the port."""
        return await self._counted(self._telemetry.samples(query, at))

    async def _counted(self, asking: Awaitable[T]) -> T:
        began, result = monotonic(), "timeout"  # of the caller, who cancels
        try:
            answer = await asking
            result = "ok"
            return answer
        except OpsloopError as error:
            result = _result(error)
            raise
        finally:
            self._instruments.asked(self._name, result, monotonic() - began)


def _result(error: OpsloopError) -> str:
    if isinstance(error, TimedOut):
        return "timeout"
    if isinstance(error, Partial):
        return "partial"
    if isinstance(error, Invalid):
        return "invalid"
    return "refused" if isinstance(error, Forbidden) else "unavailable"


async def say_who_answers(sources: Mapping[str, Source]) -> None:
    """Asks each source for a constant and logs by name what it answered: a wrong address or credential is seen at the start."""
    await asyncio.gather(*(_say(name, source.telemetry) for name, source in sources.items()))


async def _say(name: str, telemetry: Telemetry) -> None:
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await telemetry.instant("vector(1)")
    except (OpsloopError, TimeoutError) as error:
        said = str(error) or f"no answer within {PATIENCE.total_seconds():.0f} s"
        log.warning("source %s: SLIs that are read from it are unknown until it answers: %s", name, said)
    else:
        log.info("source %s answers", name)
