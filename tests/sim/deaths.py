"""At which writes a test has the operator die: at each one in `make soak` (HYPOTHESIS_PROFILE=soak), at every eighth in `make weathers`."""

import os

EVERY = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 8
HALF = EVERY // 2


def tried(first: int, last: int, begin: int = 0) -> range:
    """Numbers of writes, both ends included. `begin` shifts them, so that plays with the same beginning do not all die at the same ones:
    those that die before a write and those that die after it (`begin=HALF`), for example."""
    return range(first + begin % EVERY, last + 1, EVERY)
