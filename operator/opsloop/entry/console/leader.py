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
from opsloop.shell.ports import PODS, Object, Reader

SECONDS = 5.0  # for an answer; after that this replica shows what it has
KEPT = 5.0  # seconds: a pod may come back with another address, and somebody else then has this one
MOST_BYTES = 8 * 1024 * 1024  # of an answer
_ASKED = ("Authorization", "Cookie", "If-None-Match", "Accept")
_ANSWERED = ("Content-Type", "ETag", "Retry-After", "WWW-Authenticate", "Set-Cookie")

log = logging.getLogger("opsloop.console")


def _address_of(pod: Object, uid: str) -> str:
    """Of this very pod while it runs; else ""."""
    meta, status = pod.get("metadata") or {}, pod.get("status") or {}
    runs = meta.get("uid") == uid and status.get("phase") == "Running" and not meta.get("deletionTimestamp")
    return str(status.get("podIP") or "") if runs else ""


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
        self._known = ("", "", 0.0)  # holder, its address, until when that is taken for granted

    async def __call__(self, request: web.Request) -> web.Response | None:
        """Its answer; None where this process leads, or that one does not answer."""
        if self._leads() or not (holder := self._holder()):
            return None
        try:
            address = await self._address(holder)
            return await self._ask(address, request) if address else None
        except (OpsloopError, aiohttp.ClientError, TimeoutError, OSError) as error:
            self._known = ("", "", 0.0)
            log.info("the console of %s does not answer: %s", holder, str(error) or type(error).__name__)
            return None

    async def _address(self, holder: str) -> str:
        now = asyncio.get_running_loop().time()
        if self._known[0] != holder or not self._known[1] or now >= self._known[2]:
            name, _, uid = holder.rpartition("_")
            pod = await self._pods.get(PODS, self._namespace, name)
            self._known = (holder, _address_of(pod, uid), now + KEPT)
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
