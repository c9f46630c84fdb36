"""What the intake could not take as it came is said: a metric, a line in the log and an Event in the namespace."""

import asyncio
import logging
from collections.abc import Callable

from opsloop.core.decision import Event
from opsloop.core.text import line
from opsloop.shell.ports import Events, Instruments, Object

# Reasons of the Events, on the Namespace
ALERTS_SET_ASIDE = "AlertsSetAside"  # they break a rule; the others of their body are stored
ALERTS_TRUNCATED = "AlertsTruncated"  # the sender left them out
ENTRY_SET_ASIDE = "InboxEntrySetAside"  # not opsloop's, or unreadable; it is left where it is
ALERTS_LEFT_OUT = "AlertsLeftOut"  # the ledger of an Incident is full: further alerts on it are not counted
TICKETS_CUT = "TicketsCut"  # the queue is full: the texts of its oldest tickets were cut
TICKETS_LEFT_OUT = "TicketsLeftOut"  # the queue is full: its oldest tickets were left out

WHAT = {
    ALERTS_SET_ASIDE: "alerts",
    ALERTS_TRUNCATED: "truncated",
    ENTRY_SET_ASIDE: "entries",
    ALERTS_LEFT_OUT: "left-out",
    TICKETS_CUT: "texts",
    TICKETS_LEFT_OUT: "tickets",
}  # label of the metric
MOST_WAITING = 100  # Events that wait to be posted; more of them say nothing new

Tell = Callable[[str, str, int, str], None]
"""`tell(namespace, reason, count, text)`: `Notices.tell`, or `nobody`."""

log = logging.getLogger("opsloop.intake")


def nobody(namespace: str, reason: str, count: int, text: str) -> None:
    """Tells nobody."""


class Notices:
    """Tells people of one process's intake. Posts Events in the background; raises nothing."""

    def __init__(self, events: Events, instruments: Instruments) -> None:
        self._events, self._instruments = events, instruments
        self._posting: set[asyncio.Task[None]] = set()

    def tell(self, namespace: str, reason: str, count: int, text: str) -> None:
        """`reason` is one of the above; `text` may hold what a sender wrote."""
        self._instruments.set_aside(WHAT[reason], count)
        message = line(text)
        log.warning("%s: %s: %s", namespace, reason, message, extra={"object": f"Namespace/{namespace}"})
        if len(self._posting) < MOST_WAITING:
            task = asyncio.create_task(self._events.post(_namespace(namespace), Event(reason, message, "Warning")))
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)


def _namespace(name: str) -> Object:
    """The object of the Event; its Events lie in the namespace itself, so that its people may read them."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "namespace": name}}
