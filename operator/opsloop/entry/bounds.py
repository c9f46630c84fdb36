"""What bounds the cost of callers who may be anybody: answers that are remembered for a while, refusals of one address, and how
many reviews there are at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from opsloop.errors import Unavailable

K = TypeVar("K")
V = TypeVar("V")

MOST = 1000  # entries of each memory; the oldest are dropped
BURST, REFILL = 20.0, 1.0  # different tokens of one address that may be refused, and how many again per second
OWN_BURST, OWN_REFILL = 5.0, 0.2  # refusals of one token from one address, and how many it may have again per second
LANES = {True: 8, False: 4}  # reviews at once: of tokens that were let in before, and of strangers
MOST_WAITING = 32  # requests that wait for a review, in each lane
MOST_OF_ONE = 2  # places that one person has at a time, in whichever lane
MOST_WAITING_OF_ONE = (
    128  # reviews of one person that wait for those: a page without the right to all asks about 32 namespaces
)


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
    """How many more requests may be refused before they are sent away unasked: of one token from one address, and of an address
    that sends ever different ones. A token that is refused again and again, for lack of a right or behind a proxy with many
    others, keeps nobody else out."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._tokens: dict[tuple[str, bytes], tuple[float, float]] = {}  # (address, token) → (refusals left, as of)
        self._addresses: dict[str, tuple[float, float]] = {}  # address → (different tokens left, as of)
        self._valid: dict[tuple[str, bytes], None] = {}  # tokens that are somebody's, and lack a right

    def check(self, address: str, token: bytes) -> None:
        """Raises Unavailable where none is left."""
        key = address, token
        own = self._tokens.get(key)
        if own is not None and self._left(own, OWN_BURST, OWN_REFILL) < 1:
            raise Unavailable("this token was refused too often; try again soon", after=5.0)
        spent = self._addresses.get(address)
        if key not in self._valid and spent is not None and self._left(spent, BURST, REFILL) < 1:
            raise Unavailable("too many different tokens of this address were refused; try again soon", after=2.0)

    def count(self, address: str, token: bytes, valid: bool = False) -> None:
        """Notes one refusal. `valid`: the API server knows whose token it is, so that the address is not guessing. What it has sent
        before costs the address again once the token has all of its own refusals back."""
        key = address, token
        if valid:
            self._valid[key] = None
            bound(self._valid)
        elif key not in self._tokens or self._left(self._tokens[key], OWN_BURST, OWN_REFILL) >= OWN_BURST:
            self._take(self._addresses, address, BURST, REFILL)
        self._take(self._tokens, key, OWN_BURST, OWN_REFILL)

    def _take(self, memory: dict[K, tuple[float, float]], key: K, burst: float, refill: float) -> None:
        left = self._left(memory.pop(key, (burst, self._now())), burst, refill) - 1
        memory[key] = (left, self._now())
        bound(memory)

    def _left(self, known: tuple[float, float], burst: float, refill: float) -> float:
        left, since = known
        return min(burst, left + (self._now() - since) * refill)


@dataclass(slots=True)
class _Own:
    """The places of one person, and how many reviews of theirs have one or wait."""

    places: asyncio.Semaphore
    users: int = 0


class Lanes:
    """Places for reviews: strangers never take those of callers who were let in before, and nobody takes all of them."""

    def __init__(self) -> None:
        self._lanes = {known: asyncio.Semaphore(most) for known, most in LANES.items()}
        self._waiting = dict.fromkeys(LANES, 0)
        self._own: dict[str, _Own] = {}  # by person, while one of their reviews goes on

    @asynccontextmanager
    async def place(self, known: bool | Callable[[], bool], whose: str = "") -> AsyncIterator[None]:
        """Waits for a place; a person behind their own reviews first, which may find meanwhile that they are known. Raises
        Unavailable where too many wait already."""
        async with self._turn(whose), self._lane(known() if callable(known) else known):
            yield

    @asynccontextmanager
    async def _turn(self, whose: str) -> AsyncIterator[None]:
        if not whose:
            yield
            return
        own = self._own.setdefault(whose, _Own(asyncio.Semaphore(MOST_OF_ONE)))
        if own.users >= MOST_WAITING_OF_ONE:
            raise Unavailable("too many reviews of your rights are under way; try again soon", after=2.0)
        own.users += 1
        try:
            async with own.places:
                yield
        finally:
            own.users -= 1
            if not own.users:
                del self._own[whose]

    @asynccontextmanager
    async def _lane(self, known: bool) -> AsyncIterator[None]:
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
