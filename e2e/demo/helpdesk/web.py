"""`web`: what people reach. Passes a question on to `answers` and its answer back, whatever it is."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from .calling import Caller, Reply
from .serving import EVAL_HEADER, Service, question_of

TIMEOUT_SECONDS = 4.0


def application(service: Service, answers_url: str, patience: float = 1.0) -> web.Application:
    caller = Caller(timeout=TIMEOUT_SECONDS * patience)

    async def passed_on(request: web.Request) -> web.Response:
        question = question_of(request)
        marks = {EVAL_HEADER: request.headers[EVAL_HEADER]} if EVAL_HEADER in request.headers else {}
        try:
            reply = await caller.get(f"{answers_url}{request.path}", marks, q=question)
        except TimeoutError:  # before ClientError: aiohttp's time-outs are both
            reply = Reply(504, {"error": "answers took too long"})
        except aiohttp.ClientError as failed:
            reply = Reply(502, {"error": f"answers cannot be reached: {type(failed).__name__}"})
        status = 502 if reply.status == 500 else reply.status
        body = {**reply.body, "webVersion": service.version, "webPod": service.pod}
        return web.json_response(body, status=status)

    app = service.application()
    app.cleanup_ctx.append(caller.context)
    app.router.add_get("/ask", passed_on)
    app.router.add_get("/chat", passed_on)
    return app
