"""What the Kube adapter makes of every answer: a small HTTP server says what the API server (or the way to it) might say."""

import asyncio
import json
from collections.abc import AsyncIterator
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from opsloop.adapters.kube.kube import Kube
from opsloop.adapters.kube.transport import POOL, Transport
from opsloop.core.runbook.rights import Identity
from opsloop.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    LeadershipLost,
    NotFound,
    OpsloopError,
    Unauthenticated,
    Unavailable,
)
from opsloop.shell.ports import CONFIGMAPS, DEPLOYMENTS, RELEASES, SECRETS


class Server:
    """Answers the scripted (status, body, headers) one by one, then 200 {}; remembers what was asked."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.delay = 0.0
        self.arrived = asyncio.Semaphore(0)  # one for each request

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, request.content_type, text))
        self.headers.append(dict(request.headers))
        self.arrived.release()
        await asyncio.sleep(self.delay)
        status, body, headers = self.script.pop(0) if self.script else (200, {}, {})
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=data, headers={"Content-Type": "application/json", **headers})

    def say(
        self, status: int, reason: str = "", message: str = "", causes: list[Any] | None = None, **headers: str
    ) -> None:
        details = {"details": {"causes": causes}} if causes is not None else {}
        body = {"kind": "Status", "reason": reason, "message": message, **details}
        self.script.append((status, body, {k.replace("_", "-"): v for k, v in headers.items()}))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = site.name  # type: ignore[attr-defined]
    yield made
    await runner.cleanup()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[Kube]:
    made = connected(server.url)  # type: ignore[attr-defined]
    yield made
    await made.close()


def connected(url: str, limit: float = 5.0, count: Any = lambda *_: None) -> Kube:
    configuration = Configuration()
    configuration.host = url
    configuration.api_key["BearerToken"] = "Bearer secret"
    return Kube(Transport(configuration, limit, count))


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        pytest.param(400, "BadRequest", Invalid, id="a malformed request"),
        pytest.param(401, "Unauthorized", Unauthenticated, id="a token that is not valid"),
        pytest.param(403, "Forbidden", Forbidden, id="RBAC says no"),
        pytest.param(404, "NotFound", NotFound, id="no such object"),
        pytest.param(409, "AlreadyExists", AlreadyExists, id="a name that is taken"),
        pytest.param(409, "Conflict", Conflict, id="a stale resourceVersion"),
        pytest.param(410, "Expired", Unavailable, id="an expired list"),
        pytest.param(413, "RequestEntityTooLarge", Invalid, id="an object that is too large"),
        pytest.param(422, "Invalid", Invalid, id="an object that validation refuses"),
        pytest.param(429, "TooManyRequests", Unavailable, id="too many requests"),
        pytest.param(500, "InternalError", Unavailable, id="a failing webhook or etcd"),
        pytest.param(503, "ServiceUnavailable", Unavailable, id="not ready"),
        pytest.param(504, "Timeout", Unavailable, id="a time-out on its side"),
    ],
)
async def test_every_status_has_one_error(
    server: Server, kube: Kube, status: int, reason: str, expected: type[OpsloopError]
) -> None:
    server.say(status, reason, "because")
    with pytest.raises(expected, match="because") as caught:
        await kube.create(CONFIGMAPS, "shop", {"metadata": {"name": "a"}})
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("message", "causes", "expected"),
    [
        pytest.param("x", None, Conflict, id="a test that failed comes without causes"),
        pytest.param("x", [{"field": "spec.replicas"}], Invalid, id="a validation that failed names a field"),
        pytest.param("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", None, Invalid, id="a policy that refuses is no conflict"),
        pytest.param('admission webhook "w" denied the request: no', None, Invalid, id="nor is a webhook"),
    ],
)  # fmt: skip
async def test_422_on_a_json_patch(
    server: Server, kube: Kube, message: str, causes: Any, expected: type[OpsloopError]
) -> None:
    server.say(422, "Invalid", message, causes)
    with pytest.raises(expected):
        await kube.json_patch(DEPLOYMENTS, "shop", "a", [{"op": "test", "path": "/a", "value": 1}])


async def test_a_dry_run_says_so_in_its_query(server: Server, kube: Kube) -> None:
    await kube.json_patch(DEPLOYMENTS, "shop", "a", [], dry_run=True)
    await kube.json_patch(DEPLOYMENTS, "shop", "a", [])
    assert ["dryRun=All" in path for _, path, _, _ in server.asked] == [True, False]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_says_when_to_come_back_is_asked_once_more(server: Server, kube: Kube, status: int) -> None:
    server.say(status, Retry_After="0")
    assert await kube.get(CONFIGMAPS, "shop", "a") == {}
    assert len(server.asked) == 2


async def test_it_is_asked_only_once_more(server: Server, kube: Kube) -> None:
    for _ in range(3):
        server.say(429, Retry_After="0")
    with pytest.raises(Unavailable):
        await kube.get(CONFIGMAPS, "shop", "a")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("header", "after"),
    [
        pytest.param("30", 30.0, id="in seconds"),
        pytest.param("in a minute", pytest.approx(60, abs=3), id="as a date"),
        pytest.param("soon", None, id="as nonsense"),
    ],
)
async def test_a_long_wait_is_left_to_the_caller(server: Server, kube: Kube, header: str, after: Any) -> None:
    server.say(503, Retry_After=formatdate(time() + 60, usegmt=True) if header == "in a minute" else header)
    with pytest.raises(Unavailable) as caught:
        await kube.get(CONFIGMAPS, "shop", "a")
    assert (caught.value.after, len(server.asked)) == (after, 1)


async def test_the_fence_is_asked_again_before_a_second_try(server: Server, kube: Kube) -> None:
    asked = 0

    def fence() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise LeadershipLost("meanwhile")

    server.say(503, Retry_After="0")
    with pytest.raises(LeadershipLost):
        await kube.fenced(fence).delete(CONFIGMAPS, "shop", "a")
    assert len(server.asked) == 1


async def test_a_server_that_hangs_is_unavailable_after_the_deadline(server: Server) -> None:
    server.delay = 5.0
    codes: list[tuple[str, ...]] = []
    slow = connected(server.url, limit=0.1, count=lambda *call: codes.append(call))  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="Timeout"):
        await slow.get(RELEASES, "shop", "a")
    await slow.close()
    assert codes == [("get", "releases", "error")]


async def test_a_refused_connection_is_unavailable() -> None:
    nobody = connected("http://127.0.0.1:1")
    with pytest.raises(Unavailable):
        await nobody.list(RELEASES, "shop")
    with pytest.raises(Unavailable):
        await nobody.raw("GET", "/readyz")
    await nobody.close()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="HTML of a proxy"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_an_answer_that_is_no_object_is_unavailable(server: Server, kube: Kube, body: bytes) -> None:
    server.script.append((200, body, {}))
    with pytest.raises(Unavailable):
        await kube.get(CONFIGMAPS, "shop", "a")


async def test_each_call_goes_where_the_api_reference_says(server: Server, kube: Kube) -> None:
    body = {"metadata": {"name": "a", "resourceVersion": "1"}}
    await kube.list(RELEASES, "", {"a": "1", "b": "2"})
    await kube.list(CONFIGMAPS, "shop")
    await kube.create(CONFIGMAPS, "shop", body)
    await kube.apply(DEPLOYMENTS, "shop", body)
    await kube.replace(CONFIGMAPS, "shop", body)
    await kube.replace_status(RELEASES, "shop", body)
    await kube.json_patch(DEPLOYMENTS, "shop", "a", [])
    await kube.patch_pod_condition("shop", "p", "u", {"type": "x", "status": "True"})
    await kube.patch_pod_condition("shop", "p", "", {"type": "x", "status": "False"})
    await kube.delete(CONFIGMAPS, "shop", "a", "u")
    own = "/apis/opsloop.dev/v1alpha1"
    assert [f"{method} {path} {kind}" for method, path, kind, _ in server.asked] == [
        f"GET {own}/releases?labelSelector=a%3D1,b%3D2 application/json",
        "GET /api/v1/namespaces/shop/configmaps application/json",
        "POST /api/v1/namespaces/shop/configmaps?fieldManager=opsloop application/json",
        "PATCH /apis/apps/v1/namespaces/shop/deployments/a?fieldManager=opsloop&force=true application/apply-patch+yaml",
        "PUT /api/v1/namespaces/shop/configmaps/a?fieldManager=opsloop application/json",
        f"PUT {own}/namespaces/shop/releases/a/status?fieldManager=opsloop application/json",
        "PATCH /apis/apps/v1/namespaces/shop/deployments/a?fieldManager=opsloop application/json-patch+json",
        "PATCH /api/v1/namespaces/shop/pods/p/status?fieldManager=opsloop-open application/strategic-merge-patch+json",
        "PATCH /api/v1/namespaces/shop/pods/p/status?fieldManager=opsloop-close application/strategic-merge-patch+json",
        "DELETE /api/v1/namespaces/shop/configmaps/a application/json",
    ]
    assert json.loads(server.asked[3][3]) == {"apiVersion": "apps/v1", "kind": "Deployment", **body}
    assert json.loads(server.asked[7][3]) == {
        "metadata": {"uid": "u"},
        "status": {"conditions": [{"type": "x", "status": "True"}]},
    }
    assert json.loads(server.asked[9][3])["preconditions"] == {"uid": "u"}
    assert {(h["Authorization"], h["User-Agent"]) for h in server.headers} == {("Bearer secret", "opsloop")}


async def test_of_metadata_the_api_server_is_asked_to_send_nothing_else(server: Server, kube: Kube) -> None:
    await kube.metadata(SECRETS, "shop", "password")
    [(method, path, _, _)], [headers] = server.asked, server.headers
    assert (method, path) == ("GET", "/api/v1/namespaces/shop/secrets/password")
    assert headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_a_forbidden_review_tells_nothing_about_the_caller(server: Server, kube: Kube) -> None:
    server.say(403, "Forbidden", "cannot create tokenreviews")
    with pytest.raises(Unavailable, match="the operator may not create tokenreviews"):
        await kube.review_token("t", "opsloop")


async def test_a_token_for_another_audience_is_nobodys(server: Server, kube: Kube) -> None:
    user = {"username": "u", "groups": ["g"], "uid": "7", "extra": {"scopes.example.com": ["read"]}}
    server.script.append((201, {"status": {"authenticated": True, "user": user, "audiences": ["kubernetes"]}}, {}))
    assert await kube.review_token("t", "opsloop") is None
    server.script.append((201, {"status": {"authenticated": True, "user": user, "audiences": ["opsloop"]}}, {}))
    assert await kube.review_token("t", "opsloop") == Identity("u", ("g",), {"scopes.example.com": ("read",)}, "7")


async def test_rights_on_a_subresource_are_asked_as_such(server: Server, kube: Kube) -> None:
    server.script.append((201, {"status": {"allowed": True}}, {}))
    assert await kube.allowed(
        Identity("u", ("g",), {"scopes": ("user:info",)}, "7"), "update", "opsloop.dev", "releases/status", "shop", "a"
    )
    spec = json.loads(server.asked[0][3])["spec"]
    assert {key: spec[key] for key in ("user", "groups", "extra", "uid")} == {
        "user": "u", "groups": ["g"], "extra": {"scopes": ["user:info"]}, "uid": "7",
    }, "all that a token's limits may hang on"  # fmt: skip
    assert spec["resourceAttributes"] == {
        "verb": "update", "group": "opsloop.dev", "resource": "releases", "subresource": "status", "namespace": "shop", "name": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        pytest.param(b'{"a": 1}', '{"a": 1}', id="JSON goes out as JSON"),
        pytest.param(b'{"a": ', '{"a": ', id="broken JSON goes out as it is, so that a receiver can refuse it"),
        pytest.param({"a": 1}, '{"a": 1}', id="an object is encoded"),
    ],
)
async def test_raw_bodies(server: Server, kube: Kube, sent: Any, received: str) -> None:
    server.script.append((400, b"no", {}))
    assert await kube.raw("POST", "/api/v1/x", {"q": "1"}, {"X-Y": "z"}, sent, 2.0) == (400, b"no")
    assert server.asked[0][3] == received
    assert server.headers[0]["X-Y"] == "z"


async def test_calls_are_counted_by_verb_resource_and_code(server: Server) -> None:
    calls: list[tuple[str, ...]] = []
    counted = connected(server.url, count=lambda *call: calls.append(call))  # type: ignore[attr-defined]
    server.say(409, "Conflict")
    with pytest.raises(Conflict):
        await counted.replace_status(RELEASES, "shop", {"metadata": {"name": "a"}})
    await counted.get(CONFIGMAPS, "shop", "a")
    await counted.close()
    assert calls == [("update", "releases", "409"), ("get", "configmaps", "200")]


ITEM = {"metadata": {"name": "one", "namespace": "shop"}}
LISTED = {"metadata": {"resourceVersion": "7"}, "items": [ITEM]}


def event(kind: str, name: str, **meta: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name, "namespace": "shop", **meta}}}).encode()


async def watched(kube: Kube) -> list[str]:
    """Names in the order in which a watch tells of them."""
    return [meta["name"] async for batch in kube.watch(CONFIGMAPS, "shop", {"a": "b"}) for meta in batch]


async def test_a_watch_begins_where_the_list_ended(server: Server, kube: Kube) -> None:
    long = {"annotations": {"note": "x" * 300_000}}  # longer than the lines that aiohttp reads
    lines = [event("BOOKMARK", ""), event("ADDED", "two", **long), event("DELETED", "one"), event("MODIFIED", "three")]
    server.script = [(200, LISTED, {}), (200, b"\n".join(lines) + b"\n", {})]
    assert await watched(kube) == ["one", "two", "three"]
    (_, listed, _, _), (_, followed, _, _) = server.asked
    assert listed == "/api/v1/namespaces/shop/configmaps?labelSelector=a%3Db&limit=50"
    assert "watch=true" in followed and "resourceVersion=7" in followed and "timeoutSeconds=600" in followed
    assert "PartialObjectMetadataList" in server.headers[0]["Accept"]
    assert server.headers[1]["Accept"].startswith("application/json;as=PartialObjectMetadata;")
    assert server.headers[1]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param(
            (200, event("ADDED", "two") + b"\n" + b'{"type": "ERROR", "object": {"message": "too old"}}\n', {}),
            Unavailable,
            "too old",
            id="its version expired",
        ),
        pytest.param((403, {"message": "cannot watch"}, {}), Forbidden, "cannot watch", id="the right is missing"),
        pytest.param((410, {}, {}), Unavailable, "410", id="the version is gone"),
        pytest.param((200, b"<html>\n", {}), Unavailable, "not JSON", id="something in between answers"),
        pytest.param((200, b"x" * 5_000_000, {}), Unavailable, "longer than", id="a line without an end"),
    ],
)
async def test_a_watch_that_fails(
    server: Server, kube: Kube, answer: tuple[int, Any, dict[str, str]], error: type[OpsloopError], message: str
) -> None:
    server.script = [(200, LISTED, {}), answer]
    with pytest.raises(error, match=message):
        await watched(kube)


async def test_a_watch_holds_none_of_the_connections_of_calls(server: Server, kube: Kube) -> None:
    watches = [kube.watch(CONFIGMAPS, "shop", {"a": "b"}) for _ in range(POOL + 5)]
    server.script = [(200, LISTED, {})] * len(watches)
    for watch in watches:
        await anext(watch)
    server.delay = 3.0
    tasks = [asyncio.create_task(anext(watch)) for watch in watches]
    for _ in range(2 * len(watches)):
        await server.arrived.acquire()
    server.delay = 0.0
    async with asyncio.timeout(2):
        await kube.get(CONFIGMAPS, "shop", "a")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_right_in_all_namespaces_is_asked_of_the_cluster_and_one_in_a_namespace_of_that(
    server: Server, kube: Kube
) -> None:
    for namespace in ("", "shop"):
        server.script.append((201, {"status": {"allowed": True}}, {}))
        assert await kube.allowed(Identity("u"), "list", "opsloop.dev", "releases", namespace)
    cluster, local = server.asked
    assert cluster[1] == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert local[1] == "/apis/authorization.k8s.io/v1/namespaces/shop/localsubjectaccessreviews"
    asked = json.loads(cluster[3])
    assert asked["kind"] == "SubjectAccessReview" and asked["metadata"] == {}
    assert asked["spec"]["resourceAttributes"] == {"verb": "list", "group": "opsloop.dev", "resource": "releases"}


async def test_a_token_for_the_api_servers_own_audience_is_asked_for_without_one(server: Server, kube: Kube) -> None:
    server.script.append((201, {"status": {"authenticated": True, "user": {"username": "u"}}}, {}))
    assert await kube.review_token("t", "") == Identity("u")
    assert json.loads(server.asked[0][3])["spec"] == {"token": "t"}
