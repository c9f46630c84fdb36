"""histogram_quantile() over classic buckets."""

from collections.abc import Sequence
from math import inf, isinf, isnan, nan

from .arithmetic import divide

_NEGLIGIBLE = 1e-12  # relative differences between bucket counts that are taken for rounding


def upper_bound(label: str) -> float | None:
    """The number in a label `le`; None where it is none."""
    try:
        return None if "_" in label or label != label.strip() else float(label)
    except ValueError:
        return None


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """The value below which `share` of the events are, by linear interpolation in (upper bound, count so far)."""
    if isnan(share):
        return nan
    if not 0 <= share <= 1:
        return -inf if share < 0 else inf
    merged = _merged(buckets)
    if not (isinf(merged[-1][0]) and merged[-1][0] > 0) or len(merged) < 2:
        return nan
    bounds, counts = [bound for bound, _ in merged], _monotonic([count for _, count in merged])
    if counts[-1] == 0 or isnan(counts[-1]):
        return nan
    rank = share * counts[-1]
    place = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if place == len(counts) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    below, floor = (counts[place - 1], bounds[place - 1]) if place else (0.0, 0.0)
    return floor + (bounds[place] - floor) * divide(rank - below, counts[place] - below)


def _merged(buckets: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Sorted by bound; counts of the same bound (`"1"` and `"1.0"`) are added up."""
    merged = list[tuple[float, float]]()
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        if merged and merged[-1][0] == bound:
            count += merged.pop()[1]
        merged.append((bound, count))
    return merged


def _monotonic(counts: Sequence[float]) -> list[float]:
    """Without decreases and without differences that are rounding."""
    fixed, highest = [counts[0]], counts[0]
    for count in counts[1:]:
        close = (
            abs(count - highest) / min(abs(count) + abs(highest), 1.7e308) < _NEGLIGIBLE if count != highest else True
        )
        if not close and not count < highest:
            highest = count
        fixed.append(highest)
    return fixed
