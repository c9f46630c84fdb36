"""Settings of the interpreter under which computing threads and the collection of garbage let the event loop go on.

A full collection looks through every object that may be part of a cycle, and nothing else runs meanwhile: with the objects of a
storm that takes 50 to 100 ms. So what survived one is frozen: the next one looks through what came since, which takes a few. What
becomes garbage among the frozen (in cycles only; all else is freed as always) is found by a collection of everything, which is
made at a moment when nobody waits.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from typing import Any

SWITCH = 0.001
"""Seconds for which a computing thread keeps the event loop waiting each time that it wakes (5 ms by default): an answer to a
request takes a dozen such times."""
EVERY = 600.0  # seconds between two collections of everything; as seldom as the resync
PATIENCE = 3600.0  # seconds for which one waits for a moment at which nobody does
LOOK = 1.0  # seconds between two looks for such a moment


def keep_responsive() -> None:
    """Once, when everything is imported: that lives as long as the process, so it is frozen too."""
    sys.setswitchinterval(SWITCH)
    collect_everything()
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)


def collect_everything() -> None:
    """Collects the frozen as well, and freezes what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def collect_at_rest(idle: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
    """Collects everything now and then, until cancelled; `idle` says that nobody waits."""
    while True:
        await asyncio.sleep(EVERY)
        latest = clock() + PATIENCE
        while not idle() and clock() < latest:  # noqa: ASYNC110 - nothing tells of that moment
            await asyncio.sleep(LOOK)
        collect_everything()


def _freeze(phase: str, info: dict[str, Any]) -> None:
    """For `gc.callbacks`: after each full collection."""
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
