"""Which Incident each alert, ticket and burn belongs to; which Incidents must be created for that. Pure.

An alert is judged once and stays where it was filed. In order:
1. *sticky*: its episode or fingerprint is in the ledger of an open Incident, or its episode in that of a closed one.
2. *explained*: the deepest harmed service among its own and what that depends on (`core.situation`) is the root.
3. *hold*: while its dependencies could still turn out to be the root it stays in the inbox, at most SETTLE.
4. *joined*: an open Incident of its own service, or one that ended so recently that the alert is part of that storm.
5. *own*: a new Incident of its own service, at a severity that does not page where an SLO decides.
A burn that fired needs no alert: it opens an Incident on the deepest burning dependency.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from opsloop.api.incident import BurnSignal, Incident, IncidentSpec, LinkedTicket, Signal
from opsloop.api.meta import Severity, format_duration
from opsloop.core.actions import CreateIncident
from opsloop.core.facts import Alert, Ledger, ReleaseView, Ticket, TierVerdict, Value
from opsloop.core.labels import loudness, name_of
from opsloop.core.ledger import firing_now
from opsloop.core.linking import Candidate, link, linked
from opsloop.core.situation import REOPEN_GRACE as REOPEN_GRACE
from opsloop.core.situation import Situation, State, Topology, failing_services, in_grace, is_open
from opsloop.core.triage import Queued, triage
from opsloop.names import RELEASE, incident_name, incident_number

SETTLE = timedelta(seconds=10)  # longest time for which an alert waits for its dependencies' state

SAME_EPISODE = "SameEpisode"  # this very episode is in that Incident's ledger
SAME_FINGERPRINT = "SameFingerprint"  # that Incident holds an earlier episode of the alert
EXPLAINED = "ExplainedByRoot"  # the service, or what it depends on, is harmed: the Incident of the deepest such
JOINED = "JoinedOpenIncident"  # an Incident of its own service is open
AFTERMATH = "AftermathOfResolved"  # the storm it belongs to was resolved within the grace time
OWN = "OwnIncident"  # nothing explains it: visible, at its own service
DEPENDENCY_UNCLEAR = "DependencyUnclear"  # held: what its service depends on may still prove to be the root
RESOLVED_UNHEARD = "ResolvedUnheard"  # the end of an alert that nobody reported: no harm, nothing to file it under


@dataclass(frozen=True, slots=True)
class CorrelateFacts:
    """Everything that the correlator of one namespace looks at."""

    namespace: str
    releases: tuple[ReleaseView, ...] = ()
    incidents: tuple[Incident, ...] = ()  # all of the namespace
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)  # of open, lately resolved and still firing Incidents
    owners: Mapping[str, str] = field(default_factory=dict)  # Service or workload → Release
    alerts: tuple[Alert, ...] = ()  # in the inbox
    tickets: tuple[Ticket, ...] = ()  # in the inbox
    queue: tuple[Queued, ...] = ()  # tickets that wait unlinked
    since: datetime | None = None  # when this process began to look; readings are younger than that


@dataclass(frozen=True, slots=True)
class Filing:
    """Where one alert goes and why; `incident` "" = it stays in the inbox (held) or is nobody's (dropped)."""

    alert: Alert
    incident: str
    reason: str


@dataclass(frozen=True, slots=True)
class CorrelatePlan:
    """What follows, in the order in which it is carried out."""

    creates: tuple[CreateIncident, ...] = ()
    filings: tuple[Filing, ...] = ()
    tickets: Mapping[str, tuple[LinkedTicket, ...]] = field(default_factory=dict)  # Incident → newly linked
    queue: tuple[Queued, ...] = ()  # the whole queue afterwards
    look_again: timedelta | None = None

    @property
    def alerts(self) -> dict[str, tuple[Alert, ...]]:
        """Incident → alerts to file there."""
        found: dict[str, list[Alert]] = {}
        for filing in self.filings:
            if filing.incident:
                found.setdefault(filing.incident, []).append(filing.alert)
        return {name: tuple(alerts) for name, alerts in found.items()}

    @property
    def held(self) -> tuple[Alert, ...]:
        """Alerts that stay in the inbox."""
        return tuple(f.alert for f in self.filings if f.reason == DEPENDENCY_UNCLEAR)


def decide(facts: CorrelateFacts, now: datetime) -> CorrelatePlan:
    """The plan for one namespace."""
    return _Pass(facts, now).plan()


def relevant(incidents: Sequence[Incident], now: datetime) -> list[Incident]:
    """Incidents whose ledgers a decision needs: open, in grace, or still holding firing alerts."""
    return [i for i in incidents if is_open(i) or in_grace(i, now) or i.status.alerts.firing > 0]


def alert_severity(alerts: Sequence[Alert], has_slo: bool) -> Severity:
    """Where an SLO exists the SLO decides who is paged: at most sev3. Elsewhere critical pages."""
    loudest = max((loudness(a) for a in alerts), default=0)
    if loudest == 2:
        return "sev3" if has_slo else "sev2"
    return "sev3" if loudest == 1 else "sev4"


class _Pass:
    """One decision: the facts, indexed, and the Incidents that it is about to create."""

    def __init__(self, facts: CorrelateFacts, now: datetime) -> None:
        self.facts, self.now = facts, now
        self.topology = Topology(facts.releases)
        self.by_name = {i.metadata.name: i for i in facts.incidents}
        opened = frozenset(i.metadata.name for i in facts.incidents if is_open(i))
        failing = failing_services(facts.alerts, facts.ledgers, opened, self.topology, facts.namespace, facts.owners)
        self.world = Situation(self.topology, facts.incidents, failing, now)
        self.creates: dict[str, CreateIncident] = {}  # by root
        self.index = _index(facts, now)
        self.heard = {(a.fingerprint, a.starts_at) for a in facts.alerts if a.status == "firing"}

    def plan(self) -> CorrelatePlan:
        self._burns()
        roots = [(alert, *self._place(alert)) for alert in self.facts.alerts]
        self._open_for_alerts([(alert, root) for alert, root, reason, name in roots if root and not name])
        filings = tuple(Filing(alert, name or self._incident_of(root), reason) for alert, root, reason, name in roots)
        new_tickets, queue = self._tickets(filings)
        return CorrelatePlan(tuple(self.creates.values()), filings, new_tickets, queue, self._next_look(filings))

    # alerts

    def _place(self, alert: Alert) -> tuple[str, str, str]:
        """(root, reason, incident): an Incident that exists, or the root that gets one, or neither."""
        if found := self._sticky(alert):
            return "", *found
        service = self._root_name(alert)
        if alert.status == "resolved" and (alert.fingerprint, alert.starts_at) not in self.heard:
            return self._place_unheard(alert, service)
        if root := self.world.harmed_root(service, alert.starts_at):
            if self._has_open(root) or self._dependencies_are_healthy(root) or self._waited(alert):
                return root, EXPLAINED, self._existing(root)
            return "", DEPENDENCY_UNCLEAR, ""
        if self._has_open(service):
            return service, JOINED, self._existing(service)
        if self.topology.dependencies(service) and not self._waited(alert):
            return "", DEPENDENCY_UNCLEAR, ""
        if recent := self.world.recent_root(service, alert.starts_at):
            return recent, AFTERMATH, self._existing(recent)
        return service, OWN, ""

    def _place_unheard(self, alert: Alert, service: str) -> tuple[str, str, str]:
        """The end of an episode whose beginning nobody reported opens nothing; it joins what is there."""
        harmed = self.world.harmed_root(service, alert.starts_at)
        for root, reason in ((harmed, EXPLAINED), (service, JOINED)):
            if self._has_open(root):
                return root, reason, self._existing(root)
        recent = self.world.recent_root(service, alert.starts_at)
        return recent, AFTERMATH if recent else RESOLVED_UNHEARD, self._existing(recent)

    def _sticky(self, alert: Alert) -> tuple[str, str] | None:
        """(reason, incident)"""
        if home := self.index.episodes.get((alert.fingerprint, alert.starts_at)):
            return SAME_EPISODE, self._follow(home)
        holder = self.index.holders.get(alert.fingerprint, "")
        if not holder and alert.status == "resolved":
            holder = self.index.firing.get(alert.fingerprint, "")
        return (SAME_FINGERPRINT, self._follow(holder)) if holder else None

    def _follow(self, name: str) -> str:
        """A merged Incident's alerts go to the one that it was merged into."""
        seen = {name}
        while (into := self.by_name[name].status.merged_into) in self.by_name and into not in seen:
            name = into
            seen.add(into)
        return name

    def _root_name(self, alert: Alert) -> str:
        return self.topology.root_name(alert, self.facts.namespace, self.facts.owners) or slug(name_of(alert))

    def _dependencies_are_healthy(self, service: str) -> bool:
        return all(self.world.harm(n).state is State.HEALTHY for n in self.topology.dependencies(service))

    def _has_open(self, root: str) -> bool:
        return root in self.world.open or root in self.creates

    def _existing(self, root: str) -> str:
        incident = self.world.open.get(root) or self.world.recent.get(root)
        return incident.metadata.name if incident else ""

    def _incident_of(self, root: str) -> str:
        return self.creates[root].name if root in self.creates else ""

    def _due(self, alert: Alert) -> datetime:
        """When it is filed at the latest: a process that just began to look waits for its first readings too."""
        return max(alert.received_at, self.facts.since or alert.received_at) + SETTLE

    def _waited(self, alert: Alert) -> bool:
        return self.now >= self._due(alert)

    def _next_look(self, filings: Sequence[Filing]) -> timedelta | None:
        due = [self._due(f.alert) - self.now for f in filings if f.reason == DEPENDENCY_UNCLEAR]
        return max(min(due), timedelta(seconds=0.1)) if due else None

    def _open_for_alerts(self, homeless: Sequence[tuple[Alert, str]]) -> None:
        groups: dict[str, list[Alert]] = {}
        for alert, root in homeless:
            if root not in self.creates:
                groups.setdefault(root, []).append(alert)
        for root, alerts in groups.items():
            severity = alert_severity(alerts, self.topology.has_slo(root))
            seen_at = min(a.received_at for a in alerts)
            message = describe(alerts)
            signal = Signal(kind="alerts", at=seen_at, severity=severity, message=f"{message} (on {root})"[:1024])
            self._create(root, f"{root}: {message}", signal, alerts)

    # burns

    def _burns(self) -> None:
        """An Incident for each root of a burn that fired, unless one is open or may be reopened."""
        fired: dict[str, list[tuple[str, TierVerdict]]] = {}
        for name, view in self.topology.views.items():
            verdict = view.readings.verdict
            if verdict is not None and verdict.firing is not None and verdict.firing.firing:
                fired.setdefault(self.world.burning_root(name), []).append((name, verdict.firing))
        for root, tiers in fired.items():
            if root not in self.world.open and root not in self.world.recent:
                name, tier = min(tiers, key=lambda t: (t[0] != root, t[1].tier.severity, t[0]))
                self._create(root, f"{root} burns its error budget", self._burn_signal(root, name, tier), ())

    def _burn_signal(self, root: str, name: str, tier: TierVerdict) -> Signal:
        verdict = self.topology.views[name].readings.verdict
        objective = verdict.objective if verdict else 0.0
        burn = burn_signal(tier, objective)
        said = f"{name} burns its error budget {burn.burn_short:.3g} times too fast (windows {burn.long} and {burn.short}, limit {burn.factor:g})"
        if name != root:
            said += f"; {root}, which it depends on, burns too and is the root, though its own tier has not fired yet"
        return Signal(
            kind="burn",
            at=verdict.at if verdict else self.now,
            severity=tier.tier.severity,
            burn=burn,
            message=said[:1024],
        )

    # creation

    def _create(self, root: str, title: str, signal: Signal, alerts: Sequence[Alert]) -> None:
        view = self.topology.views.get(root)
        base = root if view else slug(root)
        numbers = {incident_number(i.metadata.name, base): i.metadata.name for i in self.facts.incidents}
        latest = max(numbers, default=0)
        number = 1 + max(latest, view.release.status.last_episode if view else 0)
        spec = IncidentSpec(
            release=root if view else "",
            service=root,
            title=title[:256],
            signal=signal,
            previous=numbers[latest] if latest else "",
            owner=_owner(alerts, view),
        )
        labels = {RELEASE: root} if view and len(root) <= 63 else {}
        self.creates[root] = CreateIncident(name=incident_name(base, number), spec=spec, labels=labels)

    # tickets

    def _tickets(self, filings: Sequence[Filing]) -> tuple[dict[str, tuple[LinkedTicket, ...]], tuple[Queued, ...]]:
        candidates = self._candidates(filings)
        already = {str(t["id"]): name for name, ledger in self.facts.ledgers.items() for t in ledger.tickets}
        waiting = {q.ticket.id: q for q in self.facts.queue}
        for ticket in self.facts.tickets:
            waiting.setdefault(ticket.id, Queued(ticket, triage(ticket)))
        found: dict[str, list[LinkedTicket]] = {}
        for identity in sorted(waiting.keys() - already.keys()):
            if match := link(waiting[identity].ticket, waiting[identity].triage, candidates):
                view = self.topology.views.get(match.candidate.root)
                team = view.release.metadata.labels.get("team", "") if view else ""
                found.setdefault(match.candidate.incident, []).append(linked(waiting[identity], match, team))
        gone = already.keys() | {t.id for tickets in found.values() for t in tickets}
        queue = tuple(q for q in waiting.values() if q.ticket.id not in gone)
        return {name: tuple(tickets) for name, tickets in found.items()}, queue

    def _candidates(self, filings: Sequence[Filing]) -> list[Candidate]:
        fresh: dict[str, list[Alert]] = {}
        for filing in filings:
            fresh.setdefault(filing.incident, []).append(filing.alert)
        existing = [i for i in self.facts.incidents if is_open(i) or in_grace(i, self.now)]
        known = [(i.metadata.name, i.spec, i) for i in existing] + [
            (c.name, c.spec, None) for c in self.creates.values()
        ]
        return [self._candidate(name, spec, incident, fresh.get(name, [])) for name, spec, incident in known]

    def _candidate(self, name: str, spec: IncidentSpec, incident: Incident | None, fresh: list[Alert]) -> Candidate:
        root = spec.release or spec.service
        held = self.facts.ledgers[name].alerts if name in self.facts.ledgers else ()
        alerts = (*held, *fresh)
        view = self.topology.views.get(root)
        burned = spec.signal.kind == "burn" or (incident is not None and incident.status.burn is not None)
        starts = [spec.signal.at, *(a.starts_at for a in alerts)]
        starts += [incident.status.onset_at] if incident and incident.status.onset_at else []
        starts += [view.readings.onset] if view and view.readings.onset and burned else []
        return Candidate(
            incident=name,
            root=root,
            services=frozenset({root} | {s for a in alerts if (s := self._root_name(a))}),
            alerts=alerts,
            burned=burned,
            onset=min(starts),
            ended=incident.status.resolved_at if incident and not is_open(incident) else None,
            severity=min(spec.signal.severity, incident.status.severity) if incident else spec.signal.severity,
        )


def burn_signal(tier: TierVerdict, objective: float) -> BurnSignal:
    """The numbers that a tier fired on; lower bounds, as they are what may open."""
    long, short = tier.long, tier.short
    return BurnSignal(
        long=format_duration(tier.tier.long),
        short=format_duration(tier.tier.short),
        factor=tier.tier.factor,
        burn_long=tier.burn_long or 0.0,
        burn_short=tier.burn_short or 0.0,
        error_ratio=short.error_ratio if isinstance(short, Value) else 0.0,
        bad=long.bad if isinstance(long, Value) else 0.0,
        total=long.total if isinstance(long, Value) else 0.0,
        objective=objective,
    )


def describe(alerts: Sequence[Alert]) -> str:
    """One line: the commonest alert among the loudest, and how many others."""
    distinct = {a.fingerprint: a for a in alerts}.values()
    loudest = max(loudness(a) for a in distinct)
    names = Counter(name_of(a) for a in distinct if loudness(a) == loudest)
    first = min(names, key=lambda name: (-names[name], name))
    more = len(distinct) - 1
    return first if not more else f"{first} and {more} more alert{'s' if more > 1 else ''}"


def slug(text: str) -> str:
    """A DNS label of at most 40 characters for a root that is no Release."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain or len(plain) > 40:
        plain = f"{plain[:31].strip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
    return plain


@dataclass(frozen=True, slots=True)
class _Index:
    """Where what is already filed lies."""

    episodes: Mapping[tuple[str, datetime], str]
    holders: Mapping[str, str]  # fingerprint → open Incident, else one in grace
    firing: Mapping[str, str]  # fingerprint → Incident, open or closed, by whose ledger it fires


def _index(facts: CorrelateFacts, now: datetime) -> _Index:
    episodes: dict[tuple[str, datetime], str] = {}
    holders: dict[str, str] = {}
    firing: dict[str, str] = {}
    for incident in sorted(facts.incidents, key=lambda i: (is_open(i), i.spec.signal.at)):  # an open one overrides
        name = incident.metadata.name
        alerts = facts.ledgers.get(name, Ledger()).alerts
        episodes |= {(a.fingerprint, a.starts_at): name for a in alerts}
        firing |= dict.fromkeys(firing_now(alerts), name)
        if is_open(incident) or in_grace(incident, now):
            holders |= {a.fingerprint: name for a in alerts}
    return _Index(episodes, holders, firing)


def _owner(alerts: Sequence[Alert], view: ReleaseView | None) -> str:
    teams = Counter(a.labels["team"] for a in alerts if a.labels.get("team"))
    if view and view.release.metadata.labels.get("team"):
        return view.release.metadata.labels["team"][:128]
    return min(teams, key=lambda t: (-teams[t], t))[:128] if teams else ""
