"""Alertmanager beside the world: the few alerts that every team has, as the intake receives them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from opsloop.core.intake import fingerprint_of
from opsloop.core.reported import Alert
from opsloop.simulator.service import Service, Tally

LEAST = 5  # requests in the minute
ERRORS, NO_PODS = "HighErrorRate", "NoPodReady"


@dataclass(slots=True)
class _Rule:
    since: float | None = None  # holds since
    firing_since: datetime | None = None
    ended: float | None = None


@dataclass(slots=True)
class Alerting:
    """Two rules for each service: more than 5 % of a minute's requests bad, and no pod ready of those wanted; each for a minute.

    They look at the truth, as alerts on a load balancer do. A rule in `stuck` fires for ever once it did.
    """

    services: Sequence[Service]
    severity: str = "critical"
    stuck: set[str] = field(default_factory=set)  # services whose alerts do not end
    pending: float = 60.0
    resolve: float = 120.0
    _rules: dict[tuple[str, str], _Rule] = field(default_factory=dict)

    def look(self, now: float, clock: datetime, recent: dict[str, list[Tally]], ready: dict[str, int]) -> list[Alert]:
        """Alerts that begin or end now. `recent`: the last minute of each service; `ready`: its pods in traffic, of services that want some."""
        found = []
        for service in self.services:
            tallies = recent[service.name]
            total, bad = sum(t.total for t in tallies), sum(t.bad for t in tallies)
            holds = {ERRORS: total >= LEAST and bad > 0.05 * total, NO_PODS: ready.get(service.name) == 0}
            for name, value in holds.items():
                found += self._step(service.name, name, value, now, clock)
        return found

    def _step(self, service: str, name: str, holds: bool, now: float, clock: datetime) -> list[Alert]:
        rule = self._rules.setdefault((service, name), _Rule())
        if holds:
            rule.since, rule.ended = rule.since if rule.since is not None else now, None
            if rule.firing_since is None and now - rule.since >= self.pending:
                rule.firing_since = clock
                return [self._alert(service, name, "firing", rule.firing_since, clock)]
            return []
        rule.since = None
        if rule.firing_since is None or service in self.stuck:
            return []
        rule.ended = rule.ended if rule.ended is not None else now
        if now - rule.ended < self.resolve:
            return []
        began, rule.firing_since, rule.ended = rule.firing_since, None, None
        return [self._alert(service, name, "resolved", began, clock)]

    def _alert(
        self, service: str, name: str, status: Literal["firing", "resolved"], began: datetime, clock: datetime
    ) -> Alert:
        return alert(service, name, self.severity, status, began, clock)


def alert(
    service: str, name: str, severity: str, status: Literal["firing", "resolved"], began: datetime, clock: datetime
) -> Alert:
    """One alert of a service."""
    labels = {"alertname": name, "service": service, "severity": severity, "namespace": "shop"}
    ended = clock if status == "resolved" else None
    return Alert(fingerprint_of(labels), status, began, labels, {}, clock, ended)
