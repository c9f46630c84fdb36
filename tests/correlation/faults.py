"""What a fault does to an application, and which symptoms it leaves: a causal model of its own, seeded.

It knows nothing of the method that is measured: failures travel to callers with a chance per edge, slowness turns into
time-outs, callers that give up early stop calling what they would have called next, queues run dry.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from opsloop.core.topology import Graph
from tests.correlation.shops import Shop

Symptom = tuple[str, str]  # kind of `KINDS`, service (or "node", "namespace" with its name)
KINDS = (
    "error",
    "slow",
    "starved",
    "dry",
    "crash",
    "unready",
    "mismatch",
    "stuck",
    "oom",
    "target",
    "throttled",
    "node",
)


LEAST = 3  # symptoms of a fault that is worth the name of a storm


@dataclass(slots=True)
class Fault:
    """One fault with its symptoms; delays in seconds after its beginning."""

    root: str
    accept: set[str]
    symptoms: dict[Symptom, float] = field(default_factory=dict)
    unready: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    what: str = ""  # its kind

    def shows(self, kind: str, service: str, delay: float) -> None:
        """Adds a symptom; the earliest counts."""
        self.symptoms[kind, service] = min(delay, self.symptoms.get((kind, service), delay))

    def has(self, kind: str, service: str) -> bool:
        return (kind, service) in self.symptoms


def a_fault(shop: Shop, rng: random.Random, not_on: set[str]) -> Fault:
    """A fault of a random kind on a random place that is not in `not_on`."""
    graph = shop.graph
    while True:
        kind = rng.choice(FAULTS)
        made = kind(shop, graph, rng)
        if made is not None and not made.accept & not_on and len(made.symptoms) >= LEAST:
            made.what = kind.__name__.strip("_")
            return made


def _crash(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """Pods of a service crash or never start."""
    root = rng.choice(shop.services)
    fault = Fault(root, {root}, unready={root}, changed={root} if rng.random() < 0.5 else set())
    kinds = rng.choice(
        [("crash", "unready", "mismatch"), ("unready", "mismatch", "stuck"), ("oom", "crash", "unready")]
    )
    for kind in (*kinds, "target"):
        if rng.random() < 0.75:
            fault.shows(kind, root, rng.uniform(0, 40))
    if rng.random() < 0.6:
        fault.shows("starved", root, rng.uniform(0, 40))
    _errors_up(fault, shop, graph, rng, root, rng.uniform(0, 30))
    _less_traffic(fault, shop, graph, rng, [root])
    return fault


def _bad_release(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """A service answers with errors, at times slowly."""
    root = rng.choice(shop.services)
    fault = Fault(root, {root}, changed={root} if rng.random() < 0.9 else set())
    at = rng.uniform(0, 60)
    fault.shows("error", root, at)
    if rng.random() < 0.3:
        fault.shows("slow", root, at + rng.uniform(0, 30))
    _errors_up(fault, shop, graph, rng, root, at)
    _less_traffic(fault, shop, graph, rng, [root] if rng.random() < 0.4 else [])
    return fault


def _slow(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """A service gets slow: its callers do, and some of them time out."""
    root = rng.choice(shop.services)
    fault = Fault(root, {root}, changed={root} if rng.random() < 0.5 else set())
    at = rng.uniform(0, 60)
    fault.shows("slow", root, at)
    if rng.random() < 0.5:
        fault.shows("throttled", root, at)
    if rng.random() < 0.3:
        fault.shows("error", root, at + rng.uniform(0, 60))
    for caller, delay in _upwards(graph, rng, root, at, 0.85):
        fault.shows("slow", caller, delay)
        if rng.random() < 0.35:
            fault.shows("error", caller, delay + rng.uniform(0, 40))
    return fault


def _broken_link(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """One service cannot reach another: a policy, a wrong port, a proxy that aborts."""
    links = [(c, e) for c in shop.services for e in shop.needs[c] if e in shop.services]
    if not links:
        return None
    caller, callee = rng.choice(links)
    fault = Fault(callee, {callee, caller}, changed={rng.choice([caller, callee])} if rng.random() < 0.5 else set())
    at = rng.uniform(0, 20)
    fault.shows("error", caller, at)
    if len(graph.callers(callee)) == 1 or rng.random() < 0.4:
        fault.shows("starved", callee, at)
    _errors_up(fault, shop, graph, rng, caller, at)
    _less_traffic(fault, shop, graph, rng, [])
    return fault


def _store(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """A data store or a queue is gone: its users fail, wait, or get nothing."""
    root = rng.choice(sorted(shop.stores | shop.queues) or [""])
    users = [u for u in graph.callers(root) if u not in shop.consumers]
    if not root or not users:
        return None
    fault = Fault(
        root, {root}, unready={root} if rng.random() < 0.7 else set(), changed={root} if rng.random() < 0.3 else set()
    )
    if fault.unready:
        for kind in ("crash", "unready", "mismatch"):
            if rng.random() < 0.7:
                fault.shows(kind, root, rng.uniform(0, 30))
    at = rng.uniform(0, 40)
    for user in users:
        if rng.random() < 0.9:
            delay = at + rng.expovariate(1 / 10)
            fault.shows("error", user, delay)
            if rng.random() < 0.6:
                fault.shows("slow", user, delay)
            if rng.random() < 0.4 and root in shop.stores:
                fault.shows("dry", user, delay)
            _errors_up(fault, shop, graph, rng, user, delay)
    for consumer in (c for c, queue in shop.consumers.items() if queue == root or root in shop.needs[c]):
        if rng.random() < 0.8:
            fault.shows("dry", consumer, at)
    _less_traffic(fault, shop, graph, rng, [])
    return fault


def _node(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """A node is overloaded; the service on it suffers."""
    fault = _slow(shop, graph, rng)
    if fault is not None:
        fault.symptoms.pop(("throttled", fault.root), None)
        fault.changed = set()
        fault.shows("node", f"10.0.{rng.randint(1, 40)}.{rng.randint(2, 250)}", 0)
    return fault


def _half_rollout(shop: Shop, graph: Graph, rng: random.Random) -> Fault | None:
    """New pods never start, old ones go on serving: only the workload tells."""
    root = rng.choice(shop.services)
    fault = Fault(root, {root}, unready={root}, changed={root})
    for kind in ("stuck", "unready", "mismatch"):
        if rng.random() < 0.85:
            fault.shows(kind, root, rng.uniform(0, 40))
    return fault


FAULTS: tuple[Callable[[Shop, Graph, random.Random], Fault | None], ...] = (
    _crash, _crash, _bad_release, _bad_release, _slow, _broken_link, _broken_link, _store, _store, _node, _half_rollout,
)  # fmt: skip


def _upwards(graph: Graph, rng: random.Random, start: str, at: float, chance: float) -> Iterator[tuple[str, float]]:
    """Callers that the harm reaches, breadth first, with the time at which it does."""
    reached, frontier = {start}, [(start, at)]
    for name, since in frontier:
        for caller in graph.callers(name):
            if caller not in reached and rng.random() < chance:
                reached.add(caller)
                delay = since + rng.expovariate(1 / 15)
                frontier.append((caller, delay))
                yield caller, delay


def _errors_up(fault: Fault, shop: Shop, graph: Graph, rng: random.Random, start: str, at: float) -> None:
    for caller, delay in _upwards(graph, rng, start, at, 0.88):
        if caller not in shop.consumers:
            fault.shows("error", caller, delay)
        if rng.random() < 0.12:
            fault.shows("slow", caller, delay)


def _less_traffic(fault: Fault, shop: Shop, graph: Graph, rng: random.Random, dead: list[str]) -> None:
    """Callers that give up early, and what is dead, call the others no more; what nobody calls calls nobody, and queues run dry."""
    failing = {service: delay for (kind, service), delay in fault.symptoms.items() if kind == "error"}
    silent = {u: d for u, d in failing.items() if rng.random() < 0.45} | dict.fromkeys(dead, 0.0)
    for _ in range(4):
        for service in shop.services:
            callers = graph.callers(service)
            if not callers or service in silent or service in failing or service == fault.root:
                continue
            stopped = [silent[c] for c in callers if c in silent]
            if stopped and rng.random() < (0.9 if 2 * len(stopped) >= len(callers) else 0.04):
                delay = max(stopped) + rng.expovariate(1 / 20)
                silent[service] = delay
                fault.shows("starved", service, delay)
    for consumer, queue in shop.consumers.items():
        feeding = [silent[p] for p in graph.callers(queue) if p in silent]
        producers = [p for p in graph.callers(queue) if p not in shop.consumers]
        if feeding and len(feeding) == len(producers) and rng.random() < 0.8:
            fault.shows("dry", consumer, max(feeding))
