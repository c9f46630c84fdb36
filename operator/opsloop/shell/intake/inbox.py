"""The durable inbox: alerts and tickets as ConfigMaps, from their arrival until the correlator has filed them.

Group commit: everything that callers put within 100 ms becomes one ConfigMap. A caller is answered 2xx only after that
write, so a crash before it loses nothing that was promised. Every replica stores; who holds the Lease files what all of
them stored (`shell.intake.arrivals` tells it of that).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.meta import parse_time
from opsloop.core.codec import decode_entry, encode_entries
from opsloop.core.reported import Alert, Asked, InboxEntry, Ticket
from opsloop.core.tickets.asked import of_config_map
from opsloop.errors import Invalid, NotFound, Unauthenticated, Unavailable
from opsloop.names import INBOX, INBOX_PREFIX
from opsloop.shell.apart import Apart
from opsloop.shell.intake.notices import ENTRY_SET_ASIDE, Tell, nobody
from opsloop.shell.ports import CONFIGMAPS, Clock, Creator, Object, Reader, Watcher
from opsloop.shell.reconcile.manifests import inbox_entry

WINDOW = 0.1  # seconds
BIG_WINDOW = 0.05  # of bodies that are worth a write each
ANY = ""  # in place of a name: some entry, nobody knows which
TICKET = 10  # alerts that are encoded as fast as a long ticket
PREFIX = INBOX_PREFIX
MANY = f"{PREFIX}many-"  # begins the names of entries that are not small
MOST_ENTRIES, MOST_ALERTS = 64, 4000  # that one look takes; the rest waits for the next one, which follows at once
FIRST = 48  # of these, which are for small entries as long as there are any: a storm keeps nobody else waiting
TOGETHER = 4  # entries that are read at once
FEW = 200  # alerts of a small entry; a body of more is stored by itself
MOST_ASIDE = 10_000  # names that are remembered for a namespace
QUICK = (
    4 * 1024
)  # bytes of base64 that are decoded at once, also where each of them becomes a thousand; more of them in a thread
MAX_PENDING = 50_000  # alerts and tickets that are not stored yet, over all namespaces


@dataclass(slots=True)
class _Batch:
    """Alerts, tickets and corrections that wait for one commit in one namespace."""

    alerts: list[Alert] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Inbox:
    """Stores alerts and tickets durably. Not for use before an event loop runs."""

    def __init__(
        self,
        writer: Creator,
        on_commit: Callable[[str, Sequence[str]], None],
        window: float = WINDOW,
        max_pending: int = MAX_PENDING,
        apart: Apart | None = None,
    ) -> None:
        """`on_commit(namespace, names of the ConfigMaps)` is called after each commit; `window` in seconds; `apart` encodes."""
        self._apart = apart or Apart()
        self._writer, self._on_commit, self._window, self._max_pending = writer, on_commit, window, max_pending
        self._batches: dict[
            tuple[str, bool], _Batch
        ] = {}  # (namespace, whether it is for big bodies) → what waits for its commit
        self._commits: set[asyncio.Task[None]] = set()
        self._pending = 0

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        """Returns when the API server holds them. Unavailable: overload, or the write failed; the sender must retry."""
        if alerts:
            await self._put(namespace, alerts, ())

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        """Returns when the API server holds it. Unavailable as above."""
        await self._put(namespace, (), (ticket,))

    async def put_asked(self, namespace: str, asked: Asked) -> None:
        """A correction, likewise."""
        await self._put(namespace, (), (), (asked,))

    @property
    def pending(self) -> int:
        """Number of alerts and tickets that are not stored yet."""
        return self._pending

    async def close(self) -> None:
        """Waits for all commits under way."""
        await asyncio.gather(*self._commits, return_exceptions=True)

    async def _put(
        self, namespace: str, alerts: Sequence[Alert], tickets: Sequence[Ticket], asked: Sequence[Asked] = ()
    ) -> None:
        size = len(alerts) + len(tickets) + len(asked)
        if self._pending + size > self._max_pending:
            raise Unavailable(f"{self._pending} alerts and tickets wait to be stored; try again soon", after=1.0)
        self._pending += size
        try:
            batch = self._batch((namespace, size > FEW))
            batch.alerts += alerts
            batch.tickets += tickets
            batch.asked += asked
            await asyncio.shield(batch.stored)  # a caller that hangs up does not cancel the others' commit
        finally:
            self._pending -= size

    def _batch(self, key: tuple[str, bool]) -> _Batch:
        if key not in self._batches:
            self._batches[key] = _Batch()
            task = asyncio.create_task(self._commit(key))
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)
        return self._batches[key]

    async def _commit(self, key: tuple[str, bool]) -> None:
        batch, (namespace, big) = self._batches[key], key
        try:
            await asyncio.sleep(min(self._window, BIG_WINDOW) if big else self._window)
            self._batches.pop(key, None)
            names = []
            size = len(batch.alerts) + TICKET * len(batch.tickets)
            for data in await self._apart(size, lambda: encode_entries(batch.alerts, batch.tickets, batch.asked)):
                names.append(f"{MANY if big else PREFIX}{uuid.uuid4().hex}")
                await self._writer.create(CONFIGMAPS, namespace, inbox_entry(names[-1], data))
        except BaseException as error:
            self._batches.pop(key, None)
            _fail(batch.stored, error)
            if not isinstance(error, Exception):
                raise
        else:
            batch.stored.set_result(None)
            self._on_commit(namespace, names)


def _fail(stored: asyncio.Future[None], error: BaseException) -> None:
    kind = Unauthenticated if isinstance(error, Unauthenticated) else Unavailable
    stored.set_exception(kind(f"not stored: {error}", getattr(error, "after", None)))
    stored.exception()  # retrieved: asyncio complains of an exception that nobody retrieves, and callers may have hung up


@dataclass(slots=True)
class _Listing:
    """Progress in one namespace."""

    since: datetime  # first look of this process
    # told of or listed, and not deleted, with the time at which this process heard of it; what was not looked at yet comes first
    unfiled: dict[str, datetime]
    aside: dict[str, None] = field(default_factory=dict)  # names of what cannot be filed; it is left where it is
    full: bool = False  # the last look took as much as it may, and more was there
    known: dict[str, InboxEntry] = field(
        default_factory=dict
    )  # what was read and is not filed yet: nobody changes an entry
    size: int = 0  # alerts, tickets and corrections of these

    def keep(self, entry: InboxEntry) -> None:
        """Remembers what was read, as far as there is room; not what a person wrote, and may change."""
        if entry.name not in self.known and not entry.asked and self.size + _size(entry) <= MOST_ALERTS:
            self.known[entry.name] = entry
            self.size += _size(entry)

    def drop(self, name: str) -> None:
        """Forgets what was read."""
        if (entry := self.known.pop(name, None)) is not None:
            self.size -= _size(entry)


def _size(entry: InboxEntry) -> int:
    return len(entry.alerts) + len(entry.tickets) + len(entry.asked)


def _small_first(names: Iterable[str]) -> list[str]:
    """The names in their order, but FIRST small entries before all others."""
    waiting = list(names)
    small = [name for name in waiting if not name.startswith(MANY)][:FIRST]
    taken = set(small)
    return [*small, *(name for name in waiting if name not in taken)]


class InboxReader:
    """Reads inbox entries one by one, and a bounded part of them at each look: whoever may create ConfigMaps in a namespace
    may also label them, and give them any content."""

    def __init__(self, reader: Reader, watcher: Watcher, clock: Clock, tell: Tell = nobody) -> None:
        """`tell` says what is set aside."""
        self._reader, self._watcher, self._clock, self._tell = reader, watcher, clock, tell
        self._listings: dict[str, _Listing] = {}

    def expect(self, namespace: str, name: str = ANY) -> bool:
        """Notes that this entry lies in the inbox: the next look reads it. False where that was known."""
        listing = self._of(namespace)
        if name in listing.unfiled or name in listing.aside:
            return False
        if name and not name.startswith(PREFIX):
            self.set_aside(namespace, name, f"its name does not begin with {PREFIX}")
            return False
        listing.unfiled[name] = self._clock.now()
        return True

    def since(self, namespace: str) -> datetime:
        """Time at which this process first looked at the namespace."""
        return self._of(namespace).since

    async def entries(self, namespace: str) -> tuple[InboxEntry, ...]:
        """The oldest entries, as many as one look may take; what cannot be decoded is set aside."""
        listing = self._of(namespace)
        if ANY in listing.unfiled:
            await self._list(namespace)
            listing.unfiled.pop(ANY, None)
        entries: list[InboxEntry] = []
        size, names, read = 0, _small_first(listing.unfiled), 0
        while read < len(names) and len(entries) < MOST_ENTRIES and size < MOST_ALERTS:
            some = names[read : read + min(TOGETHER, MOST_ENTRIES - len(entries))]
            new = [name for name in some if name not in listing.known]
            items = dict(zip(new, await asyncio.gather(*(self._get(namespace, n) for n in new)), strict=True))
            for name in some:
                if size >= MOST_ALERTS:
                    break
                read += 1
                entry = listing.known.get(name)
                if entry is None:
                    # one after the other: each may need much memory
                    entry = await self._decoded(namespace, name, items[name])
                if entry is not None:
                    # to the end: what stays here keeps nothing else waiting
                    listing.unfiled[entry.name] = listing.unfiled.pop(entry.name, self._clock.now())
                    entries.append(entry)
                    size += _size(entry)
                    listing.keep(entry)
        listing.full = read < len(names)
        return tuple(entries)

    def set_aside(self, namespace: str, name: str, why: str) -> None:
        """This entry is not read again by this process; it is left where it is, for people to look at."""
        listing = self._of(namespace)
        listing.unfiled.pop(name, None)
        listing.drop(name)
        listing.aside[name] = None
        while len(listing.aside) > MOST_ASIDE:
            del listing.aside[next(iter(listing.aside))]
        text = f"ConfigMap {name} has the label {INBOX} and is no entry that can be filed: {why}"
        self._tell(namespace, ENTRY_SET_ASIDE, 1, text)

    def deleted(self, namespace: str, name: str) -> timedelta | None:
        """Notes that this entry was deleted; how long ago it was heard of, None where it was not."""
        listing = self._of(namespace)
        heard = listing.unfiled.pop(name, None)
        listing.drop(name)
        return self._clock.now() - heard if heard else None

    def has_more(self, namespace: str) -> bool:
        """True where entries waited that the last look could not take. What came since has asked for a look of its own."""
        return self._of(namespace).full

    async def _list(self, namespace: str) -> None:
        """Notes what exists, by metadata alone: the first page of it; `shell.intake.arrivals` tells of the others."""
        watch = self._watcher.watch(CONFIGMAPS, namespace, {INBOX: "true"})
        async with contextlib.aclosing(watch) as batches:
            async for batch in batches:
                for meta in batch:
                    self.expect(namespace, meta["name"])
                break

    async def _get(self, namespace: str, name: str) -> Object | None:
        try:
            return await self._reader.get(CONFIGMAPS, namespace, name)
        except NotFound:
            self.deleted(namespace, name)
            return None

    async def _decoded(self, namespace: str, name: str, item: Object | None) -> InboxEntry | None:
        if item is None:
            return None
        meta, data = item["metadata"], item.get("binaryData") or {}
        if not data and item.get("data"):  # a person wrote it: a correction
            asked = of_config_map(item["data"], str(meta["uid"]), _created(meta, self._clock.now()))
            return InboxEntry(name=meta["name"], uid=meta["uid"], asked=(asked,))
        try:
            big = sum(map(len, data.values())) > QUICK
            entry = await asyncio.to_thread(decode_entry, data) if big else decode_entry(data)
        except Invalid as error:
            self.set_aside(namespace, name, str(error))
            return None
        return replace(entry, name=meta["name"], uid=meta["uid"])

    def _of(self, namespace: str) -> _Listing:
        if namespace not in self._listings:
            now = self._clock.now()
            self._listings[namespace] = _Listing(now, {ANY: now})
        return self._listings[namespace]


def _created(meta: Object, now: datetime) -> datetime:
    """When the API server stored an object."""
    try:
        return parse_time(meta["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return now
