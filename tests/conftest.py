"""For all tests."""

import asyncio
import os

from hypothesis import settings

# looptime asks for "the current loop" before every test, sync ones too. In a main thread where none was ever set, CPython
# then makes one that nobody closes, and its ResourceWarning fails some later test. Said to be None, it stays away.
asyncio.set_event_loop(None)

# A slow machine is not a failure: figures about speed come from e2e/bench, never from a unit test.
settings.register_profile("unit", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
