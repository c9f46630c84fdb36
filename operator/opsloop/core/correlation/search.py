"""The roots that explain the facts of a storm with the shortest description.

    L(R) = Σ_{r∈R} prior(r) + Σ_f min( N_f , min_{r∈R} [ path(f, r) + T(f, r) ] )

A root is a service and the time at which its fault began. The search starts from the roots that are given as fixed (none at
first) and makes the best of four moves (add, remove, swap, split one in two) until none shortens L; after a move, root times
and attributions are fitted in turn (expectation maximisation): a root's time is the median of its facts, weighted by 1/σ.
The same facts lead to the same answer, in whatever order they came.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opsloop.core.correlation.facts import Fact, weighted_median
from opsloop.core.correlation.method import Method, Nats, Seconds
from opsloop.core.correlation.paths import Known, Paths
from opsloop.core.topology import Graph

GAIN = 1e-6  # nats; a move that shortens L by less is none
TRIES = 6  # additions, and replacements of each root, that are fitted: those that promise most
MOST_TRIES = 60  # in one step; where there are many roots, fewer for each
FIRSTS = 2  # of a pair, that are tried with the best second one
BASES = 8  # roots in the place of which a pair is tried: those that can be spared at the least cost
TIMES = 8  # at which a new root is tried
# Nats; a candidate that promises to be longer than now by no more than this may be shorter once it is fitted.
SLACK = 12.0


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """A service that failed, and since when (Unix time)."""

    service: str
    at: Seconds
    fixed: bool = False  # its name is settled: it can be neither removed nor swapped
    until: Seconds = 0.0  # of a measured fault, when it ended: nothing in that time is late, and its time is settled


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where one fact went, and what it costs there; `root` None = noise."""

    fact: Fact
    root: Root | None
    path: Nats
    late: Nats
    noise: Nats
    undeclared: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """Roots with their priors, the attribution of every fact (in the order of the facts), and the whole length in nats."""

    roots: Mapping[Root, Nats]
    attributions: tuple[Attribution, ...]
    length: Nats


def explain(
    facts: Sequence[Fact], graph: Graph, method: Method, known: Known | None = None, fixed: Iterable[Root] = ()
) -> list[Explanation]:
    """One Explanation per stretch of time: facts that no root can join (further apart than `method.reach`) are told apart."""
    stretches: list[list[Fact]] = [[]]
    ordered = sorted(facts, key=lambda f: (f.onset, f.entity, f.kind))
    for fact in ordered:
        if stretches[-1] and fact.onset - stretches[-1][-1].onset > method.reach:
            stretches.append([])
        stretches[-1].append(fact)
    settled = list(fixed)
    result = []
    for stretch in stretches:
        if stretch:
            early, late = stretch[0].onset - method.reach, stretch[-1].onset + method.reach
            own = [root for root in settled if early <= max(root.at, root.until) and root.at <= late]
            result.append(_Search(stretch, Paths(stretch, graph, method.prices, known), method).run(own))
    return result


class _Search:
    """The search over one stretch. Root times are onsets of facts, so that lateness is a table."""

    def __init__(self, facts: list[Fact], paths: Paths, method: Method) -> None:
        self.facts, self.paths, self.method, self.prices = facts, paths, method, method.prices
        self.noise = [paths.noise(fact) for fact in facts]
        self.columns: dict[str, list[tuple[int, Nats]]] = {root: [] for root in paths.roots}
        groups: dict[str, list[tuple[int, Nats]]] = {}
        for index, fact in enumerate(facts):
            for root, price in paths.roots_of(fact).items():
                self.columns.setdefault(root, []).append((index, price))
            if (through := paths.undeclared(fact)) is not None:
                groups.setdefault(fact.service, []).append((index, through))
        self.groups = sorted(groups.items())
        self.own: dict[str, list[int]] = {}
        for index, fact in enumerate(facts):
            if fact.service:
                self.own.setdefault(fact.service, []).append(index)
        self._times = {root: self._tried(root, column) for root, column in self.columns.items()}
        self._prior_at: dict[tuple[str, Seconds, bool], Nats] = {}
        self._late: dict[tuple[Seconds, Seconds], list[Nats]] = {}
        self._costs: dict[tuple[str, Seconds, Seconds], list[tuple[int, Nats]]] = {}

    def run(self, fixed: list[Root]) -> Explanation:
        """Adds as long as it helps, then makes the best of all moves, and two at once where none of them helps."""
        state, bounds = self.fit(sorted(fixed)), dict[str, Nats]()
        while (longer := self.better(state, self.additions(state, bounds))) is not None:
            state = longer
        while (moved := self.better(state, self.moves(state)) or self.better(state, self.pairs(state))) is not None:
            state = moved
        return self.told(state)

    def better(self, state: "_State", candidates: Iterable[tuple[Nats, list[Root]]]) -> "_State | None":
        """The shortest of the candidates once they are fitted; None where none is shorter than the state."""
        fitted = [self.fit(roots) for promise, roots in candidates if promise < state.length + SLACK]
        best = min(fitted, key=lambda s: (s.length, s.roots), default=None)
        return best if best is not None and best.length < state.length - GAIN else None

    # what a set of roots costs

    def late(self, at: Seconds, until: Seconds = 0.0) -> list[Nats]:
        """T: per fact the price of not being on time for a root of this time (and lasting until then)."""
        key = at, until
        if key not in self._late:
            prices, row = self.prices, list[Nats]()
            for fact in self.facts:
                distance = fact.onset - min(max(fact.onset, at), max(at, until))
                over = max(0.0, abs(distance) / fact.spread - prices.late_free)
                price = min(prices.late_most, prices.late_slope * over) * (prices.late_before if distance < 0 else 1.0)
                row.append(price if abs(distance) <= self.method.reach else math.inf)
            self._late[key] = row
        return self._late[key]

    def costs(self, service: str, at: Seconds, until: Seconds = 0.0) -> list[tuple[int, Nats]]:
        """(index of fact, path + T) wherever that is less than noise."""
        key = service, at, until
        if key not in self._costs:
            late = self.late(at, until)
            found = [(index, price + late[index]) for index, price in self.columns.get(service, ())]
            self._costs[key] = [(index, cost) for index, cost in found if cost < self.noise[index]]
        return self._costs[key]

    def state(self, roots: Sequence[Root]) -> "_State":
        """Attributions of all facts to these roots, and what that costs."""
        prices, owners = list(self.noise), [-1] * len(self.facts)
        spare = list(self.noise)
        for number, root in enumerate(roots):
            for index, cost in self.costs(root.service, root.at, root.until):
                if cost < prices[index]:
                    spare[index], prices[index], owners[index] = prices[index], cost, number
                elif cost < spare[index]:
                    spare[index] = cost
        through = self._undeclared(roots, prices, owners)
        length = sum(self._priors(roots).values()) + sum(prices) + sum(through.values())
        return _State(list(roots), length, prices, spare, owners, through)

    def _undeclared(self, roots: Sequence[Root], prices: list[Nats], owners: list[int]) -> dict[int, Nats]:
        """Attributes facts by edges that nobody declared, where that is cheaper; those facts, each with its share of its edge."""
        through: dict[int, Nats] = {}
        for _, group in self.groups:
            most = (
                sum(prices[index] - price for index, price in group if prices[index] > price) - self.prices.undeclared
            )
            if most <= 0:
                continue
            saved, number, moved = GAIN, -1, list[tuple[int, Nats]]()
            for candidate, root in enumerate(roots):
                late = self.late(root.at, root.until)
                cheaper = [(i, price + late[i]) for i, price in group if price + late[i] < prices[i]]
                gain = sum(prices[i] - cost for i, cost in cheaper) - self.prices.undeclared
                if gain > saved:
                    saved, number, moved = gain, candidate, cheaper
                    if saved >= most:  # nothing is late: no other root can save more
                        break
            if number >= 0:
                for index, cost in moved:
                    prices[index], owners[index] = cost, number
                    through[index] = self.prices.undeclared / len(moved)
        return through

    def _priors(self, roots: Sequence[Root]) -> dict[Root, Nats]:
        """Root → its prior; a fixed one costs nothing, it is there."""
        seen, found = set[str](), dict[Root, Nats]()
        for root in roots:
            again = root.service in seen
            found[root] = 0.0 if root.fixed else self.prior(root.service, root.at, again)
            seen.add(root.service)
        return found

    def prior(self, service: str, at: Seconds, again: bool = False) -> Nats:
        """The price of a root at this time: what its own facts say of it they say the less the further they are away."""
        key = service, at, again
        if key not in self._prior_at:
            late, own = self.late(at), dict[str, Nats]()
            for index in self.own.get(service, ()):
                kind = self.facts[index].kind
                own[kind] = min(own.get(kind, math.inf), late[index])
            self._prior_at[key] = self.paths.prior(service, own, again)
        return self._prior_at[key]

    def fit(self, roots: list[Root]) -> "_State":
        """Attributions and root times in turn, as long as L gets shorter."""
        state = self.state(roots)
        for _ in range(10):
            own: list[list[tuple[Seconds, float]]] = [[] for _ in state.roots]
            for fact, owner in zip(self.facts, state.owners, strict=True):
                if owner >= 0:
                    own[owner].append((fact.onset, 1 / fact.spread))
            moved = sorted(
                Root(root.service, weighted_median(onsets), root.fixed) if onsets and not root.until else root
                for root, onsets in zip(state.roots, own, strict=True)
            )
            if moved == state.roots:
                break
            shorter = self.state(moved)
            if shorter.length > state.length - GAIN:
                break
            state = shorter
        return state

    # moves: what a set of roots promises to cost, and the set

    def additions(self, state: "_State", bounds: dict[str, Nats] | None = None) -> Iterator[tuple[Nats, list[Root]]]:
        """One root more: of each service at its best time. `bounds`: what each saved when there were fewer roots, at most."""
        for gain, root in self._gains(state.whole, self.columns, TRIES, bounds):
            yield state.length - gain, [*state.roots, root]

    def moves(self, state: "_State") -> Iterator[tuple[Nats, list[Root]]]:
        """One root more or less, another root in the place of one, one root as two."""
        yield from self.additions(state)
        priors, whole = self._priors(state.roots), state.whole
        tries = min(TRIES, max(1, MOST_TRIES // max(1, len(state.roots))))
        for number, root in enumerate(state.roots):
            rest = state.roots[:number] + state.roots[number + 1 :]
            freed = [index for index, owner in enumerate(state.owners) if owner == number]
            if not root.fixed:
                prices = list(whole)
                for index in freed:
                    prices[index] = state.spare[index]
                without = state.length - priors[root] + sum(state.spare[i] - whole[i] for i in freed)
                yield without, rest
                for gain, other in self._gains(prices, self._reached(state, number) - {root.service}, tries):
                    yield without - gain, [*rest, other]
            if halves := self._halves(root, freed):
                yield state.length, [*rest, *halves]

    def pairs(self, state: "_State") -> Iterator[tuple[Nats, list[Root]]]:
        """Two roots more, and two in the place of one: of two faults that explain the same facts neither helps alone."""
        bases: list[tuple[_State, Iterable[str]]] = [(self.state(state.roots), self.columns)]
        for number, root in enumerate(state.roots):
            if not root.fixed:
                rest = self.state(state.roots[:number] + state.roots[number + 1 :])
                bases.append((rest, self._reached(state, number)))
        for base, near in sorted(bases, key=lambda b: (b[0].length, b[0].roots))[:BASES]:
            for _, first in self._gains(base.whole, near, FIRSTS):
                one = self.fit([*base.roots, first])
                for gain, second in self._gains(one.whole, near, 1):
                    yield one.length - gain, [*one.roots, second]

    def _reached(self, state: "_State", number: int) -> set[str]:
        """Services that could have raised a fact of this root."""
        own = (index for index, owner in enumerate(state.owners) if owner == number)
        return {name for index in own for name in self.paths.roots_of(self.facts[index])}

    def _gains(
        self, prices: list[Nats], services: Iterable[str], most: int, bounds: dict[str, Nats] | None = None
    ) -> list[tuple[Nats, Root]]:
        """(nats saved, root) of the services that save most, each at its best time; those that `bounds` rules out are not tried."""
        found: list[tuple[Nats, Root]] = []
        known: dict[str, Nats] = {} if bounds is None else bounds
        least = -math.inf
        for service in sorted(services, key=lambda name: (-known.get(name, math.inf), name)):
            if known.get(service, math.inf) < least:
                break
            prior = self.paths.prior(service)
            if sum(prices[i] - path for i, path in self.columns[service] if prices[i] > path) <= prior - SLACK:
                known[service] = -math.inf
                continue
            best, when = -math.inf, 0.0
            for at in self._times[service]:
                saved = sum(prices[i] - cost for i, cost in self.costs(service, at) if cost < prices[i])
                if (saved := saved - self.prior(service, at)) > best:
                    best, when = saved, at
            known[service] = best
            if best > -SLACK:
                found.append((best, Root(service, when)))
            if len(found) >= most:
                least = sorted((gain for gain, _ in found), reverse=True)[most - 1]
        return sorted(found, key=lambda f: (-f[0], f[1]))[:most]

    def _tried(self, root: str, column: list[tuple[int, Nats]]) -> list[Seconds]:
        """Times at which a root is tried: onsets of the facts that it can have raised, evenly, and those of its own facts."""
        onsets = sorted({self.facts[index].onset for index, _ in column})
        step = max(1, -(-len(onsets) // TIMES))
        return sorted({*onsets[step // 2 :: step], *(self.facts[index].onset for index in self.own.get(root, ()))})

    def _halves(self, root: Root, own: list[int]) -> list[Root]:
        """The root twice, at the times before and after the widest gap among its facts; empty where it has but one time."""
        onsets = sorted(self.facts[index].onset for index in own)
        if len(onsets) < 2 or onsets[-1] == onsets[0] or root.until:
            return []
        cut = max(range(1, len(onsets)), key=lambda i: (onsets[i] - onsets[i - 1], -i))
        early, late = onsets[:cut], onsets[cut:]
        return [Root(root.service, early[len(early) // 2], root.fixed), Root(root.service, late[len(late) // 2])]

    def told(self, state: "_State") -> Explanation:
        """The state in the words of others."""
        attributions = []
        for index, (fact, owner) in enumerate(zip(self.facts, state.owners, strict=True)):
            root = state.roots[owner] if owner >= 0 else None
            late = self.late(root.at, root.until)[index] if root else 0.0
            path = state.prices[index] - late if root else 0.0
            attributions.append(Attribution(fact, root, path, late, self.noise[index], index in state.through))
        return Explanation(self._priors(state.roots), tuple(attributions), state.length)


@dataclass(frozen=True, slots=True)
class _State:
    """Roots with the attributions of all facts; by index of fact: price, next best price, index of the root (-1 = noise)."""

    roots: list[Root]
    length: Nats
    prices: list[Nats]
    spare: list[Nats]
    owners: list[int]
    through: dict[int, Nats]  # facts that an undeclared edge reaches, each with its share of the price of that edge

    @property
    def whole(self) -> list[Nats]:
        """The price of each fact with its share of an edge: what is saved where another root explains it."""
        if not self.through:
            return self.prices
        return [price + self.through.get(index, 0.0) for index, price in enumerate(self.prices)]
