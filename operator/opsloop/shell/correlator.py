"""Carries out `core.correlate` for one namespace: inbox → Incidents, ledgers, ticket queue.

Crash-safe by order: create Incidents, write ledgers (keyed, so filing twice is nothing), write the ticket queue, and
only then delete inbox entries. Dying between any two writes leaves an inbox that leads to the same end again.
Ledgers and the queue have one writer, so what was last written is kept in memory, with its resourceVersion as lock.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION
from opsloop.core import ledger as ledgers
from opsloop.core.codec import Entry, decode_entry
from opsloop.core.correlate import CorrelateFacts, CorrelatePlan, decide, relevant
from opsloop.core.facts import Ledger, ReleaseView
from opsloop.core.queue import decode_queue, encode_queue
from opsloop.core.triage import Queued
from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.names import INBOX, INCIDENT, LEDGER, TICKETS, ledger_name
from opsloop.shell.ports import CONFIGMAPS, INCIDENTS, Clock, Object, Reader, Writer

log = logging.getLogger(__name__)

QUEUE = "opsloop-tickets"
CACHE_LAG = timedelta(minutes=1)  # an Incident of ours that the cache does not show for so long was deleted
RELIST = timedelta(minutes=5)  # an inbox entry whose hint was lost is found at the latest then
Key = tuple[str, str, str]  # kind, namespace, name


class World(Protocol):
    """What the correlator needs of its surroundings."""

    @property
    def reader(self) -> Reader:
        """Live reads."""
        ...

    @property
    def writer(self) -> Writer:
        """Fenced writes."""
        ...

    @property
    def clock(self) -> Clock:
        """Wall time."""
        ...

    def releases(self, namespace: str) -> Sequence[ReleaseView]:
        """All Releases of a namespace with their latest readings, from the cache."""
        ...

    def incidents(self, namespace: str) -> Sequence[Incident]:
        """All Incidents of a namespace, from the cache."""
        ...

    def owners(self, namespace: str) -> Mapping[str, str]:
        """Service or workload name → Release, where the names differ; may be empty."""
        ...

    def wake(self, key: Key) -> None:
        """Look at this object soon."""
        ...


@dataclass(slots=True)
class _Stored:
    """A ConfigMap of ours as it was last read or written; `version` "" = it does not exist."""

    version: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    queue: tuple[Queued, ...] = ()


@dataclass(slots=True)
class _Memory:
    """What is remembered of one namespace; all of it can be read again."""

    since: datetime
    hints: int = 1  # the first look lists
    listed: int = 0
    listed_at: datetime | None = None
    ledgers: dict[str, _Stored] = field(default_factory=dict)
    queue: _Stored | None = None
    created: dict[str, tuple[datetime, Incident]] = field(default_factory=dict)  # not yet shown by the cache


class Correlator:
    """The one writer of Incident creations, ledgers and the ticket queue, for all namespaces."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._memory: dict[str, _Memory] = {}

    def hint(self, namespace: str) -> None:
        """Something new lies in the inbox (`Inbox.on_commit`)."""
        self._of(namespace).hints += 1

    def forget(self, namespace: str = "") -> None:
        """Trust nothing in memory: on gaining leadership (all), after a Conflict (one)."""
        for name in [namespace] if namespace else list(self._memory):
            self._memory.pop(name, None)

    def ledger(self, namespace: str, incident: str) -> Ledger | None:
        """The ledger as last read or written here, None where it is not in memory: saves `core.incident` a read."""
        memory = self._memory.get(namespace)
        stored = memory.ledgers.get(incident) if memory else None
        return stored.ledger if stored else None

    async def reconcile_namespace(self, namespace: str) -> timedelta | None:
        """One pass; returns when to look again at the latest. Conflict: what was observed is stale, call again."""
        try:
            return await self._pass(namespace)
        except Conflict:
            since = self._of(namespace).since
            self.forget(namespace)
            self._of(namespace).since = since  # settling does not begin anew
            raise

    async def _pass(self, namespace: str) -> timedelta | None:
        memory, now = self._of(namespace), self._world.clock.now()
        hints = memory.hints
        inbox = await self._inbox(namespace, memory, now)
        facts = await self._observe(namespace, memory, inbox, now)
        plan = decide(facts, now)
        await self._apply(namespace, memory, facts, plan)
        await self._clear(namespace, inbox, plan)
        memory.listed = memory.listed if plan.held else hints
        return plan.look_again

    # observe

    async def _inbox(self, namespace: str, memory: _Memory, now: datetime) -> dict[str, tuple[str, Entry]]:
        """Name → (uid, entry). No call where nothing is expected."""
        due = memory.listed_at is None or now - memory.listed_at >= RELIST
        if memory.hints == memory.listed and not due:
            return {}
        found = await self._world.reader.list(CONFIGMAPS, namespace, {INBOX: "true"})
        memory.listed_at = now
        return {item["metadata"]["name"]: (item["metadata"]["uid"], entry) for item in found if (entry := _entry(item))}

    async def _observe(
        self, namespace: str, memory: _Memory, inbox: Mapping[str, tuple[str, Entry]], now: datetime
    ) -> CorrelateFacts:
        incidents = self._incidents(namespace, memory)
        if memory.queue is None and (inbox or memory.listed_at == now):
            memory.queue = await self._read(namespace, QUEUE)
        queue = memory.queue.queue if memory.queue else ()
        known: dict[str, Ledger] = {}
        for incident in relevant(incidents, now) if inbox or queue else ():
            name = incident.metadata.name
            if name not in memory.ledgers:
                memory.ledgers[name] = await self._read(namespace, ledger_name(name))
            known[name] = memory.ledgers[name].ledger
        return CorrelateFacts(
            namespace=namespace,
            releases=tuple(self._world.releases(namespace)),
            incidents=tuple(incidents),
            ledgers=known,
            owners=self._world.owners(namespace),
            alerts=tuple(a for _, entry in inbox.values() for a in entry.alerts),
            tickets=tuple(t for _, entry in inbox.values() for t in entry.tickets),
            queue=queue,
            since=memory.since,
        )

    def _incidents(self, namespace: str, memory: _Memory) -> list[Incident]:
        """The cache, and what this process created that the cache does not show yet."""
        cached = {i.metadata.name: i for i in self._world.incidents(namespace)}
        since = self._world.clock.now() - CACHE_LAG
        memory.created = {n: new for n, new in memory.created.items() if n not in cached and new[0] > since}
        for name in memory.ledgers.keys() - cached.keys() - memory.created.keys():
            del memory.ledgers[name]  # the Incident is gone, and its ledger with it
        return [*cached.values(), *(incident for _, incident in memory.created.values())]

    async def _read(self, namespace: str, name: str) -> _Stored:
        try:
            item = await self._world.reader.get(CONFIGMAPS, namespace, name)
        except NotFound:
            return _Stored()
        data, version = item.get("binaryData", {}), item["metadata"]["resourceVersion"]
        try:
            return (
                _Stored(version, queue=decode_queue(data)) if name == QUEUE else _Stored(version, ledgers.decode(data))
            )
        except Invalid as error:  # somebody edited it: intake must go on for the whole namespace
            log.error("configmap %s/%s is unreadable and begins anew: %s", namespace, name, error)
            return _Stored(version)

    # apply

    async def _apply(self, namespace: str, memory: _Memory, facts: CorrelateFacts, plan: CorrelatePlan) -> None:
        for action in plan.creates:
            body = {
                "apiVersion": API_VERSION,
                "kind": "Incident",
                "metadata": {"name": action.name, "labels": dict(action.labels)},
                "spec": action.spec.dump(),
            }
            try:
                created = Incident.model_validate(await self._world.writer.create(INCIDENTS, namespace, body))
            except AlreadyExists as error:
                raise Conflict(f"incident {action.name} exists already: the cache is behind") from error
            memory.created[action.name] = self._world.clock.now(), created
            self._world.wake(("Incident", namespace, action.name))
        uids = {i.metadata.name: i.metadata.uid for i in facts.incidents}
        uids |= {name: incident.metadata.uid for name, (_, incident) in memory.created.items()}
        for name in sorted(plan.alerts.keys() | plan.tickets.keys()):
            await self._file(namespace, memory, name, uids[name], plan)
        await self._store_queue(namespace, memory, plan)

    async def _file(self, namespace: str, memory: _Memory, incident: str, uid: str, plan: CorrelatePlan) -> None:
        stored = memory.ledgers.get(incident) or _Stored()
        merged = ledgers.merge(stored.ledger, plan.alerts.get(incident, ()), plan.tickets.get(incident, ()))
        if merged == stored.ledger:
            return
        body = _ledger_body(incident, uid, ledgers.encode(merged))
        memory.ledgers[incident] = _Stored(await self._write(namespace, body, stored.version), merged)
        self._world.wake(("Incident", namespace, incident))

    async def _store_queue(self, namespace: str, memory: _Memory, plan: CorrelatePlan) -> None:
        stored = memory.queue or _Stored()
        if plan.queue == stored.queue:
            return
        body = _config_map(QUEUE, {TICKETS: "true"}, encode_queue(plan.queue))
        memory.queue = _Stored(await self._write(namespace, body, stored.version), queue=plan.queue)

    async def _write(self, namespace: str, body: Object, version: str) -> str:
        """Create, or replace what was observed; returns the new resourceVersion."""
        if version:
            body["metadata"]["resourceVersion"] = version
            try:
                written = await self._world.writer.replace(CONFIGMAPS, namespace, body)
            except NotFound as error:
                raise Conflict(f"{body['metadata']['name']} was deleted meanwhile") from error
        else:
            try:
                written = await self._world.writer.create(CONFIGMAPS, namespace, body)
            except AlreadyExists as error:
                raise Conflict(f"{body['metadata']['name']} was created meanwhile") from error
        return str(written["metadata"]["resourceVersion"])

    async def _clear(self, namespace: str, inbox: Mapping[str, tuple[str, Entry]], plan: CorrelatePlan) -> None:
        """Delete the entries of which nothing is held."""
        held = {(a.fingerprint, a.starts_at, a.status) for a in plan.held}
        for name, (uid, entry) in inbox.items():
            if not any((a.fingerprint, a.starts_at, a.status) in held for a in entry.alerts):
                await self._world.writer.delete(CONFIGMAPS, namespace, name, uid)

    def _of(self, namespace: str) -> _Memory:
        return self._memory.setdefault(namespace, _Memory(self._world.clock.now()))


def _entry(item: Object) -> Entry | None:
    try:
        return decode_entry(item.get("binaryData", {}))
    except Invalid as error:
        log.error("configmap %s is no inbox entry of opsloop and is left alone: %s", item["metadata"]["name"], error)
        return None


def _ledger_body(incident: str, uid: str, data: dict[str, str]) -> Object:
    label = incident[:63].rstrip("-.")
    body = _config_map(ledger_name(incident), {INCIDENT: label, LEDGER: label}, data)
    owner = {"apiVersion": API_VERSION, "kind": "Incident", "name": incident, "uid": uid, "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    return body


def _config_map(name: str, labels: Mapping[str, str], data: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": dict(labels)},
        "binaryData": data,
    }
