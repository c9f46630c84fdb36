"""Whose questions about rights wait for whom, and what a person sees while some of them have no answer."""

import asyncio
from collections.abc import Callable

import pytest

from opsloop.core.runbook.rights import Identity
from opsloop.entry.bounds import LANES, MOST_WAITING
from opsloop.entry.console.viewers import Sees, Viewer, Viewers
from opsloop.errors import Unavailable

NAMESPACES = [f"team-{number:02}" for number in range(8)]


class Access:
    """Bob is let in and may list in some namespaces; the reviews of all other tokens have no answer yet."""

    def __init__(
        self, may: Callable[[str], bool] = lambda _: True, away: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.may, self.away, self.guesses = may, away, 0

    async def review_token(self, token: str, audience: str) -> Identity | None:
        if token == "bob":
            return Identity("bob")
        self.guesses += 1
        return await asyncio.Event().wait() and None

    async def allowed(self, who: Identity, verb: str, group: str, plural: str, namespace: str, name: str = "") -> bool:
        if self.away(namespace):
            raise Unavailable(f"nobody can say of {namespace or 'all'}")
        return bool(namespace) and self.may(namespace)


async def bob_at(access: Access) -> tuple[Viewers, Viewer]:
    viewers = Viewers(access, "opsloop-console", lambda: 0.0)
    return viewers, await viewers.who("bob", "10.0.0.1")


async def test_who_sends_guesses_takes_no_place_of_somebody_who_signed_in() -> None:
    access = Access()
    viewers, bob = await bob_at(access)
    guesses = [
        asyncio.create_task(viewers.who(f"guess-{n}", f"10.1.0.{n}")) for n in range(LANES[False] + MOST_WAITING)
    ]
    while access.guesses < LANES[False]:  # noqa: ASYNC110
        await asyncio.sleep(0)
    seen = await asyncio.wait_for(viewers.sees(bob, "releases", lambda: NAMESPACES), 20)
    assert seen == Sees(frozenset(NAMESPACES))
    for one in guesses:
        one.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_of_a_namespace_without_an_answer_the_page_says_so_and_shows_the_others() -> None:
    viewers, bob = await bob_at(Access(away=lambda namespace: namespace == NAMESPACES[3]))
    seen = await viewers.sees(bob, "releases", lambda: NAMESPACES)
    assert seen == Sees(frozenset(NAMESPACES) - {NAMESPACES[3]}, unasked=True)


@pytest.mark.parametrize(
    "access",
    [
        pytest.param(Access(away=lambda _: True), id="of none there is an answer"),
        pytest.param(Access(lambda _: False, lambda n: n == NAMESPACES[3]), id="it may be the one that they may see"),
    ],
)
async def test_a_page_without_anything_does_not_say_that_there_is_nothing(access: Access) -> None:
    viewers, bob = await bob_at(access)
    with pytest.raises(Unavailable, match="nobody can say"):
        await viewers.sees(bob, "releases", lambda: NAMESPACES)
