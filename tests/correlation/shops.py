"""Applications that nobody here wrote: random services with random names over one to three namespaces.

Shapes: chains, fan-outs, layered meshes, data stores that only one service uses or that several share, queues with
consumers, and sometimes a hub that nearly everything reads.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from opsloop.core.topology import Graph

SYLLABLES = [
    "ba",
    "ko",
    "ri",
    "tu",
    "mel",
    "son",
    "dar",
    "vi",
    "pe",
    "lo",
    "gra",
    "fin",
    "zu",
    "hal",
    "mo",
    "ter",
    "ny",
    "qui",
    "sa",
    "bel",
    "dor",
    "wex",
]


@dataclass(slots=True)
class Shop:
    """Services by role. A store or a queue has no telemetry of requests: it is told of by others, or by its pods."""

    needs: dict[str, list[str]] = field(default_factory=dict)
    namespaces: dict[str, str] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    consumers: dict[str, str] = field(default_factory=dict)  # consumer → queue
    hub: str = ""

    @property
    def graph(self) -> Graph:
        return Graph(self.needs, self.namespaces)

    @property
    def services(self) -> list[str]:
        """Those that serve requests."""
        return [s for s in self.needs if s not in self.stores | self.queues and s != self.hub]


def a_shop(rng: random.Random) -> Shop:
    """One application, or two beside each other."""
    shop, names = Shop(), _names(rng)
    for _ in range(rng.choice([1, 2, 2])):
        namespace = next(names)
        rng.choice([_chain, _fan_out, _mesh, _mesh])(
            shop, names, rng, [namespace, *([next(names)] if rng.random() < 0.4 else [])]
        )
    _hub(shop, names, rng)
    return shop


def _names(rng: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        parts = ["".join(rng.choices(SYLLABLES, k=rng.choice([2, 2, 3]))) for _ in range(rng.choice([1, 1, 2]))]
        name = "-".join(parts)
        if name not in seen and not any(name.startswith(other) or other.startswith(name) for other in seen):
            seen.add(name)
            yield name


def _add(shop: Shop, name: str, namespace: str, needs: list[str] | None = None) -> str:
    shop.needs[name], shop.namespaces[name] = list(needs or []), namespace
    return name


def _chain(shop: Shop, names: Iterator[str], rng: random.Random, namespaces: list[str]) -> None:
    chain = [_add(shop, next(names), rng.choice(namespaces)) for _ in range(rng.randint(5, 9))]
    for upper, lower in itertools.pairwise(chain):
        shop.needs[upper].append(lower)
    for name in chain[1:]:
        if rng.random() < 0.4:
            shop.needs[name].append(_add(shop, next(names), shop.namespaces[name]))  # a leaf beside the chain
    _stores(shop, chain, names, rng)


def _fan_out(shop: Shop, names: Iterator[str], rng: random.Random, namespaces: list[str]) -> None:
    front = _add(shop, next(names), namespaces[0])
    edge = _add(shop, next(names), namespaces[0], [front])
    middle = [_add(shop, next(names), rng.choice(namespaces)) for _ in range(rng.randint(5, 9))]
    shop.needs[front] += middle
    for name in middle:
        for _ in range(rng.choice([0, 0, 1, 2])):
            shop.needs[name].append(_add(shop, next(names), shop.namespaces[name]))
    _stores(shop, middle, names, rng)
    _queue(shop, middle, names, rng)
    assert edge


def _mesh(shop: Shop, names: Iterator[str], rng: random.Random, namespaces: list[str]) -> None:
    layers = [[_add(shop, next(names), namespaces[0])]]
    for size in (1, rng.randint(3, 6), rng.randint(4, 8), rng.randint(2, 6)):
        layers.append([_add(shop, next(names), rng.choice(namespaces)) for _ in range(size)])
    for number, layer in enumerate(layers[1:], 1):
        for name in layer:
            above = layers[number - 1]
            for caller in rng.sample(above, min(len(above), rng.choice([1, 1, 2, 2, 3]))):
                shop.needs[caller].append(name)
            if number > 2 and rng.random() < 0.2:
                shop.needs[rng.choice(layers[number - 2])].append(name)  # over one layer
    _stores(shop, [n for layer in layers[2:] for n in layer], names, rng)
    _queue(shop, layers[2] + layers[3], names, rng)


def _stores(shop: Shop, users: list[str], names: Iterator[str], rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        own = rng.sample(users, min(len(users), rng.choice([1, 1, 2, 3])))
        store = _add(shop, next(names) + "-db", shop.namespaces[own[0]])
        shop.stores.add(store)
        for user in own:
            shop.needs[user].append(store)


def _queue(shop: Shop, producers: list[str], names: Iterator[str], rng: random.Random) -> None:
    if rng.random() < 0.6:
        own = rng.sample(producers, min(len(producers), rng.choice([1, 1, 2])))
        queue = _add(shop, next(names) + "-mq", shop.namespaces[own[0]])
        shop.queues.add(queue)
        for producer in own:
            shop.needs[producer].append(queue)
        for _ in range(rng.choice([1, 2, 2])):
            consumer = _add(shop, next(names), shop.namespaces[own[0]], [queue])
            shop.consumers[consumer] = queue
            if rng.random() < 0.5 and shop.stores:
                shop.needs[consumer].append(rng.choice(sorted(shop.stores)))


def _hub(shop: Shop, names: Iterator[str], rng: random.Random) -> None:
    if rng.random() < 0.5:
        users = [s for s in shop.services if rng.random() < 0.7]
        shop.hub = _add(shop, next(names), shop.namespaces[shop.services[0]])
        for user in users:
            shop.needs[user].append(shop.hub)
