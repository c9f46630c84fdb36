"""The intake's two routes: Alertmanager's webhook and users' tickets. Every replica stores; the holder of the Lease files.

202: the API server holds the content. 400 names the field, 401 and 403 the missing token or permission, 413 and 503 the
remedy. Alertmanager retries only on network errors and 5xx, so every failure that may pass later is a 503.

The permission is `create` on `alerts` or `tickets` in our API group: resources that exist in RBAC only. The right to create
Incidents would be another one: whoever writes an Incident chooses its severity, whoever sends an alert does not.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from aiohttp import web

from opsloop.api.meta import GROUP
from opsloop.core.facts import Alert, Ticket
from opsloop.core.intake import MAX_BODY, parse_alerts, parse_json, parse_ticket
from opsloop.errors import Invalid, OpsloopError, Retryable
from opsloop.shell.ports import Access

REMEMBER = 60.0  # seconds for which a permission is cached
MAX_REMEMBERED = 1000
RETRY_AFTER = 2  # seconds, where the error names none
AUDIENCE = "opsloop"

Handler = Callable[[web.Request], Awaitable[web.Response]]
Hook = Callable[[str, int, int], None]  # (route, HTTP status, stored)


class Store(Protocol):
    """Durable storage: `shell.intake.inbox.Inbox`."""

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        """Returns when they are stored, else Unavailable."""
        ...

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        """Returns when it is stored, else Unavailable."""
        ...


def intake_routes(
    access: Access,
    inbox: Store,
    audience: str = AUDIENCE,
    telemetry_hook: Hook = lambda _route, _status, _stored: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
) -> list[web.RouteDef]:
    """Routes for an aiohttp application; its `client_max_size` may stay at its default."""
    guard = _Guard(access, audience, monotonic)

    async def alerts(request: web.Request) -> web.Response:
        parsed = parse_alerts(parse_json(await _body(request)), now())
        await inbox.put_alerts(request.match_info["namespace"], parsed)
        return _answer("alerts", {"stored": len(parsed)}, len(parsed))

    async def tickets(request: web.Request) -> web.Response:
        ticket = parse_ticket(parse_json(await _body(request)), now())
        await inbox.put_ticket(request.match_info["namespace"], ticket)
        return _answer("tickets", {"stored": 1, "id": ticket.id}, 1)

    def _answer(route: str, body: dict[str, int | str], stored: int) -> web.Response:
        telemetry_hook(route, 202, stored)
        return web.json_response(body, status=202)

    def guarded(route: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                await guard.check(request.headers.get("Authorization", ""), route, request.match_info["namespace"])
                return await handler(request)
            except (_Refused, OpsloopError) as error:
                status = _status(error)
                telemetry_hook(route, status, 0)
                return _refusal(status, error)

        return handle

    base = "/v1/namespaces/{namespace:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?}"
    return [
        web.post(f"{base}/alerts", guarded("alerts", alerts)),
        web.post(f"{base}/tickets", guarded("tickets", tickets)),
    ]


class _Refused(Exception):
    """A request without a valid token, permission or size; the message names the remedy."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Guard:
    """TokenReview, then SubjectAccessReview; a permission is cached by the hash of the token, a refusal never."""

    def __init__(self, access: Access, audience: str, monotonic: Callable[[], float]) -> None:
        self._access, self._audience, self._monotonic = access, audience, monotonic
        self._until: dict[tuple[bytes, str, str], float] = {}

    async def check(self, header: str, plural: str, namespace: str) -> None:
        """Raises _Refused (401, 403), or Unavailable where the API server cannot say."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _Refused(401, "no token: send a Kubernetes token as `Authorization: Bearer TOKEN`")
        key = hashlib.sha256(token.encode(errors="surrogateescape")).digest(), plural, namespace
        if self._until.get(key, 0.0) > self._monotonic():
            return
        await self._review(token, plural, namespace)
        self._remember(key)

    async def _review(self, token: str, plural: str, namespace: str) -> None:
        identity = await self._access.review_token(token, self._audience)
        if identity is None:
            raise _Refused(401, f"the token is not valid for the audience {self._audience!r}, or it has expired")
        user, groups = identity
        if not await self._access.allowed(user, groups, "create", GROUP, plural, namespace):
            permission = f"create {plural}.{GROUP} in namespace {namespace}"
            raise _Refused(403, f"{user} may not {permission}: bind a Role with that permission to it")

    def _remember(self, key: tuple[bytes, str, str]) -> None:
        now = self._monotonic()
        if len(self._until) >= MAX_REMEMBERED:
            self._until = {k: until for k, until in self._until.items() if until > now}
        if len(self._until) < MAX_REMEMBERED:
            self._until[key] = now + REMEMBER


async def _body(request: web.Request) -> bytes:
    """Reads at most MAX_BODY bytes, counted while they arrive and after decompression. Raises _Refused (413)."""
    parts, size = [], 0
    async for part in request.content.iter_chunked(65_536):
        size += len(part)
        if size > MAX_BODY:
            raise _Refused(
                413, f"body: more than {MAX_BODY} bytes; send fewer alerts at once (max_alerts in Alertmanager)"
            )
        parts.append(part)
    return b"".join(parts)


def _status(error: _Refused | OpsloopError) -> int:
    if isinstance(error, _Refused):
        return error.status
    return 400 if isinstance(error, Invalid) else 503


def _refusal(status: int, error: _Refused | OpsloopError) -> web.Response:
    headers = {}
    if status == 503:
        after = error.after if isinstance(error, Retryable) and error.after else RETRY_AFTER
        headers["Retry-After"] = str(max(1, round(after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": str(error)}, status=status, headers=headers)
