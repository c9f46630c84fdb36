"""How well groups fit the known answers of many storms: the measures of the recorded data's score.py, for fresh storms."""

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opsloop.core.alert_rules import NO_RULES
from opsloop.core.correlation.facts import Reader
from opsloop.core.correlation.grouping import Grouping, group
from opsloop.core.correlation.lags import Lessons
from opsloop.core.correlation.method import Method
from opsloop.core.correlation.onsets import Rules
from tests.correlation import others
from tests.correlation.storms import NOISE, WORLD, Storm, a_storm


@dataclass(frozen=True, slots=True)
class Score:
    """One storm."""

    kind: str
    one_namespace: bool
    ari: float
    opened: int
    true: int
    missed: int
    noise: int
    noise_apart: int
    roots: int  # Incidents whose group names an accepted root


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over storms; `low` is the lower end of the 95 % interval of `ari` (bootstrap over storms)."""

    storms: int
    ari: float
    low: float
    one_ns: float
    missed: float
    noise_apart: float
    root: float
    opened: float

    def __str__(self) -> str:
        return (
            f"{self.storms:5d} {self.ari:8.3f} {self.low:6.3f} {self.one_ns:7.3f} {self.missed:7.3f} "
            f"{self.noise_apart:12.3f} {self.root:6.3f} {self.opened:12.3f}"
        )


HEAD = "storms  ari hard    low  one_ns  missed  noise apart   root  opened/true"


def found(storm: Storm, method: Method, rules: Rules, with_cluster: bool = True, core: bool = False) -> Grouping:
    """The storm's groups; `core` leaves out companion alerts."""
    alerts = [a for a in storm.alerts if not (core and a.fingerprint in storm.derived)]
    return group(alerts, Reader(storm.graph, method, rules), storm.known if with_cluster else None)


def score(storm: Storm, grouping: Grouping, core: bool = False) -> Score:
    """The groups against the answers."""
    alerts = [a for a in storm.alerts if not (core and a.fingerprint in storm.derived)]
    truth = {a.fingerprint: storm.truth[a.fingerprint] for a in alerts}
    of = {key[0]: str(number) for number, g in enumerate(grouping.groups) for key in g.keys}
    members: dict[str, Counter[str]] = {}
    for fingerprint, answer in truth.items():
        if isinstance(answer, str) and fingerprint in of:
            members.setdefault(of[fingerprint], Counter())[answer] += 1
    pluralities = {max(sorted(count), key=lambda y: count[y]) for count in members.values()}
    single = {fp: y for fp, y in truth.items() if isinstance(y, str)}
    told = {y for y in single.values() if y != NOISE}
    right = 0
    for incident in told:
        holders = sorted((-count[incident], g) for g, count in members.items() if count[incident])
        right += bool(holders) and grouping.groups[int(holders[0][1])].service in storm.accept[incident]
    mixed = {g for g, count in members.items() if any(y != NOISE for y in count)}
    noise = [fp for fp, y in single.items() if y == NOISE]
    return Score(
        kind=storm.kind,
        one_namespace=storm.one_namespace,
        ari=ari([y if y != NOISE else fp for fp, y in single.items()], [of.get(fp, fp) for fp in single]),
        opened=len(members),
        true=len(told),
        missed=len(told - pluralities),
        noise=len(noise),
        noise_apart=sum(of.get(fp) not in mixed for fp in noise),
        roots=right,
    )


def ari(true: Sequence[str], found: Sequence[str]) -> float:
    """The adjusted Rand index of two partitions."""
    cells, rows, columns = Counter(zip(true, found, strict=True)), Counter(true), Counter(found)
    if len(cells) == len(rows) == len(columns):
        return 1.0
    both, one, two = (sum(math.comb(n, 2) for n in c.values()) for c in (cells, rows, columns))
    chance = one * two / math.comb(len(true), 2)
    most = (one + two) / 2
    return (both - chance) / (most - chance) if most != chance else 0.0


def summary(scores: Iterable[Score]) -> Summary:
    """Over the hard storms: those with several faults or with noise."""
    hard = [s for s in scores if s.kind != "single"]
    rng = random.Random(1)
    means = sorted(sum(rng.choices([s.ari for s in hard], k=len(hard))) / len(hard) for _ in range(1000))
    one = [s.ari for s in hard if s.one_namespace]
    true, noise = sum(s.true for s in hard), sum(s.noise for s in hard)
    return Summary(
        storms=len(hard),
        ari=sum(s.ari for s in hard) / len(hard),
        low=means[25],
        one_ns=sum(one) / max(1, len(one)),
        missed=sum(s.missed for s in hard) / true,
        noise_apart=sum(s.noise_apart for s in hard) / max(1, noise),
        root=sum(s.roots for s in hard) / true,
        opened=sum(s.opened for s in hard) / true,
    )


def measured(
    storms: Iterable[Storm],
    method: Method,
    with_cluster: bool = True,
    core: bool = False,
    learn: bool = True,
    prometheus: bool = False,
) -> Summary:
    """The summary of many storms, in the order of their numbers; each cluster's lags are learnt from its earlier storms.

    `prometheus`: its rules are known as well, as the operator reads them.
    """
    scores, lessons, world = [], Lessons(), -1
    for storm in storms:
        if storm.number // WORLD != world:
            lessons, world = Lessons(), storm.number // WORLD
        known = storm.rules if prometheus else NO_RULES
        rules = Rules(known, lessons.learnt(method.lags.learn_from) if learn else {})
        grouping = found(storm, method, rules, with_cluster, core)
        lessons = lessons.after(grouping.groups, rules)
        scores.append(score(storm, grouping, core))
    return summary(scores)


def fresh(seed: int, hard: int) -> list[Storm]:
    """So many hard storms, and single ones between them, beginning with those of the seed."""
    first = seed * 200 * WORLD
    return [a_storm(n) for n in range(first, first + hard * 3 // 2)]


def other(seed: int, hard: int) -> list[Storm]:
    """So many hard storms of the second generator."""
    found, number = list[Storm](), seed * 200 * WORLD
    while len(found) < hard:
        storm = others.a_storm(number)
        number += 1
        if storm.kind != "single" and storm.alerts:
            found.append(storm)
    return found
