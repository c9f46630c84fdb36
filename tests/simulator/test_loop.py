"""The loop's time leaps; what sleeps wakes in order."""

import asyncio
import time

import pytest

from opsloop.simulator.loop import LeapClock, LeapLoop, run


def test_hours_pass_at_once_and_in_order() -> None:
    async def play() -> list[tuple[str, float]]:
        seen, loop = list[tuple[str, float]](), asyncio.get_running_loop()

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))

        await asyncio.gather(sleeper("late", 7200.5), sleeper("soon", 0.25), sleeper("later", 86_400))
        return seen

    began = time.monotonic()
    assert run(play(), LeapLoop()) == [("soon", 0.25), ("late", 7200.5), ("later", 86_400.0)]
    assert time.monotonic() - began < 5


def test_a_grain_puts_timers_off_to_its_next_multiple() -> None:
    async def play() -> list[float]:
        loop, seen = asyncio.get_running_loop(), list[float]()
        for seconds in (0.1, 5.0, 2.0, 12.0):
            await asyncio.sleep(seconds)
            seen.append(loop.time())
        return seen

    assert run(play(), LeapLoop(5.0)) == [5.0, 10.0, 15.0, 30.0]


def test_a_time_out_ends_a_wait_for_ever_and_the_clock_shows_it() -> None:
    async def play() -> float:
        clock = LeapClock(asyncio.get_running_loop())
        before = clock.now()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.Event().wait()
        return (clock.now() - before).total_seconds()

    assert run(play(), LeapLoop()) == 90


def test_a_wait_that_nothing_can_end_is_said() -> None:
    async def play() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everything in the simulation waits"):
        run(play(), LeapLoop())
