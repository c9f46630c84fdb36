"""What the console's answers have in common: headers, cookies, messages and files."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from opsloop.entry.console.pages import page, part, static
from opsloop.entry.http_server import ANSWER_SECONDS, HangUp
from opsloop.entry.senders import Refused, bearer

COOKIE = "opsloop-console"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = logging.getLogger("opsloop.console")


def token_of(request: web.Request) -> str:
    """Of the header, else of the cookie. Raises Refused where neither holds one."""
    if header := request.headers.get("Authorization", ""):
        return bearer(header)
    if token := request.cookies.get(COOKIE, ""):
        return token
    raise Refused(401, "sign in")


def check_same_site(request: web.Request) -> None:
    """A form of another site signs nobody in. Browsers say where a request comes from; what is no browser has no cookie to be misled by."""
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Origin", "")
    if site not in ("", "same-origin", "none") or (not site and origin and urlsplit(origin).netloc != request.host):
        raise web.HTTPForbidden(reason="this form belongs to the console's own pages")


def inside(to: str) -> str:
    """A path of the console; "/" for anything else."""
    parts = urlsplit(to)
    fine = (
        to.startswith("/")
        and not to.startswith(("//", "/\\"))
        and not parts.netloc
        and to.isascii()
        and to.isprintable()
    )
    return to if fine else "/"


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Takes the cookie away."""
    check_same_site(request)
    return without_cookie(web.Response(status=303, headers={"Location": "/"}))


def without_cookie(answer: web.Response) -> web.Response:
    """The answer, after which the browser has no token any more."""
    answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
    return answer


async def file(request: web.Request) -> web.StreamResponse:
    """Style sheet, script or icon."""
    try:
        content, kind, etag = static(request.match_info["name"])
    except KeyError as error:
        raise web.HTTPNotFound from error
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)


def message(status: int, title: str, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A page that says one thing."""
    made = page(part("message", title=title, text=text), [(title, "")])
    return web.Response(text=made.html, content_type="text/html", status=status, headers=headers or {})


@web.middleware
async def dressed(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every answer has the headers that keep a page what it is, and no cache keeps it."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await handler(request)
    except HangUp:
        raise
    except TimeoutError:
        answer = message(503, "Not now", f"This took longer than {ANSWER_SECONDS:.0f} s.", {"Retry-After": "5"})
    except web.HTTPException as wrong:
        kept = {name: value for name, value in wrong.headers.items() if name == "Allow"}
        answer = message(wrong.status, wrong.reason, f"{request.method} {request.path}: {wrong.reason}", kept)
    except Exception:
        log.exception("a page could not be made")
        answer = message(500, "A fault of opsloop's", "Its log has the reason.")
    answer.headers.update(HEADERS)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer
