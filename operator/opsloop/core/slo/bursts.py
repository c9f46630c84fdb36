"""Is what makes a tier fire still going on, or was it one burst? Asked where a tier that pages is about to fire.

The bad events of its windows are counted in slots of a scrape or more. Bursts count as one event each
(`core.statistics.clusters`: K of them, of size D); the tier fires where so many are no chance for a service that spends half of
its budget b:

    for some W:  evidence(K, r) ≥ ln(1/α),     r = (bad_W / total_W) / (b/2)

W: the long window, the short one, a half and a quarter of it. A tier begins to fire at a bad event, so a service has as many
looks in a day as bursts:  α = FALSE_PAGES / (b/2 · events of a day / D).

Where the slots cannot tell (too wide for the short window, data missing), the tier fires: only a burst that is seen holds a
page back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import log

from opsloop.api.meta import PAGING
from opsloop.api.slo import Tier
from opsloop.core.readings import Verdict
from opsloop.core.slo.tiers import budget_of
from opsloop.core.statistics.clusters import burst_size, evidence

FALSE_PAGES = 1e-3  # in a day of a service with one request per second or more
# Requests per second at which ten times as many are accepted: few events must tell; in between in proportion.
QUIET = 0.1
MOST_ALPHA = 0.01  # of one look, however few there are
A_DAY = 86_400.0  # seconds
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
    rate = sum(known) / len(known) / step.total_seconds()
    sizes = [len(slots), *(size for size in (short, short // 2, short // 4) if size >= LEAST_SLOTS)]
    return not any(_goes_on(slots[-size:], objective, rate) for size in sizes)


def _goes_on(slots: Sequence[Slot | None], objective: float, rate: float) -> bool:
    """True where the bad events of a window are no chance; `rate`: events per second."""
    bad = [slot.bad if slot else 0.0 for slot in slots]
    total, usual = sum(slot.total for slot in slots if slot), USUAL * budget_of(objective)
    if not any(bad):
        return False
    looks = usual * rate * A_DAY / burst_size(bad)
    alpha = min(FALSE_PAGES / min(max(rate, QUIET), 1.0) / looks, MOST_ALPHA)
    return evidence(bad, sum(bad) / total / usual) >= -log(alpha)


def about_to_page(verdict: Verdict) -> list[Tier]:
    """The tiers that page whose windows both burn above the factor."""
    return [v.tier for v in verdict.tiers if v.firing and v.tier.severity in PAGING]
