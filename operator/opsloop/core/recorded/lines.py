"""A request as its service recorded it: a line of an access log (common, combined, nginx, Envoy, JSON, logfmt) or a span.

Access logs have a format of their own in each house, so nothing is read by position: a request stands in quotation marks as
`"GET /path HTTP/1.1"` with its status behind it, or in fields by name. What must not be stored is taken out at once.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from opsloop.core.recorded import fields, redact
from opsloop.errors import Invalid

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LONGEST_PATH, LONGEST_BODY = 2048, 16384  # of the request of an EvalCase
LONGEST_LINE = 64 * 1024

# Each begins where the one before ended, and one that is not closed goes to the end: so both take a time that is linear in the line
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)(?:(")(?:\s+([1-5][0-9]{2})\b)?|\\?\Z)', re.DOTALL)
_REQUEST = re.compile(r"^([A-Z]{3,10}) (\S+)(?: HTTP/[0-9.]+)?$")
_LOGFMT = re.compile(r'(?<![\w.-])([A-Za-z_][\w.-]*+)=(?:"((?:[^"\\]|\\.)*+)"|(\S*+))')
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})")  # how nginx and Apache write what is no plain letter


@dataclass(frozen=True, slots=True)
class Seen:
    """A recorded request, without credentials. `gone`: what was left out or replaced; `form`: what it was read from."""

    method: str
    path: str  # and query
    form: str
    status: int | None = None  # that the service answered; None: not recorded
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    gone: tuple[str, ...] = ()
    service: str = ""  # of a span

    @property
    def line(self) -> str:
        """The request in one line."""
        return f"{self.method} {self.path}" + (f" → {self.status}" if self.status is not None else "")

    @property
    def is_altered(self) -> bool:
        """True where a credential was replaced in path or body: it is another request now. Headers that are left out, as every
        browser sends some, leave it the same one to most services, and the proof shows whether to this one."""
        return any(not part.startswith("header ") for part in self.gone)

    @property
    def is_bad(self) -> bool:
        """True where the service itself says that it failed."""
        return self.status is not None and self.status >= 500


def read(text: str) -> list[Seen]:
    """The requests of one line, or of one JSON document with spans; never empty. Raises Invalid that names what is missing."""
    text = text.strip()
    if not text:
        raise Invalid("there is no line to read")
    if text[0] in "{[" and (document := _json(text)) is not None:
        return _of_document(document)
    if len(text) > LONGEST_LINE:
        raise Invalid(f"the line has {len(text)} characters; {LONGEST_LINE} are read at most")
    quoted = _of_quoted(text)
    if quoted is not None:
        return [quoted]
    if "{" in text and isinstance(document := _json(text[text.index("{") :]), dict):  # behind a time, or a pod's name
        return _of_document(document)
    pairs = {match[1]: match[2] if match[2] is not None else match[3] for match in _LOGFMT.finditer(text)}
    if len(pairs) > 1:
        return [_of_fields(pairs, "logfmt line")]
    if text[0] == "{":
        raise Invalid("it begins like JSON and is none; was it cut?")
    raise Invalid(
        "this is no access log line that opsloop can read: it has no request in quotation marks, such as"
        ' "GET /cart?id=7 HTTP/1.1" 503, and is neither JSON nor logfmt (method=GET path=/cart status=503)'
    )


def read_all(text: str) -> tuple[list[Seen], list[str]]:
    """(requests of a whole log or document, why lines were passed over). A document may be spread over lines."""
    if text.lstrip()[:1] in ("{", "[") and (document := _json(text)) is not None:
        return _of_document(document), []
    seen: list[Seen] = []
    complaints: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            seen += read(line)
        except Invalid as error:
            complaints.append(f"line {number}: {error}")
    return seen, complaints


def most_frequent_bad(seen: Sequence[Seen]) -> tuple[Seen, int] | None:
    """(the bad request that was recorded most often, how often); the first of those that are alike. None without one."""
    counts: dict[tuple[str, str, str], int] = {}
    for one in seen:
        if one.is_bad:
            counts[one.method, one.path, one.body] = counts.get((one.method, one.path, one.body), 0) + 1
    if not counts:
        return None
    key = max(counts, key=lambda k: counts[k])
    return next(one for one in seen if one.is_bad and (one.method, one.path, one.body) == key), counts[key]


def _json(text: str) -> Any:
    """The document; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_quoted(text: str) -> Seen | None:
    """The first request in quotation marks, in an access log of any order; None where there is none."""
    for match in _QUOTED.finditer(text):
        request = _REQUEST.match(match[1]) if match[2] else None
        if request:
            status = int(match[3]) if match[3] else None
            return _seen(request[1], request[2], "access log line", status)
    if re.search(r'\] "-" [0-9]{3} ', text):
        raise Invalid('the line says "-" for the request: the client sent none, so there is nothing to repeat')
    return None


def _of_document(document: Any) -> list[Seen]:
    traced = list(fields.spans(document))
    if traced:
        return _of_spans(traced)
    if isinstance(document, list):
        return [seen for item in document for seen in _of_document(item)] or _nothing("an empty list")
    if not isinstance(document, dict):
        return _nothing("no object")
    flat = fields.flat(document)
    if not fields.first(flat, fields.METHOD) and (trace := _trace_of(flat)):
        raise Invalid(
            f"this names trace {trace} and holds no request: give the trace's span instead, as OTLP JSON"
            " (Tempo: /api/traces/ID, Jaeger: /api/traces/ID)"
        )
    return [_of_fields(flat, "JSON log line")]


def _nothing(what: str) -> list[Seen]:
    raise Invalid(f"it is {what}: a log line is an object with fields such as method, path and status")


def _trace_of(flat: fields.Fields) -> str:
    return fields.first(flat, ("traceid", "labels.traceid", "exemplar.labels.traceid"))


def _of_spans(traced: Sequence[tuple[fields.Fields, str, bool]]) -> list[Seen]:
    """Spans that serve a request come before those that send one on: the first are what users asked."""
    asked = [(own, service, serves) for own, service, serves in traced if fields.first(own, fields.METHOD)]
    if not asked:
        raise Invalid(
            f"none of {len(traced)} spans has the attribute http.request.method (or http.method): of which request it was"
            " is not recorded"
        )
    serving = [one for one in asked if one[2]] or asked
    return [_of_fields(own, "span", service) for own, service, _ in serving]


def _of_fields(record: fields.Fields, form: str, service: str = "") -> Seen:
    """Raises Invalid that names the field which is missing."""
    status = fields.status_of(record)
    request = _REQUEST.match(fields.first(record, fields.REQUEST_LINE))
    if request:
        method, target = request[1], request[2]
    else:
        method = fields.first(record, fields.METHOD)
        target = fields.first(record, fields.TARGET)
        query = fields.first(record, fields.QUERY)
        if query and "?" not in target:
            target = f"{target}?{query.removeprefix('?')}"
    for what, value, examples in (
        ("method", method, "method, request_method, http.request.method"),
        ("path", target, "path, uri, request_uri, url.path, http.target"),
    ):
        if not value:
            there = ", ".join(list(record)[:12]) or "no field"
            raise Invalid(f"the {form} does not say the request's {what}: it has {there}; read are {examples}, …")
    body = fields.first(record, fields.BODY)
    return _seen(method.upper(), target, form, status, fields.headers_of(record), body, service)


def _seen(
    method: str,
    target: str,
    form: str,
    status: int | None = None,
    headers: dict[str, str] | None = None,
    body: str = "",
    service: str = "",
) -> Seen:
    """Redacted, and checked against what an EvalCase may ask."""
    if method not in METHODS:
        raise Invalid(f"the request's method is {method}: an EvalCase can ask {', '.join(METHODS)}")
    target = _path(target)
    for what, value, most in (
        ("path", target, LONGEST_PATH),
        ("body", body, LONGEST_BODY),
    ):  # first: what follows takes time
        if len(value) > most:
            raise Invalid(f"the request's {what} has {len(value)} characters; an EvalCase takes {most}")
    path, gone = redact.target(target)
    kept, headers_gone = redact.headers(headers or {})
    text, body_gone = redact.body(body) if body else ("", [])
    if len(path) > LONGEST_PATH:
        raise Invalid(f"the request's path has {len(path)} characters; an EvalCase takes {LONGEST_PATH}")
    if len(text) > LONGEST_BODY:
        raise Invalid(f"the request's body has {len(text)} characters; an EvalCase takes {LONGEST_BODY}")
    return Seen(method, path, form, status, kept, text, (*gone, *headers_gone, *body_gone), service)


def _path(target: str) -> str:
    """Path and query of a request's target, also of a whole URL: the host is the pod's, and a fragment is never sent."""
    target = _ESCAPED.sub(r"%\1", target)
    if re.match(r"^[a-z][a-z0-9+.-]*://", target):
        try:
            parts = urlsplit(target)
        except ValueError:
            raise Invalid(f"the request's URL cannot be read: {target[:200]}") from None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = target.partition("#")[0]
    if not target.startswith("/"):
        raise Invalid(f"the request's path must begin with /, and is {target[:200]!r}")
    return target
