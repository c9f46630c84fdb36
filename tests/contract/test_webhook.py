"""The webhook caller against a server that redirects and a resolver that lies: where it connects to, and where never."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from aiohttp import web

from opsloop.adapters.webhook import WebhookCaller, refusal
from opsloop.core.facts import Address
from opsloop.errors import Forbidden, Unavailable

pytestmark = pytest.mark.asyncio
HOOK = Address("http://hook.example.com/")
BODY = {"incident": "answers-1"}


@pytest.mark.parametrize(
    ("address", "internal", "called"),
    [
        pytest.param("93.184.216.34", False, True, id="a public address"),
        pytest.param("2606:2800:220:1:248:1893:25c8:1946", False, True, id="a public IPv6 address"),
        pytest.param("10.96.0.1", False, False, id="a Service of the cluster"),
        pytest.param("10.96.0.1", True, True, id="a Service that the administrator allowed"),
        pytest.param("10.244.1.7", False, False, id="a pod"),
        pytest.param("192.168.1.1", False, False, id="a private network"),
        pytest.param("fd00::1", False, False, id="a private IPv6 network"),
        pytest.param("100.64.0.1", False, False, id="a node behind carrier-grade NAT"),
        pytest.param("169.254.169.254", False, False, id="a cloud's metadata"),
        pytest.param("169.254.169.254", True, False, id="which no administrator can allow"),
        pytest.param("168.63.129.16", False, False, id="another cloud's metadata, at a public address"),
        pytest.param("100.100.100.200", True, False, id="another one's, in the carrier's range"),
        pytest.param("fd00:ec2::254", True, False, id="a cloud's metadata, IPv6"),
        pytest.param("fec0::1", False, False, id="a site-local IPv6 address"),
        pytest.param("fe80::1", True, False, id="a link-local IPv6 address"),
        pytest.param("127.0.0.1", True, False, id="opsloop itself"),
        pytest.param("::1", True, False, id="opsloop itself, IPv6"),
        pytest.param("0.0.0.0", True, False, id="no address at all"),
        pytest.param("224.0.0.1", True, False, id="multicast"),
        pytest.param("240.0.0.1", True, False, id="reserved"),
        pytest.param("::ffff:169.254.169.254", True, False, id="a cloud's metadata, mapped"),
        pytest.param("::ffff:10.96.0.1", False, False, id="a Service, mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", True, False, id="a cloud's metadata behind NAT64"),
        pytest.param("2002:a9fe:a9fe::1", True, False, id="a cloud's metadata behind 6to4"),
        pytest.param("fe80::1%eth0", True, False, id="a zone"),
        pytest.param("hook.example.com", True, False, id="a name"),
    ],
)  # fmt: skip
async def test_what_is_called(address: str, internal: bool, called: bool) -> None:
    assert (refusal(address, internal) == "") == called


class Server:
    """A server on loopback that answers as it is told and remembers who came."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.status, self.location, self.port = 200, "", 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers["Host"], await request.json()))
        self.key = request.headers["Idempotency-Key"]
        return web.Response(status=self.status, headers={"Location": self.location} if self.location else {})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    told = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", told.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield told
    await runner.cleanup()


def to(*answers: Sequence[str]) -> WebhookCaller:
    """A caller whose resolver gives these answers in turn; loopback, where the test's server is, counts as public."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0)

    return WebhookCaller(resolve, lambda text, internal: "" if text == "127.0.0.1" else refusal(text, internal))


async def test_it_posts_once_to_the_checked_address_with_the_name_that_was_asked_for(server: Server) -> None:
    url = f"http://hook.example.com:{server.port}/restart"
    assert await to(["127.0.0.1"]).call(HOOK, url, BODY, "key-1") == 200
    assert server.asked == [("/restart", f"hook.example.com:{server.port}", BODY)] and server.key == "key-1"


async def test_a_redirect_is_an_answer_and_nothing_follows_it(server: Server) -> None:
    server.status, server.location = 307, f"http://169.254.169.254:{server.port}/latest"
    assert await to(["127.0.0.1"]).call(HOOK, f"http://hook.example.com:{server.port}/", BODY, "k") == 307
    assert len(server.asked) == 1


async def test_a_name_that_resolves_otherwise_a_moment_later_leads_nowhere_else(server: Server) -> None:
    """The second answer, which a connection by name would get, is never asked for."""
    caller = to(["127.0.0.1"], ["169.254.169.254"])
    assert await caller.call(HOOK, f"http://hook.example.com:{server.port}/", BODY, "k") == 200
    with pytest.raises(Forbidden, match="link-local"):
        await caller.call(HOOK, f"http://hook.example.com:{server.port}/", BODY, "k")
    assert len(server.asked) == 1


async def test_one_bad_address_of_several_is_enough(server: Server) -> None:
    with pytest.raises(Forbidden, match="private address"):
        await to(["127.0.0.1", "10.96.0.10"]).call(HOOK, f"http://hook.example.com:{server.port}/", BODY, "k")
    assert server.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f000001", "localhost"])
async def test_however_loopback_is_spelled_it_is_not_called(server: Server, host: str) -> None:
    """By the system's own resolver."""
    try:
        await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), server.port, type=socket.SOCK_STREAM)
    except OSError:
        pytest.skip(f"this system does not resolve {host}")
    with pytest.raises(Forbidden, match="loopback"):
        await WebhookCaller().call(Address(f"http://{host}/", (), True), f"http://{host}:{server.port}/", BODY, "k")
    assert server.asked == []


async def test_a_host_without_an_address_and_a_closed_port_are_no_answer(server: Server) -> None:
    with pytest.raises(Unavailable, match="no address"):
        await to([]).call(HOOK, "http://hook.example.com/", BODY, "k")
    with pytest.raises(Unavailable):
        await to(["127.0.0.1"]).call(HOOK, "http://hook.example.com:1/", BODY, "k")


@pytest.mark.parametrize(
    ("url", "answers"),
    [
        pytest.param("http://hook.example.com:1/x?key=hunter2", ["127.0.0.1"], id="nobody listens"),
        pytest.param("http://hook.example.com:1/x?key=hunter2", ["10.0.0.1"], id="an address that is not called"),
        pytest.param("http://hook.example.com:1/x?key=hunter2", [], id="no address"),
        pytest.param("http://me:hunter2@hook.example.com:1/x", ["127.0.0.1"], id="a password"),
        pytest.param("http://me:hunter2@hook.example.com:1/x", ["10.0.0.1"], id="a password, and not called"),
    ],
)
async def test_no_error_shows_what_may_be_a_key(server: Server, url: str, answers: list[str]) -> None:
    with pytest.raises((Unavailable, Forbidden), match=r"hook\.example\.com") as failed:
        await to(answers).call(HOOK, url, BODY, "k")
    assert "hunter2" not in str(failed.value)
