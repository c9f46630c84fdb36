"""Which Incident each alert, ticket and burn belongs to, and which Incidents must be created for that.

What is measured needs no alert (`core.correlation.measured`): a burn that fired opens an Incident on the deepest burning
dependency. Alerts are grouped anew at every new one (`core.correlation.filing`), tickets are linked by score (`core.tickets.linking`).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.incident import REOPEN_GRACE, Incident, IncidentSpec
from opsloop.api.reported import LinkedTicket
from opsloop.core.actions import (
    Action,
    CreateIncident,
    DeleteInboxEntries,
    FileToLedger,
    MoveAlerts,
    NoteLooked,
    StoreExperience,
    StoreTaught,
    StoreTicketQueue,
    TakeTickets,
    TellAnswers,
)
from opsloop.core.alerts.ledger import episode
from opsloop.core.correlation.deferred import Key, pace
from opsloop.core.correlation.experience import learnt
from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.filing import Filing, file_alerts
from opsloop.core.correlation.measured import incidents_for_measured_harm
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.service_health import ServiceHealth
from opsloop.core.correlation.standing import reader_of
from opsloop.core.correlation.ticket_candidates import of_incident
from opsloop.core.decision import Decision
from opsloop.core.facts import CorrelationFacts, Experience
from opsloop.core.reported import Alert, Candidate, Looked, QueuedTicket
from opsloop.core.slo.age import view_as_of
from opsloop.core.tickets.correcting import Corrected, Filed, correct
from opsloop.core.tickets.linking import link_tickets, waiting_of
from opsloop.core.tickets.taught import learnt_words, pulls
from opsloop.core.topology import Topology

METHOD = Method()
REST = timedelta(seconds=0.5)  # until the rest of a long ticket queue is compared
SOONEST = timedelta(seconds=0.1)  # a due time that has just passed does not make a busy loop


@dataclass(frozen=True, slots=True)
class Correlation:
    """Everything that one look at a namespace concludes."""

    creates: tuple[CreateIncident, ...]
    filings: tuple[Filing, ...]  # in the order of the inbox
    links: Mapping[str, tuple[LinkedTicket, ...]]  # Incident → newly linked tickets
    waiting: Mapping[str, QueuedTicket]  # tickets that were not linked before, by id
    corrected: Corrected
    looked: Looked  # what the next look need not compare again
    queue: tuple[QueuedTicket, ...]  # the whole queue afterwards
    moves: tuple[MoveAlerts, ...] = ()
    experience: Experience = field(default_factory=Experience)
    look_again: timedelta | None = None

    @property
    def alerts(self) -> dict[str, tuple[Alert, ...]]:
        """Incident → alerts to file there."""
        return {name: tuple(f.alert for f in filings) for name, filings in self._by_incident().items()}

    def ledger_actions(self) -> list[FileToLedger]:
        """One action per Incident, the shortest first: a storm on one keeps no other waiting."""
        filings, by_people = self._by_incident(), self.corrected.filed
        actions = [
            self._to_ledger(name, filings.get(name, []), by_people.get(name, Filed()))
            for name in filings.keys() | self.links.keys() | by_people.keys()
        ]
        return sorted(actions, key=lambda action: (len(action.alerts), action.incident))

    def _to_ledger(self, name: str, filings: Sequence[Filing], by_people: Filed) -> FileToLedger:
        links = self.links.get(name, ())
        queued = [self.waiting[ticket.id] for ticket in links]
        return FileToLedger(
            incident=name,
            alerts=tuple(f.alert for f in filings),
            tickets=(*links, *by_people.tickets),
            reasons=Counter(f.reason for f in filings),
            originals=(*(q.ticket for q in queued), *by_people.originals),
            corrections=(*(record for q in queued for record in q.corrections), *by_people.corrections),
        )

    def _by_incident(self) -> dict[str, list[Filing]]:
        groups: dict[str, list[Filing]] = {}
        for filing in self.filings:
            if filing.incident:
                groups.setdefault(filing.incident, []).append(filing)
        return groups


def decide(
    facts: CorrelationFacts, now: datetime, grace: timedelta = REOPEN_GRACE, method: Method = METHOD
) -> Decision:
    """The Decision for one namespace; `grace` is how long after its resolution an Incident is reopened.

    The order of the actions makes a crash between any two of them harmless: Incidents, moves between ledgers, what is new
    into ledgers (filing twice is nothing; while it is new, alerts are grouped anew), the ticket queue, what people took out of
    ledgers, what that teaches, and only then inbox entries are deleted. What is left leads to the same end again.
    """
    correlation = correlate(facts, now, grace, method)
    paced = pace(facts, correlation.ledger_actions(), now)
    actions: list[Action] = [*correlation.creates, *correlation.moves, *paced.filings]
    if correlation.queue != facts.queue:
        actions.append(StoreTicketQueue(correlation.queue))
    corrections = correlation.corrected
    actions += [TakeTickets(name, records) for name, records in sorted(corrections.taken.items())]
    if corrections.answers:
        actions += [StoreTaught(corrections.taught), TellAnswers(tuple(corrections.answers))]
    if correlation.looked is not facts.looked:
        actions.append(NoteLooked(correlation.looked))
    if filed := _filed_entries(facts, correlation.filings, paced.waiting):
        actions.append(DeleteInboxEntries(filed))
    if correlation.experience is not facts.experience:
        actions.append(StoreExperience(correlation.experience))
    again = [wait for wait in (correlation.look_again, paced.look_again) if wait is not None]
    return Decision(actions=tuple(actions), look_again=min(again, default=None))


def relevant_incidents(incidents: Sequence[Incident], now: datetime, grace: timedelta = REOPEN_GRACE) -> list[Incident]:
    """Incidents whose ledgers a decision needs: open, merged into an open one, in grace, or still holding firing alerts."""
    opened = {i.metadata.name for i in incidents if i.is_open}
    return [
        i
        for i in incidents
        if i.is_open or i.status.merged_into in opened or i.resolved_within(grace, now) or i.status.alerts.firing > 0
    ]


def correlate(
    facts: CorrelationFacts, now: datetime, grace: timedelta = REOPEN_GRACE, method: Method = METHOD
) -> Correlation:
    """Places every alert of the inbox, opens Incidents for burns and for alerts without one, moves alerts, links tickets."""
    facts = replace(facts, releases=tuple(view_as_of(view, now) for view in facts.releases))
    topology = Topology(facts.releases)
    health = ServiceHealth(topology, facts.incidents, now, grace)
    measured, waits = incidents_for_measured_harm(health, facts.incidents, now)
    reader = reader_of(facts, health, method)
    filed = file_alerts(facts, health, measured, reader, now)
    creates = [*measured.values(), *filed.creates]
    ledgers = {**facts.further, **facts.ledgers}
    waiting = waiting_of(facts.tickets, facts.queue, ledgers, facts.house, pulls(facts.taught))
    corrections = correct(facts, waiting, now, grace)
    queued = tuple(corrections.queue.values())
    candidates = _candidates(facts, creates, filed.alerts, topology, reader, now, grace) if queued else []
    linked = link_tickets((), queued, corrections.ledgers, candidates, facts.house, facts.looked)
    waits = [*waits, *filed.waits, *([REST] if linked.more else [])]
    return Correlation(
        creates=tuple(sorted(creates, key=lambda c: c.name)),
        filings=filed.filings,
        links=linked.links,
        waiting=corrections.queue,
        corrected=corrections,
        queue=linked.queue,
        looked=linked.looked,
        moves=filed.moves,
        experience=learnt(facts, reader, grace, now),
        look_again=max(min(waits), SOONEST) if waits else None,
    )


def _candidates(
    facts: CorrelationFacts,
    creates: Sequence[CreateIncident],
    filed: Mapping[str, Sequence[Alert]],
    topology: Topology,
    reader: Reader,
    now: datetime,
    grace: timedelta,
) -> list[Candidate]:
    """Incidents that a ticket may be linked to: new, open, or resolved within the grace time."""
    incidents: list[tuple[str, IncidentSpec, Incident | None]] = [(c.name, c.spec, None) for c in creates]
    incidents += [(i.metadata.name, i.spec, i) for i in facts.incidents if i.is_open or i.resolved_within(grace, now)]
    learnt = learnt_words(facts.taught)
    return [
        of_incident(name, spec, incident, filed.get(name, ()), topology, reader, facts.house, learnt)
        for name, spec, incident in incidents
    ]


def _filed_entries(facts: CorrelationFacts, filings: Sequence[Filing], waiting: Collection[Key]) -> dict[str, str]:
    """ConfigMap → uid of the inbox entries of which no alert is held, or waits for its ledger."""
    held = {(*episode(f.alert), f.alert.status) for f in filings if f.held} | set(waiting)
    return {
        entry.name: entry.uid
        for entry in facts.inbox
        if not any((*episode(alert), alert.status) in held for alert in entry.alerts)
    }
