"""The way from one process of the operator to the API server: it may refuse, be slow, lose answers, and be fenced off."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from opsloop.errors import Conflict, LeadershipLost, TimedOut, Unavailable
from opsloop.shell.ports import Labels, Object, Resource
from opsloop.simulator.fakes.cluster import FakeCluster

T = TypeVar("T")
REFUSALS = ("429 Too Many Requests", "500 Internal Server Error: etcdserver: request timed out", "connection refused")


@dataclass(slots=True)
class Weak:
    """Shares of the calls that go wrong now; a world changes them."""

    refused: float = 0.0  # answered 429 or 5xx, without effect
    lost: float = 0.0  # writes that take effect and whose answer does not arrive
    conflicts: float = 0.0  # writes that somebody else's write came before
    slow: float = 0.0  # answered after `delay`
    delay: float = 5.0  # seconds


class Gateway:
    """Reader and Writer of one process over the one cluster. `fenced`: it does not hold the Lease."""

    def __init__(self, cluster: FakeCluster, weak: Weak, random: Random) -> None:
        self._cluster, self._weak, self._random = cluster, weak, random
        self.fenced = False

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """As the port says."""
        return await self._read(self._cluster.get(resource, namespace, name))

    async def metadata(self, resource: Resource, namespace: str, name: str) -> Object:
        """As the port says."""
        return await self._read(self._cluster.metadata(resource, namespace, name))

    async def list(self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None) -> list[Object]:
        """As the port says."""
        return await self._read(self._cluster.list(resource, namespace, labels))

    async def watch(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[Object], None]:
        """As the port says."""
        async with aclosing(self._cluster.watch(resource, namespace, labels)) as batches:
            async for batch in batches:
                yield batch

    def unfenced(self) -> "Gateway":
        """The same way without the fence, for what every replica may write."""
        return Gateway(self._cluster, self._weak, self._random)

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.create(resource, namespace, body))

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.apply(resource, namespace, body))

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        """As the port says."""
        await self._write(lambda: self._cluster.delete(resource, namespace, name, uid, version, orphan))

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Object],
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.json_patch(resource, namespace, name, ops, dry_run, strict))

    async def replace(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.replace(resource, namespace, body))

    async def replace_status(self, resource: Resource, namespace: str, body: Object) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.replace_status(resource, namespace, body))

    async def patch_pod_condition(
        self, namespace: str, pod: str, uid: str, condition: Object, labels: Labels | None = None
    ) -> Object:
        """As the port says."""
        return await self._write(lambda: self._cluster.patch_pod_condition(namespace, pod, uid, condition, labels))

    async def _read(self, answer: Awaitable[T]) -> T:
        found = await answer
        if self._weak != _WELL:
            await self._trouble()
        return found

    async def _write(self, write: Callable[[], Awaitable[T]]) -> T:
        self._check()
        if self._weak == _WELL:
            return await write()
        await self._trouble()
        self._check()
        if self._falls(self._weak.conflicts):
            raise Conflict("the object has been modified; please apply your changes to the latest version")
        answer = await write()
        if self._falls(self._weak.lost):
            raise TimedOut("no answer within 10 s")
        return answer

    async def _trouble(self) -> None:
        if self._falls(self._weak.slow):
            await asyncio.sleep(self._weak.delay)
        if self._falls(self._weak.refused):
            raise Unavailable(self._random.choice(REFUSALS))

    def _check(self) -> None:
        if self.fenced:
            raise LeadershipLost("another process holds the Lease")

    def _falls(self, share: float) -> bool:
        return share > 0 and self._random.random() < share


_WELL = Weak()
