"""What a namespace has learnt of its alert rules: one ConfigMap each, which the correlator alone writes."""

from opsloop.core.correlation import experience as codec
from opsloop.core.facts import Experience
from opsloop.errors import Conflict
from opsloop.names import LAGS
from opsloop.shell.intake import stored
from opsloop.shell.intake.stored import Stored
from opsloop.shell.ports import Object, Reader, Writer
from opsloop.shell.reconcile import manifests


class ExperienceStore:
    """Read once per process, and kept current by its own writes; after a Conflict it is read again."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer
        self._stored: dict[str, Stored[Experience]] = {}

    async def of(self, namespace: str) -> Experience:
        """What the namespace has learnt; nothing where its ConfigMap is missing or corrupt."""
        if namespace not in self._stored:
            self._stored[namespace] = await stored.read(self._reader, namespace, LAGS, _decoded, Experience())
        return self._stored[namespace].content

    async def store(self, namespace: str, experience: Experience) -> None:
        """Replaces it. Conflict: somebody else wrote it, or deleted it."""
        await self.of(namespace)
        body = manifests.config_map(LAGS, {}) | {"data": codec.dump(experience)}
        try:
            version = await stored.write(self._writer, namespace, body, self._stored[namespace].version)
        except Conflict:
            del self._stored[namespace]
            raise
        self._stored[namespace] = Stored(experience, version)


async def _decoded(obj: Object) -> Experience:
    return codec.load(obj.get("data") or {})
