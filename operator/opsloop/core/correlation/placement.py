"""Where one alert goes: an ordered chain of checks, the first of which that answers decides.

An alert is judged once and stays where it was filed. In order:
1. *same episode, same fingerprint*: the ledger of an Incident holds it already.
2. *unheard end*: the end of an episode whose beginning nobody reported opens nothing; it joins what is there.
3. *explained*: the deepest harmed service among its own and that service's dependencies is the root.
4. *joined*: an Incident of its own service is open.
5. *unclear*: while its dependencies could still turn out to be the root it stays in the inbox, at most SETTLE.
6. *aftermath*: an Incident ended so recently that the alert is part of that storm.
7. *own*: a new Incident of its own service, at a severity that does not page where an SLO decides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.core.alerts.labels import is_starved
from opsloop.core.alerts.ledger import Episode, episode, firing_now
from opsloop.core.correlation.service_health import LocatedAlert, ServiceHealth, State
from opsloop.core.facts import Ledger

SETTLE = timedelta(seconds=10)  # longest time for which an alert waits for its dependencies' state

SAME_EPISODE = "SameEpisode"  # this very episode is in that Incident's ledger
SAME_FINGERPRINT = "SameFingerprint"  # that Incident holds an earlier episode of the alert
EXPLAINED = "ExplainedByRoot"  # the service, or one of its dependencies, is harmed: the Incident of the deepest such
JOINED = "JoinedOpenIncident"  # an Incident of its own service is open
AFTERMATH = "AftermathOfResolved"  # the storm it belongs to was resolved within the grace time
OWN = "OwnIncident"  # nothing explains it: visible, at its own service
DEPENDENCY_UNCLEAR = "DependencyUnclear"  # held: a dependency of its service may still prove to be the root
RESOLVED_UNHEARD = "ResolvedUnheard"  # the end of an alert that nobody reported: no harm, nothing to file it under


@dataclass(frozen=True, slots=True)
class Placement:
    """Destination of one alert.

    `incident` names one that exists. Without it `root` gets a new Incident in this decision; without either the alert
    stays in the inbox (DependencyUnclear) or is dropped.
    """

    reason: str
    root: str = ""
    incident: str = ""


@dataclass(frozen=True, slots=True)
class LedgerIndex:
    """Names of the Incidents that hold alerts already; a merged Incident is replaced by the one it was merged into."""

    episodes: Mapping[Episode, str]
    holders: Mapping[str, str]  # fingerprint → Incident that takes a further episode: open, else one that reopens
    firing: Mapping[str, str]  # fingerprint → Incident, open or closed, by whose ledger it fires


@dataclass(frozen=True, slots=True)
class PlacementFacts:
    """Everything besides the alert that its placement depends on."""

    health: ServiceHealth
    index: LedgerIndex
    reported: frozenset[Episode]  # episodes whose beginning lies in the inbox
    new_roots: frozenset[str]  # roots for which a burn opens an Incident in this decision
    since: datetime | None  # when this process began to look: it waits for its first readings too
    now: datetime

    def has_open(self, root: str) -> bool:
        """True if an Incident of this root is open or is about to be."""
        return root in self.health.open or root in self.new_roots

    def existing(self, root: str) -> str:
        """The root's open Incident, else the one that a breach would reopen; "" = none."""
        incident = self.health.open.get(root) or self.health.recent.get(root)
        return incident.metadata.name if incident else ""

    def due(self, subject: LocatedAlert) -> datetime:
        """The time at which the alert is filed at the latest."""
        received_at = subject.alert.received_at
        return max(received_at, self.since or received_at) + SETTLE

    def is_due(self, subject: LocatedAlert) -> bool:
        """True if the alert has waited long enough for its dependencies' state."""
        return self.now >= self.due(subject)


Check = Callable[[LocatedAlert, PlacementFacts], Placement | None]


def place(subject: LocatedAlert, facts: PlacementFacts) -> Placement:
    """The answer of the first check of CHECKS that has one; the last always has."""
    return next(placement for check in CHECKS if (placement := check(subject, facts)))


def same_episode(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """The Incident, open or closed, whose ledger holds this episode."""
    incident = facts.index.episodes.get(episode(subject.alert))
    return Placement(SAME_EPISODE, incident=incident) if incident else None


def same_fingerprint(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """The Incident that takes a further episode; for an end also a closed one by whose ledger the alert still fires."""
    incident = facts.index.holders.get(subject.alert.fingerprint)
    if not incident and subject.alert.status == "resolved":
        incident = facts.index.firing.get(subject.alert.fingerprint)
    return Placement(SAME_FINGERPRINT, incident=incident) if incident else None


def unheard_end(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """For the end of an episode whose beginning nobody reported: what is open, else what ended lately, else nothing."""
    if subject.alert.status != "resolved" or episode(subject.alert) in facts.reported:
        return None
    starts_at = subject.alert.starts_at
    harmed = facts.health.harmed_root(subject.root, starts_at)
    for root, reason in ((harmed, EXPLAINED), (subject.root, JOINED)):
        if facts.has_open(root):
            return Placement(reason, root, facts.existing(root))
    recent = facts.health.recent_root(subject.root, starts_at)
    return Placement(AFTERMATH if recent else RESOLVED_UNHEARD, recent, facts.existing(recent))


def explained_by_root(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """The harmed root; held while a dependency of that root could still prove to be a deeper one."""
    health, starts_at = facts.health, subject.alert.starts_at
    starved_by = health.starved_by(subject.root, starts_at) if is_starved(subject.alert) else ""
    root = starved_by or health.harmed_root(subject.root, starts_at)
    if not root:
        return None
    healthy = all(health.harm(name).state is State.HEALTHY for name in health.topology.dependencies(root))
    if facts.has_open(root) or healthy or facts.is_due(subject):
        return Placement(EXPLAINED, root, facts.existing(root))
    return Placement(DEPENDENCY_UNCLEAR)


def joined_open_incident(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """The open Incident of the alert's own service."""
    return Placement(JOINED, subject.root, facts.existing(subject.root)) if facts.has_open(subject.root) else None


def dependency_unclear(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """Held: the service depends on others, and their state may not be known yet."""
    depends = facts.health.topology.dependencies(subject.root)
    return Placement(DEPENDENCY_UNCLEAR) if depends and not facts.is_due(subject) else None


def aftermath(subject: LocatedAlert, facts: PlacementFacts) -> Placement | None:
    """The Incident that ended so recently that the alert is part of its storm."""
    root = facts.health.recent_root(subject.root, subject.alert.starts_at)
    return Placement(AFTERMATH, root, facts.existing(root)) if root else None


def own_incident(subject: LocatedAlert, facts: PlacementFacts) -> Placement:
    """A new Incident of the alert's own service."""
    return Placement(OWN, subject.root)


CHECKS: tuple[Check, ...] = (
    same_episode,
    same_fingerprint,
    unheard_end,
    explained_by_root,
    joined_open_incident,
    dependency_unclear,
    aftermath,
    own_incident,
)


def index_ledgers(
    incidents: Sequence[Incident], ledgers: Mapping[str, Ledger], now: datetime, grace: timedelta
) -> LedgerIndex:
    """The index of all ledgers at hand; where several Incidents hold an alert an open one, then the latest, counts."""
    merged_into = {i.metadata.name: i.status.merged_into for i in incidents}
    episodes: dict[Episode, str] = {}
    holders: dict[str, str] = {}
    firing: dict[str, str] = {}
    for incident in sorted(incidents, key=lambda i: (i.is_open, i.spec.signal.at)):
        name = _final(incident.metadata.name, merged_into)
        alerts = ledgers.get(incident.metadata.name, Ledger()).alerts
        episodes |= dict.fromkeys(map(episode, alerts), name)
        firing |= dict.fromkeys(firing_now(alerts), name)
        if incident.is_open or incident.reopens(grace, now):
            holders |= {a.fingerprint: name for a in alerts}
    return LedgerIndex(episodes, holders, firing)


def _final(name: str, merged_into: Mapping[str, str]) -> str:
    """The Incident at the end of the merges, as far as they lead to one that exists. Cycles end."""
    visited = {name}
    while (target := merged_into[name]) in merged_into and target not in visited:
        name = target
        visited.add(name)
    return name
