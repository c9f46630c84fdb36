"""The ConfigMaps that the correlator alone writes: one ledger per Incident, one ticket queue per namespace.

It is their one writer, so their content is read once per process and kept current by its own writes, and the
resourceVersion of the last read or write is the lock of the next write.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from opsloop.api.incident import LinkedTicket
from opsloop.core.alerts.ledger import merge
from opsloop.core.codec import decode_ledger, decode_queue
from opsloop.core.facts import Alert, Ledger, Moved, QueuedTicket
from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.names import TICKET_QUEUE, ledger_name
from opsloop.shell.intake.notices import TICKETS_LEFT_OUT, Tell, nobody
from opsloop.shell.ports import CONFIGMAPS, NamespacedName, Object, Reader, Writer
from opsloop.shell.reconcile import manifests

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored(Generic[T]):
    """Content as last read or written; `version` "" = the ConfigMap does not exist."""

    content: T
    version: str = ""


class LedgerStore:
    """Ledgers and ticket queues of all namespaces. After a Conflict a namespace is forgotten, and read again when needed."""

    def __init__(self, reader: Reader, writer: Writer, tell: Tell = nobody) -> None:
        """`tell` says what does not fit."""
        self._tell = tell
        self._reader, self._writer = reader, writer
        self._ledgers: dict[NamespacedName, _Stored[Ledger]] = {}
        self._queues: dict[str, _Stored[tuple[QueuedTicket, ...]]] = {}

    async def ledger(self, namespace: str, incident: str) -> Ledger:
        """The Incident's ledger; empty where it has none, or where its ConfigMap is corrupt."""
        return (await self._ledger(namespace, incident)).content

    async def queue(self, namespace: str) -> tuple[QueuedTicket, ...]:
        """Tickets that are linked to no Incident; empty where the ConfigMap is corrupt."""
        return (await self._queue(namespace)).content

    def created(self, namespace: str, incident: str) -> None:
        """Notes that this process created the Incident: it has no ledger yet, which saves a read."""
        self._ledgers[namespace, incident] = _Stored(Ledger())

    async def file(
        self,
        incident: Object,
        alerts: Sequence[Alert] = (),
        tickets: Sequence[LinkedTicket] = (),
        moves: Sequence[Moved] = (),
    ) -> bool:
        """Merges these into the ledger. False where nothing was new and nothing was written. Conflict: stale."""
        namespace, name = incident["metadata"]["namespace"], incident["metadata"]["name"]
        stored = await self._ledger(namespace, name)
        merged = merge(stored.content, alerts, tickets, moves)
        if merged == stored.content:
            return False
        version = await self._write(namespace, manifests.ledger(incident, merged), stored.version)
        self._ledgers[namespace, name] = _Stored(merged, version)
        return True

    async def store_queue(self, namespace: str, queue: tuple[QueuedTicket, ...]) -> None:
        """Replaces the whole queue. Conflict: stale."""
        stored = await self._queue(namespace)
        body, kept = manifests.ticket_queue(queue)
        version = await self._write(namespace, body, stored.version)
        self._queues[namespace] = _Stored(kept, version)
        if left := len(queue) - len(kept):
            text = f"the queue holds {len(kept)} tickets and no more: the {left} oldest of {len(queue)} were left out of it"
            self._tell(namespace, TICKETS_LEFT_OUT, left, text)

    def forget(self, namespace: str, incident: str = "") -> None:
        """Drops the ledger of an Incident that was deleted; without `incident` everything of the namespace."""
        if incident:
            self._ledgers.pop((namespace, incident), None)
        else:
            self._ledgers = {key: stored for key, stored in self._ledgers.items() if key[0] != namespace}
            self._queues.pop(namespace, None)

    async def _ledger(self, namespace: str, incident: str) -> _Stored[Ledger]:
        key = namespace, incident
        if key not in self._ledgers:
            stored = await self._read(namespace, ledger_name(incident), decode_ledger, Ledger())
            self._ledgers.setdefault(key, stored)  # a write during the read is newer
        return self._ledgers[key]

    async def _queue(self, namespace: str) -> _Stored[tuple[QueuedTicket, ...]]:
        if namespace not in self._queues:
            empty: tuple[QueuedTicket, ...] = ()
            stored = await self._read(namespace, TICKET_QUEUE, decode_queue, empty)
            self._queues.setdefault(namespace, stored)
        return self._queues[namespace]

    async def _read(self, namespace: str, name: str, decode: Callable[[Mapping[str, str]], T], empty: T) -> _Stored[T]:
        try:
            obj = await self._reader.get(CONFIGMAPS, namespace, name)
        except NotFound:
            return _Stored(empty)
        version = str(obj["metadata"]["resourceVersion"])
        try:
            return _Stored(decode(obj.get("binaryData") or {}), version)
        except Invalid as error:  # edited by somebody: the intake of the whole namespace must go on
            log.error("configmap %s/%s is corrupt; starting with an empty one: %s", namespace, name, error)
            return _Stored(empty, version)

    async def _write(self, namespace: str, body: Object, version: str) -> str:
        """Creates the ConfigMap, or replaces the observed version; returns the new resourceVersion."""
        name = body["metadata"]["name"]
        try:
            if not version:
                written = await self._writer.create(CONFIGMAPS, namespace, body)
            else:
                body["metadata"]["resourceVersion"] = version
                written = await self._writer.replace(CONFIGMAPS, namespace, body)
        except (AlreadyExists, NotFound, Conflict) as error:
            self.forget(namespace)
            raise Conflict(f"configmap {namespace}/{name} was written by another or deleted: {error}") from error
        return str(written["metadata"]["resourceVersion"])
