"""What bounds the cost of callers who may be anybody: answers that are remembered for a while, refusals of one address, and how
many reviews there are at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from opsloop.errors import Unavailable

K = TypeVar("K")
V = TypeVar("V")

MOST = 1000  # entries of each memory; the oldest are dropped
BURST, REFILL = 20.0, 1.0  # refusals of one address, and how many it may have again per second
LANES = {True: 8, False: 4}  # reviews at once: of tokens that were let in before, and of strangers
MOST_WAITING = 32  # requests that wait for a review, in each lane


class Memory(Generic[K, V]):
    """Answers, each for its time. `monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._kept: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """The answer, while its time lasts."""
        until, value = self._kept.get(key, (0.0, None))
        return value if until > self._now() else None

    def keep(self, key: K, value: V, seconds: float) -> None:
        """Remembers an answer for so many seconds."""
        self._kept.pop(key, None)
        self._kept[key] = (self._now() + seconds, value)
        bound(self._kept)


class Refusals:
    """How many more requests of an address may be refused before strangers from there are sent away unasked."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._left: dict[str, tuple[float, float]] = {}  # address → (refusals left, as of)

    def check(self, address: str) -> None:
        """Raises Unavailable where none is left."""
        if self._of(address) < 1:
            raise Unavailable("too many requests of this address were refused; try again soon", after=2.0)

    def count(self, address: str) -> None:
        """Notes one refusal."""
        left = self._of(address) - 1
        self._left.pop(address, None)
        self._left[address] = (left, self._now())
        bound(self._left)

    def _of(self, address: str) -> float:
        left, since = self._left.get(address, (BURST, self._now()))
        return min(BURST, left + (self._now() - since) * REFILL)


class Lanes:
    """Places for reviews: strangers never take those of callers who were let in before."""

    def __init__(self) -> None:
        self._lanes = {known: asyncio.Semaphore(most) for known, most in LANES.items()}
        self._waiting = dict.fromkeys(LANES, 0)

    @asynccontextmanager
    async def place(self, known: bool) -> AsyncIterator[None]:
        """Waits for a place. Raises Unavailable where too many wait already."""
        if self._waiting[known] >= MOST_WAITING:
            raise Unavailable("too many requests wait for the review of their token; try again soon", after=2.0)
        self._waiting[known] += 1
        try:
            await self._lanes[known].acquire()
        finally:
            self._waiting[known] -= 1
        try:
            yield
        finally:
            self._lanes[known].release()


def bound(memory: dict[K, V], most: int = MOST) -> None:
    """Drops the oldest entries until there are at most so many."""
    while len(memory) > most:
        del memory[next(iter(memory))]
