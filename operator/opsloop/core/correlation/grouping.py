"""Groups of alerts: read, told as facts, explained by roots, named. The one entry of the method for its callers.

Source of the method: docs/decisions/storms.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from opsloop.core.correlation.facts import Fact, Key, Reader, facts_of
from opsloop.core.correlation.method import Nats, Seconds
from opsloop.core.correlation.naming import named
from opsloop.core.correlation.paths import Known
from opsloop.core.correlation.search import Attribution, Root, explain
from opsloop.core.reported import Alert


@dataclass(frozen=True, slots=True)
class Group:
    """Facts that one root explains."""

    root: Root  # as found; its `service` is where the facts point to
    service: str  # as named: what is at fault
    prior: Nats
    attributions: tuple[Attribution, ...]

    @property
    def at(self) -> Seconds:
        """Unix time at which the fault began, as far as the alerts tell."""
        return self.root.at

    @property
    def keys(self) -> frozenset[Key]:
        """The episodes of all its alerts."""
        return frozenset(reading.key for a in self.attributions for reading in a.fact.readings)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups by their time, and the facts that belong to none."""

    groups: tuple[Group, ...]
    noise: tuple[Attribution, ...]


def group(alerts: Iterable[Alert], reader: Reader, known: Known | None = None, fixed: Iterable[Root] = ()) -> Grouping:
    """The groups of these alerts, firing or not, each episode once. `fixed`: roots whose name is settled."""
    readings = {reading.key: reading for reading in map(reader, alerts)}
    facts = facts_of(readings.values(), reader.method.split)
    return group_facts(facts, reader, known or Known(), fixed)


def group_facts(facts: list[Fact], reader: Reader, known: Known, fixed: Iterable[Root] = ()) -> Grouping:
    """As `group`, of facts."""
    groups: list[Group] = []
    noise: list[Attribution] = []
    for explanation in explain(facts, reader.graph, reader.method, known, fixed):
        storm = _kinds(explanation.attributions)
        for root, prior in explanation.roots.items():
            own = tuple(a for a in explanation.attributions if a.root == root)
            if own or root.fixed:
                service = root.service if root.fixed else named(root.service, _kinds(own), storm, reader.graph, known)
                groups.append(Group(root, service, prior, own))
        noise += [a for a in explanation.attributions if a.root is None]
    return Grouping(tuple(sorted(groups, key=lambda g: (g.at, g.service))), tuple(noise))


def _kinds(attributions: Iterable[Attribution]) -> dict[str, set[str]]:
    """Service → kinds of the facts on it."""
    kinds: dict[str, set[str]] = {}
    for attribution in attributions:
        if attribution.fact.service:
            kinds.setdefault(attribution.fact.service, set()).add(attribution.fact.kind)
    return kinds
