"""Alerting rules as Prometheus has them: how long a harm lasts before its alert says so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
# A range selector or a subquery; else what a recording rule has in its name by convention (`job:errors:rate5m`).
_RANGE = re.compile(rf"\[\s*({_DURATION})\s*[\]:]|(?:rate|increase)_?(\d+[smhd])\b")
_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`""")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule: its alerts fire after it held for `holds` seconds, and carry its labels."""

    name: str
    holds: float
    labels: tuple[tuple[str, str], ...] = ()  # without those that a template fills in
    window: float | None = None  # seconds: the longest range that its expression looks back over; None = it tells none


@dataclass(frozen=True, eq=False)
class AlertRules:
    """All that are known. Compared by identity: they are read as a whole, and kept until they change."""

    known: tuple[AlertRule, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> float | None:
        """Seconds for which the rule held from which these labels come; None where none fits, or several that differ."""
        found = {rule.holds for rule in self._fitting(labels)}
        return found.pop() if len(found) == 1 else None

    def window(self, labels: Mapping[str, str]) -> float | None:
        """Seconds that the rule looks back over; None where none fits, where it tells none, or several differ."""
        found = {rule.window for rule in self._fitting(labels)}
        return found.pop() if len(found) == 1 else None

    def _fitting(self, labels: Mapping[str, str]) -> list[AlertRule]:
        rules = self._by_name.get(labels.get("alertname", ""), ())
        return [rule for rule in rules if all(labels.get(name) == value for name, value in rule.labels)]

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[AlertRule, ...]]:
        found: dict[str, list[AlertRule]] = {}
        for rule in self.known:
            found.setdefault(rule.name, []).append(rule)
        return {name: tuple(rules) for name, rules in found.items()}


NO_RULES = AlertRules()


def window_of_expression(promql: str) -> float | None:
    """The longest range that a PromQL expression names, in seconds; None where it names none."""
    found = [_seconds(selector or recorded) for selector, recorded in _RANGE.findall(_STRING.sub("", promql))]
    return max(found, default=None)


def _seconds(duration: str) -> float:
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
