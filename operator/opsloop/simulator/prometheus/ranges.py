"""Functions of one series' samples in a range.

Each takes the samples, the index range [low, high) of those in the range, and the range's ends in milliseconds; there is
at least one sample. None: the series has no value.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf, isnan
from typing import Final

from .arithmetic import compensated, compensated_sum, maximum, mean, minimum
from .store import Points

RangeFunction = Callable[[Points, int, int, int, int], float | None]


def _lost(points: Points, low: int, last: int) -> float:
    """What counter resets took away after the sample `low` until the sample `last`, looked for."""
    lost, before = 0.0, points.values[low]
    for value in points.values[low + 1 : last + 1]:
        if value < before:
            lost += before
        before = value
    return lost


def _extrapolated(
    points: Points, low: int, high: int, start: int, end: int, counter: bool, per_second: bool
) -> float | None:
    """The difference of last and first sample, extrapolated to the ends of the range (Prometheus' extrapolatedRate).

    To an end that is nearer than 1.1 mean intervals the whole way, else by half an interval; for a counter never to
    before its zero.
    """
    last = high - 1
    if last <= low:
        return None
    times, values = points.times, points.values
    first = values[low]
    result = values[last] - first
    if counter:
        resets = points.resets
        result += _lost(points, low, last) if resets is None else resets[last] - resets[low]
    to_start, to_end = (times[low] - start) / 1000, (end - times[last]) / 1000
    sampled = (times[last] - times[low]) / 1000
    interval = sampled / (last - low)
    threshold = interval * 1.1
    if to_start >= threshold:
        to_start = interval / 2
    if counter and result > 0 and first >= 0:
        to_zero = sampled * (first / result)
        if to_zero < to_start:
            to_start = to_zero
    if to_end >= threshold:
        to_end = interval / 2
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= (end - start) / 1000
    return result * factor


def increase(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """By how much a counter grew."""
    return _extrapolated(points, low, high, start, end, True, False)


def rate(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """By how much a counter grew per second."""
    return _extrapolated(points, low, high, start, end, True, True)


def delta(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """By how much a gauge changed."""
    return _extrapolated(points, low, high, start, end, False, False)


def _instant(points: Points, high: int, low: int, counter: bool) -> tuple[float, float] | None:
    """(difference of the two last samples, seconds between them)"""
    if high - low < 2:
        return None
    last, before = points.values[high - 1], points.values[high - 2]
    change = last if counter and last < before else last - before
    return change, (points.times[high - 1] - points.times[high - 2]) / 1000


def irate(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """A counter's growth per second between its last two samples."""
    found = _instant(points, high, low, counter=True)
    return None if found is None else found[0] / found[1]


def idelta(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """A gauge's change between its last two samples."""
    found = _instant(points, high, low, counter=False)
    return None if found is None else found[0]


def deriv(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """The slope per second by least squares."""
    if high - low < 2:
        return None
    times, values = points.times[low:high], points.values[low:high]
    if all(value == values[0] for value in values):
        return 0.0 if -inf < values[0] < inf else float("nan")
    count = float(len(times))
    xs = [(at - times[0]) / 1e3 for at in times]
    sum_x, sum_y = _total(xs), _total(values)
    sum_xy = _total([x * y for x, y in zip(xs, values, strict=True)])
    covariance = sum_xy - sum_x * sum_y / count
    return covariance / (_total([x * x for x in xs]) - sum_x * sum_x / count)


def _total(values: Sequence[float]) -> float:
    """A compensated sum whose compensation is added even to an infinity, as Prometheus' regression does."""
    total, lost = 0.0, 0.0
    for value in values:
        total, lost = compensated(value, total, lost)
    return total + lost


def changes(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """How often the value changed."""
    values = points.values[low:high]
    return float(sum(1 for before, now in pairwise(values) if now != before and not (isnan(now) and isnan(before))))


def resets(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """How often the value fell."""
    values = points.values[low:high]
    return float(sum(1 for before, now in pairwise(values) if now < before))


def count(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """How many samples."""
    return float(high - low)


def last(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """The newest sample."""
    return points.values[high - 1]


def present(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """1 where there is a sample."""
    return 1.0


def least(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """The smallest number."""
    return points.values[low] if low >= points.rising else minimum(points.values[low:high])


def largest(points: Points, low: int, high: int, start: int, end: int) -> float | None:
    """The largest number."""
    return points.values[high - 1] if low >= points.rising else maximum(points.values[low:high])


def _of_values(function: Callable[[Sequence[float]], float]) -> RangeFunction:
    return lambda points, low, high, start, end: function(points.values[low:high])


FUNCTIONS: Final[dict[str, RangeFunction]] = {
    "increase": increase,
    "rate": rate,
    "delta": delta,
    "irate": irate,
    "idelta": idelta,
    "deriv": deriv,
    "changes": changes,
    "resets": resets,
    "count_over_time": count,
    "last_over_time": last,
    "present_over_time": present,
    "sum_over_time": _of_values(compensated_sum),
    "avg_over_time": _of_values(mean),
    "min_over_time": least,
    "max_over_time": largest,
}
