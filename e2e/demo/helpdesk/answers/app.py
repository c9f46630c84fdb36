"""The HTTP face of the engine: /ask and /chat, one question each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from ..articles import Article
from ..calling import Caller
from ..serving import EVAL_HEADER, Service, question_of

TIMEOUT_SECONDS = 2.0  # less than web waits for an answer

Search = Callable[[str], Awaitable[list[Article]]]


class Choice(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def topic(self) -> str: ...


def application(
    service: Service, choose: Callable[[str, Search], Awaitable[Choice]], catalog_url: str, patience: float = 1.0
) -> web.Application:
    """`choose` is the engine's; questions of evals are passed on as such."""
    caller = Caller(timeout=TIMEOUT_SECONDS * patience)

    async def answer(request: web.Request) -> web.Response:
        question = question_of(request)
        marks = {EVAL_HEADER: request.headers[EVAL_HEADER]} if EVAL_HEADER in request.headers else {}

        async def search(text: str) -> list[Article]:
            reply = await caller.get(f"{catalog_url}/search", marks, q=text)
            if reply.status != 200:
                raise web.HTTPBadGateway(reason=f"the catalog answered {reply.status}")
            articles: list[Article] = reply.body["articles"]
            return articles

        try:
            choice = await choose(question, search)
        except TimeoutError:  # said as such: who asks may then ask again, instead of blaming this version
            return service.json({"error": "the catalog did not answer in time"}, status=504)
        return service.json({"question": question, "answer": choice.text, "topic": choice.topic})

    app = service.application()
    app.cleanup_ctx.append(caller.context)
    app.router.add_get("/ask", answer)
    app.router.add_get("/chat", answer)
    return app
