"""What every part serves in the same way: metrics, probes, errors as JSON, and an end that drops nobody."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from .answers.engine import VERSION

PORT = 8080
POD = socket.gethostname()
EVAL_HEADER = "X-Opsloop-Eval"
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0)
UNMEASURED = frozenset({"/metrics", "/healthz", "/readyz", "/requests"})
KEPT = 50  # requests that GET /requests tells of: so many bad ones, and as many of the others
OTHERS = 20  # of the others each 20th

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody here reads


@dataclass
class Service:
    """One part of the help desk: its metrics, and whether it is on its way out."""

    version: str = VERSION
    pod: str = POD
    draining: bool = False
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        ProcessCollector(registry=self.registry)
        self.bad: deque[str] = deque(maxlen=KEPT)
        self.others: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self.requests = Counter("helpdesk_requests_total", "Requests answered, without those of evals",
                                ["route", "code", "version"], registry=self.registry)  # fmt: skip
        self.seconds = Histogram("helpdesk_request_seconds", "Time to answer, without requests of evals",
                                 ["route"], registry=self.registry, buckets=LATENCY_BUCKETS)  # fmt: skip

    def application(self) -> web.Application:
        """An application that has everything but the service's own routes."""
        app = web.Application(middlewares=[self._measure], client_max_size=64 * 1024)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/requests", self._requests)
        return app

    @web.middleware
    async def _measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count and time a request under its route; turn a defect into a JSON answer that says where it was."""
        began = time.perf_counter()
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            response = web.json_response({"error": refused.reason}, status=refused.status)
        except Exception as defect:
            print(f"{request.path}: {type(defect).__name__}: {defect}", file=sys.stderr, flush=True)
            response = self.json({"error": f"{type(defect).__name__}: {defect}"}, status=500)
        if self.draining:
            response.force_close()
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "other"
        if route not in UNMEASURED and EVAL_HEADER not in request.headers:
            self.requests.labels(route, str(response.status), self.version).inc()
            self.seconds.labels(route).observe(time.perf_counter() - began)
            self._record(request, response.status)
        return response

    def _record(self, request: web.Request, status: int) -> None:
        """Each bad request, and some of the others, without headers: nobody's cookie is kept."""
        self._count += 1
        line = json.dumps({"method": request.method, "path": request.path_qs, "status": status})
        if status >= 500:
            self.bad.append(line)
        elif self._count % OTHERS == 1:
            self.others.append(line)

    async def _requests(self, _: web.Request) -> web.Response:
        """One JSON object a line, the bad ones first."""
        lines = [*self.bad, *self.others]
        return web.Response(text="".join(f"{line}\n" for line in lines), content_type="application/x-ndjson")

    def json(self, body: dict[str, object], status: int = 200) -> web.Response:
        """A JSON answer that says which version in which pod gave it."""
        return web.json_response({**body, "version": self.version, "pod": self.pod}, status=status)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), content_type="text/plain")

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="draining\n", status=503) if self.draining else web.Response(text="ready\n")


def question_of(request: web.Request) -> str:
    """The question asked in `?q=`; refused when empty."""
    question = request.query.get("q", "").strip()
    if not question:
        raise web.HTTPBadRequest(reason="the parameter q is missing")
    return question


async def serve(
    service: Service, app: web.Application, *, host: str = "0.0.0.0", port: int = PORT, lame_duck: float = 3.0
) -> None:
    """Serve until SIGTERM or SIGINT, then leave without dropping a request.

    Kubernetes tells a pod to stop and tells everybody else not to use it at the same moment. So after the signal
    the pod says *not ready* and goes on serving for `lame_duck` seconds, in which the last senders learn of it;
    then it stops listening and finishes what it has begun.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=512).start()
    print(f"{service.version} {service.pod} serves on port {port}", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()
    service.draining = True
    await asyncio.sleep(lame_duck)
    await runner.cleanup()
