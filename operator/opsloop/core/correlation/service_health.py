"""Who is harmed, who depends on whom, and therefore: whose fault explains an alert.

Topology is `spec.dependsOn`, transitive. A dependency explains its dependents only with evidence of harm of its own:
its SLI burns, or an Incident that burned is open on it, or (where its SLI is unknown) failure alerts fire on it.
A dependency whose SLI is known and healthy explains nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from opsloop.api.incident import Incident
from opsloop.api.meta import Severity
from opsloop.core.alerts.labels import is_failure, namespace_of, service_of
from opsloop.core.alerts.ledger import firing_now
from opsloop.core.facts import Alert, Ledger
from opsloop.core.topology import Topology

GAP = timedelta(minutes=10)  # alerts further apart than this are not one storm
REOPEN_GRACE = timedelta(
    minutes=30
)  # a Resolved Incident that burned takes a new breach of its root (core.incident.decide reopens it)


class State(Enum):
    """What the evidence says of one service."""

    HARMED = "harmed"
    HEALTHY = "healthy"  # its SLI is known and no tier's window burns
    UNCLEAR = "unclear"  # no SLO, unknown telemetry, or burning too slowly to say


@dataclass(frozen=True, slots=True)
class Harm:
    """State of one service and since when it is so, as far as known."""

    state: State
    since: datetime | None = None


def root_of(incident: Incident) -> str:
    """The Release, or the bare service where no Release is concerned."""
    return incident.spec.release or incident.spec.service


def severity(incident: Incident) -> Severity:
    """The worse of what it was opened with and what it has become; sev1 < sev4."""
    return min(incident.spec.signal.severity, incident.status.severity)


def began(incident: Incident) -> datetime:
    """When its harm began, as far as known."""
    known = (incident.status.onset_at, incident.status.alerts.first_at, incident.spec.signal.at)
    return min(moment for moment in known if moment is not None)


class Situation:
    """State of every service, and the root that explains an alert on one of them."""

    def __init__(
        self,
        topology: Topology,
        incidents: Sequence[Incident],
        failing: Mapping[str, datetime],
        now: datetime,
        grace: timedelta = REOPEN_GRACE,
    ) -> None:
        """`failing`: service → earliest start of its failure alerts that fire now."""
        self.topology = topology
        self.failing = failing
        order = sorted(incidents, key=began)
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
        """The deepest harmed service among `name` and what it needs that was harmed around `at`; "" = none."""
        reach = {name: 0} | self.topology.dependencies(name)
        harmed = {n: hops for n, hops in reach.items() if self.harm(n).state is State.HARMED and self._around(n, at)}
        return self.deepest(harmed)

    def starved_by(self, name: str, at: datetime) -> str:
        """For an alert that says nobody calls `name`: the root of the nearest harmed caller, "" = none.

        A caller may hand over by a queue: then both depend on the queue.
        """
        mine = self.topology.dependencies(name).keys()
        callers: dict[str, int] = {}
        for other in self.topology.views.keys() - {name}:
            needs = self.topology.dependencies(other)
            if name in needs or mine & needs.keys():
                callers[other] = needs.get(name, len(needs))
        roots = (self.harmed_root(caller, at) for caller in sorted(callers, key=lambda n: (callers[n], n)))
        return next((root for root in roots if root), "")

    def burning_root(self, name: str) -> str:
        """The deepest burning service among `name` (taken as burning) and what it needs."""
        reach = self.topology.dependencies(name)
        return self.deepest({name: 0} | {n: hops for n, hops in reach.items() if self.burns(n)})

    def recent_root(self, name: str, at: datetime) -> str:
        """A service among `name` and what it needs whose Incident ended so recently that `at` belongs to it; "" = none."""
        reach = {name: 0} | self.topology.dependencies(name)
        fits = {n: hops for n, hops in reach.items() if n in self.recent and self._belongs(self.recent[n], at)}
        return name if name in self.recent else self.deepest(fits)

    def deepest(self, candidates: Mapping[str, int]) -> str:
        """Those that need no other candidate; of these the nearest, then the one harmed first."""
        leaves = [n for n in candidates if not candidates.keys() & self.topology.dependencies(n).keys()]
        return min(leaves or candidates, key=lambda n: (candidates[n], self._since(n), n), default="")

    def _judge(self, name: str) -> Harm:
        sli, view = self._sli(name), self.topology.views.get(name)
        starts = [self.failing[name]] if name in self.failing else []
        starts += [began(self.open[name])] if name in self.open else []
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
        """An alert that fired long before the harm is not explained by it."""
        since = self.harm(name).since
        return since is None or at >= since - GAP

    @staticmethod
    def _belongs(incident: Incident, at: datetime) -> bool:
        ended = incident.status.resolved_at or at
        return began(incident) - GAP <= at <= ended + GAP


def root_name(alert: Alert, topology: Topology, namespace: str, owners: Mapping[str, str]) -> str:
    """The Release (or a name in some dependsOn) that the alert is about; else its bare service; else ""."""
    known = {view.release.spec.workload_ref.name: name for name, view in topology.views.items()}
    known |= {name: name for name in topology.nodes}
    known |= {service: owner for service, owner in owners.items() if owner in topology.views}
    service = service_of(alert.labels, known)
    about = namespace_of(alert.labels)
    if about not in ("", namespace):  # a service of the same name elsewhere is another service
        return f"{about}-{service}" if service else ""
    return known.get(service, service)


def failing_services(
    alerts: Sequence[Alert],
    ledgers: Mapping[str, Ledger],
    open_names: frozenset[str],
    topology: Topology,
    namespace: str,
    owners: Mapping[str, str],
) -> dict[str, datetime]:
    """Service → earliest start of a failure alert that fires on it now, by the inbox and by open Incidents' ledgers."""
    heard = [*alerts, *(a for name in open_names if name in ledgers for a in ledgers[name].alerts)]
    firing = firing_now(_settled(heard))
    starts: dict[str, datetime] = {}
    for alert in heard:
        name = root_name(alert, topology, namespace, owners)
        if name and alert.fingerprint in firing and is_failure(alert):
            starts[name] = min(alert.starts_at, starts.get(name, alert.starts_at))
    return starts


def _settled(alerts: Sequence[Alert]) -> list[Alert]:
    """One alert per episode, resolved where any notification says so."""
    episodes: dict[tuple[str, datetime], Alert] = {}
    for alert in alerts:
        key = alert.fingerprint, alert.starts_at
        if key not in episodes or alert.status == "resolved":
            episodes[key] = alert
    return list(episodes.values())
