"""What Thanos, Mimir and VictoriaMetrics answer where it differs from Prometheus, imitated by a local server.

The bodies are written after the servers' sources and integration tests (Mimir: integration tests of its query limits, dskit's
`user.ErrNoOrgID`; VictoriaMetrics: `query_response.qtpl` and vmauth; Thanos: `pkg/api` and its proxy store). VictoriaMetrics itself is in test_backends_real.py.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from opsloop.adapters.http_access import HttpAccess
from opsloop.adapters.prometheus import Prometheus
from opsloop.errors import Forbidden, Invalid, NotFound, OpsloopError, Partial, Unavailable
from opsloop.shell.ports import Sample

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
VECTOR = {"resultType": "vector", "result": [{"metric": {"opsloop": "good:5m"}, "value": [AT.timestamp(), "9"]}]}
GOOD = [Sample({"opsloop": "good:5m"}, 9.0, AT)]
LIMIT = (
    "expanding series: the query exceeded the maximum number of series (limit: 3 series) (err-mimir-max-series-per-query)."
    " To adjust the related per-tenant limit, configure -querier.max-fetched-series-per-query, or contact your service administrator."
)


def success(**more: Any) -> dict[str, Any]:
    return {"status": "success", "data": VECTOR, **more}


async def answer(path: str, status: int, body: Any, headers: Mapping[str, str] | None = None) -> list[Sample]:
    """What opsloop makes of this answer at this path; any other path is not there."""

    async def reply(request: web.Request) -> web.Response:
        return (
            web.json_response(body, status=status) if isinstance(body, dict) else web.Response(text=body, status=status)
        )

    app = web.Application()
    app.router.add_post(f"{path}/api/v1/query", reply)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        one = Prometheus.over_http(
            session, str(server.make_url(path)), HttpAccess(headers=dict(headers or {})), "Prometheus source it"
        )
        return await one.instant("up", AT)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/prometheus", success(), id="Mimir"),
        pytest.param("", success(analysis={}), id="Thanos Query with its analysis"),
        pytest.param("", success(warnings=[]), id="Thanos Query Frontend"),
        pytest.param("", success(stats={"seriesFetched": "2", "executionTimeMsec": 3}), id="VictoriaMetrics, single"),
        pytest.param("/select/0/prometheus", success(isPartial=False, stats={"seriesFetched": "2"}), id="VictoriaMetrics, cluster"),
        pytest.param("/select/multitenant/prometheus", success(isPartial=False), id="VictoriaMetrics, cluster, all tenants"),
    ],
)  # fmt: skip
async def test_a_whole_answer_is_read_at_the_path_of_each(path: str, body: Any) -> None:
    assert await answer(path, 200, body) == GOOD


@pytest.mark.parametrize(
    ("path", "status", "body", "error", "says"),
    [
        pytest.param("/prometheus", 401, "no org id\n", Forbidden, "it answered 401: no org id", id="Mimir without X-Scope-OrgID"),
        pytest.param("/prometheus", 422, {"status": "error", "errorType": "execution", "error": LIMIT}, Invalid, "refuses the query: expanding series: the query exceeded the maximum number of series .limit: 3 series.", id="Mimir's limit of series"),
        pytest.param("/prometheus", 422, {"status": "error", "errorType": "bad_data", "error": "the query time range exceeds the limit (err-mimir-max-query-length)"}, Invalid, "the query time range exceeds the limit", id="Mimir's limit of a range"),
        pytest.param("/prometheus", 429, {"status": "error", "errorType": "too_many_requests", "error": "too many outstanding requests"}, Unavailable, "answered 429: too many outstanding requests", id="Mimir's queue is full"),
        pytest.param("", 200, success(warnings=["No StoreAPIs matched for this query"]), Partial, "not whole: No StoreAPIs matched", id="Thanos without a store"),
        pytest.param("", 200, success(warnings=["receive series from Addr: sidecar-1:10901: rpc error: code = Unavailable"]), Partial, "not whole: receive series from Addr: sidecar-1", id="Thanos, partial response of a sidecar that is away"),
        pytest.param("", 422, {"status": "error", "errorType": "execution", "error": "expanding series: proxy Series(): rpc error: code = Aborted desc = fetch series"}, Invalid, "code = Aborted", id="Thanos with partial response turned off"),
        pytest.param("", 422, {"status": "error", "errorType": "422", "error": "unknown function \"foo\""}, Invalid, "unknown function", id="VictoriaMetrics, an expression that is none"),
        pytest.param("/select/0/prometheus", 200, success(isPartial=True), Partial, "it says isPartial", id="VictoriaMetrics, a node of the cluster is away"),
        pytest.param("/select/0/prometheus", 503, {"status": "error", "errorType": "503", "error": "cannot fetch data from vmstorage nodes"}, Unavailable, "answered 503: cannot fetch data", id="VictoriaMetrics, all nodes are away"),
        pytest.param("", 401, "missing `Authorization` request header", Forbidden, "answered 401: missing `Authorization`", id="vmauth without a token"),
    ],
)  # fmt: skip
async def test_what_is_no_whole_answer_says_what_the_server_said(
    path: str, status: int, body: Any, error: type[OpsloopError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await answer(path, status, body)
    assert type(caught.value) is error and "\n" not in str(caught.value)


async def test_a_path_that_was_forgotten_is_named_as_no_api() -> None:
    async with TestServer(web.Application()) as server, aiohttp.ClientSession() as session:
        with pytest.raises(NotFound, match=r"has no such API there \(404\)"):
            await Prometheus.over_http(session, str(server.make_url("/"))).instant("up", AT)
