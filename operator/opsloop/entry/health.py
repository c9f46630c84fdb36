"""Liveness and readiness of this process, and how late its event loop is."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

MOST_SILENCE = 900.0  # seconds without a watch event and a resync after which the process is not alive
MOST_LAG = 5.0  # seconds by which the event loop may be late
BEAT = 0.1
HELD = 1.0  # seconds for which the worst lag is told: probes and scrapes come seldom


class Lags(Protocol):
    """Publishes what was measured: `entry.telemetry.Metrics`."""

    def loop_lag(self, seconds: float, worst: float, starved: float = 0.0) -> None:
        """How late the loop is, and was at most of late; `starved`: for which of these seconds it had no CPU."""
        ...


def starved() -> float:
    """Seconds for which this thread has waited for a CPU that others had; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Health:
    """Liveness and readiness. Run `beat` as a task; call `touch` after each watch event and each resync."""

    def __init__(
        self,
        elector_alive: Callable[[], bool],
        ready: Callable[[], bool],
        metrics: Lags,
        clock: Callable[[], float] = time.monotonic,
        starved: Callable[[], float] = starved,
    ) -> None:
        """`starved`: seconds for which this thread has waited for a CPU so far."""
        self._elector_alive, self._ready, self._metrics, self._clock = elector_alive, ready, metrics, clock
        self._starved = starved
        self._touched = self._beaten = clock()
        self._late = self._late_until = 0.0
        self._leaving = False

    def leave(self) -> None:
        """Notes that this process is about to end: it is not ready for anything new."""
        self._leaving = True

    def touch(self) -> None:
        """Notes a sign of life of the API server."""
        self._touched = self._clock()

    async def beat(self) -> None:
        """Measures the lag of the event loop until cancelled."""
        while True:
            self._beaten, before = self._clock(), self._starved()
            await asyncio.sleep(BEAT)
            now = self._clock()
            late = max(0.0, now - self._beaten - BEAT)
            if late >= self._late or now > self._late_until:
                self._late, self._late_until = late, now + HELD
            self._metrics.loop_lag(late, self._late, self._starved() - before)

    def problems(self) -> list[str]:
        """Reasons for not being alive; empty = alive."""
        silent, late = self._clock() - self._touched, max(self._late, self._clock() - self._beaten - BEAT)
        return [
            *([f"no watch event and no resync for {silent:.0f} s"] if silent > MOST_SILENCE else []),
            *([f"the event loop is {late:.1f} s late"] if late > MOST_LAG else []),
            *([] if self._elector_alive() else ["the Lease elector has stopped"]),
        ]

    def waits_for(self) -> list[str]:
        """Reasons for not being ready; empty = ready, as a standby is too."""
        ending = ["this process is about to end"] if self._leaving else []
        return ending + ([] if self._ready() else ["the first LIST is not done"])
