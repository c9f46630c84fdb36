"""The composition root: connects ports and settings to one Operator. `entry.main` runs it on a cluster, `tests.sim` in fake time."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.release import Release
from opsloop.api.slo import DEFAULT_SOURCE
from opsloop.core.correlation.method import Method
from opsloop.core.incident.effect import Act, act_of
from opsloop.core.intake import Received
from opsloop.core.readings import Verdict
from opsloop.core.reported import HouseWords
from opsloop.entry.settings import Settings
from opsloop.shell.apart import Apart
from opsloop.shell.evals.measuring import Meter, measured_by
from opsloop.shell.evals.runner import EvalRunner
from opsloop.shell.intake.arrivals import Arrivals
from opsloop.shell.intake.experience_store import experience_store, taught_store
from opsloop.shell.intake.inbox import Inbox, InboxReader
from opsloop.shell.intake.ledger_store import LedgerStore
from opsloop.shell.intake.notices import ALERTS_SET_ASIDE, ALERTS_TRUNCATED, Notices
from opsloop.shell.intake.rules import RuleReader
from opsloop.shell.notify.pages import PageSender
from opsloop.shell.ports import Instruments, NamespacedName, Object, ObjectKey, Ports, Source
from opsloop.shell.reconcile import live_pods, routes
from opsloop.shell.reconcile.created import created
from opsloop.shell.reconcile.errands import Errands
from opsloop.shell.reconcile.garbage import orphaned_releases
from opsloop.shell.reconcile.reconciler import reconcile
from opsloop.shell.runtime import Runtime
from opsloop.shell.slo.budgets import Budgets
from opsloop.shell.slo.poller import Poller, ReadingStore
from opsloop.shell.slo.sources import CountedTelemetry
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.mapping import is_urgent, left_paused, requests_for_object, requests_for_reading
from opsloop.shell.watch.resync import resync
from opsloop.shell.watch.routes import RouteWatch
from opsloop.shell.watch.stops import Stops
from opsloop.shell.watch.throttle import Throttle
from opsloop.shell.watch.workqueue import Queue

log = logging.getLogger("opsloop")


class Operator:
    """All parts of one process, connected. It does nothing until `queue.run` and `lead` run as tasks."""

    def __init__(
        self,
        ports: Ports,
        settings: Settings,
        threads: bool = False,
        words: HouseWords | None = None,
        method: Method | None = None,
    ) -> None:
        """`threads`: long computations leave the event loop (`shell.apart`); `words`: what the house says of its tickets, `method`: of grouping."""
        self.settings = settings
        apart = Apart(threads)
        self.cache = Cache(report=_report_unreadable)
        self.queue = Queue(
            self._reconcile,
            workers=settings.workers,
            hook=ports.instruments.reconciled,
            urgent=self._is_urgent,
            filing=lambda key: key[0] == "Namespace",
        )
        self.readings = ReadingStore()
        self.notices = Notices(ports.events, ports.instruments)
        self.stops = Stops(
            ports.reader,
            ports.watcher,
            settings.pod_namespace,
            settings.namespaces,
            settings.tick,
            self._stop_changed,
        )
        self.sources = {name: self._complete(name, one, ports.instruments) for name, one in ports.sources.items()}
        meter = Meter(ports.reader, ports.clock, measured_by(self.sources, self._source_of))
        self.rules = RuleReader({name: source.rules for name, source in ports.sources.items()})
        self.runtime = Runtime(
            reader=ports.reader,
            writer=ports.writer,
            access=ports.access,
            clock=ports.clock,
            cache=self.cache,
            readings=self.readings,
            inbox=InboxReader(ports.reader, ports.watcher, ports.clock, self.notices.tell),
            ledgers=LedgerStore(ports.reader, ports.writer, self.notices.tell, apart),
            apart=apart,
            evals=EvalRunner(ports.reader, ports.prober, self.queue.enqueue, meter, threads=threads),
            errands=Errands(
                ports.reader, ports.writer, ports.logs, ports.caller, ports.clock, self.queue.enqueue, settings.webhooks
            ),
            rules=self.rules,
            experience=experience_store(ports.reader, ports.writer),
            taught=taught_store(ports.reader, ports.writer),
            pages=PageSender(ports.pager, ports.clock, self.queue.enqueue, ports.instruments),
            routing=ports.routing,
            events=ports.events,
            stops=self.stops,
            enqueue=self.queue.enqueue,
            instruments=ports.instruments,
            reopen_grace=settings.reopen_grace,
            repeat_interval=settings.repeat_interval,
            started=ports.clock.now(),
            incident_retention=settings.incident_retention,
            method=method or Method(),
            house=words or HouseWords(),
        )
        self.throttle = Throttle(self.queue.enqueue_after)
        self.runtime.intake_due_in = self.throttle.left
        self.poller = Poller(
            self.sources, ports.clock, self.cache.releases, self.readings, self._reading_changed, settings.tick,
            self._hot, self._act, self._created, settings.query_budget,
        )  # fmt: skip
        self.budgets = Budgets(self.sources, ports.clock, self.cache.releases, self.poller.scope, settings.tick)
        self.runtime.curve = self.poller.curve
        self.inbox = Inbox(ports.intake, self.intake_stored, apart=Apart(threads))
        self.arrivals = Arrivals(ports.watcher, settings.namespaces, self.intake_stored)
        self.route_watch = RouteWatch(ports.watcher, self.cache, settings.namespaces, self.queue.enqueue)

    @property
    def idle(self) -> bool:
        """True while no name waits to be reconciled, and nothing to be stored."""
        return not self.queue.depth and not self.inbox.pending

    def seen(self) -> list[tuple[Release, Verdict | None]]:
        """The Releases that exist now, each with the verdict of its last poll."""
        return [(release, self.readings.of(release.key).verdict) for release in self.cache.releases()]

    def changed(self, kind: str, obj: Object) -> None:
        """Requests a reconcile of every object that this one concerns: after a watch event or a LIST."""
        for key in sorted(requests_for_object(kind, obj, self.cache)):
            self.queue.enqueue(key)

    def intake_stored(self, namespace: str, names: Sequence[str]) -> None:
        """Requests that these inbox entries are filed, and that the SLIs are read at once. Nothing without the Lease: the
        holder hears of them by its watch."""
        if not self.queue.leads:
            return
        news = [name for name in names if self.runtime.inbox.expect(namespace, name)]
        if not news:
            return
        self.throttle.request(("Namespace", namespace, namespace))
        self.poller.nudge()

    def tell_of_body(self, namespace: str, received: Received) -> None:
        """Says what of a body was not stored."""
        if aside := received.set_aside:
            text = f"{len(aside)} of {len(aside) + len(received.alerts)} alerts of a body were not stored: {aside[0].reason}"
            self.notices.tell(namespace, ALERTS_SET_ASIDE, len(aside), text)
        if received.truncated:
            text = f"{received.truncated} alerts were left out by their sender (max_alerts in Alertmanager)"
            self.notices.tell(namespace, ALERTS_TRUNCATED, received.truncated, text)

    async def resync(self) -> int:
        """Lists everything and requests what an earlier process left undone; the number of objects pruned from the cache.

        Left undone may be: stored templates whose Release was deleted, and live pods that it had marked.
        """
        pruned = await resync(self.runtime.reader, self.cache, self.changed, self.settings.namespaces)
        for key in await orphaned_releases(self.runtime, self.settings.namespaces):
            self.queue.enqueue(("Release", *key))
        if self.queue.leads:  # who begins to lead asks by itself
            for gone in await live_pods.of_deleted_releases(self.runtime.reader, self.cache, self.settings.namespaces):
                self.queue.enqueue(gone)
        return pruned

    async def lead(self) -> None:
        """Reconciles everything once, reads the SLIs, the switch and what arrives in inboxes, until cancelled. For the
        holder of the Lease only."""
        await self.stops.refresh()
        marked = await routes.of_deleted_releases(self.runtime.reader, self.cache, self.settings.namespaces)
        marked += await live_pods.of_deleted_releases(self.runtime.reader, self.cache, self.settings.namespaces)
        self.queue.lead([*self.cache.keys(), *sorted(left_paused(self.cache)), *marked])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.stops.run())
            tasks.create_task(self.arrivals.run())
            tasks.create_task(self.rules.run())
            tasks.create_task(self.route_watch.run())
            await self.poller.run()

    async def close(self) -> None:
        """Cancels eval runs and pages under way."""
        await self.runtime.evals.close()
        await self.runtime.pages.close()
        await self.runtime.errands.close()

    def _source_of(self, namespace: str, release: str) -> str:
        """Name of the source that a Release's SLO is read from; the default one without an SLO."""
        found = next((one for one in self.cache.releases(namespace) if one.metadata.name == release), None)
        return found.spec.slo.source if found is not None and found.spec.slo is not None else DEFAULT_SOURCE

    def _complete(self, name: str, source: Source, instruments: Instruments) -> Source:
        """The source, counted, with what the settings say where it does not."""
        resolution, delay = self.settings.prometheus_resolution, self.settings.prometheus_delay
        return replace(
            source,
            telemetry=CountedTelemetry(source.telemetry, name, instruments),
            resolution=resolution if source.resolution is None else source.resolution,
            delay=delay if source.delay is None else source.delay,
        )

    def _stop_changed(self) -> None:
        """Everything looks again: what a Stop keeps from being done, and what goes on after it."""
        keys = self.cache.keys()
        for key in keys:
            self.queue.enqueue(key)

    def _is_urgent(self, key: ObjectKey) -> bool:
        return is_urgent(key, self.cache)

    async def _reconcile(self, key: ObjectKey) -> timedelta | None:
        return await reconcile(self.runtime, key)

    def _reading_changed(self, release: NamespacedName) -> None:
        grace = self.settings.reopen_grace
        for key in sorted(requests_for_reading(*release, self.cache, self.runtime.now(), grace)):
            self.queue.enqueue(key)

    def _hot(self, release: NamespacedName) -> bool:
        """True while its readings are needed by version and on every tick: it burns, or an Incident is open."""
        verdict = self.readings.of(release).verdict
        if verdict is not None and verdict.band in ("slow", "fast"):
            return True
        namespace, name = release
        return any(i.spec.release == name and i.is_open for i in self.cache.incidents(namespace))

    def _act(self, release: NamespacedName) -> Act | None:
        """The act of an open Incident on this Release that is in effect: what came of it is read on every tick."""
        namespace, name = release
        return act_of(name, self.cache.incidents(namespace))

    async def _created(self, release: NamespacedName) -> list[datetime] | None:
        """When each living pod of this Release's Deployment and of its canary was created."""
        return await created(self.runtime, release)


def _report_unreadable(kind: str, namespace: str, name: str, message: str) -> None:
    log.error("%s %s/%s cannot be parsed and is skipped: %s", kind, namespace, name, message)
