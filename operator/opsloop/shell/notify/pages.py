"""Delivers pages in the background, so that a pager that is down delays no mitigation."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from opsloop.api.meta import format_time
from opsloop.core.actions import SendPage
from opsloop.errors import OpsloopError
from opsloop.shell.ports import Clock, Object, ObjectKey, Pager

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class PageSender:
    """Delivers each page at least once, with a key by which the receiver drops repeats.

    After a restart a page that is decided and not stored as sent is delivered again.
    """

    def __init__(self, pager: Pager, clock: Clock, on_sent: Callable[[ObjectKey], None]) -> None:
        """`on_sent` requests a reconcile of the Incident, which stores that the page was sent."""
        self._pager = pager
        self._clock = clock
        self._on_sent = on_sent
        self._sent: dict[str, datetime] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def send(self, namespace: str, action: SendPage) -> None:
        """Starts the delivery, once per dedup key; returns at once."""
        key = action.page.dedup_key
        if key in self._sent or key in self._tasks:
            return
        task = asyncio.create_task(self._deliver(namespace, action), name=f"page-{action.incident}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def sent_at(self, dedup_key: str) -> datetime | None:
        """Time at which the receiver answered 2xx; None where this process saw no such answer."""
        return self._sent.get(dedup_key)

    async def close(self) -> None:
        """Cancels deliveries under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, namespace: str, action: SendPage) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._pager.page(payload(namespace, action))
            except OpsloopError as error:
                log.error(
                    "incident %s/%s: page not sent, next try in %.0f s: %s", namespace, action.incident, pause, error
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._sent[action.page.dedup_key] = self._clock.now()
                self._on_sent(("Incident", namespace, action.incident))
                return


def payload(namespace: str, action: SendPage) -> Object:
    """Body of the POST: flat JSON with the incident, its severity and the dedup_key."""
    return {
        "dedup_key": action.page.dedup_key,
        "severity": action.page.severity,
        "title": action.title,
        "incident": action.incident,
        "namespace": namespace,
        "decidedAt": format_time(action.page.decided_at),
        "details": dict(action.details),
    }
