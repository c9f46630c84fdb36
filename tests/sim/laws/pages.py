"""False pages of the burn-rate tiers: service-days in which half the budget is spent, evenly and in bursts.

The world at the level of scrapes: events are counted in slots of one scrape, and a tick follows each. The counts of whole
hours are drawn first; an hour is looked into only where they could make a tier that pages fire (both windows' requests are
taken to be at least five standard deviations below their mean). Given its count the events of an hour lie as those of
a Poisson process do, so that this is the same world as one drawn slot by slot. Judged by the functions that ship.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil, pi, sin, sqrt
from random import Random

from opsloop.api.meta import PAGING
from opsloop.api.slo import Slo, Tier
from opsloop.core.readings import Value, Verdict
from opsloop.core.slo import burn_rate, bursts
from opsloop.core.slo.bursts import Slot
from opsloop.core.slo.tiers import budget_of, tiers_of
from opsloop.simulator.traffic import DAY, Bursts, Wave, poisson

AT = datetime(2026, 1, 5, tzinfo=UTC)
SPENT = 0.5  # of the budget
SCRAPE = 15
PER_HOUR = 3600 // SCRAPE
CALM = PER_HOUR  # slots after which a page is another one
SWING = 0.8  # of the daily wave
DEVIATIONS = 5.0


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of service: requests per second, objective, share of the bad events in bursts, and their length in seconds."""

    rps: float
    objective: float
    in_bursts: float
    length: float = 10.0


@dataclass(frozen=True, slots=True)
class Days:
    """Service-days of one kind, and the pages in them."""

    case: Case
    days: int
    pages: int
    crossed: int  # pages that there would be if bursts were not asked for
    events: float  # bad events in the long window of the median page; 0 without a page


def judge(slo: Slo, tier: Tier, slots: Sequence[Slot]) -> tuple[Verdict, bool]:
    """The verdict on the slots of a tier's long window as of the last one, and whether the tier fires without a look at bursts."""
    step = bursts.width(tier, timedelta(seconds=SCRAPE))
    short = slots[-(tier.short // timedelta(seconds=SCRAPE)) :]
    readings = {
        window: Value(sum(s.bad for s in part), total)
        for window, part in ((tier.long, slots), (tier.short, short))
        if (total := sum(s.total for s in part)) > 0
    }
    verdict = burn_rate.judge(slo, readings, AT)
    if not (verdict.firing and verdict.firing.tier.severity in PAGING):
        return verdict, False
    wide = widened(slots, step // timedelta(seconds=SCRAPE))
    held = [t for t in bursts.about_to_page(verdict) if bursts.is_burst(t, slo.objective, wide, step)]
    return burn_rate.judge(slo, readings, AT, held), True


def widened(slots: Sequence[Slot], count: int) -> list[Slot]:
    """The same events in slots that are so many times as wide."""
    parts = (slots[n : n + count] for n in range(0, len(slots), count))
    return [Slot(sum(s.bad for s in part), sum(s.total for s in part)) for part in parts]


# --- null weather


@dataclass(slots=True)
class Hour:
    """One hour: bad events that come alone, bursts as (second, size); by slots once it is looked into."""

    spread: int
    bursts: list[tuple[float, int]]
    bad: list[int] = field(default_factory=list)
    total: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Bad events."""
        return self.spread + sum(size for _, size in self.bursts)


class Service:
    """A service that spends half of its budget for ever, hour by hour. Bursts follow the clock, other errors the traffic."""

    def __init__(self, case: Case, random: Random) -> None:
        self.case, self.random, self.wave = case, random, Wave(case.rps, SWING)
        self.budget = SPENT * budget_of(case.objective) * case.rps * 3600  # bad events of a mean hour
        sizes = Bursts(per_hour=1.0)
        mean = sum(sizes.draw(Random(0), 3.6e7)) / 1e4  # of 10,000 bursts, about
        self.drawn = Bursts(per_hour=self.budget * case.in_bursts / mean)
        self.hours: dict[int, Hour] = {}

    def expected(self, begin: float, end: float) -> float:
        """Requests between two seconds, on average."""
        turn, phase = 2 * pi / DAY, 2 * pi * self.wave.peak / 24
        waves = sin(turn * end - phase) - sin(turn * begin - phase)
        return self.wave.mean * (end - begin + self.wave.swing * waves / turn)

    def fewest(self, end: float, window: float) -> float:
        """Requests that there are at least in a window, but for five standard deviations."""
        mean = self.expected(end - window, end)
        return max(0.0, mean - DEVIATIONS * sqrt(mean))

    def hour(self, number: int) -> Hour:
        """The counts of an hour."""
        if number not in self.hours:
            share = self.expected(number * 3600.0, number * 3600.0 + 3600) / (3600 * self.case.rps)
            spread = poisson(self.random, (1 - self.case.in_bursts) * self.budget * share)
            begun = [(self.random.uniform(0, 3600), size) for size in self.drawn.draw(self.random, 3600)]
            self.hours[number] = Hour(spread, begun)
            self.hours.pop(number - 24, None)
        return self.hours[number]

    def bad(self, number: int) -> list[int]:
        """Bad events of an hour by slots; a burst may go on into the next hour."""
        hour, before = self.hour(number), self.hour(number - 1)
        if not hour.bad:
            hour.bad = [0] * PER_HOUR
            for _ in range(hour.spread):
                hour.bad[int(self.random.random() * PER_HOUR)] += 1
            for begin, size in [*hour.bursts, *((at - 3600, n) for at, n in before.bursts)]:
                own = Random(f"{number if begin >= 0 else number - 1} {begin % 3600} {size}")  # the same in both hours
                for _ in range(size):
                    slot = int((begin + own.uniform(0, self.case.length)) // SCRAPE)
                    if 0 <= slot < PER_HOUR:
                        hour.bad[slot] += 1
        return hour.bad

    def slots(self, end: int, count: int) -> list[Slot]:
        """The slots before this one, by their number since the beginning."""
        found: list[Slot] = []
        for number in range((end - count) // PER_HOUR, (end - 1) // PER_HOUR + 1):
            hour, bad = self.hour(number), self.bad(number)
            if not hour.total:
                rate = self.expected(number * 3600.0, number * 3600.0 + 3600) / PER_HOUR
                hour.total = [max(b, poisson(self.random, rate)) for b in bad]
            found += [Slot(b, t) for b, t in zip(bad, hour.total, strict=True)]
        first = (end - count) % PER_HOUR
        return found[first : first + count]


def days(case: Case, count: int, slo: Slo, random: Random) -> Days:
    """So many days in one stretch."""
    service, pages, crossed = Service(case, random), list[float](), 0
    paging = [tier for tier in tiers_of(slo) if tier.severity in PAGING]
    calm = {
        True: 0,
        False: 0,
    }  # slot until which a page (of a tier as shipped, or without a look at bursts) is the same
    for number in range(7, 7 + 24 * count):
        for end, tier in _ticks(service, number, paging, slo.min_bad_events):
            if end < min(calm.values()):
                continue
            slots = service.slots(end, tier.long // timedelta(seconds=SCRAPE))
            verdict, fires = judge(slo, tier, slots)
            if fires and end >= calm[False]:
                crossed, calm[False] = crossed + 1, end + CALM
            if verdict.firing and end >= calm[True]:
                calm[True] = end + CALM
                pages.append(sum(s.bad for s in slots))
    return Days(case, count, len(pages), crossed, sorted(pages)[len(pages) // 2] if pages else 0.0)


def _ticks(service: Service, number: int, paging: Sequence[Tier], least: int) -> Iterator[tuple[int, Tier]]:
    """The slots of an hour after which a tier might begin to fire (the number of the next one), by the bad events alone.

    It begins at a bad event: what else a tick changes is that older events leave the windows.
    """
    found = set[tuple[int, int]]()
    for rank, tier in enumerate(paging):
        long, short = tier.long.total_seconds(), tier.short.total_seconds()
        limit, back = tier.factor * budget_of(service.case.objective), ceil(long / 3600)
        hours = range(number - back, number + 1)
        fewest = min(service.fewest(number * 3600.0 + part, long) for part in (0, 1800, 3600))
        most = sum(service.hour(n).count for n in hours)
        if most < least or most <= limit * fewest:
            continue
        bad = [x for n in hours for x in service.bad(n)]
        base, wide, narrow = len(bad) - PER_HOUR, int(long) // SCRAPE, int(short) // SCRAPE
        few = limit * min(service.fewest(number * 3600.0 + part, short) for part in (0, 1800, 3600))
        sums = [0]
        for x in bad:
            sums.append(sums[-1] + x)
        for n in range(base + 1, len(bad) + 1):
            in_long, in_short = sums[n] - sums[n - wide], sums[n] - sums[n - narrow]
            if bad[n - 1] and in_long >= least and in_long > limit * fewest and in_short > few:
                found.add((number * PER_HOUR + n - base, rank))
    for end, rank in sorted(found):
        yield end, paging[rank]


# --- harm


@dataclass(frozen=True, slots=True)
class Detections:
    """Harm that begins at random between two scrapes: seconds until a page by the tiers' ratios, and what a look at bursts adds."""

    rps: float
    objective: float
    ratio: float
    found: tuple[float, ...]  # seconds from the onset to the scrape after which a tier fires, in order
    added: tuple[float, ...]


def detections(case: Case, ratio: float, runs: int, slo: Slo, random: Random) -> Detections:
    """So many onsets of a harm, over a service that spends half of its budget."""
    paging = [tier for tier in tiers_of(slo) if tier.severity in PAGING]
    found, added = list[float](), list[float]()
    for _ in range(runs):
        raw, seen = _detect(case, ratio, paging, slo, random)
        found.append(seen)
        added.append(seen - raw)
    return Detections(case.rps, case.objective, ratio, tuple(sorted(found)), tuple(sorted(added)))


def _detect(case: Case, ratio: float, paging: Sequence[Tier], slo: Slo, random: Random) -> tuple[float, float]:
    """Seconds until a tier burns over both windows, and until one fires."""
    longest = int(max(tier.long for tier in paging).total_seconds()) // SCRAPE
    usual, phase, raw = SPENT * budget_of(case.objective), random.random(), 0.0
    slots = [_slot(case.rps, usual, random) for _ in range(longest)]
    for n in range(4 * longest):
        share = 1 - phase if n == 0 else 1.0  # the harm begins within the first slot
        slots.append(_slot(case.rps, share * ratio + (1 - share) * usual, random))
        at = (n + 1 - phase) * SCRAPE
        for tier in paging:
            verdict, fires = judge(slo, tier, slots[-(tier.long // timedelta(seconds=SCRAPE)) :])
            raw = raw or at * fires
            if verdict.firing:
                return raw, at
    raise AssertionError(f"{ratio:.1%} of errors are never seen at {case.rps:g} requests/s")


def _slot(rps: float, ratio: float, random: Random) -> Slot:
    bad = poisson(random, rps * SCRAPE * ratio)
    return Slot(bad, bad + poisson(random, rps * SCRAPE * (1 - ratio)))
