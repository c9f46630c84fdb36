"""Telemetry of this process: JSON logs, /metrics, and the answers of `entry.health` at /livez and /readyz."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO, TypeVar

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from opsloop.api.incident import Incident
from opsloop.core.stop import Stop
from opsloop.entry.health import Health
from opsloop.entry.release_metrics import (
    Budget,
    ConditionCollector,
    IncidentCollector,
    Objects,
    ReleaseCollector,
    Seen,
    StopCollector,
    unknown_budget,
)
from opsloop.shell.ports import ObjectKey
from opsloop.shell.watch.workqueue import Queue

T = TypeVar("T")
ROLLOUT_BUCKETS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class JsonFormatter(logging.Formatter):
    """One line of JSON per record: ts, level, logger, message, object (where known), error (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats one record; raises nothing, whatever was logged."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {
            "ts": when,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        about = getattr(record, "object", None) or getattr(record, "k8s_ref", None)  # ours, or kopf's
        if about:
            line["object"] = about
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def setup_logging(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Logs JSON to stderr (or `stream`), without kopf's line per event."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("kopf.objects", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class Metrics:
    """Instruments port: all metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._before: list[Callable[[], None]] = []  # what is read for each scrape
        r = self.registry
        self._reconciles = Counter(
            "opsloop_reconciles", "Reconciles by kind and result.", ["kind", "result"], registry=r
        )
        self._seconds = Histogram(
            "opsloop_reconcile_seconds", "Duration of a reconcile.", ["kind"], buckets=BUCKETS, registry=r
        )
        self._stages = Histogram(
            "opsloop_reconcile_stage_seconds",
            "Duration of one stage of a reconcile: observe, decide, apply.",
            ["kind", "stage"],
            buckets=BUCKETS,
            registry=r,
        )
        self._filed = Histogram(
            "opsloop_intake_filed_seconds",
            "From when the holder of the Lease heard of an inbox entry until all of it was filed.",
            buckets=BUCKETS,
            registry=r,
        )
        self._depth = Gauge("opsloop_queue_depth", "Keys that wait for a worker.", registry=r)
        self._oldest = Gauge(
            "opsloop_queue_oldest_seconds", "Seconds for which the oldest of them has waited.", registry=r
        )
        self._leader = Gauge("opsloop_leader", "1 on the replica that holds the Lease.", registry=r)
        self._lag = Gauge(
            "opsloop_loop_lag_seconds", "How late the event loop was at most, in the last second.", registry=r
        )
        self._late = Histogram(
            "opsloop_loop_late_seconds", "How late the event loop was, ten times a second.", buckets=BUCKETS, registry=r
        )
        self._blocked = Histogram(
            "opsloop_loop_blocked_seconds",
            "The same without the time for which its thread waited for a CPU: lateness by the process's own work.",
            buckets=BUCKETS,
            registry=r,
        )
        self._api = Counter(
            "opsloop_api_requests", "Requests to the API server.", ["verb", "resource", "code"], registry=r
        )
        self._intake = Counter("opsloop_intake_requests", "Requests to the intake.", ["route", "code"], registry=r)
        self._corrections = Counter(
            "opsloop_ticket_corrections", "Corrections of tickets that people asked for.", ["result"], registry=r
        )
        self._stored = Counter("opsloop_intake_stored", "Alerts and tickets that were stored.", ["route"], registry=r)
        self._aside = Counter(
            "opsloop_intake_set_aside",
            "What the intake did not take: alerts that break a rule, truncated ones, entries of the inbox.",
            ["what"],
            registry=r,
        )
        self._asked = Counter(
            "opsloop_prometheus_queries", "Queries to a source, by their result.", ["source", "result"], registry=r
        )
        self._answered = Histogram(
            "opsloop_prometheus_query_seconds", "Duration of a query.", ["source"], buckets=BUCKETS, registry=r
        )
        self._source_up = Gauge(
            "opsloop_prometheus_up", "1 where the source answered the last query, 0 where not.", ["source"], registry=r
        )
        self._pages = Counter(
            "opsloop_pages",
            "Calls to receivers, and messages given up.",
            ["receiver", "action", "result"],
            registry=r,
        )
        self._deleted = Counter(
            "opsloop_incidents_deleted", "Incidents deleted as their retention was over.", ["namespace"], registry=r
        )
        self._rollouts = Counter(
            "opsloop_rollouts", "Rollouts that ended.", ["namespace", "release", "result"], registry=r
        )
        self._rollout_seconds = Histogram(
            "opsloop_rollout_seconds",
            "Duration of a rollout, from the record of its target to its end.",
            ["namespace", "result"],
            buckets=ROLLOUT_BUCKETS,
            registry=r,
        )
        self._checks = Counter(
            "opsloop_checks", "Checks of a rollout that ended.", ["namespace", "check", "result"], registry=r
        )
        self._rollbacks = Counter(
            "opsloop_rollbacks", "Rollbacks that ended.", ["namespace", "release", "result"], registry=r
        )
        self._rollback_seconds = Histogram(
            "opsloop_rollback_seconds",
            "Duration of a rollback, from its record until the Deployment is updated and available.",
            ["namespace", "result"],
            buckets=ROLLOUT_BUCKETS,
            registry=r,
        )
        self._hold_seconds = Histogram(
            "opsloop_hold_seconds",
            "Duration of a hold of a canary, by the reason that it had last.",
            ["namespace", "reason"],
            buckets=ROLLOUT_BUCKETS,
            registry=r,
        )
        self._incidents = Counter(
            "opsloop_incidents", "Incidents that were opened.", ["namespace", "signal", "severity"], registry=r
        )
        self._incident_seconds = Histogram(
            "opsloop_incident_seconds",
            "Time from the onset until an Incident is mitigated, and until it is resolved.",
            ["namespace", "until"],
            buckets=ROLLOUT_BUCKETS,
            registry=r,
        )
        self._commands = Counter(
            "opsloop_commands", "Answers to commands that people gave by annotation.", ["command", "reason"], registry=r
        )
        self._undelivered = Gauge(
            "opsloop_pages_undelivered",
            "Messages that a receiver did not take and that are tried again.",
            ["receiver"],
            registry=r,
        )
        ProcessCollector(registry=r)

    def watch(self, queue: Queue, leading: Callable[[], bool]) -> None:
        """Reads the queue and the leadership at each scrape."""
        self._before += [
            lambda: self._depth.set(queue.depth),
            lambda: self._oldest.set(queue.oldest),
            lambda: self._leader.set(float(leading())),
        ]

    def _taken(self, read: Callable[[], Iterable[T]]) -> Callable[[], Iterable[T]]:
        """These objects as of the last scrape: it is rendered in a thread, while the event loop goes on and changes them."""
        kept: list[tuple[T, ...]] = [()]

        def take() -> None:
            kept[0] = tuple(read())

        self._before.append(take)
        return lambda: kept[0]

    def take(self) -> None:
        """Looks at all that is watched; in the event loop, before each rendering of the registry."""
        for look in self._before:
            look()

    async def rendered(self) -> bytes:
        """The text of a scrape. With a thousand Releases it takes more than 100 ms, so that a thread renders it."""
        self.take()
        return await asyncio.to_thread(generate_latest, self.registry)

    def watch_releases(self, seen: Seen, budget: Budget = unknown_budget) -> None:
        """Reads the Releases, their last readings and their error budgets at each scrape."""
        self.registry.register(ReleaseCollector(self._taken(seen), budget))

    def watch_incidents(self, incidents: Callable[[], Iterable[Incident]]) -> None:
        """Reads the Incidents at each scrape."""
        self.registry.register(IncidentCollector(self._taken(incidents)))

    def watch_conditions(self, kind: str, objects: Objects) -> None:
        """Reads the conditions of the objects of a kind at each scrape."""
        self.registry.register(ConditionCollector(kind, self._taken(objects)))

    def watch_stops(self, stops: Callable[[], Iterable[Stop]]) -> None:
        """Reads the Stops in effect at each scrape."""
        self.registry.register(StopCollector(self._taken(stops)))

    def reconciled(self, key: ObjectKey, result: str, seconds: float) -> None:
        """Counts one reconcile and its duration."""
        self._reconciles.labels(key[0], result).inc()
        self._seconds.labels(key[0]).observe(seconds)

    def stage(self, kind: str, stage: str, seconds: float) -> None:
        """Measures one stage of a reconcile."""
        self._stages.labels(kind, stage).observe(seconds)

    def filed(self, seconds: float) -> None:
        """Measures how long an inbox entry waited until it was filed."""
        self._filed.observe(seconds)

    def api(self, verb: str, resource: str, code: str) -> None:
        """Counts one request to the API server."""
        self._api.labels(verb, resource, code).inc()

    def intake(self, route: str, code: int, stored: int = 0) -> None:
        """Counts one answered request of the intake; `route` is a pattern, never a path that a caller chose."""
        self._intake.labels(route, str(code)).inc()
        self._stored.labels(route).inc(stored)

    def set_aside(self, what: str, count: int) -> None:
        """Counts what the intake did not take."""
        self._aside.labels(what).inc(count)

    def asked(self, source: str, result: str, seconds: float) -> None:
        """Counts one query, its duration, and whether it was answered: a refused expression is an answer."""
        self._asked.labels(source, result).inc()
        self._answered.labels(source).observe(seconds)
        self._source_up.labels(source).set(float(result in ("ok", "invalid", "partial")))

    def page(self, receiver: str, action: str, result: str) -> None:
        """Counts one call to a receiver, or one message that was given up there."""
        self._pages.labels(receiver, action, result).inc()

    def correction(self, result: str) -> None:
        """Counts one correction that a person asked for."""
        self._corrections.labels(result).inc()

    def incident_deleted(self, namespace: str) -> None:
        """Counts one Incident whose retention was over."""
        self._deleted.labels(namespace).inc()

    def rollout_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        """Counts one rollout that is over."""
        self._rollouts.labels(namespace, release, result).inc()
        if seconds is not None:
            self._rollout_seconds.labels(namespace, result).observe(seconds)

    def rollback_ended(self, namespace: str, release: str, result: str, seconds: float | None) -> None:
        """Counts one rollback that is over."""
        self._rollbacks.labels(namespace, release, result).inc()
        if seconds is not None:
            self._rollback_seconds.labels(namespace, result).observe(seconds)

    def check_ended(self, namespace: str, check: str, result: str) -> None:
        """Counts one check of a rollout that ended."""
        self._checks.labels(namespace, check, result).inc()

    def hold_ended(self, namespace: str, reason: str, seconds: float) -> None:
        """Counts one hold that is over, and its duration."""
        self._hold_seconds.labels(namespace, reason).observe(seconds)

    def incident_opened(self, namespace: str, signal: str, severity: str) -> None:
        """Counts one Incident that is new."""
        self._incidents.labels(namespace, signal, severity).inc()

    def incident_reached(self, namespace: str, until: str, seconds: float) -> None:
        """Notes the time until an Incident was mitigated or resolved."""
        self._incident_seconds.labels(namespace, until).observe(seconds)

    def command_answered(self, command: str, reason: str) -> None:
        """Counts one answer to a command that a person gave by annotation."""
        self._commands.labels(command, reason).inc()

    def undelivered(self, receiver: str, count: int) -> None:
        """Publishes the number of messages that a receiver did not take and that are tried again."""
        self._undelivered.labels(receiver).set(count)

    def loop_lag(self, seconds: float, worst: float, starved: float = 0.0) -> None:
        """Publishes the lag of the event loop now, and the worst of late, in seconds; `starved`: for which of these it had no CPU."""
        self._lag.set(worst)
        self._late.observe(seconds)
        self._blocked.observe(max(0.0, seconds - starved))


def build_app(metrics: Metrics, health: Health) -> web.Application:
    """/metrics, /livez, /readyz."""

    async def serve_metrics(_: web.Request) -> web.Response:
        return web.Response(body=await metrics.rendered(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: web.Request) -> web.Response:
        return _answer(health.problems())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(health.waits_for())

    app = web.Application()
    app.add_routes([web.get("/metrics", serve_metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    return app


async def serve(app: web.Application, port: int, host: str | None = None) -> web.AppRunner:
    """Starts to listen; `cleanup()` of the result stops it."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _answer(problems: list[str]) -> web.Response:
    return web.json_response({"ok": not problems, "problems": problems}, status=503 if problems else 200)
