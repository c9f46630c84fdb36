"""The console's routes: pages of what the viewer may list, signing in and out, and three files. Nothing here writes anything.

A viewer is known by the header Authorization, as a front proxy sends it, or by a cookie that holds their token and no script can
read. The API server says who that is and what they may see. A replica that does not lead reads no SLI: it hands the request on to the
one that does, as it came, and where that one does not answer it shows what it has.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web

from opsloop.entry.console.answers import (
    COOKIE,
    check_same_site,
    dressed,
    file,
    inside,
    message,
    sign_out,
    token_of,
    without_cookie,
)
from opsloop.entry.console.looks import Look, Looks
from opsloop.entry.console.pages import page, part
from opsloop.entry.console.sight import Sight
from opsloop.entry.console.viewers import Viewer, Viewers
from opsloop.entry.http_server import HangUp
from opsloop.entry.senders import Refused, invalid
from opsloop.errors import OpsloopError, Retryable, Unauthenticated
from opsloop.shell.ports import Access

AUDIENCE = "opsloop-console"
MOST_COOKIE = 3800  # characters of a token that a browser takes as a cookie
MOST_FORM = 32 * 1024  # bytes
LIVE = 5  # seconds between two looks of a page
RETRY_AFTER = 2
HANDED_ON = "X-Opsloop-Handed-On"  # a request that another replica has handed on already
NAME = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
RELEASE, INCIDENT = f"releases/{{name:{NAME}}}", f"incidents/{{name:{NAME}}}"

TITLES = {400: "This address is not right", 403: "You may not see this", 404: "There is nothing here"}

log = logging.getLogger("opsloop.console")
Show = Callable[[web.Request, Viewer], Awaitable[Look]]
Elsewhere = Callable[[web.Request], Awaitable[web.Response | None]]


async def nowhere(_: web.Request) -> web.Response | None:
    """No other replica answers."""
    return None


class Console:
    """The pages of one process."""

    def __init__(
        self,
        access: Access,
        sight: Sight,
        audience: str = AUDIENCE,
        elsewhere: Elsewhere = nowhere,
        monotonic: Callable[[], float] = time.monotonic,
        threads: bool = True,
    ) -> None:
        """`elsewhere`: the answer of the replica that leads, None where this one does, or that one does not answer."""
        self.viewers, self.audience = Viewers(access, audience, monotonic), audience
        self._looks = Looks(self.viewers, sight, monotonic, threads)
        self._elsewhere = elsewhere

    def routes(self) -> list[web.RouteDef]:
        """For an application that `entry.http_server.listen` serves."""
        base = "/namespaces/{namespace:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?}"
        return [
            web.get("/", self._guarded(self._looks.fleet)),
            web.get(base, self._guarded(self._looks.namespace)),
            web.get(f"{base}/{RELEASE}", self._guarded(self._looks.release)),
            web.get(f"{base}/{INCIDENT}", self._guarded(self._looks.incident)),
            web.get(f"{base}/{INCIDENT}/postmortem", self._guarded(self._looks.postmortem)),
            web.get("/login", self._ask_for_token),
            web.post("/login", self._sign_in),
            web.post("/logout", sign_out),
            web.get("/static/{name}", file),
        ]

    def app(self) -> web.Application:
        """The whole application."""
        app = web.Application(middlewares=[dressed], client_max_size=MOST_FORM)
        app.add_routes(self.routes())
        return app

    # who, and whether something changed

    def _guarded(self, show: Show) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                viewer = await self.viewers.who(token_of(request), request.remote or "")
                if HANDED_ON not in request.headers and (answer := await self._elsewhere(request)) is not None:
                    return answer
                look = await show(request, viewer)
            except Unauthenticated as error:
                raise HangUp from error
            except (Refused, OpsloopError) as error:
                return self._refusal(request, error)
            made = page(look.main, look.trail, viewer.name, LIVE)
            if made.etag in request.headers.get("If-None-Match", ""):
                return web.Response(status=304, headers={"ETag": made.etag})
            return web.Response(text=made.html, content_type="text/html", headers={"ETag": made.etag})

        return handle

    def _refusal(self, request: web.Request, error: Refused | OpsloopError) -> web.Response:
        status = error.status if isinstance(error, Refused) else 503
        if status == 401:
            sent = COOKIE in request.cookies or "Authorization" in request.headers
            if request.headers.get("Sec-Fetch-Mode") == "navigate":
                query = {"to": request.path_qs, **({"why": "invalid"} if sent else {})}
                answer = web.Response(status=303, headers={"Location": f"/login?{urlencode(query)}"})
                return without_cookie(answer) if COOKIE in request.cookies else answer
            return self._login(str(error) if sent else "", request.path_qs)
        headers = {}
        if status == 503:
            after = error.after if isinstance(error, Retryable) and error.after else RETRY_AFTER
            headers["Retry-After"] = str(max(1, round(after)))
        title = TITLES.get(status, "Not now")
        return message(status, title, str(error), headers)

    def _login(self, error: str, to: str, status: int = 401) -> web.Response:
        made = page(part("login", error=error, to=to, audience=self.audience), [("Sign in", "")])
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        answer = web.Response(text=made.html, content_type="text/html", status=status, headers=headers)
        return without_cookie(answer) if status == 401 else answer

    async def _ask_for_token(self, request: web.Request) -> web.StreamResponse:
        why = str(invalid(self.audience)) if request.query.get("why") == "invalid" else ""
        return self._login(why, inside(request.query.get("to", "/")), 200)

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        check_same_site(request)
        form = await request.post()
        token, to = "".join(str(form.get("token", "")).split()), inside(str(form.get("to", "/")))
        if len(token) > MOST_COOKIE:
            why = f"this token has {len(token)} characters, and a cookie holds {MOST_COOKIE}: use a proxy that sends it as Authorization"
            return self._login(why, to, 400)
        try:
            await self.viewers.who(token, request.remote or "")
        except Unauthenticated as error:
            raise HangUp from error
        except (Refused, OpsloopError) as error:
            return self._login(str(error), to) if isinstance(error, Refused) else self._refusal(request, error)
        answer = web.Response(status=303, headers={"Location": to})
        secure = request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
        answer.set_cookie(
            COOKIE, token, path="/", httponly=True, samesite="Lax", secure=secure
        )  # a link in a chat leads to the page; nothing here changes by a GET
        return answer
