"""Two replicas over one API server: both store, the holder of the Lease files what either stored, once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from opsloop.core.alerts.ledger import counts
from opsloop.core.codec import decode_ledger, decode_queue
from opsloop.core.reported import Alert, Ledger
from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.errors import Forbidden, Unavailable
from opsloop.names import INBOX, TICKET_QUEUE, ledger_name
from opsloop.shell.intake.arrivals import RETRY, Arrivals
from opsloop.shell.ports import CONFIGMAPS, Object
from opsloop.simulator.fakes.cluster import FakeCluster
from opsloop.simulator.fakes.gateway import Gateway, Weak
from opsloop.simulator.fakes.ports import FakePorts
from tests.builders.correlation import NS, alert, ticket
from tests.fakes.telemetry import FakeTelemetry

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

WISH = ticket("Dark mode", "It would be lovely to have a dark mode.", id="HD-2")
SOON = 3.0  # seconds until what was stored is filed: group commit, the watch, and one pause of the throttle


def alerts(first: int, count: int = 1) -> list[Alert]:
    """Of a kind that waits for no others: the clock stands still here."""
    return [alert("IndexStale", "web", severity="info", pod=f"web-{n}") for n in range(first, first + count)]


class Replica:
    """One process: it holds the Lease between `lead` and its death."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.gateway = Gateway(cluster, Weak(), Random(1))
        self.gateway.fenced = True
        self.operator = Operator(FakePorts(cluster, FakeTelemetry(), gateway=self.gateway).ports(), Settings())
        self._tasks: list[asyncio.Task[Any]] = []

    async def lead(self) -> None:
        """Gains the Lease, with a cache that is current, as that of a standby is."""
        await self.operator.resync()
        self.gateway.fenced = False
        self._tasks = [asyncio.create_task(self.operator.queue.run()), asyncio.create_task(self.operator.lead())]
        await asyncio.sleep(0)

    async def die(self) -> None:
        self.gateway.fenced = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.operator.close()


@asynccontextmanager
async def two(cluster: FakeCluster) -> AsyncIterator[tuple[Replica, Replica]]:
    """The first one leads."""
    leader, standby = Replica(cluster), Replica(cluster)
    await leader.lead()
    try:
        yield leader, standby
    finally:
        for replica in (leader, standby):
            await replica.die()


def filed(cluster: FakeCluster) -> dict[str, int]:
    """Incident → distinct alerts in its ledger."""
    names = [name for (plural, _, name) in cluster._objects if plural == "incidents"]
    ledgers = {name: cluster.find(CONFIGMAPS, NS, ledger_name(name)) for name in names}
    return {
        name: counts(decode_ledger(held["binaryData"]) if held else Ledger()).count for name, held in ledgers.items()
    }


def waiting(cluster: FakeCluster) -> int:
    return sum(INBOX in item["metadata"].get("labels", {}) for item in cluster._objects.values())


async def test_what_a_standby_stored_is_filed_by_the_leader_within_seconds() -> None:
    cluster = FakeCluster()
    async with two(cluster) as (_, standby):
        await standby.operator.inbox.put_alerts(NS, alerts(0))
        await standby.operator.inbox.put_ticket(NS, WISH)
        await asyncio.sleep(SOON)
        held = cluster.find(CONFIGMAPS, NS, TICKET_QUEUE)
        assert filed(cluster) == {"web-1": 1} and waiting(cluster) == 0
        assert held and [q.ticket.id for q in decode_queue(held["binaryData"])] == ["HD-2"]


async def test_a_standby_remembers_nothing_of_what_it_stored() -> None:
    cluster = FakeCluster()
    async with two(cluster) as (_, standby):
        for n in range(20):
            await standby.operator.inbox.put_alerts(f"team-{n}", alerts(n))
        assert standby.operator.runtime.inbox._listings == {}, "a standby of months would grow without end"
        assert standby.operator.queue.depth == 0


@pytest.mark.parametrize("gap", [pytest.param(0.0, id="before it filed"), pytest.param(1.0, id="after it filed")])
async def test_the_leader_dies_after_storing(gap: float) -> None:
    cluster = FakeCluster()
    async with two(cluster) as (leader, standby):
        await leader.operator.inbox.put_alerts(NS, alerts(0, 5))
        await asyncio.sleep(gap)
        await leader.die()
        await standby.operator.inbox.put_alerts(NS, alerts(3, 5))  # Alertmanager repeats some of them, to the other one
        assert waiting(cluster) >= 1, "nobody files without the Lease"
        await standby.lead()
        await asyncio.sleep(SOON)
        assert filed(cluster) == {"web-1": 8} and waiting(cluster) == 0


@pytest.mark.parametrize("write", range(1, 8))
async def test_two_replicas_store_while_the_leader_dies_at_any_write(write: int) -> None:
    """It files, hears, and is killed at its n-th write; every alert that was promised is counted once in the end."""
    cluster = FakeCluster()
    async with two(cluster) as (leader, standby):
        left = write

        def fence() -> None:
            nonlocal left
            left -= 1
            leader.gateway.fenced = leader.gateway.fenced or left < 0

        leader.gateway._check = _checked(leader.gateway, fence)  # type: ignore[method-assign]
        for n in range(6):
            await (leader if n % 2 else standby).operator.inbox.put_alerts(NS, alerts(2 * n, 3))
        await asyncio.sleep(SOON)
        await leader.die()
        await standby.lead()
        await asyncio.sleep(SOON)
        assert filed(cluster) == {"web-1": 13} and waiting(cluster) == 0


def _checked(gateway: Gateway, before: Any) -> Any:
    check = gateway._check

    def checked() -> None:
        before()
        check()

    return checked


async def test_the_holders_own_entries_are_looked_at_once() -> None:
    cluster = FakeCluster()
    looks: list[str] = []
    async with two(cluster) as (leader, _):
        await asyncio.sleep(0.1)
        leader.operator.queue._hook = lambda key, result, seconds: looks.append(key[0])
        await leader.operator.inbox.put_alerts(NS, alerts(0))
        await asyncio.sleep(10)
        assert filed(cluster) == {"web-1": 1} and looks.count("Namespace") <= 2, looks


async def test_a_watch_that_fails_begins_anew_with_what_exists() -> None:
    told: list[tuple[str, list[str]]] = []
    watcher = Flaky()
    task = asyncio.create_task(Arrivals(watcher, ("shop",), lambda ns, names: told.append((ns, [*names]))).run())
    await asyncio.sleep(3 * RETRY + 0.1)
    task.cancel()
    assert told == [("shop", ["one", "two"]), ("shop", ["three"]), ("shop", ["four"])] and watcher.calls == 4


class Flaky:
    """Answers, breaks, is refused, and answers again."""

    calls = 0

    async def watch(self, resource: Any, namespace: str, labels: Any) -> AsyncGenerator[list[Object], None]:
        self.calls += 1
        match self.calls:
            case 1:
                yield [meta("one"), meta("two")]
                yield [meta("three")]
                raise Unavailable("the connection broke")
            case 2:
                raise Forbidden("configmaps is forbidden: cannot watch")
            case 3:
                yield [meta("four")]
            case _:
                yield []


def meta(name: str) -> Object:
    return {"name": name, "namespace": NS}
