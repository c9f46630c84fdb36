"""The roots that explain the facts of a storm with the shortest description.

    L(R) = Σ_{r∈R} prior(r) + Σ_f min( N_f , min_{r∈R} [ path(f, r) + T(f, r) ] )

A root is a service and the time at which its fault began. The search starts from the roots that are given as fixed (none at
first) and makes the best of four moves (add, remove, swap, split one in two) until none shortens L; after a move, root times
and attributions are fitted in turn (expectation maximisation): a root's time is the median of its facts, weighted by 1/σ.
The same facts lead to the same answer, in whatever order they came.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opsloop.core.correlation.facts import Fact, weighted_median
from opsloop.core.correlation.method import Method, Nats, Seconds
from opsloop.core.correlation.paths import Known, Paths
from opsloop.core.topology import Graph

GAIN = 1e-6  # nats; a move that shortens L by less is none
TRIES = 4  # of the best candidates of each move that are fitted
TIMES = 6  # at which a new root is tried


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """A service that failed, and since when (Unix time)."""

    service: str
    at: Seconds
    fixed: bool = False  # its name is settled: it can be neither removed nor swapped


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
            own = [root for root in settled if early <= root.at <= late]
            result.append(_Search(stretch, Paths(stretch, graph, method.prices, known), method).run(own))
    return result


class _Search:
    """The search over one stretch."""

    def __init__(self, facts: list[Fact], paths: Paths, method: Method) -> None:
        self.facts, self.paths, self.method, self.prices = facts, paths, method, method.prices
        self.noise = [paths.noise(fact) for fact in facts]
        self.columns: dict[str, list[tuple[int, Nats]]] = {root: [] for root in paths.roots}
        for index, fact in enumerate(facts):
            for root, price in paths.roots_of(fact).items():
                self.columns.setdefault(root, []).append((index, price))
        self._costs: dict[tuple[str, Seconds], list[tuple[int, Nats]]] = {}
        groups: dict[str, list[tuple[int, Nats]]] = {}
        for index, fact in enumerate(facts):
            if (through := paths.undeclared(fact)) is not None:
                groups.setdefault(fact.service, []).append((index, through))
        self.groups = sorted(groups.items())

    def run(self, fixed: list[Root]) -> Explanation:
        roots = sorted(fixed)
        length = self.length(roots)
        while True:
            candidates = [self.fit(moved) for moved in self.moves(roots)]
            best = min(candidates, default=None)
            if best is None or best[0] > length - GAIN:
                return self.told(roots, length)
            length, roots = best

    # what a set of roots costs

    def late(self, fact: Fact, at: Seconds) -> Nats:
        """T: the price of a fact that is not on time."""
        distance = fact.onset - at
        z = abs(distance) / fact.spread
        price = min(self.prices.late_most, self.prices.late_slope * max(0.0, z - self.prices.late_free))
        return price * (self.prices.late_before if distance < 0 else 1.0)

    def costs(self, service: str, at: Seconds) -> list[tuple[int, Nats]]:
        """(index of fact, path + T) wherever that is less than noise."""
        key = service, at
        if key not in self._costs:
            self._costs[key] = found = []
            for index, price in self.columns.get(service, ()):
                fact = self.facts[index]
                if abs(fact.onset - at) <= self.method.reach:
                    cost = price + self.late(fact, at)
                    if cost < self.noise[index]:
                        found.append((index, cost))
        return self._costs[key]

    def best(self, roots: Sequence[Root]) -> tuple[list[Nats], list[int]]:
        """Per fact its least price by declared edges, and the index of the root (-1 = noise)."""
        prices, owners = list(self.noise), [-1] * len(self.facts)
        for number, root in enumerate(roots):
            for index, cost in self.costs(root.service, root.at):
                if cost < prices[index]:
                    prices[index], owners[index] = cost, number
        return prices, owners

    def assign(self, roots: Sequence[Root]) -> tuple[list[Nats], list[int], Nats, set[int]]:
        """`best`, and with what undeclared edges save: (prices, owners, price of those edges, facts that use one)."""
        prices, owners = self.best(roots)
        edges, through = 0.0, set[int]()
        for _, group in self.groups:
            plain = sum(prices[index] for index, _ in group)
            if plain <= self.prices.undeclared or not roots:
                continue
            saved, number, moved = 0.0, -1, list[tuple[int, Nats]]()
            for candidate, root in enumerate(roots):
                cheaper = [
                    (index, cost)
                    for index, price in group
                    if (cost := price + self.late(self.facts[index], root.at)) < prices[index]
                    and abs(self.facts[index].onset - root.at) <= self.method.reach
                ]
                gain = sum(prices[index] - cost for index, cost in cheaper) - self.prices.undeclared
                if gain > saved + GAIN:
                    saved, number, moved = gain, candidate, cheaper
            if number >= 0:
                edges += self.prices.undeclared
                for index, cost in moved:
                    prices[index], owners[index] = cost, number
                    through.add(index)
        return prices, owners, edges, through

    def priors(self, roots: Sequence[Root]) -> Nats:
        return sum(self.paths.prior(root.service) for root in roots if not root.fixed)

    def length(self, roots: Sequence[Root]) -> Nats:
        prices, _, edges, _ = self.assign(roots)
        return self.priors(roots) + sum(prices) + edges

    def fit(self, roots: list[Root]) -> tuple[Nats, list[Root]]:
        """Attributions and root times in turn, as long as L gets shorter."""
        length = self.length(roots)
        for _ in range(10):
            _, owners, _, _ = self.assign(roots)
            moved = sorted(self._retimed(root, number, owners) for number, root in enumerate(roots))
            shorter = self.length(moved)
            if shorter > length - GAIN:
                break
            length, roots = shorter, moved
        return length, roots

    def _retimed(self, root: Root, number: int, owners: list[int]) -> Root:
        own = [(f.onset, 1 / f.spread) for f, owner in zip(self.facts, owners, strict=True) if owner == number]
        return Root(root.service, weighted_median(own), root.fixed) if own else root

    # moves

    def moves(self, roots: list[Root]) -> Iterable[list[Root]]:
        """Sets of roots that one move leads to: of each kind those that promise most."""
        yield from ([*roots, root] for root in self._additions(roots))
        for number, root in enumerate(roots):
            rest = roots[:number] + roots[number + 1 :]
            if not root.fixed:
                yield rest
                yield from ([*rest, other] for other in self._additions(rest) if other.service != root.service)
            yield from ([*rest, *halves] for halves in self._halves(root, number, roots))

    def _additions(self, roots: list[Root]) -> list[Root]:
        """New roots that save most beside `roots`, before their time is fitted."""
        prices, _ = self.best(roots)
        found: list[tuple[Nats, Root]] = []
        for service, column in self.columns.items():
            open_ = [(index, prices[index] - path) for index, path in column if prices[index] > path]
            prior = self.paths.prior(service)
            if sum(slack for _, slack in open_) <= prior:
                continue
            onsets = sorted({self.facts[index].onset for index, _ in open_})
            step = max(1, -(-len(onsets) // TIMES))
            for at in onsets[::step]:
                gain = -prior
                for index, slack in open_:
                    fact = self.facts[index]
                    if abs(fact.onset - at) <= self.method.reach and (saved := slack - self.late(fact, at)) > 0:
                        gain += saved
                found.append((-gain, Root(service, at)))
        found.sort()
        distinct: dict[str, Root] = {}
        for _, root in found:
            distinct.setdefault(root.service, root)
        return list(distinct.values())[:TRIES]

    def _halves(self, root: Root, number: int, roots: list[Root]) -> Iterable[list[Root]]:
        """The root twice, at the times before and after the widest gap among its facts."""
        _, owners, _, _ = self.assign(roots)
        onsets = sorted(f.onset for f, owner in zip(self.facts, owners, strict=True) if owner == number)
        if len(onsets) < 2 or onsets[-1] == onsets[0]:
            return
        cut = max(range(1, len(onsets)), key=lambda i: (onsets[i] - onsets[i - 1], -i))
        early, late = onsets[:cut], onsets[cut:]
        yield [
            Root(root.service, early[len(early) // 2], root.fixed),
            Root(root.service, late[len(late) // 2]),
        ]

    def told(self, roots: list[Root], length: Nats) -> Explanation:
        prices, owners, _, through = self.assign(roots)
        attributions = []
        for index, fact in enumerate(self.facts):
            root = roots[owners[index]] if owners[index] >= 0 else None
            late = self.late(fact, root.at) if root else 0.0
            attributions.append(
                Attribution(
                    fact, root, prices[index] - late if root else 0.0, late, self.noise[index], index in through
                )
            )
        return Explanation({root: self.paths.prior(root.service) for root in roots}, tuple(attributions), length)
