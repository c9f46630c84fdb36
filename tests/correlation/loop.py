"""The operator's own correlator over a storm, in memory: inbox, decisions, ledgers and moves, without Kubernetes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.actions import CreateIncident, DeleteInboxEntries, FileToLedger, MoveAlerts
from opsloop.core.alerts.ledger import counts, merge
from opsloop.core.correlation.decide import decide
from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.filing import SETTLE
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.replay import Replay
from opsloop.core.facts import CorrelationFacts, IncidentFacts, ReleaseView
from opsloop.core.incident.merging import emptied_into
from opsloop.core.readings import Readings
from opsloop.core.reported import Alert, InboxEntry, Ledger
from opsloop.core.topology import Graph

NS = "shop"
NAMESPACES = {
    "namespace", "exported_namespace", "destination_service_namespace", "destination_workload_namespace",
    "service_namespace", "k8s.namespace.name",
}  # fmt: skip


@dataclass(slots=True)
class Loop:
    """One namespace. Nobody is paged and nothing is measured, so that no Incident is frozen: as offline."""

    releases: tuple[ReleaseView, ...]
    method: Method = field(default_factory=Method)
    incidents: dict[str, Incident] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    inbox: dict[str, InboxEntry] = field(default_factory=dict)
    moved: int = 0
    merged: int = 0

    def hear(self, alerts: Sequence[Alert], now: datetime) -> None:
        """One body arrives and is looked at."""
        name = f"entry-{len(self.inbox)}-{now.timestamp()}"
        received = tuple(replace(alert, received_at=now) for alert in alerts)
        self.inbox[name] = InboxEntry(received, (), name, f"uid-{name}")
        self.look(now)

    def look(self, now: datetime) -> timedelta | None:
        """One reconcile of the namespace, and of Incidents that lost all their alerts."""
        facts = CorrelationFacts(
            NS, self.releases, tuple(self.incidents.values()), dict(self.ledgers), {}, tuple(self.inbox.values())
        )
        decision = decide(facts, now, method=self.method)
        for action in decision.actions:
            self._carry_out(action)
        for name, incident in self.incidents.items():
            self._put(name, {"alerts": counts(self.ledgers.get(name, Ledger())).dump()})
            seen = IncidentFacts(
                incident, None, (), tuple(self.incidents.values()), (), (), self.ledgers.get(name, Ledger()), None
            )
            if target := emptied_into(seen, incident.status):
                self.merged += 1
                self._put(name, {"mergedInto": target.metadata.name, "phase": "Resolved", "resolvedAt": now})
        return decision.look_again

    def _carry_out(self, action: object) -> None:
        match action:
            case CreateIncident():
                assert action.name not in self.incidents
                meta = {"name": action.name, "namespace": NS, "uid": action.name}
                self.incidents[action.name] = Incident.model_validate({"metadata": meta, "spec": action.spec.dump()})
            case FileToLedger():
                self._merge(action.incident, alerts=action.alerts)
            case MoveAlerts():
                self.moved += len(action.alerts)
                self._merge(action.target, alerts=action.alerts, moves=action.came)
                for name, records in action.left.items():
                    self._merge(name, moves=records)
            case DeleteInboxEntries():
                for name in action.entries:
                    del self.inbox[name]

    def _merge(self, name: str, **what: Sequence[object]) -> None:
        assert self.incidents[name].is_open, "nothing is filed in an Incident that is over"
        self.ledgers[name] = merge(self.ledgers.get(name, Ledger()), **what)  # type: ignore[arg-type]

    def _put(self, name: str, status: Mapping[str, object]) -> None:
        known = self.incidents[name].model_dump(mode="json", by_alias=True)
        known["status"] |= status
        self.incidents[name] = Incident.model_validate(known)

    def homes(self) -> dict[str, str]:
        """Fingerprint → Incident that holds it; each episode is held once."""
        held = [(a.fingerprint, a.starts_at, name) for name, ledger in self.ledgers.items() for a in ledger.alerts]
        assert len({(fp, at) for fp, at, _ in held}) == len(held)
        return {fp: name for fp, at, name in sorted(held, key=lambda h: h[1])}


def releases_of(graph: Graph) -> tuple[ReleaseView, ...]:
    """A Release without an SLO for everything that depends on something, or on which something depends."""
    return tuple(
        ReleaseView(
            Release.model_validate(
                {
                    "metadata": {"name": name, "namespace": NS},
                    "spec": {
                        "workloadRef": {"name": name},
                        "version": "v1",
                        "images": {"app": "x:v1"},
                        "dependsOn": list(graph.callees(name)),
                    },
                }
            ),
            Readings(),
        )
        for name in sorted(graph.nodes)
    )


def at_home(alert: Alert) -> Alert:
    """The alert as one of the only namespace: the operator's correlator has one at a time."""
    return replace(alert, labels={k: v for k, v in alert.labels.items() if k not in NAMESPACES})


def offline(graph: Graph, bodies: Sequence[Sequence[Alert]]) -> dict[str, str]:
    """Fingerprint → group by the offline replay of these bodies."""
    known = Graph({n: graph.callees(n) for n in graph.nodes}, dict.fromkeys(graph.nodes, NS))
    replay = Replay(Reader(known, Method(), home=NS, strangers=True))
    for body in bodies:
        replay.add(body)
    return replay.group_of()


def streamed(graph: Graph, bodies: Sequence[tuple[datetime, Sequence[Alert]]]) -> Loop:
    """The loop after all bodies, each looked at when it came and when what it held was due."""
    loop = Loop(releases_of(graph))
    for number, (now, body) in enumerate(bodies):
        loop.hear(body, now)
        following = bodies[number + 1][0] if number + 1 < len(bodies) else now + 2 * SETTLE
        if now + SETTLE < following:
            loop.look(now + SETTLE)
    assert not loop.inbox
    return loop
