"""One suite for the port Prober: straight to the pod, through a pod proxy, and the fake."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from opsloop.adapters.prober import MOST_BODY, Fetch, Fetched, HttpProber, ProxyProber
from opsloop.api.eval_request import EvalRequest
from opsloop.core.evalcase import silence
from opsloop.core.facts import ProbeReply
from opsloop.errors import Unavailable
from opsloop.shell.ports import Prober
from opsloop.simulator.fakes.prober import Asked, FakeProber

POD = "answers-1"


async def _echo(request: web.Request) -> web.Response:
    """What arrived, as JSON."""
    got = {"method": request.method, "path": request.raw_path, "body": await request.text()}
    return web.json_response({**got, "headers": dict(request.headers)})


async def _hangs(request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.05)
    return web.Response()


async def _breaks_off(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("/echo")


def _application() -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/echo", _echo)
    app.router.add_get("/hangs", _hangs)
    app.router.add_get("/breaks-off", _breaks_off)
    app.router.add_get("/slow", _slow)
    app.router.add_get("/moved", _moved)
    app.router.add_get("/long", _says(text="ä" * MOST_BODY))
    app.router.add_get("/binary", _says(body=b"\xff\xfe ok"))
    app.router.add_get("/broken", _says(status=500, text="oh no", headers={"X-Shop": "shut"}))
    return app


def _says(**reply: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(**reply)

    return handler


def _fake_pod(asked: Asked) -> ProbeReply:
    """The same application as a function."""
    path = asked.path.split("?", 1)[0]
    if path == "/echo":
        got = {"method": asked.method, "path": asked.path, "body": asked.body, "headers": dict(asked.headers)}
        return ProbeReply(200, json.dumps(got))
    return {
        "/hangs": ProbeReply(0, "", "no reply within 0.2 s"),
        "/breaks-off": ProbeReply(0, "", "ServerDisconnectedError"),
        "/moved": ProbeReply(302, "302: Found"),
        "/long": ProbeReply(200, "ä" * MOST_BODY),
        "/binary": ProbeReply(200, "�� ok"),
        "/broken": ProbeReply(500, "oh no", headers=(("X-Shop", "shut"),)),
    }.get(path, ProbeReply(404, "404: Not Found"))


@dataclass(frozen=True)
class Certificate:
    """A certificate for answers.shop.svc that signs itself, and its key."""

    chain: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    where = tmp_path_factory.mktemp("tls")
    made = Certificate(where / "chain.pem", where / "key.pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=answers -addext subjectAltName=DNS:answers.shop.svc"
    files = ["-out", str(made.chain), "-keyout", str(made.key)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return made


@dataclass
class Way:
    """A prober with one pod that it reaches and one that it does not."""

    prober: Prober
    pod: str
    nobody: str
    port: int

    async def ask(self, path: str, **more: object) -> ProbeReply:
        return await self.prober.ask(self.pod, self.request(path, **more))

    def request(self, path: str, **more: object) -> EvalRequest:
        return EvalRequest.model_validate({"path": path, "port": self.port, **more})


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    one = TestServer(_application())
    await one.start_server()
    yield one
    await one.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with HttpProber.session() as one:
        yield one


def _proxy(server: TestServer, session: aiohttp.ClientSession) -> ProxyProber:
    """An API server that has one pod."""

    async def fetch(method: str, path: str, headers: dict[str, str], body: bytes, _: float) -> Fetched:
        prefix = f"/api/v1/namespaces/shop/pods/{POD}:{server.port}/proxy"
        if not path.startswith(prefix):
            said = {"kind": "Status", "apiVersion": "v1", "message": "pods not found"}
            return 404, (), json.dumps(said).encode()
        url = URL(f"http://127.0.0.1:{server.port}{path.removeprefix(prefix)}", encoded=True)
        async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as reply:
            got = tuple((str(k), str(v)) for k, v in reply.headers.items())
            return reply.status, got, await reply.read()

    return ProxyProber(fetch, "shop")


@pytest.fixture(params=["straight", "proxy", "fake"])
async def way(request: pytest.FixtureRequest, server: TestServer, session: aiohttp.ClientSession) -> Way:
    assert server.port is not None
    if request.param == "straight":
        return Way(HttpProber(session, allow_loopback=True), "127.0.0.1", "127.0.0.2", server.port)
    if request.param == "proxy":
        return Way(_proxy(server, session), POD, "nobody", server.port)
    return Way(FakeProber({"10.0.0.1": _fake_pod}), "10.0.0.1", "10.0.0.2", 80)


async def echoed(way: Way, path: str = "/echo", **more: object) -> dict[str, object]:
    reply = await way.ask(path, **more)
    assert reply.status == 200, reply
    got: dict[str, object] = json.loads(reply.body)
    return got


async def test_every_request_says_that_it_is_an_eval(way: Way) -> None:
    got = await echoed(way, headers={"x-opsloop-eval": "0", "X-Shop": "a"})
    assert isinstance(got["headers"], dict)
    sent = {k.lower(): v for k, v in got["headers"].items()}
    assert (sent["x-opsloop-eval"], sent["x-shop"]) == ("1", "a")


@pytest.mark.parametrize(
    "path",
    [
        "/echo?q=When%20is%20a%20refund%20paid%3F",
        "/echo?a=1&b=%26&c=+%2B",
        "/echo?path=%2F..%2F",
    ],
)
async def test_the_path_arrives_as_it_was_written(way: Way, path: str) -> None:
    assert (await echoed(way, path))["path"] == path


async def test_method_and_body_arrive(way: Way) -> None:
    got = await echoed(way, method="POST", body='{"ä": 1}')
    assert (got["method"], got["body"]) == ("POST", '{"ä": 1}')


async def test_an_error_of_the_pod_is_a_reply(way: Way) -> None:
    reply = await way.ask("/broken")
    assert (reply.status, reply.body, reply.error, reply.reason) == (500, "oh no", "", "")


async def test_headers_of_the_reply_are_told(way: Way) -> None:
    reply = await way.ask("/broken")
    assert ("x-shop", "shut") in [(name.lower(), value) for name, value in reply.headers]


async def test_parameters_are_escaped_and_follow_the_query_of_the_path(way: Way) -> None:
    asked = [{"name": "q", "value": "a&b=c d/é"}, {"name": "n"}]
    assert (await echoed(way, "/echo", query=asked))["path"] == "/echo?q=a%26b%3Dc%20d%2F%C3%A9&n="
    assert (await echoed(way, "/echo?a=1", query=asked[1:]))["path"] == "/echo?a=1&n="


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_arrives(way: Way, method: str) -> None:
    assert (await echoed(way, method=method))["method"] == method


async def test_headers_with_secrets_arrive(way: Way) -> None:
    reply = await way.prober.ask(way.pod, way.request("/echo", headers={"X-Shop": "a"}), {"X-Api-Key": "s3cr3t-t0k3n"})
    headers = {name.lower(): value for name, value in json.loads(reply.body)["headers"].items()}
    assert (headers["x-api-key"], headers["x-shop"]) == ("s3cr3t-t0k3n", "a")


async def test_a_redirect_is_a_reply_and_is_not_followed(way: Way) -> None:
    assert (await way.ask("/moved")).status == 302


async def test_a_long_body_is_cut(way: Way) -> None:
    body = (await way.ask("/long")).body
    assert len(body.encode()) <= MOST_BODY + 2
    assert (await way.ask("/long")).cut and not (await way.ask("/broken")).cut
    assert len(body) > 1000


async def test_bytes_that_are_no_text_are_a_reply(way: Way) -> None:
    assert (await way.ask("/binary")).body == "�� ok"


async def no_reply(asking: Awaitable[ProbeReply]) -> None:
    reply = await asking
    assert (reply.status, reply.body) == (0, "")
    assert reply.error


async def test_a_pod_that_hangs_is_no_answer(way: Way) -> None:
    await no_reply(way.ask("/hangs", timeoutSeconds=0.2))


async def test_a_pod_that_breaks_off_is_no_answer(way: Way) -> None:
    await no_reply(way.ask("/breaks-off", timeoutSeconds=2))


async def test_a_pod_that_is_not_there_is_no_answer(way: Way) -> None:
    await no_reply(way.prober.ask(way.nobody, way.request("/echo")))


# --- what only the real ones have to keep


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("localhost", id="a name"),
        pytest.param("answers.shop.svc", id="a Service"),
        pytest.param("127.0.0.1", id="the operator itself"),
        pytest.param("::1", id="the operator itself, IPv6"),
        pytest.param("169.254.169.254", id="the cloud's metadata service"),
        pytest.param("fe80::1%eth0", id="a link-local address"),
        pytest.param("::ffff:127.0.0.1", id="an IPv4 address in disguise"),
        pytest.param("0.0.0.0", id="no address"),
        pytest.param("10.0.0.1@evil", id="something that would change the URL"),
        pytest.param("0x7f000001", id="an odd spelling of loopback"),
    ],
)
async def test_what_is_not_a_pods_address_is_not_called(session: aiohttp.ClientSession, address: str) -> None:
    reply = await HttpProber(session).ask(address, EvalRequest(path="/", port=80, timeout_seconds=0.5))
    assert reply.error == f"{address!r} is not the IP address of a pod"


async def test_an_ipv6_address_is_put_in_brackets(session: aiohttp.ClientSession) -> None:
    app = web.Application()
    app.router.add_get("/", _echo)
    server = TestServer(app, host="::1")
    try:
        await server.start_server()
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert server.port is not None
    reply = await HttpProber(session, allow_loopback=True).ask("::1", EvalRequest(path="/", port=server.port))
    await server.close()
    assert reply.status == 200


async def test_what_may_not_stand_in_a_path_is_escaped(session: aiohttp.ClientSession, server: TestServer) -> None:
    assert server.port is not None
    request = EvalRequest(path="/echo?q=a b\r\nX-Evil: 1#ü", port=server.port)
    got = json.loads((await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)).body)
    assert got["path"] == "/echo?q=a%20b%0D%0AX-Evil:%201%23%C3%BC"
    assert "X-Evil" not in got["headers"]


@pytest.mark.parametrize("header", [{"X-A": "b\r\nX-Evil: 1"}, {"X A": "b"}, {"Transfer-Encoding": "chunked"}])
async def test_headers_cannot_change_the_request(
    session: aiohttp.ClientSession, server: TestServer, header: dict[str, str]
) -> None:
    assert server.port is not None
    request = EvalRequest(path="/echo", port=server.port, headers=header)
    reply = await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)
    assert reply.status == 0 or "evil" not in reply.body.lower()


def answers(status: int, body: str) -> Fetch:
    async def fetch(*_: object) -> Fetched:
        return status, (), body.encode()

    return fetch


REFUSED = '{"kind": "Status", "apiVersion": "v1", "message": "error trying to reach service: refused"}'


@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [
        pytest.param(503, REFUSED, False, id="the API server could not reach the pod"),
        pytest.param(403, REFUSED, False, id="the caller may not use pods/proxy"),
        pytest.param(503, "busy", True, id="the pod itself says 503"),
        pytest.param(500, '{"kind": "Oops"}', True, id="the pod itself says 500 in JSON"),
        pytest.param(200, REFUSED, True, id="a pod that happens to reply with such an object"),
    ],
)
async def test_the_api_servers_errors_are_no_answer_of_the_pod(status: int, body: str, answered: bool) -> None:
    reply = await ProxyProber(answers(status, body), "shop").ask(POD, EvalRequest(path="/", port=80))
    assert (reply.status == status) == answered
    assert bool(reply.error) != answered


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        pytest.param(POD, "/../../../secrets", id="dot segments"),
        pytest.param(POD, "/a/%2e%2E/b", id="escaped dot segments"),
        pytest.param(POD, "/a/%252e%252e/b", id="twice escaped dot segments"),
        pytest.param(POD, "/a%2f..%2fb", id="dot segments between escaped slashes"),
        pytest.param("a/../../secrets/x", "/", id="a pod name that is a path"),
        pytest.param("a:80/proxy/x?", "/", id="a pod name with a query"),
    ],
)
async def test_nothing_but_the_pod_is_asked_through_the_api_server(pod: str, path: str) -> None:
    asked: list[object] = []

    async def fetch(*call: object) -> Fetched:
        asked.append(call)
        return 200, (), b""

    await no_reply(ProxyProber(fetch, "shop").ask(pod, EvalRequest(path=path, port=80)))
    assert asked == []


async def test_an_api_server_that_is_away_is_no_answer() -> None:
    async def fetch(*_: object) -> Fetched:
        raise Unavailable("connection refused")

    await no_reply(ProxyProber(fetch, "shop").ask(POD, EvalRequest(path="/", port=80)))


async def test_the_api_servers_proxy_is_not_given_the_header_that_it_keeps() -> None:
    asked: list[object] = []

    async def fetch(*call: object) -> Fetched:
        asked.append(call)
        return 200, (), b""

    request = EvalRequest(path="/", port=80)
    reply = await ProxyProber(fetch, "shop").ask(POD, request, {"authorization": "Bearer s3cr3t-t0k3n"})
    assert (reply.reason, asked) == (silence.REQUEST_UNFIT, [])
    assert "s3cr3t" not in reply.error
    encrypted = EvalRequest.model_validate({"path": "/", "port": 80, "tls": {"serverName": "a.shop.svc"}})
    assert (await ProxyProber(fetch, "shop").ask(POD, encrypted)).status == 200
    assert asked[0][1] == f"/api/v1/namespaces/shop/pods/https:{POD}:80/proxy/"  # type: ignore[index]


async def test_the_time_until_the_end_of_the_reply_is_told(server: TestServer, session: aiohttp.ClientSession) -> None:
    reply = await HttpProber(session, allow_loopback=True).ask(
        "127.0.0.1", EvalRequest(path="/slow", port=server.port or 0)
    )
    assert 0.05 <= reply.seconds < 5


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("/hangs", silence.TIMED_OUT, id="the pod has the request and hangs"),
        pytest.param("/breaks-off", silence.BROKEN_OFF, id="the pod breaks off"),
    ],
)
async def test_why_a_pod_gave_no_answer(
    server: TestServer, session: aiohttp.ClientSession, path: str, reason: str
) -> None:
    request = EvalRequest.model_validate({"path": path, "port": server.port, "timeoutSeconds": 0.3})
    assert (await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)).reason == reason


async def test_nobody_listens(session: aiohttp.ClientSession) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reply = await HttpProber(session, allow_loopback=True).ask("127.0.0.1", EvalRequest(path="/", port=port))
    assert reply.reason == silence.UNREACHABLE


async def test_a_header_with_a_line_break_is_not_sent(server: TestServer, session: aiohttp.ClientSession) -> None:
    request = EvalRequest.model_validate({"path": "/echo", "port": server.port, "headers": {"X-A": "a\r\nX-B: b"}})
    reply = await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)
    assert (reply.status, reply.reason) == (0, silence.REQUEST_UNFIT)


@pytest.fixture
async def encrypted(certificate: Certificate) -> AsyncIterator[TestServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.chain, certificate.key)
    one = TestServer(_application(), scheme="https")
    await one.start_server(ssl=context)
    yield one
    await one.close()


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        pytest.param({"serverName": "answers.shop.svc", "ca": True}, "", id="the name and the authority are right"),
        pytest.param({"serverName": "web.shop.svc", "ca": True}, silence.TLS_FAILED, id="the certificate is for another name"),
        pytest.param({"serverName": "answers.shop.svc"}, silence.TLS_FAILED, id="the authority is unknown"),
        pytest.param({"insecureSkipVerify": True}, "", id="any certificate is accepted"),
        pytest.param({"serverName": "answers.shop.svc", "caBundle": "nonsense"}, silence.CASE_INVALID, id="an authority that is none"),
        pytest.param(None, silence.BROKEN_OFF, id="plain HTTP to a pod that speaks TLS"),
    ],
)  # fmt: skip
async def test_the_pods_certificate_is_checked(
    encrypted: TestServer,
    session: aiohttp.ClientSession,
    certificate: Certificate,
    tls: dict[str, Any] | None,
    reason: str,
) -> None:
    if tls is not None and tls.pop("ca", False):
        tls = {**tls, "caBundle": certificate.chain.read_text()}
    request = EvalRequest.model_validate({"path": "/echo", "port": encrypted.port, "tls": tls})
    reply = await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)
    assert (reply.reason, reply.status) == (reason, 0 if reason else 200), reply
    if tls and not reason:
        host = {k.lower(): v for k, v in json.loads(reply.body)["headers"].items()}["host"]
        assert host.split(":")[0] == tls.get("serverName", "127.0.0.1")


async def test_tls_to_a_pod_that_speaks_none_says_so(server: TestServer, session: aiohttp.ClientSession) -> None:
    request = EvalRequest.model_validate({"path": "/", "port": server.port, "tls": {"insecureSkipVerify": True}})
    assert (await HttpProber(session, allow_loopback=True).ask("127.0.0.1", request)).reason == silence.TLS_FAILED
