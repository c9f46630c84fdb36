"""A call that waits a moment, because what the service depends on shows trouble too and may prove to be the root.

The one fault of a dependency is often read on its callers first: they err by all of it, and their objective may be tighter.
Whoever is woken for the caller looks at the wrong service, and is woken again for the root. So the first call of a burn waits
while a dependency shows signs of its own, or was not read yet by a process that just took over: for a few scrapes, in which a harm
that is there shows in every SLI that it reaches. A healthy dependency, or one that was read and is unknown, delays nothing, a sign
that lasts delays no longer than that, and pods that are missing for days delay one Incident of a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.core import conditions
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import dependencies, merging, thread
from opsloop.core.incident.dependencies import GAP, Breach, breach_of, incident_on, root_of
from opsloop.core.incident.handover import same_people
from opsloop.core.release.budgets import shortage_since
from opsloop.core.release.outages import BELOW_MINIMUM
from opsloop.core.slo.merged import verdicts
from opsloop.core.topology import Topology

# Named reasons
DEPENDENCY_SUSPECTED = "DependencySuspected"  # a dependency shows trouble too: the call waits a moment for the root
TAKES_OVER = "TakesOver"  # an Incident that called people is merged into this one first, and its page goes on here

SCRAPES = 2  # each SLI is scraped once since the caller's, and once more for one that is late
MOST_HELD = timedelta(minutes=1)  # however rarely is scraped
MOST_TAKEOVER = timedelta(seconds=10)  # two looks of two Incidents
SOONEST = timedelta(seconds=1)
EPISODE = timedelta(days=1)  # in it missing pods delay one first call of a caller, unless they prove to be its root
TOO_FEW = "has too few pods"
UNREAD = "has an SLO that this process has not read yet"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why the first call of an Incident waits, until when at most, and when to look again."""

    reason: str
    text: str
    until: datetime
    again: timedelta


def held(facts: IncidentFacts, status: IncidentStatus, topology: Topology, now: datetime) -> Hold | None:
    """What the first call of an Incident waits for; None where it is due. `status` is as decided so far."""
    if thread.messages_of(status.page) or status.reopened or status.detected_at is None:
        return None
    return _for_heirs(facts, status, topology, now) or _for_root(facts, status, topology, now)


def _for_heirs(facts: IncidentFacts, status: IncidentStatus, topology: Topology, now: datetime) -> Hold | None:
    """Waits until an Incident that called people is merged into this one, so that its page goes on here. They are awake."""
    before = conditions.get(status.conditions, "Paged")
    waits = before is not None and before.reason == TAKES_OVER
    until = (before.last_transition_time if before and waits else now) + MOST_TAKEOVER
    taken = taken_over(facts, status, topology, now) if now < until else []
    if not taken:
        return None
    text = f"{', '.join(taken)} called people and is merged into this Incident first: its page goes on here"
    return Hold(TAKES_OVER, text, until, SOONEST)


def _for_root(facts: IncidentFacts, status: IncidentStatus, topology: Topology, now: datetime) -> Hold | None:
    """Waits whether what it depends on proves to be the root. Not where the harm was told by alerts or pods, which wait before."""
    root, detected = facts.root, status.detected_at
    if root is None or status.burn is None or detected is None:
        return None
    if status.phase != "Open" or any(
        play.type != "escalate" and play.state not in ("Requested", "Refused") for play in status.plays
    ):
        return None  # something is done for it: people hear of that. A step that is only asked for is not
    until = _since(facts, detected) + min(SCRAPES * root.readings.scrape, MOST_HELD)
    breach = breach_of(root, status.severity)
    if now >= until or breach is None:
        return None
    signs = suspects(root.release.metadata.name, breach, facts.incidents, topology, now)
    if not signs or (set(signs.values()) == {TOO_FEW} and _waited_in_vain(facts, now)):
        return None
    shown = "; ".join(f"{dependency}, which it depends on, {sign}" for dependency, sign in signs.items())
    text = f"{shown}: the call waits until {until:%H:%M:%S} UTC at most, as that may be the root"
    return Hold(DEPENDENCY_SUSPECTED, text[:1000], until, max(min(until - now, root.readings.interval), SOONEST))


def _waited_in_vain(facts: IncidentFacts, now: datetime) -> bool:
    """True where an Incident of the same root waited lately for pods that are missing, and that proved to be no root of it.

    Nothing tells since when a Deployment has fewer pods than its strategy allows, and it may stay so for days.
    """
    before = [i for i in facts.incidents if root_of(i) == root_of(facts.incident) and not i.status.merged_into]
    waits = [entry for i in before for entry in i.status.timeline if entry.type == "PageWaits"]
    return any(TOO_FEW in entry.message and now - entry.at <= EPISODE for entry in waits)


def _since(facts: IncidentFacts, detected: datetime) -> datetime:
    """Since when people are to be called: harm that moved here from a merged Incident has waited there already."""
    name = facts.incident.metadata.name
    told = [i.status.detected_at for i in facts.incidents if i.status.merged_into == name]
    return min([detected, *(at for at in told if at is not None)])


def taken_over(facts: IncidentFacts, status: IncidentStatus, topology: Topology, now: datetime) -> list[str]:
    """Incidents that called people and that this one explains, as they will find themselves when they are looked at next."""
    own = facts.incident.model_copy(update={"status": status})
    found = []
    for other in facts.incidents:
        if not other.is_open or not thread.calls(other.status.page, "") or not same_people(other, own):
            continue
        if _ends_in(own, other, [own, *facts.incidents], topology, now):
            found.append(other.metadata.name)
    return sorted(found)


def _ends_in(own: Incident, other: Incident, incidents: Sequence[Incident], topology: Topology, now: datetime) -> bool:
    """True where the other one is merged into `own`, at once or by way of those between them."""
    seen = set[str]()
    while other is not own and other.metadata.name not in seen:
        seen.add(other.metadata.name)
        rest = [i for i in incidents if i is not other]
        target = merging.merge_target(other, other.status, topology.views.get(other.spec.release), rest, topology, now)
        if target is None:
            return False
        other = target
    return other is own


def suspects(
    name: str, breach: Breach, incidents: Sequence[Incident], topology: Topology, now: datetime
) -> dict[str, str]:
    """What `name` depends on and what shows trouble of its own, the nearest first, each with the sign that it shows.

    Not what depends on `name` in turn: of two that need each other neither waits for the other.
    """
    found = {}
    for dependency in topology.dependencies(name):
        if name in topology.dependencies(dependency):
            continue
        if text := sign(topology.views.get(dependency), incident_on(dependency, incidents), breach, now):
            found[dependency] = text
    return found


def sign(view: ReleaseView | None, incident: Incident | None, breach: Breach, now: datetime) -> str:
    """The strongest sign that this dependency is in trouble of its own since about the time of the breach; "" = none."""
    if dependencies.explains(view, incident, breach, now):
        return "is harmed as well"
    if view is not None and _misses_pods(view, breach):
        return TOO_FEW
    if incident is not None and _alerts(incident, breach):
        return "has alerts that fire"
    if view is not None and _worsens(view):
        return "errs more than it may, and more than before"
    return UNREAD if view is not None and view.release.spec.slo is not None and view.readings.verdict is None else ""


def _misses_pods(view: ReleaseView, breach: Breach) -> bool:
    available, short = conditions.get(view.release.status.conditions, "Available"), shortage_since(view.release)
    if available is not None and available.reason == BELOW_MINIMUM:
        return True
    return short is not None and abs(breach.since - short) <= GAP


def _alerts(incident: Incident, breach: Breach) -> bool:
    alerts = incident.status.alerts
    first = alerts.first_at or incident.spec.signal.at
    return incident.is_open and alerts.firing > 0 and abs(breach.since - first) <= GAP


def _worsens(view: ReleaseView) -> bool:
    """True where an SLI spends its budget too fast, and lately faster than before: not what smoulders for hours."""
    verdict = view.readings.verdict
    tiers = [tier for one in verdicts(verdict) for tier in one.tiers] if verdict else []
    return any((t.burn_short or 0.0) > max(1.0, t.burn_long or 0.0) for t in tiers)
