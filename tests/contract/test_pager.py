"""Receivers as they answer: what is delivered, what is tried again, and that no credential is ever left."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from opsloop.adapters.pager import HttpReceiver, ReceiverConfig, Receivers
from opsloop.core.notify.words import House
from opsloop.errors import OpsloopError, Permanent, Unavailable
from opsloop.shell.ports import Object
from tests.core.notify.test_formats import message

PAYLOAD = message()
SECRET = "s3cr3t-of-the-house"


class Desk:
    """A receiver that folds by Idempotency-Key and repeats what it was sent, as some do in their refusals."""

    def __init__(self) -> None:
        self.status, self.headers, self.url = 202, dict[str, str](), ""
        self.pages: dict[str, Object] = {}
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        if self.status < 300:
            self.pages[request.headers["Idempotency-Key"]] = body
        said = f"because {request.headers.get('Authorization', '')} {request.path_qs} {json.dumps(body)}"
        return web.Response(status=self.status, text=said, headers=self.headers)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made, app = Desk(), web.Application()
    app.router.add_route("*", "/{any:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = site.name
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def receiver(session: aiohttp.ClientSession, url: str, **config: Any) -> HttpReceiver:
    made = ReceiverConfig.model_validate({"format": "json", "url": url, **config})
    return HttpReceiver(session, "it", made, House("prod"))


async def test_a_repeat_is_folded_by_its_key_and_a_further_message_is_none(
    desk: Desk, session: aiohttp.ClientSession
) -> None:
    pager = receiver(session, f"{desk.url}/page")
    for body in (PAYLOAD, PAYLOAD, message("resolve", 2)):
        assert (await pager.tell(body)).startswith("202 because")
    assert [(key, body["action"]) for key, body in desk.pages.items()] == [("uid-1/1", "trigger"), ("uid-1/2", "resolve")]  # fmt: skip


async def test_a_token_is_read_again_when_its_file_changes(
    desk: Desk, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    pager = receiver(session, f"{desk.url}/page", bearerTokenFile=str(file))
    with pytest.raises(Unavailable, match=r"it is not called: bearerTokenFile: .*: No such file"):
        await pager.tell(PAYLOAD)
    for token in ("one", "twoo"):
        file.write_text(f"{token}\n")
        await pager.tell(PAYLOAD)
    assert [headers["Authorization"] for _, _, headers, _ in desk.requests] == ["Bearer one", "Bearer twoo"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(200, None, id="it took it"),
        pytest.param(302, Permanent, id="a redirect is no receipt: the page was not stored, and it leads elsewhere"),
        pytest.param(400, Permanent, id="it refuses the page"),
        pytest.param(401, Permanent, id="it refuses the token"),
        pytest.param(408, Unavailable, id="it gave up waiting"),
        pytest.param(429, Unavailable, id="it is busy"),
        pytest.param(500, Unavailable, id="it is broken"),
        pytest.param(503, Unavailable, id="it is away"),
    ],
)
async def test_answers(
    status: int, expected: type[OpsloopError] | None, desk: Desk, session: aiohttp.ClientSession
) -> None:
    desk.status, desk.headers = status, {"Retry-After": "7", "Location": f"{desk.url}/elsewhere"}
    pager = receiver(session, f"{desk.url}/page")
    if expected is None:
        await pager.tell(PAYLOAD)
        return
    with pytest.raises(expected, match=f"it: {status}") as caught:
        await pager.tell(PAYLOAD)
    assert getattr(caught.value, "after", 7.0) == 7.0 and len(desk.requests) == 1


@pytest.mark.parametrize(
    ("config", "path"),
    [
        pytest.param({"bearerTokenFile": "FILE"}, "/page", id="bearer token"),
        pytest.param({"basicAuth": {"username": "opsloop", "passwordFile": "FILE"}}, "/page", id="basic auth"),
        pytest.param({"format": "pagerduty", "keyFile": "FILE"}, "/v2/enqueue", id="routing key of PagerDuty, in the body"),
        pytest.param({"format": "opsgenie", "keyFile": "FILE"}, "/v2/alerts", id="key of Opsgenie, in the header"),
        pytest.param({"format": "slack", "url": "", "urlFile": "URL"}, f"/services/{SECRET}?x={SECRET}", id="URL of Slack"),
        pytest.param({"format": "template", "keyFile": "FILE", "template": "[{{ key }}, {{ title }}]"}, "/page", id="key of a template"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [202, 401, 503])
async def test_no_credential_is_left_in_an_answer_or_an_error(
    config: dict[str, Any], path: str, status: int, desk: Desk, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    desk.status = status
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "url").write_text(f"{desk.url}/services/{SECRET}?x={SECRET}")
    files = {"FILE": str(tmp_path / "secret"), "URL": str(tmp_path / "url")}
    config = json.loads(
        json.dumps(config).replace('"FILE"', json.dumps(files["FILE"])).replace('"URL"', json.dumps(files["URL"]))
    )
    base = desk.url if config.get("format") in ("pagerduty", "opsgenie") else f"{desk.url}/page"
    pager = receiver(session, **{"url": base, **config})
    try:
        said = await pager.tell(PAYLOAD)
    except OpsloopError as error:
        said = str(error)
    (_, called, headers, body), *_ = desk.requests
    encoded = base64.b64encode(f"opsloop:{SECRET}".encode()).decode()
    assert called == path and (SECRET in f"{headers}{body}{called}" or encoded in str(headers)), "it was presented"
    assert str(status) in said and SECRET not in said and encoded not in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://127.0.0.1:1/page", Unavailable, id="nobody listens"),
        pytest.param("http://", Permanent, id="no URL at all"),
    ],
)
async def test_no_receiver(url: str, expected: type[OpsloopError], session: aiohttp.ClientSession) -> None:
    made = ReceiverConfig.model_construct(format="json", url=url)
    with pytest.raises(expected):
        await HttpReceiver(session, "it", made, House()).tell(PAYLOAD)


async def test_one_that_does_not_answer_is_left_after_its_timeout(session: aiohttp.ClientSession) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    app = web.Application()
    app.router.add_post("/page", hang)
    with pytest.raises(Unavailable, match="it: TimeoutError"):
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            await receiver(session, f"{site.name}/page", timeout="100ms").tell(PAYLOAD)
        finally:
            await runner.cleanup()


async def test_what_a_format_has_no_message_for_is_said(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://127.0.0.1:1")
    made = ReceiverConfig.model_validate({"format": "oncall", "urlFile": str(tmp_path / "url")})
    said = await HttpReceiver(session, "it", made, House()).tell(message("acknowledge", 2))
    assert said == "nothing to send: this format has no such message"


async def test_without_a_receiver_a_page_fails_visibly(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Permanent, match="OPSLOOP_NOTIFICATIONS_FILE, OPSLOOP_PAGER_URL"):
        await Receivers({}).page("pager", PAYLOAD)
    with pytest.raises(Permanent, match="gone: no such receiver"):
        await Receivers({"it": receiver(session, "http://127.0.0.1:1/page")}).page("gone", PAYLOAD)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param({"format": "slack", "url": "https://hooks.slack.com/x"}, "url: that of slack is a credential; write urlFile", id="a URL that is a secret"),
        pytest.param({"format": "json"}, "exactly one of url and urlFile", id="no address"),
        pytest.param({"format": "json", "url": "http://a", "urlFile": "/x"}, "exactly one", id="two"),
        pytest.param({"format": "json", "url": "http://me:pw@a"}, "write basicAuth", id="a password in the address"),
        pytest.param({"format": "json", "url": "file:///etc/passwd"}, "must begin with http", id="another scheme"),
        pytest.param({"format": "pagerduty"}, "keyFile: missing, the routing key of pagerduty", id="no routing key"),
        pytest.param({"format": "json", "url": "http://a", "keyFile": "/x"}, "keyFile: json has no key", id="a key for nothing"),
        pytest.param({"format": "template", "url": "http://a"}, "template: goes with", id="no template"),
        pytest.param({"format": "json", "url": "http://a", "template": "1"}, "template: goes with", id="a template for nothing"),
        pytest.param({"format": "json", "url": "http://a", "labels": {"a": "b"}}, "labels: only alerts", id="labels for nothing"),
        pytest.param({"format": "pagerduty", "keyFile": "/x", "severities": {"sev1": "P1"}}, "severities: pagerduty has no 'P1'; it has critical", id="a severity that it does not know"),
        pytest.param({"format": "json", "url": "http://a", "timeout": "5m"}, "at most 1m", id="a time-out that is none"),
        pytest.param({"format": "carrier-pigeon", "url": "http://a"}, "alertmanager", id="a format that is none"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_says_what_is_right(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ReceiverConfig.model_validate(config)
