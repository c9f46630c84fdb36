"""Eval requests to pods: straight to a pod's address, or through the API server's pod proxy (for the CLI).

A pod's failure is a reply or an error text, never an exception: status 0 for a time-out, a refused or broken connection
and an error of the API server's proxy, which say nothing about the pod's answer. A case names a path, never a host: only
a literal, routable IP address is called, redirects are not followed, the environment's proxies are not used.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote

import aiohttp
from yarl import URL

from opsloop.api.evalcase import EvalRequest
from opsloop.core.evalcase.quarantine import is_name
from opsloop.core.facts import ProbeReply
from opsloop.errors import OpsloopError
from opsloop.names import EVAL_HEADER

MOST_BODY = 64 * 1024  # bytes of a reply that are read
_SET_BY_US = ("content-length", "transfer-encoding", "connection", "accept-encoding", EVAL_HEADER.lower())
_URL_CHARS = "!$%&'()*+,/:;=?@-._~"  # what a path and query may hold; the rest is escaped

Fetch = Callable[[str, str, dict[str, str], bytes, float], Awaitable[tuple[int, bytes]]]


class HttpProber:
    """Asks a pod at its IP. `session` should keep no cookies and trust no environment: `HttpProber.session()`."""

    def __init__(self, session: aiohttp.ClientSession, *, allow_loopback: bool = False) -> None:
        """`allow_loopback` is for tests: no pod has such an address."""
        self._session = session
        self._allow_loopback = allow_loopback

    @staticmethod
    def session() -> aiohttp.ClientSession:
        """A session without cookies and without the environment's proxies; the caller closes it."""
        return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def ask(self, pod_ip: str, request: EvalRequest) -> ProbeReply:
        """Sends one request. Status 0 with `error` where no reply came."""
        host = _host(pod_ip, self._allow_loopback)
        if host is None:
            return ProbeReply(0, "", f"{pod_ip!r} is not the IP address of a pod")
        url = URL(f"http://{host}:{request.port}{_escaped(request.path)}", encoded=True)
        try:
            return await self._ask(url, request)
        except TimeoutError:
            return ProbeReply(0, "", f"no reply within {request.timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ProbeReply(0, "", f"{type(error).__name__}: {error}"[:200])

    async def _ask(self, url: URL, request: EvalRequest) -> ProbeReply:
        timeout = aiohttp.ClientTimeout(total=request.timeout_seconds)
        headers = _headers(request)
        headers["Connection"] = "close"  # a kept connection would outlive its pod
        headers["Accept-Encoding"] = "identity"
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=request.body.encode() if request.body else None,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            body = await _read(response)
            response.close()  # what is left of a long body is not waited for
            return ProbeReply(response.status, body.decode(errors="replace"))


class ProxyProber:
    """Asks a pod by its *name* through the API server (`pods/proxy`): from where pod addresses cannot be reached."""

    def __init__(self, fetch: Fetch, namespace: str) -> None:
        """`fetch(method, path, headers, body, timeout seconds)` → (status, body), with the caller's own credentials."""
        self._fetch = fetch
        self._namespace = namespace

    async def ask(self, pod_ip: str, request: EvalRequest) -> ProbeReply:
        """Sends one request; `pod_ip` is the pod's name here. Status 0 with `error` where no reply came."""
        if not is_name(pod_ip):
            return ProbeReply(0, "", f"{pod_ip!r} is not the name of a pod")
        path = _escaped(request.path)
        if _leaves_the_pod(path):
            return ProbeReply(0, "", "a path with . or .. as a segment would leave the pod's proxy")
        url = f"/api/v1/namespaces/{self._namespace}/pods/{pod_ip}:{request.port}/proxy{path}"
        try:
            call = self._fetch(request.method, url, _headers(request), request.body.encode(), request.timeout_seconds)
            status, body = await asyncio.wait_for(call, request.timeout_seconds)
        except TimeoutError:
            return ProbeReply(0, "", f"no reply within {request.timeout_seconds:g} s")
        except (OpsloopError, aiohttp.ClientError, OSError, ValueError) as error:
            return ProbeReply(0, "", f"{type(error).__name__}: {error}"[:200])
        text = body[:MOST_BODY].decode(errors="replace")
        refused = _api_server_error(status, text)
        return ProbeReply(0, "", refused) if refused else ProbeReply(status, text)


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


def _escaped(path: str) -> str:
    """The path as it is sent: escapes stay, characters that may not stand in a URL are escaped."""
    return quote(path, safe=_URL_CHARS, errors="replace")


def _headers(request: EvalRequest) -> dict[str, str]:
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _SET_BY_US}
    if request.body and not any(k.lower() == "content-type" for k in headers):
        headers["Content-Type"] = "application/json"
    headers[EVAL_HEADER] = "1"
    return headers


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < MOST_BODY:
        chunk = await response.content.read(MOST_BODY - len(body))
        if not chunk:
            break
        body += chunk
    return body


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
