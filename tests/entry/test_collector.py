"""Garbage in cycles is found, and no full collection looks through what survived one."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from opsloop.entry import collector
from opsloop.simulator.loop import LeapLoop, run


class Node:
    """Refers to itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    callbacks = list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_survived_a_full_collection_is_not_looked_through_again() -> None:
    collector.keep_responsive()
    kept = [Node() for _ in range(100)]
    gc.collect()
    assert not any(item is kept[0] for item in gc.get_objects(2)) and gc.get_freeze_count() > 100


def test_asked_for_twice_it_is_set_once() -> None:
    collector.keep_responsive()
    before = len(gc.callbacks)
    collector.keep_responsive()
    assert len(gc.callbacks) == before


def test_garbage_among_the_frozen_is_found_by_a_collection_of_everything() -> None:
    collector.keep_responsive()
    node = Node()
    gc.collect()
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is not None
    collector.collect_everything()
    assert gone() is None


@pytest.mark.parametrize(
    ("busy_until", "collected_at"),
    [
        pytest.param(0.0, 600.0, id="nobody waits"),
        pytest.param(700.0, 700.0, id="somebody waits for a while"),
        pytest.param(1e9, 4200.0, id="somebody always waits"),
    ],
)
def test_everything_is_collected_when_nobody_waits_or_after_an_hour(
    busy_until: float, collected_at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, times = LeapLoop(), list[float]()
    monkeypatch.setattr(collector, "collect_everything", lambda: times.append(loop.time()))

    async def play() -> None:
        async with asyncio.timeout(collected_at + 1):
            await collector.collect_at_rest(lambda: loop.time() >= busy_until, loop.time)

    with pytest.raises(TimeoutError):
        run(play(), loop)
    assert times == [collected_at]
