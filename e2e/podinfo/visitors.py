"""Visits URL, RATE times a second on average, each visit on a connection of its own, so that each ready pod gets its share.

The gaps are exponential: real visitors do not come in step with a scrape. A visit that is answered late or not at all delays
no other one.
"""

from __future__ import annotations

import asyncio
import os
import random

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=10)
MOST_AT_ONCE = 200


async def visit(session: aiohttp.ClientSession, url: str) -> None:
    """One visit; what it was answered is the service's to count."""
    try:
        async with session.get(url) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        pass


async def visits(url: str, rate: float) -> None:
    """For ever."""
    open_visits: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(force_close=True, limit=MOST_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
        due = asyncio.get_running_loop().time()
        while True:
            due += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if len(open_visits) < MOST_AT_ONCE:
                task = asyncio.create_task(visit(session, url))
                open_visits.add(task)
                task.add_done_callback(open_visits.discard)


if __name__ == "__main__":
    asyncio.run(visits(os.environ["URL"], float(os.environ["RATE"])))
