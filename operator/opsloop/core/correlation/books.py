"""What the ledgers of a namespace say: every alert episode with the Incident that it belongs to, and moves that broke off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.core.actions import MoveAlerts
from opsloop.core.alerts.ledger import firing_now
from opsloop.core.alerts.pages import held
from opsloop.core.correlation.facts import Key
from opsloop.core.correlation.spells import key_of
from opsloop.core.reported import Alert, Ledger, Moved, Page


@dataclass(frozen=True, slots=True)
class Holder:
    """A ledger in which an episode lies, and the turn in which it came there (0: it was filed there first)."""

    name: str  # of the ledger's Incident
    final: str  # the one that took that over, else itself
    turn: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class Books:
    """Episodes by key. Where several ledgers hold one, that to which it moved last has it, then an open, then the latest Incident."""

    homes: Mapping[Key, str]  # the Incident that has it: where that was merged, the one that took it over
    holders: Mapping[Key, tuple[Holder, ...]]  # that which has it comes first
    firing: Mapping[str, str]  # fingerprint → Incident, open or closed, by whose ledger it fires
    pages: tuple[
        tuple[str, tuple[Page, ...]], ...
    ] = ()  # (Incident, alerts of its ledger in short form); that which has one comes first

    def rolled(self, fingerprint: str) -> tuple[str, tuple[Alert, ...]]:
        """(Incident, episodes) of an alert that is kept in short form, by their beginning; ("", ()) where none is."""
        for name, pages in self.pages:
            if episodes := held(pages, fingerprint):
                return name, episodes
        return "", ()

    def alerts_of(self, keys: Iterable[Key]) -> list[Alert]:
        """The episodes as they are filed."""
        return [self.holders[key][0].alert for key in keys]

    def move(self, target: str, keys: Iterable[Key], why: Mapping[Key, str], at: datetime) -> MoveAlerts:
        """The move of these episodes to the ledger of `target`, out of every other one."""
        alerts: list[Alert] = []
        came: list[Moved] = []
        left: dict[str, list[Moved]] = {}
        for key in sorted(keys):
            holders = self.holders[key]
            alert, before, turn = holders[0].alert, self.homes[key], 1 + max(h.turn for h in holders)
            alerts.append(alert)
            came.append(Moved(alert.fingerprint, alert.starts_at, turn, False, before, at, why.get(key, "")))
            for name in (h.name for h in holders if h.name != target):
                record = Moved(alert.fingerprint, alert.starts_at, turn, True, target, at, why.get(key, ""))
                left.setdefault(name, []).append(record)
        return MoveAlerts(target, tuple(alerts), tuple(came), {name: tuple(left[name]) for name in sorted(left)})

    def broken_off(self, at: datetime) -> list[MoveAlerts]:
        """The records that a crash left out: episodes that came to one ledger and have not left the other."""
        left: dict[str, dict[str, list[Moved]]] = {}
        for holders in self.holders.values():
            home = holders[0]
            if not home.turn:
                continue
            for other in (h for h in holders[1:] if h.final != home.final):
                record = Moved(home.alert.fingerprint, home.alert.starts_at, home.turn, True, home.name, at)
                left.setdefault(home.name, {}).setdefault(other.name, []).append(record)
        return [
            MoveAlerts(target, left={name: tuple(records[name]) for name in sorted(records)})
            for target, records in sorted(left.items())
        ]


def read(incidents: Sequence[Incident], ledgers: Mapping[str, Ledger]) -> Books:
    """The books of these Incidents."""
    merged_into = {i.metadata.name: i.status.merged_into for i in incidents}
    opened = {i.metadata.name for i in incidents if i.is_open}
    holders: dict[Key, list[tuple[tuple[int, bool, int], Holder]]] = {}
    firing: dict[str, str] = {}
    short: list[tuple[str, tuple[Page, ...]]] = []
    for order, incident in enumerate(sorted(incidents, key=lambda i: (i.is_open, i.spec.signal.at))):
        name, ledger = incident.metadata.name, ledgers.get(incident.metadata.name, Ledger())
        final = _final(name, merged_into)
        turns = {(m.fingerprint, m.starts_at): m.turn for m in ledger.moves}
        for alert in ledger.alerts:
            turn = turns.get((alert.fingerprint, alert.starts_at), 0)
            holders.setdefault(key_of(alert), []).append(
                ((turn, final in opened, order), Holder(name, final, turn, alert))
            )
        firing |= dict.fromkeys(firing_now(ledger.alerts), final)
        if ledger.pages:
            short.append((final, ledger.pages))
    ordered = {
        key: (found[0][1],) if len(found) == 1 else tuple(h for _, h in sorted(found, key=_rank, reverse=True))
        for key, found in holders.items()  # a storm's many thousands, of which hardly one lies in two ledgers
    }
    homes = {key: found[0].final for key, found in ordered.items()}
    return Books(homes, ordered, firing, tuple(reversed(short)))


def _rank(found: tuple[tuple[int, bool, int], Holder]) -> tuple[int, bool, int]:
    return found[0]


def _final(name: str, merged_into: Mapping[str, str]) -> str:
    """The Incident at the end of the merges, as far as they lead to one that exists. Cycles end."""
    visited = {name}
    while (target := merged_into[name]) in merged_into and target not in visited:
        name = target
        visited.add(name)
    return name
