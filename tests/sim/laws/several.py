"""A canary under two objectives: false rejects over both together, and what the second one costs in power.

Counts are exact, in windows of a minute. The objectives may speak of the same requests: one that fails is also slow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from opsloop.api.strategy import Analysis
from opsloop.core.slo.canary import terms_of
from opsloop.core.slo.jointly import rejected_for
from opsloop.core.slo.tiers import budget_of
from opsloop.core.statistics.evidence import Evidence, Interval
from opsloop.simulator.traffic import poisson
from tests.sim.laws.bounds import upper

NEVER = 1_000_000
WINDOW = 60.0  # seconds
KINDS = ("independent", "of the same requests", "at the margin, 1.5 × live", "one has no events", "outages of both")
RATES = (5.0, 100.0, 1000.0)
OBJECTIVES = {"availability": 0.999, "latency": 0.99}
STEPS = ((0.2, 10), (0.5, 10))  # (share of the canary, windows)


@dataclass(slots=True)
class Row:
    """Rollouts of canaries that are healthy in both objectives."""

    kind: str
    rps: float
    rollouts: int = 0
    rejected: int = 0
    by_name: int = 0  # of these by the last one of OBJECTIVES

    @property
    def bound(self) -> float:
        """The share of false rejects that is not exceeded, with 95 %."""
        return upper(self.rejected, self.rollouts)


@dataclass(frozen=True, slots=True)
class Side:
    """One revision: its share of bad events in each objective. `alike`: what is bad in the first is bad in all."""

    ratios: Mapping[str, float]
    alike: bool = False
    silent: str = ""  # this objective has no events

    def draw(self, random: Random, requests: float, outage: float) -> dict[str, tuple[int, int]]:
        """(bad, all) of each objective."""
        found: dict[str, tuple[int, int]] = {}
        common, total, found_ratio = 0, 0, 0.0
        for number, (name, ratio) in enumerate(self.ratios.items()):
            bad = 1 - (1 - ratio) * (1 - outage)
            if name == self.silent:
                found[name] = (0, 0)
                continue
            if self.alike and number:
                extra = max(0.0, bad - found_ratio)
                wrong = common + poisson(random, requests * extra)
                found[name] = (wrong, max(total, wrong))
                continue
            wrong, good = poisson(random, requests * bad), poisson(random, requests * (1 - bad))
            common, total, found_ratio = wrong, wrong + good, bad
            found[name] = (wrong, total)
        return found


def roll_out(
    live: Side, canary: Side, rps: float, analysis: Analysis, random: Random, outages: Mapping[int, float] = {}
) -> tuple[str, int]:
    """(objective for which it was rejected or "", windows), as the Release judges it."""
    number = len(live.ratios)
    split = analysis.model_copy(update={"false_rejects": analysis.false_rejects / number})
    seen = {name: Evidence(terms_of(split, OBJECTIVES[name], compared=True)) for name in live.ratios}
    window, starts = 0, [0.0]
    for share, windows in STEPS:
        for _ in range(windows):
            outage, begin = outages.get(window, 0.0), window * WINDOW
            mine = canary.draw(random, rps * share * WINDOW, outage)
            others = live.draw(random, rps * (1 - share) * WINDOW, outage)
            for name, evidence in seen.items():
                interval = Interval(begin, begin + WINDOW, *mine[name], *others[name])
                seen[name] = evidence.after(interval, tuple(starts))
            window += 1
            if name := rejected_for(seen, number, analysis.false_rejects):
                return name, window
        starts.append(window * WINDOW)
    return "", window


def healthy(kind: str, random: Random) -> tuple[Side, Side, dict[int, float]]:
    """(live, canary, window → error ratio that both have in addition)."""
    live = {name: budget_of(objective) * random.uniform(0, 0.8) for name, objective in OBJECTIVES.items()}
    if kind == "of the same requests":
        live["latency"] = max(live.values())
    side = Side(live, alike=kind == "of the same requests", silent="latency" if kind == "one has no events" else "")
    canary, outages = side, {}
    if kind == "at the margin, 1.5 × live":
        side = replace(side, ratios={name: 0.8 * ratio for name, ratio in live.items()})
        canary = replace(side, ratios={name: 1.2 * ratio for name, ratio in live.items()})
    if kind == "outages of both":
        outages = {random.randrange(20): random.choice((0.05, 0.3, 1.0)) for _ in range(2)}
    return side, canary, outages


def sample(seed: str, rollouts: int, analysis: Analysis) -> list[Row]:
    """So many rollouts of each kind and rate."""
    rows = [Row(kind, rps) for kind in KINDS for rps in RATES]
    for row in rows:
        random = Random(f"{seed} {row.kind} {row.rps}")
        for _ in range(rollouts):
            live, canary, outages = healthy(row.kind, random)
            name, _ = roll_out(live, canary, row.rps, analysis, random, outages)
            row.rollouts += 1
            row.rejected += bool(name)
            row.by_name += name == "latency"
    return rows


def merged(parts: Iterable[Row], kind: str = "", rps: float | None = None) -> Row:
    """The rollouts of several rows as one."""
    every = list(parts)
    total = Row(kind or every[0].kind, every[0].rps if rps is None else rps)
    for row in every:
        total.rollouts += row.rollouts
        total.rejected += row.rejected
        total.by_name += row.by_name
    return total


@dataclass(frozen=True, slots=True)
class Power:
    """Windows until canaries with a fault in one objective were rejected (or NEVER), and for which one they were."""

    windows: Sequence[int]
    names: Sequence[str]

    def quantile(self, share: float) -> int:
        """Windows within which this share was rejected."""
        return sorted(self.windows)[min(len(self.windows) - 1, int(share * len(self.windows)))]


def power(
    multiple: float, rps: float, objectives: Iterable[str], rollouts: int, analysis: Analysis, random: Random
) -> Power:
    """Canaries whose latency is a multiple of live's half budget; their availability, where it counts too, is live's."""
    names = tuple(objectives)
    live = Side({name: 0.5 * budget_of(OBJECTIVES[name]) for name in names})
    canary = replace(live, ratios={**live.ratios, "latency": min(0.9, multiple * live.ratios["latency"])})
    ends = [roll_out(live, canary, rps, analysis, random) for _ in range(rollouts)]
    return Power([w if name else NEVER for name, w in ends], [name for name, _ in ends if name])
