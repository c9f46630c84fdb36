"""The sequential tests: exact laws of the statistic."""

from math import comb, exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics.sequential import (
    CUT,
    RATE_RATIOS,
    Process,
    floor_logs,
    live_logs,
    lower_bound,
    surely_above,
    surely_below,
    upper_bound,
)

ALPHA = 0.01
COUNTS = st.integers(1, 40)
LOGS = st.lists(st.floats(-5, 5), min_size=len(RATE_RATIOS), max_size=len(RATE_RATIOS)).map(tuple)


def binomial(k: int, n: int, p: float) -> float:
    return float(comb(n, k) * p**k * (1 - p) ** (n - k))


def mean_ratio(logs: tuple[float, ...]) -> float:
    """The factor by which one interval multiplies E: the mean over the alternatives, each cut."""
    return float(sum(min(exp(x), ALPHA**-CUT) for x in logs) / len(logs))


@given(COUNTS, COUNTS, st.integers(0, 20), st.floats(1, 5))
def test_against_live_an_interval_expects_no_growth_under_the_null(
    canary: int, live: int, bad: int, margin: float
) -> None:
    share = margin * canary / (margin * canary + live)
    possible = [x for x in range(bad + 1) if x <= canary and bad - x <= live]
    expected = sum(binomial(x, bad, share) * mean_ratio(live_logs(x, canary, bad - x, live, margin)) for x in possible)
    assert expected <= 1 + 1e-9


@given(COUNTS, st.floats(0.001, 0.5), st.floats(0, 1))
def test_against_a_floor_an_interval_expects_no_growth_under_the_null(total: int, floor: float, part: float) -> None:
    ratio = part * floor
    expected = sum(binomial(x, total, ratio) * mean_ratio(floor_logs(x, total, floor)) for x in range(total + 1))
    assert expected <= 1 + 1e-9


@given(st.lists(st.tuples(LOGS, st.booleans()), min_size=1, max_size=12))
def test_the_running_sums_are_the_mixture_over_all_starts(intervals: list[tuple[tuple[float, ...], bool]]) -> None:
    """Written out from the definition: every start with its own products."""
    process = Process()
    for logs, start in intervals:
        process = process.after(logs, ALPHA, start)
    starts = [i for i, (_, start) in enumerate(intervals) if start or i == 0]
    expected = 1 / (len(starts) + 1)
    for number, first in enumerate(starts, 1):
        products = [1.0] * len(RATE_RATIOS)
        for logs, _ in intervals[first:]:
            products = [p * min(exp(x), ALPHA**-CUT) for p, x in zip(products, logs, strict=True)]
        expected += sum(products) / len(products) / (number * (number + 1))
    assert process.value == pytest.approx(expected)


@given(st.integers(0, 30), COUNTS, st.integers(0, 30), COUNTS, st.floats(1, 4), st.floats(0.01, 0.9))
def test_counts_that_are_scaled_scale_the_logarithms(
    bad: int, good: int, live_bad: int, live_good: int, scale: float, floor: float
) -> None:
    """PromQL's extrapolation multiplies all counts alike, so that dividing them again gives what was really seen."""
    canary, live = (bad, bad + good), (live_bad, live_bad + live_good)
    for margin in (1.0, 1.5):
        whole = live_logs(*canary, *live, margin)
        scaled = live_logs(canary[0] * scale, canary[1] * scale, live[0] * scale, live[1] * scale, margin)
        assert scaled == pytest.approx([x * scale for x in whole])
    scaled = floor_logs(canary[0] * scale, canary[1] * scale, floor)
    assert scaled == pytest.approx([x * scale for x in floor_logs(*canary, floor)])


def test_a_statistic_starts_at_one_and_never_overflows() -> None:
    process = Process()
    assert process.value == 1
    for _ in range(1000):
        process = process.after((9.0,) * len(RATE_RATIOS), ALPHA)
    assert process.value < float("inf")


def test_nothing_is_above_a_floor_of_all_events_and_any_error_is_above_none() -> None:
    assert set(floor_logs(5, 5, 1.0)) == {0.0}
    assert min(floor_logs(1, 5, 0.0)) == pytest.approx(log(RATE_RATIOS[0]), abs=1e-6)


@given(st.integers(0, 50), st.integers(1, 500))
def test_the_bounds_enclose_the_ratio_and_shrink_with_more_events(bad: int, total: int) -> None:
    bad = min(bad, total)
    ratio = bad / total
    assert lower_bound(bad, total, ALPHA) <= ratio + 1e-9
    assert upper_bound(bad, total, ALPHA) >= ratio - 1e-9
    assert upper_bound(bad * 10, total * 10, ALPHA) <= upper_bound(bad, total, ALPHA) + 1e-9


@given(st.integers(0, 50), st.integers(1, 500), st.floats(0.001, 0.999))
def test_surely_below_is_the_upper_bound_by_one_evaluation(bad: int, total: int, limit: float) -> None:
    bad = min(bad, total)
    bound = upper_bound(bad, total, ALPHA)
    if abs(bound - limit) > 1e-9:
        assert surely_below(bad, total, limit, ALPHA) == (bound < limit)


@given(st.integers(0, 50), st.integers(1, 500), st.floats(0, 1.5))
def test_surely_above_is_the_lower_bound_by_one_evaluation(bad: int, total: int, limit: float) -> None:
    bad = min(bad, total)
    bound = lower_bound(bad, total, ALPHA)
    if abs(bound - limit) > 1e-9:
        assert surely_above(bad, total, limit, ALPHA) == (bound > limit)
