"""What it costs to say that a root raised a fact, and that a service is a root, in nats.

Facts on other services are reached along `dependsOn`: failure and slowness go up from the root to its callers; where what lies between
fails, that one has paid for the way up to itself, and one that shows nothing costs more; what reads nothing any more is dry by what it reads from, or starved; starvation goes
down again from a caller that stopped calling (a detour: root ↑ caller ↓ starved service), and to a queue's consumer through what
it shares with a producer; what calls nobody because nobody calls it has paid for the way to itself. ρ(u) is the surprise that only so many of u's callees are starved: low where all are, because then
u itself stopped; high where one is, because then that one, or its link, is at fault.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from opsloop.core.correlation.entities import NAMESPACE, NODE
from opsloop.core.correlation.facts import DEAD, DRY, FAIL, GONE, HARM, SAT, SLOW, STARVED, Fact
from opsloop.core.correlation.method import Nats, Prices
from opsloop.core.correlation.places import Places, is_place
from opsloop.core.topology import Graph


@dataclass(frozen=True, slots=True)
class Known:
    """What the cluster itself knows of services just before and during the storm.

    A burning SLI is not among it: it is a fact like an alert on errors, with a measured onset.
    """

    unready: frozenset[str] = frozenset()  # pods are missing or not ready
    changed: frozenset[str] = frozenset()  # a revision or a configuration just became live
    well: frozenset[str] = frozenset()  # their own SLI says so: they explain nothing on other services


_NONE: frozenset[str] = frozenset()


class Paths:
    """Prices of one storm: `root(r)`, `path(f, r)` and `noise(f)`. Lateness is reckoned in `core.correlation.search`."""

    def __init__(self, facts: Sequence[Fact], graph: Graph, prices: Prices, known: Known | None = None) -> None:
        """`facts`: those of one storm."""
        self.prices, self._graph, self._known = prices, graph, known or Known()
        self._on: dict[str, set[str]] = {}
        for fact in facts:
            if fact.service:
                self._on.setdefault(fact.service, set()).add(fact.kind)
        hub = max(4.0, len(graph.nodes) / 3)
        self._hubs = frozenset(name for name in graph.nodes if len(graph.callers(name)) > hub)
        self._rho: dict[str, Nats] = {}
        self._stops: dict[str, frozenset[str]] = {}
        self._noise = {
            FAIL: prices.noise_fail, SLOW: prices.noise_slow, STARVED: prices.noise_starved, DEAD: prices.noise_dead,
            SAT: prices.noise_sat, DRY: prices.noise_starved,
        }  # fmt: skip
        self._direct = {fact: self._from(fact) for fact in {(f.service, f.kind) for f in facts if f.service}}
        self.roots = sorted({root for found in self._direct.values() for root in found})
        self._places = Places(facts, graph, prices)

    def noise(self, fact: Fact) -> Nats:
        """The price of a fact that belongs to nothing."""
        return self._noise[fact.kind]

    def roots_of(self, fact: Fact) -> Mapping[str, Nats]:
        """Root → price, for every root that can have raised the fact by declared edges at less than its price as noise."""
        if fact.service:
            found = self._direct[fact.service, fact.kind] | self._places.of(fact)
            found = {
                root: price for root, price in found.items() if root not in self._known.well or root == fact.service
            }
        elif fact.entity.kind == NODE:
            found = dict.fromkeys(self.roots, self.prices.host)
        else:
            within = [r for r in self.roots if fact.entity.namespace in ("", self._graph.namespace(r))]
            found = dict.fromkeys(within if fact.entity.kind == NAMESPACE else (), self.prices.namespace)
        noise = self.noise(fact)
        return {root: price for root, price in found.items() if price < noise}

    def undeclared(self, fact: Fact) -> Nats | None:
        """The price by an edge that nobody declared, besides `prices.undeclared` for all facts of the service; None = none."""
        if not fact.service or fact.kind not in (FAIL, SLOW):
            return None
        return self.prices.at_root + self.prices.hop + (self.prices.slow if fact.kind == SLOW else 0)

    def prior(self, root: str, late: Mapping[str, Nats] | None = None, again: bool = False) -> Nats:
        """The price of this root, the least that applies; at any time, or at one.

        `late`: kind of its own facts → how late the nearest one is. What is far away in time speaks for another fault.
        `again`: of another fault on the same service, for which what the cluster knows speaks no more.
        """
        if is_place(root):
            return self.prices.root_place
        prices, known = self.prices, self._known if not again else Known()
        price = min(self._choices(root, late or {}, known)) + prices.root_calm_caller * self._calm_callers(root)
        if DEAD in self.kinds(root):  # the rest of its pods may serve: nobody above need show anything
            price = min(price, prices.root_quiet + (late or {}).get(DEAD, 0.0))
        return max(prices.root_least, price - (prices.known_changed if root in known.changed else 0.0))

    def kinds(self, service: str) -> Set[str]:
        """Kinds of the facts on a service."""
        return self._on.get(service, _NONE)

    def rho(self, caller: str) -> Nats:
        """ρ(u) = −ln((k + ½)/(n + 1)): of the caller's n callees, without hubs and failing ones, k are starved."""
        if caller not in self._rho:
            callees = [c for c in self._graph.callees(caller) if c not in self._hubs and FAIL not in self.kinds(c)]
            starved = sum(bool(self.kinds(c) & GONE) for c in callees)
            self._rho[caller] = -math.log((starved + 0.5) / (len(callees) + 1))
        return self._rho[caller]

    def _choices(self, root: str, late: Mapping[str, Nats], known: Known) -> list[Nats]:
        """Prices of what may have happened to it. Unready pods say what an alert on them would."""
        prices, kinds, callers = self.prices, self.kinds(root), self._graph.callers(root)
        choices = [prices.root_silent]
        if DEAD in kinds or root in known.unready:
            choices.append(prices.root_dead + late.get(DEAD, 0.0))
        if FAIL in kinds:
            choices.append(prices.root_fail + late.get(FAIL, 0.0))
        if SLOW in kinds and not choices[1:]:
            choices = [prices.root_slow]
        if kinds & GONE and not any(self.kinds(caller) & GONE for caller in callers):
            alone = max((self.rho(caller) for caller in callers), default=0.0)
            price = max(prices.root_least, prices.root_starved - prices.root_starved_alone * alone)
            choices.append(price + min(late.get(kind, 0.0) for kind in kinds & GONE))
        return choices

    def _calm_callers(self, root: str) -> int:
        return sum(1 for c in self._graph.callers(root) if not self.kinds(c) and self._graph.callers(c))

    def _from(self, fact: tuple[str, str]) -> dict[str, Nats]:
        """Root → price, by declared edges."""
        service, kind = fact
        if kind in (FAIL, SLOW):
            return self._up(service, kind)
        if kind == STARVED:
            return self._starved(service)
        if kind == DRY:
            return self._dry(service)
        if kind == DEAD:
            above = dict.fromkeys(self._graph.callees(service), self.prices.dead_above)
            return above | {service: self.prices.dead_at_root}
        return {service: self.prices.sat_at_root}

    def _up(self, service: str, kind: str) -> dict[str, Nats]:
        prices = self.prices
        more = prices.slow if kind == SLOW else 0.0
        below = self._graph.dependencies(service).items()
        near, found = self._told_through(service), dict[str, Nats]()
        for root, hops in below:
            skipped = 0.0 if root in near else prices.skipped
            found[root] = prices.at_root + prices.hop + prices.hop_on * (hops - 1) + skipped + more
        return found | {service: prices.at_root + more}

    def _told_through(self, service: str) -> set[str]:
        """What it calls, and all that is below those of them that show harm themselves: from further down harm jumped over a service."""
        callees = self._graph.callees(service)
        return set(callees).union(*(self._graph.dependencies(c) for c in callees if self.kinds(c) & HARM))

    def _dry(self, service: str) -> dict[str, Nats]:
        """What stopped reading is starved from above, or what it reads from is at fault."""
        prices, found = self.prices, self._starved(service)
        for root, hops in self._graph.dependencies(service).items():
            found[root] = min(found.get(root, math.inf), prices.at_root + prices.hop * hops)
        return found

    def _starved(self, service: str) -> dict[str, Nats]:
        prices, found = self.prices, dict[str, Nats]()
        for caller, down in self._feeders(service).items():
            first = self.rho(caller)
            for root, up in ({caller: 0} | self._graph.dependencies(caller)).items():
                price = first + prices.detour_hop * (down - 1) + prices.detour_up * up
                if root != service and price < found.get(root, math.inf):
                    found[root] = price
        starved = [caller for caller in self._graph.callers(service) if self.kinds(caller) & GONE]
        for caller in starved:
            through = self.rho(caller) + prices.detour_hop
            for root in self._stopped(caller) - {service}:
                found[root] = min(found.get(root, math.inf), through)
        found[service] = prices.starved_at_root + (prices.starved_under_starved if starved else 0.0)
        return found

    def _stopped(self, starved: str) -> frozenset[str]:
        """Roots that can have starved a service: what feeds it, and what that depends on."""
        if starved not in self._stops:
            feeders = self._feeders(starved)
            self._stops[starved] = frozenset(feeders).union(*map(self._graph.dependencies, feeders))
        return self._stops[starved]

    def _feeders(self, service: str) -> dict[str, int]:
        """What calls the service, directly or not, with its hops; for a consumer that nobody calls the other users of what it reads."""
        feeders = dict(self._graph.dependents(service))
        if not self._graph.callers(service):
            for shared in self._graph.callees(service):
                if shared in self._hubs:
                    continue
                for producer, hops in self._graph.dependents(shared).items():
                    if producer != service and self._graph.callers(producer):
                        feeders[producer] = min(hops + 1, feeders.get(producer, hops + 1))
        return feeders
