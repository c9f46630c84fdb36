"""opsloop's own wiring over the shop in memory: real queue, cache, reconcilers and correlator; dies and starts anew."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from opsloop.api.release import Release
from opsloop.core.decision import Event
from opsloop.entry.wiring import NamespaceView
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.intake.correlator import Correlator
from opsloop.shell.notify.pages import PageSender
from opsloop.shell.ports import Object
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.shell.runtime import World
from opsloop.shell.slo.poller import ReadingStore
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.mapping import wakes, wakes_for_reading
from opsloop.shell.watch.workqueue import Key, Queue
from tests.fakes.cluster import FakeDeath
from tests.fakes.pager import FakePager
from tests.sim.shop import NS, WATCHED, Shop

MOST_LOOKS = 40  # at one name within one second; more is a livelock


class FakeAccess:
    """Access port: every account may do everything, unless told."""

    def __init__(self) -> None:
        self.allows = True

    async def review_token(self, token: str, audience: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    async def allowed(
        self, user: str, groups: Sequence[str], verb: str, group: str, plural: str, namespace: str, name: str = ""
    ) -> bool:
        return self.allows


class FakeEvents:
    """Events port that remembers (name, reason)."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []

    async def post(self, obj: Object, event: Event) -> None:
        self.posted.append((obj["metadata"]["name"], event.reason))


class Operator:
    """One process of opsloop after another."""

    def __init__(self, shop: Shop, lag: bool = False) -> None:
        self.shop, self.lag = shop, lag  # lag: the watch tells of changes a second late
        self.pager, self.access, self.events = FakePager(), FakeAccess(), FakeEvents()
        self.deaths = 0
        self.errors: list[str] = []
        self.looks: Counter[Key] = Counter()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A process that knows nothing lists everything."""
        self.shop.cluster.changes.clear()
        self.queue = Queue(self._handle, workers=1, hook=self._handled, jitter=lambda: 0.0)
        cache = Cache()
        for kind in WATCHED:
            for obj in self.shop.objects(f"{kind.lower()}s"):
                cache.put(kind, obj)
        cluster = self.shop.cluster
        self.world = World(
            reader=cluster,
            writer=cluster,
            access=self.access,
            clock=self.shop.clock,
            cache=cache,
            readings=ReadingStore(),
            evals=EvalRunner(cluster, self.shop.prober, self.queue.enqueue),
            pages=PageSender(self.pager, self.shop.clock, self.queue.enqueue),
            events=self.events,
            wake=self.queue.enqueue,
        )
        surroundings = NamespaceView(self.world)
        self.correlator = Correlator(surroundings)
        surroundings.ledger = self.correlator.ledger
        self._told: object = None
        self._running = asyncio.create_task(self.queue.run())
        self.queue.lead(cache.keys())

    async def stop(self) -> None:
        """kill -9."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            await self.world.evals.close()
            await self.world.pages.close()
            self._running = None

    async def second(self) -> None:
        """One second of the shop, and of opsloop where it lives; it is started again a second after a death."""
        self.shop.tick()
        self.looks.clear()
        if self._running is None:
            self.start()
        await asyncio.sleep(0)
        self._read()
        self._watch()
        await asyncio.sleep(0.5)
        if not self.lag:
            self._watch()
        await asyncio.sleep(0.5)
        assert self._running is not None and not self.errors, self.errors
        if self._running.done():
            error = self._running.exception()
            if not isinstance(error, FakeDeath):
                raise error or AssertionError("the queue ended")
            self.deaths += 1
            await self.stop()
            self.shop.cluster.revive()

    async def _handle(self, key: Key) -> timedelta | None:
        self.looks[key] += 1
        assert self.looks[key] <= MOST_LOOKS, f"livelock: {key} is looked at for ever"
        if key[0] == "Namespace":
            again = await self.correlator.reconcile_namespace(NS)
        else:
            again = await reconcile(self.world, key)
        if not self.lag:
            self._watch()
        return again

    def _handled(self, key: Key, result: str, seconds: float) -> None:
        if result in ("error", "permanent", "timeout"):
            self.errors.append(f"{key}: {result}")

    def _watch(self) -> None:
        changes, self.shop.cluster.changes[:] = list(self.shop.cluster.changes), []
        for kind, obj, deleted in changes:
            meta = obj["metadata"]
            if deleted:
                self.world.cache.drop(kind, NS, meta["name"], meta["uid"])
            else:
                self.world.cache.put(kind, obj)
            for key in wakes(kind, obj, self.world.cache):
                self.queue.enqueue(key)

    def _read(self) -> None:
        """The poller's tick: who is concerned is woken where something a reader cares about changed, or it is hot."""
        for release in self.world.cache.releases(NS):
            readings = self.shop.readings(release)
            self.world.readings.set(release.key, readings)
            verdict = readings.verdict
            assert verdict is not None
            told = (verdict.band, verdict.back, verdict.burning, verdict.firing is not None)
            if told != self._told or self._hot(release):
                self._told = told
                for key in wakes_for_reading(*release.key, self.world.cache, self.shop.clock.now()):
                    self.queue.enqueue(key)

    def _hot(self, release: Release) -> bool:
        target = release.status.target
        active = target is not None and target.state in ("Dark", "Stepping", "Promoting")
        return active or any(i.status.phase != "Resolved" for i in self.world.cache.incidents(NS))

    def hint(self) -> None:
        """The intake has stored something."""
        if self._running is not None:
            self.correlator.hint(NS)
            self.queue.enqueue(("Namespace", NS, NS))
