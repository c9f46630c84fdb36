"""The first wish is granted at once, those soon after it together: what comes in a storm is filed in a few strokes."""

import asyncio
import math
from collections.abc import Callable

from opsloop.shell.watch.workqueue import Key

FILING = 2.0
"""Seconds between two filings of one namespace's inbox. Each costs six requests (list, ledger, status, postmortem, ...),
and a storm brings a batch every second; detection does not wait for it: the SLIs are read at once, and burns open."""


class Pace:
    """`ask` for a key: enqueued at once, or `pause` seconds after it was last due."""

    def __init__(self, enqueue_after: Callable[[Key, float], None], pause: float = FILING) -> None:
        self._enqueue_after, self._pause = enqueue_after, pause
        self._due: dict[Key, float] = {}  # loop time at which it was enqueued last, or will be

    def ask(self, key: Key) -> None:
        """Look at this name soon. Asked for again where it is due already: the queue may have dropped its timer."""
        now = asyncio.get_running_loop().time()
        due = self._due.get(key, -math.inf)
        if due <= now:
            due = self._due[key] = max(now, due + self._pause)
        self._enqueue_after(key, due - now)
