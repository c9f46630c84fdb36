"""McNemar's exact test and the rule of three, against values of the textbooks and the binomial law itself."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics.paired import mcnemar, missed


@pytest.mark.parametrize(
    ("worse", "better", "p"),
    [
        pytest.param(0, 0, 1.0, id="no pair differs"),
        pytest.param(1, 0, 0.5, id="one pair is a coin"),
        pytest.param(4, 0, 0.0625, id="four of four are not yet rare"),
        pytest.param(5, 0, 0.03125, id="five of five are"),
        pytest.param(10, 2, 79 / 4096, id="ten against two"),
        pytest.param(3, 9, 1 - (comb(12, 0) + comb(12, 1) + comb(12, 2)) / 4096, id="a version that is better"),
    ],
)
def test_mcnemar(worse: int, better: int, p: float) -> None:
    assert mcnemar(worse, better) == pytest.approx(p)


@given(st.integers(0, 200), st.integers(0, 200))
def test_each_pair_more_against_it_is_less_likely_chance(worse: int, better: int) -> None:
    assert 0 < mcnemar(worse + 1, better) <= mcnemar(worse, better) <= 1
    assert mcnemar(worse, better) <= mcnemar(worse, better + 1)


def test_a_version_as_good_as_live_is_rejected_at_most_so_often() -> None:
    """Exactly: over all ways in which n pairs that differ can fall."""
    for n in range(1, 60):
        rejected = sum(comb(n, k) for k in range(n + 1) if mcnemar(k, n - k) <= 0.05) / 2**n
        assert rejected <= 0.05


def test_what_so_many_questions_may_have_missed() -> None:
    assert missed(0) == 1.0
    assert missed(1) == pytest.approx(0.95)
    assert missed(300) == pytest.approx(3 / 300, rel=0.01)
