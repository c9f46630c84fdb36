"""Tells the holder of the Lease what any replica stored in an inbox: a watch of the ConfigMaps' metadata, by label.

Not through kopf: it filters labels itself, so that every ConfigMap of the cluster would pass through this process.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from opsloop.errors import OpsloopError
from opsloop.names import INBOX
from opsloop.shell.ports import CONFIGMAPS, Watcher

RETRY = 2.0
"""Seconds between two watches. Each begins with a LIST, so where a watch is refused or breaks at once (an operator newer
than its rights), this is how long an entry of another replica waits for it."""

log = logging.getLogger(__name__)


class Arrivals:
    """Calls `found(namespace, names)` for the entries that exist, and then for each new one. Run `run` as a task."""

    def __init__(
        self, watcher: Watcher, namespaces: Sequence[str], found: Callable[[str, Sequence[str]], None]
    ) -> None:
        """Empty `namespaces` = all."""
        self._watcher, self._namespaces, self._found = watcher, namespaces or ("",), found

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self._namespaces:
                tasks.create_task(self._follow(namespace))

    async def _follow(self, namespace: str) -> None:
        while True:
            try:
                watch = self._watcher.watch(CONFIGMAPS, namespace, {INBOX: "true"})
                async with contextlib.aclosing(watch) as batches:
                    async for batch in batches:
                        self._tell(batch)
            except OpsloopError as error:
                log.warning("watch of inboxes in %s: %s", namespace or "all namespaces", error)
            await asyncio.sleep(RETRY)

    def _tell(self, batch: Sequence[dict[str, str]]) -> None:
        by_namespace: dict[str, list[str]] = {}
        for meta in batch:
            by_namespace.setdefault(meta["namespace"], []).append(meta["name"])
        for namespace, names in by_namespace.items():
            self._found(namespace, names)
