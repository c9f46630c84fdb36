"""Sequential tests of an error ratio: valid however often one looks, and over however many looks.

A test is an e-process: a statistic E that starts at 1 and, under its null hypothesis, is a non-negative supermartingale.
By Ville's inequality P(sup_t E_t ≥ 1/α) ≤ α, so "reject at E ≥ 1/α, looked at after every interval" has false rejects ≤ α
over the whole life of the canary (Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
confidence sequences"; Lindon, Sanden, Shirikian 2022, "Rapid regression detection in software deployments through
sequential testing").

An interval i holds disjoint counts: x_c bad of n_c events of the canary, x_l bad of n_l of live. Per interval, with
alternatives indexed by g and likelihood ratios λ_g,i:

    worse than live   null q_c ≤ m·q_l. Given x_c + x_l bad events, x_c is at most Binomial(x_c + x_l, p),
                      p = m·n_c / (m·n_c + n_l); alternatives: the same with rate ratio r_g·m instead of m.
                          λ = (p_g/p)^x_c · ((1 − p_g)/(1 − p))^x_l
    above a floor     null q_c ≤ b; alternatives by odds: o_g = r_g · b/(1 − b).
                          λ = (q_g/b)^x_c · ((1 − q_g)/(1 − b))^(n_c − x_c)

λ is cut at α^−½: a single scrape, retry burst or misaligned sample cannot reject alone. A cut ratio still has an
expectation of at most 1 under the null, and so has the mean over g and any mixture over start times:

    E_t = Σ_j w_j · mean_g Π_{i > s_j}^{t} λ_g,i,   w_j = 1/(j(j+1)),   with 1 for starts that lie ahead

A start s_j lies at each step and every ten minutes, so that a fault after a day of hold is seen nearly as fast as one at
the beginning. The sum over starts needs no history: M_g ← (M_g + w_j)·λ_g where interval i is the first after s_j, else
M_g ← M_g·λ_g; Σ_{j ≤ k} w_j = k/(k+1), so that the starts ahead weigh 1/(k+1). What is stored of a test is k and the M_g.

Both log λ are linear in the counts. PromQL's `increase()` over a window of n scrapes multiplies what it saw in n − 1
gaps by n/(n − 1); dividing the counts by the same factor gives λ of the events that were really seen.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, log1p

RATE_RATIOS = (1.25, 1.6, 2.0, 2.7, 4.0, 6.0, 9.0, 14.0, 22.0, 33.0, 50.0)
"""Alternatives: multiples of the null's margin (worse than live) or of the null's odds (above a floor)."""

CUT = 0.5
"""λ is cut at α^−CUT: with ½, two whole intervals of nothing but errors do not reject, three do."""

_NOTHING = (0.0,) * len(RATE_RATIOS)
_LARGEST = 1e200

Logs = tuple[float, ...]
"""log λ of one interval for each of RATE_RATIOS."""


@dataclass(frozen=True, slots=True)
class Process:
    """One test after the intervals so far."""

    products: tuple[float, ...] = _NOTHING  # M_g
    starts: int = 0

    @property
    def value(self) -> float:
        """E at present."""
        return 1 / (self.starts + 1) + sum(self.products) / len(self.products)

    def after(self, logs: Logs, alpha: float, start: bool = False, cut: float = 1.0) -> "Process":
        """The test after one more interval. `start`: a new start time lies before it; one always lies before the first.

        `cut`: the share (0 to 1) of the logarithm of the usual cut that this interval may reach.
        """
        starts, weight, cap = self.starts, 0.0, -CUT * cut * log(alpha)
        if start or not starts:
            starts += 1
            weight = 1 / (starts * (starts + 1))
        pairs = zip(self.products, logs, strict=True)
        return Process(tuple([min((m + weight) * exp(x if x < cap else cap), _LARGEST) for m, x in pairs]), starts)


UNTESTED = Process()
"""A test before its first interval."""


def live_logs(canary_bad: float, canary_total: float, live_bad: float, live_total: float, margin: float) -> Logs:
    """log λ against "the canary's error ratio is at most `margin` (≥ 1) times live's"; 0 where one of the two served nothing."""
    if canary_total <= 0 or live_total <= 0:
        return _NOTHING
    scaled, bad = margin * canary_total, canary_bad + live_bad
    null = scaled + live_total
    return tuple([canary_bad * lr - bad * log((r * scaled + live_total) / null) for r, lr in _RATIOS_AND_LOGS])


_RATIOS_AND_LOGS = tuple((r, log(r)) for r in RATE_RATIOS)


def floor_logs(bad: float, total: float, floor: float) -> Logs:
    """log λ against "the error ratio is at most `floor`"; 0 where the floor is 1, which nothing is above."""
    return tuple([bad * lr + total * lo for lr, lo in _by_odds(floor)]) if floor < 1 else _NOTHING


@lru_cache(maxsize=256)
def _by_odds(floor: float) -> tuple[tuple[float, float], ...]:
    """(log r, log((1 + o)/(1 + r·o))): q_g/b = r(1 + o)/(1 + r·o) and (1 − q_g)/(1 − b) = (1 + o)/(1 + r·o)."""
    floor = max(floor, _SMALLEST_FLOOR)
    odds = floor / (1 - floor)
    return tuple((lr, log1p(odds) - log1p(r * odds)) for r, lr in _RATIOS_AND_LOGS)


_SMALLEST_FLOOR = 1e-9  # a floor of 0 has no odds to multiply


def upper_bound(bad: float, total: float, alpha: float) -> float:
    """The anytime upper confidence bound of an error ratio after `bad` of `total` events; 1 where nothing was seen.

    The largest u for which the e-process against "the ratio is at least u" stays below 1/α.
    """
    return 1.0 if total <= 0 else _bound(bad, total, alpha, bad / total, 1.0, upper=True)


def lower_bound(bad: float, total: float, alpha: float) -> float:
    """The anytime lower confidence bound of an error ratio; 0 where no bad event was seen."""
    return 0.0 if bad <= 0 or total <= 0 else _bound(bad, total, alpha, 0.0, bad / total, upper=False)


def surely_below(bad: float, total: float, limit: float, alpha: float) -> bool:
    """True where the anytime upper bound is below `limit`; the same as computing it, by one evaluation."""
    return total > 0 and bad / total < limit and _log_e(bad, total, limit, upper=True) >= -log(alpha)


def surely_above(bad: float, total: float, limit: float, alpha: float) -> bool:
    """True where the anytime lower bound is above `limit`; the same as computing it, by one evaluation."""
    return bad > 0 and total > 0 and bad / total > limit and _log_e(bad, total, limit, upper=False) > -log(alpha)


def _bound(bad: float, total: float, alpha: float, low: float, high: float, upper: bool) -> float:
    """Bisection for the ratio at which the e-process of all events crosses 1/α: it grows with the distance."""
    limit = -log(alpha)
    for _ in range(60):
        middle = (low + high) / 2
        crossed = _log_e(bad, total, middle, upper) >= limit
        if crossed == upper:
            high = middle
        else:
            low = middle
    return high if upper else low


def _log_e(bad: float, total: float, ratio: float, upper: bool) -> float:
    """log E against "at least `ratio`" (upper) or "at most `ratio`": a mean over alternatives on the other side."""
    if not 0 < ratio < 1:
        return inf
    odds, logs = ratio / (1 - ratio), []
    for r, lr in _RATIOS_AND_LOGS:
        factor, logarithm = (1 / r, -lr) if upper else (r, lr)
        logs.append(bad * logarithm + total * (log1p(odds) - log1p(factor * odds)))
    high = max(logs)
    return high + log(sum(exp(x - high) for x in logs) / len(logs))
