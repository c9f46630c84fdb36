"""The durable inbox: alerts and tickets as ConfigMaps, from their arrival until the correlator has filed them.

Group commit: everything that callers put within 250 ms becomes one ConfigMap. A caller is answered 2xx only after that
write, so a crash before it loses nothing that was promised. Every replica stores; who holds the Lease files what all of
them stored (`shell.intake.arrivals` tells it of that).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from opsloop.core.codec import decode_entry, encode_entries
from opsloop.core.facts import Alert, InboxEntry, Ticket
from opsloop.errors import Invalid, NotFound, Unavailable
from opsloop.names import INBOX
from opsloop.shell.intake.notices import ENTRY_SET_ASIDE, Tell, nobody
from opsloop.shell.ports import CONFIGMAPS, Clock, Creator, Reader, Watcher
from opsloop.shell.reconcile.manifests import inbox_entry

WINDOW = 0.25  # seconds
ANY = ""  # in place of a name: some entry, nobody knows which
PREFIX = "opsloop-inbox-"
MOST_ENTRIES, MOST_ALERTS = 64, 20_000  # that one look takes; the rest waits for the next one, which follows at once
MOST_ASIDE = 10_000  # names that are remembered for a namespace
QUICK = 64 * 1024  # bytes of base64 that are decoded at once; more of them in a thread
MAX_PENDING = 50_000  # alerts and tickets that are not stored yet, over all namespaces


@dataclass(slots=True)
class _Batch:
    """Alerts and tickets that wait for one commit in one namespace."""

    alerts: list[Alert] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Inbox:
    """Stores alerts and tickets durably. Not for use before an event loop runs."""

    def __init__(
        self,
        writer: Creator,
        on_commit: Callable[[str, Sequence[str]], None],
        window: float = WINDOW,
        max_pending: int = MAX_PENDING,
    ) -> None:
        """`on_commit(namespace, names of the ConfigMaps)` is called after each commit; `window` in seconds."""
        self._writer, self._on_commit, self._window, self._max_pending = writer, on_commit, window, max_pending
        self._batches: dict[str, _Batch] = {}
        self._commits: set[asyncio.Task[None]] = set()
        self._pending = 0

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        """Returns when the API server holds them. Unavailable: overload, or the write failed; the sender must retry."""
        if alerts:
            await self._put(namespace, alerts, ())

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        """Returns when the API server holds it. Unavailable as above."""
        await self._put(namespace, (), (ticket,))

    async def close(self) -> None:
        """Waits for all commits under way."""
        await asyncio.gather(*self._commits, return_exceptions=True)

    async def _put(self, namespace: str, alerts: Sequence[Alert], tickets: Sequence[Ticket]) -> None:
        size = len(alerts) + len(tickets)
        if self._pending + size > self._max_pending:
            raise Unavailable(f"{self._pending} alerts and tickets wait to be stored; try again soon", after=1.0)
        self._pending += size
        try:
            batch = self._batch(namespace)
            batch.alerts += alerts
            batch.tickets += tickets
            await asyncio.shield(batch.stored)  # a caller that hangs up does not cancel the others' commit
        finally:
            self._pending -= size

    def _batch(self, namespace: str) -> _Batch:
        if namespace not in self._batches:
            self._batches[namespace] = _Batch()
            task = asyncio.create_task(self._commit(namespace))
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)
        return self._batches[namespace]

    async def _commit(self, namespace: str) -> None:
        batch = self._batches[namespace]
        try:
            await asyncio.sleep(self._window)
            self._batches.pop(namespace, None)
            names = []
            for data in encode_entries(batch.alerts, batch.tickets):
                names.append(f"{PREFIX}{uuid.uuid4().hex}")
                await self._writer.create(CONFIGMAPS, namespace, inbox_entry(names[-1], data))
        except BaseException as error:
            self._batches.pop(namespace, None)
            _fail(batch.stored, error)
            if not isinstance(error, Exception):
                raise
        else:
            batch.stored.set_result(None)
            self._on_commit(namespace, names)


def _fail(stored: asyncio.Future[None], error: BaseException) -> None:
    stored.set_exception(Unavailable(f"not stored: {error}", getattr(error, "after", None)))
    stored.exception()  # retrieved: asyncio complains of an exception that nobody retrieves, and callers may have hung up


@dataclass(slots=True)
class _Listing:
    """Progress in one namespace."""

    since: datetime  # first look of this process
    # told of or listed, and not deleted; oldest first
    unfiled: dict[str, None] = field(default_factory=lambda: {ANY: None})
    aside: dict[str, None] = field(default_factory=dict)  # names of what cannot be filed; it is left where it is


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
        listing.unfiled[name] = None
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
        size = 0
        for name in list(listing.unfiled):
            if len(entries) >= MOST_ENTRIES or size >= MOST_ALERTS:
                break
            entry = await self._read(namespace, name)
            if entry is not None:
                # to the end: what stays here keeps nothing else waiting
                listing.unfiled[name] = listing.unfiled.pop(name, None)
                entries.append(entry)
                size += len(entry.alerts) + len(entry.tickets)
        return tuple(entries)

    def set_aside(self, namespace: str, name: str, why: str) -> None:
        """This entry is not read again by this process; it is left where it is, for people to look at."""
        listing = self._of(namespace)
        listing.unfiled.pop(name, None)
        listing.aside[name] = None
        while len(listing.aside) > MOST_ASIDE:
            del listing.aside[next(iter(listing.aside))]
        text = f"ConfigMap {name} has the label {INBOX} and is no entry that can be filed: {why}"
        self._tell(namespace, ENTRY_SET_ASIDE, 1, text)

    def deleted(self, namespace: str, name: str) -> None:
        """Notes that this entry was filed and deleted."""
        self._of(namespace).unfiled.pop(name, None)

    def has_more(self, namespace: str, seen: Sequence[InboxEntry]) -> bool:
        """True where entries wait that the last look did not take."""
        return bool(self._of(namespace).unfiled.keys() - {entry.name for entry in seen})

    async def _list(self, namespace: str) -> None:
        """Notes what exists, by metadata alone: the first page of it; `shell.intake.arrivals` tells of the others."""
        watch = self._watcher.watch(CONFIGMAPS, namespace, {INBOX: "true"})
        async with contextlib.aclosing(watch) as batches:
            async for batch in batches:
                for meta in batch:
                    self.expect(namespace, meta["name"])
                break

    async def _read(self, namespace: str, name: str) -> InboxEntry | None:
        try:
            item = await self._reader.get(CONFIGMAPS, namespace, name)
        except NotFound:
            self.deleted(namespace, name)
            return None
        meta, data = item["metadata"], item.get("binaryData") or {}
        try:
            big = sum(map(len, data.values())) > QUICK
            entry = await asyncio.to_thread(decode_entry, data) if big else decode_entry(data)
        except Invalid as error:
            self.set_aside(namespace, name, str(error))
            return None
        return replace(entry, name=meta["name"], uid=meta["uid"])

    def _of(self, namespace: str) -> _Listing:
        if namespace not in self._listings:
            self._listings[namespace] = _Listing(self._clock.now())
        return self._listings[namespace]
