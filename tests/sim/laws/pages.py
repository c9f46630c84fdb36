"""False pages of the burn-rate tiers: service-days in which half the budget is spent, evenly and in bursts.

A tier can begin to fire at a bad event only, so the windows are looked at after each one, by the function that ships.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from opsloop.api.meta import PAGING
from opsloop.api.slo import Slo
from opsloop.core.facts import Reading, Value
from opsloop.core.slo import burn_rate
from opsloop.core.slo.tiers import budget_of, tiers_of
from opsloop.simulator.traffic import DAY, Bursts, Wave, poisson

AT = datetime(2026, 1, 5, tzinfo=UTC)
SPENT = 0.5  # of the budget
SCRAPE = 15.0
BURST_LENGTH = 10.0  # seconds in which a burst's events come
CALM = 3600.0  # seconds after which a page is another one


@dataclass(frozen=True, slots=True)
class Days:
    """Service-days of one kind, and the pages in them."""

    rps: float
    objective: float
    in_bursts: float  # share of the bad events
    days: int
    pages: int
    events: float  # bad events in the long window of the median page; 0 without a page


def days(rps: float, objective: float, in_bursts: float, count: int, slo: Slo, random: Random) -> Days:
    """So many days in one stretch, with a daily wave from a fifth to nine fifths of the mean."""
    wave = Wave(rps, swing=0.8)
    paging = [tier for tier in tiers_of(slo) if tier.severity in PAGING]
    longest = max(tier.long.total_seconds() for tier in paging)
    limits = [(tier.long.total_seconds(), tier.factor * budget_of(objective)) for tier in paging]
    seen, pages, last = list[float](), list[float](), -CALM
    for day in range(count):
        base = day * DAY
        seen = [at for at in seen if at > base - longest] + sorted(
            base + at for at in _bad(wave, objective, in_bursts, random)
        )
        for number, at in enumerate(seen):
            if at < base or at < last + CALM or (number + 1 < len(seen) and seen[number + 1] < at + SCRAPE):
                continue
            if not any(
                _may_fire(seen, number, at, window, limit, wave, slo.min_bad_events) for window, limit in limits
            ):
                continue
            readings = _readings(slo, seen, number, at, wave, random)
            verdict = burn_rate.judge(slo, readings, AT)
            if verdict.firing and verdict.firing.tier.severity in PAGING:
                last = at
                long = verdict.firing.long
                pages.append(long.bad if isinstance(long, Value) else 0.0)
    return Days(rps, objective, in_bursts, count, len(pages), sorted(pages)[len(pages) // 2] if pages else 0.0)


def _bad(wave: Wave, objective: float, in_bursts: float, random: Random) -> list[float]:
    """Seconds of the bad events of one day. Bursts follow the clock, other errors the traffic."""
    budget = SPENT * budget_of(objective) * wave.mean * DAY
    bursts, times = Bursts(), list[float]()
    mean_size = (bursts.most - bursts.least) / 3  # of sizes that are uniform in their logarithm, about
    for size in Bursts(per_hour=budget * in_bursts / mean_size / 24).draw(random, DAY):
        begin = random.uniform(0, DAY - BURST_LENGTH)
        times += [begin + random.uniform(0, BURST_LENGTH) for _ in range(size)]
    for hour in range(24):
        mean = (1 - in_bursts) * budget / 24 * wave.at((hour + 0.5) * DAY / 24) / wave.mean
        times += [(hour + random.random()) * 3600 for _ in range(poisson(random, mean))]
    return times


def _bad_in(seen: list[float], number: int, at: float, window: float) -> int:
    return number + 1 - bisect_left(seen, at - window)


def _may_fire(seen: list[float], number: int, at: float, window: float, limit: float, wave: Wave, least: int) -> bool:
    """A bound that is cheap: half of the expected requests or less would have to be there."""
    bad = _bad_in(seen, number, at, window)
    return bad >= least and bad > limit * 0.5 * window * min(wave.at(at), wave.at(at - window))


def _readings(
    slo: Slo, seen: list[float], number: int, at: float, wave: Wave, random: Random
) -> dict[timedelta, Reading]:
    found: dict[timedelta, Reading] = {}
    for tier in tiers_of(slo):
        for window in (tier.long, tier.short):
            span = window.total_seconds()
            bad = _bad_in(seen, number, at, span)
            steps = max(1, int(span // 1800))
            rate = sum(wave.at(at - (n + 0.5) * span / steps) for n in range(steps)) / steps
            total = bad + poisson(random, rate * span)
            found[window] = Value(bad, total)
    return found
