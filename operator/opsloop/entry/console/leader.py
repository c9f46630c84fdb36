"""A request handed on to the replica that leads, as it came, with the viewer's own token: that replica asks the API server itself who
it is."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from opsloop.entry.console.http import HANDED_ON
from opsloop.errors import OpsloopError
from opsloop.shell.ports import PODS, Reader

SECONDS = 5.0  # for an answer; after that this replica shows what it has
_ASKED = ("Authorization", "Cookie", "If-None-Match", "Accept")
_ANSWERED = ("Content-Type", "ETag", "Retry-After", "WWW-Authenticate", "Set-Cookie")

log = logging.getLogger("opsloop.console")


class Leader:
    """The replica that leads, by the holder of the Lease."""

    def __init__(
        self,
        pods: Reader,
        session: aiohttp.ClientSession,
        namespace: str,
        port: int,
        leads: Callable[[], bool],
        holder: Callable[[], str],
    ) -> None:
        """`holder`: POD_UID as the Lease has it, "" = nobody."""
        self._pods, self._session, self._namespace, self._port = pods, session, namespace, port
        self._leads, self._holder = leads, holder
        self._known = ("", "")  # holder, its address

    async def __call__(self, request: web.Request) -> web.Response | None:
        """Its answer; None where this process leads, or that one does not answer."""
        if self._leads() or not (holder := self._holder()):
            return None
        try:
            address = await self._address(holder)
            return await self._ask(address, request) if address else None
        except (OpsloopError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("the console of %s does not answer: %s", holder, str(error) or type(error).__name__)
            return None

    async def _address(self, holder: str) -> str:
        if self._known[0] != holder or not self._known[1]:
            pod = await self._pods.get(PODS, self._namespace, holder.rpartition("_")[0])
            self._known = (holder, str((pod.get("status") or {}).get("podIP") or ""))
        return self._known[1]

    async def _ask(self, address: str, request: web.Request) -> web.Response:
        host = f"[{address}]" if ":" in address else address
        headers = CIMultiDict({name: request.headers[name] for name in _ASKED if name in request.headers})
        headers[HANDED_ON] = "1"
        async with asyncio.timeout(SECONDS):
            async with self._session.get(
                f"http://{host}:{self._port}{request.path_qs}", headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.read()
                kept = CIMultiDict((name, value) for name in _ANSWERED for value in answer.headers.getall(name, []))
                return web.Response(status=answer.status, headers=kept, body=body)
