"""What the parts do over real connections on this machine: metrics, evals, passing on, judging, and going away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from e2e.demo.helpdesk import catalog, receiver, shoppers
from e2e.demo.helpdesk import web as web_part
from e2e.demo.helpdesk.answers import app as answers
from e2e.demo.helpdesk.answers import v1, v2
from e2e.demo.helpdesk.articles import articles
from e2e.demo.helpdesk.calling import Caller, Reply
from e2e.demo.helpdesk.serving import EVAL_HEADER, Service
from e2e.demo.tickets import linked_ticket
from opsloop.core.recorded.lines import read_all

SEED = 1
EXAMPLE = linked_ticket(SEED)["example"]
Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def _client(app: web.Application) -> AsyncIterator[Client]:
    async with TestClient(TestServer(app)) as client:
        yield client


def _url(client: Client) -> str:
    return str(client.make_url("")).rstrip("/")


@asynccontextmanager
async def _help_desk(engine: object = v1) -> AsyncIterator[tuple[Client, Client, Client]]:
    """web, answers and catalog of a seed, with one engine."""
    version = getattr(engine, "VERSION")  # noqa: B009  # engines are modules
    async with (
        _client(catalog.application(Service(pod="c-1"), lambda: articles(SEED))) as stored,
        _client(answers.application(Service(version, "a-1"), engine.choose, _url(stored))) as engine_client,  # type: ignore[attr-defined]
        _client(web_part.application(Service(pod="w-1"), _url(engine_client))) as front,
    ):
        yield front, engine_client, stored


async def _metric(client: Client, start: str) -> list[str]:
    text = await (await client.get("/metrics")).text()
    return [line for line in text.splitlines() if line.startswith(start)]


@pytest.mark.parametrize("route", ["/ask", "/chat"])
async def test_web_gives_the_answer_and_says_who_gave_it(route: str) -> None:
    async with _help_desk() as (front, _, _):
        reply = await front.get(route, params={"q": EXAMPLE["asked"]})
        body = await reply.json()
    assert (reply.status, body["answer"], body["question"]) == (200, EXAMPLE["expected"], EXAMPLE["asked"])
    assert (body["version"], body["pod"], body["webVersion"], body["webPod"]) == ("v1", "a-1", "v1", "w-1")


async def test_a_defect_of_the_engine_is_a_server_error_that_says_in_which_version_and_pod() -> None:
    async def fails(question: str, search: answers.Search) -> v1.Answer:
        raise AttributeError("no text")

    async with _client(answers.application(Service("v9", "a-9"), fails, "http://127.0.0.1:1")) as engine_client:
        async with _client(web_part.application(Service(pod="w-1"), _url(engine_client))) as front:
            reply = await front.get("/ask", params={"q": "x"})
            body = await reply.json()
        assert (reply.status, body["version"], body["pod"], body["webPod"]) == (502, "v9", "a-9", "w-1")
        assert await _metric(engine_client, "helpdesk_requests_total") == [
            'helpdesk_requests_total{code="500",route="/ask",version="v9"} 1.0'
        ]


async def test_web_says_bad_gateway_when_no_answers_pod_can_be_reached() -> None:
    async with _client(web_part.application(Service(), "http://127.0.0.1:1")) as front:
        assert (await front.get("/ask", params={"q": "x"})).status == 502


@pytest.mark.parametrize("query", [{}, {"q": "  "}], ids=["no question", "a question of blanks"])
async def test_a_request_without_a_question_is_refused(query: dict[str, str]) -> None:
    async with _help_desk() as (front, engine_client, _):
        assert (await front.get("/ask", params=query)).status == 400
        assert (await engine_client.get("/ask", params=query)).status == 400


async def test_requests_of_evals_leave_every_metric_alone_all_the_way_down() -> None:
    async with _help_desk() as clients:
        asked = {"q": EXAMPLE["asked"]}
        reply = await clients[0].get("/ask", params=asked, headers={EVAL_HEADER: "case-1"})
        assert (await reply.json())["answer"] == EXAMPLE["expected"]
        assert [await _metric(client, "helpdesk_requests_total{") for client in clients] == [[], [], []]
        assert [await _metric(client, "helpdesk_request_seconds_count{") for client in clients] == [[], [], []]
        await clients[0].get("/ask", params=asked)
        counted = [line for client in clients for line in await _metric(client, "helpdesk_requests_total{")]
    assert [line.endswith("} 1.0") for line in counted] == [True, True, True]


async def test_a_part_tells_of_bad_requests_and_of_some_others_without_headers_and_evals() -> None:
    async with _client(web_part.application(Service(pod="w-1"), "http://127.0.0.1:9")) as front:  # nobody listens there
        for n in range(3):
            await front.get("/ask", params={"q": f"boots {n}"}, headers={"Cookie": "sid=1"})
        await front.get("/ask", params={"q": "eval"}, headers={EVAL_HEADER: "1"})
        for _ in range(30):
            await front.get("/ask")  # refused: no question
        seen = read_all(await (await front.get("/requests")).text())[0]
        assert [(one.path, one.status) for one in seen[:3]] == [(f"/ask?q=boots+{n}", 502) for n in range(3)]
        others = [(one.path, one.status) for one in seen[3:]]
        assert others and set(others) == {("/ask", 400)} and len(others) < 5


async def test_a_page_has_its_dedup_key_and_time_and_needs_the_token() -> None:
    async with _client(receiver.application(Service(), "secret")) as pager:
        page = {"dedup_key": "shop/answers-1", "summary": "answers burns"}
        assert (await pager.post("/page", json=page)).status == 401
        shown = {"Authorization": "Bearer secret"}
        assert (await pager.post("/page", json=page, headers=shown)).status == 202
        assert (await pager.post("/page", data=b"[1", headers=shown)).status == 400
        (kept,) = (await (await pager.get("/pages")).json())["pages"]
    assert (kept["dedup_key"], kept["page"]) == ("shop/answers-1", page)
    assert kept["receivedAt"].endswith("Z")


async def test_a_paused_refresh_lets_the_index_grow_old_and_answers_stay_right() -> None:
    now = [100.0]
    index = catalog.Index(lambda: articles(SEED), clock=lambda: now[0])
    for seconds in (1, 2, 3):
        now[0] += seconds
        index.tick()
        assert index.age() == 0
    index.pause(60)
    now[0] += 59
    index.tick()
    assert index.age() == 59 and index.search(EXAMPLE["asked"])
    now[0] += 1
    index.tick()
    assert index.age() == 0


@pytest.mark.parametrize(
    ("status", "answer", "judged"),
    [
        pytest.param(200, "30 days", ("good", "ok"), id="the right answer is good"),
        pytest.param(200, "14 days", ("bad", "wrong"), id="a wrong answer is bad although it is HTTP 200"),
        pytest.param(500, "30 days", ("bad", "error"), id="an error is bad whatever it says"),
        pytest.param(200, None, ("bad", "wrong"), id="no answer is wrong"),
    ],
)
def test_a_shopper_judges(status: int, answer: str | None, judged: tuple[str, str]) -> None:
    assert shoppers.verdict(status, answer, "30 days") == judged


async def test_shoppers_count_a_question_once_for_answers_and_once_for_web() -> None:
    async with _help_desk(v2) as (front, _, _), Caller(timeout=2) as caller:
        service = Service()
        asked = ("/ask", "returns", EXAMPLE["asked"])
        await shoppers.ask(caller, _url(front), shoppers.Tally(service), asked, EXAMPLE["expected"])
        async with _client(service.application()) as read:
            lines = await _metric(read, "shop_answers_total{")
    assert lines == [
        'shop_answers_total{pod="a-1",reason="wrong",route="/ask",service="answers",topic="returns",'
        'verdict="bad",version="v2"} 1.0',
        'shop_answers_total{pod="w-1",reason="wrong",route="/ask",service="web",topic="returns",'
        'verdict="bad",version="v1"} 1.0',
    ]


async def test_a_catalog_that_is_late_is_a_gateway_timeout_of_this_version() -> None:
    async def search(_: web.Request) -> web.Response:
        await asyncio.sleep(30)  # ended by the test's own close
        return web.Response()

    late = web.Application()
    late.router.add_get("/search", search)
    async with (
        _client(late) as stored,
        _client(answers.application(Service("v9", "a-9"), v1.choose, _url(stored), patience=0.02)) as engine,
    ):
        reply = await engine.get("/ask", params={"q": "x"})
        body = await reply.json()
    assert (reply.status, body["version"], body["pod"]) == (504, "v9", "a-9")


async def test_a_question_that_nobody_answers_in_time_is_a_timeout_of_an_unknown_version() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    silent = web.Application()
    silent.router.add_get("/ask", never)
    service = Service()
    async with _client(silent) as front, Caller(timeout=0.05) as caller:
        await shoppers.ask(caller, _url(front), shoppers.Tally(service), ("/ask", "returns", "x"), "y")
    async with _client(service.application()) as read:
        (counted, _) = await _metric(read, "shop_answers_total{")
    assert 'reason="timeout"' in counted and 'version="unknown"' in counted


async def test_patience_stretches_the_time_outs_of_a_part() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.json_response({"answer": "late"})

    app = web.Application()
    app.router.add_get("/ask", slow)
    async with _client(app) as answering:
        for patience, status in ((0.01, 504), (1.0, 200)):
            async with _client(web_part.application(Service(), _url(answering), patience)) as front:
                assert (await front.get("/ask", params={"q": "x"})).status == status


async def test_nobody_shops_before_the_shop_answers_for_the_first_time() -> None:
    class Building:
        """A shop that cannot be reached, then has no answers, then is open."""

        stages: ClassVar[list[Reply | Exception]] = [
            aiohttp.ClientError(),
            TimeoutError(),
            Reply(503, {}),
            Reply(200, {}),
        ]

        async def get(self, url: str, *, q: str) -> Reply:
            stage = self.stages.pop(0)
            if isinstance(stage, Exception):
                raise stage
            return stage

    shop = Building()
    await shoppers.opening(shop, "http://web", pause=0)
    assert shop.stages == []


async def test_counts_of_pods_long_gone_are_forgotten() -> None:
    service = Service()
    tally = shoppers.Tally(service)
    tally.count(0.0, {"version": "v1", "pod": "old"}, "/ask", "returns", ("good", "ok"))
    tally.count(600.0, {"version": "v1", "pod": "new"}, "/ask", "returns", ("good", "ok"))
    tally.forget(601.0)
    async with _client(service.application()) as read:
        lines = await _metric(read, "shop_answers_total{")
    assert [line for line in lines if 'pod="old"' in line] == []
    assert [line for line in lines if 'pod="new"' in line] != []
