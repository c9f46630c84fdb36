"""Group commit: what callers put within 250 ms becomes one ConfigMap, and each learns that the API server holds it.

A caller is answered 2xx only after that write, so a crash before it loses nothing that was promised.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opsloop.core.codec import encode_entries
from opsloop.core.facts import Alert, Ticket
from opsloop.errors import Unavailable
from opsloop.names import INBOX
from opsloop.shell.ports import CONFIGMAPS, Object, Writer

WINDOW = 0.25  # seconds
MAX_PENDING = 50_000  # alerts and tickets that are not stored yet, over all namespaces


@dataclass(slots=True)
class _Batch:
    """What waits for one commit in one namespace."""

    alerts: list[Alert] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Inbox:
    """Stores intake durably. Not for use before an event loop runs."""

    def __init__(
        self,
        writer: Writer,
        on_commit: Callable[[str], None],
        window: float = WINDOW,
        max_pending: int = MAX_PENDING,
    ) -> None:
        """`on_commit(namespace)` is called when something new lies there; `window` in seconds."""
        self._writer, self._on_commit, self._window, self._max_pending = writer, on_commit, window, max_pending
        self._batches: dict[str, _Batch] = {}
        self._commits: set[asyncio.Task[None]] = set()
        self._pending = 0

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        """Returns when the API server holds them. Unavailable: overload, or the write failed; nothing was promised."""
        if alerts:
            await self._put(namespace, alerts, ())

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        """Returns when the API server holds it. Unavailable as above."""
        await self._put(namespace, (), (ticket,))

    async def close(self) -> None:
        """Waits for the commits that are under way."""
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
            for data in encode_entries(batch.alerts, batch.tickets):
                await self._writer.create(CONFIGMAPS, namespace, _entry(data))
        except BaseException as error:
            self._batches.pop(namespace, None)
            _fail(batch.stored, error)
            if not isinstance(error, Exception):
                raise
        else:
            batch.stored.set_result(None)
            self._on_commit(namespace)


def _fail(stored: asyncio.Future[None], error: BaseException) -> None:
    stored.set_exception(Unavailable(f"not stored: {error}", getattr(error, "after", None)))
    stored.exception()  # seen, also where every caller has hung up


def _entry(data: dict[str, str]) -> Object:
    name = f"opsloop-inbox-{uuid.uuid4().hex}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {INBOX: "true"}},
        "binaryData": data,
        "immutable": True,
    }
