"""Judges an act (a rollback, a canary taken out) by what happened after it was in effect, on counts.

Bounds are anytime-valid (`core.statistics.sequential`), so that looking at every scrape costs nothing.
"""

from datetime import timedelta
from math import exp, lgamma, log
from typing import Literal

from opsloop.core.readings import Reading, SinceAct, Unknown, Value
from opsloop.core.slo import burn_rate as slo
from opsloop.core.statistics.sequential import lower_bound, surely_above, surely_below

ALPHA = 0.01  # of each bound: one act in a hundred is judged wrongly at worst, and a person hears of each
COVERED = 0.9  # share of the window that must have data: what is missing right after a restart may be the bad part
SCRAPES_OF_HARM = 3  # "stays above for two scrapes": two differences of counts need three samples
LONGEST = timedelta(
    minutes=10
)  # of the time since the act that is looked at, where scrapes are rare: five minutes apart at most
UNSEEN = timedelta(
    minutes=2
)  # after which pods that nobody sees are no others that may do well: discovery and an end take less
STAYS = 0.5  # share of the harm that must surely be left to say that an act did not help: less is on its way out
REMAINS = 1 / 8
"""Share of the harm that is left, on average, over the last quarter of an act that replaces pods evenly. Less than that
just before the effect means that the harm went by itself."""


def judge(
    before: Value | None, act: SinceAct, limit: float, min_bad: int, alpha: float = ALPHA
) -> Literal["helped", "harmed", "unknown"]:
    """Compares the error ratio since the act with `limit` (a tier's factor × budget) and with `before` (None: unknown).

    helped: surely below the limit, and surely lower than before. harmed: it stays, see `_stays`. `alpha` is of each bound: an
    act that several objectives judge gives each its share.
    """
    since = act.since
    if isinstance(since, Unknown) or since.coverage < COVERED:
        return "unknown"
    if surely_below(since.bad, since.total, limit, alpha) and (
        before is None or surely_below(since.bad, since.total, lower_bound(before.bad, before.total, alpha), alpha)
    ):
        return "helped"
    return "harmed" if _stays(before, act, limit, min_bad, alpha) else "unknown"


def _stays(before: Value | None, act: SinceAct, limit: float, min_bad: int, alpha: float) -> bool:
    """True where the harm surely stays, after scrapes that were seen: above the limit and above STAYS of what it was.

    Pods of the former revision may answer on for a while after they were replaced, and their share fades. So it must stay
    for all users, for the pods that run since, and until the end: what was counted early may be what was still under way.
    """
    if act.scraped < SCRAPES_OF_HARM:
        return False
    was = act.at_start if isinstance(act.at_start, Value) else before
    least = limit if was is None else max(limit, STAYS * lower_bound(was.bad, was.total, alpha))
    asked = (act.since, *(one for one in (act.own, act.latest) if one is not None))
    return all(isinstance(one, Value) and surely_above(one.bad, one.total, least, alpha) for one in asked) and all(
        isinstance(one, Value) and one.bad >= min_bad for one in (act.since, act.own) if one is not None
    )


def window_of(shortest: timedelta, scrape: timedelta, wider: timedelta) -> timedelta:
    """How much of the time since an act is looked at: the shortest window of the tiers, but what three scrapes need. `wider` is
    what was found to be needed."""
    return max(shortest, SCRAPES_OF_HARM * scrape, wider)


def widened(seen: SinceAct, window: timedelta) -> timedelta:
    """The window for the next look: longer where this one was full, had data all the time, and held too few scrapes to say that
    the harm stays. Over a gap it does not grow: the gap would be in it for longer."""
    gap = isinstance(seen.since, Unknown) or seen.since.coverage < COVERED
    if gap or seen.span < window - timedelta(seconds=1) or seen.scraped >= SCRAPES_OF_HARM:
        return window
    return max(window, min(2 * window, LONGEST))


def never_seen(own: Reading | None, scrapes: float | None, since_effect: timedelta) -> bool:
    """True where the pods that run since the act show nothing, for so long that the others' errors are no longer those of pods
    on their way out: what everybody gets is all that can be judged."""
    nothing = isinstance(own, Unknown) and own.reason in (slo.NO_SERIES, slo.NOT_READ)
    return nothing and not scrapes and since_effect >= UNSEEN


def was_over_before(before: Value | None, just_before: Reading, limit: float) -> bool:
    """True where the harm was surely gone just before the act took effect: it deserves no credit.

    Looked at once, so a plain test: had the harm lasted, so few bad events would be seen once in 1/ALPHA times at most.
    """
    if before is None or isinstance(just_before, Unknown) or just_before.coverage < COVERED:
        return False
    expected = REMAINS * before.error_ratio * just_before.total
    return just_before.error_ratio < limit and poisson_tail(just_before.bad, expected) < ALPHA


def poisson_tail(count: float, mean: float) -> float:
    """P(X ≤ count) for X ~ Poisson(mean), mean ≥ 0."""
    if mean <= 0:
        return 1.0
    return min(1.0, sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(int(count) + 1)))
