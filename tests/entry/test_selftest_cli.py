"""`opsloop selftest`, against a server of the test: what `helm test` says of an install."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from opsloop.entry.cli.selftest import check


class Install:
    """Intake and metrics of an install on one port; the answers can be changed."""

    def __init__(self) -> None:
        self.ready, self.intake = 200, (401, {"error": "no token"})
        self.replicas = [0, 1]  # who leads; the Service asks one after the other
        app = web.Application()
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/namespaces/default/alerts", self._alerts)
        self.server = TestServer(app)

    async def _readyz(self, request: web.Request) -> web.Response:
        return web.Response(status=self.ready, text="no Lease")

    async def _metrics(self, request: web.Request) -> web.Response:
        self.replicas.append(leads := self.replicas.pop(0))
        return web.Response(text=f"# HELP opsloop_leader 1\nopsloop_leader {float(leads)}\n")

    async def _alerts(self, request: web.Request) -> web.Response:
        status, body = self.intake
        return web.json_response(body, status=status)


@pytest.fixture
async def install(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Install]:
    monkeypatch.setattr("opsloop.entry.cli.selftest.PAUSE", 0.01)
    made = Install()
    await made.server.start_server()
    yield made
    await made.server.close()


async def asked(install: Install, within: float = 0.1) -> int:
    url = str(install.server.make_url("/"))
    return await check(url, url, within)


async def test_it_passes_where_one_of_two_replicas_leads(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asked(install, within=5) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["ok"] * 3


async def test_nobody_who_leads_is_a_failure(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install.replicas = [0, 0]
    assert await asked(install) == 1
    assert "FAILED  a replica leads: no replica that answered holds the Lease" in capsys.readouterr().out


async def test_a_replica_that_is_not_ready_is_named_with_its_answer(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install.ready = 503
    assert await asked(install) == 1
    assert "/readyz answers 503: no Lease" in capsys.readouterr().out


async def test_an_intake_that_takes_alerts_of_nobody_is_a_failure(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install.intake = (202, {})
    assert await asked(install) == 1
    assert "answers 202 where it should be 401" in capsys.readouterr().out


async def test_a_service_that_nobody_serves_is_said(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(install.server.make_url("/"))
    await install.server.close()
    assert await check(url, url, 0.1) == 1
    assert "no answer: ClientConnectorError" in capsys.readouterr().out
