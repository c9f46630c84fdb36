"""Dependencies: whether one explains the breach of a service that depends on it.

It does while it is harmed itself, and until one window after its recovery, because the dependent's windows hold that harm
until then. An open Incident alone explains nothing: its service may be back, or nobody may know for hours. Nor does a harm
that fewer people hear of than the breach would reach: a smoulder must not hide an outage behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import Severity
from opsloop.core import conditions
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.readings import Verdict
from opsloop.core.release.outages import outage_since
from opsloop.core.slo.merged import verdicts
from opsloop.core.topology import Topology

GAP = timedelta(minutes=10)  # alerts further apart than this are not one storm
NEARLY = 0.8  # of a factor, in the long window: with the short one above the factor, the tier is about to fire


@dataclass(frozen=True, slots=True)
class Breach:
    """Breach of a dependent: who would hear of it, since when it lasts, and the window that holds its harm."""

    severity: Severity
    since: datetime
    window: timedelta


def breach_of(view: ReleaseView, severity: Severity = "sev4") -> Breach | None:
    """The breach of a Release; None where it was not read. `severity` is that of its Incident: the worse of both counts."""
    verdict = view.readings.verdict
    if verdict is None or not verdict.tiers:
        return None
    since = view.readings.onset or verdict.at
    if verdict.firing is None:
        return Breach(severity, since, min(v.tier.short for v in verdict.tiers))
    return Breach(min(severity, verdict.firing.tier.severity), since, verdict.firing.tier.short)


def explains(view: ReleaseView | None, incident: Incident | None, breach: Breach, now: datetime) -> bool:
    """True if this dependency explains the breach; `incident` is its open Incident, else the one that ended lately."""
    if is_harmed_now(view, incident):
        return _is_heard(view, incident, breach)
    if incident is None or severity_of(incident) > breach.severity:
        return False
    ended = last_harm(view, incident, now)
    if ended is not None:
        return now - ended <= breach.window
    return _alerts_tell(view, incident, breach)


def is_harmed_now(view: ReleaseView | None, incident: Incident | None) -> bool:
    """True if no pod is available, the SLI burns, or it is not back within its objective since the open Incident burned."""
    if view is not None and outage_since(view.release) is not None:
        return True
    verdict = view.readings.verdict if view else None
    if verdict is None:
        return False
    not_back = incident is not None and incident.is_open and incident.burned and verdict.back is False
    return verdict.burning or verdict.firing is not None or not_back


def last_harm(view: ReleaseView | None, incident: Incident, now: datetime) -> datetime | None:
    """Latest time at which the service may have been harmed by its SLI or workload; None where nothing measured says so.

    `now` while nothing tells of an end. Telemetry that went away tells nothing from then on.
    """
    if not (incident.burned or incident.had_outage):
        return None
    status, verdict = incident.status, view.readings.verdict if view else None
    mitigated = conditions.get(status.conditions, "Mitigated")
    if status.back_since is not None:
        return status.back_since
    if verdict is not None and verdict.back:
        return verdict.at
    if mitigated is None or mitigated.status == "False":
        return now
    return mitigated.last_transition_time


def severity_of(incident: Incident) -> Severity:
    """The worse of the severity at opening and the present one; sev1 < sev4."""
    return min(incident.spec.signal.severity, incident.status.severity)


def explaining(
    root: ReleaseView | None, severity: Severity, incidents: Sequence[Incident], topology: Topology, now: datetime
) -> list[str]:
    """What `root` depends on and what explains its breach, the nearest first. `severity` is that of its Incident."""
    breach = breach_of(root, severity) if root else None
    if root is None or breach is None:
        return []
    reach = topology.dependencies(root.release.metadata.name)
    return [n for n in reach if explains(topology.views.get(n), incident_on(n, incidents), breach, now)]


def explaining_of(facts: IncidentFacts, topology: Topology, now: datetime) -> list[str]:
    """The same for the root of an Incident as it is stored."""
    return explaining(facts.root, facts.incident.status.severity, facts.incidents, topology, now)


def root_of(incident: Incident) -> str:
    """The Release, or the bare service where no Release is concerned."""
    return incident.spec.release or incident.spec.service


def incident_on(name: str, incidents: Sequence[Incident]) -> Incident | None:
    """The oldest open Incident of this Release or service, else the one that ended last."""
    own = [i for i in incidents if root_of(i) == name and not i.status.merged_into]
    opened = sorted((i for i in own if i.is_open), key=lambda i: i.spec.signal.at)
    ended = sorted((i for i in own if i.status.resolved_at), key=lambda i: i.status.resolved_at or i.spec.signal.at)
    return opened[0] if opened else ended[-1] if ended else None


def _is_heard(view: ReleaseView | None, incident: Incident | None, breach: Breach) -> bool:
    """True if the dependency's harm reaches those whom the breach would reach, or is about to; without an Incident it opens one for it."""
    if view is not None and outage_since(view.release) is not None:
        return True
    verdict: Verdict | None = view.readings.verdict if view else None
    if verdict is not None and _is_as_loud(verdict, breach.severity):
        return True
    if incident is None or not incident.is_open:
        return verdict is not None and verdict.burning
    return severity_of(incident) <= breach.severity


def _is_as_loud(verdict: Verdict, severity: Severity) -> bool:
    """True if a tier of this severity or worse fires, or is about to.

    One harm reaches the long windows of a service and of its dependents within a scrape of each other, in either order.
    """
    if verdict.firing is not None and verdict.firing.tier.severity <= severity:
        return True
    return any(
        v.tier.severity <= severity
        and (v.burn_short or 0) > v.tier.factor
        and (v.burn_long or 0) > NEARLY * v.tier.factor
        for one in verdicts(verdict)
        for v in one.tiers
    )


def _alerts_tell(view: ReleaseView | None, incident: Incident, breach: Breach) -> bool:
    """True where no SLI speaks, and alerts fire on the dependency since about the time of the breach."""
    verdict = view.readings.verdict if view else None
    if verdict is not None and verdict.band == "ok":
        return False
    alerts = incident.status.alerts
    began = alerts.first_at or incident.spec.signal.at
    return incident.is_open and alerts.firing > 0 and abs(breach.since - began) <= GAP
