"""kopf as an informer, nothing more: every watch event is stored and wakes names; it never patches anything.

Why `on.event` only, why our own LIST, why these settings: design kopf.md, §1, §3 and §9 (each measured).
"""

import asyncio
import dataclasses
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import kopf

from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, INCIDENTS, RELEASES, RUNBOOKS, Object, Reader, Resource
from opsloop.shell.watch.cache import Cache

KINDS = (RELEASES, INCIDENTS, RUNBOOKS, EVALCASES, DEPLOYMENTS)
RESYNC = 600.0  # seconds between two LISTs of everything
SETTLE = 2.0  # seconds that a burst of relisted objects may take before one LIST answers for all of it
OnChange = Callable[[str, Object], None]  # (kind, object as it is, or as it was when it went)
Seen = Callable[[bool], None]  # a watch spoke; True: it listed anew (objects may have gone unseen)

log = logging.getLogger("opsloop.watch")


def _nothing(relisted: bool) -> None:
    """Note nothing."""


def build_registry(
    cache: Cache, on_change: OnChange, kinds: Sequence[Resource] = KINDS, seen: Seen = _nothing
) -> kopf.OperatorRegistry:
    """Handlers for `kinds` and the login; no default handlers of kopf's."""
    registry = kopf.OperatorRegistry()
    for resource in kinds:
        group, _, version = resource.api_version.rpartition("/")
        feed = _feed(resource.kind, cache, on_change, seen)
        kopf.on.event(group, version, resource.plural, registry=registry, id=f"feed-{resource.plural}")(feed)
    kopf.on.login(registry=registry, id="login")(_login)
    return registry


def kopf_settings() -> kopf.OperatorSettings:
    """kopf.md §9.6; no chunks, no initial streaming, no peering, no Events of kopf's."""
    settings = kopf.OperatorSettings()
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 20
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = 20
    return settings


async def run_kopf(
    registry: kopf.OperatorRegistry,
    settings: kopf.OperatorSettings,
    namespaces: Sequence[str],
    stop_flag: asyncio.Event,
    ready_flag: asyncio.Event | None = None,
) -> None:
    """Watch until `stop_flag`. Empty `namespaces` = the whole cluster. When it returns or raises, the process must end.

    Start every task of one's own before it: when it stops, it cancels tasks that were made later.
    """
    await kopf.operator(
        registry=registry,
        settings=settings,
        standalone=True,
        identity=cast(Any, "opsloop"),  # else kopf asks for the user name, which a pod's uid does not have
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        stop_flag=stop_flag,
        ready_flag=ready_flag,
    )


async def resync(
    reader: Reader, cache: Cache, on_change: OnChange, namespaces: Sequence[str] = (), kinds: Sequence[Resource] = KINDS
) -> int:
    """LIST every kind, drop what is gone, wake everything; the number dropped. Raises what the last failing LIST raised."""
    dropped, failure = 0, None
    for resource in kinds:
        try:
            dropped += await _resync_kind(reader, cache, on_change, namespaces or ("",), resource)
        except Exception as error:  # the other kinds must not wait for this one
            log.warning("resync of %s failed: %s", resource.plural, error)
            failure = error
    if failure:
        raise failure
    return dropped


async def _resync_kind(
    reader: Reader, cache: Cache, on_change: OnChange, namespaces: Sequence[str], resource: Resource
) -> int:
    known = cache.uids(resource.kind)  # before the LIST: what a watch adds meanwhile is not a ghost
    listed = [item for namespace in namespaces for item in await reader.list(resource, namespace)]
    for item in listed:
        cache.put(resource.kind, item)
    live = {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in listed}
    gone = cache.prune(resource.kind, live, known)
    for item in (*listed, *gone):
        on_change(resource.kind, item)
    return len(gone)


class Resync:
    """`run` it as a task: a LIST at the start, every 10 minutes, and soon after `request`."""

    def __init__(
        self, once: Callable[[], Awaitable[int]], succeeded: Callable[[], None] = lambda: None, retry: float = 5.0
    ) -> None:
        self._once, self._succeeded, self._retry = once, succeeded, retry
        self._wanted = asyncio.Event()
        self.done = asyncio.Event()  # the first one succeeded: ready

    def request(self) -> None:
        """Do one soon (on gaining leadership, after a relist)."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wanted.clear()
            pause = RESYNC
            try:
                dropped = await self._once()
                self.done.set()
                self._succeeded()
                log.log(logging.WARNING if dropped else logging.INFO, "resynced; %d objects had gone unseen", dropped)
            except Exception as error:
                log.warning("resync: %s", error)
                pause = self._retry
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
                    await asyncio.sleep(SETTLE)
            except TimeoutError:
                continue


def _feed(kind: str, cache: Cache, on_change: OnChange, seen: Seen) -> Callable[..., Any]:
    async def feed(event: Any, **_: Any) -> None:
        change, obj = event["type"], dict(event["object"])
        meta = obj["metadata"]
        if change == "DELETED":
            cache.drop(kind, meta.get("namespace", ""), meta["name"], meta.get("uid", ""))
        else:
            cache.put(kind, obj)
        seen(change is None)
        on_change(kind, obj)

    return feed


async def _login(settings: kopf.OperatorSettings, **rest: Any) -> kopf.ConnectionInfo | None:
    """The pod's token, else KUBECONFIG. A token that was rotated is read again on the first 401."""
    info = kopf.login_with_service_account(settings=settings, **rest)
    if info is None:
        return kopf.login_with_kubeconfig(settings=settings, **rest)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return info
    return dataclasses.replace(info, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")
