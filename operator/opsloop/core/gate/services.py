"""Which services one Incident explains: its root, and all that depend on it."""

from collections.abc import Iterable, Mapping

from opsloop.api.incident import Incident
from opsloop.api.release import Release

_ENTITY_LABELS = ("service", "app", "deployment", "workload")


def dependents(root: str, releases: Iterable[Release]) -> frozenset[str]:
    """Releases that reach `root` over `dependsOn`, directly or through others; without the root."""
    releases = tuple(releases)
    found: set[str] = set()
    while more := {
        r.metadata.name
        for r in releases
        if r.metadata.name not in found and r.metadata.name != root and ({root} | found) & set(r.spec.depends_on)
    }:
        found |= more
    return frozenset(found)


def explained(incident: Incident, releases: Iterable[Release]) -> frozenset[str]:
    """Names under which alerts may speak of the root or of a dependent: Release, Deployment, service."""
    releases = tuple(releases)
    roots = {incident.spec.release} | dependents(incident.spec.release, releases)
    workloads = {r.spec.workload_ref.name for r in releases if r.metadata.name in roots}
    return frozenset((roots | workloads | {incident.spec.service}) - {""})


def service_of(labels: Mapping[str, str], known: Iterable[str]) -> str:
    """The service that an alert is about: what a label says, else by its pod's name, else empty."""
    for key in _ENTITY_LABELS:
        if labels.get(key):
            return labels[key]
    pod = labels.get("pod", "")
    return max((name for name in known if pod.startswith(f"{name}-")), key=len, default="")
