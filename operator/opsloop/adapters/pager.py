"""Pager port by webhook: POSTs JSON to one URL. The receiver drops repeats of a message by the Idempotency-Key header."""

import asyncio
from pathlib import Path

import aiohttp

from opsloop.errors import Permanent, Unavailable
from opsloop.shell.ports import Object

TIMEOUT = aiohttp.ClientTimeout(total=10)


class WebhookPager:
    """`token_file` holds a bearer token and is read for each page, so that it can be rotated; None = no token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token_file: str | None = None) -> None:
        self._session, self._url, self._token_file = session, url, token_file

    async def page(self, payload: Object) -> None:
        """Returns when the receiver answered 2xx. Unavailable: 408, 429, 5xx or no answer; Permanent: any other answer."""
        headers = await self._headers(payload)
        try:
            async with self._session.post(
                self._url, json=payload, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                status, text = answer.status, (await answer.content.read(200)).decode(errors="replace")
                after = answer.headers.get("Retry-After", "")
        except aiohttp.InvalidURL as error:
            raise Permanent(f"pager: {self._url!r} is not a URL") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"pager: {type(error).__name__}: {error}") from error
        if 200 <= status < 300:
            return
        if status in (408, 429) or status >= 500:
            raise Unavailable(f"pager: {status} {text}", after=float(after) if after.isdigit() else None)
        raise Permanent(f"pager: {status} {text}")

    async def _headers(self, payload: Object) -> dict[str, str]:
        headers = {}
        if key := payload.get("message_id") or payload.get("dedup_key"):
            headers["Idempotency-Key"] = str(key)
        if self._token_file:
            try:
                token = await asyncio.to_thread(Path(self._token_file).read_text)
            except OSError as error:
                raise Unavailable(f"pager: token file: {error}") from error
            headers["Authorization"] = f"Bearer {token.strip()}"
        return headers


class NoPager:
    """Pager port where none is configured: fails, so that the Incident shows no page as sent."""

    async def page(self, payload: Object) -> None:
        """Raises Permanent."""
        raise Permanent("no pager is configured (OPSLOOP_PAGER_URL)")
