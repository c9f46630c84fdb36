"""Alerting rules as Prometheus has them: how long a harm lasts before its alert says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule: its alerts fire after it held for `holds` seconds, and carry its labels."""

    name: str
    holds: float
    labels: tuple[tuple[str, str], ...] = ()  # without those that a template fills in


@dataclass(frozen=True, eq=False)
class AlertRules:
    """All that are known. Compared by identity: they are read as a whole, and kept until they change."""

    known: tuple[AlertRule, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> float | None:
        """Seconds for which the rule held from which these labels come; None where none fits, or several that differ."""
        rules = self._by_name.get(labels.get("alertname", ""), ())
        found = {rule.holds for rule in rules if all(labels.get(name) == value for name, value in rule.labels)}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[AlertRule, ...]]:
        found: dict[str, list[AlertRule]] = {}
        for rule in self.known:
            found.setdefault(rule.name, []).append(rule)
        return {name: tuple(rules) for name, rules in found.items()}


NO_RULES = AlertRules()
