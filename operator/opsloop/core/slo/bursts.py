"""Is what makes a tier fire still going on, or was it one burst? Asked where a tier that pages is about to fire.

The bad events of its windows are counted in slots of a scrape or more. Bursts count as one event each
(`core.statistics.clusters`); the tier fires where so many are no chance for a service that spends half of its budget b:

    max over W of  K_W · (ln r − 1 + 1/r)  ≥  ln(1/α),     r = (bad_W / total_W) / (b/2)

W: the long window, the short one, a half and a quarter of it. A tier begins to fire at a bad event, so a service has as many
looks in a day as bad events at half of its budget, and no more than it has short windows:

    α = FALSE_PAGES / min(b/2 · events of a day, day / short window)

Where the slots cannot tell (too wide for the short window, data missing), the tier fires: only a burst that is seen holds a
page back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import log

from opsloop.api.meta import PAGING
from opsloop.api.slo import Tier
from opsloop.core.facts import Verdict
from opsloop.core.slo.tiers import budget_of
from opsloop.core.statistics.clusters import evidence

FALSE_PAGES = 1e-3  # in a day of a service with one request per second or more
FALSE_PAGES_QUIET = 1e-2  # below a tenth of that, where few events must tell; in between in proportion
MOST_ALPHA = 0.01  # of one look, however few there are
DAY = timedelta(days=1)
USUAL = 0.5  # share of the budget that a service spends while all is well
MOST_SLOTS = 240  # of a long window: what one look costs Prometheus does not grow with it
LEAST_SLOTS = 4  # of a window: fewer do not tell a burst across a border from harm that goes on
KNOWN = 0.9  # share of the short window's slots that must have data


@dataclass(frozen=True, slots=True)
class Slot:
    """Events of one slot; 0 ≤ bad ≤ total."""

    bad: float
    total: float


def width(tier: Tier, resolution: timedelta) -> timedelta:
    """Length of a slot: one scrape, or so many that the long window has at most MOST_SLOTS."""
    scrapes = -(-tier.long // (MOST_SLOTS * resolution))
    return max(1, scrapes) * resolution


def tells(tier: Tier, resolution: timedelta) -> bool:
    """True where slots can tell a burst from harm that goes on."""
    return LEAST_SLOTS * width(tier, resolution) <= tier.short


def is_burst(tier: Tier, objective: float, slots: Sequence[Slot | None], step: timedelta) -> bool:
    """True where the tier fires on what may be a burst or two. `slots` cover its long window, oldest first; None: no data."""
    short, known = tier.short // step, [slot.total for slot in slots if slot]
    if sum(slot is not None for slot in slots[-short:]) < KNOWN * short or not any(known):
        return False
    enough = -log(_alpha(tier, objective, sum(known) / len(known) / step.total_seconds()))
    sizes = [len(slots), *(size for size in (short, short // 2, short // 4) if size >= LEAST_SLOTS)]
    return all(_evidence(slots[-size:], objective) < enough for size in sizes)


def _alpha(tier: Tier, objective: float, rate: float) -> float:
    """Of one look; `rate`: events per second."""
    a_day = min(FALSE_PAGES / rate, FALSE_PAGES_QUIET) if rate < 1 else FALSE_PAGES
    looks = min(USUAL * budget_of(objective) * rate * DAY.total_seconds(), DAY / tier.short)
    return min(a_day / looks, MOST_ALPHA)


def _evidence(slots: Sequence[Slot | None], objective: float) -> float:
    bad = [slot.bad if slot else 0.0 for slot in slots]
    total = sum(slot.total for slot in slots if slot)
    return evidence(bad, sum(bad) / total / (USUAL * budget_of(objective))) if total > 0 else 0.0


def about_to_page(verdict: Verdict) -> list[Tier]:
    """The tiers that page whose windows both burn above the factor."""
    return [v.tier for v in verdict.tiers if v.firing and v.tier.severity in PAGING]
