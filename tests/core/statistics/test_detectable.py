"""What a canary's evidence could have shown; tests/sim/laws tries out whether it is true."""

import pytest

from opsloop.core.statistics.detectable import detectable, unseen
from opsloop.core.statistics.evidence import Evidence, Interval, Terms

TERMS = Terms(margin=1.5, floor=0.01, ignore_below=0.0025, alpha=0.01)


def healthy(total: float, intervals: int) -> Evidence:
    """Live and a canary of a fifth of the traffic, without an error of the canary."""
    evidence = Evidence(TERMS)
    for n in range(intervals):
        evidence = evidence.after(Interval(n * 60, n * 60 + 60, 0, total, 0.004 * total, 4 * total))
    return evidence


def found(total: float, intervals: int) -> float:
    ratio = detectable(healthy(total, intervals))
    assert ratio is not None
    return ratio


def test_two_intervals_can_show_nothing_however_many_events_they_hold() -> None:
    assert detectable(healthy(1e6, 2)) is None
    assert unseen(healthy(1e6, 2)) == "no fault could have been seen yet"
    assert detectable(healthy(1e6, 3)) is not None


def test_nor_can_intervals_without_events() -> None:
    assert detectable(healthy(0, 30)) is None


def test_more_events_and_more_intervals_show_smaller_faults() -> None:
    assert found(50, 5) > found(50, 10) > found(50, 40)
    assert found(20, 10) > found(200, 10) > found(2000, 10)


def test_nothing_below_the_ignored_ratio_is_ever_caught() -> None:
    assert found(1e6, 30) > TERMS.ignore_below


@pytest.mark.parametrize(
    ("total", "intervals", "text"),
    [
        pytest.param(60, 5, "a version with 4.8 % errors would have been caught with 80 %", id="five minutes at 5 requests/s"),
        pytest.param(1200, 10, "a version with 0.52 % errors would have been caught with 80 %", id="ten minutes at 100 requests/s"),
    ],
)  # fmt: skip
def test_the_sentence(total: float, intervals: int, text: str) -> None:
    assert unseen(healthy(total, intervals)) == text
