"""Which services one Incident explains: its root, and all that depend on it."""

from collections.abc import Iterable

from opsloop.api.incident import Incident
from opsloop.api.release import Release


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
