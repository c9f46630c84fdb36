"""For all tests."""

import asyncio
import gc
import os

import pytest
from hypothesis import is_hypothesis_test, settings

# looptime asks for "the current loop" before every test, sync ones too. In a main thread where none was ever set, CPython
# then makes one that nobody closes, and its ResourceWarning fails some later test. Said to be None, it stays away.
asyncio.set_event_loop(None)

# A slow machine is not a failure: figures about speed come from e2e/bench, never from a unit test.
# Laws are tried on few examples where everybody waits for them, and on many in `make soak`, which runs what is marked soak.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.register_profile("soak", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))

# Before looptime leaps to the next timer it turns the loop 42 times in vain. Nothing here needs more than a few: what is ready
# is run before, and a third of the time of a test in fake time went into these turns.
IDLE_TURNS = 2


# Ten thousand tests are collected into memory, and stay. Without this the garbage collector walks over all of them again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.soak)
        if item.get_closest_marker("looptime"):
            item.add_marker(pytest.mark.looptime(noop_cycles=IDLE_TURNS))
