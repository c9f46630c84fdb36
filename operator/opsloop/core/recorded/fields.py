"""The fields of a recorded request in structured records: JSON log lines, logfmt, and spans of traces.

Who writes a log names the fields; these are the names of nginx, Envoy, Traefik, Caddy, the clouds' load balancers, ECS and
OpenTelemetry's conventions, old and new. They are compared in small letters and without `_`, `-` and `:`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

METHOD = (
    "http.request.method", "http.method", "requestmethod", "request.method", "httprequest.requestmethod", "httpmethod",
    "req.method", "method", "verb",
)  # fmt: skip
TARGET = (
    "http.target", "url.path", "requesturi", "request.uri", "uri", "requestpath", "request.path", "path", "httprequest.requesturl",
    "req.url", "request.url", "http.url", "url.full", "url.original", "url",
)  # fmt: skip
QUERY = ("url.query", "querystring", "args", "request.query")
STATUS = (
    "http.response.statuscode", "http.statuscode", "responsecode", "response.statuscode", "response.status", "res.statuscode",
    "httprequest.status", "statuscode", "httpstatus", "downstreamstatus", "status", "code",
)  # fmt: skip
REQUEST_LINE = ("request", "requestline", "http.request.line")
BODY = ("requestbody", "request.body", "http.request.body.content", "http.request.body")
_HEADERS = re.compile(
    r"^(?:http\.request\.header|http\.request\.headers|request\.headers|req\.headers)\.(.+)$|^http_(accept|accept_language|content_type)$"
)
MOST_FIELDS, DEEPEST = 500, 8

Fields = dict[str, Any]


def flat(record: Mapping[str, Any]) -> Fields:
    """Leaves by their path with dots, as they are spelled; the first MOST_FIELDS."""
    leaves: Fields = {}
    for name, value in _leaves(record, "", 0):
        if len(leaves) >= MOST_FIELDS:
            break
        leaves.setdefault(name, value)
    return leaves


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and depth < DEEPEST:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        yield path, value[0]  # Caddy and OpenTelemetry write a header as a list
    else:
        yield path, value


def first(fields: Fields, names: tuple[str, ...]) -> str:
    """The text of the first of these fields that holds something; "" where none does."""
    known = {re.sub(r"[_:-]", "", name.lower()): name for name in reversed(fields)}
    for name in names:
        value = fields.get(known.get(name, ""))
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip() not in ("", "-"):
            return str(value).strip()
    return ""


def status_of(fields: Fields) -> int | None:
    """The HTTP status: the first field of these names that holds one."""
    for name in STATUS:
        text = first(fields, (name,))
        if re.fullmatch(r"[1-5][0-9][0-9](\.0)?", text):
            return int(float(text))
    return None


def headers_of(fields: Fields) -> dict[str, str]:
    """The request's headers."""
    found: dict[str, str] = {}
    for name, value in fields.items():
        match = _HEADERS.match(name.lower())
        if match and isinstance(value, str) and value:
            found[(match[1] or match[2]).replace("_", "-")] = value
    return found


def spans(document: Any, service: str = "", depth: int = 0) -> Iterator[tuple[Fields, str, bool]]:
    """(attributes, name of the service, does it serve the request) of each span in OTLP JSON, or in what Tempo and Jaeger
    answer: wherever in it the spans are."""
    if isinstance(document, list):
        for item in document:
            yield from spans(item, service, depth + 1) if depth < 2 * DEEPEST else ()
    if not isinstance(document, Mapping) or depth >= 2 * DEEPEST:
        return
    resource = document.get("resource")
    if isinstance(resource, Mapping):
        named = attributes(resource.get("attributes")).get("service.name")
        service = str(named) if named else service
    if "spanId" in document or "spanID" in document:
        own = attributes(document.get("attributes") or document.get("tags"))
        kind = str(document.get("kind", own.get("span.kind", ""))).lower()
        yield own, service, kind in ("2", "span_kind_server", "server")
        return
    for item in document.values():
        if isinstance(item, list | Mapping):
            yield from spans(item, service, depth + 1)


def attributes(pairs: Any) -> Fields:
    """Attributes of OTLP, `[{"key": …, "value": {"stringValue": …}}]`, of Jaeger, `[{"key": …, "value": …}]`, or a plain object."""
    if isinstance(pairs, Mapping):
        return flat(pairs)
    found: Fields = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, Mapping) and isinstance(pair.get("key"), str):
            found[pair["key"]] = _value(pair.get("value"))
    return found


def _value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if isinstance(listed := value.get("arrayValue"), Mapping):
        values = listed.get("values") or [None]
        return _value(values[0])
    return next(iter(value.values()), None)
