"""Leading-edge throttle: the first request for a key runs at once; requests within `pause` after it are coalesced."""

import asyncio
import math
from collections.abc import Callable

from opsloop.shell.ports import ObjectKey

INTAKE_PAUSE = 1.0
"""Seconds between two passes over one namespace's inbox. A pass costs six requests to the API server (list, ledger,
status, postmortem, ...), and a storm of alerts brings a batch every second. Detection does not wait for it: the SLIs are
read at once, and a burn opens its Incident without the inbox."""

RESOLUTION = 0.001  # seconds by which a timer may be early


class Throttle:
    """Passes on at most one request per key and `pause` seconds."""

    def __init__(self, enqueue_after: Callable[[ObjectKey, float], None], pause: float = INTAKE_PAUSE) -> None:
        self._enqueue_after, self._pause = enqueue_after, pause
        self._due: dict[ObjectKey, float] = {}  # loop time at which the key was or will be enqueued last

    def request(self, key: ObjectKey) -> None:
        """Enqueues the key at once, or `pause` seconds after it was last due.

        A key that is due already is enqueued again for the same time, because the queue drops its timers with the Lease.
        """
        now = asyncio.get_running_loop().time()
        due = self._due.get(key, -math.inf)
        if due <= now:
            due = self._due[key] = max(now, due + self._pause)
        self._enqueue_after(key, due - now)

    def left(self, key: ObjectKey) -> float:
        """Seconds until the key is due; 0 where it is, or was not requested. A run for another reason leaves for then what is
        throttled."""
        left = self._due.get(key, -math.inf) - asyncio.get_running_loop().time()
        return left if left > RESOLUTION else 0.0
