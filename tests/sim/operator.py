"""opsloop beside the shop in fake time: the composition root over fakes, one process after another."""

import asyncio
from collections import Counter
from datetime import timedelta

from opsloop.entry.settings import Settings
from opsloop.shell.ports import ObjectKey
from opsloop.simulator.fakes.cluster import FakeDeath
from opsloop.simulator.fakes.ports import FakePorts
from opsloop.simulator.process import FAILURES, Running
from tests.sim.shop import Shop

SETTINGS = Settings(tick=timedelta(seconds=1), prometheus_resolution=timedelta(seconds=1), workers=1)
MOST_RECONCILES = 40  # of one object within one second; more is a livelock


class OperatorProcess(Running):
    """Starts the Operator, brings it the watch events, and starts it again a second after it died."""

    def __init__(self, shop: Shop, lag: bool = False, settings: Settings = SETTINGS) -> None:
        """`lag`: the watches report changes a second late."""
        fakes = FakePorts(shop.cluster, shop.telemetry, shop.clock, prober=shop.prober)
        super().__init__(fakes, shop.cluster.changes, settings)
        self.shop, self.lag = shop, lag
        self.fakes.instruments.on_reconciled = self._reconciled
        self.pager, self.access, self.events = self.fakes.pager, self.fakes.access, self.fakes.events
        self.deaths = 0
        self.failures: list[str] = []
        self.reconciles: Counter[ObjectKey] = Counter()

    async def second(self) -> None:
        """One second of the shop and of opsloop. The SLIs are polled between the shop's tick and the watch events."""
        self.shop.tick()
        self.reconciles.clear()
        await asyncio.sleep(0.1)
        if not self._tasks:
            await self.start()
        await asyncio.sleep(0.1)
        self._watch()
        await asyncio.sleep(0.4)
        if not self.lag:
            self._watch()
        await asyncio.sleep(0.4)
        assert not self.failures, self.failures
        for task in self._tasks:
            if task.done():
                await self._die(task.exception())
                break

    async def _die(self, error: BaseException | None) -> None:
        if not isinstance(error, FakeDeath):
            raise error or AssertionError("a part of the operator ended")
        self.deaths += 1
        await self.stop()
        self.shop.cluster.revive()

    def _reconciled(self, key: ObjectKey, result: str) -> None:
        self.reconciles[key] += 1
        assert self.reconciles[key] <= MOST_RECONCILES, f"livelock: {key} is reconciled for ever"
        if result in FAILURES:
            self.failures.append(f"{key}: {result}")
        if not self.lag:
            self._watch()
