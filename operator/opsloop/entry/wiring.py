"""The composition root: which adapter stands behind which port, and who wakes whom."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import aiohttp

from opsloop.adapters.kube import Kube
from opsloop.adapters.pager import NoPager, WebhookPager
from opsloop.adapters.prober import HttpProber
from opsloop.adapters.prometheus import Prometheus
from opsloop.api.incident import Incident
from opsloop.core.facts import Ledger, ReleaseView
from opsloop.entry.settings import Settings
from opsloop.entry.telemetry import Metrics
from opsloop.errors import Unavailable
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.intake.correlator import Correlator
from opsloop.shell.intake.inbox import Inbox
from opsloop.shell.notify.events import EventPoster
from opsloop.shell.notify.pages import PageSender
from opsloop.shell.ports import Clock, Object, Reader, Sample, Series, Telemetry, Writer
from opsloop.shell.reconcile.garbage import orphans
from opsloop.shell.reconcile.observe import view
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.shell.runtime import World
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.mapping import wakes, wakes_for_reading
from opsloop.shell.watch.throttle import Pace
from opsloop.shell.watch.workqueue import Key, Queue

log = logging.getLogger("opsloop")


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)


class NoTelemetry:
    """Stands where no Prometheus is configured: every reading is unknown."""

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """Never an answer."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """Never an answer."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")


class NamespaceView:
    """What the correlator sees of its surroundings (`shell.intake.correlator.World`)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.reader: Reader = world.reader
        self.writer: Writer = world.writer
        self.clock: Clock = world.clock
        self.ledger: Callable[[str, str], Ledger | None] = lambda namespace, incident: None

    def releases(self, namespace: str) -> Sequence[ReleaseView]:
        """Of the watch cache, with their latest readings."""
        return [view(self._world, release) for release in self._world.cache.releases(namespace)]

    def incidents(self, namespace: str) -> Sequence[Incident]:
        """Of the watch cache."""
        return self._world.cache.incidents(namespace)

    def owners(self, namespace: str) -> Mapping[str, str]:
        """Deployment → Release, where the names differ."""
        pairs = ((r.spec.workload_ref.name, r.metadata.name) for r in self._world.cache.releases(namespace))
        return {workload: release for workload, release in pairs if workload != release}

    def wake(self, key: Key) -> None:
        """The correlator, its one writer, wrote this Incident's ledger: take over what it stored, else read it again."""
        kind, namespace, name = key
        if kind == "Incident":
            stored = self.ledger(namespace, name)
            if stored is None:
                self._world.memory.ledgers.pop((namespace, name), None)
            else:
                self._world.memory.ledgers[namespace, name] = stored
        self._world.wake(key)


class Operator:
    """All parts of one process, connected; `entry.main` runs them."""

    def __init__(self, settings: Settings, kube: Kube, session: aiohttp.ClientSession, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.cache = Cache(report=_report)
        self.queue = Queue(self._handle, workers=settings.workers, hook=metrics.reconciled)
        self.store = ReadingStore()
        clock = SystemClock()
        pager = (
            WebhookPager(session, settings.pager_url, settings.pager_token_file or None)
            if settings.pager_url
            else NoPager()
        )
        self.world = World(
            reader=kube,
            writer=kube,
            access=kube,
            clock=clock,
            cache=self.cache,
            readings=self.store,
            evals=EvalRunner(kube, HttpProber(session), self.queue.enqueue),
            pages=PageSender(pager, clock, self.queue.enqueue),
            events=EventPoster(kube),
            wake=self.queue.enqueue,
            grace_seconds=settings.reopen_grace.total_seconds(),
        )
        surroundings = NamespaceView(self.world)
        self.correlator = Correlator(surroundings, settings.reopen_grace)
        surroundings.ledger = self.correlator.ledger
        self.filing = Pace(self.queue.enqueue_after)
        url = settings.prometheus_url
        telemetry: Telemetry = Prometheus.over_http(session, url) if url else NoTelemetry()
        self.poller = Poller(
            telemetry, clock, self.cache.releases, self.store, self._reading_changed, settings.tick,
            settings.prometheus_resolution, self._hot,
        )  # fmt: skip
        self.inbox = Inbox(kube, self._stored)

    def changed(self, kind: str, obj: Object) -> None:
        """A watch event, or a LIST: only wakes names."""
        for key in wakes(kind, obj, self.cache):
            self.queue.enqueue(key)

    async def file_leftovers(self) -> None:
        """What a process that died had stored and not filed, and stored templates whose Release went meanwhile."""
        for namespace in await self.correlator.leftovers(self.settings.namespaces):
            self.queue.enqueue(("Namespace", namespace, namespace))
        for key in await orphans(self.world, self.settings.namespaces):
            self.queue.enqueue(("Release", *key))

    async def _handle(self, key: Key) -> timedelta | None:
        if key[0] == "Namespace":
            return await self.correlator.reconcile_namespace(key[1])
        return await reconcile(self.world, key)

    def _reading_changed(self, key: tuple[str, str]) -> None:
        readings = self.store.of(key)
        self.metrics.release(*key, readings.verdict)
        for name in wakes_for_reading(*key, self.cache, self.world.now()):
            self.queue.enqueue(name)

    def _hot(self, key: tuple[str, str]) -> bool:
        """Read by version and wake every tick: an Incident is open, or harm is in the making."""
        verdict = self.store.of(key).verdict
        if verdict is not None and verdict.band in ("slow", "fast"):
            return True
        namespace, name = key
        return any(i.spec.release == name and i.is_open for i in self.cache.incidents(namespace))

    def _stored(self, namespace: str) -> None:
        """The intake stored something: file it, and read the SLIs at once."""
        self.correlator.hint(namespace)
        self.filing.ask(("Namespace", namespace, namespace))
        self.poller.nudge()


def _report(kind: str, namespace: str, name: str, message: str) -> None:
    log.error("%s %s/%s cannot be read and is left alone: %s", kind, namespace, name, message)
