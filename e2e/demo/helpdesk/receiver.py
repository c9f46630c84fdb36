"""`receiver`: stands where a paging service would be. Keeps what it is sent, and shows it."""

from __future__ import annotations

import hmac
import json
from collections import deque
from datetime import UTC, datetime

from aiohttp import web

from .serving import Service

KEPT = 10_000


def application(service: Service, token: str | None) -> web.Application:
    """With a token, `POST /page` needs it as bearer; reading is free, since only a test reads."""
    pages: deque[dict[str, object]] = deque(maxlen=KEPT)

    async def receive(request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "").encode()
        if token is not None and not hmac.compare_digest(shown, f"Bearer {token}".encode()):
            raise web.HTTPUnauthorized(reason="the bearer token is missing or wrong")
        try:
            page = json.loads(await request.text())
        except ValueError as wrong:
            raise web.HTTPBadRequest(reason="the body is not JSON") from wrong
        if not isinstance(page, dict):
            raise web.HTTPBadRequest(reason="a page is a JSON object")
        received = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        pages.append({"receivedAt": received, "dedup_key": page.get("dedup_key"), "page": page})
        print(json.dumps(pages[-1]), flush=True)
        return web.json_response({"status": "success", "dedup_key": page.get("dedup_key")}, status=202)

    async def shown(_: web.Request) -> web.Response:
        return web.json_response({"pages": list(pages)})

    app = service.application()
    app.router.add_post("/page", receive)
    app.router.add_get("/pages", shown)
    return app
