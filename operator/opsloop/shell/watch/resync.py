"""LIST of everything that is watched: the first fill of the cache, and the repair of what the watches missed.

kopf reports no deletion that happened during a relist, so the cache is compared with a LIST of our own
(docs/decisions/kopf-measured.md).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, RELEASES, RUNBOOKS, Object, Reader, Resource
from opsloop.shell.watch.cache import Cache

WATCHED = (RELEASES, INCIDENTS, RUNBOOKS, EVALCASES, DEPLOYMENTS)
PERIOD = 600.0  # seconds between two LISTs
AT_ONCE = 20  # objects that are taken in before others have their turn
SETTLE = 2.0  # seconds after a request in which further requests are answered by the same LIST
OnChange = Callable[[str, Object], None]  # (kind, object as it is, or as it was when it was deleted)

log = logging.getLogger("opsloop.watch")


async def resync(
    reader: Reader,
    cache: Cache,
    on_change: OnChange,
    namespaces: Sequence[str] = (),
    kinds: Sequence[Resource] = WATCHED,
) -> int:
    """Lists every kind, prunes the cache and calls `on_change` for every object, deleted ones included.

    Returns the number of pruned objects. Lists all kinds even where one fails; then raises the last failure.
    """
    pruned, failure = 0, None
    for resource in kinds:
        try:
            pruned += await _resync_kind(reader, cache, on_change, namespaces or ("",), resource)
        except Exception as error:
            log.warning("resync of %s failed: %s", resource.plural, error)
            failure = error
    if failure:
        raise failure
    return pruned


async def _resync_kind(
    reader: Reader, cache: Cache, on_change: OnChange, namespaces: Sequence[str], resource: Resource
) -> int:
    before = cache.uids(resource.kind)  # before the LIST: what a watch adds during it must not be pruned
    listed = [item for namespace in namespaces for item in await reader.list(resource, namespace)]
    for number, item in enumerate(listed):
        await _let_others(number)
        cache.put(resource.kind, item)
    live = {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in listed}
    pruned = cache.prune(resource.kind, live, before)
    for number, item in enumerate((*listed, *pruned)):
        await _let_others(number)
        on_change(resource.kind, item)
    return len(pruned)


async def _let_others(number: int) -> None:
    """Gives the event loop to others now and then: thousands of objects would keep it for seconds."""
    if number % AT_ONCE == AT_ONCE - 1:
        await asyncio.sleep(0)


class Resync:
    """Calls `once` at the start, every `PERIOD` seconds, and soon after `request`. Run `run` as a task."""

    def __init__(
        self, once: Callable[[], Awaitable[int]], succeeded: Callable[[], None] = lambda: None, retry: float = 5.0
    ) -> None:
        """`once` returns the number of pruned objects; `retry` is the pause after a failure, in seconds."""
        self._once, self._succeeded, self._retry = once, succeeded, retry
        self._requested = asyncio.Event()
        self.done = asyncio.Event()  # set when the first one succeeded: the process is ready

    def request(self) -> None:
        """Requests one more LIST soon: on gaining leadership, after a relist of kopf's."""
        self._requested.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._requested.clear()
            pause = PERIOD
            try:
                pruned = await self._once()
                self.done.set()
                self._succeeded()
                log.log(logging.WARNING if pruned else logging.INFO, "resync done; %d objects pruned", pruned)
            except Exception as error:
                log.warning("resync failed: %s", error)
                pause = self._retry
            try:
                async with asyncio.timeout(pause):
                    await self._requested.wait()
                    await asyncio.sleep(SETTLE)
            except TimeoutError:
                continue
