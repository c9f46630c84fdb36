"""Rules of Prometheus evaluated one group after another, as its rule manager does, over the model or a real server."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from opsloop.simulator.prometheus.engine import Engine
from opsloop.simulator.prometheus.labels import NAME
from opsloop.simulator.prometheus.store import STALE, Store

Labels = Mapping[str, str]
Firing = dict[tuple[str, str], list[int]]
"""(slo, tier) of an alert → the times in ms at which it fired."""


class World(Protocol):
    """Something that answers PromQL and takes samples; times in ms."""

    def ask(self, query: str, at: int) -> list[tuple[Labels, float]]: ...

    def write(self, labels: Labels, at: int, value: float) -> None: ...


class Model:
    """The model of Prometheus, whose time goes on with the questions."""

    def __init__(self, store: Store) -> None:
        self.store, self.engine = store, Engine(store)

    def ask(self, query: str, at: int) -> list[tuple[Labels, float]]:
        """The elements of an instant vector."""
        self.store.advance(max(at, self.store.now))
        return [(labels.values, value) for labels, value in self.engine.instant(query, at)[1]]

    def write(self, labels: Labels, at: int, value: float) -> None:
        """A sample that is visible at once."""
        self.store.append(labels, at, value)


def evaluate(groups: Sequence[Mapping[str, Any]], world: World, times: Iterable[int]) -> Firing:
    """Evaluates all rules at these times. A recorded series that gives nothing any more ends with a staleness marker."""
    fired: Firing = {}
    before: dict[int, set[tuple[tuple[str, str], ...]]] = {}
    rules = [rule for group in groups for rule in group["rules"]]
    for at in times:
        for number, rule in enumerate(rules):
            answer = world.ask(rule["expr"], at)
            if "alert" in rule:
                key = (rule["labels"]["slo"], rule["labels"]["tier"])
                fired.setdefault(key, []).extend([at] if answer else [])
                continue
            now = {
                tuple(sorted({**_unnamed(labels), **rule["labels"], NAME: rule["record"]}.items())): value
                for labels, value in answer
            }
            for series in before.get(number, set()) - now.keys():
                world.write(dict(series), at, STALE)
            for series, value in now.items():
                world.write(dict(series), at, value)
            before[number] = set(now)
    return fired


def _unnamed(labels: Labels) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != NAME}
