"""Deployments that opsloop owns beside the user's, each told by a label: the canary, and pods that are kept warm."""

from opsloop.errors import Invalid
from opsloop.shell.ports import DEPLOYMENTS, Object
from opsloop.shell.runtime import Runtime


def find(runtime: Runtime, namespace: str, name: str, key: str, release: str) -> Object | None:
    """The Deployment, where its label `key` says that it is this Release's."""
    stored = runtime.cache.get("Deployment", namespace, name)
    return stored if stored is not None and _is_of(stored, key, release) else None


async def ensure(runtime: Runtime, namespace: str, body: Object, key: str, release: str, whose: str) -> None:
    """Raises Invalid where a user's Deployment has the name: an apply by force would take it over. `whose` is what needs the name."""
    name = body["metadata"]["name"]
    present = runtime.cache.get("Deployment", namespace, name)
    if present is not None and not _is_of(present, key, release):
        raise Invalid(f"Deployment {namespace}/{name} is not opsloop's; rename it, {whose} of {release} needs the name")
    runtime.cache.put("Deployment", await runtime.writer.apply(DEPLOYMENTS, namespace, body))


async def delete(runtime: Runtime, namespace: str, name: str, key: str, release: str) -> bool:
    """Deletes that very Deployment; a user's Deployment of the same name stays. False where there is none of this Release's."""
    present = find(runtime, namespace, name, key, release)
    if present is None:
        return False
    uid = present["metadata"].get("uid", "")
    await runtime.writer.delete(DEPLOYMENTS, namespace, name, uid)
    runtime.cache.drop("Deployment", namespace, name, uid)
    return True


def _is_of(deployment: Object, key: str, release: str) -> bool:
    return bool((deployment["metadata"].get("labels") or {}).get(key) == release)
