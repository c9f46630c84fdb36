"""A drill's desk against the real intake: what is stored, and which refusal is worth another try."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from opsloop.adapters.desk import Desk
from opsloop.entry.http_server import listen
from opsloop.entry.intake_http import intake_routes
from opsloop.errors import Forbidden, Invalid, Unavailable
from tests.builders.correlation import NS
from tests.entry.test_intake_http import TICKET, FakeStore, Gatekeeper


@pytest.fixture
async def intake() -> AsyncIterator[SimpleNamespace]:
    access, store = Gatekeeper(), FakeStore()
    app = web.Application()
    app.add_routes(intake_routes(access, store))
    server = await listen(app, 0, "127.0.0.1")
    yield SimpleNamespace(access=access, store=store, url=f"http://127.0.0.1:{server.port}")
    await server.cleanup()


def desk(url: str, folder: Path, token: str = "good", namespace: str = NS) -> Desk:
    path = folder / "token"
    path.write_text(f"{token}\n")
    return Desk(url, str(path), namespace)


async def test_a_ticket_is_stored_by_the_intake(intake: SimpleNamespace, tmp_path: Path) -> None:
    await desk(f"{intake.url}/", tmp_path).send(TICKET)
    assert [ticket.id for ticket in intake.store.tickets] == ["HD-1"]


@pytest.mark.parametrize(("token", "says"), [("bad", "401"), ("weak", "403")])
async def test_a_wrong_token_is_not_tried_again(intake: SimpleNamespace, tmp_path: Path, token: str, says: str) -> None:
    with pytest.raises(Forbidden, match=f"the intake answered {says}"):
        await desk(intake.url, tmp_path, token).send(TICKET)


async def test_a_ticket_that_cannot_be_read_is_not_tried_again(intake: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="the intake answered 400"):
        await desk(intake.url, tmp_path).send({"id": 7})


async def test_an_intake_that_cannot_say_is_asked_again(intake: SimpleNamespace, tmp_path: Path) -> None:
    intake.access.error = Unavailable("the API server is away")
    with pytest.raises(Unavailable, match="the intake answered 503"):
        await desk(intake.url, tmp_path).send(TICKET)


async def test_an_intake_that_is_not_there_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await desk("http://127.0.0.1:9", tmp_path).send(TICKET)


def test_what_is_given_is_looked_at_before(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="--intake opsloop:8080: write for example http://"):
        desk("opsloop:8080", tmp_path)
    with pytest.raises(Invalid, match="No such file"):
        Desk("http://127.0.0.1", str(tmp_path / "nowhere"), NS)
