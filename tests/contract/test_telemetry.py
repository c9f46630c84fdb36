"""What the port Telemetry promises, asked of the fake, of recorded replies of a Prometheus, and of a live one.

The live one is the Prometheus at OPSLOOP_PROMETHEUS_URL; it needs no data. With OPSLOOP_RECORD=1 its replies replace
the recorded ones: do that when a query here, or `core.slo.promql`, changed.
"""

import json
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from opsloop.adapters.http_access import HttpAccess
from opsloop.adapters.prometheus import Prometheus
from opsloop.api.slo import Sli
from opsloop.core.readings import Value
from opsloop.core.slo import promql
from opsloop.errors import Forbidden, Invalid, NotFound, OpsloopError, Partial, TimedOut, Unavailable
from opsloop.shell.ports import Sample, Series, Telemetry
from tests.fakes.telemetry import FakeTelemetry

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
RECORDED = Path(__file__).parent / "recorded" / "prometheus.json"
LIVE_URL = os.environ.get("OPSLOOP_PROMETHEUS_URL", "")

ABSENT = "opsloop_no_such_series"
LABELLED = 'label_replace(vector(2), "opsloop", "good:1m", "", "")'
UNPARSABLE = "sum("
TEXT = '"text"'
DUPLICATES = (
    'vector(1) + on() (label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", ""))'
)
CONSTANT = 'sum(label_replace(vector({}), "version", "{{{{version}}}}", "", "")) + 0 * count_over_time(vector(1)[{{{{window}}}}:1s])'
SLI = Sli(good=CONSTANT.format(9), total=CONSTANT.format(10))
RATIO = promql.range_query(SLI, MINUTE)


def scripted() -> FakeTelemetry:
    """The fake, told what a Prometheus replies; opsloop's own expressions it computes from traffic."""
    fake = FakeTelemetry()
    fake.serve(AT - timedelta(hours=1), 7200, rps=10 / 60, error=0.1, version="v2")
    ones = tuple((AT + n * SECOND, 1.0) for n in range(4))
    halves = tuple((AT + n * SECOND / 2, 1.5) for n in range(1, 4))
    fake.scripted = {
        "vector(1)": [Sample({}, 1.0, AT), Series({}, ones)],
        "1": [Sample({}, 1.0, AT)],
        "vector(1.5)": [Series({}, halves)],
        "vector(1) / 0": [Sample({}, inf, AT)],
        "vector(-1) / 0": [Sample({}, -inf, AT)],
        "vector(0) / 0": [Sample({}, nan, AT)],
        LABELLED: [Sample({"opsloop": "good:1m"}, 2.0, AT)],
        ABSENT: [],
        UNPARSABLE: Invalid("Prometheus refuses the query: parse error"),
        DUPLICATES: Invalid("Prometheus refuses the query: found duplicate series"),
        TEXT: Invalid("The query gives a string, not a vector"),
    }
    return fake


def tape_key(path: str, params: Mapping[str, str]) -> str:
    return json.dumps([path, dict(sorted(params.items()))])


async def replayed(tape: Mapping[str, Any]) -> TestServer:
    """An HTTP server that replies what was recorded."""

    async def reply(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if (key := tape_key(request.path, form)) not in tape:
            return web.Response(status=500, text="not recorded; run with OPSLOOP_RECORD=1 against a Prometheus")
        return web.json_response(tape[key]["body"], status=tape[key]["status"])

    app = web.Application()
    app.router.add_post("/{path:.*}", reply)
    server = TestServer(app)
    await server.start_server()
    return server


def recording(live: Prometheus, tape: dict[str, Any]) -> Prometheus:
    async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        status, body = await live._fetch(path, params)
        tape[tape_key(path, params)] = {"status": status, "body": json.loads(body)}
        RECORDED.write_text(json.dumps(dict(sorted(tape.items())), indent=1) + "\n")
        return status, body

    return Prometheus(fetch)


@pytest.fixture(params=["fake", "recorded", "live"])
async def telemetry(request: pytest.FixtureRequest) -> AsyncIterator[Telemetry]:
    if request.param == "fake":
        yield scripted()
        return
    if request.param == "live" and not LIVE_URL:
        pytest.skip("OPSLOOP_PROMETHEUS_URL is not set")
    tape = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    async with aiohttp.ClientSession() as session:
        if request.param == "live":
            live = Prometheus.over_http(session, LIVE_URL)
            yield recording(live, tape) if os.environ.get("OPSLOOP_RECORD") else live
            return
        server = await replayed(tape)
        yield Prometheus.over_http(session, str(server.make_url("/")))
        await server.close()


async def test_a_vector_is_samples_of_the_asked_second(telemetry: Telemetry) -> None:
    assert await telemetry.instant("vector(1)", AT) == [Sample({}, 1.0, AT)]


async def test_a_scalar_is_one_sample_without_labels(telemetry: Telemetry) -> None:
    assert await telemetry.instant("1", AT) == [Sample({}, 1.0, AT)]


async def test_labels_come_back_as_given(telemetry: Telemetry) -> None:
    assert await telemetry.instant(LABELLED, AT) == [Sample({"opsloop": "good:1m"}, 2.0, AT)]


async def test_no_series_is_an_empty_answer_and_no_error(telemetry: Telemetry) -> None:
    assert await telemetry.instant(ABSENT, AT) == []
    assert await telemetry.range(ABSENT, AT, AT + 3 * SECOND, 1) == []


@pytest.mark.parametrize(("query", "value"), [("vector(1) / 0", inf), ("vector(-1) / 0", -inf)])
async def test_infinities_are_numbers(telemetry: Telemetry, query: str, value: float) -> None:
    assert [sample.value for sample in await telemetry.instant(query, AT)] == [value]


async def test_nan_is_a_number_too(telemetry: Telemetry) -> None:
    (sample,) = await telemetry.instant("vector(0) / 0", AT)
    assert isnan(sample.value)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(UNPARSABLE, id="an expression that cannot be parsed"),
        pytest.param(DUPLICATES, id="an expression that cannot be evaluated"),
        pytest.param(TEXT, id="an expression that is no number"),
    ],
)
async def test_a_bad_query_is_invalid_and_says_why(telemetry: Telemetry, query: str) -> None:
    with pytest.raises(Invalid, match=r"parse error|duplicate series|a string, not a vector"):
        await telemetry.instant(query, AT)


async def test_a_range_holds_both_its_ends(telemetry: Telemetry) -> None:
    (series,) = await telemetry.range("vector(1)", AT, AT + 3 * SECOND, 1)
    assert series == Series({}, tuple((AT + n * SECOND, 1.0) for n in range(4)))


async def test_a_range_keeps_fractions_of_seconds(telemetry: Telemetry) -> None:
    (series,) = await telemetry.range("vector(1.5)", AT + SECOND / 2, AT + 3 * SECOND / 2, 0.5)
    assert [at for at, _ in series.points] == [AT + SECOND / 2, AT + SECOND, AT + 3 * SECOND / 2]


async def test_the_expression_of_a_tick_is_understood_and_full_data_cover_exactly_all(telemetry: Telemetry) -> None:
    windows, versions = [5 * SECOND, MINUTE, 90 * SECOND], {"v2": promql.Split("v2", MINUTE)}
    for at in (AT, AT + SECOND / 4):
        samples = await telemetry.instant(promql.window_query(SLI, windows, versions, SECOND), at)
        parsed = promql.parse(samples, SLI, windows, versions)
        assert set(parsed.windows) == set(windows)
        for reading in [*parsed.windows.values(), *parsed.versions.values()]:
            assert isinstance(reading, Value)
            assert reading.coverage == 1
            assert reading.error_ratio == pytest.approx(0.1)


async def test_the_error_ratio_over_time_is_one_series(telemetry: Telemetry) -> None:
    (series,) = await telemetry.range(RATIO, AT, AT + 10 * SECOND, 5)
    assert [at for at, _ in series.points] == [AT, AT + 5 * SECOND, AT + 10 * SECOND]
    assert [ratio for _, ratio in series.points] == pytest.approx([0.1] * 3)


async def test_no_bad_series_is_an_error_ratio_of_zero() -> None:
    """Only where PromQL is evaluated: the fake does not know the difference."""
    tape = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    async with aiohttp.ClientSession() as session:
        server = await replayed(tape)
        real = Prometheus.over_http(session, LIVE_URL or str(server.make_url("/")))
        source = recording(real, tape) if LIVE_URL and os.environ.get("OPSLOOP_RECORD") else real
        sli = Sli(bad=f"sum({ABSENT}) + 0 * count_over_time(vector(1)[{{{{window}}}}:1s])", total=SLI.total)
        (series,) = await source.range(promql.range_query(sli, MINUTE), AT, AT, 1)
        await server.close()
    assert series.points == ((AT, 0.0),)


def answering(status: int, body: Any) -> Prometheus:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        return status, raw

    return Prometheus(fetch)


def success(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        pytest.param(400, {"status": "error", "error": "1:5: parse error"}, Invalid, "1:5: parse error", id="a bad query"),
        pytest.param(422, {"status": "error", "error": "too many samples"}, Invalid, "too many samples", id="a query that is too large"),
        pytest.param(401, b"who are you?", Forbidden, "who are you", id="no token"),
        pytest.param(403, {"message": "services/proxy is forbidden"}, Forbidden, "services/proxy", id="the API server refuses the proxy"),
        pytest.param(404, b"404 page not found", NotFound, "404", id="no Prometheus there"),
        pytest.param(429, b"slow down", Unavailable, "429: slow down", id="too many requests"),
        pytest.param(503, {"status": "error", "error": "query timed out"}, Unavailable, "timed out", id="overloaded"),
        pytest.param(500, b"<html>", Unavailable, "500: <html>", id="a proxy's error page"),
        pytest.param(302, b"", Unavailable, "302", id="a login page"),
        pytest.param(200, b"<html>", Unavailable, "without success: <html>", id="something else that speaks HTTP"),
        pytest.param(200, [], Unavailable, "without success", id="JSON of another kind"),
        pytest.param(200, {"status": "error", "error": "odd"}, Unavailable, "without success: odd", id="an error with status 200"),
        pytest.param(200, {"status": "success"}, Unavailable, "another shape", id="success without data"),
        pytest.param(200, success("vector", [{"metric": {}, "value": [1]}]), Unavailable, "another shape", id="a sample without a value"),
        pytest.param(200, success("vector", [{"metric": {}, "value": [1, "one"]}]), Unavailable, "another shape", id="a value that is no number"),
        pytest.param(200, success("vector", [], warnings=["shard 2 is away"]), Partial, "shard 2 is away", id="a partial answer"),
        pytest.param(200, success("vector", [], isPartial=True), Partial, "isPartial", id="a partial answer of VictoriaMetrics"),
        pytest.param(200, success("vector", [], isPartial=False, warnings=["PromQL info: x", "no store matched"]), Partial, "whole: no store matched", id="a partial answer beside a note"),
        pytest.param(200, success("vector", [], warnings=["PromQL warning: a mix"]), Invalid, "warns of the query: PromQL warning: a mix", id="an expression that does not fit its data"),
        pytest.param(200, success("matrix", []), Invalid, "a matrix, not a vector", id="a range expression"),
        pytest.param(200, success("vector", [{"metric": {}, "histogram": [1, {}]}]), Invalid, "native histograms", id="native histograms"),
    ],
)  # fmt: skip
async def test_foreign_answers_become_our_errors(status: int, body: Any, error: type[OpsloopError], says: str) -> None:
    with pytest.raises(error, match=says):
        await answering(status, body).instant("up", AT)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({"infos": ["PromQL info: might not be a counter"]}, id="in a list of their own"),
        pytest.param({"warnings": ["PromQL info: might not be a counter"]}, id="among the warnings, as 2.48 to 2.53 put them"),
        pytest.param({"warnings": None, "isPartial": False}, id="empty, and whole"),
    ],
)  # fmt: skip
async def test_infos_do_not_make_an_answer_partial(where: dict[str, Any]) -> None:
    answer = success("vector", [{"metric": {}, "value": [AT.timestamp(), "1"]}], **where)
    assert await answering(200, answer).instant("up", AT) == [Sample({}, 1.0, AT)]


async def test_a_range_query_that_gives_no_matrix_is_invalid() -> None:
    with pytest.raises(Invalid, match="a vector, not a matrix"):
        await answering(200, success("vector", [])).range("up", AT, AT, 1)


async def test_a_range_selector_gives_raw_samples_with_their_own_times() -> None:
    answer = success(
        "matrix", [{"metric": {"__name__": "a_total"}, "values": [[1700000000.123, "3"], [1700000015, "NaN"]]}]
    )
    (series,) = await answering(200, answer).samples("a_total[1m]", AT)
    assert series.labels == {"__name__": "a_total"}
    assert [at.timestamp() for at, _ in series.points] == [1700000000.123, 1700000015]
    assert series.points[0][1] == 3 and isnan(series.points[1][1])


@pytest.mark.parametrize(
    ("kind", "result", "says"),
    [
        pytest.param("vector", [], "a vector, not the samples", id="numbers of one moment"),
        pytest.param("matrix", [{"metric": {}, "histograms": [[1, {}]]}], "native histograms", id="native histograms"),
        pytest.param("matrix", [{"metric": {}, "values": [[1, "1"]], "histograms": [[2, {}]]}], "native histograms", id="both"),
    ],
)  # fmt: skip
async def test_what_has_no_raw_samples_that_are_numbers_is_invalid(kind: str, result: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        await answering(200, success(kind, result)).samples("a_total[1m]", AT)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        pytest.param(TimeoutError(), TimedOut, id="a time-out"),
        pytest.param(aiohttp.ServerTimeoutError(), TimedOut, id="aiohttp's time-out"),
        pytest.param(aiohttp.ClientPayloadError("cut"), Unavailable, id="a connection that breaks in mid-answer"),
        pytest.param(ConnectionResetError("reset"), Unavailable, id="a reset connection"),
        pytest.param(Forbidden("no"), Forbidden, id="our own errors pass through"),
    ],
)
async def test_what_the_network_does_becomes_our_errors(raised: Exception, error: type[OpsloopError]) -> None:
    async def fetch(path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        raise raised

    with pytest.raises(error) as caught:
        await Prometheus(fetch).instant("up", AT)
    assert type(caught.value) is error


async def test_nobody_listening_is_unavailable() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await Prometheus.over_http(session, f"http://127.0.0.1:{unused_port()}").instant("up", AT)


async def test_over_http_posts_a_form_below_the_base_url_with_the_headers() -> None:
    seen: list[tuple[str, dict[str, Any], str]] = []

    async def reply(request: web.Request) -> web.Response:
        seen.append((request.path, dict(await request.post()), request.headers["X-Scope-OrgID"]))
        return web.json_response(success("vector", []))

    app = web.Application()
    app.router.add_post("/{path:.*}", reply)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        prometheus = Prometheus.over_http(
            session, str(server.make_url("/prom/")), HttpAccess(headers={"X-Scope-OrgID": "shop"})
        )
        await prometheus.instant("up", AT + SECOND / 4)
        await prometheus.instant("up")
    assert seen == [
        ("/prom/api/v1/query", {"query": "up", "time": "1767603600.250", "nocache": "1"}, "shop"),
        ("/prom/api/v1/query", {"query": "up", "nocache": "1"}, "shop"),
    ]
