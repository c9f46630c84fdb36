"""A recorded storm, replayed: bodies in the order of their arrival, regrouped whenever the facts changed.

The same `grouping.group` that the operator calls; what it lacks offline is the cluster: no unready pods, no changes, no SLIs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.core.correlation.facts import Key, Reader, facts_of
from opsloop.core.correlation.grouping import Group, Grouping, group_facts
from opsloop.core.correlation.identity import Settled, fixed_roots, settle
from opsloop.core.correlation.paths import Known
from opsloop.core.correlation.ticket_candidates import of_group
from opsloop.core.facts import Alert, Ticket, Triage
from opsloop.core.tickets.linking import link
from opsloop.core.tickets.triage import triage

REFIRE = timedelta(minutes=20)  # an alert that fires again so soon after its end goes on, and is no new one


@dataclass(slots=True)
class Replay:
    """One storm. Alerts are told apart by fingerprint; one that fires again after long is told by its latest episode."""

    reader: Reader
    alerts: dict[str, Alert] = field(default_factory=dict)  # fingerprint → the first episode that counts
    grouping: Grouping = field(default_factory=lambda: Grouping((), ()))
    moves: dict[str, int] = field(default_factory=dict)  # fingerprint → how often it went to another Incident
    first_roots: dict[str, str] = field(default_factory=dict)  # Incident → what was at fault when it was opened
    _settled: Settled = field(default_factory=lambda: Settled({}, {}, ()))
    _ends: dict[str, datetime] = field(default_factory=dict)
    _seen: set[tuple[Key, str]] = field(default_factory=set)

    def add(self, alerts: Sequence[Alert]) -> None:
        """Files one body and regroups."""
        changed = False
        for alert in alerts:
            episode = (alert.fingerprint, alert.starts_at.timestamp()), alert.status
            if episode in self._seen:
                continue
            self._seen.add(episode)
            changed |= self._file(alert)
        if changed:
            self._regroup()

    def groups(self) -> Mapping[str, Group]:
        """Incident → its group, by time."""
        return self._settled.groups

    def group_of(self) -> dict[str, str]:
        """Fingerprint → name of its group, for alerts that have one."""
        return {key[0]: name for name, group in self.groups().items() for key in sorted(group.keys)}

    def _file(self, alert: Alert) -> bool:
        """True if it may change the groups."""
        known, ended = self.alerts.get(alert.fingerprint), self._ends.get(alert.fingerprint)
        if alert.ends_at and (ended is None or ended < alert.ends_at):
            self._ends[alert.fingerprint] = alert.ends_at
        if known is None or alert.starts_at < known.starts_at:
            self.alerts[alert.fingerprint] = alert
            return True
        if ended is not None and alert.starts_at > ended + REFIRE:
            self.alerts[alert.fingerprint] = alert
            return True
        return False

    def _regroup(self) -> None:
        readings = map(self.reader, self.alerts.values())
        facts = facts_of(readings, self.reader.method.split)
        self.grouping = group_facts(facts, self.reader, Known(), fixed_roots(self._settled.incidents.values()))
        self._settled = settle(self.grouping, self._settled.incidents, self._new_name)
        for move in self._settled.moves:
            self.moves[move.key[0]] = self.moves.get(move.key[0], 0) + 1

    def _new_name(self, service: str) -> str:
        name = f"incident-{len(self.first_roots) + 1}"
        self.first_roots[name] = service
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
