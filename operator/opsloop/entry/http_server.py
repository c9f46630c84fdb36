"""An HTTP server that no connection can wear out: how many there are, and how long each may take for what, is bounded.

aiohttp ends an idle connection after its first request, and none that has sent no whole request yet. So each connection is
wrapped here: its head has to arrive in time, and between two requests it may be idle for a while. The body has a deadline
of its own (`entry.bodies`), as the answer has.

A server that is about to end says so: each connection is closed after its next answer, and who cannot be served any more is
hung up on, so that the sender tries again elsewhere in place of waiting for a server that is gone.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEAD_SECONDS = 10.0  # until the head of the first request is there
IDLE_SECONDS = 75.0  # between an answer and the next head; longer than Alertmanager's and Go's pause of one minute
ANSWER_SECONDS = 60.0  # for one request, its body and what is stored of it included
LEAVE_SECONDS = 3.0  # for which a server that is about to end takes what still comes on open connections
CLEANUP_SECONDS = 10.0  # for requests that are in work then
MOST_CONNECTIONS = 256
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

log = logging.getLogger("opsloop.http")


class HangUp(Exception):
    """This request gets no answer: its connection is closed."""


class Connections:
    """All connections of one server."""

    def __init__(self, most: int = MOST_CONNECTIONS, head: float = HEAD_SECONDS, idle: float = IDLE_SECONDS) -> None:
        """`head` and `idle` in seconds."""
        self.most, self.head, self.idle = most, head, idle
        self.open: dict[asyncio.BaseTransport, _Connection] = {}
        self.leaving = False  # the server is about to end
        self.empty = asyncio.Event()  # no connection is open; not kept while none has been closed

    def wrap(self, server: Callable[[], asyncio.Protocol]) -> "_Connection":
        """The protocol of one new connection."""
        return _Connection(self, server())

    @property
    def middleware(self) -> Middleware:
        """Stops the clock of a connection while its request is answered, and ends it where it has to."""

        @web.middleware
        async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self.open.get(cast(asyncio.BaseTransport, request.transport))
            if connection is not None:
                connection.wait(None)
            try:
                answer = await handler(request)
            except HangUp:
                return _hung_up(request)
            finally:
                if connection is not None:
                    connection.wait(self.idle)
            if self.leaving:
                if answer.status == 503:
                    return _hung_up(request)
                answer.force_close()
            return answer

        return measured


def _hung_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=503)  # nobody gets it


class _Connection(asyncio.Protocol):
    """Passes on what arrives, and closes what takes too long."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self._connections, self._inner = connections, inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refused = self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio says."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._connections.open) >= self._connections.most:
            self._refused = True
            self._transport.write(_FULL)
            self._transport.close()
            return
        self._connections.open[transport] = self
        self._inner.connection_made(transport)
        self.wait(self._connections.head)

    def data_received(self, data: bytes) -> None:
        """As asyncio says."""
        if not self._refused:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """As asyncio says."""
        return None if self._refused else self._inner.eof_received()

    def pause_writing(self) -> None:
        """As asyncio says."""
        if not self._refused:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """As asyncio says."""
        if not self._refused:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio says."""
        self._stop()
        if self._transport is not None:
            self._connections.open.pop(self._transport, None)
            if not self._connections.open:
                self._connections.empty.set()
        if not self._refused:
            self._inner.connection_lost(exc)

    def wait(self, seconds: float | None) -> None:
        """The next head must be there within so many seconds; None: a request is being answered."""
        self._stop()
        self._answered = self._answered or seconds is None
        if seconds is not None and self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        if self._transport is None:
            return
        if not self._answered:
            self._transport.write(_TOO_SLOW)
        if self._transport.get_write_buffer_size():  # nobody reads what is written
            self._transport.abort()
        else:
            self._transport.close()


def in_json(routes: Callable[[], list[str]]) -> Middleware:
    """A middleware that answers in JSON whatever goes wrong; for an unknown path with the routes that there are."""

    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await handler(request)
        except HangUp:
            raise
        except web.HTTPNotFound:
            error = {"error": "there is nothing at this path", "routes": routes()}
            return web.json_response(error, status=404)
        except web.HTTPMethodNotAllowed as wrong:
            allowed = ", ".join(sorted(wrong.allowed_methods))
            error = {"error": f"this path takes {allowed} only", "routes": routes()}
            return web.json_response(error, status=405, headers={"Allow": allowed})
        except web.HTTPException as wrong:
            return web.json_response({"error": wrong.reason}, status=wrong.status)
        except TimeoutError:
            error = {"error": f"not done within {ANSWER_SECONDS:.0f} s; try again soon"}
            return web.json_response(error, status=503, headers={"Retry-After": "5"})
        except Exception:
            log.exception("a request could not be answered")
            return web.json_response({"error": "a fault of opsloop's; its log has the reason"}, status=500)

    return answered


class Listening:
    """A server that listens."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server, connections: Connections) -> None:
        self._runner, self._server, self._connections = runner, server, connections

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return int(self._server.sockets[0].getsockname()[1])

    async def leave(self, seconds: float = LEAVE_SECONDS) -> None:
        """Closes every connection after its next answer; returns when none is left, or after so many seconds."""
        self._connections.leaving = True
        self._connections.empty.clear()
        if self._connections.open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._connections.empty.wait()

    async def cleanup(self) -> None:
        """Stops listening, waits for the requests in work for CLEANUP_SECONDS, and ends the connections."""
        self._server.close()
        await self._runner.cleanup()


async def listen(
    app: web.Application, port: int, host: str | None = None, connections: Connections | None = None
) -> Listening:
    """Starts to listen; 0 is any free port. Bodies arrive as they were sent: nothing is decompressed."""
    bounds = connections or Connections()
    app.middlewares.insert(0, bounds.middleware)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=bounds.head + bounds.idle,
        shutdown_timeout=CLEANUP_SECONDS,
    )
    await runner.setup()
    server = cast(Callable[[], asyncio.Protocol], runner.server)
    listening = await asyncio.get_running_loop().create_server(lambda: bounds.wrap(server), host, port)
    return Listening(runner, listening, bounds)
