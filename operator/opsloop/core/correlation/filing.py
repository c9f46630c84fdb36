"""Where every alert of a namespace goes: all of its open Incidents and its inbox, grouped anew, and what follows from that.

The groups are those of `core.correlation.grouping`, the code that `opsloop correlate` replays. An Incident stays the one that it
was (`identity`); an alert that another one explains better moves there. What the method cannot know is settled here:
- an alert is *held* in the inbox for at most SETTLE where others may still say whose it is, so that one storm opens one Incident;
- harm that an SLI or a workload told takes in what its root says as long as it lasts, however late;
- what belongs to no group is seen in an Incident of its own; housekeeping (a certificate, a backup) in one that pages nobody,
  and alerts that fire while all is well nowhere;
- nothing is filed in an Incident that is over, except what began in its time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.core import conditions
from opsloop.core.actions import CreateIncident, MoveAlerts
from opsloop.core.alerts.ledger import firing_now, merge
from opsloop.core.correlation import books, standing
from opsloop.core.correlation.books import Books
from opsloop.core.correlation.classes import HEARTBEAT, HYGIENE
from opsloop.core.correlation.entities import SERVICE
from opsloop.core.correlation.facts import Key, Reader, Reading, facts_of
from opsloop.core.correlation.grouping import Group, group_facts
from opsloop.core.correlation.identity import Held, fixed_roots, settle
from opsloop.core.correlation.new_incident import for_alerts, for_housekeeping, slug
from opsloop.core.correlation.search import Attribution
from opsloop.core.correlation.service_health import ServiceHealth, State
from opsloop.core.correlation.spells import goes_on, key_of, spells
from opsloop.core.facts import CorrelationFacts
from opsloop.core.incident.dependencies import root_of, severity_of
from opsloop.core.incident.recovery import WENT_STALE
from opsloop.core.reported import Alert, Ledger

SETTLE = timedelta(seconds=10)  # longest time for which an alert waits for what others say

SAME_EPISODE = "SameEpisode"  # this very episode is in that Incident's ledger
SAME_FINGERPRINT = "SameFingerprint"  # it goes on from an earlier episode of that Incident
AT_ROOT = "AtRoot"  # it is about the service that is at fault, as the alerts together tell
EXPLAINED = "ExplainedByRoot"  # another service is at fault, as the alerts together tell
JOINED = "JoinedOpenIncident"  # an Incident of its service is open whose harm is measured and lasts
AFTERMATH = "AftermathOfResolved"  # it began in the time of an Incident that was resolved within the grace time
OWN = "OwnIncident"  # nothing explains it: seen, in an Incident of its own
HOUSEKEEPING = "Housekeeping"  # it tells of no fault: seen, and pages nobody
ALWAYS_FIRES = "AlwaysFires"  # it fires while all is well, so that somebody notices when it does not: filed nowhere
DEPENDENCY_UNCLEAR = "DependencyUnclear"  # held: other alerts, or a dependency, may still prove to be the root
RESOLVED_UNHEARD = "ResolvedUnheard"  # the end of an alert that nobody reported: no harm, nothing to file it under


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
class Filed:
    """Filings in the order of the inbox, Incidents that they open, moves between ledgers, and times until a held one is due."""

    filings: tuple[Filing, ...]
    creates: tuple[CreateIncident, ...] = ()
    moves: tuple[MoveAlerts, ...] = ()
    waits: tuple[timedelta, ...] = ()
    alerts: Mapping[str, tuple[Alert, ...]] = field(default_factory=dict)
    """Incident → what it holds afterwards; empty where no ticket waits."""


def file_alerts(
    facts: CorrelationFacts,
    health: ServiceHealth,
    measured: Mapping[str, CreateIncident],
    reader: Reader,
    now: datetime,
) -> Filed:
    """Places what the inbox holds. `measured`: root → Incident that this very decision opens for what is measured."""
    return _Desk(facts, health, measured, reader, books.read(facts.incidents, facts.ledgers), now).filed()


class _Desk:
    """One look. Episodes are spoken of by their key; `heads` leads from each to the first of its spell, which is grouped."""

    def __init__(
        self,
        facts: CorrelationFacts,
        health: ServiceHealth,
        measured: Mapping[str, CreateIncident],
        reader: Reader,
        written: Books,
        now: datetime,
    ) -> None:
        self.facts, self.health, self.measured = facts, health, measured
        self.reader, self.books, self.now = reader, written, now
        self.incidents = {i.metadata.name: i for i in facts.incidents}
        self.creates: dict[str, CreateIncident] = {}
        self.told: dict[Key, tuple[str, str]] = {}  # episode → (Incident, reason), as far as it is settled
        self.why: dict[Key, str] = {}
        self.held: set[Key] = set()
        self.inbox = {key_of(alert): alert for alert in merge(Ledger(), facts.alerts).alerts}
        self.heard = {key_of(alert) for alert in facts.alerts if alert.status == "firing"}
        for key, alert in self.inbox.items():
            if known := self._as_before(key, alert):
                self.told[key] = known
        self.fresh = {key: alert for key, alert in self.inbox.items() if key not in self.told}
        open_ = {key for key, home in written.homes.items() if home in self.incidents and self.incidents[home].is_open}
        ends = [alert for key, alert in self.inbox.items() if key in open_]
        episodes = merge(Ledger(tuple(written.alerts_of(open_))), [*ends, *self.fresh.values()]).alerts
        self.episodes = {key_of(alert): alert for alert in episodes}
        self.heads = spells(episodes)
        self.heard |= {self.heads[key] for key in self.heard & self.heads.keys()}
        self.readings: dict[Key, Reading] = {}
        self.homes = {key: written.homes[key] for key in open_}

    def _as_before(self, key: Key, alert: Alert) -> tuple[str, str] | None:
        """The Incident that has this episode, or that takes it though it is closed."""
        rolled, episodes = self.books.rolled(alert.fingerprint)
        home = self.books.homes.get(key, "") or (rolled if any(key_of(e) == key for e in episodes) else "")
        if home and not (alert.status == "firing" and self._went_stale(home)):
            return home, SAME_EPISODE
        if alert.status == "resolved" and key not in self.heard and alert.fingerprint in self.books.firing:
            return self.books.firing[alert.fingerprint], SAME_FINGERPRINT
        if rolled and key not in self.books.homes and self._goes_on(rolled, episodes, alert, key in self.heard):
            return rolled, SAME_FINGERPRINT
        return None

    def _goes_on(self, home: str, episodes: Sequence[Alert], alert: Alert, heard: bool) -> bool:
        """True for an alert that is kept in short form and fires again, or of which an end was told and no beginning."""
        if alert.status == "resolved" and not heard:
            return bool(firing_now(episodes))
        before = [e for e in episodes if e.starts_at <= alert.starts_at]
        return (
            self.incidents[home].is_open
            and bool(before)
            and goes_on(before[-1].starts_at, before[-1].ends_at, alert.starts_at)
        )

    def _went_stale(self, home: str) -> bool:
        """True for an Incident that ended because nobody spoke of its alerts: one that speaks again is a new one."""
        known = conditions.get(self.incidents[home].status.conditions, "Mitigated")
        return not self.incidents[home].is_open and known is not None and known.reason == WENT_STALE

    def filed(self) -> Filed:
        """The whole answer."""
        moves = self.books.broken_off(self.now)
        waits: tuple[timedelta, ...] = ()
        if self.fresh or (self.homes and self._measures_anew()):
            moves += self._regroup()
            due = [self._due([key]) - self.now for key in self.fresh if key in self.held]
            waits = tuple(due)
        filings = tuple(self._filing(alert) for alert in self.facts.alerts)
        wanted = self.facts.tickets or self.facts.queue
        holds = self._afterwards(moves) if wanted else {}
        return Filed(filings, tuple(self.creates.values()), tuple(moves), waits, holds)

    def _measures_anew(self) -> bool:
        """True where an SLI or a workload tells of harm that no alert is filed under yet: it may explain what is open."""
        if any(create.spec.signal.kind in standing.MEASURED for create in self.measured.values()):
            return True
        told = set(self.homes.values())
        return any(i.is_open and standing.is_measured(i) and name not in told for name, i in self.incidents.items())

    def _filing(self, alert: Alert) -> Filing:
        key = key_of(alert)
        if key in self.held:
            return Filing(alert, "", DEPENDENCY_UNCLEAR)
        return Filing(alert, *self.told[key])

    # the groups, and which Incident each is

    def _regroup(self) -> list[MoveAlerts]:
        first = [key for key, head in self.heads.items() if key == head]
        self.readings = {key: self.reader(self.episodes[key]) for key in first}
        readings = [*self.readings.values(), *standing.measured_readings(self.health, self.reader.method)]
        known = standing.known_of(self.health, self.now, self.reader.method)
        standing_ = self._standing(first)
        grouping = group_facts(
            facts_of(readings, self.reader.method.split), self.reader, known, fixed_roots(standing_.values())
        )
        settled = settle(grouping, standing_, lambda group: self._new_name(group, standing_))
        wanted: dict[Key, tuple[str, str]] = {}
        grouped = {name for name in settled.names if name}
        for group, name in zip(grouping.groups, settled.names, strict=True):
            for attribution in group.attributions if name else ():
                for reading in attribution.fact.readings:
                    at_root = attribution.fact.service in ("", group.service)
                    wanted[reading.key] = name, self._reason(name, at_root, reading.key)
                    self.why[reading.key] = _why(attribution, group)
        for key in first:
            if key not in wanted and key not in self.held:
                wanted[key] = self._apart(key, self.readings[key], grouped)
        self._open_apart(wanted)
        return self._carry_out(wanted)

    def _standing(self, first: Iterable[Key]) -> dict[str, Held]:
        """The open Incidents with the heads that they hold, and those that measurements open now."""
        heads: dict[str, list[Key]] = {}
        for key in first:
            if home := self.homes.get(key):
                heads.setdefault(home, []).append(key)
        held = standing.held_of(self.facts.incidents, heads, self.readings, self.health, self.now)
        return held | standing.held_of_new(self.measured, self.health, self.now)

    def _reason(self, name: str, at_root: bool, key: Key) -> str:
        if name in self.incidents and not self.incidents[name].is_open:
            return AFTERMATH
        return AT_ROOT if at_root else EXPLAINED

    def _new_name(self, group: Group, held: Mapping[str, Held]) -> str:
        """The Incident of a group that none is: one that it joins, a new one, or "" where it opens none, or waits."""
        own = [key for key in group.keys if key in self.readings]
        fresh = [key for key in own if key in self.fresh]
        opening = [key for key in own if self._opens(key)]
        if there := self._lasting(group.service) or self._unfilled(group.service):
            return there
        if opening and not set(opening) - set(fresh) and self._waits(group.service, fresh):
            self.held |= set(own) - self.homes.keys()
            return ""
        if len(fresh) == len(own) and fresh and (recent := self._recent(group.service, fresh)):
            return recent
        if not opening:
            return ""
        return self._open(group.service, opening, self._before(own))

    def _opens(self, key: Key) -> bool:
        """True for an episode that may open an Incident: one whose beginning was reported, in none that keeps it."""
        if key in self.fresh:
            return key in self.heard
        home = self.homes.get(key)
        return home is not None and standing.is_regrouped(self.incidents[home])

    def _before(self, keys: Iterable[Key]) -> str:
        """The Incident that most of these were in."""
        homes = [self.homes[key] for key in keys if key in self.homes]
        return min(set(homes), key=lambda name: (-homes.count(name), name), default="")

    def _open(self, root: str, keys: Iterable[Key], before: str) -> str:
        alerts = [self.episodes[key] for key in sorted(keys)]
        view = self.health.topology.views.get(root)
        taken = [*self.creates, *(c.name for c in self.measured.values())]
        create = for_alerts(root, view, alerts, self.facts.incidents, taken, before)
        self.creates[create.name] = create
        return create.name

    def _lasting(self, service: str) -> str:
        """The Incident of this root whose harm is measured and lasts, or that says that nobody can measure it; "" = none."""
        if create := self.measured.get(service):
            return create.name
        incident = self.health.open.get(service)
        if incident is None:
            return ""
        lasts = standing.is_measured(incident) and self.health.harm(service).state is State.HARMED
        return incident.metadata.name if lasts or incident.spec.signal.kind in standing.SILENT else ""

    def _unfilled(self, service: str) -> str:
        """The Incident of this root that was opened for alerts and holds none yet: a process died before it filed them; "" = none."""
        filled = {*self.homes.values(), *(name for name, ledger in self.facts.ledgers.items() if ledger != Ledger())}
        fits = [
            name
            for name, incident in self.incidents.items()
            if incident.is_open and incident.spec.signal.kind == "alerts" and root_of(incident) == service
        ]
        return next((name for name in fits if name not in filled), "")

    def _recent(self, service: str, keys: Iterable[Key]) -> str:
        """The Incident that ended so recently that all of these are part of its time; "" = none."""
        roots = {self.health.recent_root(service, self.episodes[key].starts_at) for key in keys}
        root = roots.pop() if len(roots) == 1 else ""
        return self.health.recent[root].metadata.name if root else ""

    # waiting

    def _waits(self, service: str, fresh: Iterable[Key]) -> bool:
        """True while these should wait in the inbox: a dependency may still prove to be the root, or a place with many alike."""
        if self.now >= self._due(fresh):
            return False
        graph, harm = self.reader.graph, self.health.harm
        needs = graph.dependencies(service)
        if harm(service).state is State.HARMED:
            return any(harm(name).state is not State.HEALTHY for name in needs)
        return bool(needs) or not graph.callers(service)

    def _due(self, keys: Iterable[Key]) -> datetime:
        received_at = min((self.fresh[key].received_at for key in keys if key in self.fresh), default=self.now)
        return max(received_at, self.facts.since or received_at) + SETTLE

    # what belongs to no group

    def _apart(self, key: Key, reading: Reading, grouped: set[str]) -> tuple[str, str]:
        """(Incident, reason) of an episode that no root explains; a name that begins with "/" is one that is still to be opened."""
        home, of_class = self.homes.get(key, ""), self.reader.class_of(reading.alertname)
        if home and (home not in grouped or not self._may_leave(home)):
            return home, SAME_EPISODE
        if of_class == HEARTBEAT and not home:
            return "", ALWAYS_FIRES
        if of_class in (HEARTBEAT, HYGIENE):
            root, reason = reading.alertname, HOUSEKEEPING
        else:
            root, reason = reading.entity.name if reading.entity.kind == SERVICE else slug(reading.alertname), OWN
            if lasting := self._lasting(root):
                return lasting, JOINED
            if key in self.fresh and reading.kind and key in self.heard and self._waits(root, [key]):
                self.held.add(key)
                return "", DEPENDENCY_UNCLEAR
            if key in self.fresh and (recent := self._recent(root, [key])):
                return recent, AFTERMATH
        for name, incident in sorted(self.incidents.items(), key=lambda i: (i[1].spec.signal.at, i[0])):
            if incident.is_open and name not in grouped and root_of(incident) == root:
                return name, reason
        return ("", RESOLVED_UNHEARD) if key in self.fresh and key not in self.heard else (f"/{root}", reason)

    def _may_leave(self, home: str) -> bool:
        incident = self.incidents[home]
        return standing.is_regrouped(incident) and not standing.is_frozen(incident)

    def _open_apart(self, wanted: dict[Key, tuple[str, str]]) -> None:
        """Opens the Incidents that `_apart` asks for: one for each root."""
        asked: dict[tuple[str, str], list[Key]] = {}
        for key, (name, reason) in wanted.items():
            if name.startswith("/"):
                asked.setdefault((name[1:], reason), []).append(key)
        for (root, reason), keys in sorted(asked.items()):
            if reason == HOUSEKEEPING:
                alerts = [self.episodes[key] for key in sorted(keys)]
                create = for_housekeeping(root, alerts, self.facts.incidents, list(self.creates))
                self.creates[create.name] = create
                name = create.name
            else:
                name = self._open(root, keys, self._before(keys))
            wanted.update(dict.fromkeys(keys, (name, reason)))

    # carried out

    def _carry_out(self, wanted: Mapping[Key, tuple[str, str]]) -> list[MoveAlerts]:
        """Files what is new, and moves what is in another Incident than it should be and may leave that."""
        moving: dict[str, list[Key]] = {}
        for key, head in self.heads.items():
            if head in self.held:
                if key in self.fresh:
                    self.held.add(key)
                continue
            target, reason = wanted[head]
            home = self.homes.get(key, "")
            if key in self.fresh:
                self.told[key] = (target, reason if key == head or not self.homes.get(head) else SAME_FINGERPRINT)
            elif target and target != home and self._moves(home, target):
                moving.setdefault(target, []).append(key)
                if key in self.told:  # sent again meanwhile
                    self.told[key] = target, self.told[key][1]
        why = {key: self.why.get(head, "nothing explains it") for key, head in self.heads.items()}
        return [self.books.move(target, keys, why, self.now) for target, keys in sorted(moving.items())]

    def _moves(self, home: str, target: str) -> bool:
        """True if an alert may leave `home` for `target`: before it is mitigated, and nobody who was paged loses sight of it."""
        incident = self.incidents[home]
        if not standing.is_regrouped(incident):
            return False
        if incident.status.page is None:
            return True
        if target in self.incidents:
            return severity_of(self.incidents[target]) <= incident.status.severity
        opened = [*self.creates.values(), *self.measured.values()]
        return any(c.name == target and c.spec.signal.severity <= incident.status.severity for c in opened)

    def _afterwards(self, moves: Iterable[MoveAlerts]) -> dict[str, tuple[Alert, ...]]:
        """Incident → its episodes once all of this is done."""
        homes = dict(self.books.homes)
        for move in moves:
            homes |= {key_of(alert): move.target for alert in move.alerts}
        homes |= {key: name for key, (name, _) in self.told.items() if name and key not in self.held}
        found: dict[str, list[Alert]] = {}
        for key, name in homes.items():
            found.setdefault(name, []).append(
                self.episodes.get(key) or self.inbox.get(key) or self.books.holders[key][0].alert
            )
        return {name: tuple(alerts) for name, alerts in found.items()}


def _why(attribution: Attribution, group: Group) -> str:
    """What the place of a fact costs, in words."""
    fact = attribution.fact
    on = fact.entity.name or fact.entity.kind
    price = attribution.path + attribution.late
    return f"{group.service} explains that {on} shows {fact.kind} for {price:.1f} nats; as noise it costs {attribution.noise:.1f}"
