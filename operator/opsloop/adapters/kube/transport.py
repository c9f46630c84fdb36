"""One pooled connection to one API server: requests with a deadline, errors mapped, calls counted."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from opsloop.adapters.kube.failures import failure, retry_after
from opsloop.adapters.kube.forward import Forwarder
from opsloop.errors import Invalid, Unavailable

Counter = Callable[[str, str, str], None]  # (verb, plural, status code or "error")
POOL = 20
LONGEST_WAIT = 5.0  # seconds of Retry-After that are waited out here; longer ones are the caller's
MAX_EVENT = 4 * 1024 * 1024  # bytes; the API server stores no object that is longer than this
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"


def _nothing(verb: str, plural: str, code: str) -> None:
    """Count nothing."""


async def load(kubeconfig: str | None, context: str | None) -> Configuration:
    """Configuration from a kubeconfig file (None = KUBECONFIG or ~/.kube/config). Invalid where it cannot be read."""
    configuration = Configuration()
    try:
        await load_kube_config(kubeconfig, context=context, client_configuration=configuration, persist_config=False)
    except (ConfigException, OSError) as error:
        raise Invalid(f"kubeconfig {kubeconfig or '(default)'}: {error}") from error
    return configuration


def context_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace of the context, as kubectl has it: `default` where it names none. Invalid where it cannot be read."""
    logging.getLogger("kubernetes.aio.config.kube_config").setLevel(logging.ERROR)  # the error below says it
    try:
        contexts, active = list_kube_config_contexts(kubeconfig)
    except (ConfigException, OSError) as error:
        raise Invalid(f"kubeconfig {kubeconfig or '(default)'}: {error}; set KUBECONFIG or --kubeconfig") from error
    known = {str(each["name"]): each for each in contexts}
    if context is not None and context not in known:
        raise Invalid(f"--context: the kubeconfig has no context {context!r}; there: {', '.join(sorted(known))}")
    chosen = known[context] if context is not None else active
    return str((chosen.get("context") or {}).get("namespace") or "default")


def load_in_cluster() -> Configuration:
    """Configuration of a pod: the token file is read again every minute. Invalid outside of a pod."""
    configuration = Configuration()
    try:
        load_incluster_config(configuration)
    except (ConfigException, OSError) as error:
        raise Invalid(f"in-cluster configuration: {error}") from error
    return configuration


class Transport:
    """JSON in, JSON out. `timeout` in seconds holds for each call, waiting for a free connection included."""

    def __init__(self, configuration: Configuration, timeout: float = 10.0, count: Counter = _nothing) -> None:
        self.forward = Forwarder(configuration, timeout).open
        configuration.connection_pool_maxsize = 0  # no limit: each stream holds a connection for as long as it lasts
        self._streams = ApiClient(configuration)
        configuration.connection_pool_maxsize = POOL
        self._client = ApiClient(configuration)
        self._client.user_agent = "opsloop"
        self._timeout = timeout
        self._count = count

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        return str(self._client.configuration.host)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._streams.close()

    async def call(
        self,
        verb: str,
        method: str,
        path: str,
        plural: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = JSON,
        before: Callable[[], None] = lambda: None,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """One call; a 429 or 503 that says when to come back (soon) is tried once more. `before` runs right before each try."""
        headers = {"Accept": accept, "Content-Type": content}
        for last in (False, True):
            before()
            status, answered, data = await self._send(verb, plural, method, path, query, headers, body, self._timeout)
            wait = retry_after(answered) if status in (429, 503) else None
            if last or wait is None or wait > LONGEST_WAIT:
                break
            await asyncio.sleep(wait)
        if not 200 <= status < 300:
            raise failure(f"{verb} {path}", status, answered, data, patched=content == JSON_PATCH)
        return _object(f"{verb} {path}", data)

    async def raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the deadline of one call, in seconds
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body) of any path, any answer. Unavailable only where none came. A body of bytes goes out as it is."""
        sent = {"Content-Type": JSON, **(headers or {})}
        if isinstance(body, bytes | str):
            body = _as_sent(sent, body)
        return await self._send(method.lower(), "raw", method, path, query, sent, body, timeout or self._timeout)

    async def stream(
        self, path: str, plural: str, query: Mapping[str, str], accept: str, seconds: float, silence: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Events of one watch, until the server ends it. Raises Unavailable after `silence` seconds without one, for one
        that is longer than MAX_EVENT, and for one that says that the watch has failed."""
        headers = {"User-Agent": str(self._client.user_agent), "Accept": accept}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        url = f"{self.server}{path}?{urlencode(query)}"
        limit = aiohttp.ClientTimeout(total=seconds + silence, connect=self._timeout, sock_read=silence)
        try:
            answer = (await self._streams.call_api("GET", url, headers, _request_timeout=limit)).response
            async with answer:
                self._count("watch", plural, str(answer.status))
                if answer.status != 200:
                    raise failure(f"watch {path}", answer.status, answer.headers, await answer.read())
                async for line in _lines(answer.content):
                    event = _object(f"watch {path}", line)
                    if event.get("type") == "ERROR":
                        raise Unavailable(f"watch {path}: {(event.get('object') or {}).get('message')}")
                    yield event
        except (aiohttp.ClientError, OSError, TimeoutError, ApiException) as error:
            self._count("watch", plural, "error")
            raise Unavailable(f"watch {path}: {type(error).__name__}: {error}") from error

    async def _send(
        self,
        verb: str,
        plural: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        body: Any,
        seconds: float,
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {"User-Agent": str(self._client.user_agent), **headers}
        await self._client.update_params_for_auth(sent, [], ["BearerToken"], path, method, body)
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        limit = aiohttp.ClientTimeout(total=seconds, connect=seconds)
        try:
            response = await self._client.call_api(method, url, sent, body, _request_timeout=limit)
            data = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError, ApiException) as error:
            self._count(verb, plural, "error")
            raise Unavailable(f"{verb} {path}: {type(error).__name__}: {error}") from error
        self._count(verb, plural, str(response.status))
        return response.status, response.headers, data


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Whole lines; aiohttp's own end at 128 KiB, and annotations alone may be longer."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > MAX_EVENT:
            raise Unavailable(f"an event of a watch is longer than {MAX_EVENT} bytes")


def _as_sent(headers: dict[str, str], body: bytes | str) -> Any:
    """The REST client encodes every body of a JSON type: give it the value, or call broken JSON text so that it goes out unchanged."""
    if "json" not in headers["Content-Type"]:
        return body
    try:
        return json.loads(body)
    except ValueError:
        headers["Content-Type"] = "text/plain"
        return body


def _object(what: str, data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise Unavailable(f"{what}: not JSON: {data[:200]!r}") from error
    if not isinstance(answer, dict):
        raise Unavailable(f"{what}: not an object: {data[:200]!r}")
    return answer
