"""At which writes a test has the operator die: at each one in `make soak` (HYPOTHESIS_PROFILE=soak), at every fourth in `make weathers`."""

import os

EVERY = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 4


def tried(first: int, last: int, begin: int = 0) -> range:
    """Numbers of writes, both ends included. `begin` shifts them, so that plays with the same beginning do not all die at the same ones."""
    return range(first + begin % EVERY, last + 1, EVERY)
