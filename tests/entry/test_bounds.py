"""What bounds the cost of callers who may be anybody, and whom it keeps out."""

import asyncio
from collections import Counter

import pytest

from opsloop.entry.bounds import BURST, LANES, MOST, OWN_BURST, OWN_REFILL, Lanes, Refusals
from opsloop.errors import Unavailable

AT, ELSEWHERE = "10.0.0.1", "10.0.0.2"


def token(number: int) -> bytes:
    return str(number).encode()


def let_in(refusals: Refusals, address: str, one: bytes) -> bool:
    try:
        refusals.check(address, one)
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize(
    ("refused", "who", "expected"),
    [
        pytest.param([(AT, 0, False)] * 50, (AT, 0), False, id="a token that is refused again and again waits"),
        pytest.param([(AT, 0, False)] * 50, (AT, 1), True, id="a newcomer of its address does not"),
        pytest.param([(AT, 0, True)] * 50, (AT, 1), True, id="nor behind one whose token is valid and lacks a right"),
        pytest.param([(AT, n, True) for n in range(50)], (AT, 99), True, id="nor behind many of those"),
        pytest.param([(AT, n, False) for n in range(50)], (AT, 99), False, id="an address that guesses waits, with its newcomers"),
        pytest.param([(AT, n, False) for n in range(50)], (ELSEWHERE, 99), True, id="other addresses do not"),
        pytest.param([(AT, n, False) for n in range(50)], (AT, 0), False, id="and with what it has sent before"),
        pytest.param([*((AT, n, False) for n in range(50)), (AT, 99, True)], (AT, 99), True, id="but not with a token that is somebody's"),
    ],
)  # fmt: skip
def test_who_waits(refused: list[tuple[str, int, bool]], who: tuple[str, int], expected: bool) -> None:
    refusals = Refusals(lambda: 0.0)
    for address, number, valid in refused:
        refusals.count(address, token(number), valid)
    assert let_in(refusals, who[0], token(who[1])) is expected


def test_time_gives_both_back() -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    for number in range(int(BURST)):
        refusals.count(AT, token(number))
    for _ in range(int(OWN_BURST)):
        refusals.count(AT, token(0))
    assert not let_in(refusals, AT, token(0)) and not let_in(refusals, AT, token(99))
    now[0] = 1.0
    assert let_in(refusals, AT, token(99)) and not let_in(refusals, AT, token(0))
    now[0] = 2 / OWN_REFILL
    assert let_in(refusals, AT, token(0))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param(60, False, id="an address that sends the same sixty in turn guesses, though each is known to be wrong"),
        pytest.param(4, True, id="a few that have expired cost less than comes back"),
    ],
)  # fmt: skip
def test_tokens_that_were_refused_before_cost_their_address_again(tokens: int, expected: bool) -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    for _ in range(20):
        for number in range(tokens):
            if let_in(refusals, AT, token(number)):
                refusals.count(AT, token(number))
        now[0] += 10
    for number in range(tokens):
        refusals.count(AT, token(number))
    assert let_in(refusals, AT, token(-1)) is expected


async def test_who_is_found_to_be_known_while_they_wait_behind_themselves_takes_a_place_of_the_known() -> None:
    lanes, known, held = Lanes(), [False], asyncio.Event()
    inside = Counter[str]()

    async def ask(name: str) -> None:
        async with lanes.place(lambda: known[0], name):
            inside[name] += 1
            await held.wait()

    strangers = [asyncio.create_task(lanes_full(lanes, held)) for _ in range(LANES[False])]
    for _ in range(5):
        await asyncio.sleep(0)
    first = asyncio.create_task(ask("bob"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside.total() == 0, "strangers have all places of strangers"
    known[0] = True
    second = asyncio.create_task(ask("bob"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert dict(inside) == {"bob": 1}
    held.set()
    await asyncio.gather(first, second, *strangers)
    assert inside.total() == 2


async def lanes_full(lanes: Lanes, held: asyncio.Event) -> None:
    async with lanes.place(False):
        await held.wait()


def test_what_is_remembered_is_bounded_and_a_flood_of_tokens_forgets_no_address() -> None:
    refusals = Refusals(lambda: 0.0)
    for number in range(3 * MOST):
        refusals.count(AT, token(number))
    assert len(refusals._tokens) == MOST and len(refusals._addresses) == 1
    assert not let_in(refusals, AT, token(-1))
