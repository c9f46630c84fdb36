"""What the Gateways of an HTTPRoute say that they can do: `status.supportedFeatures` of their GatewayClasses."""

from datetime import timedelta

from opsloop.errors import Forbidden, NotFound
from opsloop.shell.ports import GATEWAYCLASSES, GATEWAYS, NamespacedName, Object
from opsloop.shell.runtime import Runtime

READ_AGAIN = timedelta(minutes=1)  # a Gateway's controller lists its features when it starts


async def features(runtime: Runtime, route: Object) -> dict[str, frozenset[str] | None]:
    """By Gateway of the route's parentRefs; None where that or its class cannot be read. As read not long ago."""
    here = route["metadata"]["namespace"]
    refs = route["spec"].get("parentRefs") or []
    named = [(ref.get("namespace", here), ref["name"]) for ref in refs if ref.get("kind", "Gateway") == "Gateway"]
    return {name: await _of(runtime, (namespace, name)) for namespace, name in dict.fromkeys(named)}


async def _of(runtime: Runtime, gateway: NamespacedName) -> frozenset[str] | None:
    now, kept = runtime.now(), runtime.owned.features.get(gateway)
    if kept is not None and now - kept[0] < READ_AGAIN:
        return kept[1]
    try:
        stored = await runtime.reader.get(GATEWAYS, *gateway)
        told = await runtime.reader.get(GATEWAYCLASSES, "", stored["spec"]["gatewayClassName"])
        listed = (told.get("status") or {}).get("supportedFeatures") or []
        found = frozenset(str(one["name"] if isinstance(one, dict) else one) for one in listed)
    except (Forbidden, NotFound):
        found = None
    runtime.owned.features[gateway] = (now, found)
    return found
