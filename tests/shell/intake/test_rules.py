"""Prometheus' alerting rules: over HTTP as the API answers, and what is known after failures."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import ClientSession, web

from opsloop.adapters.prometheus import MOST_RULES, NoPrometheus, Prometheus
from opsloop.core.alert_rules import AlertRule
from opsloop.entry.http_server import listen
from opsloop.errors import NotFound, Unavailable
from opsloop.shell.intake.rules import RuleReader
from opsloop.simulator.fakes.ports import FakeRules

# As Prometheus 2.53 answers (documentation of its HTTP API, section Rules), and what vmalert writes otherwise.
ANSWER = {
    "status": "success",
    "data": {
        "groups": [
            {
                "name": "pods",
                "rules": [
                    {
                        "name": "PodCrashLooping",
                        "type": "alerting",
                        "duration": 900,
                        "query": "increase(restarts_total[10m]) > 3",
                        "labels": {"severity": "warning", "summary": "{{ $labels.pod }}"},
                        "alerts": [],
                    },
                    {"name": "job:requests:rate5m", "type": "recording", "query": "1"},
                ],
            },
            {"name": "vmalert", "rules": [{"name": "Down", "type": "alerting", "duration": 60.0, "labels": None}]},
            {"name": "empty", "rules": []},
        ]
    },
}
READ = [AlertRule("PodCrashLooping", 900.0, (("severity", "warning"),), 600.0), AlertRule("Down", 60.0)]


class Server:
    """Answers /api/v1/rules, and keeps how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.status, self.body = 200, json.dumps(ANSWER)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs))
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Prometheus]]:
    one, app = Server(), web.Application()
    app.router.add_route("*", "/{tail:.*}", one.answer)
    running = await listen(app, 0, "127.0.0.1")
    async with ClientSession() as session:
        yield one, Prometheus.over_http(session, f"http://127.0.0.1:{running.port}/prometheus")
    await running.cleanup()


async def test_rules_are_read_as_the_api_gives_them(server: tuple[Server, Prometheus]) -> None:
    one, prometheus = server
    assert await prometheus.rules() == READ
    assert one.asked == [("GET", "/prometheus/api/v1/rules?type=alert&exclude_alerts=true")]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(404, "no such path", NotFound, id="a store without rules"),
        pytest.param(200, '{"status":"success","data":{"groups":[{"rules":[{"name":"A","duration":"soon"}]}]}}', Unavailable, id="a duration that is none"),
        pytest.param(200, "<html>log in</html>", Unavailable, id="a proxy's page"),
    ],
)  # fmt: skip
async def test_another_answer_is_an_error(
    server: tuple[Server, Prometheus], status: int, body: str, error: type[Exception]
) -> None:
    one, prometheus = server
    one.status, one.body = status, body
    with pytest.raises(error):
        await prometheus.rules()


async def test_an_answer_with_every_alert_of_a_storm_is_not_decoded(server: tuple[Server, Prometheus]) -> None:
    """A Prometheus that knows no exclude_alerts writes those that fire into each rule."""
    one, prometheus = server
    one.body = json.dumps(ANSWER) + " " * MOST_RULES
    with pytest.raises(Unavailable, match=f"at most {MOST_RULES} are read"):
        await prometheus.rules()


async def test_what_was_read_last_holds_and_the_log_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    source = FakeRules(list(READ))
    reader = RuleReader({"default": source})
    assert await reader.read()
    first = reader.known
    assert first.holds({"alertname": "Down"}) == 60.0
    assert await reader.read() and reader.known is first  # alike: the same object, so that nothing is read anew
    source.failure = Unavailable("connection refused")
    assert not await reader.read() and not await reader.read()
    assert reader.known is first and caplog.text.count("connection refused") == 1
    source.failure, source.known = None, [AlertRule("Down", 120.0)]
    assert await reader.read() and reader.known.holds({"alertname": "Down"}) == timedelta(minutes=2).total_seconds()


async def test_without_prometheus_nothing_is_known() -> None:
    reader = RuleReader({"default": NoPrometheus()})
    assert not await reader.read() and reader.known.holds({"alertname": "Down"}) is None
