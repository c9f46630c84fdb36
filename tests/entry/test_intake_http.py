"""The intake over HTTP: every status code with its reason, and 202 only for stored content."""

import asyncio
import gzip
import itertools
import json
import re
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, ServerDisconnectedError, web

from opsloop.core.intake import MAX_BODY, Received
from opsloop.core.reported import Alert, Asked, Ticket
from opsloop.core.runbook.rights import Identity
from opsloop.entry import openapi
from opsloop.entry.http_server import Connections, Listening, in_json, listen
from opsloop.entry.intake_http import intake_routes
from opsloop.entry.senders import REJECTED, REMEMBER
from opsloop.errors import OpsloopError, Unauthenticated, Unavailable
from tests.builders.correlation import NOW, NS

AM = "system:serviceaccount:shop:alertmanager"
BODY: dict[str, Any] = {
    "version": "4",
    "groupKey": "{}",
    "alerts": [
        {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-01-05T08:59:00Z", "fingerprint": "f"}
    ],
}
TICKET = {"id": "HD-1", "subject": "Wrong answers", "body": "since this morning"}


class Gatekeeper:
    """Access port: token `good` may, `weak` may not, all others are unknown."""

    def __init__(self) -> None:
        self.plurals = {"alerts", "tickets", "corrections"}  # that `good` may create; nobody may create incidents
        self.reviews: list[tuple[str, str]] = []
        self.asked: list[tuple[str, ...]] = []
        self.error: OpsloopError | None = None
        self.pause: asyncio.Event | None = None
        self.running = 0

    async def review_token(self, token: str, audience: str) -> Identity | None:
        if self.error:
            raise self.error
        self.running += 1
        if self.pause:
            await self.pause.wait()
        self.running -= 1
        self.reviews.append((token, audience))
        return {"good": Identity(AM, ("g",)), "weak": Identity("bob")}.get(token)

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        self.asked.append((who.name, verb, group, plural, namespace))
        return who.name == AM and namespace == NS and verb == "create" and plural in self.plurals


class FakeStore:
    """Store that records, or fails with `error`."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.tickets: list[Ticket] = []
        self.asked: list[Asked] = []
        self.error: OpsloopError | None = None
        self.pause: asyncio.Event | None = None

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        if self.error:
            raise self.error
        if self.pause:
            await self.pause.wait()
        self.alerts += alerts

    async def put_asked(self, namespace: str, asked: Asked) -> None:
        if self.error:
            raise self.error
        self.asked.append(asked)

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        self.tickets.append(ticket)


class Rig:
    """The routes with fakes around."""

    def __init__(self) -> None:
        self.access, self.store, self.seconds = Gatekeeper(), FakeStore(), 0.0
        self.calls: list[tuple[str, int, int]] = []
        self.notices: list[tuple[str, Received]] = []
        self.server: Listening | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        return self.server.port

    @asynccontextmanager
    async def client(self, connections: Connections | None = None) -> AsyncIterator[ClientSession]:
        app = web.Application(middlewares=[in_json(openapi.routes)])
        app.add_routes(
            intake_routes(
                self.access,
                self.store,
                "opsloop",
                lambda *call: self.calls.append(call),
                lambda: NOW,
                lambda: self.seconds,
                lambda namespace, received: self.notices.append((namespace, received)),
            )
        )
        self.server = await listen(app, 0, "127.0.0.1", connections)
        try:
            async with ClientSession(f"http://127.0.0.1:{self.port}") as client:
                yield client
        finally:
            await self.server.cleanup()

    async def post(
        self, path: str = "alerts", token: str = "good", ns: str = NS, **kwargs: Any
    ) -> tuple[int, dict[str, Any], ClientResponse]:
        async with self.client() as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await client.post(f"/v1/namespaces/{ns}/{path}", headers=headers, **(kwargs or {"json": BODY}))
            return answer.status, await answer.json(), answer


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_correction_is_stored_in_the_name_of_the_token(rig: Rig) -> None:
    body, headers = {"ticket": "HD-1", "link": "cart-1", "severity": "sev2"}, {"Authorization": "Bearer good"}
    async with rig.client() as client:
        for _ in range(2):
            answer = await client.post(f"/v1/namespaces/{NS}/corrections", headers=headers, json=body)
            assert (answer.status, (await answer.json())["id"]) == (202, rig.store.asked[-1].id)
    assert len(rig.access.reviews) == 1 and len({a.id for a in rig.store.asked}) == 2
    for asked in rig.store.asked:  # also where its token was not asked for again
        assert (asked.by, asked.at, asked.ticket, asked.link, asked.severity) == (AM, NOW, "HD-1", "cart-1", "sev2")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param([], "body: ", id="no object"),
        pytest.param({"ticket": "HD-1", "by": "bob", "unlink": True}, "by: there is no such field; there are ticket,", id="a name of one's own"),
        pytest.param({"ticket": "HD 1", "unlink": True}, 'ticket: "HD 1" is not 1 to 128', id="an id that is none"),
        pytest.param({"ticket": "HD-1", "link": "Cart 1"}, 'link: "Cart 1" is not the name of an Incident', id="an Incident that can be none"),
        pytest.param({"ticket": "HD-1", "route": ["a"]}, "route: ", id="a route that is a list"),
        pytest.param({"ticket": "HD-1", "unlink": "perhaps"}, 'unlink: "perhaps" is not true', id="unlinked perhaps"),
    ],
)  # fmt: skip
async def test_a_correction_that_is_none_is_refused_by_its_field(rig: Rig, body: Any, says: str) -> None:
    status, answer, _ = await rig.post("corrections", json=body)
    assert (status, answer["error"][: len(says)]) == (400, says)
    assert rig.store.asked == []


async def test_alerts_are_stored_and_counted(rig: Rig) -> None:
    status, body, _ = await rig.post()
    assert (status, body) == (202, {"stored": 1})
    assert [a.fingerprint for a in rig.store.alerts] == ["f"] and rig.calls == [("alerts", 202, 1)]
    assert rig.access.reviews == [("good", "opsloop")]
    assert rig.access.asked == [(AM, "create", "opsloop.dev", "alerts", NS)]


async def test_a_ticket_is_stored_and_its_id_comes_back(rig: Rig) -> None:
    status, body, _ = await rig.post("tickets", json=TICKET)
    assert (status, body) == (202, {"stored": 1, "id": "HD-1"}) and rig.store.tickets[0].received_at == NOW


@pytest.mark.parametrize(
    ("desk", "sent", "status", "answer"),
    [
        pytest.param(
            "github",
            {"json": {"action": "opened", "issue": {"id": 7, "title": "Wrong answers"}}},
            202,
            {"stored": 1, "id": "github-7"},
            id="a payload",
        ),
        pytest.param(
            "github",
            {"json": {"action": "closed", "issue": {"id": 7, "title": "Wrong answers"}}},
            202,
            {"stored": 0, "passedOver": '$.action is "closed"; tickets are made where it is opened'},
            id="another event of the same desk",
        ),
        pytest.param(
            "mail",
            {"data": b"Subject: Wrong answers\r\nMessage-ID: <7@x>\r\n\r\nsince today", "headers": {"Content-Type": "message/rfc822"}},
            202,
            {"stored": 1, "id": "mail-7@x"},
            id="a mail as it is",
        ),
        pytest.param(
            "github",
            {"json": {"action": "opened", "issue": {}}},
            400,
            {"error": "subject: nothing at $.issue.title, $.issue.body; the body has action, issue"},
            id="one without a text",
        ),
        pytest.param(
            "freshdesk",
            {"json": {}},
            404,
            {"error": "there is no desk freshdesk; there are github, jira, mail, zendesk"},
            id="a desk that nobody configured",
        ),
    ],
)  # fmt: skip
async def test_payloads_of_desks(
    rig: Rig, desk: str, sent: dict[str, Any], status: int, answer: dict[str, Any]
) -> None:
    async with rig.client() as client:
        headers = {"Authorization": "Bearer good", **sent.pop("headers", {})}
        async with client.post(f"/v1/namespaces/{NS}/tickets/{desk}", headers=headers, **sent) as reply:
            assert (reply.status, await reply.json()) == (status, answer)
    assert len(rig.store.tickets) == answer.get("stored", 0) and rig.access.asked[-1][3] == "tickets"


async def test_what_is_cut_or_ignored_of_a_ticket_is_said(rig: Rig) -> None:
    status, body, _ = await rig.post("tickets", json={**TICKET, "id": 7, "subject": "x" * 300, "priority": "high"})
    cut = [{"index": 0, "reason": "subject: 300 characters; the first 256 are kept"}]
    assert (status, body) == (202, {"stored": 1, "id": "7", "cut": cut, "ignored": ["priority"]})


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        pytest.param({"token": ""}, 401, "no token: send a Kubernetes token", id="without a token"),
        pytest.param(
            {"token": "old"},
            401,
            "not valid for the audience 'opsloop'",
            id="with a token that the API server does not know",
        ),
        pytest.param(
            {"token": "weak"},
            403,
            "bob may not create alerts.opsloop.dev in namespace shop",
            id="without the permission",
        ),
        pytest.param(
            {"ns": "other"}, 403, "may not create alerts.opsloop.dev in namespace other", id="in another namespace"
        ),
        pytest.param({"data": b"{"}, 400, "body: not JSON", id="with half a body"),
        pytest.param(
            {"json": {**BODY, "version": "3"}}, 400, 'version: "3" is not supported', id="with an old version"
        ),
        pytest.param({"path": "tickets", "json": {}}, 400, "subject: empty", id="with an empty ticket"),
        pytest.param(
            {"data": BytesIO(b" " * (MAX_BODY + 1))}, 413, f"body: more than {MAX_BODY} bytes", id="with too much"
        ),
    ],
)
async def test_refused(rig: Rig, request_: dict[str, Any], status: int, message: str) -> None:
    got, body, _ = await rig.post(**request_)
    assert got == status and message in body["error"]
    assert not rig.store.alerts and not rig.store.tickets and rig.calls[-1][1:] == (status, 0)


async def test_a_big_body_below_the_limit_is_taken(rig: Rig) -> None:
    many = {**BODY, "alerts": [{**BODY["alerts"][0], "annotations": {"description": "x" * 1000}}] * 4000}
    status, body, _ = await rig.post(data=BytesIO(json.dumps(many).encode()))
    assert (status, body) == (202, {"stored": 4000})


@pytest.mark.parametrize(
    ("what", "error", "retry_after"),
    [
        pytest.param("store", Unavailable("overload", after=5), "5", id="overload"),
        pytest.param("access", Unavailable("apiserver is away"), "2", id="TokenReview away"),
    ],
)
async def test_a_passing_failure_is_a_503_that_alertmanager_retries(
    rig: Rig, what: str, error: OpsloopError, retry_after: str
) -> None:
    getattr(rig, what).error = error
    status, body, answer = await rig.post()
    assert (status, answer.headers["Retry-After"]) == (503, retry_after) and str(error) in body["error"]


async def test_a_permission_is_cached_for_a_minute_a_refusal_never(rig: Rig) -> None:
    async with rig.client() as client:

        async def post(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.post(f"/v1/namespaces/{NS}/alerts", headers=headers, json=BODY)).status

        assert [await post("good"), await post("good"), await post("weak"), await post("weak")] == [202, 202, 403, 403]
        assert [token for token, _ in rig.access.reviews] == ["good", "weak", "weak"]
        rig.seconds = REMEMBER + 1
        assert await post("good") == 202
        assert [token for token, _ in rig.access.reviews] == ["good", "weak", "weak", "good"]


async def test_a_token_that_is_not_valid_is_not_reviewed_again_for_a_moment(rig: Rig) -> None:
    async with rig.client() as client:
        for _ in range(3):
            assert (await send(client, "old")).status == 401
        assert [token for token, _ in rig.access.reviews] == ["old"]
        rig.seconds = REJECTED + 1
        await send(client, "old")
        assert [token for token, _ in rig.access.reviews] == ["old", "old"]


async def test_a_flood_of_bad_tokens_is_reviewed_slowly_and_keeps_nobody_out_who_was_let_in(rig: Rig) -> None:
    async with rig.client() as client:
        assert (await send(client, "good")).status == 202
        rig.seconds = REMEMBER + 1
        answers = [(await send(client, f"bad-{n}")).status for n in range(60)]
        assert set(answers) == {401, 503} and answers.count(401) < 30
        assert len(rig.access.reviews) < 32, "one a second for each address, after a burst"
        assert (await send(client, "good")).status == 202, "its permission has run out, but it was let in before"


async def test_reviews_at_once_are_bounded(rig: Rig) -> None:
    rig.access.pause = asyncio.Event()
    async with rig.client() as client:
        floods = [asyncio.create_task(send(client, f"bad-{n}")) for n in range(80)]
        refused = [await answer for answer in itertools.islice(asyncio.as_completed(floods), 40)]
        assert {answer.status for answer in refused} == {503} and rig.access.running == 4
        rig.access.pause.set()
        answers = [answer.status for answer in await asyncio.gather(*floods)]
    assert set(answers) == {401, 503}


async def send(client: ClientSession, token: str = "good", **kwargs: Any) -> ClientResponse:
    headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
    async with client.post(f"/v1/namespaces/{NS}/alerts", headers=headers, **(kwargs or {"json": BODY})) as answer:
        await answer.read()
        return answer


async def test_what_breaks_a_rule_is_set_aside_and_said(rig: Rig) -> None:
    good = BODY["alerts"][0]
    status, body, _ = await rig.post(
        json={**BODY, "alerts": [good, {**good, "startsAt": "x\x1b"}, good], "truncatedAlerts": 7}
    )
    assert (status, body["stored"], body["truncated"]) == (202, 2, 7)
    assert body["setAside"][0]["index"] == 1 and body["setAside"][0]["reason"].startswith("alerts[1].startsAt:")
    ((namespace, received),) = rig.notices
    assert (namespace, len(received.set_aside), received.truncated) == (NS, 1, 7)


async def test_the_list_that_prometheus_sends_is_taken_at_alertmanagers_path(rig: Rig) -> None:
    status, body, _ = await rig.post(
        "api/v2/alerts", json=[{k: v for k, v in BODY["alerts"][0].items() if k != "status"}]
    )
    assert (status, body) == (200, {"stored": 1})


PLAIN = json.dumps(BODY).encode()


@pytest.mark.parametrize(
    ("coding", "data", "status"),
    [
        pytest.param("gzip", gzip.compress(PLAIN), 202, id="gzip"),
        pytest.param("gzip", gzip.compress(PLAIN[:40]) + gzip.compress(PLAIN[40:]), 202, id="gzip in two members"),
        pytest.param("deflate", zlib.compress(PLAIN), 202, id="deflate"),
        pytest.param("identity", PLAIN, 202, id="identity"),
        pytest.param("gzip", PLAIN, 400, id="no gzip"),
        pytest.param("deflate", gzip.compress(PLAIN), 400, id="another coding than it says"),
        pytest.param("gzip", gzip.compress(PLAIN)[:-9], 400, id="half of it"),
        pytest.param("gzip", b"", 400, id="nothing"),
        pytest.param("br", PLAIN, 400, id="one that is not supported"),
        pytest.param("gzip, gzip", PLAIN, 400, id="two"),
        pytest.param("gzip", gzip.compress(b" " * (MAX_BODY + 1)), 413, id="a bomb"),
    ],
)
async def test_content_encoding(rig: Rig, coding: str, data: bytes, status: int) -> None:
    async with rig.client() as client:
        headers = {"Authorization": "Bearer good", "Content-Encoding": coding}
        async with client.post(f"/v1/namespaces/{NS}/alerts", headers=headers, data=data) as answer:
            assert answer.status == status
            if status == 400:
                assert "Content-Encoding" in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404), ("POST", "/v1/namespaces/shop/incidents", 404), ("POST", "/v1/namespaces/UPPER/alerts", 404),
        ("GET", "/v1/namespaces/shop/alerts", 405), ("PUT", "/v1/namespaces/shop/tickets", 405),
    ],
)  # fmt: skip
async def test_unknown_paths_answer_in_json_with_what_there_is(rig: Rig, method: str, path: str, status: int) -> None:
    async with rig.client() as client, client.request(method, path) as answer:
        body = await answer.json()
        assert answer.status == status and "POST /v1/namespaces/{namespace}/alerts" in body["routes"]
        assert status != 405 or answer.headers["Allow"] == "POST"


async def raw(rig: Rig, data: bytes, connections: Connections) -> bytes:
    """All that comes back on a connection of its own, until the server ends it."""
    async with rig.client(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(data)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer


HEAD = f"POST /v1/namespaces/{NS}/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n".encode()


@pytest.mark.parametrize(
    ("data", "answered"),
    [
        pytest.param(b"", b"HTTP/1.1 408", id="nothing"),
        pytest.param(HEAD[:30], b"HTTP/1.1 408", id="half a line"),
        pytest.param(HEAD, b"HTTP/1.1 408", id="half a head"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404", id="an idle connection after an answer"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD, b"HTTP/1.1 404", id="half a head after an answer"),
    ],
)
async def test_connections_that_wait_are_closed(rig: Rig, data: bytes, answered: bytes) -> None:
    assert (await raw(rig, data, Connections(head=0.05, idle=0.05))).startswith(answered)


async def test_half_a_body_has_a_deadline(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsloop.entry.bodies.SECONDS", 0.05)
    answer = await raw(rig, HEAD + b"Content-Length: 100\r\n\r\n{", Connections(head=0.05, idle=0.05))
    assert answer.startswith(b"HTTP/1.1 408") and b"it did not arrive within" in answer


async def test_connections_are_bounded(rig: Rig) -> None:
    async with rig.client(Connections(most=2)):
        first = [await asyncio.open_connection("127.0.0.1", rig.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        for _, one in [*first, (reader, writer)]:
            one.close()


async def test_bodies_in_work_are_bounded_by_bytes(rig: Rig) -> None:
    rig.store.pause = asyncio.Event()
    big = json.dumps({**BODY, "note": "x" * (MAX_BODY - 1000)}).encode()  # two of them fill the room of the namespace
    async with rig.client() as client:
        sending = [asyncio.create_task(send(client, data=BytesIO(big))) for _ in range(3)]
        done, waiting = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        assert [(task.result().status, "Retry-After" in task.result().headers) for task in done] == [(503, True)]
        assert (await asyncio.wait_for(small(rig, client), 5)) == 202, "a small one always finds room"
        rig.store.pause.set()
        assert [task.result().status for task in (await asyncio.wait(waiting))[0]] == [202, 202]


async def small(rig: Rig, client: ClientSession) -> int:
    headers = {"Authorization": "Bearer good"}
    return (await client.post(f"/v1/namespaces/{NS}/tickets", headers=headers, json=TICKET)).status


async def test_the_document_describes_the_routes_that_there_are(rig: Rig) -> None:
    async with rig.client() as client, client.get("/openapi.json") as answer:
        document = await answer.json()
    rights = intake_routes(rig.access, rig.store)
    served = {(r.method.lower(), re.sub(r"\{([a-z]+):.*?\?\}", r"{\1}", r.path)) for r in rights}
    assert served == {(method, path) for path, item in document["paths"].items() for method in item}


async def test_who_may_send_alerts_may_not_send_tickets_by_that(rig: Rig) -> None:
    rig.access.plurals = {"alerts"}
    async with rig.client() as client:
        headers, base = {"Authorization": "Bearer good"}, f"/v1/namespaces/{NS}"
        assert (await client.post(f"{base}/alerts", headers=headers, json=BODY)).status == 202
        refused = await client.post(f"{base}/tickets", headers=headers, json=TICKET)
        assert refused.status == 403, "the cached permission is for alerts alone"
        assert "may not create tickets.opsloop.dev in namespace shop" in (await refused.json())["error"]
    assert not rig.store.tickets


async def test_a_401_names_the_scheme(rig: Rig) -> None:
    assert (await rig.post(token=""))[2].headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("where", ["the token is reviewed", "the alerts are stored"])
async def test_a_replica_whose_own_token_is_not_valid_any_more_hangs_up_and_refuses_nothing(
    rig: Rig, where: str
) -> None:
    error = Unauthenticated("create configmaps: 401 Unauthorized")
    if where == "the token is reviewed":
        rig.access.error = error
    else:
        rig.store.error = error
    with pytest.raises(ServerDisconnectedError):
        await rig.post()


HEADERS = {"Authorization": "Bearer good"}
PATH = f"/v1/namespaces/{NS}/alerts"


async def test_a_server_that_leaves_answers_what_is_in_work_and_closes_each_connection(rig: Rig) -> None:
    rig.store.pause = asyncio.Event()
    async with rig.client() as client:
        assert rig.server is not None
        under_way = asyncio.create_task(client.post(PATH, headers=HEADERS, json=BODY))
        while not rig.access.reviews:  # noqa: ASYNC110 - the request is on its way
            await asyncio.sleep(0)
        leaving = asyncio.create_task(rig.server.leave(60))
        await asyncio.sleep(0)
        later = asyncio.create_task(client.post(PATH, headers=HEADERS, json=BODY))
        rig.store.pause.set()
        answers = [await under_way, await later]
        assert [(a.status, a.headers.get("Connection")) for a in answers] == [(202, "close")] * 2
        await leaving  # no connection is left, which is long before its time is over
    assert len(rig.store.alerts) == 2


async def test_a_server_that_leaves_hangs_up_where_it_would_refuse_for_now(rig: Rig) -> None:
    rig.store.error = Unavailable("not stored: no answer")
    async with rig.client() as client:
        assert rig.server is not None
        await rig.server.leave()
        with pytest.raises(ServerDisconnectedError):
            await client.post(PATH, headers=HEADERS, json=BODY)
        answer = await client.post(PATH, headers=HEADERS, data=b"{")
        assert answer.status == 400, "what is wrong anywhere is said"


async def test_connections_that_are_idle_keep_a_server_for_no_longer_than_it_was_told(rig: Rig) -> None:
    async with rig.client() as client:
        assert rig.server is not None
        await client.post(PATH, headers=HEADERS, json=BODY)
        await rig.server.leave(0)
