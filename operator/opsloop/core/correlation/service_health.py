"""Health of every service by what is measured, and the root that explains the burn of one of them.

A dependency explains its dependents only with evidence of harm of its own, now or a moment ago (`core.incident.dependencies`):
its SLI burns or did, or no pod of it is available. One whose SLI is known and healthy explains nothing, and neither does an
Incident that is merely open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from opsloop.api.incident import Incident
from opsloop.core.incident import dependencies
from opsloop.core.incident.dependencies import GAP, Breach, root_of
from opsloop.core.release.outages import outage_since
from opsloop.core.topology import Topology


class State(Enum):
    """Judgement on one service."""

    HARMED = "harmed"
    HEALTHY = "healthy"  # its SLI is known and no tier's window burns
    UNCLEAR = "unclear"  # no SLO, unknown telemetry, or burning too slowly to say


@dataclass(frozen=True, slots=True)
class Harm:
    """State of one service, and the start of that state as far as known."""

    state: State
    since: datetime | None = None


def harm_began(incident: Incident) -> datetime:
    """Start of the harm: as it was measured, else as alerts tell. An alert may fire for days, and be about something else."""
    if incident.status.onset_at is not None:
        return incident.status.onset_at
    first, signal = incident.status.alerts.first_at, incident.spec.signal.at
    return min(first, signal) if first is not None else signal


class ServiceHealth:
    """State of every service, as far as the evidence goes, and the roots that explain harm on it."""

    def __init__(
        self,
        topology: Topology,
        incidents: Sequence[Incident],
        now: datetime,
        grace: timedelta,
    ) -> None:
        """`grace`: as in core.incident."""
        self.topology = topology
        self._now = now
        order = sorted(incidents, key=harm_began)
        self.open: dict[str, Incident] = {}
        for incident in order:  # the oldest open one of a root is the one that people look at
            if incident.is_open:
                self.open.setdefault(root_of(incident), incident)
        self.recent = {root_of(i): i for i in order if i.reopens(grace, now) and root_of(i) not in self.open}
        ended = [i for i in order if i.status.resolved_at and not i.status.merged_into]
        self.ended = {root_of(i): i for i in sorted(ended, key=lambda i: i.status.resolved_at or now)}
        """The one of each root that ended last."""
        self._harm: dict[str, Harm] = {}

    def harm(self, name: str) -> Harm:
        """Evidence on one service."""
        if name not in self._harm:
            self._harm[name] = self._judge(name)
        return self._harm[name]

    def is_harmed_now(self, name: str) -> bool:
        """True if its own SLI or its workload says so."""
        return dependencies.is_harmed_now(self.topology.views.get(name), self.open.get(name))

    def is_out(self, name: str) -> bool:
        """True if no pod of it is available."""
        view = self.topology.views.get(name)
        return view is not None and outage_since(view.release) is not None

    def burning_root(self, name: str, breach: Breach) -> str:
        """The deepest service that explains the breach of `name`: a dependency, else `name` itself."""
        reach = self.topology.dependencies(name)
        return self.deepest({name: 0} | {n: hops for n, hops in reach.items() if self._explains(n, breach)})

    def recent_root(self, name: str, at: datetime) -> str:
        """The service among `name` and its dependencies whose Incident ended so recently that `at` belongs to it; "" = none."""
        reach = {name: 0} | self.topology.dependencies(name)
        fits = {n: hops for n, hops in reach.items() if n in self.recent and _belongs(self.recent[n], at)}
        return name if name in fits else self.deepest(fits)

    def deepest(self, candidates: Mapping[str, int]) -> str:
        """The candidate (name → hops) that depends on no other one; of several the nearest, then the one harmed first."""
        leaves = [n for n in candidates if not candidates.keys() & self.topology.dependencies(n).keys()]
        return min(leaves or candidates, key=lambda n: (candidates[n], self._since(n), n), default="")

    def _judge(self, name: str) -> Harm:
        sli, view = self._sli(name), self.topology.views.get(name)
        starts = [harm_began(self.open[name])] if name in self.open else []
        starts += [view.readings.onset] if view and view.readings.onset else []
        starts += [out] if view and (out := outage_since(view.release)) else []
        since = min(starts, default=None)
        if sli is State.HARMED or self._burned(name) or self.is_out(name):
            return Harm(State.HARMED, since)
        if sli is State.HEALTHY:
            return Harm(State.HEALTHY)
        return Harm(State.UNCLEAR, since)

    def _sli(self, name: str) -> State:
        view = self.topology.views.get(name)
        verdict = view.readings.verdict if view else None
        if verdict is not None and (verdict.burning or verdict.firing is not None):
            return State.HARMED
        return State.HEALTHY if verdict is not None and verdict.band == "ok" else State.UNCLEAR

    def _burned(self, name: str) -> bool:
        """True if an open Incident tells of a burn that lasts, or ended so recently that alerts still come in."""
        if name not in self.open:
            return False
        ended = dependencies.last_harm(self.topology.views.get(name), self.open[name], self._now)
        return ended is not None and self._now - ended <= GAP

    def _explains(self, name: str, breach: Breach) -> bool:
        incident = self.open.get(name) or self.ended.get(name)
        return dependencies.explains(self.topology.views.get(name), incident, breach, self._now)

    def _since(self, name: str) -> float:
        since = self.harm(name).since
        return since.timestamp() if since else float("inf")


def _belongs(incident: Incident, at: datetime) -> bool:
    """True if `at` lies within the Incident's time, or at most GAP outside."""
    ended_at = incident.status.resolved_at or at
    return harm_began(incident) - GAP <= at <= ended_at + GAP
