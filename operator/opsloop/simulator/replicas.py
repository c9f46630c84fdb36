"""The replicas of the operator in one world: one of them leads; it is killed, started again, or loses the Lease."""

from opsloop.entry.settings import Settings
from opsloop.simulator.fakes.pager import FakePager
from opsloop.simulator.process import Process
from opsloop.simulator.world import World


class Replicas:
    """Obeys the world's orders. At the beginning one replica leads."""

    def __init__(self, world: World, settings: Settings, pager: FakePager) -> None:
        self._world, self._settings, self._pager = world, settings, pager
        self._leader: Process | None = None
        self._deposed: Process | None = None
        self.failures: list[str] = []
        self.broken = False

    async def start(self) -> None:
        """A replica begins to lead."""
        if self._deposed is not None:
            await self._end(self._deposed)
            self._deposed = None
        self._leader = Process(self._world, self._settings, self._pager)
        await self._leader.start()

    async def look(self) -> None:
        """A step of the world is over."""
        orders, self._world.orders[:] = list(self._world.orders), []
        for order in orders:
            match order:
                case "start" if self._leader is None:
                    await self.start()
                case "kill" if self._leader is not None:
                    await self._end(self._leader)
                    self._leader = None
                case "depose" if self._leader is not None:
                    self._leader.depose()
                    self._leader, self._deposed = None, self._leader
        if self._leader is not None:
            self._leader.look()
            self.broken = self._leader.broken

    async def stop(self) -> None:
        """The end of the simulation."""
        for process in (self._leader, self._deposed):
            if process is not None:
                await self._end(process)

    async def _end(self, process: Process) -> None:
        await process.stop()
        self.failures += process.failures
        process.failures = []
