"""The API server in memory as a world uses it: it reports changes as watches do."""

from collections.abc import Callable

from opsloop.shell.ports import Object, Resource
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.cluster import FakeCluster

WATCHED = ("Release", "Incident", "Runbook", "EvalCase", "Deployment")
Change = tuple[str, Object, bool]
"""(kind, object, it was deleted)"""


class WatchedCluster(FakeCluster):
    """Lists every change of a watched kind in `changes`, as watches report them; calls `on_store` at every store."""

    def __init__(self, clock: FakeClock) -> None:
        self.changes: list[Change] = []
        self.on_store: Callable[[Object], None] = lambda _: None
        self.on_gone: Callable[[Object], None] = lambda _: None
        super().__init__(clock=clock)

    def gone(self, obj: Object) -> None:
        """An object was deleted: watches report it."""
        if obj["kind"] in WATCHED:
            self.changes.append((obj["kind"], obj, True))
        self.on_gone(obj)

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Somebody else deletes it."""
        before = self._objects.get((resource.plural, namespace, name))
        super().remove(resource, namespace, name)
        if before is not None:
            self.gone(before)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str = "", version: str = "", orphan: bool = False
    ) -> None:
        """As the port says, and reported."""
        before = self.find(resource, namespace, name)
        try:
            await super().delete(resource, namespace, name, uid, version, orphan)
        finally:
            if before and self.find(resource, namespace, name) is None:
                self.gone(before)

    def all(self, plural: str) -> list[Object]:
        """The stored objects of a kind themselves, by name; not to be changed."""
        found = [(key[2], obj) for key, obj in self._objects.items() if key[0] == plural]
        return [obj for _, obj in sorted(found, key=lambda item: item[0])]

    def _store(self, resource: Resource, namespace: str, new: Object) -> Object:
        stored = super()._store(resource, namespace, new)
        if stored["kind"] in WATCHED:
            self.changes.append((stored["kind"], stored, False))
        self.on_store(stored)
        return stored
