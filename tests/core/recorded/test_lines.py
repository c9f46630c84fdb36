"""Requests as services record them: what is read, what is left out, and what a line that cannot be read lacks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.recorded.lines import METHODS, Seen, most_frequent_bad, read, read_all
from opsloop.errors import Invalid


def span(kind: int = 2, service: str = "shop", **attributes: Any) -> dict[str, Any]:
    """OTLP JSON with one span; `__` in a name is a dot."""
    pairs = [
        {"key": k.replace("__", "."), "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in attributes.items()
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    spans = [{"traceId": "5b8e", "spanId": "051f", "kind": kind, "attributes": pairs}]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}


NEW: dict[str, Any] = {
    "http__request__method": "GET",
    "url__path": "/cart",
    "url__query": "id=7",
    "http__response__status_code": 503,
}
OLD: dict[str, Any] = {"http__method": "GET", "http__target": "/cart?id=7", "http__status_code": 503}
JAEGER = {"data": [{"spans": [{"spanID": "1", "tags": [
    {"key": "http.method", "value": "GET"}, {"key": "http.url", "value": "http://shop/cart?id=7"}, {"key": "http.status_code", "value": 503},
]}]}]}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('10.1.2.3 - eva [10/Oct/2026:13:55:36 +0000] "GET /cart?id=7 HTTP/1.1" 503 2326', id="common"),
        pytest.param('10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET /cart?id=7 HTTP/1.1" 503 12 "https://a/" "curl/8.5"', id="combined"),
        pytest.param('10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET /cart?id=7 HTTP/2.0" 503 0 "-" "k6" 120 0.004 [shop-80] [] 10.9.0.1:80 0 0.004 503 9f', id="ingress-nginx"),
        pytest.param('[2026-10-10T13:55:36.310Z] "GET /cart?id=7 HTTP/2" 503 UF 0 91 10 - "10.0.35.28" "k6" "cc21" "shop" "10.2.1.1:80"', id="Envoy"),
        pytest.param('INFO:     10.1.2.3:51000 - "GET /cart?id=7 HTTP/1.1" 503 Service Unavailable', id="uvicorn"),
        pytest.param('10.1.2.3 - - [10/Oct/2026] "GET https://shop.example/cart?id=7 HTTP/1.1" 503 0', id="a whole URL"),
        pytest.param('{"time":"x","request":"GET /cart?id=7 HTTP/1.1","status":"503"}', id="nginx as JSON"),
        pytest.param('{"method":"GET","path":"/cart?id=7","response_code":503,"authority":"shop"}', id="Envoy as JSON"),
        pytest.param('{"RequestMethod":"GET","RequestPath":"/cart?id=7","DownstreamStatus":503}', id="Traefik"),
        pytest.param('{"level":"error","request":{"method":"GET","uri":"/cart?id=7"},"status":503}', id="Caddy"),
        pytest.param('{"httpRequest":{"requestMethod":"GET","requestUrl":"https://shop.example/cart?id=7","status":503}}', id="Google Cloud"),
        pytest.param('{"http":{"request":{"method":"GET"},"response":{"status_code":503}},"url":{"path":"/cart","query":"id=7"}}', id="ECS"),
        pytest.param('shop-7d4 2026-10-10T13:55:36Z {"method":"get","url":"/cart?id=7","statusCode":503}', id="JSON behind a pod's name and a time"),
        pytest.param('level=error msg="request failed" method=GET path=/cart?id=7 status=503 took=3ms', id="logfmt"),
        pytest.param(json.dumps(span(**NEW)), id="a span, conventions of today"),
        pytest.param(json.dumps(span(**OLD)), id="a span, older conventions"),
        pytest.param(json.dumps(JAEGER), id="what Jaeger answers"),
        pytest.param(json.dumps({"batches": span(**NEW)["resourceSpans"]}), id="what Tempo answers"),
    ],
)  # fmt: skip
def test_the_same_request_in_many_forms(line: str) -> None:
    (seen,) = read(line)
    assert (seen.method, seen.path, seen.status, seen.gone) == ("GET", "/cart?id=7", 503, ())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("", "no line", id="nothing"),
        pytest.param("started in 3 s", '"GET /cart?id=7 HTTP/1.1" 503', id="a line of another log"),
        pytest.param('{"method":"GET","status":503}', "does not say the request's path: it has method, status", id="no path"),
        pytest.param('{"path":"/x","status":503}', "does not say the request's method", id="no method"),
        pytest.param('{"method":"GET","pa', "is none; was it cut?", id="JSON that was cut"),
        pytest.param('1.2.3.4 - - [x] "-" 408 0 "-" "-"', "the client sent none", id="a connection without a request"),
        pytest.param('x "CONNECT shop:443 HTTP/1.1" 200', "the request's method is CONNECT", id="a method that no case can ask"),
        pytest.param('x "OPTIONS * HTTP/1.1" 200', "must begin with /", id="no path"),
        pytest.param(f'x "GET /{"a" * 3000} HTTP/1.1" 200', "3001 characters; an EvalCase takes 2048", id="a path that is too long"),
        pytest.param('{"labels":{"trace_id":"4bf9"},"value":"1"}', "names trace 4bf9 and holds no request", id="an exemplar alone"),
        pytest.param(json.dumps(span(db__system="redis")), "none of 1 spans has the attribute http.request.method", id="a span of something else"),
        pytest.param("[]", "an empty list", id="an empty list"),
        pytest.param('["a"]', "no object", id="a list of texts"),
        pytest.param("[" * 5000, "no request in quotation marks", id="nested beyond reason"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_is_missing(line: str, says: str) -> None:
    with pytest.raises(Invalid) as error:
        read(line)
    assert says in str(error.value)


def test_of_a_trace_the_spans_that_serve_come_before_those_that_send_on() -> None:
    both = {
        "resourceSpans": span(3, **{**NEW, "url__path": "/upstream"})["resourceSpans"] + span(**NEW)["resourceSpans"]
    }
    (seen,) = read(json.dumps(both))
    assert (seen.path, seen.service) == ("/cart?id=7", "shop")


def test_headers_and_body_are_taken_over_without_credentials() -> None:
    record = {
        "request": {"method": "POST", "uri": "/orders", "body": '{"n": 2, "password": "x"}',
                    "headers": {"Content-Type": ["application/json"], "Cookie": ["sid=1"], "Authorization": ["Bearer abcdefgh"]}},
        "status": 500,
    }  # fmt: skip
    (seen,) = read(json.dumps(record))
    assert seen.headers == {"content-type": "application/json"} and seen.body == '{"n": 2, "password": "redacted"}'
    assert set(seen.gone) == {"header cookie", "header authorization", "field password"}


def test_a_whole_log_is_read_line_by_line_and_says_what_it_passed_over() -> None:
    log = 'x "GET /a HTTP/1.1" 200\nstarted\n\nx "GET /b HTTP/1.1" 503\nx "GET /c HTTP/1.1" 500\nx "GET /b HTTP/1.1" 503\n'
    seen, passed_over = read_all(log)
    assert [one.path for one in seen] == ["/a", "/b", "/c", "/b"]
    assert len(passed_over) == 1 and passed_over[0].startswith("line 2: ")
    worst = most_frequent_bad(seen)
    assert worst is not None and (worst[0].path, worst[1]) == ("/b", 2)
    assert most_frequent_bad(seen[:1]) is None


def test_escapes_of_nginx_are_those_of_a_url() -> None:
    (seen,) = read(r'x "GET /a\x22b HTTP/1.1" 500')
    assert seen.path == "/a%22b"


@given(st.text(max_size=200))
def test_whatever_stands_there_it_is_a_request_or_an_error_that_says_so(text: str) -> None:
    try:
        seen = read(text)
    except Invalid as error:
        assert str(error)
    else:
        assert all(isinstance(s, Seen) and s.method in METHODS and s.path.startswith("/") for s in seen)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["method", "path", "spanId", "attributes", "key", "value", "resource", "request"]) | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_whatever_json_stands_there_too(document: Any) -> None:
    try:
        assert all(s.path.startswith("/") for s in read(json.dumps(document)))
    except Invalid as error:
        assert str(error)
