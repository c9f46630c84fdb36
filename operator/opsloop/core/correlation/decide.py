"""Which Incident each alert, ticket and burn belongs to; which Incidents must be created for that. Pure.

An alert is judged once and stays where it was filed. In order:
1. *sticky*: its episode or fingerprint is in the ledger of an open Incident, or its episode in that of a closed one.
2. *explained*: the deepest harmed service among its own and what that depends on (`core.correlation.service_health`) is the root.
3. *hold*: while its dependencies could still turn out to be the root it stays in the inbox, at most SETTLE.
4. *joined*: an open Incident of its own service, or one that ended so recently that the alert is part of that storm.
5. *own*: a new Incident of its own service, at a severity that does not page where an SLO decides.
A burn that fired needs no alert: it opens an Incident on the deepest burning dependency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.incident import Incident, IncidentSpec, LinkedTicket
from opsloop.core.actions import CreateIncident
from opsloop.core.alerts.labels import is_starved, name_of
from opsloop.core.correlation.filed import filed
from opsloop.core.correlation.new_incident import for_alerts, for_burn, slug
from opsloop.core.correlation.service_health import REOPEN_GRACE as REOPEN_GRACE
from opsloop.core.correlation.service_health import Situation, State, failing_services, root_name
from opsloop.core.facts import Alert, Ledger, ReleaseView, Ticket, Verdict
from opsloop.core.tickets.linking import Candidate
from opsloop.core.tickets.ticketing import candidate, sort_tickets
from opsloop.core.tickets.triage import Queued
from opsloop.core.topology import Topology

SETTLE = timedelta(seconds=10)  # longest time for which an alert waits for its dependencies' state

SAME_EPISODE = "SameEpisode"  # this very episode is in that Incident's ledger
SAME_FINGERPRINT = "SameFingerprint"  # that Incident holds an earlier episode of the alert
EXPLAINED = "ExplainedByRoot"  # the service, or what it depends on, is harmed: the Incident of the deepest such
JOINED = "JoinedOpenIncident"  # an Incident of its own service is open
AFTERMATH = "AftermathOfResolved"  # the storm it belongs to was resolved within the grace time
OWN = "OwnIncident"  # nothing explains it: visible, at its own service
DEPENDENCY_UNCLEAR = "DependencyUnclear"  # held: what its service depends on may still prove to be the root
RESOLVED_UNHEARD = "ResolvedUnheard"  # the end of an alert that nobody reported: no harm, nothing to file it under


@dataclass(frozen=True, slots=True)
class CorrelateFacts:
    """Everything that the correlator of one namespace looks at."""

    namespace: str
    releases: tuple[ReleaseView, ...] = ()
    incidents: tuple[Incident, ...] = ()  # all of the namespace
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)  # of open, lately resolved and still firing Incidents
    owners: Mapping[str, str] = field(default_factory=dict)  # Service or workload → Release
    alerts: tuple[Alert, ...] = ()  # in the inbox
    tickets: tuple[Ticket, ...] = ()  # in the inbox
    queue: tuple[Queued, ...] = ()  # tickets that wait unlinked
    grace: timedelta = REOPEN_GRACE  # how long after its resolution an Incident is reopened
    since: datetime | None = None  # when this process began to look; readings are younger than that


@dataclass(frozen=True, slots=True)
class Filing:
    """Where one alert goes and why; `incident` "" = it stays in the inbox (held) or is nobody's (dropped)."""

    alert: Alert
    incident: str
    reason: str


@dataclass(frozen=True, slots=True)
class CorrelatePlan:
    """What follows, in the order in which it is carried out."""

    creates: tuple[CreateIncident, ...] = ()
    filings: tuple[Filing, ...] = ()
    tickets: Mapping[str, tuple[LinkedTicket, ...]] = field(default_factory=dict)  # Incident → newly linked
    queue: tuple[Queued, ...] = ()  # the whole queue afterwards
    look_again: timedelta | None = None

    @property
    def alerts(self) -> dict[str, tuple[Alert, ...]]:
        """Incident → alerts to file there."""
        found: dict[str, list[Alert]] = {}
        for filing in self.filings:
            if filing.incident:
                found.setdefault(filing.incident, []).append(filing.alert)
        return {name: tuple(alerts) for name, alerts in found.items()}

    @property
    def held(self) -> tuple[Alert, ...]:
        """Alerts that stay in the inbox."""
        return tuple(f.alert for f in self.filings if f.reason == DEPENDENCY_UNCLEAR)


def decide(facts: CorrelateFacts, now: datetime) -> CorrelatePlan:
    """The plan for one namespace."""
    return _Pass(facts, now).plan()


def relevant(incidents: Sequence[Incident], now: datetime, grace: timedelta = REOPEN_GRACE) -> list[Incident]:
    """Incidents whose ledgers a decision needs: open, in grace, or still holding firing alerts."""
    return [i for i in incidents if i.is_open or i.resolved_within(grace, now) or i.status.alerts.firing > 0]


class _Pass:
    """One decision: the facts, indexed, and the Incidents that it is about to create."""

    def __init__(self, facts: CorrelateFacts, now: datetime) -> None:
        self.facts, self.now = facts, now
        self.topology = Topology(facts.releases)
        self.by_name = {i.metadata.name: i for i in facts.incidents}
        opened = frozenset(i.metadata.name for i in facts.incidents if i.is_open)
        failing = failing_services(facts.alerts, facts.ledgers, opened, self.topology, facts.namespace, facts.owners)
        self.world = Situation(self.topology, facts.incidents, failing, now, facts.grace)
        self.creates: dict[str, CreateIncident] = {}  # by root
        self.index = filed(facts.incidents, facts.ledgers, now, facts.grace)
        self.heard = {(a.fingerprint, a.starts_at) for a in facts.alerts if a.status == "firing"}

    def plan(self) -> CorrelatePlan:
        self._open_for_burns()
        roots = [(alert, *self._place(alert)) for alert in self.facts.alerts]
        self._open_for_alerts([(alert, root) for alert, root, reason, name in roots if root and not name])
        filings = tuple(Filing(alert, name or self._incident_of(root), reason) for alert, root, reason, name in roots)
        views, candidates = self.topology.views, self._candidates(filings)
        links, queue = sort_tickets(self.facts.tickets, self.facts.queue, self.facts.ledgers, candidates, views)
        creates = tuple(sorted(self.creates.values(), key=lambda c: c.name))
        return CorrelatePlan(creates, filings, links, queue, self._next_look(filings))

    # alerts

    def _place(self, alert: Alert) -> tuple[str, str, str]:
        """(root, reason, incident): an Incident that exists, or the root that gets one, or neither."""
        if found := self._sticky(alert):
            return "", *found
        service = self._root_name(alert)
        if alert.status == "resolved" and (alert.fingerprint, alert.starts_at) not in self.heard:
            return self._place_unheard(alert, service)
        starved_by = self.world.starved_by(service, alert.starts_at) if is_starved(alert) else ""
        if root := starved_by or self.world.harmed_root(service, alert.starts_at):
            if self._has_open(root) or self._dependencies_are_healthy(root) or self._waited(alert):
                return root, EXPLAINED, self._existing(root)
            return "", DEPENDENCY_UNCLEAR, ""
        if self._has_open(service):
            return service, JOINED, self._existing(service)
        if self.topology.dependencies(service) and not self._waited(alert):
            return "", DEPENDENCY_UNCLEAR, ""
        if recent := self.world.recent_root(service, alert.starts_at):
            return recent, AFTERMATH, self._existing(recent)
        return service, OWN, ""

    def _place_unheard(self, alert: Alert, service: str) -> tuple[str, str, str]:
        """The end of an episode whose beginning nobody reported opens nothing; it joins what is there."""
        harmed = self.world.harmed_root(service, alert.starts_at)
        for root, reason in ((harmed, EXPLAINED), (service, JOINED)):
            if self._has_open(root):
                return root, reason, self._existing(root)
        recent = self.world.recent_root(service, alert.starts_at)
        return recent, AFTERMATH if recent else RESOLVED_UNHEARD, self._existing(recent)

    def _sticky(self, alert: Alert) -> tuple[str, str] | None:
        """(reason, incident)"""
        if home := self.index.episodes.get((alert.fingerprint, alert.starts_at)):
            return SAME_EPISODE, self._follow(home)
        holder = self.index.holders.get(alert.fingerprint, "")
        if not holder and alert.status == "resolved":
            holder = self.index.firing.get(alert.fingerprint, "")
        return (SAME_FINGERPRINT, self._follow(holder)) if holder else None

    def _follow(self, name: str) -> str:
        """A merged Incident's alerts go to the one that it was merged into."""
        seen = {name}
        while (into := self.by_name[name].status.merged_into) in self.by_name and into not in seen:
            name = into
            seen.add(into)
        return name

    def _root_name(self, alert: Alert) -> str:
        return root_name(alert, self.topology, self.facts.namespace, self.facts.owners) or slug(name_of(alert))

    def _dependencies_are_healthy(self, service: str) -> bool:
        return all(self.world.harm(n).state is State.HEALTHY for n in self.topology.dependencies(service))

    def _has_open(self, root: str) -> bool:
        return root in self.world.open or root in self.creates

    def _existing(self, root: str) -> str:
        incident = self.world.open.get(root) or self.world.recent.get(root)
        return incident.metadata.name if incident else ""

    def _incident_of(self, root: str) -> str:
        return self.creates[root].name if root in self.creates else ""

    def _due(self, alert: Alert) -> datetime:
        """When it is filed at the latest: a process that just began to look waits for its first readings too."""
        return max(alert.received_at, self.facts.since or alert.received_at) + SETTLE

    def _waited(self, alert: Alert) -> bool:
        return self.now >= self._due(alert)

    def _next_look(self, filings: Sequence[Filing]) -> timedelta | None:
        due = [self._due(f.alert) - self.now for f in filings if f.reason == DEPENDENCY_UNCLEAR]
        return max(min(due), timedelta(seconds=0.1)) if due else None

    # Incidents

    def _open_for_alerts(self, homeless: Sequence[tuple[Alert, str]]) -> None:
        groups: dict[str, list[Alert]] = {}
        for alert, root in homeless:
            if root not in self.creates:
                groups.setdefault(root, []).append(alert)
        for root, alerts in groups.items():
            self.creates[root] = for_alerts(root, self.topology.views.get(root), alerts, self.facts.incidents)

    def _open_for_burns(self) -> None:
        """An Incident for each root of a burn that fired, unless one is open or will be reopened."""
        fired: dict[str, dict[str, Verdict]] = {}
        for name, view in self.topology.views.items():
            verdict = view.readings.verdict
            if verdict is not None and verdict.firing is not None and verdict.firing.firing:
                fired.setdefault(self.world.burning_root(name), {})[name] = verdict
        for root in fired.keys() - self.world.open.keys() - self.world.recent.keys():
            self.creates[root] = for_burn(root, self.topology.views, fired[root], self.facts.incidents)

    def _candidates(self, filings: Sequence[Filing]) -> list[Candidate]:
        fresh: dict[str, list[Alert]] = {}
        for filing in filings:
            fresh.setdefault(filing.incident, []).append(filing.alert)
        grace = self.facts.grace
        known: list[tuple[str, IncidentSpec, Incident | None]] = [(c.name, c.spec, None) for c in self.creates.values()]
        known += [
            (i.metadata.name, i.spec, i)
            for i in self.facts.incidents
            if i.is_open or i.resolved_within(grace, self.now)
        ]
        found = []
        for name, spec, incident in known:
            held = self.facts.ledgers[name].alerts if name in self.facts.ledgers else ()
            view = self.topology.views.get(spec.release)
            found.append(candidate(name, spec, incident, (*held, *fresh.get(name, [])), view, self._root_name))
        return found
