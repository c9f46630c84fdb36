"""One drill, step by step: each waits on a condition with a deadline, and live is good again however it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.core.drill import stages
from opsloop.core.drill.order import Order, own_case
from opsloop.core.drill.stages import Seen
from opsloop.core.release import identity
from opsloop.core.release.revisions import digest
from opsloop.errors import AlreadyExists, NotFound, OpsloopError, Retryable, Unavailable
from opsloop.shell.drill import putting_back
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, RELEASES, Clock, Reader, Writer

LOOK = 1.0  # seconds between two looks
SENDS = 5  # of one ticket, where the intake does not answer
CLOSING = timedelta(seconds=60)  # for what follows a promotion: the Incident sees it


class Cluster(Reader, Writer, Protocol):
    """The API server, with the caller's own rights."""


class Desk(Protocol):
    """Sends users' tickets."""

    async def send(self, ticket: Mapping[str, Any]) -> None:
        """Returns when the intake has stored it; else Unavailable, Forbidden or Invalid."""
        ...


class BrokeOff(OpsloopError):
    """The drill cannot go on; the message says at what, and what was seen."""


@dataclass
class Drill:
    """`pause` waits for seconds, `say` tells the person one line."""

    cluster: Cluster
    clock: Clock
    order: Order
    pause: Callable[[float], Awaitable[None]]
    say: Callable[[str], None]
    desk: Desk | None = None
    began: datetime | None = None  # since when the bad template may be live
    incident: str = ""
    leaving: bool = False  # live is being put back: nothing may stop that
    unheard: set[str] = field(default_factory=set)
    """resourceVersions under which a write had no answer: it may still arrive."""
    remarks: list[str] = field(
        default_factory=list
    )  # what did not come about, and does not keep the drill from going on

    async def run(self) -> str:
        """All of it; the name of the Incident. Raises BrokeOff, or what it was cancelled with, once live is put back."""
        try:
            await self._break()
            await self._mitigated()
            await self._learn()
            await self._ship()
        except OpsloopError as error:
            await self._leave(str(error))
            raise BrokeOff(str(error)) from error
        except BaseException as error:  # cancelled, or a fault of ours: users come first
            stopped = isinstance(error, asyncio.CancelledError)
            await self._leave("the drill was stopped" if stopped else f"{type(error).__name__}: {error}")
            raise
        return self.incident

    async def _leave(self, why: str) -> None:
        self.leaving = True
        self.say(f"breaking off: {why}")
        await asyncio.shield(putting_back.put_back(self.cluster, self.order, self.pause, self.say, self.unheard))

    # the stages

    async def _break(self) -> None:
        order = self.order
        self.began = self.clock.now()
        self.say(f"break: Deployment {order.workload}, {order.changes}")
        stored = await self.cluster.get(DEPLOYMENTS, order.namespace, order.workload)
        if digest(stored["spec"]["template"]) != digest(order.good):
            raise BrokeOff(f"somebody else has changed Deployment {order.workload} since the plan was made")
        writing = asyncio.ensure_future(putting_back.write_template(self.cluster, order, stored, order.bad))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:  # a write under way arrives all the same: what is put back must come after it
            await asyncio.wait({writing})
            raise
        finally:
            ended = writing.done() and not writing.cancelled()
            if ended and isinstance(writing.exception(), Unavailable):
                self.unheard.add(stored["metadata"]["resourceVersion"])
            elif ended and writing.exception() is None:
                self.order = replace(order, bad=writing.result())  # as admission made it

    async def _mitigated(self) -> None:
        """Until live is good again; the deadline counts from the break, because users are harmed since then."""
        order, began = self.order, self.began or self.clock.now()
        ends = began + order.deadline

        async def detected() -> Seen:
            return stages.detected(await self._incidents(), order.release, began)

        await self._until("detect: an Incident of sev1", ends, detected)
        found = stages.opened(await self._incidents(), order.release, began)
        assert found is not None
        self.incident = found.metadata.name
        await self._report(ends)
        release = await self._release()
        stamps = release.spec.ignore_stamps
        good = identity.identify(order.good, release.status.revisions, {}, stamps) or digest(order.good, stamps)

        async def mitigated() -> Seen:
            return stages.mitigated(await self._incident(), await self._release(), good)

        await self._until("mitigate: the good revision is live, and the SLI is back", ends, mitigated)

        async def resolved() -> Seen:
            return stages.resolved(await self._incident())

        await self._until("resolve: the SLI stays back", self.clock.now() + order.patience, resolved)

    async def _report(self, ends: datetime) -> None:
        """Users' tickets. One that cannot be sent is only remarked: the gate counts it as lost."""
        for ticket in self.order.tickets if self.desk else ():
            name = ticket.get("id") or ticket.get("subject")
            if self.clock.now() >= ends:
                self._remark(f"report: ticket {name} was not sent: the deadline came first")
                continue
            for last in (False,) * (SENDS - 1) + (True,):
                last = last or self.clock.now() >= ends
                try:
                    assert self.desk is not None
                    await self.desk.send(ticket)
                    self.say(f"report: ticket {name} is sent")
                except Retryable as error:
                    if last:
                        self._remark(f"report: ticket {name} was not sent: {error}")
                    else:
                        await self.pause(LOOK)
                        continue
                except OpsloopError as error:
                    self._remark(f"report: ticket {name} was not sent: {error}")
                break

    async def _learn(self) -> None:
        if self.order.case is not None:
            await self._create_case()

        async def learnt() -> Seen:
            incident = await self._incident()
            return stages.learnt(incident, await self._case(incident.status.eval_case))

        await self._if_possible("learn: a proven EvalCase and a postmortem", self.order.learning, learnt)

    async def _create_case(self) -> None:
        """The caller's case, with the two revisions that prove it."""
        incident, order = await self._incident(), self.order
        rollback = incident.status.rollback
        if rollback is None:
            self._remark("no EvalCase was created: nothing was rolled back, so no revision is known to be bad")
            return
        body = own_case(order, incident.metadata.name, rollback.from_digest, rollback.to_digest)
        name = body["metadata"]["name"]
        try:
            await self.cluster.create(EVALCASES, order.namespace, body)
        except AlreadyExists:
            self._remark(f"the EvalCase of --case was not created: opsloop captured {name} already")
        else:
            self.say(f"learn: EvalCase {name} is created")

    async def _ship(self) -> None:
        version, _ = self.order.fix
        self.say(f"ship: Release {self.order.release} at {version}, {self.order.fix_images}")
        stored = await self.cluster.get(RELEASES, self.order.namespace, self.order.release)
        try:
            await putting_back.write_spec(self.cluster, self.order, stored, self.order.fix)
        except (Unavailable, asyncio.CancelledError):
            self.unheard.add(stored["metadata"]["resourceVersion"])
            raise

        async def promoted() -> Seen:
            return stages.promoted(await self._release(), version)

        await self._until(f"ship: {version} is promoted", self.clock.now() + self.order.patience, promoted)

        async def closed() -> Seen:
            return stages.closed(await self._incident())

        await self._if_possible("close: this Incident's case ran for the promotion", CLOSING, closed)

    # looking

    async def _incidents(self) -> list[Incident]:
        found = await self.cluster.list(INCIDENTS, self.order.namespace)
        return [Incident.model_validate(item) for item in found]

    async def _incident(self) -> Incident:
        return Incident.model_validate(await self.cluster.get(INCIDENTS, self.order.namespace, self.incident))

    async def _release(self) -> Release:
        return Release.model_validate(await self.cluster.get(RELEASES, self.order.namespace, self.order.release))

    async def _case(self, name: str) -> EvalCase | None:
        try:
            return (
                EvalCase.model_validate(await self.cluster.get(EVALCASES, self.order.namespace, name)) if name else None
            )
        except NotFound:
            return None

    async def _if_possible(self, what: str, patience: timedelta, look: Callable[[], Awaitable[Seen]]) -> None:
        """As `_until`, but what is not reached is only remarked: the gate has the say."""
        try:
            await self._until(what, self.clock.now() + patience, look)
        except BrokeOff as error:
            self._remark(str(error))

    def _remark(self, text: str) -> None:
        self.remarks.append(text)
        self.say(text)

    async def _until(self, what: str, ends: datetime, look: Callable[[], Awaitable[Seen]]) -> None:
        """Looks until it is reached; says each change of what is seen. Raises BrokeOff at the end, and where there is no hope.

        The API server may be away for a while: it is asked again until the deadline.
        """
        began, told = self.clock.now(), ""
        while True:
            try:
                seen = await look()
            except Retryable as error:
                seen = Seen(False, f"not known: {error}")
            if seen.text != told:
                self.say(f"   {seen.text}")
                told = seen.text
            if seen.reached:
                self.say(f"{what}: after {format_duration(_whole(self.clock.now() - began))}")
                return
            if seen.hopeless:
                raise BrokeOff(f"{what}: {seen.hopeless}")
            if self.clock.now() >= ends:
                raise BrokeOff(f"{what}: not within {format_duration(_whole(ends - began))}; {seen.text}")
            await self.pause(LOOK)


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=max(1, round(duration.total_seconds())))
