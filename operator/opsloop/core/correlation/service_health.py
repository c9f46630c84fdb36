"""Health of every service, and the root that explains an alert on one of them.

A service and its dependencies (`core.topology`) are judged by evidence. A dependency explains its dependents only with evidence of harm of its own,
now or a moment ago (`core.incident.dependencies`): its SLI burns or did, or (where its SLI is unknown) failure alerts began on it near to theirs.
A dependency whose SLI is known and healthy explains nothing, and neither does an Incident that is merely open.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from opsloop.api.incident import Incident
from opsloop.core.alerts.labels import is_failure, name_of, namespace_of, service_of
from opsloop.core.alerts.ledger import Episode, episode, firing_now
from opsloop.core.correlation.new_incident import slug
from opsloop.core.facts import Alert
from opsloop.core.incident import dependencies
from opsloop.core.incident.dependencies import GAP, Breach
from opsloop.core.release.outages import outage_since
from opsloop.core.topology import Topology


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
        self._now = now
        order = sorted(incidents, key=harm_began)
        self.open: dict[str, Incident] = {}
        for incident in order:  # the oldest open one of a root is the one that people look at
            if incident.is_open:
                self.open.setdefault(root_of(incident), incident)
        self.recent = {root_of(i): i for i in order if i.reopens(grace, now) and root_of(i) not in self.open}
        ended = [i for i in order if i.status.resolved_at and not i.status.merged_into]
        self.ended = {root_of(i): i for i in sorted(ended, key=lambda i: i.status.resolved_at or now)}
        """The one of each root that ended last."""
        self._harm: dict[str, Harm] = {}

    def harm(self, name: str) -> Harm:
        """Evidence on one service."""
        if name not in self._harm:
            self._harm[name] = self._judge(name)
        return self._harm[name]

    def is_harmed_now(self, name: str) -> bool:
        """True if its own SLI or its workload says so."""
        return dependencies.is_harmed_now(self.topology.views.get(name), self.open.get(name))

    def is_out(self, name: str) -> bool:
        """True if no pod of it is available."""
        view = self.topology.views.get(name)
        return view is not None and outage_since(view.release) is not None

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

    def burning_root(self, name: str, breach: Breach) -> str:
        """The deepest service that explains the breach of `name`: a dependency, else `name` itself."""
        reach = self.topology.dependencies(name)
        return self.deepest({name: 0} | {n: hops for n, hops in reach.items() if self._explains(n, breach)})

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
        starts += [out] if view and (out := outage_since(view.release)) else []
        since = min(starts, default=None)
        if sli is State.HARMED or self._burned(name) or self.is_out(name):
            return Harm(State.HARMED, since)
        if sli is State.HEALTHY:
            return Harm(State.HEALTHY)
        loud = (
            name in self.open and _has_alerts(self.open[name]) and dependencies.severity_of(self.open[name]) <= "sev3"
        )
        return Harm(State.HARMED if name in self.failing or loud else State.UNCLEAR, since)

    def _sli(self, name: str) -> State:
        view = self.topology.views.get(name)
        verdict = view.readings.verdict if view else None
        if verdict is not None and (verdict.burning or verdict.firing is not None):
            return State.HARMED
        return State.HEALTHY if verdict is not None and verdict.band == "ok" else State.UNCLEAR

    def _burned(self, name: str) -> bool:
        """True if an open Incident tells of a burn that lasts, or ended so recently that alerts still come in."""
        if name not in self.open:
            return False
        ended = dependencies.last_harm(self.topology.views.get(name), self.open[name], self._now)
        return ended is not None and self._now - ended <= GAP

    def _explains(self, name: str, breach: Breach) -> bool:
        incident = self.open.get(name) or self.ended.get(name)
        return dependencies.explains(self.topology.views.get(name), incident, breach, self._now)

    def _since(self, name: str) -> float:
        since = self.harm(name).since
        return since.timestamp() if since else float("inf")

    def _around(self, name: str, at: datetime) -> bool:
        """False for an alert that fired long before the harm: the harm does not explain it.

        Where alerts alone tell of the harm, an alert long after the last of them is no part of it: nobody may have sent
        their end.
        """
        since = self.harm(name).since
        if since is not None and at < since - GAP:
            return False
        if self._sli(name) is State.HARMED or self._burned(name) or self.is_out(name):
            return True
        alerts = self.open[name].status.alerts if name in self.open else None
        latest = max((t for t in (since, alerts.last_at if alerts else None) if t is not None), default=at)
        return at <= latest + GAP


def _has_alerts(incident: Incident) -> bool:
    """False for an Incident that merely says that an SLI is unknown: it explains no harm."""
    return incident.spec.signal.kind != "telemetry" or incident.status.alerts.firing > 0


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


def failing_services(alerts: Sequence[LocatedAlert], heard_since: datetime | None = None) -> dict[str, datetime]:
    """Service → earliest start of a failure alert that fires on it now, by these alerts; none that is stale."""
    firing = firing_now(_episodes(subject.alert for subject in alerts), heard_since)
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
