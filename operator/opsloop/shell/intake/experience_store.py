"""What a namespace has learnt of its alert rules: one ConfigMap each, which the correlator alone writes."""

import logging
from dataclasses import dataclass

from opsloop.core.correlation import experience as codec
from opsloop.core.facts import Experience
from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.names import LAGS
from opsloop.shell.ports import CONFIGMAPS, Object, Reader, Writer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    content: Experience
    version: str = ""  # "" = the ConfigMap does not exist


class ExperienceStore:
    """Read once per process, and kept current by its own writes; after a Conflict it is read again."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer
        self._stored: dict[str, _Stored] = {}

    async def of(self, namespace: str) -> Experience:
        """What the namespace has learnt; nothing where its ConfigMap is missing or corrupt."""
        if namespace not in self._stored:
            self._stored[namespace] = await self._read(namespace)
        return self._stored[namespace].content

    async def store(self, namespace: str, experience: Experience) -> None:
        """Replaces it. Conflict: somebody else wrote it, or deleted it."""
        await self.of(namespace)
        version = self._stored[namespace].version
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LAGS},
            "data": codec.dump(experience),
        }
        try:
            if version:
                body["metadata"]["resourceVersion"] = version
                written = await self._writer.replace(CONFIGMAPS, namespace, body)
            else:
                written = await self._writer.create(CONFIGMAPS, namespace, body)
        except (AlreadyExists, NotFound, Conflict) as error:
            self._stored.pop(namespace)
            raise Conflict(f"configmap {namespace}/{LAGS} was written by another or deleted: {error}") from error
        self._stored[namespace] = _Stored(experience, str(written["metadata"]["resourceVersion"]))

    async def _read(self, namespace: str) -> _Stored:
        try:
            obj = await self._reader.get(CONFIGMAPS, namespace, LAGS)
        except NotFound:
            return _Stored(Experience())
        version = str(obj["metadata"]["resourceVersion"])
        try:
            return _Stored(codec.load(obj.get("data") or {}), version)
        except Invalid as error:  # edited by somebody: lags are guessed, and learnt anew
            log.error("configmap %s/%s is corrupt; learning anew: %s", namespace, LAGS, error)
            return _Stored(Experience(), version)
