"""A request straight to a pod's port, through the API server: on a model of it and (OPSLOOP_CONTRACT_KUBECONFIG set) on a real one.

The real one is asked for a pod of CoreDNS, which every kind cluster has and which says OK on a port of its own.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from opsloop.adapters.kube.forward import Forwarder
from opsloop.adapters.kube.kube import Kube
from opsloop.adapters.prober import Fetched, ProxyProber
from opsloop.api.eval_request import EvalRequest
from opsloop.core.evalcase import silence
from opsloop.core.facts import ProbeReply
from opsloop.errors import Forbidden
from opsloop.shell.ports import PODS

KUBECONFIG = os.environ.get("OPSLOOP_CONTRACT_KUBECONFIG")
TOKEN = "Bearer s3cr3t-t0k3n"
pytestmark = pytest.mark.asyncio


async def _pod(request: web.Request) -> web.Response:
    """What stands behind the API server: says what it got."""
    if request.path == "/long":
        return web.Response(text="x" * 200_000)
    return web.json_response({"authorization": request.headers.get("Authorization", ""), "eval": request.headers["X-Opsloop-Eval"]})  # fmt: skip


class Model:
    """An API server with one pod, and the protocol v4.channel.k8s.io as kubelets speak it."""

    def __init__(self, pod_port: int) -> None:
        self.pod_port = pod_port
        self.connections = 0
        self.seen_authorization: list[str] = []

    async def port_forward(self, request: web.Request) -> web.WebSocketResponse:
        self.seen_authorization.append(request.headers.get("Authorization", ""))
        if request.match_info["pod"] == "forbidden":
            raise web.HTTPForbidden
        if request.match_info["pod"] != "answers-1":
            raise web.HTTPNotFound
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        assert socket.ws_protocol == "v4.channel.k8s.io"
        port = int(request.query["ports"])
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            await socket.send_bytes(bytes([1]) + f"connection refused: {error}".encode())
            await socket.close()
            return socket
        self.connections += 1
        back = asyncio.create_task(self._back(reader, socket))
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[0] == 0:
                writer.write(message.data[1:])
        back.cancel()
        writer.close()
        return socket

    async def _back(self, reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
        while data := await reader.read(4096):
            await socket.send_bytes(bytes([0]) + data)
        await socket.close()


@dataclass
class World:
    model: Model
    forwarder: Forwarder
    server: TestServer

    async def ask(self, path: str = "/", pod: str = "answers-1", port: int = 0) -> ProbeReply:
        prober = ProxyProber(_never, "shop", lambda name, to: self.forwarder.open("shop", name, to))
        return await prober.ask(pod, EvalRequest(path=path, port=port or self.model.pod_port), {"Authorization": TOKEN})


async def _never(*_: object) -> Fetched:
    raise AssertionError("the proxy was asked")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    pod = web.Application()
    pod.router.add_get("/{any:.*}", _pod)
    behind = TestServer(pod)
    await behind.start_server()
    assert behind.port is not None
    model = Model(behind.port)
    api = web.Application()
    api.router.add_get("/api/v1/namespaces/shop/pods/{pod}/portforward", model.port_forward)
    server = TestServer(api)
    await server.start_server()
    configuration = Configuration(host=f"http://127.0.0.1:{server.port}")
    configuration.api_key = {"BearerToken": "caller"}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    yield World(model, Forwarder(configuration, timeout=5), server)
    await server.close()
    await behind.close()


async def test_the_pod_gets_the_header_and_the_api_server_its_own(world: World) -> None:
    reply = await world.ask()
    assert reply.status == 200 and f'"authorization": "{TOKEN}"' in reply.body and '"eval": "1"' in reply.body
    assert world.model.seen_authorization == ["Bearer caller"]


async def test_long_replies_come_whole(world: World) -> None:
    reply = await world.ask("/long")
    assert (reply.status, len(reply.body)) == (200, 200_000)


async def test_nobody_else_gets_through(world: World) -> None:
    async with world.forwarder.open("shop", "answers-1", world.model.pod_port) as port:
        first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        first[1].close()
    assert world.model.connections == 1


@pytest.mark.parametrize(
    ("pod", "port", "told"),
    [
        pytest.param("gone", 0, "404", id="there is no such pod"),
        pytest.param("forbidden", 0, "get and create on pods/portforward", id="the caller may not"),
        pytest.param("answers-1", 1, "", id="nobody listens at the port"),
    ],
)
async def test_without_a_connection_there_is_no_answer(world: World, pod: str, port: int, told: str) -> None:
    reply = await world.ask(pod=pod, port=port)
    assert reply.status == 0 and reply.reason in (silence.UNREACHABLE, silence.BROKEN_OFF) and told in reply.error
    assert "s3cr3t" not in reply.error


async def test_what_may_not_is_told_apart(world: World) -> None:
    with pytest.raises(Forbidden):
        async with world.forwarder.open("shop", "forbidden", 80):
            pass


@pytest.mark.skipif(not KUBECONFIG, reason="OPSLOOP_CONTRACT_KUBECONFIG names no cluster")
async def test_a_real_api_server_leads_to_the_pod() -> None:
    kube = await Kube.connect(KUBECONFIG)
    try:
        pods = await kube.list(PODS, "kube-system", {"k8s-app": "kube-dns"})
        name = str(pods[0]["metadata"]["name"])
        prober = ProxyProber(_never, "kube-system", lambda pod, port: kube.forward("kube-system", pod, port))
        reply = await prober.ask(name, EvalRequest(path="/health", port=8080), {"Authorization": TOKEN})
        assert (reply.status, reply.body) == (200, "OK"), reply
        reply = await prober.ask(name, EvalRequest(path="/", port=4242), {"Authorization": TOKEN})
        assert reply.status == 0 and reply.reason in (silence.UNREACHABLE, silence.BROKEN_OFF)
    finally:
        await kube.close()
