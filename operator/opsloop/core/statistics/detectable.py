"""What a canary's evidence could have shown: the smallest error ratio that would have been rejected with 80 %."""

from collections.abc import Callable, Sequence
from math import exp, lgamma, log, sqrt

from opsloop.core.statistics.evidence import Evidence
from opsloop.core.statistics.sequential import CUT, Logs, floor_logs, live_logs

_CAUGHT = 0.84  # standard deviations below the mean that are exceeded with 80 %
_FEWEST = 3  # intervals: fewer reject nobody, however bad
_POINTS = 40  # of a Poisson distribution

Distribution = Sequence[tuple[float, float]]  # (bad events, probability)


def unseen(evidence: Evidence) -> str:
    """A sentence with the smallest fault that these events would have shown with 80 %."""
    ratio = detectable(evidence)
    if ratio is None:
        return "no fault could have been seen yet"
    return f"a version with {100 * ratio:.2g} % errors would have been caught with 80 %"


def detectable(evidence: Evidence) -> float | None:
    """The smallest error ratio that would have been rejected with 80 %; None where none would have.

    By the mean and the spread of log λ, cut as it is, over as many equal intervals as were seen; live's bad events as they
    were, and as many more as chance may have left out.
    """
    if evidence.intervals < _FEWEST or not _would_reject(evidence, 1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _would_reject(evidence, middle) else (middle, high)
    return high


def _would_reject(evidence: Evidence, ratio: float) -> bool:
    terms, count = evidence.terms, evidence.intervals
    scale = 1 / (evidence.dispersion * count)
    unlucky = evidence.live_bad + _CAUGHT * sqrt(evidence.live_bad + 1)
    total, live_bad, live_total = evidence.total * scale, unlucky * scale, evidence.live_total * scale
    bad = _poisson(ratio * total)
    warm = max(0.0, 1 - terms.warm_up / evidence.until)
    cap = -CUT * evidence.split.cut * log(terms.alpha)
    floor = _statistic(lambda x: floor_logs(x, max(x, total), terms.floor), bad, count, cap)
    ignored = _statistic(lambda x: floor_logs(x, max(x, total), terms.ignore_below), bad, count, cap)
    if terms.compared:
        live = _statistic(lambda x: live_logs(x, total, live_bad, live_total, terms.margin), bad, count * warm, cap)
        floor = (floor + live) / 2
    return min(floor, ignored) >= 1 / terms.alpha


def _statistic(logs: Callable[[float], Logs], bad: Distribution, count: float, cap: float) -> float:
    """E at its 20th percentile after so many intervals, from the first start time; log λ of one is `cap` at most."""
    rows = [(p, logs(x)) for x, p in bad]
    exponents = []
    for g in range(len(rows[0][1])):
        mean = sum(p * min(row[g], cap) for p, row in rows)
        square = sum(p * min(row[g], cap) ** 2 for p, row in rows)
        exponents.append(count * mean - _CAUGHT * sqrt(count * max(0.0, square - mean * mean)))
    return (1 + sum(exp(min(x, 300.0)) for x in exponents) / len(exponents)) / 2


def _poisson(mean: float) -> Distribution:
    """A Poisson distribution by at most _POINTS numbers, five standard deviations around its mean."""
    spread = 5 * sqrt(mean) + 5
    first, last = max(0, int(mean - spread)), int(mean + spread) + 1
    step = max(1, -(-(last - first) // _POINTS))
    numbers = range(first, last + 1, step)
    weights = [exp(k * log(mean) - mean - lgamma(k + 1)) if mean > 0 else float(k == 0) for k in numbers]
    whole = sum(weights)
    return [(k, weight / whole) for k, weight in zip(numbers, weights, strict=True)]
