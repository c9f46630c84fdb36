"""`shoppers`: people who ask all day and know when an answer is wrong.

What is right they have from the shop's public pages, which say it themselves; never from what `answers` says.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

import aiohttp
from aiohttp import web
from prometheus_client import Counter, Histogram

from .articles import Article
from .calling import Caller, Reply
from .questions import QUESTIONS
from .serving import LATENCY_BUCKETS, Service

ROUTES = ("/ask", "/chat")
PATIENCE_SECONDS = 5.0
OPENING_SECONDS = 30.0
MOST_AT_ONCE = 200
FORGET_AFTER_SECONDS = 600.0
UNKNOWN = "unknown"

Key = tuple[str, ...]


class Asks(Protocol):
    """The part of a Caller that shoppers need."""

    async def get(self, url: str, *, q: str) -> Reply: ...


def expectations(public_pages: Sequence[Article]) -> dict[str, str]:
    """Topic → the text that answers a question about it."""
    return {page["topic"]: page["body"] for page in public_pages if page["body"] and page["topic"] in QUESTIONS}


def rounds(draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """(route, topic, question) for ever: each question once a round on each route, in a new order each round."""
    everything = [(route, topic, question) for route in ROUTES for topic in QUESTIONS for question in QUESTIONS[topic]]
    while True:
        draw.shuffle(everything)
        yield from everything


def verdict(status: int, answer: object, expected: str) -> tuple[str, str]:
    """(verdict, reason) of an answer that came in time."""
    if status != 200:
        return "bad", "error"
    return ("good", "ok") if answer == expected else ("bad", "wrong")


class Tally:
    """Counts by what served; forgets series of pods that are long gone, so that a long drill stays small."""

    def __init__(self, service: Service) -> None:
        labels = ["service", "verdict", "version", "pod", "route", "topic", "reason"]
        self._answers = Counter("shop_answers_total", "Answers as a shopper judges them", labels,
                                registry=service.registry)  # fmt: skip
        self._seconds = Histogram("shop_answer_seconds", "Time that a shopper waited", ["version", "route"],
                                  registry=service.registry, buckets=LATENCY_BUCKETS)  # fmt: skip
        self.skipped = Counter("shop_skipped_total", "Questions not asked: too many were open",
                               registry=service.registry)  # fmt: skip
        self._last: dict[Key, float] = {}

    def count(self, now: float, body: dict[str, object], route: str, topic: str, why: tuple[str, str]) -> None:
        judgement, reason = why
        for service, version, pod in (("answers", "version", "pod"), ("web", "webVersion", "webPod")):
            served_by = (str(body.get(version, UNKNOWN)), str(body.get(pod, UNKNOWN)))
            key = (service, judgement, *served_by, route, topic, reason)
            self._answers.labels(*key).inc()
            self._last[key] = now

    def waited(self, seconds: float, body: dict[str, object], route: str) -> None:
        self._seconds.labels(str(body.get("version", UNKNOWN)), route).observe(seconds)

    def forget(self, now: float) -> None:
        for key in [key for key, last in self._last.items() if now - last > FORGET_AFTER_SECONDS]:
            self._answers.remove(*key)
            del self._last[key]


async def ask(caller: Caller, web_url: str, tally: Tally, query: tuple[str, str, str], expected: str) -> None:
    """One question of one shopper, counted once for `answers` and once for `web`."""
    route, topic, question = query
    began = time.monotonic()
    body: dict[str, object] = {}
    try:
        reply = await caller.get(f"{web_url}{route}", q=question)
        body = reply.body
        why = verdict(reply.status, body.get("answer"), expected)
    except TimeoutError:
        why = "bad", "timeout"
    except aiohttp.ClientError:
        why = "bad", "error"
    now = time.monotonic()
    tally.count(now, body, route, topic, why)
    tally.waited(now - began, body, route)


async def shop(caller: Caller, web_url: str, catalog_url: str, tally: Tally, rate: float) -> None:
    """Ask `rate` questions a second, evenly, for ever; late answers do not slow the next question down."""
    expected = await _learn(caller, catalog_url)
    await opening(caller, web_url)
    open_questions: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    forget_at = due + 60
    for query in rounds(random.Random()):
        if len(open_questions) >= MOST_AT_ONCE:
            tally.skipped.inc()
        else:
            task = asyncio.create_task(ask(caller, web_url, tally, query, expected[query[1]]))
            open_questions.add(task)
            task.add_done_callback(open_questions.discard)
        now = time.monotonic()
        due = max(due + 1 / rate, now - 1)  # after a pause of the machine: no burst of more than a second
        await asyncio.sleep(max(0.0, due - now))
        if now >= forget_at:
            tally.forget(now)
            forget_at = now + 60


async def _learn(caller: Caller, catalog_url: str) -> dict[str, str]:
    """What is right, from the public pages; waits until they can be read and cover every topic."""
    while True:
        try:
            reply = await caller.get(f"{catalog_url}/articles")
            expected = expectations(reply.body.get("articles", []))
            if expected.keys() == QUESTIONS.keys():
                return expected
        except (TimeoutError, aiohttp.ClientError) as not_yet:
            print(f"the catalog cannot be read yet: {type(not_yet).__name__}", flush=True)
        await asyncio.sleep(0.5)


async def opening(caller: Asks, web_url: str, pause: float = 0.5) -> None:
    """Wait until the shop answers for the first time: nobody shops while it is being built.

    Not for ever, since shoppers that come back in the middle of an outage have to see it.
    """
    come_anyway = time.monotonic() + OPENING_SECONDS
    while time.monotonic() < come_anyway:
        try:
            if (await caller.get(f"{web_url}/ask", q="hello")).status == 200:
                return
        except (TimeoutError, aiohttp.ClientError) as not_yet:
            print(f"the shop is not open yet: {type(not_yet).__name__}", flush=True)
        await asyncio.sleep(pause)


def application(
    service: Service, web_url: str, catalog_url: str, rate: float, patience: float = 1.0
) -> web.Application:
    tally = Tally(service)
    caller = Caller(timeout=PATIENCE_SECONDS * patience)

    async def shopping(_: web.Application) -> AsyncIterator[None]:
        async with caller:
            job = asyncio.create_task(shop(caller, web_url, catalog_url, tally, rate))
            yield
            job.cancel()

    app = service.application()
    app.cleanup_ctx.append(shopping)
    return app
