"""How a part goes away: as a process that gets SIGTERM while people use it."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

DEADLINE = 60.0  # seconds for another process on a busy machine; a quiet one needs a few


async def test_a_stopped_part_says_not_ready_goes_on_serving_and_finishes_what_it_began() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow_search(request: web.Request) -> web.Response:
        if request.query["q"] == "slow":
            asked.set()
            await answered.wait()
        return web.json_response({"articles": []})

    slow_catalog = web.Application()
    slow_catalog.router.add_get("/search", slow_search)
    async with TestServer(slow_catalog) as stored, aiohttp.ClientSession() as session:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        env = {
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "LAME_DUCK_SECONDS": "0.4",
            "PATIENCE": "30",  # of answers with its catalog: a busy machine is not a failure
            "CATALOG_URL": str(stored.make_url("")).rstrip("/"),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "e2e.demo.helpdesk",
            "answers",
            cwd=Path(__file__).parents[3],
            env={**os.environ, **env},
        )
        try:
            await _until(session, f"{url}/readyz", 200)
            in_flight = asyncio.create_task(_status(session, f"{url}/ask?q=slow"))
            await asked.wait()
            process.send_signal(signal.SIGTERM)
            await _until(session, f"{url}/readyz", 503)
            assert await _status(session, f"{url}/ask?q=new") == 200, "serves while others learn that it goes"
            await _until(session, f"{url}/readyz", None)
            answered.set()
            assert await in_flight == 200, "what it began before the end is finished"
            assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
        finally:
            answered.set()
            if process.returncode is None:
                process.kill()
                await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _status(session: aiohttp.ClientSession, url: str) -> int | None:
    """The status code; None when nobody listens."""
    try:
        async with session.get(url, headers={"Connection": "close"}) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return None


async def _until(session: aiohttp.ClientSession, url: str, wanted: int | None) -> None:
    async with asyncio.timeout(DEADLINE):
        while await _status(session, url) != wanted:  # noqa: ASYNC110  # another process cannot set an Event
            await asyncio.sleep(0.02)
