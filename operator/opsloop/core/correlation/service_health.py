"""Health of every service, and the root that explains an alert on one of them.

A service and its dependencies (`core.topology`) are judged by evidence. A dependency explains its dependents only with evidence of harm of its own:
its SLI burns, or an Incident that burned is open on it, or (where its SLI is unknown) failure alerts fire on it.
A dependency whose SLI is known and healthy explains nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from opsloop.api.incident import Incident
from opsloop.api.meta import Severity
from opsloop.core.alerts.labels import is_failure, name_of, namespace_of, service_of
from opsloop.core.alerts.ledger import Episode, episode, firing_now
from opsloop.core.correlation.new_incident import slug
from opsloop.core.facts import Alert
from opsloop.core.topology import Topology

GAP = timedelta(minutes=10)  # alerts further apart than this are not one storm


class State(Enum):
    """Judgement on one service."""

    HARMED = "harmed"
    HEALTHY = "healthy"  # its SLI is known and no tier's window burns
    UNCLEAR = "unclear"  # no SLO, unknown telemetry, or burning too slowly to say


@dataclass(frozen=True, slots=True)
class Harm:
    """State of one service, and the start of that state as far as known."""

    state: State
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LocatedAlert:
    """An alert and its service, worked out once per decision."""

    alert: Alert
    service: str  # "" = the labels name none

    @property
    def root(self) -> str:
        """Name under which an Incident of this alert's own would run."""
        return self.service or slug(name_of(self.alert))


def root_of(incident: Incident) -> str:
    """The Release, or the bare service where no Release is concerned."""
    return incident.spec.release or incident.spec.service


def severity(incident: Incident) -> Severity:
    """The worse of the severity at opening and the present one; sev1 < sev4."""
    return min(incident.spec.signal.severity, incident.status.severity)


def harm_began(incident: Incident) -> datetime:
    """Start of the harm, as far as known."""
    moments = (incident.status.onset_at, incident.status.alerts.first_at, incident.spec.signal.at)
    return min(moment for moment in moments if moment is not None)


class ServiceHealth:
    """State of every service, as far as the evidence goes, and the roots that explain harm on it."""

    def __init__(
        self,
        topology: Topology,
        incidents: Sequence[Incident],
        failing: Mapping[str, datetime],
        now: datetime,
        grace: timedelta,
    ) -> None:
        """`failing`: service → earliest start of its failure alerts that fire now; `grace`: as in core.incident."""
        self.topology = topology
        self.failing = failing
        order = sorted(incidents, key=harm_began)
        self.open: dict[str, Incident] = {}
        for incident in order:  # the oldest open one of a root is the one that people look at
            if incident.is_open:
                self.open.setdefault(root_of(incident), incident)
        self.recent = {root_of(i): i for i in order if i.reopens(grace, now) and root_of(i) not in self.open}
        self._harm: dict[str, Harm] = {}

    def harm(self, name: str) -> Harm:
        """Evidence on one service."""
        if name not in self._harm:
            self._harm[name] = self._judge(name)
        return self._harm[name]

    def burns(self, name: str) -> bool:
        """Evidence that may carry a dependent's page: its own burn, or an open Incident that burned or that pages."""
        if self._sli(name) is State.HARMED or self._burned(name):
            return True
        pages = name in self.open and severity(self.open[name]) <= "sev2"
        return pages and self._sli(name) is State.UNCLEAR

    def harmed_root(self, name: str, at: datetime) -> str:
        """The deepest service among `name` and its dependencies that was harmed around `at`; "" = none."""
        reach = {name: 0} | self.topology.dependencies(name)
        harmed = {n: hops for n, hops in reach.items() if self.harm(n).state is State.HARMED and self._around(n, at)}
        return self.deepest(harmed)

    def starved_by(self, name: str, at: datetime) -> str:
        """The root of the nearest harmed caller, for an alert that says nobody calls `name`; "" = none.

        A caller may hand over by a queue: then both depend on the queue.
        """
        own_needs = self.topology.dependencies(name).keys()
        callers: dict[str, int] = {}
        for other in self.topology.views.keys() - {name}:
            needs = self.topology.dependencies(other)
            if name in needs or own_needs & needs.keys():
                callers[other] = needs.get(name, len(needs))
        roots = (self.harmed_root(caller, at) for caller in sorted(callers, key=lambda n: (callers[n], n)))
        return next((root for root in roots if root), "")

    def burning_root(self, name: str) -> str:
        """The deepest burning service among `name` (taken as burning) and its dependencies."""
        reach = self.topology.dependencies(name)
        return self.deepest({name: 0} | {n: hops for n, hops in reach.items() if self.burns(n)})

    def recent_root(self, name: str, at: datetime) -> str:
        """The service among `name` and its dependencies whose Incident ended so recently that `at` belongs to it; "" = none."""
        reach = {name: 0} | self.topology.dependencies(name)
        fits = {n: hops for n, hops in reach.items() if n in self.recent and _belongs(self.recent[n], at)}
        return name if name in self.recent else self.deepest(fits)

    def deepest(self, candidates: Mapping[str, int]) -> str:
        """The candidate (name → hops) that depends on no other one; of several the nearest, then the one harmed first."""
        leaves = [n for n in candidates if not candidates.keys() & self.topology.dependencies(n).keys()]
        return min(leaves or candidates, key=lambda n: (candidates[n], self._since(n), n), default="")

    def _judge(self, name: str) -> Harm:
        sli, view = self._sli(name), self.topology.views.get(name)
        starts = [self.failing[name]] if name in self.failing else []
        starts += [harm_began(self.open[name])] if name in self.open else []
        starts += [view.readings.onset] if view and view.readings.onset else []
        since = min(starts, default=None)
        if sli is State.HARMED or self._burned(name):
            return Harm(State.HARMED, since)
        if sli is State.HEALTHY:
            return Harm(State.HEALTHY)
        loud = name in self.open and severity(self.open[name]) <= "sev3"
        return Harm(State.HARMED if name in self.failing or loud else State.UNCLEAR, since)

    def _sli(self, name: str) -> State:
        view = self.topology.views.get(name)
        verdict = view.readings.verdict if view else None
        if verdict is not None and (verdict.burning or verdict.firing is not None):
            return State.HARMED
        return State.HEALTHY if verdict is not None and verdict.band == "ok" else State.UNCLEAR

    def _burned(self, name: str) -> bool:
        return name in self.open and self.open[name].burned

    def _since(self, name: str) -> float:
        since = self.harm(name).since
        return since.timestamp() if since else float("inf")

    def _around(self, name: str, at: datetime) -> bool:
        """False for an alert that fired long before the harm: the harm does not explain it."""
        since = self.harm(name).since
        return since is None or at >= since - GAP


def _belongs(incident: Incident, at: datetime) -> bool:
    """True if `at` lies within the Incident's time, or at most GAP outside."""
    ended_at = incident.status.resolved_at or at
    return harm_began(incident) - GAP <= at <= ended_at + GAP


class Locator:
    """Finds the service that an alert is about, among the names of one namespace."""

    def __init__(self, topology: Topology, namespace: str, owners: Mapping[str, str]) -> None:
        """`owners`: Service or workload name → Release."""
        self._namespace = namespace
        self._names = {view.release.spec.workload_ref.name: name for name, view in topology.views.items()}
        self._names |= {name: name for name in topology.nodes}
        self._names |= {service: owner for service, owner in owners.items() if owner in topology.views}

    def __call__(self, alert: Alert) -> LocatedAlert:
        """The alert with its service: a Release, a name in some dependsOn, the bare name in its labels, or ""."""
        service, namespace = service_of(alert.labels, self._names), namespace_of(alert.labels)
        if namespace in ("", self._namespace):
            return LocatedAlert(alert, self._names.get(service, service))
        return LocatedAlert(
            alert, f"{namespace}-{service}" if service else ""
        )  # a namesake elsewhere is another service


def failing_services(alerts: Sequence[LocatedAlert]) -> dict[str, datetime]:
    """Service → earliest start of a failure alert that fires on it now, by these alerts."""
    firing = firing_now(_episodes(subject.alert for subject in alerts))
    starts: dict[str, datetime] = {}
    for subject in alerts:
        alert, name = subject.alert, subject.service
        if name and alert.fingerprint in firing and is_failure(alert):
            starts[name] = min(alert.starts_at, starts.get(name, alert.starts_at))
    return starts


def _episodes(alerts: Iterable[Alert]) -> list[Alert]:
    """One alert per episode, resolved where any notification says so."""
    episodes: dict[Episode, Alert] = {}
    for alert in alerts:
        key = episode(alert)
        if key not in episodes or alert.status == "resolved":
            episodes[key] = alert
    return list(episodes.values())
