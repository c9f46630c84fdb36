"""Healthy canaries: how many are rejected, by kind and traffic, and how many of them are promoted in time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from opsloop.api.strategy import Analysis
from opsloop.core.slo.tiers import budget_of
from opsloop.simulator.traffic import Bursts
from tests.sim.laws.bounds import lower, upper
from tests.sim.laws.rollouts import End, hold_of, roll_out, slo_of
from tests.sim.laws.weather import Outage, Weather

KINDS = (
    "as good as live",
    "1.3 × live",
    "at the margin, 1.5 × live",
    "below ¼ of the budget",
    "live above the floor",
    "bursts of 5–100",
    "outages of both",
)
RATES = (5.0, 100.0, 1000.0)
OBJECTIVES = (0.99, 0.999)
MISSED = (0.0, 0.0, 0.02)  # shares of scrapes that fail
LATE = 1.1  # of the hold


@dataclass(slots=True)
class Row:
    """Healthy rollouts of one kind at one rate."""

    kind: str
    rps: float
    objective: float
    rollouts: int = 0
    rejected: int = 0
    promoted: int = 0
    in_time: int = 0

    def add(self, end: End, hold: float) -> None:
        """Counts one rollout."""
        self.rollouts += 1
        self.rejected += end.state == "rejected"
        self.promoted += end.state == "promoted"
        self.in_time += end.state == "promoted" and end.seconds <= LATE * hold

    def merge(self, other: "Row") -> None:
        """Adds the rollouts of another part."""
        self.rollouts += other.rollouts
        self.rejected += other.rejected
        self.promoted += other.promoted
        self.in_time += other.in_time

    @property
    def bound(self) -> float:
        """The share of false rejects that is not exceeded, with 95 %."""
        return upper(self.rejected, self.rollouts)

    @property
    def prompt(self) -> float:
        """The share that is promoted in time at least, with 95 %."""
        return lower(self.in_time, self.rollouts)


def healthy(kind: str, rps: float, objective: float, random: Random) -> Weather:
    """A rollout of a healthy canary: live errs with 0 to 80 % of the budget."""
    budget = budget_of(objective)
    live = budget * random.uniform(0, 0.8)
    hold = random.choice((600.0, 600.0, 1800.0))
    weather = Weather(rps, live, live, weights=((20.0, hold), (50.0, hold)), missed=random.choice(MISSED))
    match kind:
        case "1.3 × live":
            return replace(weather, canary=1.3 * live)
        case "at the margin, 1.5 × live":
            return replace(weather, live=live * 0.8, canary=1.5 * 0.8 * live)
        case "live above the floor":
            live = budget * random.uniform(1, 5)
            return replace(weather, live=live, canary=live)
        case "below ¼ of the budget":
            return replace(weather, live=live * random.random() ** 3, canary=budget / 4 * random.uniform(0.5, 1))
        case "bursts of 5–100":
            return replace(weather, bursts=Bursts(per_hour=2.0))
        case "outages of both":
            return replace(weather, outages=tuple(_outages(random, 2 * hold)))
    return weather


def _outages(random: Random, seconds: float) -> Iterator[Outage]:
    for _ in range(random.choice((1, 1, 2))):
        begin = random.uniform(0, seconds)
        yield Outage(begin, begin + random.choice((20.0, 60.0, 240.0)), random.choice((0.05, 0.3, 1.0)))


CASES = tuple((kind, rps, objective) for kind in KINDS for rps in RATES for objective in OBJECTIVES)


def name(kind: str, rps: float, objective: float) -> str:
    """What a row is called."""
    return f"{kind} {rps:g} {objective:.1%}"


def row(seed: str, case: tuple[str, float, float], rollouts: int, analysis: Analysis) -> Row:
    """So many rollouts of one kind, rate and objective."""
    found, slo = Row(*case), slo_of(case[2])
    random = Random(f"{seed} {found.kind} {found.rps} {found.objective}")
    for _ in range(rollouts):
        weather = healthy(*case, random)
        found.add(roll_out(weather, slo, analysis, random), hold_of(weather).total_seconds())
    return found


def sample(seed: str, rollouts: int, analysis: Analysis) -> list[Row]:
    """So many rollouts of each kind, rate and objective."""
    return [row(seed, case, rollouts, analysis) for case in CASES]


def merged(parts: Sequence[Row]) -> Row:
    """The rollouts of several samples of a row together."""
    total = Row(parts[0].kind, parts[0].rps, parts[0].objective)
    for part in parts:
        total.merge(part)
    return total
