"""kopf as an informer only: each watch event goes into the cache and requests reconciles; kopf itself writes nothing.

docs/decisions/kopf-as-an-informer.md says why `on.event` alone is used; kopf-measured.md there has the reason for each
of the settings below.
"""

import asyncio
import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, cast

import kopf

from opsloop.errors import OpsloopError
from opsloop.shell.ports import Resource, Reviews
from opsloop.shell.watch.cache import Cache
from opsloop.shell.watch.mapping import is_echo
from opsloop.shell.watch.resync import WATCHED, OnChange

log = logging.getLogger("opsloop")

OnEvent = Callable[
    [bool], None
]  # called for each watch event; True: kopf lists anew, so deletions may have been missed


def _nothing(relisted: bool) -> None:
    """Does nothing."""


def build_registry(
    cache: Cache, on_change: OnChange, kinds: Sequence[Resource] = WATCHED, on_event: OnEvent = _nothing
) -> kopf.OperatorRegistry:
    """One `on.event` handler per kind, and the login; none of kopf's default handlers."""
    registry = kopf.OperatorRegistry()
    for resource in kinds:
        group, _, version = resource.api_version.rpartition("/")
        feed = _feed(resource.kind, cache, on_change, on_event)
        kopf.on.event(group, version, resource.plural, registry=registry, id=f"feed-{resource.plural}")(feed)
    kopf.on.login(registry=registry, id="login")(_login)
    return registry


def kopf_settings(scanning: bool = True) -> kopf.OperatorSettings:
    """Short time-outs, no peering, no Events of kopf's. `scanning`: may it list namespaces and CRDs, and notice new ones?

    Where it may not, kopf would ask nine times in a minute before it watches the namespaces that it was given.

    Left at kopf's defaults on purpose: no chunks (an expired continue token ends the process), no initial streaming (it
    was slower), `watching.inactivity_timeout` 70 s (bookmarks come every 60 s), no worker limit (a slot stays taken for 5 s).
    """
    settings = kopf.OperatorSettings()
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 20
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = not scanning
    settings.process.ultimate_exiting_timeout = 20
    return settings


async def may_scan(access: Reviews, namespaces: Sequence[str]) -> bool:
    """Whether kopf may notice new namespaces and CRDs; where nobody can say, it finds out by itself."""
    if not namespaces:
        return True
    try:
        allowed = [
            await access.may("list", group, plural, "")
            for group, plural in (("", "namespaces"), ("apiextensions.k8s.io", "customresourcedefinitions"))
        ]
    except OpsloopError as error:
        log.warning("whether new namespaces and CRDs may be noticed is unknown: %s", error)
        return True
    if not all(allowed):
        log.info("without the right to list namespaces and CRDs, new ones are noticed at the next start")
    return all(allowed)


async def run_kopf(
    registry: kopf.OperatorRegistry,
    settings: kopf.OperatorSettings,
    namespaces: Sequence[str],
    stop_flag: asyncio.Event,
    ready_flag: asyncio.Event | None = None,
) -> None:
    """Watches until `stop_flag`; empty `namespaces` = the whole cluster. When it returns or raises, the process must end.

    Start all other tasks before it: when kopf stops, it cancels the tasks that were created after it started.
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


def _feed(kind: str, cache: Cache, on_change: OnChange, on_event: OnEvent) -> Callable[..., Any]:
    async def feed(event: Any, **_: Any) -> None:
        change, obj = event["type"], dict(event["object"])
        meta = obj["metadata"]
        if change == "DELETED":
            cache.drop(kind, meta.get("namespace", ""), meta["name"], meta.get("uid", ""))
        elif not cache.put(kind, obj) and is_echo(kind, change):
            return on_event(False)
        on_event(change is None)
        return on_change(kind, obj)

    return feed


async def _login(settings: kopf.OperatorSettings, **rest: Any) -> kopf.ConnectionInfo | None:
    """Credentials: the pod's token, else KUBECONFIG. kopf calls it again on a 401, so a rotated token is read again."""
    info = kopf.login_with_service_account(settings=settings, **rest)
    if info is None:
        return kopf.login_with_kubeconfig(settings=settings, **rest)
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return info
    return dataclasses.replace(info, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")
