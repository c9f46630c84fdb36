"""What one Incident covers: its root Release with the SLO, the revisions it refused, and the services it explains."""

from collections.abc import Iterable

from opsloop.api.incident import Incident, Waiver
from opsloop.api.meta import format_time
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.facts import ReleaseView
from opsloop.core.gate.evidence import Missing, ShiftEvidence
from opsloop.core.readings import Readings
from opsloop.core.slo.objectives import objective_of
from opsloop.core.topology import Topology
from opsloop.names import WAIVE


def waiver_of(incident: Incident) -> str:
    """Who said that no EvalCase will come of this Incident, and why, as the annotation has it; when, as opsloop saw it; else ""."""
    said, seen = Waiver.said(incident.metadata.annotations.get(WAIVE, "")), incident.status.waiver
    if said is None:
        return ""
    when = f" at {format_time(seen.at)}" if seen is not None and (seen.by, seen.why) == said else ""
    return f"{said[0]} on the Incident{when} ({said[1]})"


def root_release(evidence: ShiftEvidence, incident: Incident) -> Release | None:
    """The root Release, as it was read now."""
    releases = () if isinstance(evidence.releases, Missing) else evidence.releases
    return next((r for r in releases if r.metadata.name == incident.spec.release), None)


def root_with_slo(releases: tuple[Release, ...] | Missing, incident: Incident) -> tuple[Release, Slo] | Missing:
    """The root Release and its SLO, or why there is none; of several objectives the one that the Incident is about."""
    if isinstance(releases, Missing):
        return releases
    for release in releases:
        if release.metadata.name == incident.spec.release and release.spec.slo is not None:
            burn = incident.status.burn or incident.spec.signal.burn
            return release, objective_of(release.spec.slo, burn.slo if burn else "")
    return Missing(f"there is no Release {incident.spec.release!r} with an SLO")


def refused_digests(evidence: ShiftEvidence, incident: Incident) -> frozenset[str]:
    """Revisions that must not be live: blamed or blocked by this Incident, or blocked on its Release."""
    release = root_release(evidence, incident)
    blocked = {r.digest for r in release.status.revisions if r.blocked} if release else set()
    blamed = {incident.status.cause.revision} if incident.status.cause else set()
    return frozenset((blocked | blamed | set(incident.status.blocked)) - {""})


def version_and_digest(evidence: ShiftEvidence, incident: Incident, digest: str) -> str:
    """`v2 (bc0a68f915e0b003)`: the digest with the version label that the Release knows it by."""
    release = root_release(evidence, incident)
    version = next((r.version for r in release.status.revisions if r.digest == digest), "") if release else ""
    return f"{version} ({digest})" if version else digest


def dependents(root: str, releases: Iterable[Release]) -> frozenset[str]:
    """Releases that reach `root` over `dependsOn`, directly or through others; without the root."""
    graph = Topology([ReleaseView(release, Readings()) for release in releases])
    return frozenset(name for name in graph.views if root in graph.dependencies(name))


def explained_services(incident: Incident, releases: Iterable[Release]) -> frozenset[str]:
    """Names under which alerts may speak of the root or of a dependent: Release, Deployment, service."""
    releases = tuple(releases)
    roots = {incident.spec.release} | dependents(incident.spec.release, releases)
    workloads = {r.spec.workload_ref.name for r in releases if r.metadata.name in roots}
    return frozenset((roots | workloads | {incident.spec.service}) - {""})
