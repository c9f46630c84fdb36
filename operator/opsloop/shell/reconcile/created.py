"""When the living pods of a Release were created: asked where an SLI's series name no pod."""

from datetime import datetime

from opsloop.api.meta import parse_time
from opsloop.api.release import Release
from opsloop.errors import OpsloopError
from opsloop.names import CANARY
from opsloop.shell.ports import PODS, NamespacedName
from opsloop.shell.runtime import Runtime


async def created(runtime: Runtime, key: NamespacedName) -> list[datetime] | None:
    """Of each pod of the Deployment and of its canary that has not ended; None where the Deployment or its pods are not known."""
    namespace, name = key
    release = runtime.cache.model(Release, namespace, name)
    deployment = runtime.cache.get("Deployment", namespace, release.spec.workload_ref.name) if release else None
    selector = deployment["spec"]["selector"].get("matchLabels") if deployment else None
    if not selector:
        return None
    try:
        pods = await runtime.reader.list(PODS, namespace, selector)
        pods += await runtime.reader.list(PODS, namespace, {CANARY: name})
    except OpsloopError:
        return None
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    return [parse_time(pod["metadata"]["creationTimestamp"]) for pod in running]
