"""The durable inbox: alerts and tickets as ConfigMaps, from their arrival until the correlator has filed them.

Group commit: everything that callers put within 250 ms becomes one ConfigMap. A caller is answered 2xx only after that
write, so a crash before it loses nothing that was promised. Every replica stores; who holds the Lease files what all of
them stored (`shell.intake.arrivals` tells it of that).
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from opsloop.core.codec import decode_entry, encode_entries
from opsloop.core.facts import Alert, InboxEntry, Ticket
from opsloop.errors import Invalid, Unavailable
from opsloop.names import INBOX
from opsloop.shell.ports import CONFIGMAPS, Clock, Creator, Object, Reader
from opsloop.shell.reconcile.manifests import inbox_entry

log = logging.getLogger(__name__)

WINDOW = 0.25  # seconds
ANY = ""  # in place of a name: some entry, nobody knows which
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
                names.append(f"opsloop-inbox-{uuid.uuid4().hex}")
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
    unfiled: set[str] = field(default_factory=lambda: {ANY})  # ConfigMaps that were told of or listed, and not deleted


class InboxReader:
    """Reads inbox entries, with no LIST in a namespace where nothing is expected."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader, self._clock = reader, clock
        self._listings: dict[str, _Listing] = {}

    def expect(self, namespace: str, name: str = ANY) -> bool:
        """Notes that this entry lies in the inbox: the next look lists. False where that was known."""
        unfiled = self._of(namespace).unfiled
        news = name not in unfiled
        unfiled.add(name)
        return news

    def since(self, namespace: str) -> datetime:
        """Time at which this process first looked at the namespace."""
        return self._of(namespace).since

    async def entries(self, namespace: str) -> tuple[InboxEntry, ...]:
        """All entries that can be decoded; others are logged and left alone."""
        listing = self._of(namespace)
        if not listing.unfiled:
            return ()
        expected = set(listing.unfiled)  # what is told of during the LIST may not be in it
        items = await self._reader.list(CONFIGMAPS, namespace, {INBOX: "true"})
        entries = tuple(entry for item in items if (entry := _decode(item)))
        listing.unfiled = {entry.name for entry in entries} | (listing.unfiled - expected)
        return entries

    def deleted(self, namespace: str, name: str) -> None:
        """Notes that this entry was filed and deleted."""
        self._of(namespace).unfiled.discard(name)

    def _of(self, namespace: str) -> _Listing:
        if namespace not in self._listings:
            self._listings[namespace] = _Listing(self._clock.now())
        return self._listings[namespace]


def _decode(item: Object) -> InboxEntry | None:
    meta: Mapping[str, str] = item["metadata"]
    try:
        return replace(decode_entry(item.get("binaryData") or {}), name=meta["name"], uid=meta["uid"])
    except Invalid as error:
        log.error(
            "configmap %s/%s is not an inbox entry of opsloop; skipping: %s", meta["namespace"], meta["name"], error
        )
        return None
