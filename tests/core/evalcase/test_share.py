"""How many answers say that a case passes or fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.evalcase.share import standing


@pytest.mark.parametrize(
    ("passed", "answered", "asked", "share", "stands"),
    [
        pytest.param(3, 3, 3, 1.0, "passed", id="each answer is right"),
        pytest.param(2, 3, 3, 1.0, "failed", id="one of three is wrong"),
        pytest.param(2, 2, 3, 1.0, "open", id="one of three is missing"),
        pytest.param(1, 2, 3, 1.0, "failed", id="one is wrong, one is missing"),
        pytest.param(0, 0, 0, 1.0, "open", id="nothing was asked"),
        pytest.param(9, 10, 10, 0.9, "passed", id="nine of ten are enough for nine tenths"),
        pytest.param(8, 10, 10, 0.9, "failed", id="eight of ten are not"),
        pytest.param(9, 9, 10, 0.9, "passed", id="the missing one cannot change it any more"),
        pytest.param(7, 8, 10, 0.9, "open", id="the two missing ones decide"),
        pytest.param(7, 9, 10, 0.9, "failed", id="not even with the missing one"),
        pytest.param(0, 20, 20, 0.01, "failed", id="never right is never a pass"),
    ],
)
def test_standing(passed: int, answered: int, asked: int, share: float, stands: str) -> None:
    assert standing(passed, answered, asked, share) == stands


@given(st.integers(1, 50), st.floats(0.01, 1), st.data())
def test_another_answer_never_takes_a_verdict_back(asked: int, share: float, data: st.DataObject) -> None:
    right = data.draw(st.lists(st.booleans(), min_size=asked, max_size=asked))
    verdicts = [standing(sum(right[:n]), n, asked, share) for n in range(asked + 1)]
    assert verdicts[-1] != "open"
    assert set(verdicts[verdicts.index(verdicts[-1]) :]) == {verdicts[-1]}
    assert set(verdicts) <= {"open", verdicts[-1]}
