"""Which filings of a look wait in a storm: further alerts that tell nothing new stay in the inbox until their ledger is due.

A body holds alerts of many Incidents, and its entry stays as long as one of them waits. So what of it is in a ledger already is
decided on again at each look, and is not filed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.core.actions import FileToLedger
from opsloop.core.alerts.ledger import episode, heard_at
from opsloop.core.facts import CorrelationFacts
from opsloop.core.incident.pacing import filings_that_wait, is_storm, more_of_the_same
from opsloop.core.reported import Alert, Ledger

Key = tuple[str, datetime, str]  # an episode and its status


@dataclass(frozen=True, slots=True)
class Paced:
    """What is filed now, and the alerts that wait."""

    filings: tuple[FileToLedger, ...]
    waiting: frozenset[Key] = frozenset()
    look_again: timedelta | None = None  # when the first of them is due


def key(alert: Alert) -> Key:
    """Of an alert in the inbox."""
    return (*episode(alert), alert.status)


@dataclass(slots=True)
class _Sorted:
    now: list[FileToLedger] = field(default_factory=list)
    later: dict[str, tuple[FileToLedger, list[Alert]]] = field(
        default_factory=dict
    )  # Incident → its filing, what is new


def pace(facts: CorrelationFacts, filings: Sequence[FileToLedger], now: datetime) -> Paced:
    """The filings, without those that wait. None waits where the inbox holds more than one look takes."""
    if facts.crowded or not is_storm(facts.busy):
        return Paced(tuple(filings))
    found, incidents = _Sorted(), {i.metadata.name: i for i in facts.incidents}
    for filing in filings:
        name = filing.incident
        known = name in facts.written and name in facts.ledgers and name in incidents
        if not known or filing.tickets or filing.corrections:
            found.now.append(filing)
        elif not (further := _not_there(facts.ledgers[name], filing.alerts)):
            continue
        elif more_of_the_same(incidents[name], facts.ledgers[name], further):
            found.later[name] = filing, further
        else:
            found.now.append(filing)
    waits = filings_that_wait({name: facts.written[name] for name in found.later}, facts.busy, now)
    due = [filing for name, (filing, _) in found.later.items() if name not in waits]
    waiting = frozenset(key(alert) for name in waits for alert in found.later[name][1])
    return Paced((*found.now, *due), waiting, min(waits.values(), default=None))


def _not_there(ledger: Ledger, alerts: Sequence[Alert]) -> list[Alert]:
    """Alerts that the ledger does not hold as they are: what it knows no more of than that somebody spoke of it since is new."""
    there = {key(alert): heard_at(alert) for alert in ledger.alerts}
    return [alert for alert in alerts if key(alert) not in there or there[key(alert)] < heard_at(alert)]
