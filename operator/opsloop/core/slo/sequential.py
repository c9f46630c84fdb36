"""Sequential tests of a canary's error ratio: valid however often one looks, and over however many looks.

Both tests are e-processes: a statistic E that starts at 1 and, under its null hypothesis, is a non-negative
supermartingale. By Ville's inequality P(sup_t E_t ≥ 1/α) ≤ α, so "reject at E ≥ 1/α, looked at after every scrape" has
false rejects ≤ α over the whole life of the canary (Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform,
nonparametric, nonasymptotic confidence sequences"; Lindon, Sanden, Shirikian 2022, "Rapid regression detection in
software deployments through sequential testing").

An interval i holds disjoint counts: x_c bad of n_c events of the canary, x_l bad of n_l of live. Per interval, with
alternatives indexed by g and likelihood ratios λ_g,i:

    worse than live   null q_c ≤ m·q_l. Given x_c + x_l bad events, x_c is at most Binomial(x_c + x_l, p),
                      p = m·n_c / (m·n_c + n_l); alternatives: the same with rate ratio r_g instead of m.
                          λ = (p_g/p)^x_c · ((1 − p_g)/(1 − p))^x_l
    below the floor   null q_c ≤ b; alternatives by odds: o_g = r_g · b/(1 − b).
                          λ = (q_g/b)^x_c · ((1 − q_g)/(1 − b))^(n_c − x_c)

λ is cut at α^−½: a single scrape, retry burst or misaligned sample cannot reject alone. A cut ratio still has an
expectation of at most 1 under the null, and so has the mean over g and any mixture over start times:

    E_t = Σ_j w_j · mean_g Π_{i > s_j}^{t} λ_g,i,   w_j = 1/(j(j+1)),   with 1 for starts that lie ahead

where a start s_j lies at each step and every ten minutes, so that a fault after a day of hold is seen as fast as one at
the beginning. `sup E` over the intervals is what is reported: an operator that was away for a crossing finds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, log1p

RATE_RATIOS = (1.25, 1.6, 2.0, 2.7, 4.0, 6.0, 9.0, 14.0, 22.0, 33.0, 50.0)
"""Alternatives: multiples of the null's margin (worse than live) or of the null's odds (below the floor)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Disjoint counts of one interval; `start` marks the first interval after a step or a new ten minutes.

    Counts are events: 0 ≤ bad ≤ total. Raises ValueError otherwise.
    """

    canary_bad: float
    canary_total: float
    live_bad: float = 0.0
    live_total: float = 0.0
    start: bool = False

    def __post_init__(self) -> None:
        for bad, total in ((self.canary_bad, self.canary_total), (self.live_bad, self.live_total)):
            if not 0 <= bad <= total < inf:
                raise ValueError(f"not counts of one interval: {bad} bad of {total}")


def worse_than_live(intervals: Sequence[Interval], margin: float, alpha: float, dispersion: float = 1.0) -> float:
    """The largest E against "the canary's error ratio is at most `margin` (≥ 1) times live's"; at least 1.

    `dispersion` (≥ 1) divides the log ratios: how many times more than binomially bad events cluster. Heuristic; the
    guarantee against bursts is the cut per interval.
    """
    return _largest(intervals, [_live_ratios(i, margin) for i in intervals], alpha, dispersion)


def below_floor(intervals: Sequence[Interval], floor: float, alpha: float, dispersion: float = 1.0) -> float:
    """The largest E against "the canary's error ratio is at most `floor`" (0 < floor < 1); at least 1."""
    return _largest(intervals, [_floor_ratios(i, floor) for i in intervals], alpha, dispersion)


def upper_bound(bad: float, total: float, alpha: float) -> float:
    """The anytime upper confidence bound of an error ratio after `bad` of `total` events; 1 where nothing was seen.

    The largest u for which the e-process against "the ratio is at least u" stays below 1/α.
    """
    return 1.0 if total <= 0 else _bound(bad, total, alpha, bad / total, 1.0, upper=True)


def lower_bound(bad: float, total: float, alpha: float) -> float:
    """The anytime lower confidence bound of an error ratio; 0 where no bad event was seen."""
    return 0.0 if bad <= 0 or total <= 0 else _bound(bad, total, alpha, 0.0, bad / total, upper=False)


def _live_ratios(interval: Interval, margin: float) -> tuple[float, ...]:
    """log λ for each alternative; 0 where one of the two served nothing."""
    n_c, n_l = interval.canary_total, interval.live_total
    if n_c == 0 or n_l == 0:
        return (0.0,) * len(RATE_RATIOS)
    null = margin * n_c + n_l
    bad = interval.canary_bad + interval.live_bad
    return tuple(interval.canary_bad * log(r) + bad * log(null / (r * margin * n_c + n_l)) for r in RATE_RATIOS)


def _floor_ratios(interval: Interval, floor: float) -> tuple[float, ...]:
    """log λ for each alternative."""
    bad, good = interval.canary_bad, interval.canary_total - interval.canary_bad
    odds = floor / (1 - floor)
    # q_g/b = r(1 + o)/(1 + r·o) and (1 − q_g)/(1 − b) = (1 + o)/(1 + r·o), both by odds
    return tuple(bad * log(r) + (bad + good) * (log1p(odds) - log1p(r * odds)) for r in RATE_RATIOS)


def _largest(intervals: Sequence[Interval], ratios: Sequence[tuple[float, ...]], alpha: float, phi: float) -> float:
    cap = -0.5 * log(alpha)
    sums = [0.0] * len(RATE_RATIOS)  # of log λ, from the first interval
    starts = [-inf] * len(RATE_RATIOS)  # log Σ_j w_j·exp(−sum at start j)
    ahead, number, largest = 1.0, 0, 1.0  # weight of the starts that lie ahead
    for interval, row in zip(intervals, ratios, strict=True):
        if interval.start or number == 0:
            number += 1
            weight = 1 / (number * (number + 1))
            ahead -= weight
            starts = [_add(before, log(weight) - total) for before, total in zip(starts, sums, strict=True)]
        sums = [total + min(step / phi, cap) for total, step in zip(sums, row, strict=True)]
        mean = sum(exp(min(total + start, 700.0)) for total, start in zip(sums, starts, strict=True)) / len(sums)
        largest = max(largest, max(ahead, 0.0) + mean)
    return largest


def _add(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -inf else high + log1p(exp(low - high))


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
    odds, good, logs = ratio / (1 - ratio), total - bad, []
    for r in RATE_RATIOS:
        factor = 1 / r if upper else r
        logs.append(bad * log(factor) + (bad + good) * (log1p(odds) - log1p(factor * odds)))
    high = max(logs)
    return high + log(sum(exp(x - high) for x in logs) / len(logs))
