import asyncio

import pytest

from opsloop.shell.ports import ObjectKey
from opsloop.shell.watch.throttle import Throttle

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
SHOP, BANK = ("Namespace", "shop", "shop"), ("Namespace", "bank", "bank")


class Asked:
    """Seconds from now at which the queue was to look."""

    def __init__(self) -> None:
        self.throttle = Throttle(self._enqueue_after, pause=2.0)
        self.due: list[tuple[str, float]] = []
        self._began = asyncio.get_running_loop().time()

    def _enqueue_after(self, key: ObjectKey, seconds: float) -> None:
        now = asyncio.get_running_loop().time() - self._began
        self.due.append((key[1], round(now + seconds, 3)))


async def ask_at(*moments: float) -> list[float]:
    asked, now = Asked(), 0.0
    for moment in moments:
        await asyncio.sleep(moment - now)
        now = moment
        asked.throttle.request(SHOP)
    return [due for _, due in asked.due]


async def test_the_first_is_looked_at_at_once() -> None:
    assert await ask_at(7) == [7]


async def test_those_soon_after_it_share_one_look() -> None:
    assert await ask_at(0, 0.3, 0.6, 1.9) == [0, 2, 2, 2]


async def test_in_a_long_storm_there_is_one_look_per_pause() -> None:
    assert sorted(set(await ask_at(*(n / 4 for n in range(40))))) == [0, 2, 4, 6, 8, 10]


async def test_after_a_calm_the_next_one_is_the_first_again() -> None:
    assert await ask_at(0, 1, 10, 10.5) == [0, 2, 10, 12]


async def test_what_comes_after_a_shared_look_waits_for_the_pause_after_it() -> None:
    assert await ask_at(0, 1, 2.5) == [0, 2, 4]


async def test_namespaces_do_not_wait_for_each_other() -> None:
    asked = Asked()
    asked.throttle.request(SHOP)
    asked.throttle.request(BANK)
    assert asked.due == [("shop", 0), ("bank", 0)]


async def test_a_run_for_another_reason_is_told_how_long_the_pause_lasts() -> None:
    asked = Asked()
    assert asked.throttle.left(SHOP) == 0
    asked.throttle.request(SHOP)
    assert asked.throttle.left(SHOP) == 0, "it is due"
    await asyncio.sleep(0.5)
    asked.throttle.request(SHOP)
    assert (asked.throttle.left(SHOP), asked.throttle.left(BANK)) == (1.5, 0)
    await asyncio.sleep(1.5)
    assert asked.throttle.left(SHOP) == 0
