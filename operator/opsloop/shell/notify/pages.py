"""Delivers messages to receivers in the background, so that one that is down delays no mitigation and no other receiver."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from opsloop.core.actions import KeepPage, SendPage, WithdrawPage
from opsloop.core.facts import Delivery
from opsloop.errors import OpsloopError, Unavailable
from opsloop.shell.notify.payload import alert_of, payload
from opsloop.shell.ports import Clock, Instruments, ObjectKey, Pager

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LONGEST_ASKED = 300.0  # of Retry-After: a receiver that asks for more is tried anyway
RESEND = 60.0  # seconds between two repeats of what is kept; Prometheus repeats its own alerts as often
FORGOTTEN = 1800.0  # seconds after which nothing is repeated that no look asks for: whoever would have ended it is gone
DELETED = "Deleted"  # reason of the end of a thread whose Incident was deleted
MOST_KEPT = 2048  # threads without anything to deliver whose outcomes are remembered


@dataclass
class _Thread:
    """Messages of one Incident for one receiver, by number, that are to be delivered in order, and what came of those before."""

    namespace: str
    receiver: str
    pending: dict[int, SendPage] = field(default_factory=dict)
    outcomes: dict[int, Delivery] = field(default_factory=dict)
    last: SendPage | None = None  # the message with the highest number
    task: asyncio.Task[None] | None = None
    withdrawn: asyncio.Event = field(default_factory=asyncio.Event)


class PageSender:
    """Delivers each message at least once to each of its receivers, with a key by which the receiver drops repeats.

    A message waits for those of its thread before it, so that no resolve overtakes the call that it ends. After a restart
    a message that is decided and not stored as sent is delivered again. Receivers do not wait for each other.
    """

    def __init__(
        self, pager: Pager, clock: Clock, on_change: Callable[[ObjectKey], None], instruments: Instruments
    ) -> None:
        """`on_change` requests a reconcile of the Incident or Release, which stores what came of its message."""
        self._pager = pager
        self._clock = clock
        self._on_change = on_change
        self._instruments = instruments
        self._threads: dict[tuple[str, str], _Thread] = {}  # by key of the thread, and receiver
        self._kept: dict[
            tuple[str, str], tuple[str, SendPage]
        ] = {}  # by key of the alert, and receiver: with namespace
        self._asked: dict[tuple[str, str], float] = {}  # the same → when a look asked for it last
        self._repeating: asyncio.Task[None] | None = None

    def send(self, namespace: str, action: SendPage) -> None:
        """Starts the delivery, once per message and receiver; returns at once."""
        for receiver in action.receivers:
            self._send(namespace, receiver, action)

    def _send(self, namespace: str, receiver: str, action: SendPage) -> None:
        thread = self._threads.setdefault((action.thread, receiver), _Thread(namespace, receiver))
        number, outcome = action.message.number, thread.outcomes.get(action.message.number)
        if number in thread.pending or (outcome is not None and outcome.sent_at is not None):
            return
        thread.pending[number] = action
        if action.message.action == "resolve":
            self._kept.pop((alert_of(action), receiver), None)
        if thread.last is None or thread.last.message.number < number:
            thread.last = action
        if thread.task is None or thread.task.done():  # one that has ended takes no further message
            thread.task = asyncio.create_task(self._deliver_all(thread), name=f"page-{action.incident}-{receiver}")

    def keep(self, namespace: str, action: KeepPage) -> None:
        """Repeats what these receivers have taken, each minute until the alert is resolved: they end what nobody repeats.

        Idempotent; the latest words are repeated.
        """
        for receiver in action.page.receivers:
            thread = self._threads.get((action.page.thread, receiver))
            if thread is not None and thread.last is not None and thread.last.message.action == "resolve":
                continue
            self._kept[alert_of(action.page), receiver] = namespace, action.page
            self._asked[alert_of(action.page), receiver] = asyncio.get_running_loop().time()
        if self._kept and (self._repeating is None or self._repeating.done()):
            self._repeating = asyncio.create_task(self._repeat_all(), name="pages-repeated")

    def withdraw(self, action: WithdrawPage) -> None:
        """Stops trying to deliver a message that was given up. Nothing where it is not tried."""
        for receiver in action.receivers:
            thread = self._threads.get((action.thread, receiver))
            if thread is not None and (given_up := thread.pending.pop(action.number, None)) is not None:
                thread.withdrawn.set()
                self._instruments.page(receiver, given_up.message.action, "given_up")
                self._publish(receiver)

    def end(self, namespace: str, incident: str) -> None:
        """Ends the threads of an Incident that was deleted: nothing else tells its receivers. Idempotent.

        Only of threads to which this process sent something: an Incident that was deleted while no opsloop ran leaves its own.
        """
        for last in [*self._last_of(namespace, incident)]:
            if any(t.last is not None and t.last.alert == last.thread for t in self._threads.values()):
                continue  # another Incident's thread goes on with this alert, and ends it
            if last.message.action != "resolve":
                end = {
                    "number": last.message.number + 1,
                    "action": "resolve",
                    "reason": DELETED,
                    "text": "it was deleted",
                }
                self.send(namespace, replace(last, message=last.message.model_copy(update=end)))

    def _last_of(self, namespace: str, incident: str) -> Iterator[SendPage]:
        """The last message of its own thread at each receiver, for that receiver only."""
        for (_, receiver), thread in list(self._threads.items()):
            last = thread.last
            if last is None or (thread.namespace, last.incident) != (namespace, incident) or last.message.group:
                continue
            if last.about.kind == "Incident":
                yield replace(last, receivers=(receiver,))
        for (_, receiver), (where, kept) in list(self._kept.items()):  # taken before this process began
            mine = (where, kept.incident) == (namespace, incident) and not kept.message.group
            if mine and (kept.thread, receiver) not in self._threads:
                yield replace(kept, receivers=(receiver,))

    def drop(self, namespace: str, release: str) -> None:
        """Forgets what a Release that was deleted had to tell. Idempotent."""
        for key, thread in list(self._threads.items()):
            last = thread.last
            if last is None or (last.about.kind, thread.namespace, last.incident) != ("Release", namespace, release):
                continue
            thread.pending.clear()
            thread.withdrawn.set()
            del self._threads[key]
            self._publish(thread.receiver)

    def deliveries(self, key: str) -> Mapping[int, Mapping[str, Delivery]]:
        """What came of an Incident's messages, by number and receiver; empty where this process tried none. `key`: of its own thread."""
        found: dict[int, dict[str, Delivery]] = {}
        for thread in self._of(key):
            for number, outcome in thread.outcomes.items():
                found.setdefault(number, {})[thread.receiver] = outcome
        return found

    def _of(self, key: str) -> list[_Thread]:
        names = {receiver for _, receiver in self._threads}
        return [thread for name in sorted(names) if (thread := self._threads.get((key, name))) is not None]

    async def close(self) -> None:
        """Cancels deliveries under way."""
        tasks = [thread.task for thread in self._threads.values() if thread.task is not None]
        tasks += [self._repeating] if self._repeating is not None else []
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
                "%s %s/%s: message %d not sent to %s, next try in %.0f s: %s",
                action.about.kind.lower(), thread.namespace, action.incident, number, thread.receiver, wait, failure,
            )  # fmt: skip
            thread.withdrawn.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(thread.withdrawn.wait(), wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _try(self, thread: _Thread, action: SendPage) -> OpsloopError | None:
        """One call; None where the receiver took the message."""
        number = action.message.number
        try:
            answer = await self._pager.page(thread.receiver, payload(thread.namespace, action, self._clock.now()))
        except OpsloopError as error:
            self._note(thread, action, Delivery(None, str(error)))
            return error
        except Exception as error:  # a mistake of ours must not end the thread: it would never be tried again
            log.exception("message %d of %s not sent to %s", number, action.incident, thread.receiver)
            failure = OpsloopError(f"{thread.receiver}: {type(error).__name__}")
            self._note(thread, action, Delivery(None, str(failure)))
            return failure
        thread.pending.pop(number, None)
        self._note(thread, action, Delivery(self._clock.now(), answer=answer))
        self._forget_old()
        return None

    async def _repeat_all(self) -> None:
        """Repeats what is kept. What fails is repeated a minute later: the receiver holds the alert for some of them."""
        while self._kept:
            now = asyncio.get_running_loop().time()
            self._asked = {key: at for key, at in self._asked.items() if key in self._kept and now - at < FORGOTTEN}
            self._kept = {key: kept for key, kept in self._kept.items() if key in self._asked}
            await asyncio.gather(*(self._repeat(key, *kept) for key, kept in list(self._kept.items())))
            await asyncio.sleep(RESEND)

    async def _repeat(self, key: tuple[str, str], namespace: str, action: SendPage) -> None:
        _, receiver = key
        try:
            await self._pager.page(receiver, payload(namespace, action, self._clock.now()))
        except OpsloopError as error:
            log.warning("%s/%s: not repeated to %s: %s", namespace, action.incident, receiver, error)
            self._instruments.page(receiver, action.message.action, "failed")
            return
        self._instruments.page(receiver, action.message.action, "resent")
        if key not in self._kept:  # it was resolved meanwhile, and this repeat may have come later than its end
            thread = self._threads.get((action.thread, receiver))
            if thread is not None and thread.last is not None and thread.last.message.action == "resolve":
                self._again(thread, thread.last)

    def _again(self, thread: _Thread, action: SendPage) -> None:
        """Delivers a message once more."""
        thread.outcomes.pop(action.message.number, None)
        self._send(thread.namespace, thread.receiver, action)

    def _note(self, thread: _Thread, action: SendPage, outcome: Delivery) -> None:
        """Remembers the outcome; the object is reconciled where it differs from the one before."""
        receiver = thread.receiver
        self._instruments.page(receiver, action.message.action, "failed" if outcome.sent_at is None else "sent")
        number = action.message.number
        if thread.outcomes.get(number) != outcome:
            thread.outcomes[number] = outcome
            self._on_change((action.about.kind, thread.namespace, action.incident))
        self._publish(receiver)

    def _publish(self, receiver: str) -> None:
        mine = (thread for thread in self._threads.values() if thread.receiver == receiver)
        undelivered = (n in thread.outcomes for thread in mine for n in thread.pending)
        self._instruments.undelivered(receiver, sum(undelivered))

    def _forget_old(self) -> None:
        idle = [key for key, thread in self._threads.items() if not thread.pending]
        for key in idle[: max(0, len(idle) - MOST_KEPT)]:
            del self._threads[key]
