"""Whether one of two revisions that serve side by side is harmed alone."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics.alike import CUT, compare
from opsloop.core.statistics.evidence import Interval


def minutes(*counts: tuple[float, float, float, float]) -> list[Interval]:
    """(own bad, own events, the other's bad, its events) of each minute."""
    return [Interval(60.0 * n, 60.0 * (n + 1), *one) for n, one in enumerate(counts)]


SURE = log(20)


@pytest.mark.parametrize(
    ("intervals", "alone"),
    [
        pytest.param(minutes((80, 100, 1, 100), (80, 100, 0, 100)), True, id="only the first one errs"),
        pytest.param(minutes((80, 100, 80, 100), (80, 100, 80, 100)), False, id="both err alike"),
        pytest.param(minutes((1, 100, 80, 100), (0, 100, 80, 100)), False, id="only the other one errs"),
        pytest.param(minutes((2, 200, 6, 800), (240, 600, 160, 400), (320, 800, 80, 200)), False, id="an outage grows while traffic moves to the first one: in each minute alike"),
        pytest.param(minutes((80, 100, 1, 100)), True, id="only the first one errs, in a single minute: 100 to 1 and no more"),
        pytest.param(minutes((3, 10, 1, 10), (2, 10, 1, 10)), None, id="a few events"),
        pytest.param(minutes((80, 100, 0, 0)), None, id="the other one served nobody"),
        pytest.param([], None, id="they never served at the same time"),
    ],
)  # fmt: skip
def test_which_one_is_harmed(intervals: list[Interval], alone: bool | None) -> None:
    odds = compare(intervals).odds
    assert (odds > SURE) == (alone is True) and (odds < -SURE) == (alone is False)
    assert len(intervals) > 1 or abs(odds) <= CUT + 0.2


def test_of_those_that_are_not_alone_it_says_whether_they_are_alike() -> None:
    both, other = compare(minutes(*[(80, 100, 80, 100)] * 2)), compare(minutes(*[(1, 100, 80, 100)] * 2))
    assert both.alike > both.other and other.other > other.alike


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(50, 500), st.integers(0, 50), st.integers(50, 500)), max_size=8)
)
def test_no_interval_weighs_more_than_the_cut(counts: list[tuple[int, int, int, int]]) -> None:
    assert abs(compare(minutes(*counts)).odds) <= (CUT + 0.2) * max(len(counts), 1)


@given(ratio=st.floats(0.01, 0.9), shares=st.lists(st.floats(0.1, 0.9), min_size=2, max_size=6))
def test_what_both_suffer_never_speaks_for_one_alone_whatever_the_traffic(ratio: float, shares: list[float]) -> None:
    counts = [(ratio * 1000 * s, 1000 * s, ratio * 1000 * (1 - s), 1000 * (1 - s)) for s in shares]
    assert compare(minutes(*counts)).odds < 0
