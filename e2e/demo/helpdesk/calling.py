"""How one part asks another over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web


@dataclass(frozen=True)
class Reply:
    status: int
    body: dict[str, Any]


class Caller:
    """Asks with a fresh connection each time, because a Service spreads connections and not requests.

    One retry, and only if the connection was refused: then nobody has begun to work on the request.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def context(self, _: web.Application) -> AsyncIterator[None]:
        """For `app.cleanup_ctx`: open while the application runs."""
        async with self:
            yield

    async def __aenter__(self) -> Caller:
        connector = aiohttp.TCPConnector(force_close=True, limit=256, ttl_dns_cache=60)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, headers: dict[str, str] | None = None, **query: str) -> Reply:
        try:
            return await self._get(url, headers, query)
        except aiohttp.ClientConnectorError as failed:
            if not isinstance(failed.os_error, ConnectionRefusedError):
                raise
            return await self._get(url, headers, query)

    async def _get(self, url: str, headers: dict[str, str] | None, query: dict[str, str]) -> Reply:
        if self._session is None:
            raise RuntimeError("a Caller is used inside `async with`")
        async with self._session.get(url, params=query, headers=headers) as response:
            body = await response.json() if response.content_type == "application/json" else {}
            return Reply(response.status, body if isinstance(body, dict) else {})
