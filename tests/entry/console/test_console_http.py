"""The console over HTTP: who is let in and sees what, what no page may ever hold, and what a look costs."""

import asyncio
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from aiohttp import ClientResponse, ClientSession, web

from opsloop.core.stop import Stop
from opsloop.entry.bounds import BURST, MOST_OF_ONE, MOST_WAITING
from opsloop.entry.console.answers import HEADERS
from opsloop.entry.console.http import HANDED_ON, MOST_COOKIE
from opsloop.entry.console.shared import FRESH
from opsloop.entry.console.sight import KEPT
from opsloop.entry.console.viewers import FORGET, MOST_NAMESPACES
from opsloop.entry.senders import REJECTED, REMEMBER
from opsloop.errors import Unavailable
from tests.builders.console import NASTY, World, answers, hostile, served, shop

FLEET, SHOP = "/", "/namespaces/shop"
RELEASE, INCIDENT = f"{SHOP}/releases/answers", f"{SHOP}/incidents/answers-1"
POSTMORTEM = f"{INCIDENT}/postmortem"
PAGES = (FLEET, SHOP, RELEASE, INCIDENT, POSTMORTEM)


def of(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


async def get(session: ClientSession, url: str, token: str = "ann-token", **more: str) -> tuple[int, str]:
    async with session.get(url, headers=of(token, **more), allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def until(holds: Callable[[], bool]) -> None:
    """Lets others go on until it holds."""
    while True:
        if holds():
            return
        await asyncio.sleep(0)


class Elements(HTMLParser):
    """Names of elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names, self.attributes, self.text = set[str](), set[str](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_every_page_shows_hostile_text_as_text_and_has_no_script_or_style_of_its_own() -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        for path in PAGES:
            status, html = await get(session, base + path)
            page = Elements(html)
            assert status == 200
            assert "img" not in page.names and not page.names & {"style", "iframe", "object", "embed", "base"}
            assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
            assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""], "only the file"
            if path != POSTMORTEM:
                assert NASTY.replace('"', "").replace("'", "")[:20] in page.text


async def test_every_answer_has_the_strict_headers_whatever_it_is() -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        for path in (*PAGES, "/nothing", "/static/console.css", "/static/..%2f..%2fhttp.py", "/login"):
            async with session.get(base + path, headers=of("ann-token")) as answer:
                assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
                assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
                assert path != "/static/..%2f..%2fhttp.py" or answer.status == 404
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("token", "path", "status", "says"),
    [
        ("bob-token", SHOP, 200, "answers"),
        ("bob-token", RELEASE, 200, "Revisions"),
        ("bob-token", "/namespaces/bank", 403, "bob may not list releases.opsloop.dev in namespace bank"),
        ("bob-token", "/namespaces/bank/releases/ledger", 403, "list releases.opsloop.dev in namespace bank"),
        ("bob-token", "/namespaces/bank/releases/nothing", 403, "list releases.opsloop.dev in namespace bank"),
        ("bob-token", POSTMORTEM, 403, "get configmaps answers-1-postmortem in namespace shop"),
        ("eve-token", INCIDENT, 403, "eve may not list incidents.opsloop.dev in namespace shop"),
        ("ann-token", f"{SHOP}/releases/nothing", 404, "there is no Release nothing in namespace shop"),
        ("ann-token", f"{SHOP}/incidents/nothing", 404, "there is no Incident nothing"),
        ("ann-token", f"{SHOP}/incidents/nothing/postmortem", 404, "has no postmortem yet"),
        ("ann-token", f"{RELEASE}?hours=3", 400, "hours: 1, 6, 24"),
        ("no-token", FLEET, 401, "the token is not valid for the audience"),
    ],
)
async def test_a_viewer_sees_what_kubectl_would_show_them(token: str, path: str, status: int, says: str) -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        found, html = await get(session, base + path, token)
    assert found == status and says in Elements(html).text


@pytest.mark.parametrize("knows_all", [True, False])
async def test_the_fleet_holds_the_viewers_namespaces_only(knows_all: bool) -> None:
    world = shop()
    world.api.knows_all = knows_all  # where opsloop may not ask about all namespaces, it asks about each
    async with served(world) as (_, base), ClientSession() as session:
        _, of_bob = await get(session, base, "bob-token")
        _, of_eve = await get(session, base, "eve-token")
        _, of_ann = await get(session, base, "ann-token")
    assert "answers" in of_bob and "ledger" not in of_bob and "bank" not in of_bob
    assert "answers" not in of_eve and "You may not list Releases here." in of_eve
    assert not knows_all or ("answers" in of_ann and "ledger" in of_ann)


async def test_of_many_namespaces_only_so_many_are_asked_about_one_by_one() -> None:
    world = shop()
    for number in range(MOST_NAMESPACES + 5):
        world.put(answers(f"team-{number}"))
    async with served(world) as (_, base), ClientSession() as session:
        _, html = await get(session, base, "bob-token")
    assert len(world.api.asked) == 2 * (1 + MOST_NAMESPACES)
    assert "open yours as /namespaces/NAME" in html


async def test_a_look_lists_nothing_and_a_second_one_asks_nothing() -> None:
    world = shop()
    async with served(world) as (_, base), ClientSession() as session:
        for path in PAGES:
            await get(session, base + path)
        reviews, asked, read, curves = (len(x) for x in (world.api.reviewed, world.api.asked, world.api.read, world.curves))  # fmt: skip
        for path in PAGES:
            await get(session, base + path)
        assert (reviews, read, curves) == (1, 1, 1) and asked == 5
        assert [len(x) for x in (world.api.reviewed, world.api.asked, world.api.read, world.curves)] == [reviews, asked, read, curves]  # fmt: skip
        world.ticks[0], world.clock.at = REMEMBER + 1, world.clock.at + KEPT
        await get(session, base + POSTMORTEM)
        assert len(world.api.reviewed) == 2 and len(world.api.read) == 2


async def test_a_missing_permission_is_asked_for_again_after_some_seconds() -> None:
    world = shop()
    async with served(world) as (_, base), ClientSession() as session:
        assert (await get(session, base + SHOP, "eve-token"))[0] == 403
        world.api.rights["eve"] = {("list", "releases", "shop")}
        assert (await get(session, base + SHOP, "eve-token"))[0] == 403
        world.ticks[0] = FORGET + 1
        status, html = await get(session, base + SHOP, "eve-token")
        assert status == 200 and "You may not list Incidents here." in html


async def test_an_unchanged_page_is_a_304_and_a_changed_one_is_not() -> None:
    world = shop()
    async with served(world) as (_, base), ClientSession() as session:
        async with session.get(base + FLEET, headers=of("ann-token")) as first:
            etag = first.headers["ETag"]
        assert (await get(session, base + FLEET, **{"If-None-Match": etag})) == (304, "")
        world.put(answers("bank", "second"))
        world.ticks[0] = FRESH + 1
        assert (await get(session, base + FLEET, **{"If-None-Match": etag}))[0] == 200
        assert (await get(session, base + FLEET, "bob-token", **{"If-None-Match": etag}))[0] == 200


async def sign_in(session: ClientSession, base: str, token: str, to: str = "/", **headers: str) -> ClientResponse:
    form = {"token": token, "to": to}
    return await session.post(f"{base}/login", data=form, headers=headers, allow_redirects=False)


async def test_a_token_in_the_form_becomes_a_cookie_that_no_script_reads_until_they_sign_out() -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        answer = await sign_in(session, base, " ann-token\n", RELEASE, **{"Sec-Fetch-Site": "same-origin"})
        assert answer.status == 303 and answer.headers["Location"] == RELEASE
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Max-Age" not in cookie and "Secure" not in cookie
        held = {"Cookie": "opsloop-console=ann-token"}
        async with session.get(base + RELEASE, headers=held) as page:
            assert page.status == 200
        async with session.post(f"{base}/logout", headers=held, allow_redirects=False) as out:
            assert out.status == 303 and 'opsloop-console=""' in out.headers["Set-Cookie"]
        behind = await sign_in(session, base, "ann-token", **{"X-Forwarded-Proto": "https"})
        assert "Secure" in behind.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "to", ["//evil.example/x", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/\r\nX: y"]
)
async def test_signing_in_leads_nowhere_else(to: str) -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        assert (await sign_in(session, base, "ann-token", to)).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, 303),
        ({}, 303),
    ],
)
async def test_a_form_of_another_site_signs_nobody_in(headers: dict[str, str], status: int) -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        assert (await sign_in(session, base, "ann-token", **headers)).status == status


@pytest.mark.parametrize(
    ("token", "status", "says"),
    [
        ("wrong", 401, "the token is not valid for the audience"),
        ("", 401, "the token is not valid for the audience"),
        ("x" * (MOST_COOKIE + 1), 400, "use a proxy that sends it as Authorization"),
        ("x" * 40_000, 413, "Request Entity Too Large"),
    ],
)
async def test_a_wrong_token_says_what_is_wrong(token: str, status: int, says: str) -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        answer = await sign_in(session, base, token)
        assert answer.status == status and says in Elements(await answer.text()).text


async def test_a_browser_without_a_token_is_led_to_the_form_and_back() -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        navigating = {"Sec-Fetch-Mode": "navigate"}
        async with session.get(base + RELEASE, headers=navigating, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == "/login?to=%2Fnamespaces%2Fshop%2Freleases%2Fanswers"
        old = {**navigating, "Cookie": "opsloop-console=old"}
        async with session.get(base + RELEASE, headers=old) as answer:
            assert answer.status == 200 and "or it has expired" in await answer.text()
        async with session.get(base + RELEASE) as answer:
            assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_flood_of_wrong_tokens_costs_the_api_server_little_and_keeps_nobody_out() -> None:
    world = shop()
    async with served(world) as (_, base), ClientSession() as session:
        assert (await get(session, base))[0] == 200
        found = [(await get(session, base, f"wrong-{n}"))[0] for n in range(60)]
        assert found[0] == 401 and found[-1] == 503
        assert len(world.api.reviewed) <= 1 + BURST and MOST_WAITING < 60
        assert (await get(session, base))[0] == 200


async def test_one_wrong_token_sent_again_and_again_keeps_no_newcomer_of_its_address_out() -> None:
    world = shop()
    async with served(world) as (_, base), ClientSession() as session:
        for number in range(40):
            world.ticks[0] = number * (REJECTED + 1)  # it is asked about anew each time
            assert (await get(session, base, "old-token"))[0] == 401
        assert (await get(session, base, "bob-token"))[0] == 200


async def test_who_may_see_nothing_takes_no_place_of_those_who_may() -> None:
    world = shop()
    for number in range(MOST_NAMESPACES):
        world.put(answers(f"team-{number}"))
    async with served(world) as (_, base), ClientSession() as session:
        assert (await get(session, base + SHOP, "bob-token"))[0] == 200
        world.api.pause, world.ticks[0] = asyncio.Event(), REMEMBER + 1
        floods = [asyncio.create_task(get(session, base, "eve-token")) for _ in range(4)]
        await until(lambda: world.api.pending_of["eve"] >= MOST_OF_ONE)
        bob = asyncio.create_task(get(session, base + SHOP, "bob-token"))
        await until(lambda: bool(world.api.asked_by["bob"]))
        assert world.api.pending_of["eve"] == MOST_OF_ONE, "one person, however many pages"
        world.api.pause.set()
        assert (await bob)[0] == 200
        assert {status for status, _ in await asyncio.gather(*floods)} == {200}, "empty pages"


async def test_an_api_server_that_gives_no_answer_is_a_503_that_says_so() -> None:
    world = shop()
    world.api.error = Unavailable("the API server is away")
    async with served(world) as (_, base), ClientSession() as session:
        status, html = await get(session, base)
    assert status == 503 and "the API server is away" in html


async def test_nothing_but_reading_is_offered() -> None:
    async with served(shop()) as (_, base), ClientSession() as session:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            async with session.request(method, base + RELEASE, headers=of("ann-token")) as answer:
                assert answer.status == 405


async def test_a_replica_that_does_not_lead_hands_on_and_where_nobody_answers_says_what_it_lacks() -> None:
    world, handed = shop(), list[str]()
    world.leads = False
    theirs: list[web.Response | None] = [web.Response(text="theirs"), None]

    async def elsewhere(request: web.Request) -> web.Response | None:
        handed.append(request.path)
        return theirs.pop(0)

    async with served(world, elsewhere) as (_, base), ClientSession() as session:
        assert (await get(session, base + RELEASE, "no-token"))[0] == 401 and handed == []  # asked first: who is it?
        assert await get(session, base + RELEASE) == (200, "theirs")
        _, alone = await get(session, base + RELEASE)
        assert "This replica does not lead" in alone and "unknown" in alone and world.curves == []
        await get(session, base + RELEASE, **{HANDED_ON: "1"})
        assert handed == [RELEASE, RELEASE], "what was handed on is answered here"


async def test_a_stop_is_told_and_what_is_gone_is_gone() -> None:
    world: World = shop()
    world.stops = (Stop("opsloop", "stop", NASTY, None, everywhere=True), Stop("bank", "own", "why", None))
    async with served(world) as (_, base), ClientSession() as session:
        _, html = await get(session, base + SHOP)
        assert "Stopped." in html and "Stop bank/own" not in html
        world.ticks[0] = FRESH + 1
        world.cache.drop("Incident", "shop", "answers-1", hostile().metadata.uid)
        assert (await get(session, base + INCIDENT))[0] == 404
