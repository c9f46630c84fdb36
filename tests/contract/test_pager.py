"""The pager against a receiver that answers as receivers do."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from opsloop.adapters.pager import NoPager, WebhookPager
from opsloop.errors import OpsloopError, Permanent, Unavailable
from opsloop.shell.ports import Object

PAYLOAD: Object = {
    "dedup_key": "shop/web-1",
    "message_id": "shop/web-1/1",
    "action": "trigger",
    "severity": "sev1",
    "title": "web is burning",
}


class Receiver:
    """Folds by Idempotency-Key, as the port wants it."""

    def __init__(self) -> None:
        self.status, self.headers = 202, dict[str, str]()
        self.pages: dict[str, Object] = {}
        self.tokens: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.status < 300:
            self.pages[request.headers["Idempotency-Key"]] = await request.json()
        return web.Response(status=self.status, text="because", headers=self.headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/page", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"{site.name}/page"  # type: ignore[attr-defined]
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_repeat_is_folded_by_its_key(receiver: Receiver, session: aiohttp.ClientSession) -> None:
    pager = WebhookPager(session, receiver.url)  # type: ignore[attr-defined]
    await pager.page(PAYLOAD)
    await pager.page(PAYLOAD)
    assert receiver.pages == {"shop/web-1/1": PAYLOAD}
    assert receiver.tokens == ["", ""]


async def test_a_further_message_of_the_same_thread_is_none(receiver: Receiver, session: aiohttp.ClientSession) -> None:
    pager = WebhookPager(session, receiver.url)  # type: ignore[attr-defined]
    await pager.page(PAYLOAD)
    await pager.page({**PAYLOAD, "message_id": "shop/web-1/2", "action": "resolve"})
    assert [p["action"] for p in receiver.pages.values()] == ["trigger", "resolve"]


async def test_the_token_is_read_for_each_page(
    receiver: Receiver, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    pager = WebhookPager(session, receiver.url, str(file))  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="token file"):
        await pager.page(PAYLOAD)
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        await pager.page(PAYLOAD)
    assert receiver.tokens == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(200, None, id="it took it"),
        pytest.param(302, Permanent, id="a redirect is no receipt: the page was not stored"),
        pytest.param(400, Permanent, id="it refuses the page"),
        pytest.param(401, Permanent, id="it refuses the token"),
        pytest.param(408, Unavailable, id="it gave up waiting"),
        pytest.param(429, Unavailable, id="it is busy"),
        pytest.param(500, Unavailable, id="it is broken"),
        pytest.param(503, Unavailable, id="it is away"),
    ],
)
async def test_answers(
    status: int, expected: type[OpsloopError] | None, receiver: Receiver, session: aiohttp.ClientSession
) -> None:
    receiver.status, receiver.headers = status, {"Retry-After": "7", "Location": "/page"}
    pager = WebhookPager(session, receiver.url)  # type: ignore[attr-defined]
    if expected is None:
        await pager.page(PAYLOAD)
        return
    with pytest.raises(expected, match=str(status)) as caught:
        await pager.page(PAYLOAD)
    assert getattr(caught.value, "after", 7.0) == 7.0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://127.0.0.1:1/page", Unavailable, id="nobody listens"),
        pytest.param("nonsense", Permanent, id="no URL at all"),
    ],
)
async def test_no_receiver(url: str, expected: type[OpsloopError], session: aiohttp.ClientSession) -> None:
    with pytest.raises(expected):
        await WebhookPager(session, url).page(PAYLOAD)


async def test_without_a_pager_a_page_fails_visibly() -> None:
    with pytest.raises(Permanent, match="OPSLOOP_PAGER_URL"):
        await NoPager().page(PAYLOAD)
