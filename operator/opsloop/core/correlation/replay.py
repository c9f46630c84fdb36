"""A recorded storm, replayed: bodies in the order of their arrival, regrouped whenever the facts changed.

The same `grouping.group` that the operator calls; what it lacks offline is the cluster: no unready pods, no changes, no SLIs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opsloop.core.alerts.ledger import merge
from opsloop.core.correlation.facts import Reader, facts_of
from opsloop.core.correlation.grouping import Group, Grouping, group_facts
from opsloop.core.correlation.identity import Settled, fixed_roots, settle
from opsloop.core.correlation.paths import Known
from opsloop.core.correlation.spells import key_of, spells
from opsloop.core.correlation.ticket_candidates import of_group
from opsloop.core.reported import Alert, Ledger, Ticket, Triage
from opsloop.core.tickets.linking import link
from opsloop.core.tickets.triage import triage


@dataclass(slots=True)
class Replay:
    """One storm. An alert that fires again after long is told once more."""

    reader: Reader
    alerts: dict[str, Alert] = field(default_factory=dict)  # fingerprint → the first episode of its latest spell
    grouping: Grouping = field(default_factory=lambda: Grouping((), ()))
    moves: dict[str, int] = field(default_factory=dict)  # fingerprint → how often it went to another Incident
    first_roots: dict[str, str] = field(default_factory=dict)  # Incident → what was at fault when it was opened
    _settled: Settled = field(default_factory=lambda: Settled({}, {}, ()))
    _filed: Ledger = field(default_factory=Ledger)
    _told: tuple[Alert, ...] = ()

    def add(self, alerts: Sequence[Alert]) -> None:
        """Files one body and regroups."""
        filed = merge(self._filed, alerts)
        if filed == self._filed:
            return
        self._filed, heads = filed, spells(filed.alerts)
        told = tuple(a for a in filed.alerts if heads[key_of(a)] == key_of(a))
        if [key_of(a) for a in told] != [key_of(a) for a in self._told]:
            self._told = told
            self.alerts = {alert.fingerprint: alert for alert in told}
            self._regroup()

    def groups(self) -> Mapping[str, Group]:
        """Incident → its group, by time."""
        return self._settled.groups

    def group_of(self) -> dict[str, str]:
        """Fingerprint → name of its group, for alerts that have one."""
        return {key[0]: name for name, group in self.groups().items() for key in sorted(group.keys)}

    def _regroup(self) -> None:
        readings = map(self.reader, self._told)
        facts = facts_of(readings, self.reader.method.split)
        self.grouping = group_facts(facts, self.reader, Known(), fixed_roots(self._settled.incidents.values()))
        self._settled = settle(self.grouping, self._settled.incidents, self._new_name)
        for move in self._settled.moves:
            self.moves[move.key[0]] = self.moves.get(move.key[0], 0) + 1

    def _new_name(self, group: Group) -> str:
        name = f"incident-{len(self.first_roots) + 1}"
        self.first_roots[name] = group.service
        return name


@dataclass(frozen=True, slots=True)
class TicketPlace:
    """Judgement on a ticket and the name of its group, "" = none."""

    triage: Triage
    group: str


def place_tickets(replay: Replay, tickets: Sequence[Ticket]) -> dict[str, TicketPlace]:
    """Ticket → its judgement and group, by what is known at the end of the storm."""
    candidates = [of_group(name, group, replay.reader.graph) for name, group in replay.groups().items()]
    places = {}
    for ticket in tickets:
        judgement = triage(ticket)
        match = link(ticket, judgement, candidates)
        places[ticket.id] = TicketPlace(judgement, match.candidate.incident if match else "")
    return places
