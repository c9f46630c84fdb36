"""Runs the operator: watches on every replica, work only on the holder of the Lease, an orderly end on SIGTERM."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from opsloop.adapters.clock import SystemClock
from opsloop.adapters.kube import Kube
from opsloop.adapters.prober import HttpProber
from opsloop.adapters.webhook import WebhookCaller
from opsloop.core.correlation.method import Method
from opsloop.core.tickets.house import House
from opsloop.entry import openapi
from opsloop.entry.collector import collect_at_rest, keep_responsive
from opsloop.entry.console.http import Console
from opsloop.entry.console.leader import Leader
from opsloop.entry.console.sight import Parts, Sight
from opsloop.entry.health import Health
from opsloop.entry.http_server import Listening, in_json, listen
from opsloop.entry.intake_http import intake_routes
from opsloop.entry.leader_election import Elector, identity_of
from opsloop.entry.notifications import Notifications, connect_receivers, load_notifications
from opsloop.entry.settings import Settings, load, load_house, load_method
from opsloop.entry.sources import SourceConfig, connect_sources, load_sources
from opsloop.entry.telemetry import Metrics, build_app, serve, setup_logging
from opsloop.entry.watches import build_registry, kopf_settings, may_scan, run_kopf
from opsloop.entry.wiring import Operator
from opsloop.shell.notify.events import EventPoster
from opsloop.shell.ports import Ports
from opsloop.shell.slo.sources import say_who_answers
from opsloop.shell.watch.resync import Resync

log = logging.getLogger("opsloop")


def connect(
    notifications: Notifications,
    sources: Mapping[str, SourceConfig],
    base: Kube,
    fence: Callable[[], None],
    session: aiohttp.ClientSession,
    metrics: Metrics,
) -> Ports:
    """Ports on a real cluster: the API server, Prometheus, pods and receivers of notifications, as the settings name them.

    Everything is written behind the Lease's fence, except for what the intake stores.
    """
    kube = base.fenced(fence)
    return Ports(
        reader=kube,
        writer=kube,
        intake=base,
        watcher=kube,
        access=kube,
        sources=connect_sources(sources, session),
        prober=HttpProber(session),
        caller=WebhookCaller(),
        logs=kube,
        pager=connect_receivers(notifications, session),
        routing=notifications.routing,
        events=EventPoster(kube),
        clock=SystemClock(),
        instruments=metrics,
    )


async def operate(
    settings: Settings,
    house: House,
    method: Method,
    sources: Mapping[str, SourceConfig],
    notifications: Notifications,
) -> None:
    """Runs until SIGTERM, or until one of the parts ends, which is an error: the kubelet then starts the process again."""
    metrics = Metrics()
    base = await _api_server(metrics)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        gained = asyncio.Event()
        identity = identity_of(settings.pod_name, settings.pod_uid)
        elector = Elector(base, settings.pod_namespace, settings.lease_name, identity, gained.set)
        ports = connect(notifications, sources, base, elector.fence, session, metrics)
        operator = Operator(ports, settings, threads=True, words=house.words, method=method)
        greeting = asyncio.create_task(say_who_answers(operator.sources))  # each replica says what it reaches
        metrics.watch(operator.queue, lambda: elector.leading)
        metrics.watch_releases(lambda: operator.seen() if elector.leading else [], operator.budgets.of)
        metrics.watch_incidents(lambda: operator.cache.incidents() if elector.leading else ())
        metrics.watch_conditions("evalcase", lambda: operator.cache.evalcases() if elector.leading else ())
        metrics.watch_conditions("runbook", lambda: operator.cache.runbooks() if elector.leading else ())
        metrics.watch_stops(lambda: operator.stops.all if elector.leading else ())
        resync = Resync(operator.resync, lambda: health.touch())
        health = Health(elector.alive, resync.done.is_set, metrics)
        telling = await serve(build_app(metrics, health), settings.metrics_port)
        intake = await listen(_intake(settings, house, base, operator, metrics), settings.intake_port)
        console = await _console(settings, base, operator, elector, session)
        tasks = {
            "elector": asyncio.create_task(elector.run()),
            "queue": asyncio.create_task(operator.queue.run()),
            "resync": asyncio.create_task(resync.run()),
            "beat": asyncio.create_task(health.beat()),
            "lead": asyncio.create_task(_lead(gained, resync, operator)),
            "budgets": asyncio.create_task(_read_budgets(gained, resync, operator)),
            "collector": asyncio.create_task(collect_at_rest(lambda: operator.idle)),
        }
        scanning = await may_scan(base, settings.namespaces)
        code = await _watch_until_end(scanning, settings, operator, health, resync, tasks)
        greeting.cancel()
        health.leave()
        leaving = asyncio.create_task(intake.leave())  # it takes and stores what still comes
        operator.queue.unlead()
        for writer in (tasks["queue"], tasks["lead"]):  # writers must have stopped before another replica may write
            writer.cancel()
        await asyncio.wait([tasks["queue"], tasks["lead"]], timeout=5)
        await elector.release()
        await leaving
        await intake.cleanup()
        if console is not None:
            await console.cleanup()
        await telling.cleanup()
        log.info("stopped with code %d", code)
        logging.shutdown()
        os._exit(code)  # kopf's own stop takes 5 s and writes nothing


async def _watch_until_end(
    scanning: bool,
    settings: Settings,
    operator: Operator,
    health: Health,
    resync: Resync,
    tasks: Mapping[str, "asyncio.Task[Any]"],
) -> int:
    """Runs kopf beside these tasks until one of them ends or the process is told to stop; returns the exit code.

    kopf starts last, because it cancels the tasks that were created after it when it stops.
    """

    def on_event(relisted: bool) -> None:
        health.touch()
        if relisted:
            resync.request()

    stop, ready = asyncio.Event(), asyncio.Event()
    stopping = asyncio.create_task(stop.wait())
    registry = build_registry(operator.cache, operator.changed, on_event=on_event)
    kopf = run_kopf(registry, kopf_settings(scanning), settings.namespaces, asyncio.Event(), ready)
    last = {"kopf": asyncio.create_task(kopf), "signals": asyncio.create_task(_own_signals(ready, stop))}
    return await _first_end({**tasks, "stop": stopping, **last})


async def _api_server(metrics: Metrics) -> Kube:
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return Kube.in_cluster(count=metrics.api)
    return await Kube.connect(None, None, count=metrics.api)


def _intake(settings: Settings, house: House, kube: Kube, operator: Operator, metrics: Metrics) -> web.Application:
    app = web.Application(middlewares=[in_json(openapi.routes)])
    app.add_routes(
        intake_routes(
            kube,
            operator.inbox,
            settings.token_audience,
            metrics.intake,
            notice=operator.tell_of_body,
            desks=house.desks,
        )
    )
    return app


async def _console(
    settings: Settings, kube: Kube, operator: Operator, elector: Elector, session: aiohttp.ClientSession
) -> Listening | None:
    """The console, where it is on."""
    if settings.console_port is None:
        return None
    parts = Parts(
        cache=operator.cache,
        reader=kube,
        clock=operator.runtime.clock,
        leads=lambda: elector.leading,
        verdict=lambda key: operator.readings.of(key).verdict,
        budget=operator.budgets.of,
        curve=operator.poller.curve,
        stops=lambda: operator.stops.all,
    )
    leader = Leader(
        kube, session, settings.pod_namespace, settings.console_port, lambda: elector.leading, lambda: elector.holder
    )
    console = Console(kube, Sight(parts), settings.console_audience, leader)
    return await listen(console.app(), settings.console_port)


async def _lead(gained: asyncio.Event, resync: Resync, operator: Operator) -> None:
    """Waits for the Lease and the first LIST; then everything is listed and reconciled, and the SLIs are read."""
    await gained.wait()
    await resync.done.wait()
    log.info("this replica leads")
    resync.request()
    await operator.lead()


async def _read_budgets(gained: asyncio.Event, resync: Resync, operator: Operator) -> None:
    """Reads the error budgets for /metrics once this replica leads."""
    await gained.wait()
    await resync.done.wait()
    await operator.budgets.run()


async def _own_signals(ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Sets `stop` on SIGTERM and SIGINT. kopf installs its own handlers when it starts; these replace them afterwards."""
    await ready.wait()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await asyncio.Event().wait()


async def _first_end(tasks: Mapping[str, "asyncio.Task[Any]"]) -> int:
    """Waits until a task ends; 0 where that is the stop, else 1."""
    done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
    for name, task in tasks.items():
        if task in done:
            error = None if task.cancelled() else task.exception()
            if name == "stop":
                return 0
            log.error("%s ended: %s", name, error or "no error", exc_info=error)
    return 1


def run() -> None:
    """Entry point of `opsloop operator`: reads the settings from the environment; ends by `os._exit`."""
    settings = load(os.environ)
    keep_responsive()
    house, method, sources = load_house(settings), load_method(settings.correlation), load_sources(settings)
    notifications = load_notifications(settings)
    setup_logging()
    asyncio.run(operate(settings, house, method, sources, notifications))
