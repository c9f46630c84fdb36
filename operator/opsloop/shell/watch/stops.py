"""The emergency stop as this process knows it: read before each act, and when a watch tells of one.

No act rests on the watch: what may move something reads first (`stands`). The watch only has the process know of a Stop at once,
so that conditions and metrics say so and what runs is ended. While a Stop stands, or a watch does not, all are read at each tick; else
once a minute, for a watch that hangs. Where a read fails, what was read last holds; what was never read stops.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from pydantic import ValidationError

from opsloop.api import stop as api
from opsloop.core.stop import Stop
from opsloop.errors import LeadershipLost, OpsloopError
from opsloop.shell.ports import STOPS, Object, Reader, Watcher

READ_SECONDS = 5.0  # for one read; then what was read last holds
REREAD = 60.0  # seconds between two reads while none stands and every watch does
REWATCH = 2.0  # seconds between two watches of a place; until then it is read at each tick

log = logging.getLogger("opsloop.stop")


class Stops:
    """Run `run` as a task on the leader; `of` is the Stop in effect for a namespace."""

    def __init__(
        self,
        reader: Reader,
        watcher: Watcher,
        own: str,
        namespaces: Sequence[str],
        tick: timedelta,
        changed: Callable[[], None],
    ) -> None:
        """`own`: opsloop's namespace, whose Stop is for all. `namespaces`: those it looks after, empty = all.

        `changed` is called when a Stop begins or ends anywhere.
        """
        self._reader, self._watcher, self._own, self._tick, self._changed = reader, watcher, own, tick, changed
        self._told = asyncio.Event()  # a watch has something to tell
        self._watched: set[str] = set()  # places whose watch stands
        self._places = ("",) if not namespaces else tuple(dict.fromkeys((own, *namespaces)))
        self._read: dict[str, tuple[Stop, ...]] = {}  # place → its Stops, as last read
        self._asked, self._newest = 0, dict[str, int]()  # lists that were asked for; place → of which one it is told
        self._failures: dict[str, str] = {}

    @property
    def all(self) -> tuple[Stop, ...]:
        """All Stops in effect, those for all namespaces first."""
        found = (stop for place in self._places for stop in self._read.get(place, ()))
        return tuple(sorted(found, key=lambda s: (not s.everywhere, s.namespace, s.name)))

    def of(self, namespace: str) -> Stop | None:
        """The Stop in effect for this namespace; one without a name while that cannot be told."""
        if found := next((s for s in self.all if s.everywhere or s.namespace == namespace), None):
            return found
        unread = [p for p in self._places if p in ("", self._own, namespace) and p not in self._read]
        return Stop(reason=self._failures.get(unread[0], "it was not read yet")) if unread else None

    async def refresh(self) -> None:
        """Reads all Stops."""
        await self._refresh_all(self._places)

    async def stands(self, namespace: str) -> bool:
        """True where nothing may be done in this namespace: as read now, or last."""
        await self._refresh_all([p for p in self._places if p in ("", self._own, namespace)])
        return self.of(namespace) is not None

    async def run(self) -> None:
        """Watches, and reads when a watch tells of a Stop or it is time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for place in self._places:
                tasks.create_task(self._follow(place))
            while True:
                quiet = not self.all and not self._failures and self._watched == set(self._places)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REREAD if quiet else self._tick.total_seconds()):
                        await self._told.wait()
                self._told.clear()
                await self.refresh()

    async def _follow(self, place: str) -> None:
        """Says that there is something to read: of each Stop that exists, is created or changed. The end of one is read at a tick."""
        while True:
            try:
                async with contextlib.aclosing(self._watcher.watch(STOPS, place, {})) as batches:
                    async for batch in batches:
                        self._watched.add(place)
                        if batch:
                            self._told.set()
            except LeadershipLost:
                raise
            except OpsloopError as error:
                log.warning("watch of stops in %s, read at each tick meanwhile: %s", place or "all namespaces", error)
            if place in self._watched:
                self._watched.discard(place)
                self._told.set()
            await asyncio.sleep(REWATCH)

    async def _refresh_all(self, places: Sequence[str]) -> None:
        before = self._read.copy()
        await asyncio.gather(*(self._refresh(place) for place in places))
        if before != self._read:
            self._changed()

    async def _refresh(self, place: str) -> None:
        self._asked += 1
        number = self._asked
        try:
            async with asyncio.timeout(READ_SECONDS):
                listed = await self._reader.list(STOPS, place)
        except LeadershipLost:
            raise
        except (OpsloopError, TimeoutError) as error:
            text = str(error) or f"no answer within {READ_SECONDS:.0f} s"
            if self._failures.get(place) != text:
                log.warning("stops of %s cannot be read: %s", place or "all namespaces", text)
            self._failures[place] = text
            return
        self._failures.pop(place, None)
        if number >= self._newest.get(place, 0):  # an older answer that comes late knows less
            self._newest[place] = number
            self.put(place, listed)

    def put(self, place: str, listed: Sequence[Object]) -> None:
        """What was listed in a namespace, or with "" in all of them."""
        self._read[place] = tuple(self._stop(item) for item in listed if "deletionTimestamp" not in item["metadata"])

    def _stop(self, stored: Object) -> Stop:
        """A Stop whose fields cannot be read stops all the same."""
        namespace, name = stored["metadata"].get("namespace", ""), stored["metadata"]["name"]
        everywhere = namespace == self._own
        try:
            parsed = api.Stop.model_validate(stored)
        except ValidationError:
            return Stop(namespace, name, "spec.reason cannot be read", everywhere=everywhere)
        return Stop(namespace, name, parsed.spec.reason, parsed.metadata.creation_timestamp, everywhere)
