"""Which Incident each alert, ticket and burn belongs to, and which Incidents must be created for that.

Alerts are placed one by one (`core.correlation.placement`), tickets are linked by score (`core.tickets.linking`). What is
measured needs no alert (`core.correlation.measured`): a burn that fired opens an Incident on the deepest burning dependency.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opsloop.api.incident import REOPEN_GRACE, Incident, IncidentSpec, LinkedTicket
from opsloop.core.actions import Action, CreateIncident, DeleteInboxEntries, FileToLedger, StoreTicketQueue
from opsloop.core.alerts.ledger import episode
from opsloop.core.correlation.measured import incidents_for_measured_harm
from opsloop.core.correlation.new_incident import for_alerts
from opsloop.core.correlation.placement import DEPENDENCY_UNCLEAR, PlacementFacts, index_ledgers, place
from opsloop.core.correlation.service_health import LocatedAlert, Locator, ServiceHealth, failing_services
from opsloop.core.correlation.ticket_candidates import of_incident
from opsloop.core.decision import Decision
from opsloop.core.facts import Alert, CorrelationFacts, QueuedTicket
from opsloop.core.slo.age import view_as_of
from opsloop.core.tickets.linking import Candidate, link_tickets
from opsloop.core.topology import Topology

SOONEST = timedelta(seconds=0.1)  # a due time that has just passed does not make a busy loop


@dataclass(frozen=True, slots=True)
class Filing:
    """Incident of one alert, and why; `incident` "" = it stays in the inbox (held) or is nobody's (dropped)."""

    alert: Alert
    incident: str
    reason: str

    @property
    def held(self) -> bool:
        """True if the alert stays in the inbox and is judged again."""
        return self.reason == DEPENDENCY_UNCLEAR


@dataclass(frozen=True, slots=True)
class Correlation:
    """Everything that one look at a namespace concludes."""

    creates: tuple[CreateIncident, ...]
    filings: tuple[Filing, ...]  # in the order of the inbox
    links: Mapping[str, tuple[LinkedTicket, ...]]  # Incident → newly linked tickets
    queue: tuple[QueuedTicket, ...]  # the whole queue afterwards
    look_again: timedelta | None = None

    @property
    def alerts(self) -> dict[str, tuple[Alert, ...]]:
        """Incident → alerts to file there."""
        return {name: tuple(f.alert for f in filings) for name, filings in self._by_incident().items()}

    def ledger_actions(self) -> list[FileToLedger]:
        """One action per Incident, by name."""
        filings = self._by_incident()
        return [
            FileToLedger(
                incident=name,
                alerts=tuple(f.alert for f in filings.get(name, ())),
                tickets=self.links.get(name, ()),
                reasons=Counter(f.reason for f in filings.get(name, ())),
            )
            for name in sorted(filings.keys() | self.links.keys())
        ]

    def _by_incident(self) -> dict[str, list[Filing]]:
        groups: dict[str, list[Filing]] = {}
        for filing in self.filings:
            if filing.incident:
                groups.setdefault(filing.incident, []).append(filing)
        return groups


def decide(facts: CorrelationFacts, now: datetime, grace: timedelta = REOPEN_GRACE) -> Decision:
    """The Decision for one namespace; `grace` is how long after its resolution an Incident is reopened.

    The order of the actions makes a crash between any two of them harmless: Incidents, ledgers (filing twice is
    nothing), the ticket queue, and only then inbox entries are deleted. What is left leads to the same end again.
    """
    correlation = correlate(facts, now, grace)
    actions: list[Action] = [*correlation.creates, *correlation.ledger_actions()]
    if correlation.queue != facts.queue:
        actions.append(StoreTicketQueue(correlation.queue))
    if filed := _filed_entries(facts, correlation.filings):
        actions.append(DeleteInboxEntries(filed))
    return Decision(actions=tuple(actions), look_again=correlation.look_again)


def relevant_incidents(incidents: Sequence[Incident], now: datetime, grace: timedelta = REOPEN_GRACE) -> list[Incident]:
    """Incidents whose ledgers a decision needs: open, in grace, or still holding firing alerts."""
    return [i for i in incidents if i.is_open or i.resolved_within(grace, now) or i.status.alerts.firing > 0]


def correlate(facts: CorrelationFacts, now: datetime, grace: timedelta = REOPEN_GRACE) -> Correlation:
    """Places every alert of the inbox, opens Incidents for burns and for alerts without one, links tickets."""
    facts = replace(facts, releases=tuple(view_as_of(view, now) for view in facts.releases))
    topology = Topology(facts.releases)
    locate = Locator(topology, facts.namespace, facts.owners)
    inbox = [locate(alert) for alert in facts.alerts]
    filed = {name: [locate(alert) for alert in ledger.alerts] for name, ledger in facts.ledgers.items()}
    current = [*inbox, *(a for i in facts.incidents if i.is_open for a in filed.get(i.metadata.name, ()))]
    health = ServiceHealth(topology, facts.incidents, failing_services(current, facts.heard_since), now, grace)

    creates, waits = incidents_for_measured_harm(health, facts.incidents, now)
    placement = PlacementFacts(
        health=health,
        index=index_ledgers(facts.incidents, facts.ledgers, now, grace),
        reported=frozenset(episode(a) for a in facts.alerts if a.status == "firing"),
        new_roots=frozenset(creates),
        since=facts.since,
        now=now,
    )
    places = [place(subject, placement) for subject in inbox]
    homeless = [(s, p.root) for s, p in zip(inbox, places, strict=True) if p.root and not p.incident]
    creates |= _incidents_for_alerts(homeless, creates, topology, facts.incidents)
    names = {root: action.name for root, action in creates.items()}
    filings = tuple(
        Filing(subject.alert, p.incident or names.get(p.root, ""), p.reason)
        for subject, p in zip(inbox, places, strict=True)
    )
    for subject, filing in zip(inbox, filings, strict=True):
        filed.setdefault(filing.incident, []).append(subject)
    candidates = _candidates(facts, creates, filed, topology, now, grace) if facts.tickets or facts.queue else []
    links, queue = link_tickets(facts.tickets, facts.queue, facts.ledgers, candidates)
    waits += [placement.due(s) - now for s, f in zip(inbox, filings, strict=True) if f.held]
    return Correlation(
        creates=tuple(sorted(creates.values(), key=lambda c: c.name)),
        filings=filings,
        links=links,
        queue=queue,
        look_again=max(min(waits), SOONEST) if waits else None,
    )


def _incidents_for_alerts(
    homeless: Sequence[tuple[LocatedAlert, str]],
    creates: Mapping[str, CreateIncident],
    topology: Topology,
    incidents: Sequence[Incident],
) -> dict[str, CreateIncident]:
    """Root → Incident, for alerts whose root has none; `creates` are those that measurements open."""
    groups: dict[str, list[Alert]] = {}
    for subject, root in homeless:
        if root not in creates:
            groups.setdefault(root, []).append(subject.alert)
    return {root: for_alerts(root, topology.views.get(root), alerts, incidents) for root, alerts in groups.items()}


def _candidates(
    facts: CorrelationFacts,
    creates: Mapping[str, CreateIncident],
    filed: Mapping[str, Sequence[LocatedAlert]],
    topology: Topology,
    now: datetime,
    grace: timedelta,
) -> list[Candidate]:
    """Incidents that a ticket may be linked to: new, open, or resolved within the grace time."""
    incidents: list[tuple[str, IncidentSpec, Incident | None]] = [(c.name, c.spec, None) for c in creates.values()]
    incidents += [(i.metadata.name, i.spec, i) for i in facts.incidents if i.is_open or i.resolved_within(grace, now)]
    return [
        of_incident(name, spec, incident, [subject.alert for subject in filed.get(name, ())], topology, facts.owners)
        for name, spec, incident in incidents
    ]


def _filed_entries(facts: CorrelationFacts, filings: Sequence[Filing]) -> dict[str, str]:
    """ConfigMap → uid of the inbox entries of which no alert is held."""
    held = {(*episode(f.alert), f.alert.status) for f in filings if f.held}
    return {
        entry.name: entry.uid
        for entry in facts.inbox
        if not any((*episode(alert), alert.status) in held for alert in entry.alerts)
    }
