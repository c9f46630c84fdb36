"""The ConfigMaps that the correlator alone writes: one ledger per Incident, one ticket queue per namespace.

One writer, so what was last read or written is remembered and its resourceVersion is the lock of the next write.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opsloop.api.incident import LinkedTicket
from opsloop.api.meta import API_VERSION
from opsloop.core.alerts import ledger as ledgers
from opsloop.core.facts import Alert, Ledger
from opsloop.core.tickets.queue import decode_queue, encode_queue
from opsloop.core.tickets.triage import Queued
from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.names import INCIDENT, LEDGER, TICKETS, ledger_name
from opsloop.shell.ports import CONFIGMAPS, Object, Reader, Writer

log = logging.getLogger(__name__)

QUEUE = "opsloop-tickets"


@dataclass(frozen=True, slots=True)
class _Kept:
    """As last read or written; `version` "" = it does not exist."""

    version: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    queue: tuple[Queued, ...] = ()


class Shelf:
    """Ledgers and queue of one namespace."""

    def __init__(self, reader: Reader, writer: Writer, namespace: str) -> None:
        self._reader, self._writer, self._namespace = reader, writer, namespace
        self._ledgers: dict[str, _Kept] = {}
        self._queue: _Kept | None = None

    @property
    def queue(self) -> tuple[Queued, ...]:
        """The queue, as far as it has been read."""
        return self._queue.queue if self._queue else ()

    def known_ledger(self, incident: str) -> Ledger | None:
        """From memory only."""
        kept = self._ledgers.get(incident)
        return kept.ledger if kept else None

    def keep_only(self, incidents: Iterable[str]) -> None:
        """Forget the ledgers of Incidents that are gone: they were deleted with them."""
        alive = set(incidents)
        self._ledgers = {name: kept for name, kept in self._ledgers.items() if name in alive}

    def begin(self, incident: str) -> None:
        """The Incident was created just now, so it has no ledger yet: saves a read."""
        self._ledgers[incident] = _Kept()

    async def load_queue(self) -> None:
        """Read the queue, once."""
        if self._queue is None:
            self._queue = await self._read(QUEUE)

    async def ledger(self, incident: str) -> Ledger:
        """Read once, then from memory."""
        if incident not in self._ledgers:
            self._ledgers[incident] = await self._read(ledger_name(incident))
        return self._ledgers[incident].ledger

    async def file(self, incident: str, uid: str, alerts: Sequence[Alert], tickets: Sequence[LinkedTicket]) -> bool:
        """Merge these into the ledger; False: nothing was new and nothing was written. Conflict: look again."""
        before = await self.ledger(incident)
        merged = ledgers.merge(before, alerts, tickets)
        if merged == before:
            return False
        version = await self._write(_ledger_body(incident, uid, merged), self._ledgers[incident].version)
        self._ledgers[incident] = _Kept(version, merged)
        return True

    async def store_queue(self, queue: tuple[Queued, ...]) -> None:
        """Write the whole queue, if it changed. Conflict: look again."""
        kept = self._queue or _Kept()
        if queue != kept.queue:
            version = await self._write(_config_map(QUEUE, {TICKETS: "true"}, encode_queue(queue)), kept.version)
            self._queue = _Kept(version, queue=queue)

    async def _read(self, name: str) -> _Kept:
        try:
            item = await self._reader.get(CONFIGMAPS, self._namespace, name)
        except NotFound:
            return _Kept()
        data, version = item.get("binaryData") or {}, item["metadata"]["resourceVersion"]
        try:
            return _Kept(version, queue=decode_queue(data)) if name == QUEUE else _Kept(version, ledgers.decode(data))
        except Invalid as error:  # somebody edited it: intake must go on for the whole namespace
            log.error("configmap %s/%s is unreadable and begins anew: %s", self._namespace, name, error)
            return _Kept(version)

    async def _write(self, body: Object, version: str) -> str:
        """Create, or replace what was observed; returns the new resourceVersion."""
        name = body["metadata"]["name"]
        try:
            if not version:
                written = await self._writer.create(CONFIGMAPS, self._namespace, body)
            else:
                body["metadata"]["resourceVersion"] = version
                written = await self._writer.replace(CONFIGMAPS, self._namespace, body)
        except (AlreadyExists, NotFound) as error:
            raise Conflict(f"configmap {name} was created or deleted meanwhile") from error
        return str(written["metadata"]["resourceVersion"])


def _ledger_body(incident: str, uid: str, content: Ledger) -> Object:
    label = incident[:63].rstrip("-.")  # the longest value that a label may have
    body = _config_map(ledger_name(incident), {INCIDENT: label, LEDGER: label}, ledgers.encode(content))
    owner = {"apiVersion": API_VERSION, "kind": "Incident", "name": incident, "uid": uid, "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    return body


def _config_map(name: str, labels: Mapping[str, str], data: dict[str, str]) -> Object:
    meta = {"name": name, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "binaryData": data}
