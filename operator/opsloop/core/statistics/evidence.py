"""Evidence about a canary: the sequential tests against live and against the floor, interval by interval.

    E = (E_live + E_floor)/2, or E_floor where live cannot be told apart; a reject is E ≥ 1/α at any time, and the test
    against `ignore_below` ≥ 1/α as well.

E_floor leaves out the intervals in which live itself is above the floor (by its last events): what both suffer is not the
canary's. Whether an interval is left out depends on live's counts alone, so that E_floor stays an e-process. E_live leaves
out the canary's first seconds in traffic, which a cold cache makes worse than a warm one.

Bad events that come in bursts to one pod or client are worth less than so many single ones. How unevenly they split among
live's pods shows it (`core.statistics.dispersion`), within intervals, so that an outage that all pods share shows nothing;
all counts of the tests are divided by that. Given live's bad events their split says nothing about the canary, so any
divisor ≥ 1 keeps α; that it is the right one for bursts is a heuristic, and what holds against them is the cut of λ.

Times are seconds since the canary took traffic. Whoever counts (PromQL over windows, or counters per pod) gives intervals.
"""

from dataclasses import dataclass, field, replace
from math import inf

from opsloop.core.statistics.dispersion import NO_SPLIT, Pods, Split
from opsloop.core.statistics.sequential import UNTESTED, Process, floor_logs, live_logs

RESTART = 600.0
"""Seconds between two start times of the tests, beside those at each step."""

MEMORY = 1.0
"""Live's health is judged on its last MEMORY/floor events (as many as hold one bad one at the floor) …"""

SECONDS = 600.0
"""… or its last SECONDS, whichever are more events; before anything was seen of it, it is taken for healthy. In each interval …"""

BOUND = 1.5
"""… at most 1 + BOUND times the bad events count that the floor allows, so that an outage is soon forgotten; while it lasts,
there are more in each interval, and live is not healthy whatever it was before."""

_SMALLEST_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Interval:
    """Disjoint counts of one interval, in events: 0 ≤ bad ≤ total. Raises ValueError otherwise.

    `live_pods`: (bad, total) of each of live's pods, where they are told apart.
    """

    begin: float
    end: float
    canary_bad: float
    canary_total: float
    live_bad: float = 0.0
    live_total: float = 0.0
    live_pods: Pods = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        canary = 0 <= self.canary_bad <= self.canary_total < inf
        if not (canary and 0 <= self.live_bad <= self.live_total < inf and self.begin < self.end):
            raise ValueError(f"not counts of one interval: {self}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a canary is held against. Ratios are shares of bad events; `alpha` is the accepted share of false rejects."""

    margin: float  # of the canary's ratio to live's
    floor: float
    ignore_below: float
    alpha: float
    warm_up: float = 0.0  # seconds
    compared: bool = True  # live can be told apart
    dispersion: float = 1.0  # events are worth 1/dispersion: PromQL's extrapolation


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen so far. Its size does not grow with the number of intervals."""

    terms: Terms
    against_live: Process = UNTESTED
    against_floor: Process = UNTESTED
    against_ignored: Process = UNTESTED
    largest: float = 1.0  # sup E
    largest_live: float = 1.0
    largest_floor: float = 1.0
    largest_ignored: float = 1.0
    intervals: int = 0
    until: float = 0.0  # end of the last interval
    steps: int = 0  # steps whose start was taken
    bad: float = 0.0  # of the canary
    total: float = 0.0
    calm_bad: float = 0.0  # of the canary while live was healthy
    calm_total: float = 0.0
    live_bad: float = 0.0
    live_total: float = 0.0
    recent_bad: float = 0.0  # of live, weighted to its last events
    recent_total: float = 0.0
    live_healthy: bool = True  # False where live itself was above the floor in the last interval, or lately
    split: Split = NO_SPLIT  # of live's bad events among its pods

    @property
    def dispersion(self) -> float:
        """Events are worth 1/dispersion in the tests."""
        return self.terms.dispersion * self.split.dispersion

    @property
    def value(self) -> float:
        """E at present."""
        live, floor = self.against_live.value, self.against_floor.value
        return (live + floor) / 2 if self.terms.compared else floor

    @property
    def rejects(self) -> bool:
        """True once the canary was surely worse than live or the floor, and surely above what is ignored."""
        limit = 1 / self.terms.alpha
        return self.largest >= limit and self.largest_ignored >= limit

    def before(self, interval: Interval) -> "Evidence":
        """The evidence with an interval from before the canary's traffic: how healthy live is, and how its bad events split."""
        recent_bad, recent_total = self._recent(interval)
        split = self.split.after(interval.live_pods)
        return replace(self, recent_bad=recent_bad, recent_total=recent_total, split=split)

    def after(self, interval: Interval, steps: tuple[float, ...] = ()) -> "Evidence":
        """The evidence with one more interval, in the order of time. `steps` are the times of all steps so far."""
        terms, split = self.terms, self.split.after(interval.live_pods)
        scale = 1 / (terms.dispersion * split.dispersion)
        taken = sum(1 for at in steps if at < interval.end)
        start = taken > self.steps or interval.end // RESTART > self.until // RESTART
        bad, total = interval.canary_bad * scale, interval.canary_total * scale
        recent_bad, recent_total = self._recent(interval)
        healthy = recent_bad <= terms.floor * recent_total and interval.live_bad <= self._bound(interval)
        live, floor = self.against_live, self.against_floor
        if terms.compared and interval.begin >= terms.warm_up:
            logs = live_logs(bad, total, interval.live_bad * scale, interval.live_total * scale, terms.margin)
            live = live.after(logs, terms.alpha, start, split.cut)
        if healthy:
            floor = floor.after(floor_logs(bad, total, terms.floor), terms.alpha, start, split.cut)
        ignored = self.against_ignored.after(floor_logs(bad, total, terms.ignore_below), terms.alpha, start, split.cut)
        e_live, e_floor = live.value, floor.value
        return Evidence(
            terms=terms,
            against_live=live,
            against_floor=floor,
            against_ignored=ignored,
            largest=max(self.largest, (e_live + e_floor) / 2 if terms.compared else e_floor),
            largest_live=max(self.largest_live, e_live),
            largest_floor=max(self.largest_floor, e_floor),
            largest_ignored=max(self.largest_ignored, ignored.value),
            intervals=self.intervals + 1,
            until=interval.end,
            steps=taken,
            bad=self.bad + interval.canary_bad,
            total=self.total + interval.canary_total,
            calm_bad=self.calm_bad + (interval.canary_bad if healthy else 0.0),
            calm_total=self.calm_total + (interval.canary_total if healthy else 0.0),
            live_bad=self.live_bad + interval.live_bad,
            live_total=self.live_total + interval.live_total,
            recent_bad=recent_bad,
            recent_total=recent_total,
            live_healthy=healthy,
            split=split,
        )

    def _recent(self, interval: Interval) -> tuple[float, float]:
        """Live's counts with older events fading."""
        events = MEMORY / max(self.terms.floor, _SMALLEST_FLOOR)
        seconds = interval.end - interval.begin
        memory = max(events, interval.live_total * (SECONDS / seconds - 1))
        kept = memory / (memory + interval.live_total)
        before = self.recent_total or events
        bad = min(interval.live_bad, self._bound(interval))
        return self.recent_bad * kept + bad, before * kept + interval.live_total

    def _bound(self, interval: Interval) -> float:
        """Bad events of live in one interval beyond which there is an outage."""
        return 1 + BOUND * self.terms.floor * interval.live_total
