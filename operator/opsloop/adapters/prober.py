"""Eval requests to pods: straight to a pod's address, or through the API server's pod proxy (for the CLI).

A pod's failure is a reply or an error text, never an exception: status 0 for a time-out, a refused or broken connection
and an error of the API server's proxy, which say nothing about the pod's answer. A case names a path, never a host: only
a literal, routable IP address is called, redirects are not followed, the environment's proxies are not used.
"""

import asyncio
import ipaddress
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from types import SimpleNamespace
from urllib.parse import quote, unquote, urlencode

import aiohttp
from yarl import URL

from opsloop.api.eval_request import EvalRequest, Tls
from opsloop.core.evalcase import silence
from opsloop.core.evalcase.quarantine import is_name
from opsloop.core.facts import ProbeReply
from opsloop.errors import OpsloopError
from opsloop.names import EVAL_HEADER

MOST_BODY = 256 * 1024  # bytes of a reply that are read
_SET_BY_US = ("content-length", "transfer-encoding", "connection", "accept-encoding", EVAL_HEADER.lower())
_URL_CHARS = "!$%&'()*+,/:;=?@-._~"  # what a path and query may hold; the rest is escaped
_NOTHING: Mapping[str, str] = {}

Fetched = tuple[int, tuple[tuple[str, str], ...], bytes]
Forward = Callable[[str, int], AbstractAsyncContextManager[int]]
Fetch = Callable[[str, str, dict[str, str], bytes, float], Awaitable[Fetched]]


class HttpProber:
    """Asks a pod at its IP. `session` should keep no cookies and trust no environment: `HttpProber.session()`."""

    def __init__(self, session: aiohttp.ClientSession, *, allow_loopback: bool = False) -> None:
        """`allow_loopback` is for tests: no pod has such an address."""
        self._session = session
        self._allow_loopback = allow_loopback

    @staticmethod
    def session() -> aiohttp.ClientSession:
        """A session without cookies, the environment's proxies and a limit of its own; the caller closes it.

        Who asks bounds the requests of each Release. A limit over all would let pods of one team that hang keep others waiting.
        """
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)  # a kept connection would outlive its pod
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, trace_configs=[trace]
        )

    async def ask(self, pod_ip: str, request: EvalRequest, secrets: Mapping[str, str] = _NOTHING) -> ProbeReply:
        """Sends one request, with the headers `secrets`. Status 0 with `error` where no reply came."""
        host = _host(pod_ip, self._allow_loopback)
        if host is None:
            return _silent(silence.UNREACHABLE, f"{pod_ip!r} is not the IP address of a pod")
        try:
            tls = _context(request.tls) if request.tls else None
        except (ssl.SSLError, ValueError) as error:
            return _silent(silence.CASE_INVALID, f"request.tls.caBundle is no certificate in PEM: {error}")
        scheme, sent = "https" if tls else "http", SimpleNamespace(sent=False)
        url = URL(f"{scheme}://{host}:{request.port}{target(request)}", encoded=True)
        try:
            return await self._ask(url, request, secrets, tls, sent)
        except TimeoutError:
            return _late(request, bool(sent.sent))
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            return _silent(silence.TLS_FAILED, _told(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reached = silence.BROKEN_OFF if sent.sent else silence.UNREACHABLE
            return _silent(silence.REQUEST_UNFIT if isinstance(error, ValueError) else reached, _told(error))

    async def _ask(
        self,
        url: URL,
        request: EvalRequest,
        secrets: Mapping[str, str],
        tls: ssl.SSLContext | None,
        sent: SimpleNamespace,
    ) -> ProbeReply:
        headers, clock = _headers(request, secrets), asyncio.get_running_loop().time
        headers["Accept-Encoding"] = "identity"
        name = request.tls.server_name if request.tls else ""
        if name and not any(k.lower() == "host" for k in headers):
            headers["Host"] = name
        began = clock()
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=request.body.encode() if request.body else None,
            timeout=aiohttp.ClientTimeout(total=request.timeout_seconds),
            allow_redirects=False,
            ssl=tls if tls is not None else True,
            server_hostname=name or None,
            trace_request_ctx=sent,
        ) as response:
            body, cut = await _read(response)
            took = clock() - began
            response.close()  # what is left of a long body is not waited for
            got = tuple((str(k), str(v)) for k, v in response.headers.items())
            return ProbeReply(response.status, body.decode(errors="replace"), headers=got, seconds=took, cut=cut)


class ProxyProber:
    """Asks a pod by its *name* through the API server (`pods/proxy`): from where pod addresses cannot be reached."""

    def __init__(self, fetch: Fetch, namespace: str, forward: Forward | None = None) -> None:
        """`fetch(method, path, headers, body, timeout seconds)` → (status, headers, body), with the caller's own credentials;
        `forward(pod, port)`: a port of 127.0.0.1 that leads to the pod's, for what the proxy cannot do."""
        self._fetch = fetch
        self._namespace = namespace
        self._forward = forward

    async def ask(self, pod_ip: str, request: EvalRequest, secrets: Mapping[str, str] = _NOTHING) -> ProbeReply:
        """Sends one request; `pod_ip` is the pod's name here. Status 0 with `error` where no reply came.

        The API server's proxy takes the header Authorization for itself, and does not look at the pod's certificate: such a
        request goes straight to the pod's port.
        """
        if not is_name(pod_ip):
            return _silent(silence.UNREACHABLE, f"{pod_ip!r} is not the name of a pod")
        path, headers = target(request), _headers(request, secrets)
        if _leaves_the_pod(path):
            return _silent(silence.REQUEST_UNFIT, "a path with . or .. as a segment would leave the pod's proxy")
        own = any(name.lower() == "authorization" for name in headers)
        if self._forward is not None and (own or (request.tls and not request.tls.insecure_skip_verify)):
            return await _through(self._forward, pod_ip, request, secrets)
        if own:
            return _silent(silence.REQUEST_UNFIT, "the API server's proxy keeps the header Authorization for itself")
        pod = f"https:{pod_ip}" if request.tls else pod_ip
        url = f"/api/v1/namespaces/{self._namespace}/pods/{pod}:{request.port}/proxy{path}"
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            call = self._fetch(request.method, url, headers, request.body.encode(), request.timeout_seconds)
            status, got, body = await asyncio.wait_for(call, request.timeout_seconds)
        except TimeoutError:
            return _late(request, True)
        except (OpsloopError, aiohttp.ClientError, OSError, ValueError) as error:
            return _silent(silence.UNREACHABLE, _told(error))
        text, took = body[:MOST_BODY].decode(errors="replace"), clock() - began
        refused = _api_server_error(status, text)
        if refused:
            return _silent(silence.UNREACHABLE, refused)
        return ProbeReply(status, text, headers=got, seconds=took, cut=len(body) > MOST_BODY)


async def _through(forward: Forward, pod: str, request: EvalRequest, secrets: Mapping[str, str]) -> ProbeReply:
    """Asks the pod over a connection of its own."""
    try:
        async with HttpProber.session() as session, forward(pod, request.port) as port:
            local = request.model_copy(update={"port": port})
            return await HttpProber(session, allow_loopback=True).ask("127.0.0.1", local, secrets)
    except OpsloopError as error:
        return _silent(silence.UNREACHABLE, _told(error))


async def _mark_sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """Notes that the pod has the request: what is missing from now on is its reply."""
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.sent = True


def _silent(reason: str, detail: str) -> ProbeReply:
    return ProbeReply(0, "", detail, reason)


def _late(request: EvalRequest, sent: bool) -> ProbeReply:
    what, reason = ("reply", silence.TIMED_OUT) if sent else ("connection", silence.UNREACHABLE)
    return _silent(reason, f"no {what} within {request.timeout_seconds:g} s")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


@lru_cache(maxsize=256)
def _context(tls: Tls) -> ssl.SSLContext:
    """How the pod's certificate is checked. Raises SSLError or ValueError for certificates that are none."""
    context = ssl.create_default_context(cadata=tls.ca_bundle or None)
    if tls.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _host(pod_ip: str, allow_loopback: bool) -> str | None:
    """The address as it stands in a URL; None for anything that is not a pod's (names, link-local, loopback ...)."""
    try:
        address = ipaddress.ip_address(pod_ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.ipv4_mapped):
        return None
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return None
    if address.is_loopback and not allow_loopback:
        return None
    return f"[{address}]" if address.version == 6 else str(address)


def target(request: EvalRequest) -> str:
    """Path and query as they are sent: escapes in the path stay, characters that may not stand in a URL are escaped."""
    path = quote(request.path, safe=_URL_CHARS, errors="replace")
    if not request.query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode([(one.name, one.value) for one in request.query], quote_via=quote)}"


def _headers(request: EvalRequest, secrets: Mapping[str, str]) -> dict[str, str]:
    headers = {k: v for k, v in {**request.headers, **secrets}.items() if k.lower() not in _SET_BY_US}
    if request.body and not any(k.lower() == "content-type" for k in headers):
        headers["Content-Type"] = "application/json"
    headers[EVAL_HEADER] = "1"
    return headers


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The body's beginning, and whether it goes on."""
    body = b""
    while len(body) <= MOST_BODY:
        chunk = await response.content.read(MOST_BODY + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return body[:MOST_BODY], len(body) > MOST_BODY


def _leaves_the_pod(path: str) -> bool:
    """Dot segments, also when escaped once or twice: a server in between may unescape."""
    plain = unquote(unquote(path.split("?", 1)[0]))
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", plain))


def _api_server_error(status: int, text: str) -> str:
    """The error of a Status object, with which the API server answers where it cannot reach the pod or may not; else ""."""
    if status < 400:
        return ""
    try:
        status_object = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(status_object, dict):
        return ""
    if (status_object.get("kind"), status_object.get("apiVersion")) != ("Status", "v1"):
        return ""
    return f"the API server answered {status}: {status_object.get('message', '')}"[:200]
