"""`catalog`: stores the articles and finds those that share a word with a question, by an index that it rebuilds."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from prometheus_client import Gauge

from .articles import Article, published
from .serving import Service, question_of
from .words import fold

REFRESH_SECONDS = 1.0


class Index:
    """Word → articles, rebuilt from the stored articles; knows how old it is."""

    def __init__(self, stored: Callable[[], list[Article]], clock: Callable[[], float] = time.monotonic) -> None:
        self._stored = stored
        self._clock = clock
        self.paused_until = 0.0
        self.refresh()

    def refresh(self) -> None:
        index: defaultdict[str, list[int]] = defaultdict(list)
        self.articles = self._stored()
        for position, article in enumerate(self.articles):
            for word in fold(" ".join([article["title"], *article["keywords"]])):
                index[word].append(position)
        self._positions = dict(index)
        self._built = self._clock()

    def age(self) -> float:
        return self._clock() - self._built

    def pause(self, seconds: float) -> None:
        self.paused_until = self._clock() + seconds

    def tick(self) -> None:
        """What the background job does each time that it wakes."""
        if self._clock() >= self.paused_until:
            self.refresh()

    def search(self, question: str) -> list[Article]:
        """Articles in which a word of the question occurs, in stored order: the newest edition first."""
        positions = {position for word in fold(question) for position in self._positions.get(word, ())}
        return [self.articles[position] for position in sorted(positions)]


def application(service: Service, stored: Callable[[], list[Article]]) -> web.Application:
    index = Index(stored)
    age = Gauge("catalog_index_age_seconds", "Seconds since the search index was built", registry=service.registry)
    age.set_function(index.age)

    async def search(request: web.Request) -> web.Response:
        return service.json({"articles": index.search(question_of(request))})

    async def public_pages(_: web.Request) -> web.Response:
        return service.json({"articles": published(index.articles)})

    async def pause(request: web.Request) -> web.Response:
        try:
            seconds = float(request.query.get("seconds", "3600"))
        except ValueError as wrong:
            raise web.HTTPBadRequest(reason="seconds is not a number") from wrong
        index.pause(seconds)
        return service.json({"pausedForSeconds": seconds})

    async def resume(_: web.Request) -> web.Response:
        index.pause(0)
        return service.json({"pausedForSeconds": 0})

    async def background_refresh(_: web.Application) -> AsyncIterator[None]:
        async def loop() -> None:
            while True:
                await asyncio.sleep(REFRESH_SECONDS)
                index.tick()

        job = asyncio.create_task(loop())
        yield
        job.cancel()

    app = service.application()
    app.cleanup_ctx.append(background_refresh)
    app.router.add_get("/search", search)
    app.router.add_get("/articles", public_pages)
    app.router.add_post("/admin/pause-refresh", pause)
    app.router.add_post("/admin/resume-refresh", resume)
    return app
