"""Who sends, and may they? TokenReview and SubjectAccessReview, bounded: a flood of bad tokens costs the API server little and
keeps nobody out who was let in before.

A permission is remembered by the hash of the token, and a token that is not valid for a moment; a missing permission never:
somebody may just have given it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from opsloop.api.meta import GROUP
from opsloop.errors import Unavailable
from opsloop.shell.ports import Access

K = TypeVar("K")
V = TypeVar("V")

REMEMBER = 60.0  # seconds for which a permission is cached
KNOWN = 3600.0  # seconds for which a token that was let in is asked for ahead of strangers
REJECTED = 30.0  # seconds for which a token that is not valid is not asked for again
MOST = 1000  # entries of each memory; the oldest are dropped
BURST, REFILL = 20.0, 1.0  # refusals of one address, and how many it may have again per second
LANES = {True: 8, False: 4}  # reviews at once: of tokens that were let in before, and of strangers
MOST_WAITING = 32  # requests that wait for a review, in each lane


class Refused(Exception):
    """A request without a valid token, permission, size or form; the message names the remedy."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Senders:
    """Lets requests in. `monotonic` in seconds."""

    def __init__(self, access: Access, audience: str, monotonic: Callable[[], float]) -> None:
        self._access, self._audience, self._now = access, audience, monotonic
        self._allowed: dict[tuple[bytes, str, str], float] = {}  # (token, resource, namespace) → until
        self._known: dict[bytes, float] = {}  # token that was let in → until
        self._users: dict[bytes, str] = {}  # token that was let in → whose it is
        self._rejected: dict[bytes, float] = {}  # token that is not valid → until
        self._refusals: dict[str, tuple[float, float]] = {}  # address → (refusals left, as of)
        self._lanes = {known: asyncio.Semaphore(most) for known, most in LANES.items()}
        self._waiting = dict.fromkeys(LANES, 0)

    async def check(self, header: str, plural: str, namespace: str, address: str) -> str:
        """Who it is. Raises Refused (401, 403), or Unavailable where the API server cannot say, or not now."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "no token: send a Kubernetes token as `Authorization: Bearer TOKEN`")
        digest = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        key = digest, plural, namespace
        if self._until(self._allowed, key) and digest in self._users:
            return self._users[digest]
        if self._until(self._rejected, digest):
            raise self._invalid()
        known = self._until(self._known, digest)
        if not known and not self._has_refusals_left(address):
            raise Unavailable("too many requests of this address were refused; try again soon", after=2.0)
        async with self._lane(known):
            if (
                self._until(self._allowed, key) and digest in self._users
            ):  # another request of this sender was reviewed meanwhile
                return self._users[digest]
            try:
                user = await self._review(token, digest, plural, namespace)
            except Refused:
                self._count_refusal(address)
                raise
        self._keep(self._allowed, key, REMEMBER)
        self._keep(self._known, digest, KNOWN)
        self._users.pop(digest, None)
        self._users[digest] = user
        _bound(self._users)
        return user

    async def _review(self, token: str, digest: bytes, plural: str, namespace: str) -> str:
        identity = await self._access.review_token(token, self._audience)
        if identity is None:
            self._keep(self._rejected, digest, REJECTED)
            raise self._invalid()
        user, groups = identity
        if not await self._access.allowed(user, groups, "create", GROUP, plural, namespace):
            permission = f"create {plural}.{GROUP} in namespace {namespace}"
            raise Refused(403, f"{user} may not {permission}: bind a Role with that permission to it")
        return user

    def _invalid(self) -> Refused:
        return Refused(401, f"the token is not valid for the audience {self._audience!r}, or it has expired")

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

    def _has_refusals_left(self, address: str) -> bool:
        return self._left(address) >= 1

    def _count_refusal(self, address: str) -> None:
        left = self._left(address) - 1
        self._refusals.pop(address, None)
        self._refusals[address] = (left, self._now())
        _bound(self._refusals)

    def _left(self, address: str) -> float:
        left, since = self._refusals.get(address, (BURST, self._now()))
        return min(BURST, left + (self._now() - since) * REFILL)

    def _until(self, memory: dict[K, float], key: K) -> bool:
        return memory.get(key, 0.0) > self._now()

    def _keep(self, memory: dict[K, float], key: K, seconds: float) -> None:
        memory.pop(key, None)
        memory[key] = self._now() + seconds
        _bound(memory)


def _bound(memory: dict[K, V]) -> None:
    while len(memory) > MOST:
        del memory[next(iter(memory))]
