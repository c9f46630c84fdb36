"""HTTPRoutes of rollouts: read live, and written by JSON patch under their resourceVersion; and the canary's own Service."""

import logging
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from opsloop.api.release import Release
from opsloop.core import http_route, http_rules
from opsloop.core.actions import DeleteCanaryService, EnsureCanaryService, SetRoute
from opsloop.core.facts import RouteFacts
from opsloop.core.release.route_back import ROUTE_MISSING
from opsloop.core.release.route_ready import ROUTE_FORBIDDEN
from opsloop.errors import Conflict, Forbidden, Invalid, LeadershipLost, NotFound, OpsloopError
from opsloop.names import CANARY
from opsloop.shell.ports import HTTPROUTES, SERVICES, NamespacedName, Object, ObjectKey, Reader, Resource
from opsloop.shell.reconcile import manifests
from opsloop.shell.reconcile.gateways import features
from opsloop.shell.runtime import Runtime
from opsloop.shell.watch.cache import Cache

TRIES = 3  # writes within one look: a Gateway's controller moves the version by its own status

log = logging.getLogger("opsloop")


class Patcher(Protocol):
    """What a route is written with: the writer of an operator, or that of a command."""

    async def json_patch(self, resource: Resource, namespace: str, name: str, ops: Sequence[Object]) -> Object:
        """JSON patch; a failed `test` is a Conflict."""
        ...


async def routes(runtime: Runtime, release: Release) -> dict[str, RouteFacts]:
    """By name: the HTTPRoute that the spec names, those of the rollout in progress and of warm pods, and the one whose weights
    were moved last."""
    strategy, status = release.spec.strategy, release.status
    under_way = status.target.route if status.target is not None and status.target.is_active else None
    warm = status.warm.route if status.warm is not None else None
    named = [route.name for route in (strategy.http_route, under_way, warm) if route is not None]
    return {name: await _route(runtime, release, name) for name in sorted({*named, status.route} - {""})}


async def _route(runtime: Runtime, release: Release, name: str) -> RouteFacts:
    namespace = release.metadata.namespace
    try:
        stored = await runtime.reader.get(HTTPROUTES, namespace, name)
        copies = any(step.mirror for step in release.spec.strategy.canary.steps)
        return RouteFacts(name, stored, features=await features(runtime, stored) if copies else {})
    except NotFound:
        return RouteFacts(name, None, ROUTE_MISSING)
    except Forbidden as error:
        return RouteFacts(
            name, None, ROUTE_FORBIDDEN, f"opsloop may not read HTTPRoutes (httpRoutes in the chart): {error}"[:500]
        )


async def set_route(runtime: Runtime, namespace: str, action: SetRoute) -> None:
    """Moves the weights. Conflict where the canary's share is not the expected one any more; a route that is gone has no weight."""
    for remaining in reversed(range(TRIES)):
        try:
            live = await runtime.reader.get(HTTPROUTES, namespace, action.route)
        except NotFound:
            if action.expect is None:
                return
            raise Conflict(f"HTTPRoute {namespace}/{action.route} is gone") from None
        operations = _operations(live, action)
        if not operations:
            return
        try:
            await _patch(runtime.writer, live, operations)
            return
        except Conflict:
            if not remaining:
                raise


def _operations(live: Object, action: SetRoute) -> list[dict[str, Any]]:
    if other := http_route.marked_by_other(live, action.release):
        if action.expect is None:
            return []  # its own weights are not on it
        raise Conflict(f"the canary of Release {other} has weights on HTTPRoute {action.route}")
    if action.extra is None and action.weight == 0:
        return http_route.put_back(live, action.backends)
    try:
        if action.extra is not None:
            operations = http_rules.shown(live, action.release, action.backends, action.extra)
        else:
            operations = http_route.moved(live, action.release, action.backends, action.weight, action.expect is None)
    except ValueError as error:
        raise Invalid(str(error)) from error
    if operations and action.expect is not None and http_route.shares(live, action.backends) != action.expect:
        raise Conflict(f"HTTPRoute {action.route} has other weights than those that were decided on")
    return operations


async def _patch(writer: Patcher, live: Object, operations: list[dict[str, Any]]) -> None:
    meta = live["metadata"]
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}
    await writer.json_patch(HTTPROUTES, meta["namespace"], meta["name"], [version, *operations])


async def let_go(
    reader: Reader, writer: Patcher, namespace: str, release: str = "", keep: Collection[NamespacedName] = ()
) -> list[str]:
    """Puts routes back as they were found that bear the mark of this Release, or ("") of any but `keep`; their "NAMESPACE/NAME".

    Nothing where there is no Gateway API, or opsloop may not look.
    """
    try:
        found = await reader.list(HTTPROUTES, namespace, {CANARY: release} if release else None)
    except (NotFound, Forbidden) as error:
        log.debug("httproutes of %s: %s", namespace or "all namespaces", error)
        return []
    done, failure = [], None
    for route in found:
        marked = (route["metadata"].get("labels") or {}).get(CANARY)
        if marked is not None and (route["metadata"]["namespace"], marked) not in keep:
            name = f"{route['metadata']['namespace']}/{route['metadata']['name']}"
            try:
                await _put_back(reader, writer, route)
                done.append(name)
            except LeadershipLost:
                raise
            except OpsloopError as error:  # it keeps no other route from being put back
                log.warning("httproute %s is not put back: %s", name, error)
                failure = failure or error
    if failure is not None:
        raise failure
    return done


async def of_deleted_releases(reader: Reader, cache: Cache, namespaces: Sequence[str]) -> list[ObjectKey]:
    """Keys of Releases that are not there (any more) and have left their mark on a route, perhaps while no operator ran."""
    keys: set[ObjectKey] = set()
    for namespace in namespaces or ("",):
        try:
            found = await reader.list(HTTPROUTES, namespace)
        except OpsloopError as error:
            log.log(
                logging.DEBUG if isinstance(error, NotFound | Forbidden) else logging.WARNING,
                "httproutes of %s: %s",
                namespace or "all namespaces",
                error,
            )
            continue
        for meta in (route["metadata"] for route in found):
            release = (meta.get("labels") or {}).get(CANARY, "")
            if release and cache.get("Release", meta["namespace"], release) is None:
                keys.add(("Release", meta["namespace"], release))
    return sorted(keys)


async def _put_back(reader: Reader, writer: Patcher, route: Object) -> None:
    meta = route["metadata"]
    for remaining in reversed(range(TRIES)):
        try:
            if operations := http_route.put_back(route):
                await _patch(writer, route, operations)
            return
        except Conflict:
            if not remaining:
                raise
            route = await reader.get(HTTPROUTES, meta["namespace"], meta["name"])
        except NotFound:
            return


async def ensure_service(runtime: Runtime, namespace: str, obj: Object, action: EnsureCanaryService) -> None:
    """Applies the canary's Service. Invalid where somebody else's Service has its name: an apply by force would take it over."""
    services = await runtime.reader.list(SERVICES, namespace)
    present = next((s for s in services if s["metadata"]["name"] == action.name), None)
    if present is not None and not _is_of(present, action):
        raise Invalid(
            f"Service {namespace}/{action.name} is not opsloop's; rename it, Release {action.release} needs the name"
        )
    await runtime.writer.apply(SERVICES, namespace, manifests.canary_service(obj, action))
    runtime.owned.beside.pop(namespace, None)


async def delete_service(runtime: Runtime, namespace: str, action: DeleteCanaryService) -> None:
    """Deletes that very Service; a user's Service of the same name stays."""
    services = await runtime.reader.list(SERVICES, namespace)
    present = next((s for s in services if s["metadata"]["name"] == action.name), None)
    if present is not None and _is_of(present, action):
        await runtime.writer.delete(SERVICES, namespace, action.name, present["metadata"].get("uid", ""))
    runtime.owned.beside.pop(namespace, None)


def _is_of(service: Object, action: EnsureCanaryService | DeleteCanaryService) -> bool:
    return bool((service["metadata"].get("labels") or {}).get(action.key) == action.release)
