"""Computations that would keep the event loop from everything else for longer than it may be kept: in a thread, one at a time.

Whatever is computed so is a pure function of immutable facts. A thread of Python does not make it faster, but the interpreter
changes threads every few milliseconds, so that requests and deadlines go on. One at a time: each more would take its share of that.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
QUICK = 200  # alerts that are worked on at once: a few milliseconds


class Apart:
    """One lane. Without `threads` (fake time knows none) everything is computed at once."""

    def __init__(self, threads: bool = False) -> None:
        self._threads, self._lane = threads, asyncio.Lock()

    async def __call__(self, size: int, work: Callable[[], T]) -> T:
        """What `work` returns; `size` in alerts says how long it will take."""
        if not self._threads or size <= QUICK:
            return work()
        async with self._lane:
            return await asyncio.to_thread(work)
