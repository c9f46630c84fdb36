"""Telemetry port on a Prometheus-compatible HTTP API (Prometheus, Thanos, Mimir, VictoriaMetrics).

It is built on a function that fetches a path, so that it works over HTTP and through the API server's proxy.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar

import aiohttp

from opsloop.adapters.http_access import Credentials, HttpAccess
from opsloop.core.alert_rules import AlertRule, window_of_expression
from opsloop.errors import Forbidden, Invalid, NotFound, OpsloopError, Partial, TimedOut, Unavailable
from opsloop.shell.ports import Sample, Series

Fetch = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""(path such as /api/v1/query, parameters) → (HTTP status, body). Raises aiohttp's, OSError, TimeoutError or our errors."""

T = TypeVar("T")

AS_ASKED = {"nocache": "1"}
"""VictoriaMetrics moves ranges of 50 points and more to multiples of their step, and instants of the last 30 s to before these, unless it
is told not to; the counts of a canary's windows would be those of other windows. Others do not know the word and ignore it."""
_BAD_QUERY = (400, 422)
_REFUSED = (401, 403)
MOST_RULES = (
    8 * 1024 * 1024
)  # bytes of all rules; decoding more holds up the event loop, and takes several times as much memory
MOST_ANSWER = 16 * 1024 * 1024  # bytes of any answer; a person's query may have every series of Prometheus come back
_SHOWN = 300  # characters of a foreign message that are passed on


class Prometheus:
    """`Telemetry` over `fetch`."""

    def __init__(self, fetch: Fetch, name: str = "Prometheus") -> None:
        """`name` is what its errors call it."""
        self._fetch, self._name = fetch, name

    @classmethod
    def over_http(
        cls,
        session: aiohttp.ClientSession,
        base_url: str,
        access: HttpAccess | None = None,
        name: str = "Prometheus",
    ) -> "Prometheus":
        """POSTs forms (expressions outgrow a URL) below `base_url`, and GETs what has no parameters; time-outs are the session's or
        the caller's. An answer that is no success holds no credentials: a server may repeat them."""
        access = access or HttpAccess()
        credentials, server_name = Credentials(access), access.tls.server_name or None

        async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
            try:
                presented = credentials.present()
            except Unavailable as error:
                raise Unavailable(f"{name} is not asked: {error}") from error
            async with session.request(
                "POST" if params else "GET",
                base_url.rstrip("/") + path,
                data=params or None,
                headers=presented.headers,
                ssl=presented.ssl,
                server_hostname=server_name,
                allow_redirects=False,
            ) as answer:
                body = await _read_up_to(answer.content, MOST_ANSWER)
                return answer.status, body if answer.status == 200 else presented.hide(body)

        return cls(fetch, name)

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """/api/v1/query. A scalar comes back as one sample without labels."""
        params = {"query": query} if at is None else {"query": query, "time": _seconds(at)}
        kind, result = await self._ask("/api/v1/query", params)
        return _read(lambda: _samples(kind, result))

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """/api/v1/query_range; both ends are included, `step` in seconds."""
        params = {"query": query, "start": _seconds(start), "end": _seconds(end), "step": f"{step:.3f}"}
        kind, result = await self._ask("/api/v1/query_range", params)
        return _read(lambda: _series(kind, result))

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """/api/v1/query of a range selector. Invalid for native histograms, whose samples are no numbers."""
        kind, result = await self._ask("/api/v1/query", {"query": query, "time": _seconds(at)})
        return _read(lambda: _raw(kind, result))

    async def rules(self) -> list[AlertRule]:
        """/api/v1/rules: alerting rules, without the alerts that fire where it knows how to leave them out."""
        body = await self._answer("/api/v1/rules?type=alert&exclude_alerts=true", {}, MOST_RULES)
        return _read(
            lambda: [_rule(rule) for group in body["data"]["groups"] for rule in group["rules"] if _alerts(rule)]
        )

    async def _ask(self, path: str, params: Mapping[str, str]) -> tuple[str, Any]:
        body = await self._answer(path, {**params, **AS_ASKED})
        return _read(lambda: (str(body["data"]["resultType"]), body["data"]["result"]))

    async def _answer(self, path: str, params: Mapping[str, str], most: float = inf) -> Mapping[str, Any]:
        try:
            status, raw = await self._fetch(path, params)
        except OpsloopError:
            raise
        except TimeoutError as error:
            raise TimedOut(f"{self._name} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"{self._name} cannot be reached: {said}"[:_SHOWN]) from error
        if len(raw) > most:
            raise Unavailable(f"{self._name}'s answer to {path} has {len(raw)} bytes; at most {most:.0f} are read")
        body = _decode(raw)
        _refuse(self._name, status, body, raw)
        return body


async def _read_up_to(content: aiohttp.StreamReader, most: int) -> bytes:
    """The whole body. Raises Unavailable, without reading on, where it is longer."""
    body = bytearray()
    async for chunk in content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > most:
            raise Unavailable(f"the answer has more than {most} bytes; no more are read: ask for fewer series")
    return bytes(body)


class NoPrometheus:
    """`Telemetry` where no Prometheus is configured: every reading is Unknown with that reason."""

    async def instant(self, query: str, at: datetime | None = None) -> list[Sample]:
        """Raises Unavailable."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")

    async def range(self, query: str, start: datetime, end: datetime, step: float) -> list[Series]:
        """Raises Unavailable."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")

    async def samples(self, query: str, at: datetime) -> list[Series]:
        """Raises Unavailable."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")

    async def rules(self) -> list[AlertRule]:
        """Raises Unavailable."""
        raise Unavailable("OPSLOOP_PROMETHEUS_URL is not set")


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(float(seconds), 3), UTC)


def _decode(raw: bytes) -> dict[str, Any]:
    """The JSON object, or an empty one for anything else (a proxy's error page)."""
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _refuse(who: str, status: int, body: Mapping[str, Any], raw: bytes) -> None:
    """Raises unless this is a complete success without a warning."""
    said = str(body.get("error") or body.get("message") or raw[:_SHOWN].decode(errors="replace"))
    said = " ".join(said.split())[:_SHOWN]  # one line: plain texts end with one
    if status in _BAD_QUERY:
        raise Invalid(f"{who} refuses the query: {said}")
    if status in _REFUSED:
        raise Forbidden(f"{who} answered {status}: {said}")
    if status == 404:
        raise NotFound(f"{who} has no such API there (404): {said}")
    if status != 200:
        raise Unavailable(f"{who} answered {status}: {said}")
    if body.get("status") != "success":
        raise Unavailable(f"{who} answered 200 without success: {said}")
    if body.get("isPartial"):  # VictoriaMetrics' cluster, without a word about which node is away
        raise Partial(f"{who}'s answer is not whole: it says isPartial")
    _warn(who, [str(warning) for warning in body.get("warnings") or ()])


def _warn(who: str, warnings: list[str]) -> None:
    """Raises Partial for warnings about data that are away, Invalid for those about the expression; notes are none.

    The engine's own annotations carry its name, wherever a version puts them (2.48 to 2.53 lists infos among the warnings).
    """
    about_data = [warning for warning in warnings if not warning.startswith("PromQL ")]
    if about_data:
        raise Partial(f"{who}'s answer is not whole: {'; '.join(about_data)}"[:_SHOWN])
    about_query = [warning for warning in warnings if not warning.startswith("PromQL info")]
    if about_query:
        raise Invalid(f"{who} warns of the query: {'; '.join(about_query)}"[:_SHOWN])


def _read(reader: Callable[[], T]) -> T:
    """What `reader` takes out of an answer; an answer of another shape is Unavailable (something else speaks there)."""
    try:
        return reader()
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Unavailable(f"Prometheus' answer has another shape than its API: {error!r}"[:_SHOWN]) from error


def _alerts(rule: Mapping[str, Any]) -> bool:
    return rule.get("type", "alerting") == "alerting" and bool(rule.get("name"))


def _rule(rule: Mapping[str, Any]) -> AlertRule:
    """`duration` in seconds; labels that hold a template differ from alert to alert."""
    fixed = {str(name): str(value) for name, value in (rule.get("labels") or {}).items() if "{{" not in str(value)}
    window = window_of_expression(str(rule.get("query") or ""))
    return AlertRule(str(rule["name"]), float(rule.get("duration") or 0), tuple(sorted(fixed.items())), window)


def _samples(kind: str, result: Any) -> list[Sample]:
    if kind == "scalar":
        return [Sample({}, float(result[1]), _time(result[0]))]
    if kind != "vector":
        raise Invalid(f"The query gives a {kind}, not a vector")
    if any("histogram" in one for one in result):
        raise Invalid("The query gives native histograms, not numbers")
    return [Sample(one["metric"], float(one["value"][1]), _time(one["value"][0])) for one in result]


def _series(kind: str, result: Any) -> list[Series]:
    if kind != "matrix":
        raise Invalid(f"The range query gives a {kind}, not a matrix")
    return [
        Series(one["metric"], tuple((_time(at), float(value)) for at, value in one.get("values", ()))) for one in result
    ]


def _raw(kind: str, result: Any) -> list[Series]:
    if kind != "matrix":
        raise Invalid(f"The query gives a {kind}, not the samples of a range")
    if any(one.get("histograms") for one in result):
        raise Invalid("The query gives native histograms, not numbers")
    return _series(kind, result)
