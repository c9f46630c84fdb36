"""A Gateway: which pods get the requests of an HTTPRoute's rule, and what its controller says of the route."""

from collections.abc import Iterable, Mapping

from opsloop.core.selectors import serves
from opsloop.shell.ports import Object
from opsloop.simulator.kube.cluster import WatchedCluster
from opsloop.simulator.kube.pods import is_ready

NOBODY = ""  # in place of a pod: the requests are answered by no pod


def receivers(rule: Object, services: Mapping[str, Object], pods: Iterable[Object]) -> dict[str, float]:
    """Pod → its share of the rule's requests, NOBODY for those to a Service that is not there or has no ready pod.

    Weights are over all backendRefs; within a Service its ready pods get alike.
    """
    refs = [(ref["name"], int(ref.get("weight", 1))) for ref in rule.get("backendRefs") or []]
    total, ready, found = sum(weight for _, weight in refs), [pod for pod in pods if is_ready(pod)], dict[str, float]()
    for name, weight in refs:
        if not weight:
            continue
        selector = services[name]["spec"].get("selector") or {} if name in services else {}
        behind = [p["metadata"]["name"] for p in ready if serves(selector, p["metadata"].get("labels") or {})]
        for pod in behind or [NOBODY]:
            found[pod] = found.get(pod, 0.0) + weight / total / max(1, len(behind))
    return found or {NOBODY: 1.0}


def chosen(route: Object, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Object | None:
    """The rule that takes a request: the one with the most specific match, of equals the first; None where none fits.

    By path, then method, then number of headers, as the Gateway API says. Header names of `headers` are in lower case.
    """
    found: tuple[tuple[int, int, int, int], Object] | None = None
    for at, rule in enumerate(route["spec"]["rules"]):
        for match in rule.get("matches") or [{}]:
            prefix = (match.get("path") or {}).get("value", "/")
            wanted = {h["name"].lower(): h["value"] for h in match.get("headers") or ()}
            fits = path.startswith(prefix) and match.get("method", method) == method
            if fits and wanted.items() <= (headers or {}).items():
                rank = (len(prefix), "method" in match, len(wanted), -at)
                found = max(found or (rank, rule), (rank, rule), key=lambda one: one[0])
    return found[1] if found else None


def copied(rule: Object) -> dict[str, float]:
    """Service → share of the rule's requests that are copied to it."""
    mirrors = [one["requestMirror"] for one in rule.get("filters") or () if one["type"] == "RequestMirror"]
    return {mirror["backendRef"]["name"]: mirror.get("percent", 100) / 100 for mirror in mirrors}


def accept(cluster: WatchedCluster) -> None:
    """The Gateway `edge` takes every route as it is, and says whether it finds the Services."""
    services = {service["metadata"]["name"] for service in cluster.all("services")}
    for route in cluster.all("httproutes"):
        generation = route["metadata"]["generation"]
        refs = {ref["name"] for rule in route["spec"]["rules"] for ref in rule.get("backendRefs") or []}
        lost = sorted(refs - services)
        found = {"Accepted": ("True", "Accepted", ""), "ResolvedRefs": ("True", "ResolvedRefs", "")}
        if lost:
            found["ResolvedRefs"] = ("False", "BackendNotFound", f"Service {lost[0]} not found")
        conditions = [
            {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}
            for kind, (status, reason, message) in found.items()
        ]
        status = {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}
        if route.get("status") != status:
            cluster.seed({**route, "status": status})
