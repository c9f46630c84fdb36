"""What was just written goes into the cache ahead of its watch, so that the next decision sees it."""

from opsloop.shell.ports import Object
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.mapping import requests_for_object


def store_in_cache(runtime: Runtime, kind: str, stored: Object, before: Object | None = None) -> None:
    """Puts an object that was just written into the cache and requests what follows from it."""
    if runtime.cache.put(kind, stored):
        for key in requests_for_object(kind, stored, runtime.cache, before):
            runtime.enqueue(key)
