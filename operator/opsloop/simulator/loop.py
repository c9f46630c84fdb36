"""An asyncio event loop whose time leaps to the next timer: hours pass in the seconds that their work takes."""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

from opsloop.simulator.fakes.clock import START, FakeClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Leap(selectors.DefaultSelector):
    """Waits for no file: instead of sleeping it moves the loop's time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything in the simulation waits, and no timer will end that")
        self.now += max(0.0, timeout)
        return []


class LeapLoop(asyncio.SelectorEventLoop):
    """Starts at 0 seconds. Timers are put off to the next multiple of `grain` seconds, so that many share one leap."""

    def __init__(self, grain: float = 0.0) -> None:
        self._leap, self._grain = _Leap(), grain
        super().__init__(self._leap)

    def time(self) -> float:
        """Fake seconds."""
        return self._leap.now

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As the base class, at the next multiple of the grain."""
        if self._grain:
            when = math.ceil(round(when / self._grain, 6)) * self._grain
        return super().call_at(when, callback, *args, context=context)


class LeapClock(FakeClock):
    """Clock port: `start` plus the loop's time, plus what `advance` added."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = START) -> None:
        super().__init__(start)
        self._loop = loop

    def now(self) -> datetime:
        """The time of the simulation."""
        return self.time + timedelta(seconds=self._loop.time())


def run(play: Coroutine[Any, Any, T], loop: LeapLoop) -> T:
    """Runs the coroutine to its end in fake time; every other task is cancelled then."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(play)
