"""Delivers messages to the pager in the background, so that a pager that is down delays no mitigation."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from opsloop.api.meta import format_time
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import Delivery
from opsloop.errors import OpsloopError, Unavailable
from opsloop.shell.ports import Clock, Instruments, Object, ObjectKey, Pager

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LONGEST_ASKED = 300.0  # of Retry-After: a receiver that asks for more is tried anyway
DELETED = "Deleted"  # reason of the end of a thread whose Incident was deleted
MOST_KEPT = 2048  # threads without anything to deliver whose outcomes are remembered


@dataclass
class _Thread:
    """Messages of one Incident, by number, that are to be delivered in order, and what came of those before."""

    namespace: str
    pending: dict[int, SendPage] = field(default_factory=dict)
    outcomes: dict[int, Delivery] = field(default_factory=dict)
    last: SendPage | None = None  # the message with the highest number
    task: asyncio.Task[None] | None = None
    withdrawn: asyncio.Event = field(default_factory=asyncio.Event)


class PageSender:
    """Delivers each message at least once, with a key by which the receiver drops repeats.

    A message waits for those of its thread before it, so that no resolve overtakes the call that it ends. After a restart
    a message that is decided and not stored as sent is delivered again.
    """

    def __init__(
        self, pager: Pager, clock: Clock, on_change: Callable[[ObjectKey], None], instruments: Instruments
    ) -> None:
        """`on_change` requests a reconcile of the Incident, which stores what came of its message."""
        self._pager = pager
        self._clock = clock
        self._on_change = on_change
        self._instruments = instruments
        self._threads: dict[str, _Thread] = {}

    def send(self, namespace: str, action: SendPage) -> None:
        """Starts the delivery, once per message; returns at once."""
        thread = self._threads.setdefault(action.thread, _Thread(namespace))
        number, outcome = action.message.number, thread.outcomes.get(action.message.number)
        if number in thread.pending or (outcome is not None and outcome.sent_at is not None):
            return
        thread.pending[number] = action
        if thread.last is None or thread.last.message.number < number:
            thread.last = action
        if thread.task is None or thread.task.done():  # one that has ended takes no further message
            thread.task = asyncio.create_task(self._deliver_all(thread), name=f"page-{action.incident}")

    def withdraw(self, action: WithdrawPage) -> None:
        """Stops trying to deliver a message that was given up. Nothing where it is not tried."""
        thread = self._threads.get(action.thread)
        if thread is not None and (given_up := thread.pending.pop(action.number, None)) is not None:
            thread.withdrawn.set()
            self._instruments.page(given_up.message.action, "given_up")
            self._publish()

    def end(self, namespace: str, incident: str) -> None:
        """Ends the threads of an Incident that was deleted: nothing else tells the pager. Idempotent.

        Only of threads to which this process sent something: an Incident that was deleted while no opsloop ran leaves its own.
        """
        for thread in list(self._threads.values()):
            last = thread.last
            if last is None or (thread.namespace, last.incident) != (namespace, incident) or last.message.group:
                continue
            if any(other.last is not None and other.last.alert == last.thread for other in self._threads.values()):
                continue  # another Incident's thread goes on with this alert, and ends it
            if last.message.action != "resolve":
                end = {
                    "number": last.message.number + 1,
                    "action": "resolve",
                    "reason": DELETED,
                    "text": "it was deleted",
                }
                self.send(namespace, replace(last, message=last.message.model_copy(update=end)))

    def deliveries(self, key: str) -> Mapping[int, Delivery]:
        """What came of an Incident's messages, by number; empty where this process tried none. `key`: of its own thread."""
        thread = self._threads.get(key)
        return dict(thread.outcomes) if thread else {}

    async def close(self) -> None:
        """Cancels deliveries under way."""
        tasks = [thread.task for thread in self._threads.values() if thread.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_all(self, thread: _Thread) -> None:
        pause = FIRST_PAUSE
        while thread.pending:
            number = min(thread.pending)
            action = thread.pending[number]
            failure = await self._try(thread, action)
            if failure is None:
                pause = FIRST_PAUSE
                continue
            asked = failure.after if isinstance(failure, Unavailable) and failure.after else 0.0
            wait = max(pause, min(asked, LONGEST_ASKED))
            log.error(
                "incident %s/%s: page %d not sent, next try in %.0f s: %s",
                thread.namespace, action.incident, number, wait, failure,
            )  # fmt: skip
            thread.withdrawn.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(thread.withdrawn.wait(), wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, thread: _Thread, action: SendPage) -> OpsloopError | None:
        """One call; None where the pager took the message."""
        number = action.message.number
        try:
            await self._pager.page(payload(thread.namespace, action))
        except OpsloopError as error:
            self._note(thread, action, Delivery(None, str(error)))
            return error
        thread.pending.pop(number, None)
        self._note(thread, action, Delivery(self._clock.now()))
        self._forget_old()
        return None

    def _note(self, thread: _Thread, action: SendPage, outcome: Delivery) -> None:
        """Remembers the outcome; the Incident is reconciled where it differs from the one before."""
        self._instruments.page(action.message.action, "failed" if outcome.sent_at is None else "sent")
        number = action.message.number
        if thread.outcomes.get(number) != outcome:
            thread.outcomes[number] = outcome
            self._on_change(("Incident", thread.namespace, action.incident))
        self._publish()

    def _publish(self) -> None:
        undelivered = (n in thread.outcomes for thread in self._threads.values() for n in thread.pending)
        self._instruments.undelivered(sum(undelivered))

    def _forget_old(self) -> None:
        idle = [key for key, thread in self._threads.items() if not thread.pending]
        for key in idle[: max(0, len(idle) - MOST_KEPT)]:
            del self._threads[key]


def payload(namespace: str, action: SendPage) -> Object:
    """Body of the POST: flat JSON with the dedup_key of the alert, the action, and the message's own id."""
    message = action.message
    return {
        "dedup_key": message.group or action.alert or action.thread,
        "message_id": f"{action.thread}/{message.number}",
        "action": message.action,
        "reason": message.reason,
        "severity": message.severity,
        "title": action.title,
        "message": message.text,
        "incident": action.incident,
        "namespace": namespace,
        "decidedAt": format_time(message.decided_at),
        "details": dict(action.details),
    }
