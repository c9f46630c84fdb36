"""Addresses of the living pods by revision, listed where an SLI has nothing else by which revisions are told apart."""

from collections.abc import Mapping, Sequence

from opsloop.api.release import Release
from opsloop.core.slo.burn_rate import NOT_BY_VERSION
from opsloop.core.slo.telling import TOLD_BY_ADDRESSES
from opsloop.names import CANARY, WARM
from opsloop.shell.ports import PODS, Object
from opsloop.shell.runtime import Runtime


async def addresses(
    runtime: Runtime,
    release: Release,
    deployment: Object,
    sets: Mapping[str, Sequence[str]],
    canary: Object | None,
    kept: Object | None,
) -> Mapping[str, tuple[str, ...]] | None:
    """Digest → addresses of its pods, the canary's and those kept warm too; None where the SLI needs none.

    Listed again when a Deployment or its status has changed: a pod has its address before it is ready.
    """
    told, selector = runtime.readings.of(release.key).told, deployment["spec"]["selector"].get("matchLabels", {})
    needed = told is not None and told.reason in (NOT_BY_VERSION, TOLD_BY_ADDRESSES)
    if not (needed or any(revision.addresses for revision in release.status.revisions)) or not selector:
        return None
    key = (
        _version(deployment),
        _version(canary),
        _version(kept),
        tuple(sorted((d, tuple(names)) for d, names in sets.items())),
    )
    before, found = runtime.addresses.get(release.key, (None, {}))
    if before != key:
        namespace = release.metadata.namespace
        pods = await runtime.reader.list(PODS, namespace, selector)
        if canary is not None:
            pods += await runtime.reader.list(PODS, namespace, {CANARY: release.metadata.name})
        if kept is not None:
            warm = await runtime.reader.list(PODS, namespace, {WARM: release.metadata.name})
            seen = {pod["metadata"]["name"] for pod in pods}  # in traffic by pods they have live's labels as well
            pods += [pod for pod in warm if pod["metadata"]["name"] not in seen]
        found = _by_revision(pods, sets)
        runtime.addresses[release.key] = (key, found)
    return found


def _by_revision(pods: Sequence[Object], sets: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for pod in pods:
        name, ip = pod["metadata"]["name"], (pod.get("status") or {}).get("podIP", "")
        digest = next((d for d, names in sets.items() if any(name.startswith(f"{one}-") for one in names)), "")
        if digest and ip:
            found.setdefault(digest, set()).add(ip)
    return {digest: tuple(sorted(ips)) for digest, ips in found.items()}


def _version(obj: Object | None) -> tuple[str, str] | None:
    return (obj["metadata"].get("uid", ""), obj["metadata"].get("resourceVersion", "")) if obj else None
