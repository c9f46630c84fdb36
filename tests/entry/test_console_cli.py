"""`opsloop console`: where the console is, the port that leads there over the death of a pod, what signs in, and errors that help."""

import asyncio
import json
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from opsloop.entry.cli import console
from opsloop.entry.cli.commands import parser
from opsloop.errors import Forbidden, OpsloopError
from opsloop.simulator.fakes.cluster import FakeCluster
from tests.entry.test_acts_cli import call

SPACE, NS = "opsloop-system", "shop"
LABELS = {"app.kubernetes.io/name": "opsloop", "app.kubernetes.io/instance": "opsloop"}


def install(
    space: str = SPACE, port: str = "8082", audience: str = "opsloop-console", watched: str = ""
) -> dict[str, Any]:
    env = [{"name": "OPSLOOP_CONSOLE_AUDIENCE", "value": audience}, {"name": "OPSLOOP_NAMESPACES", "value": watched}]
    env += [{"name": "OPSLOOP_CONSOLE_PORT", "value": port}] if port else []
    pod = {"containers": [{"name": "opsloop", "env": env}]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "opsloop", "namespace": space, "labels": LABELS},
        "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}},
    }  # fmt: skip


def pod(name: str, ready: bool = True) -> dict[str, Any]:
    said = [{"type": "Ready", "status": str(ready)}]
    meta = {"name": name, "namespace": SPACE, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"phase": "Running", "conditions": said}}


class Server(FakeCluster):
    """An API server that forwards to consoles of this test, by the names of their pods."""

    def __init__(self, *objects: Any) -> None:
        super().__init__(*objects)
        self.consoles: dict[str, int] = {}
        self.refuses: OpsloopError | None = None
        self.asked: list[Any] = []
        self.accounts = {"shop/viewer"}
        self.may_create_tokens = True

    @asynccontextmanager
    async def forward(self, namespace: str, name: str, port: int) -> AsyncIterator[int]:
        if self.refuses:
            raise self.refuses
        assert (namespace, port) == (SPACE, 8082)
        yield self.consoles[name]

    async def raw(self, method: str, path: str, query: Any = None, headers: Any = None, body: Any = None, timeout: Any = None) -> tuple[int, bytes]:  # noqa: ASYNC109  # fmt: skip
        _, _, _, _, space, _, account, _ = path.split("/")
        self.asked.append(body["spec"])
        if not self.may_create_tokens:
            return 403, b"{}"
        known = f"{space}/{account}" in self.accounts
        return (201, json.dumps({"status": {"token": "t0ken"}}).encode()) if known else (404, b"{}")


@asynccontextmanager
async def consoles(cluster: Server, *names: str, form: int = 200) -> AsyncIterator[None]:
    """Consoles of these pods: each says its name."""
    servers = []
    for name in names:
        app = web.Application()

        async def page(request: web.Request, name: str = name) -> web.Response:
            return web.Response(text=f"{name} {request.path}", status=form if request.path == "/login" else 200)

        app.router.add_get("/{path:.*}", page)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        assert servers[-1].port is not None
        cluster.consoles[name] = servers[-1].port
    try:
        yield
    finally:
        for server in servers:
            await server.close()


async def test_the_port_leads_to_a_pod_that_is_ready_also_after_one_has_ended() -> None:
    cluster: Any = Server(install(), pod("opsloop-a"), pod("opsloop-b"))
    async with consoles(cluster, "opsloop-a", "opsloop-b"):
        where = await console.found(cluster, NS)
        await console.answers(cluster, where)
        async with console.listening(cluster, where, 0) as port, ClientSession() as session:

            async def seen() -> str:
                async with session.get(f"http://127.0.0.1:{port}/x", headers={"Connection": "close"}) as answer:
                    return await answer.text()

            assert await seen() == "opsloop-a /x"
            cluster.seed(pod("opsloop-a", ready=False))
            assert await seen() == "opsloop-b /x"
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_it_prints_the_address_and_what_signs_in_and_ends_when_it_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    cluster = Server(install(), pod("opsloop-a"))
    arguments = parser().parse_args(["console", "-n", NS, "--port", "0", "--account", "viewer"])
    async with consoles(cluster, "opsloop-a"):
        running = asyncio.create_task(console.console(arguments, cluster))  # type: ignore[arg-type]
        out = ""
        while True:
            out += capsys.readouterr().out
            assert not running.done(), running
            if "Ctrl+C" in out:
                break
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    lines = out.splitlines()
    assert lines[0].startswith("http://127.0.0.1:") and lines[0].endswith("/namespaces/shop") and "t0ken" in lines
    assert cluster.asked == [{"audiences": ["opsloop-console"], "expirationSeconds": console.TOKEN_SECONDS}]


async def test_a_browser_that_does_not_return_stops_neither_the_port_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: SimpleQueue[str] = SimpleQueue()
    closed = threading.Event()

    def browser(address: str) -> bool:
        asked.put(address)
        return closed.wait(30)

    monkeypatch.setattr(webbrowser, "open", browser)
    cluster = Server(install(), pod("opsloop-a"))
    arguments = parser().parse_args(["console", "-n", NS, "--port", "0", "--open"])
    async with consoles(cluster, "opsloop-a"), ClientSession() as session:
        running = asyncio.create_task(console.console(arguments, cluster))  # type: ignore[arg-type]
        try:
            address = await asyncio.to_thread(asked.get, timeout=20)
            async with session.get(address, headers={"Connection": "close"}) as answer:
                assert await answer.text() == "opsloop-a /namespaces/shop"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert not closed.is_set() and running.cancelled(), "it ended while the browser was open"
        closed.set()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(True, "", id="one was found"),
        pytest.param(False, "no browser was found; open the address yourself", id="none was found"),
        pytest.param(webbrowser.Error("could not locate runnable browser"), "no browser could be started (could not locate runnable browser)", id="none can be started"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_browser(answer: bool | Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def browser(address: str) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(webbrowser, "open", browser)
    console._open("http://127.0.0.1:1/")
    err = capsys.readouterr().err
    assert says in err and bool(err) == bool(says)


@pytest.mark.parametrize(
    ("audience", "says"),
    [
        pytest.param("opsloop-console", "create token SERVICEACCOUNT --audience opsloop-console", id="of the console alone"),
        pytest.param("", "create token SERVICEACCOUNT\n", id="of the API server, behind a proxy that signs people in"),
    ],
)  # fmt: skip
def test_without_an_account_it_says_which_token_signs_in(audience: str, says: str) -> None:
    where = console.Install(SPACE, "opsloop", LABELS, 8082, audience)
    assert says in "\n".join(console.told(where, "http://127.0.0.1:8082", ""))


PODS = [pod("opsloop-a")]


@pytest.mark.parametrize(
    ("objects", "more", "says"),
    [
        pytest.param([], [], "is opsloop installed?", id="no install"),
        pytest.param([install(port="")], [], "is off: helm upgrade opsloop charts/opsloop --reuse-values --set console.enabled=true -n opsloop-system", id="the console is off"),
        pytest.param([install(watched="bank,billing")], [], "no opsloop looks after namespace shop; there is one in opsloop-system: give --install NS", id="an install for other namespaces"),
        pytest.param([install()], ["--install", "elsewhere"], "in namespace elsewhere: is opsloop installed?", id="none in the namespace that was named"),
        pytest.param([install(), pod("opsloop-a", ready=False)], [], "no pod of Deployment opsloop-system/opsloop is ready (1 there): kubectl -n opsloop-system get pods", id="no pod is ready"),
        pytest.param([install(), *PODS], ["--account", "robot"], "there is no such ServiceAccount; kubectl -n shop create serviceaccount robot", id="no such account"),
        pytest.param([install(), *PODS], ["--account", "bank/robot"], "kubectl -n bank create serviceaccount robot", id="nor in another namespace"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_told_with_what_to_do(
    objects: list[Any], more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Server(*objects)
    async with consoles(cluster, "opsloop-a"):
        assert await call(cluster, "console", "--port", "0", *more) == 2
    assert says in capsys.readouterr().err


async def test_rights_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Server(install(), pod("opsloop-a"))
    cluster.may_create_tokens = False
    async with consoles(cluster, "opsloop-a"):
        assert await call(cluster, "console", "--port", "0", "--account", "viewer") == 2
        assert "may not create serviceaccounts/token in namespace shop" in capsys.readouterr().err
        cluster.refuses = Forbidden("it needs get and create on pods/portforward")
        assert await call(cluster, "console", "--port", "0") == 2
        assert "get and create on pods/portforward" in capsys.readouterr().err


async def test_a_pod_whose_console_does_not_answer_as_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Server(install(), pod("opsloop-a"))
    async with consoles(cluster, "opsloop-a", form=500):
        assert await call(cluster, "console", "--port", "0") == 2
    assert "port 8082 of pod opsloop-system/opsloop-a answers 500: kubectl -n opsloop-system logs opsloop-a" in capsys.readouterr().err  # fmt: skip


async def test_a_port_that_is_taken_is_told_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Server(install(), pod("opsloop-a"))
    async with consoles(cluster, "opsloop-a"):
        taken = cluster.consoles["opsloop-a"]
        assert await call(cluster, "console", "--port", str(taken)) == 2
    assert "--port 0 takes a free one" in capsys.readouterr().err
