"""`opsloop selftest`: whether an install answers, asked from inside of the cluster. `helm test` runs it."""

import argparse
import asyncio
import json
import re
from collections.abc import Awaitable, Callable

import aiohttp

from opsloop.entry.cli.out import say

PAUSE = 1.0  # seconds between two questions: a Service that has just been made takes a moment
LEADS = re.compile(r"^opsloop_leader 1(\.0)?$", re.MULTILINE)
NAMESPACE = "default"  # without a token the intake answers the same for each

Check = Callable[[aiohttp.ClientSession], Awaitable[str]]  # "" where it holds, else what was seen


def add_to(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add = parser.add_argument
    add("--intake", required=True, metavar="URL", help="address of the intake's Service")
    add("--metrics", required=True, metavar="URL", help="address of the metrics' Service")
    add("--within", type=float, default=60.0, metavar="SECONDS", help="default: %(default)s")
    parser.set_defaults(run=selftest, offline=True)


async def selftest(arguments: argparse.Namespace, _cluster: None) -> int:
    """0 where every check held within the time, else 1; a line for each says what was seen."""
    return await check(arguments.intake, arguments.metrics, arguments.within)


async def check(intake: str, metrics: str, within: float) -> int:
    """The same of these addresses, within so many seconds."""
    intake, metrics = intake.rstrip("/"), metrics.rstrip("/")
    checks: dict[str, Check] = {
        "a replica is ready": lambda session: _ready(session, f"{metrics}/readyz"),
        "a replica leads": lambda session: _leads(session, f"{metrics}/metrics"),
        "the intake asks for a token": lambda session: _asks(session, f"{intake}/v1/namespaces/{NAMESPACE}/alerts"),
    }
    # a connection for each question: with several replicas the next one may answer
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session:
        seen = await asyncio.gather(*(_until(asked, session, within) for asked in checks.values()))
    for name, wrong in zip(checks, seen, strict=True):
        say(f"{'FAILED' if wrong else 'ok':<7} {name}{f': {wrong}' if wrong else ''}")
    return 1 if any(seen) else 0


async def _until(asked: Check, session: aiohttp.ClientSession, within: float) -> str:
    """Asks again until it holds; else what was seen last."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        try:
            wrong = await asked(session)
        except (aiohttp.ClientError, TimeoutError) as error:
            wrong = f"no answer: {type(error).__name__}: {error}"
        if not wrong or loop.time() + PAUSE > end:
            return wrong
        await asyncio.sleep(PAUSE)


async def _ready(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return "" if answer.status == 200 else f"{url} answers {answer.status}: {(await answer.text())[:200]}"


async def _leads(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        text = await answer.text()
        if answer.status != 200:
            return f"{url} answers {answer.status}"
        return "" if LEADS.search(text) else "no replica that answered holds the Lease (opsloop_leader is 0)"


async def _asks(session: aiohttp.ClientSession, url: str) -> str:
    async with session.post(url, json={}) as answer:
        text = await answer.text()
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        is_ours = answer.status == 401 and isinstance(said, dict) and "error" in said
        return "" if is_ours else f"{url} answers {answer.status} where it should be 401: {text[:200]}"
