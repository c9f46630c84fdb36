"""How often a status is stored of which only the counts of alerts changed: in a storm that is the most of all writes.

What an on-call engineer acts on waits for nothing: the first alert, a service that was not named before, the first or the last
alert that fires, and all else than counts. Further alerts on services that are known are counted within `pause`.
"""

from datetime import timedelta

from opsloop.api.incident import AlertCounts, IncidentStatus
from opsloop.core.incident.state import IncidentBuilder

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(seconds=30)
RATE = 10  # such statuses a second, of all Incidents, while no pause is LONGEST


def pause(busy: int) -> timedelta:
    """The least time between two such writes of one Incident while so many Incidents get alerts."""
    return min(LONGEST, max(SHORTEST, timedelta(seconds=busy / RATE)))


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
