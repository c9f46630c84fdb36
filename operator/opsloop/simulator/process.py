"""opsloop beside a world: the composition root over ports in memory, in the world's time."""

import asyncio
from collections import Counter
from random import Random
from typing import Any, Final

from opsloop.entry.settings import Settings
from opsloop.entry.wiring import Operator
from opsloop.errors import Retryable
from opsloop.shell.ports import ObjectKey
from opsloop.shell.watch.mapping import is_echo
from opsloop.simulator.fakes.gateway import Gateway, Weak
from opsloop.simulator.fakes.pager import FakePager
from opsloop.simulator.fakes.ports import FakePorts
from opsloop.simulator.kube.cluster import Change
from opsloop.simulator.world import NS, World

BACKOFF: Final = 10.0  # seconds until a process that ended is started again
FAILURES: Final = ("error", "permanent", "timeout")
MOST_RECONCILES: Final = 60  # of one object within one step of the world; more is a livelock


class Running:
    """One process of the operator over ports in memory: started, killed, and told of what the watches see."""

    def __init__(self, fakes: FakePorts, changes: list[Change], settings: Settings) -> None:
        """`changes` is the cluster's list of what its watches have not reported yet."""
        self.fakes, self.settings, self._changes = fakes, settings, changes
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """As `entry.main` does on gaining the Lease: LIST, lead, LIST again."""
        self._changes.clear()
        self.operator = Operator(self.fakes.ports(), self.settings)
        await self.operator.resync()
        self._tasks = [asyncio.create_task(self.operator.queue.run()), asyncio.create_task(self.operator.lead())]
        await asyncio.sleep(0)
        await self.operator.resync()

    async def stop(self) -> None:
        """kill -9."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self.operator.close()
        self._tasks = []

    def _watch(self) -> None:
        """The watches bring all changes since the last time."""
        changes, self._changes[:] = list(self._changes), []
        for kind, obj, deleted in changes:
            if deleted:
                self.operator.cache.drop(kind, NS, obj["metadata"]["name"], obj["metadata"]["uid"])
            elif not self.operator.cache.put(kind, obj) and is_echo(kind, "MODIFIED"):
                continue
            self.operator.changed(kind, obj)


class Process(Running):
    """One process of the operator. The watches bring changes after each step of the world and after each reconcile.

    `failures` holds what no run should have: errors of a reconcile, livelocks, and parts that ended.
    """

    def __init__(self, world: World, settings: Settings, pager: FakePager | None = None) -> None:
        """`pager` is where its pages go; a new one where none is given."""
        gateway = Gateway(world.cluster, world.api, Random(f"api {world.start}"))
        fakes = FakePorts(
            world.cluster,
            world.telemetry,
            world.clock,
            prober=world.prober,
            pager=pager or FakePager(),
            gateway=gateway,
        )
        super().__init__(fakes, world.cluster.changes, settings)
        self._gateway = gateway
        self.world = world
        self.fakes.instruments.on_reconciled = self._reconciled
        self.pager, self.events = self.fakes.pager, self.fakes.events
        self.failures: list[str] = []
        self.reconciles = 0
        self.broken = False  # it cannot go on
        self._counts: Counter[ObjectKey] = Counter()

    async def start(self) -> None:
        """Connects the world's intake as well. While the API server refuses its first LIST, it is started again."""
        while True:
            try:
                await super().start()
                break
            except Retryable:
                await self.stop()
                await asyncio.sleep(BACKOFF)

    def depose(self) -> None:
        """It loses the Lease: what it still does comes to nothing."""
        self._gateway.fenced = True
        self._changes = []
        self.operator.queue.unlead()

    def look(self) -> None:
        """A step of the world is over: the watches report it."""
        self._counts.clear()
        self._watch()
        for task in self._tasks:
            if task.done():
                self.failures.append(f"a part of the operator ended: {task.exception()!r}")
                self.broken = True

    def _reconciled(self, key: ObjectKey, result: str) -> None:
        self.reconciles += 1
        self._counts[key] += 1
        if self._counts[key] == MOST_RECONCILES:
            self.failures.append(f"livelock: {'/'.join(key)} is reconciled for ever")
            self.operator.queue.unlead()
            self.broken = True
        if result in FAILURES and (result != "timeout" or self.world.api == Weak()):
            self.failures.append(f"{'/'.join(key)}: {result}")
        self._watch()
