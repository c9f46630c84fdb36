"""The intake's routes: alerts, as Alertmanager and others send them, users' tickets, and corrections of these. Every replica
stores; the holder of the Lease files.

202: the API server holds the content. 400 names the field, 401 and 403 the missing token or permission, 408 and 413 the
limit, 503 the remedy. Alertmanager retries only on network errors and 5xx, so every failure that may pass later is a 503. A
replica that the API server does not know any more (its pod is gone) refuses nothing: it hangs up, and the sender finds another one.

The permission is `create` on `alerts`, `tickets` or `corrections` in our API group: resources that exist in RBAC only. The right to create
Incidents would be another one: whoever writes an Incident chooses its severity, whoever sends an alert does not.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from aiohttp import web

from opsloop.core.intake import Received, Remark, read_alerts
from opsloop.core.reported import Alert, Asked, Ticket
from opsloop.core.text import line
from opsloop.core.tickets.arriving import MAX_TEXT, Arrived, read_ticket, ticket_json
from opsloop.core.tickets.asked import asked_by
from opsloop.core.tickets.desks import Desk, PassedOver, read_payload, ready_made
from opsloop.entry import openapi
from opsloop.entry.bodies import SMALL, Room, read_body
from opsloop.entry.http_server import HangUp
from opsloop.entry.senders import Refused, Senders
from opsloop.errors import Invalid, OpsloopError, Retryable, Unauthenticated
from opsloop.shell.ports import Access

RETRY_AFTER = 2  # seconds, where the error names none
AUDIENCE = "opsloop"
WHO = web.RequestKey("who", str)  # the name of the sender
MOST_REMARKS = 100  # in an answer, of each kind

T = TypeVar("T")
Handler = Callable[[web.Request, bytes], Awaitable[web.Response]]
Hook = Callable[[str, int, int], None]  # (route, HTTP status, stored)
Notice = Callable[[str, Received], None]  # (namespace, what was not stored as it was sent)


class Store(Protocol):
    """Durable storage: `shell.intake.inbox.Inbox`."""

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        """Returns when they are stored, else Unavailable."""
        ...

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        """Returns when it is stored, else Unavailable."""
        ...

    async def put_asked(self, namespace: str, asked: Asked) -> None:
        """A correction, likewise."""
        ...


def intake_routes(
    access: Access,
    inbox: Store,
    audience: str = AUDIENCE,
    telemetry_hook: Hook = lambda _route, _status, _stored: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    notice: Notice = lambda _namespace, _received: None,
    desks: Mapping[str, Desk] | None = None,
) -> list[web.RouteDef]:
    """Routes for an application that `entry.http_server.listen` serves; `desks` None = the ready-made ones."""
    known = ready_made() if desks is None else desks
    senders, room, parsing = Senders(access, audience, monotonic), Room(), asyncio.Lock()

    async def parsed(raw: bytes, parse: Callable[[bytes], T], quick: int = SMALL) -> T:
        """Off the event loop where it takes longer than it may be blocked; one big body at a time."""
        if len(raw) <= quick:
            return parse(raw)
        async with parsing:
            return await asyncio.to_thread(parse, raw)

    async def alerts(request: web.Request, raw: bytes) -> web.Response:
        received = await parsed(raw, lambda body: read_alerts(body, now()))
        namespace = request.match_info["namespace"]
        await inbox.put_alerts(namespace, received.alerts)
        if received.set_aside or received.truncated:
            notice(namespace, received)
        telemetry_hook("alerts", 202, len(received.alerts))
        return web.json_response({"stored": len(received.alerts), **_remarks(received)}, status=202)

    async def like_alertmanager(request: web.Request, raw: bytes) -> web.Response:
        """Alertmanager's own API answers 200, and older versions of vmalert take nothing else for a success."""
        answer = await alerts(request, raw)
        answer.set_status(200)
        return answer

    async def tickets(request: web.Request, raw: bytes) -> web.Response:
        """A ticket in our own form."""
        return await stored(request, await parsed(raw, lambda body: read_ticket(body, now()), MAX_TEXT))

    async def payloads(request: web.Request, raw: bytes) -> web.Response:
        """A ticket as its desk sends it."""
        desk = known.get(request.match_info["desk"])
        if desk is None:
            raise Refused(404, f"there is no desk {request.match_info['desk']}; there are {', '.join(sorted(known))}")
        return await stored(request, await parsed(raw, lambda body: read_payload(desk, body, now()), MAX_TEXT))

    async def stored(request: web.Request, found: Arrived | PassedOver) -> web.Response:
        if isinstance(found, PassedOver):
            telemetry_hook("tickets", 202, 0)
            return web.json_response({"stored": 0, "passedOver": line(found.reason)}, status=202)
        await inbox.put_ticket(request.match_info["namespace"], found.ticket)
        telemetry_hook("tickets", 202, 1)
        return web.json_response(_stored(found), status=202)

    async def corrections(request: web.Request, raw: bytes) -> web.Response:
        """A correction of a ticket, by whose token it is."""
        content = await parsed(raw, ticket_json, MAX_TEXT)
        asked = asked_by(content, uuid.uuid4().hex, now(), line(request[WHO]))
        await inbox.put_asked(request.match_info["namespace"], asked)
        telemetry_hook("corrections", 202, 1)
        return web.json_response({"stored": 1, "id": asked.id}, status=202)

    def guarded(route: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The handler behind the checks; `route` is the resource that its callers must be allowed to create."""

        async def handle(request: web.Request) -> web.Response:
            try:
                namespace, token = request.match_info["namespace"], request.headers.get("Authorization", "")
                request[WHO] = await senders.check(token, route, namespace, request.remote or "")
                with room.place(namespace) as place:
                    return await handler(request, await read_body(request, place))
            except (Refused, OpsloopError) as error:
                status = _status(error)
                telemetry_hook(route, status, 0)
                if isinstance(error, Unauthenticated):
                    raise HangUp from error
                return _refusal(status, error)

        return handle

    async def described(_: web.Request) -> web.Response:
        return web.json_response(openapi.document())

    base = "/v1/namespaces/{namespace:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?}"
    return [
        web.post(f"{base}/alerts", guarded("alerts", alerts)),
        web.post(f"{base}/api/v2/alerts", guarded("alerts", like_alertmanager)),
        web.post(f"{base}/tickets", guarded("tickets", tickets)),
        web.post(f"{base}/tickets/{{desk:[a-z0-9]([-a-z0-9]{{0,38}}[a-z0-9])?}}", guarded("tickets", payloads)),
        web.post(f"{base}/corrections", guarded("corrections", corrections)),
        web.get("/openapi.json", described),
    ]


def _remarks(received: Received) -> dict[str, Any]:
    """What the sender should know besides the number of stored alerts; nothing where all is well."""
    said: dict[str, Any] = {}
    for name, remarks in (("setAside", received.set_aside), ("cut", received.cut)):
        if remarks:
            said[name] = [_remark(remark) for remark in remarks[:MOST_REMARKS]]
        if len(remarks) > MOST_REMARKS:
            said[f"{name}InAll"] = len(remarks)
    return said | ({"truncated": received.truncated} if received.truncated else {})


def _stored(arrived: Arrived) -> dict[str, Any]:
    said: dict[str, Any] = {"stored": 1, "id": arrived.ticket.id}
    if arrived.cut:
        said["cut"] = [_remark(Remark(0, reason)) for reason in arrived.cut]
    return said | ({"ignored": list(arrived.ignored)} if arrived.ignored else {})


def _remark(remark: Remark) -> dict[str, Any]:
    return {"index": remark.index, "reason": line(remark.reason)}


def _status(error: Refused | OpsloopError) -> int:
    if isinstance(error, Refused):
        return error.status
    return 400 if isinstance(error, Invalid) else 503


def _refusal(status: int, error: Refused | OpsloopError) -> web.Response:
    headers = {}
    if status == 503:
        after = error.after if isinstance(error, Retryable) and error.after else RETRY_AFTER
        headers["Retry-After"] = str(max(1, round(after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": line(str(error))}, status=status, headers=headers)
