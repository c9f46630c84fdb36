"""How often a ledger is written, and a status of which only the counts of alerts changed: in a storm that is the most of all writes.

What an on-call engineer acts on waits for nothing: the first alert, a service that was not named before, the first or the last
alert that fires, and all else than counts. Further alerts on services that are known are filed and counted within `pause`: until
then they lie in the inbox, which is as durable, and are grouped with all others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.reported import AlertCounts
from opsloop.core.alerts.labels import service_of
from opsloop.core.alerts.ledger import SAMPLE, SERVICE_NAME
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.reported import Alert, Ledger

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(seconds=30)
RATE = 10  # such statuses a second, and such ledgers, of all Incidents, while no pause is the longest
LONGEST_FILING = timedelta(
    seconds=5
)  # what waits is read and grouped anew at each look, so that it must not become much


def pause(busy: int) -> timedelta:
    """The least time between two such writes of one Incident while so many Incidents get alerts."""
    return min(LONGEST, max(SHORTEST, timedelta(seconds=busy / RATE)))


def is_storm(busy: int) -> bool:
    """True where so many Incidents get alerts that not each of their ledgers can be written at each look."""
    return pause(busy) > SHORTEST


def filings_that_wait(may_wait: Mapping[str, datetime], busy: int, now: datetime) -> dict[str, timedelta]:
    """Incident → for how long its further alerts stay in the inbox, of those that may wait with the time at which each ledger was
    written last. Of those that are due a part is filed at each look, the longest waiting first: else all would be due at once.
    """
    most, each = min(pause(busy), LONGEST_FILING), max(RATE, ceil(busy / LONGEST_FILING.total_seconds()))
    waits = {name: written + most - now for name, written in may_wait.items()}
    due = sorted(name for name, wait in waits.items() if wait <= timedelta(0))
    filed = sorted(due, key=lambda name: waits[name])[:each]
    return {name: max(wait, SHORTEST) for name, wait in waits.items() if name not in filed}


def more_of_the_same(incident: Incident, ledger: Ledger, alerts: Sequence[Alert]) -> bool:
    """True for further alerts that tell an on-call engineer nothing new. One that ends does, as it may be the last."""
    services, kinds = incident.status.alerts.by_service, {_kind(alert) for alert in ledger.alerts}
    return (
        incident.status.alerts.firing > 0
        and len(ledger.alerts) >= SAMPLE
        and all(a.status == "firing" and _kind(a) in kinds for a in alerts)
        and all(service_of(a.labels)[:SERVICE_NAME] in services for a in alerts)
    )


def _kind(alert: Alert) -> tuple[str, str]:
    return alert.labels.get("alertname", ""), alert.labels.get("severity", "")


def pace(decision: IncidentBuilder) -> None:
    """Leaves the status as it is stored where nothing but counts differs and the last write was just now; asks for another look."""
    facts, before = decision.facts, decision.facts.incident.status
    if facts.stored_at is None or not _only_counts(before, decision.status):
        return
    left = facts.stored_at + pause(facts.busy) - decision.now
    if left > timedelta(0):
        decision.status = before
        decision.look_again(left)


def _only_counts(before: IncidentStatus, after: IncidentStatus) -> bool:
    """True where they differ in numbers of alerts only, and in none that tells something new."""
    if after == before or _news(before.alerts, after.alerts):
        return False
    otherwise = after.model_copy(update={"alerts": before.alerts, "dropped": before.dropped})
    return otherwise == before or otherwise.dump() == before.dump()  # as it is stored, times have no microseconds


def _news(before: AlertCounts, after: AlertCounts) -> bool:
    if not before.count or bool(before.firing) != bool(after.firing) or len(after.sample) > len(before.sample):
        return True
    return not after.by_service.keys() <= before.by_service.keys()
