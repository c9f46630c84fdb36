"""For all tests."""

import asyncio

# looptime asks for "the current loop" before every test, sync ones too. In a main thread where none was ever set, CPython
# then makes one that nobody closes, and its ResourceWarning fails some later test. Said to be None, it stays away.
asyncio.set_event_loop(None)
