"""The intake over HTTP: every status code with its reason, and 202 only for stored content."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from opsloop.core.facts import Alert, Ticket
from opsloop.core.intake import MAX_BODY
from opsloop.entry.intake_http import REMEMBER, intake_routes
from opsloop.errors import OpsloopError, Unavailable
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
Client = TestClient[web.Request, web.Application]


class Gatekeeper:
    """Access port: token `good` may, `weak` may not, all others are unknown."""

    def __init__(self) -> None:
        self.plurals = {"alerts", "tickets"}  # that `good` may create; nobody may create incidents
        self.reviews: list[tuple[str, str]] = []
        self.asked: list[tuple[str, ...]] = []
        self.error: OpsloopError | None = None

    async def review_token(self, token: str, audience: str) -> tuple[str, tuple[str, ...]] | None:
        if self.error:
            raise self.error
        self.reviews.append((token, audience))
        return {"good": (AM, ("g",)), "weak": ("bob", ())}.get(token)

    async def allowed(
        self, user: str, groups: Sequence[str], verb: str, group: str, plural: str, namespace: str, name: str = ""
    ) -> bool:
        self.asked.append((user, verb, group, plural, namespace))
        return user == AM and namespace == NS and verb == "create" and plural in self.plurals


class FakeStore:
    """Store that records, or fails with `error`."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.tickets: list[Ticket] = []
        self.error: OpsloopError | None = None

    async def put_alerts(self, namespace: str, alerts: Sequence[Alert]) -> None:
        if self.error:
            raise self.error
        self.alerts += alerts

    async def put_ticket(self, namespace: str, ticket: Ticket) -> None:
        self.tickets.append(ticket)


class Rig:
    """The routes with fakes around."""

    def __init__(self) -> None:
        self.access, self.store, self.seconds = Gatekeeper(), FakeStore(), 0.0
        self.calls: list[tuple[str, int, int]] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        app = web.Application()
        app.add_routes(
            intake_routes(
                self.access,
                self.store,
                "opsloop",
                lambda *call: self.calls.append(call),
                lambda: NOW,
                lambda: self.seconds,
            )
        )
        async with TestClient(TestServer(app)) as client:
            yield client

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
