"""The ConfigMaps that the correlator alone writes: one ledger per Incident with its pages, one ticket queue per namespace.

It is their one writer, so their content is read once per process and kept current by its own writes, and the
resourceVersion of the last read or write is the lock of the next write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts import pages
from opsloop.core.alerts.pages import MOST_PAGES
from opsloop.core.codec import decode_ledger_with_pages, decode_page, decode_queue
from opsloop.core.reported import Alert, Correction, Ledger, Moved, Page, QueuedTicket, Ticket
from opsloop.core.tickets.queue import MOST_SEGMENTS, SEGMENT, arrange, fit
from opsloop.errors import Conflict, Invalid
from opsloop.names import ledger_name, page_name, queue_name
from opsloop.shell.apart import Apart
from opsloop.shell.intake import stored as stored_maps
from opsloop.shell.intake.notices import ALERTS_LEFT_OUT, TICKETS_CUT, TICKETS_LEFT_OUT, Tell, nobody
from opsloop.shell.intake.stored import Stored
from opsloop.shell.ports import NamespacedName, Object, Reader, Writer
from opsloop.shell.reconcile import manifests

MERGED = 5  # several ledgers are written beside each other, so that what each may take at once is less
BYTES = 50  # of base64 that an alert needs, about
T = TypeVar("T")


_Segment = Stored[tuple[QueuedTicket, ...]]  # of a ticket queue
_Part = tuple[tuple[QueuedTicket, ...], Object | None]  # a segment as it shall be, and its ConfigMap where that changes


@dataclass(frozen=True, slots=True)
class _Book:
    """A ledger with all of its pages, as last read or written."""

    ledger: Ledger
    version: str = ""  # of the ledger's own ConfigMap
    announced: int = 0  # pages that this one says there are; of these some may not have been written yet
    versions: tuple[str, ...] = ()  # of the pages


class LedgerStore:
    """Ledgers and ticket queues of all namespaces. After a Conflict a namespace is forgotten, and read again when needed."""

    def __init__(self, reader: Reader, writer: Writer, tell: Tell = nobody, apart: Apart | None = None) -> None:
        """`tell` says what does not fit; `apart` computes what takes long."""
        self._tell, self._apart = tell, apart or Apart()
        self._reader, self._writer = reader, writer
        self._ledgers: dict[NamespacedName, _Book] = {}
        self._queues: dict[str, tuple[_Segment, ...]] = {}

    async def ledger(self, namespace: str, incident: str) -> Ledger:
        """The Incident's ledger; empty where it has none, or where its ConfigMap is corrupt."""
        return (await self._ledger(namespace, incident)).ledger

    async def queue(self, namespace: str) -> tuple[QueuedTicket, ...]:
        """Tickets that are linked to no Incident; without those of a ConfigMap that is corrupt."""
        found: dict[str, QueuedTicket] = {}
        for segment in await self._queue(namespace):
            for queued in segment.content:
                found.setdefault(queued.ticket.id, queued)  # twice where a process ended between two writes
        return tuple(found.values())

    def created(self, namespace: str, incident: str) -> None:
        """Notes that this process created the Incident: it has no ledger yet, which saves a read."""
        self._ledgers[namespace, incident] = _Book(Ledger())

    async def file(
        self,
        incident: Object,
        alerts: Sequence[Alert] = (),
        tickets: Sequence[LinkedTicket] = (),
        moves: Sequence[Moved] = (),
        originals: Sequence[Ticket] = (),
        corrections: Sequence[Correction] = (),
    ) -> bool:
        """Merges these into the ledger. False where nothing was new and nothing was written. Conflict: stale.

        A page is announced by the ledger before it is written, so that whoever reads the ledger knows where to look.
        """
        namespace, name = incident["metadata"]["namespace"], incident["metadata"]["name"]
        book = await self._ledger(namespace, name)
        before = book.ledger
        size = MERGED * (len(alerts) + len(before.alerts))
        after, left_out = await self._apart(
            size, lambda: pages.file(before, alerts, tickets, moves, originals, corrections)
        )
        if left_out:
            text = f"incident {name} holds {_held(after)} alerts and no more: {left_out} further ones are not in its ledger"
            self._tell(namespace, ALERTS_LEFT_OUT, left_out, text)
        changed = [n for n, page in enumerate(after.pages) if n >= len(before.pages) or page is not before.pages[n]]
        main = replace(after, pages=()) != replace(before, pages=())
        if not changed and not main:
            return False
        announced, version = max(len(after.pages), book.announced), book.version
        versions = [*book.versions, *[""] * (len(after.pages) - len(book.versions))]
        del self._ledgers[namespace, name]  # where a write fails, it is read again
        if main or announced > book.announced:
            body = await self._apart(size, lambda: manifests.ledger(incident, after))
            version = await self._write(namespace, body, version)
        for number in changed:
            page = after.pages[number]
            body = await self._apart(len(page.by_print), partial(manifests.ledger_page, incident, number + 1, page))
            versions[number] = await self._write(namespace, body, versions[number])
        self._ledgers[namespace, name] = _Book(after, version, announced, tuple(versions))
        return True

    async def store_queue(self, namespace: str, queue: tuple[QueuedTicket, ...]) -> None:
        """Replaces the whole queue. Written are the segments that change, the last one first: a ticket that goes from one to
        another is in both where a write fails, and never in none. Conflict: stale.
        """
        stored = await self._queue(namespace)
        room = MOST_SEGMENTS * SEGMENT
        while True:
            fitted = fit(queue, room)
            parts = await self._segments(fitted.queue, stored)
            if len(parts) <= MOST_SEGMENTS:
                break
            room = room * 7 // 8  # of letters that compress badly less fits than was reckoned
        versions = [*(segment.version for segment in stored), *[""] * (len(parts) - len(stored))]
        self._queues.pop(namespace)  # where a write fails, it is read again
        for number in reversed(range(len(parts))):
            if body := parts[number][1]:
                versions[number] = await self._write(namespace, body, versions[number])
        self._queues[namespace] = tuple(Stored(part[0], version) for part, version in zip(parts, versions, strict=True))
        if fitted.cut:
            text = f"the queue of {len(queue)} tickets is full: the texts of {fitted.cut} of them were cut"
            self._tell(namespace, TICKETS_CUT, fitted.cut, text)
        if fitted.left:
            text = f"the queue holds {len(fitted.queue)} tickets and no more: the {fitted.left} oldest of {len(queue)} were left out of it"
            self._tell(namespace, TICKETS_LEFT_OUT, fitted.left, text)

    async def _segments(self, queue: Sequence[QueuedTicket], stored: Sequence[_Segment]) -> list[_Part]:
        """The segments of the queue. One that is too long for a ConfigMap is halved."""
        found: list[_Part] = []
        todo = [tuple(part) for part in arrange(queue, [segment.content for segment in stored])]
        while len(found) < len(todo) and len(todo) <= MOST_SEGMENTS:
            number, part = len(found), todo[len(found)]
            if number < len(stored) and part == stored[number].content:
                found.append((part, None))
                continue
            try:
                body = await self._apart(len(part), partial(manifests.ticket_queue, number, part))
                found.append((part, body))
            except Invalid:
                todo[number : number + 1] = [part[: len(part) // 2]]
                todo.append(part[len(part) // 2 :])
        return found if len(found) == len(todo) else [(part, None) for part in todo]

    def forget(self, namespace: str, incident: str = "") -> None:
        """Drops the ledger of an Incident that was deleted; without `incident` everything of the namespace."""
        if incident:
            self._ledgers.pop((namespace, incident), None)
        else:
            self._ledgers = {key: stored for key, stored in self._ledgers.items() if key[0] != namespace}
            self._queues.pop(namespace, None)

    async def _ledger(self, namespace: str, incident: str) -> _Book:
        key = namespace, incident
        if key not in self._ledgers:
            book = await self._read_book(namespace, incident)
            self._ledgers.setdefault(key, book)  # a write during the read is newer
        return self._ledgers[key]

    async def _read_book(self, namespace: str, incident: str) -> _Book:
        unknown = Ledger(), -1
        main = await self._read(namespace, ledger_name(incident), decode_ledger_with_pages, unknown)
        ledger, announced = main.content
        found: list[Stored[Page]] = []
        most = MOST_PAGES if main.content is unknown and main.version else max(0, announced)
        for number in range(1, most + 1):
            page = await self._read(namespace, page_name(incident, number), decode_page, pages.EMPTY)
            if announced < 0 and not page.version:  # the ledger is corrupt, and says no number
                break
            found.append(page)
        own = {alert.fingerprint for alert in (*ledger.alerts, *ledger.gone)}
        # What moved here from a page was written whole before it left the page
        kept = tuple(pages.without(page.content, own) for page in found)
        return _Book(replace(ledger, pages=kept), main.version, len(found), tuple(page.version for page in found))

    async def _queue(self, namespace: str) -> tuple[_Segment, ...]:
        if namespace not in self._queues:
            empty: tuple[QueuedTicket, ...] = ()
            found = [await self._read(namespace, queue_name(0), decode_queue, empty)]
            while found[-1].version and len(found) < MOST_SEGMENTS:
                found.append(await self._read(namespace, queue_name(len(found)), decode_queue, empty))
            if not found[-1].version:
                found.pop()
            self._queues.setdefault(namespace, tuple(found))
        return self._queues[namespace]

    async def _read(self, namespace: str, name: str, decode: Callable[[Mapping[str, str]], T], empty: T) -> Stored[T]:
        async def decoded(obj: Object) -> T:
            data = obj.get("binaryData") or {}
            return await self._apart(sum(map(len, data.values())) // BYTES, lambda: decode(data))

        return await stored_maps.read(self._reader, namespace, name, decoded, empty)

    async def _write(self, namespace: str, body: Object, version: str) -> str:
        """As `stored.write`; after a Conflict the namespace is forgotten."""
        try:
            return await stored_maps.write(self._writer, namespace, body, version)
        except Conflict:
            self.forget(namespace)
            raise


def _held(ledger: Ledger) -> int:
    return len({alert.fingerprint for alert in ledger.alerts}) + sum(page.tally.count for page in ledger.pages)
