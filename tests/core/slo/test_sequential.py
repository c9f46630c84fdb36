"""The sequential tests: exact laws of the statistic, and what it says of a few plain situations."""

import random
from math import comb, exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.slo import sequential
from opsloop.core.slo.sequential import Interval, below_floor, lower_bound, upper_bound, worse_than_live

ALPHA = 0.01
COUNTS = st.integers(1, 40)


def binomial(k: int, n: int, p: float) -> float:
    return float(comb(n, k) * p**k * (1 - p) ** (n - k))


def steady(canary: tuple[float, float], live: tuple[float, float], intervals: int) -> list[Interval]:
    return [Interval(*canary, *live, start=i == 0) for i in range(intervals)]


def mean_ratio(logs: tuple[float, ...]) -> float:
    """The factor by which one interval multiplies E: the mean over the alternatives, each cut."""
    return float(sum(min(exp(x), ALPHA**-0.5) for x in logs) / len(logs))


@given(COUNTS, COUNTS, st.integers(0, 20), st.floats(1, 5))
def test_against_live_an_interval_expects_no_growth_under_the_null(
    canary: int, live: int, bad: int, margin: float
) -> None:
    share = margin * canary / (margin * canary + live)
    possible = [x for x in range(bad + 1) if x <= canary and bad - x <= live]
    expected = sum(
        binomial(x, bad, share) * mean_ratio(sequential._live_ratios(Interval(x, canary, bad - x, live), margin))
        for x in possible
    )
    assert expected <= 1 + 1e-9


@given(COUNTS, st.floats(0.001, 0.5))
def test_against_the_floor_an_interval_expects_no_growth_under_the_null(canary: int, floor: float) -> None:
    expected = sum(
        binomial(x, canary, floor) * mean_ratio(sequential._floor_ratios(Interval(x, canary), floor))
        for x in range(canary + 1)
    )
    assert expected <= 1 + 1e-9


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_later_intervals_never_take_a_reject_back(bad: list[tuple[int, int]]) -> None:
    intervals = [Interval(c, 20, v, 60, start=i % 3 == 0) for i, (c, v) in enumerate(bad)]
    values = [worse_than_live(intervals[: i + 1], 1.5, ALPHA) for i in range(len(intervals))]
    assert values == sorted(values)
    assert values[0] >= 1


@given(st.integers(0, 50), st.integers(1, 500))
def test_the_bounds_enclose_the_ratio_and_shrink_with_more_events(bad: int, total: int) -> None:
    bad = min(bad, total)
    ratio = bad / total
    assert lower_bound(bad, total, ALPHA) <= ratio + 1e-9
    assert upper_bound(bad, total, ALPHA) >= ratio - 1e-9
    assert upper_bound(bad * 10, total * 10, ALPHA) <= upper_bound(bad, total, ALPHA) + 1e-9


@pytest.mark.parametrize(
    ("intervals", "rejects"),
    [
        pytest.param(steady((4, 5), (0, 20), 1), False, id="one scrape, however bad, rejects nobody"),
        pytest.param(steady((4, 5), (0, 20), 3), True, id="80 % bad in three scrapes is enough"),
        pytest.param(steady((0, 100), (0, 400), 500), False, id="no bad event ever"),
        pytest.param(steady((1, 100), (4, 400), 500), False, id="as good as live, for two hours"),
        pytest.param(steady((1.4, 100), (4, 400), 500), False, id="1.4 times live's errors lies within the margin"),
        pytest.param(steady((4, 100), (2, 400), 40), True, id="eight times live's errors for ten minutes"),
        pytest.param([*steady((0, 100), (1, 400), 400), Interval(100, 100, 0, 400)], False, id="one burst of 100"),
        pytest.param(steady((80, 100), (320, 400), 50), False, id="an outage that both share"),
        pytest.param(steady((5, 10), (0, 0), 20), False, id="live serves nothing, so nothing can be compared"),
    ],
)
def test_against_live(intervals: list[Interval], rejects: bool) -> None:
    assert (worse_than_live(intervals, 1.5, ALPHA) >= 1 / ALPHA) is rejects


@pytest.mark.parametrize(
    ("intervals", "rejects"),
    [
        pytest.param(steady((0, 100), (0, 0), 500), False, id="no bad event ever"),
        pytest.param(steady((1, 100), (0, 0), 500), False, id="just at the floor"),
        pytest.param(steady((20, 100), (0, 0), 3), True, id="20 % bad against a floor of 1 %"),
        pytest.param(steady((3, 100), (0, 0), 30), True, id="three times the floor for some minutes"),
        pytest.param([Interval(100, 100)], False, id="one interval alone, all bad"),
    ],
)
def test_against_the_floor(intervals: list[Interval], rejects: bool) -> None:
    assert (below_floor(intervals, 0.01, ALPHA) >= 1 / ALPHA) is rejects


def test_a_fault_after_a_day_of_hold_is_seen_nearly_as_fast_as_one_at_the_start() -> None:
    fault = [Interval(5, 100, 2, 400, start=i == 0) for i in range(40)]
    day = [Interval(0.5, 100, 2, 400, start=i % 40 == 0) for i in range(5760)]

    def needed(before: list[Interval]) -> int:
        hits = (i for i in range(1, 41) if worse_than_live([*before, *fault[:i]], 1.5, ALPHA) >= 1 / ALPHA)
        return next(hits)

    assert needed(day) <= 3 * needed([])


@pytest.mark.parametrize("seed", range(3))
def test_healthy_canaries_are_rejected_no_more_often_than_said(seed: int) -> None:
    rnd, rejected, runs = random.Random(seed), 0, 200
    for _ in range(runs):
        intervals = [
            Interval(sum(rnd.random() < 0.02 for _ in range(15)), 15, sum(rnd.random() < 0.02 for _ in range(60)), 60)
            for _ in range(40)
        ]
        rejected += worse_than_live(intervals, 1.0, 0.05) >= 20
    assert rejected <= 0.05 * runs  # the expectation is below: 1 of 100 000 such seeds would be above it by chance


@pytest.mark.parametrize(
    ("bad", "total"),
    [
        pytest.param(-1, 5, id="negative"),
        pytest.param(6, 5, id="more bad than all"),
        pytest.param(0, inf, id="without end"),
        pytest.param(float("nan"), 5, id="not a number"),
    ],
)
def test_impossible_counts_are_refused(bad: float, total: float) -> None:
    with pytest.raises(ValueError, match="not counts of one interval"):
        Interval(bad, total)
