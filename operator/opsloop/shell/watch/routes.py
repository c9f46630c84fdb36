"""HTTPRoutes as a watch tells of them: who writes a route that a rollout uses wakes its Release at once, not at the next tick.

Only the names of routes come by the watch; what is decided on is read (`shell.reconcile.routes`). Nothing is watched while no
Release names a route. Where there is no Gateway API, or opsloop may not watch, each look reads as it did before.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

from opsloop.api.release import Release
from opsloop.errors import LeadershipLost, OpsloopError
from opsloop.shell.ports import HTTPROUTES, ObjectKey, Watcher
from opsloop.shell.watch.cache import Cache

LOOKS = 5.0  # seconds between two looks for a Release that names a route, while none does
REWATCH = 2.0  # seconds between two watches of a place
REFUSED = 60.0  # the same, where the last one was refused: no such API, no such right

log = logging.getLogger("opsloop.watch")


class RouteWatch:
    """Run `run` as a task on the leader; `changed` is called with each Release that uses a route that was written."""

    def __init__(
        self, watcher: Watcher, cache: Cache, namespaces: Sequence[str], changed: Callable[[ObjectKey], None]
    ) -> None:
        """`namespaces`: those that opsloop looks after, empty = all."""
        self._watcher, self._cache, self._changed = watcher, cache, changed
        self._places = tuple(namespaces) or ("",)

    async def run(self) -> None:
        """Watches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for place in self._places:
                tasks.create_task(self._follow(place))

    async def _follow(self, place: str) -> None:
        while True:
            if not any(_names_of(release) for release in self._releases(place)):
                await asyncio.sleep(LOOKS)
                continue
            pause = REWATCH
            try:
                async with contextlib.aclosing(self._watcher.watch(HTTPROUTES, place, {})) as batches:
                    async for batch in batches:
                        for meta in batch:
                            self._tell(meta["namespace"], meta["name"])
            except LeadershipLost:
                raise
            except OpsloopError as error:
                log.info("httproutes of %s are read, not watched: %s", place or "all namespaces", error)
                pause = REFUSED
            await asyncio.sleep(pause)

    def _releases(self, place: str) -> Iterator[Release]:
        return (release for release in self._cache.releases() if place in ("", release.metadata.namespace))

    def _tell(self, namespace: str, route: str) -> None:
        for release in self._cache.releases(namespace):
            if route in _names_of(release):
                self._changed(("Release", namespace, release.metadata.name))


def _names_of(release: Release) -> set[str]:
    """Routes that it names, or whose weights it has moved."""
    named, moved = release.spec.strategy.http_route, release.status.route
    return {*([named.name] if named else []), *([moved] if moved else [])}
