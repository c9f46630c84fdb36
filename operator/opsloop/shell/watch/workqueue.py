"""Work queue of object keys: de-duplicated, one at a time per key, a backoff per key; active only while this process leads.

Keys that may have to take a version out of traffic have a lane of their own, with its own workers and its own deadline:
they wait neither behind other keys nor behind handlers that hang. So have those that file what the intake stored: after a start
all other keys wait at once.

It gives what controller-runtime's workqueue gives and kopf does not (docs/decisions/kopf-measured.md). A key carries no
event: a reconcile reads the state, whatever requested it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from opsloop.errors import Conflict, LeadershipLost, Permanent, Retryable
from opsloop.shell.ports import ObjectKey

Handler = Callable[[ObjectKey], Awaitable[timedelta | None]]
"""Returns the latest time for the next run of this key; None = on request."""
Hook = Callable[[ObjectKey, str, float], None]  # (key, result, seconds)
Of = Callable[[ObjectKey], bool]

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 300.0
LONGEST_URGENT_BACKOFF = 5.0
URGENT_WORKERS = 16  # idle coroutines: a worker for each canary that is in traffic, within reason
FILING_WORKERS = 4  # of keys that file what the intake stored
FILING_PAUSE = (
    0.1  # seconds after a run of such a key until its next one: they wait behind no others that would join requests
)
URGENT_LIMIT = 20.0  # seconds for one urgent run
CONFLICT_DELAY = 0.05  # seconds in which the watch brings the newer object
CONFLICTS = 5  # so many in a row are retried after CONFLICT_DELAY; then they back off like any error

log = logging.getLogger("opsloop.queue")


def _never(key: ObjectKey) -> bool:
    """No key."""
    return False


def _nothing(key: ObjectKey, result: str, seconds: float) -> None:
    """Does nothing."""


class Queue:
    """Hands keys to `handler`. Run `run` as a task, once; `lead` starts and `unlead` stops the handling."""

    def __init__(
        self,
        handler: Handler,
        workers: int = 4,
        limit: float = 60.0,
        hook: Hook = _nothing,
        jitter: Callable[[], float] = random.random,
        urgent: Of = _never,
        filing: Of = _never,
    ) -> None:
        """`workers` and `limit` (seconds) are those of ordinary keys; `urgent` and `filing` say which keys take the other lanes."""
        self._handler, self._workers, self._limit, self._hook, self._jitter = handler, workers, limit, hook, jitter
        self._urgent, self._filing = urgent, filing
        self._waiting: asyncio.Queue[ObjectKey] = asyncio.Queue()
        self._waiting_filing: asyncio.Queue[ObjectKey] = asyncio.Queue()
        self._waiting_urgent: asyncio.Queue[ObjectKey] = asyncio.Queue()
        self._in_lane: set[ObjectKey] = set()  # dirty keys that wait in the urgent lane
        self._dirty: dict[ObjectKey, float] = {}  # key -> loop time since when it waits
        self._active: set[ObjectKey] = set()
        self._filed: dict[ObjectKey, float] = {}  # filing key -> loop time of the end of its last run
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._conflicts: dict[ObjectKey, int] = {}
        self._led = False

    @property
    def leads(self) -> bool:
        """True while keys are handled: this process holds the Lease."""
        return self._led

    @property
    def depth(self) -> int:
        """Number of keys that wait for a worker."""
        return len(self._dirty)

    @property
    def oldest(self) -> float:
        """Seconds for which the oldest waiting key has waited; 0 where none waits."""
        return asyncio.get_running_loop().time() - min(self._dirty.values()) if self._dirty else 0.0

    def lead(self, keys: Iterable[ObjectKey]) -> None:
        """Starts the handling, with these keys first."""
        self._led = True
        for key in keys:
            self.enqueue(key)

    def unlead(self) -> None:
        """Drops all keys. A handler that runs goes on; the fence stops its writes."""
        self._led = False
        for timer in self._timers.values():
            timer.cancel()
        for memory in (self._dirty, self._timers, self._failures, self._conflicts, self._in_lane):
            memory.clear()

    def enqueue(self, key: ObjectKey) -> None:
        """Requests one run for this key soon; further requests before it are coalesced. Does nothing while not leading."""
        if not self._led or (key in self._dirty and (key in self._in_lane or not self._urgent(key))):
            return
        fresh = key not in self._dirty
        self._dirty.setdefault(key, asyncio.get_running_loop().time())
        if key not in self._active:
            self._put(key, fresh)

    def _put(self, key: ObjectKey, fresh: bool = True) -> None:
        """Puts a key into its lane. One that became urgent while it waited is in both: the first worker takes it."""
        if self._urgent(key):
            self._in_lane.add(key)
            self._waiting_urgent.put_nowait(key)
        elif fresh and self._filing(key):
            loop = asyncio.get_running_loop()
            loop.call_at(self._filed.get(key, -FILING_PAUSE) + FILING_PAUSE, self._waiting_filing.put_nowait, key)
        elif fresh:
            self._waiting.put_nowait(key)

    def enqueue_after(self, key: ObjectKey, seconds: float) -> None:
        """Requests a run for this key after so many seconds at the latest; of several times the earliest holds."""
        if not self._led:
            return
        loop = asyncio.get_running_loop()
        due, timer = loop.time() + max(0.0, seconds), self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    async def run(self) -> None:
        """Handles keys until cancelled. Raises LeadershipLost, and a BaseException, as soon as a handler does."""
        lanes = [(self._waiting, self._limit)] * self._workers + [(self._waiting_urgent, URGENT_LIMIT)] * URGENT_WORKERS
        lanes += [(self._waiting_filing, self._limit)] * FILING_WORKERS
        tasks = [asyncio.create_task(self._work(*lane), name=f"worker-{n}") for n, lane in enumerate(lanes)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, key: ObjectKey) -> None:
        self._timers.pop(key, None)
        self.enqueue(key)

    async def _work(self, lane: asyncio.Queue[ObjectKey], limit: float) -> None:
        while True:
            key = await lane.get()
            if key in self._active or key not in self._dirty:  # left over from before an unlead, or from the other lane
                continue
            del self._dirty[key]
            self._in_lane.discard(key)
            self._active.add(key)
            if timer := self._timers.pop(key, None):
                timer.cancel()  # this run returns a new time
            try:
                await self._handle(key, min(limit, self._limit))
            finally:
                self._active.discard(key)
                if self._filing(key):
                    self._filed[key] = asyncio.get_running_loop().time()
                if key in self._dirty:
                    self._put(key)

    async def _handle(self, key: ObjectKey, limit: float) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(limit):
                again = await self._handler(key)
        except LeadershipLost:
            raise
        except Exception as error:
            result = self._failed(key, error, limit)
        else:
            result = "ok"
            self._failures.pop(key, None)
            self._conflicts.pop(key, None)
            if again is not None:
                self.enqueue_after(key, again.total_seconds())
        self._hook(key, result, loop.time() - started)

    def _failed(self, key: ObjectKey, error: Exception, limit: float) -> str:
        name, extra = "/".join(key), {"object": "/".join(key)}
        conflicts = self._conflicts[key] = self._conflicts.get(key, 0) + 1 if isinstance(error, Conflict) else 0
        if 0 < conflicts <= CONFLICTS:
            self.enqueue_after(key, CONFLICT_DELAY)
            return "conflict"
        delay = self._backoff(key, error)
        self.enqueue_after(key, delay)
        match error:
            case Retryable() | Permanent():
                log.warning("%s: next try in %.1f s: %s: %s", name, delay, type(error).__name__, error, extra=extra)
                return "conflict" if conflicts else "retryable" if isinstance(error, Retryable) else "permanent"
            case TimeoutError():
                log.warning("%s: next try in %.1f s: took longer than %.0f s", name, delay, limit, extra=extra)
                return "timeout"
        log.error("%s: next try in %.1f s: %s", name, delay, error, exc_info=error, extra=extra)
        return "error"

    def _backoff(self, key: ObjectKey, error: Exception) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = LONGEST_URGENT_BACKOFF if self._urgent(key) else LONGEST_BACKOFF
        delay = min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 20), longest) * (1 - 0.2 * self._jitter())
        retry_after = error.after if isinstance(error, Retryable) else None
        return max(delay, retry_after or 0.0)
