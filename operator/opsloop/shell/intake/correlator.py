"""Carries out `core.correlation.decide` for one namespace: inbox → Incidents, ledgers, ticket queue.

Crash-safe by order: create Incidents, write ledgers (keyed, so filing twice is nothing), write the ticket queue, and
only then delete inbox entries. Dying between any two writes leaves an inbox that leads to the same end again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from opsloop.api.incident import Incident
from opsloop.api.meta import API_VERSION
from opsloop.core.actions import CreateIncident
from opsloop.core.codec import Entry, decode_entry
from opsloop.core.correlation.decide import REOPEN_GRACE, CorrelateFacts, CorrelatePlan, decide, relevant
from opsloop.core.facts import Ledger, ReleaseView
from opsloop.errors import AlreadyExists, Conflict, Invalid
from opsloop.names import INBOX
from opsloop.shell.intake.ledger_store import Shelf
from opsloop.shell.ports import CONFIGMAPS, INCIDENTS, Clock, Object, Reader, Writer

log = logging.getLogger(__name__)

CACHE_LAG = timedelta(minutes=1)  # an Incident of ours that the cache does not show for so long was deleted
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
class _Memory:
    """What is remembered of one namespace; all of it can be read again."""

    since: datetime
    shelf: Shelf
    hints: int = 1  # the first look lists
    listed: int = 0  # hints that the last LIST answered
    created: dict[str, tuple[datetime, Incident]] = field(default_factory=dict)  # not yet shown by the cache


Inbox = Mapping[str, tuple[str, Entry]]  # ConfigMap → (uid, content)


class Correlator:
    """The one writer of Incident creations, ledgers and the ticket queue, for all namespaces."""

    def __init__(self, world: World, grace: timedelta = REOPEN_GRACE) -> None:
        """`grace`: how long after its resolution core.incident.decide reopens an Incident; the two must agree."""
        self._world, self._grace = world, grace
        self._memory: dict[str, _Memory] = {}

    def hint(self, namespace: str) -> None:
        """Something new lies in the inbox (`Inbox.on_commit`)."""
        self._of(namespace).hints += 1

    async def leftovers(self, namespaces: Sequence[str] = ()) -> set[str]:
        """Namespaces with inbox entries: what a process that died had stored and not filed. Empty = look in all.

        To be asked on gaining leadership and at each resync; each found namespace then wants a pass.
        """
        found: set[str] = set()
        for namespace in namespaces or ("",):
            items = await self._world.reader.list(CONFIGMAPS, namespace, {INBOX: "true"})
            found |= {item["metadata"]["namespace"] for item in items}
        for namespace in found:
            self.hint(namespace)
        return found

    def forget(self, namespace: str = "") -> None:
        """Trust nothing in memory: on gaining leadership (all), after a Conflict (one)."""
        for name in [namespace] if namespace else list(self._memory):
            self._memory.pop(name, None)

    def ledger(self, namespace: str, incident: str) -> Ledger | None:
        """The ledger as last read or written here, None where it is not in memory."""
        memory = self._memory.get(namespace)
        return memory.shelf.known_ledger(incident) if memory else None

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
        inbox = await self._list_inbox(namespace, memory)
        facts = await self._observe(namespace, memory, inbox, now)
        plan = decide(facts, now)
        await self._apply(namespace, memory, facts, plan)
        await self._clear(namespace, inbox, plan)
        memory.listed = memory.listed if plan.held else hints
        return plan.look_again

    # observe

    async def _list_inbox(self, namespace: str, memory: _Memory) -> Inbox:
        """No call where nothing is expected."""
        if memory.hints == memory.listed:
            return {}
        found = await self._world.reader.list(CONFIGMAPS, namespace, {INBOX: "true"})
        await memory.shelf.load_queue()
        return {item["metadata"]["name"]: (item["metadata"]["uid"], entry) for item in found if (entry := _entry(item))}

    async def _observe(self, namespace: str, memory: _Memory, inbox: Inbox, now: datetime) -> CorrelateFacts:
        incidents, shelf = self._incidents(namespace, memory, now), memory.shelf
        needed = relevant(incidents, now, self._grace) if inbox or shelf.queue else []
        return CorrelateFacts(
            namespace=namespace,
            releases=tuple(self._world.releases(namespace)),
            incidents=tuple(incidents),
            ledgers={i.metadata.name: await shelf.ledger(i.metadata.name) for i in needed},
            owners=self._world.owners(namespace),
            alerts=tuple(a for _, entry in inbox.values() for a in entry.alerts),
            tickets=tuple(t for _, entry in inbox.values() for t in entry.tickets),
            queue=shelf.queue,
            grace=self._grace,
            since=memory.since,
        )

    def _incidents(self, namespace: str, memory: _Memory, now: datetime) -> list[Incident]:
        """The cache, and what this process created that the cache does not show yet."""
        cached = {i.metadata.name: i for i in self._world.incidents(namespace)}
        since = now - CACHE_LAG
        memory.created = {n: new for n, new in memory.created.items() if n not in cached and new[0] > since}
        memory.shelf.keep_only([*cached, *memory.created])
        return [*cached.values(), *(incident for _, incident in memory.created.values())]

    # apply

    async def _apply(self, namespace: str, memory: _Memory, facts: CorrelateFacts, plan: CorrelatePlan) -> None:
        for action in plan.creates:
            await self._create(namespace, memory, action)
        uids = {i.metadata.name: i.metadata.uid for i in facts.incidents}
        uids |= {name: incident.metadata.uid for name, (_, incident) in memory.created.items()}
        alerts = plan.alerts
        for name in sorted(alerts.keys() | plan.tickets.keys()):
            if await memory.shelf.file(name, uids[name], alerts.get(name, ()), plan.tickets.get(name, ())):
                self._world.wake(("Incident", namespace, name))
        await memory.shelf.store_queue(plan.queue)

    async def _create(self, namespace: str, memory: _Memory, action: CreateIncident) -> None:
        meta = {"name": action.name, "labels": dict(action.labels)}
        body = {"apiVersion": API_VERSION, "kind": "Incident", "metadata": meta, "spec": action.spec.dump()}
        try:
            created = Incident.model_validate(await self._world.writer.create(INCIDENTS, namespace, body))
        except AlreadyExists as error:
            raise Conflict(f"incident {action.name} exists already: the cache is behind") from error
        memory.created[action.name] = self._world.clock.now(), created
        memory.shelf.begin(action.name)
        self._world.wake(("Incident", namespace, action.name))

    async def _clear(self, namespace: str, inbox: Inbox, plan: CorrelatePlan) -> None:
        """Delete the entries of which nothing is held."""
        held = {(a.fingerprint, a.starts_at, a.status) for a in plan.held}
        for name, (uid, entry) in inbox.items():
            if not any((a.fingerprint, a.starts_at, a.status) in held for a in entry.alerts):
                await self._world.writer.delete(CONFIGMAPS, namespace, name, uid)

    def _of(self, namespace: str) -> _Memory:
        if namespace not in self._memory:
            shelf = Shelf(self._world.reader, self._world.writer, namespace)
            self._memory[namespace] = _Memory(self._world.clock.now(), shelf)
        return self._memory[namespace]


def _entry(item: Object) -> Entry | None:
    try:
        return decode_entry(item.get("binaryData") or {})
    except Invalid as error:
        log.error("configmap %s is no inbox entry of opsloop and is left alone: %s", item["metadata"]["name"], error)
        return None
