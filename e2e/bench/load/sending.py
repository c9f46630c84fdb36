"""Sends the storm as Alertmanager does: at its time, again after a network error or a 5xx, until it is taken."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiohttp

from e2e.bench.load.storm import Body

AGAIN = 0.5  # seconds until a body that was not taken is sent again, doubled each time
LONGEST = 8.0
TRIES = 40


@dataclass(slots=True)
class Sent:
    """What became of the bodies; times in seconds."""

    seconds: list[tuple[float, float]] = field(
        default_factory=list
    )  # since the beginning, and of each request that was taken
    refused: dict[str, int] = field(default_factory=dict)  # status, or kind of network error → number
    taken_at: dict[str, float] = field(default_factory=dict)  # fingerprint of an alert on another service → Unix time
    began: float = field(default_factory=time.time)  # Unix time
    stored: set[str] = field(default_factory=set)  # fingerprints that got their 202
    given_up: int = 0

    def refuse(self, why: str) -> None:
        """Counts a request that has to be repeated."""
        self.refused[why] = self.refused.get(why, 0) + 1


async def send(url: Callable[[], str], token: str, bodies: Iterable[Body]) -> Sent:
    """All bodies, each at its time; `url()` is asked before each try, as the operator may have moved."""
    sent, began = Sent(), time.monotonic()
    connector = aiohttp.TCPConnector(limit=64)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, asyncio.TaskGroup() as tasks:
        for body in bodies:
            await asyncio.sleep(max(0.0, began + body.at - time.monotonic()))
            tasks.create_task(_deliver(session, url, body, sent, began))
    return sent


async def _deliver(
    session: aiohttp.ClientSession, url: Callable[[], str], body: Body, sent: Sent, began: float
) -> None:
    pause = AGAIN
    for _ in range(TRIES):
        started = time.monotonic()
        try:
            async with session.post(url(), data=body.raw, timeout=aiohttp.ClientTimeout(total=30)) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            sent.refuse(type(error).__name__)
        else:
            if status == 202:
                sent.seconds.append((started - began, time.monotonic() - started))
                sent.stored.update(body.fingerprints)
                if body.other:
                    sent.taken_at[body.other] = time.time()
                return
            sent.refuse(str(status))
        await asyncio.sleep(pause)
        pause = min(LONGEST, 2 * pause)
    sent.given_up += 1
