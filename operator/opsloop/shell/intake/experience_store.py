"""What a namespace has learnt, of its alert rules and by people's corrections: one ConfigMap each, which the correlator alone writes."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from opsloop.core.correlation import experience
from opsloop.core.facts import Experience
from opsloop.core.reported import Taught
from opsloop.core.tickets import taught
from opsloop.errors import Conflict
from opsloop.names import CORRECTIONS, LAGS
from opsloop.shell.intake import stored
from opsloop.shell.intake.stored import Stored
from opsloop.shell.ports import Object, Reader, Writer
from opsloop.shell.reconcile import manifests

T = TypeVar("T")


class LearntStore(Generic[T]):
    """Read once per process, and kept current by its own writes; after a Conflict it is read again."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        name: str,
        dump: Callable[[T], Mapping[str, str]],
        load: Callable[[Mapping[str, str]], T],
        empty: T,
    ) -> None:
        """`name` of the ConfigMap; `dump` and `load`: its data; `empty`: where there is none."""
        self._reader, self._writer, self._name = reader, writer, name
        self._dump, self._load, self._empty = dump, load, empty
        self._stored: dict[str, Stored[T]] = {}

    async def of(self, namespace: str) -> T:
        """What the namespace has learnt; nothing where its ConfigMap is missing or corrupt."""
        if namespace not in self._stored:
            self._stored[namespace] = await stored.read(self._reader, namespace, self._name, self._decoded, self._empty)
        return self._stored[namespace].content

    async def store(self, namespace: str, content: T) -> None:
        """Replaces it. Conflict: somebody else wrote it, or deleted it."""
        if await self.of(namespace) == content:
            return
        body = manifests.config_map(self._name, {}) | {"data": dict(self._dump(content))}
        try:
            version = await stored.write(self._writer, namespace, body, self._stored[namespace].version)
        except Conflict:
            del self._stored[namespace]
            raise
        self._stored[namespace] = Stored(content, version)

    async def _decoded(self, obj: Object) -> T:
        return self._load(obj.get("data") or {})


def experience_store(reader: Reader, writer: Writer) -> LearntStore[Experience]:
    """Of alert rules."""
    return LearntStore(reader, writer, LAGS, experience.dump, experience.load, Experience())


def taught_store(reader: Reader, writer: Writer) -> LearntStore[Taught]:
    """By people's corrections."""
    return LearntStore(reader, writer, CORRECTIONS, taught.dump, taught.load, Taught())
