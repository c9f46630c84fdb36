"""Answers /search; FAULT says what is wrong with it, which no single request shows.

queue: one request after the other, each for QUEUE_SECONDS. hoard: HOARD_MIB more memory for each request, kept for ever.
/suggest is right in half of its answers, whatever the version: no fault of a version, but a case that is no measure.
"""

from __future__ import annotations

import asyncio
import os
import random

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

PORT = 8080
QUEUE_SECONDS = 0.2
FAULT, HOARD_MIB = os.environ.get("FAULT", ""), int(os.environ.get("HOARD_MIB", "1"))

hoard: list[bytes] = []
alone = asyncio.Lock()
registry = CollectorRegistry()
ProcessCollector(registry=registry)


async def search(_: web.Request) -> web.Response:
    """Three hits, always."""
    if FAULT == "queue":
        async with alone:
            await asyncio.sleep(QUEUE_SECONDS)
    if FAULT == "hoard":
        hoard.append(random.randbytes(1024) * 1024 * HOARD_MIB)
    return web.json_response({"hits": 3})


async def suggest(_: web.Request) -> web.Response:
    """One of two words."""
    return web.json_response({"word": random.choice(["boots", "shoes"])})


async def metrics(_: web.Request) -> web.Response:
    """Memory of the process, among others."""
    return web.Response(body=generate_latest(registry), content_type="text/plain")


def main() -> None:
    """Serves until SIGTERM."""
    app = web.Application()
    app.router.add_get("/search", search)
    app.router.add_get("/suggest", suggest)
    app.router.add_get("/metrics", metrics)
    web.run_app(app, port=PORT, access_log=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()
