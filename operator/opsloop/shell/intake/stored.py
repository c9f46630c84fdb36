"""ConfigMaps with one writer: what was read or written last, and its resourceVersion as the lock of the next write."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from opsloop.errors import AlreadyExists, Conflict, Invalid, NotFound
from opsloop.shell.ports import CONFIGMAPS, Object, Reader, Writer

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """Content as last read or written; `version` "" = the ConfigMap does not exist."""

    content: T
    version: str = ""


async def read(
    reader: Reader, namespace: str, name: str, decode: Callable[[Object], Awaitable[T]], empty: T
) -> Stored[T]:
    """The ConfigMap's content; `empty` where there is none, or where somebody edited it: the rest of the namespace goes on."""
    try:
        obj = await reader.get(CONFIGMAPS, namespace, name)
    except NotFound:
        return Stored(empty)
    version = str(obj["metadata"]["resourceVersion"])
    try:
        return Stored(await decode(obj), version)
    except Invalid as error:
        log.error("configmap %s/%s is corrupt; starting with an empty one: %s", namespace, name, error)
        return Stored(empty, version)


async def write(writer: Writer, namespace: str, body: Object, version: str) -> str:
    """Creates the ConfigMap, or replaces the observed version; the new one. Conflict: somebody else wrote or deleted it."""
    name = body["metadata"]["name"]
    try:
        if not version:
            written = await writer.create(CONFIGMAPS, namespace, body)
        else:
            body["metadata"]["resourceVersion"] = version
            written = await writer.replace(CONFIGMAPS, namespace, body)
    except (AlreadyExists, NotFound, Conflict) as error:
        raise Conflict(f"configmap {namespace}/{name} was written by another or deleted: {error}") from error
    return str(written["metadata"]["resourceVersion"])
