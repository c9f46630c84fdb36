"""Background tasks by slot: at most one a slot, started once per request, cancelled for another request."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from opsloop.shell.ports import ObjectKey

Slot = tuple[str, ...]
"""(kind, namespace, Release …)"""

log = logging.getLogger(__name__)

_NONE: Mapping[str, int] = {}


@dataclass
class _Job:
    request: object
    task: "asyncio.Task[None]"
    finished_at: float | None = None  # loop time


class Jobs:
    """Starts, replaces and ends jobs. When one ends by itself, `on_done` wakes the name that waits for it."""

    def __init__(
        self, on_done: Callable[[ObjectKey], None], again_after: float, most: int, own: Mapping[str, int] = _NONE
    ) -> None:
        """`again_after`: seconds after which a finished, inconclusive job may be repeated; `most`: jobs of one Release at once;
        `own`: kinds of jobs with a limit of their own."""
        self._on_done = on_done
        self._again_after = again_after
        self._most = most
        self._own = own
        self._jobs: dict[Slot, _Job] = {}

    def request(self, slot: Slot) -> object:
        """The request that the slot's job was started for, None where there is no job."""
        return self._jobs[slot].request if slot in self._jobs else None

    def needless(self, slot: Slot, request: object, conclusive: bool) -> bool:
        """True where this request is under way, has a result that stands, or ended less than `again_after` ago."""
        job = self._jobs.get(slot)
        if job is None or job.request != request:
            return False
        if job.finished_at is None or conclusive:
            return True
        return asyncio.get_running_loop().time() - job.finished_at < self._again_after

    def full(self, slot: Slot) -> bool:
        """True where as many jobs of the slot's Release are under way as there may be; more are asked for at a later look.

        Jobs of a kind that has a limit of its own leave the others their places.
        """
        kind, most = slot[0], self._own.get(slot[0], self._most)
        alike = [
            job
            for other, job in self._jobs.items()
            if other[1:3] == slot[1:3] and (other[0] == kind if kind in self._own else other[0] not in self._own)
        ]
        return sum(not job.task.done() for job in alike) >= most

    def begin(self, slot: Slot, request: object, work: Coroutine[Any, Any, None], key: ObjectKey) -> None:
        """Starts `work` in the slot, in place of the former job."""
        self.drop(slot)
        task = asyncio.create_task(work, name="-".join(slot))
        job = self._jobs[slot] = _Job(request, task)
        task.add_done_callback(lambda done: self._ended(slot, job, key, done))

    def _ended(self, slot: Slot, job: _Job, key: ObjectKey, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._jobs.get(slot) is not job:
            return
        if task.exception() is not None:
            log.error("job %s failed", task.get_name(), exc_info=task.exception())
        job.finished_at = task.get_loop().time()
        self._on_done(key)

    def drop(self, slot: Slot) -> None:
        """Cancels and forgets the slot's job."""
        job = self._jobs.pop(slot, None)
        if job is not None:
            job.task.cancel()

    def slots(self) -> list[Slot]:
        """All slots that hold a job, done or not."""
        return list(self._jobs)

    async def close(self) -> None:
        """Cancels everything and waits until it has ended."""
        tasks = [job.task for job in self._jobs.values()]
        self._jobs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
