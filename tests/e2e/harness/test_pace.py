"""From what was measured of the machine to its pace, and where a run is refused."""

from __future__ import annotations

import pytest

from e2e.harness import pace
from e2e.harness.pace import LIMIT, REFERENCE, Pace, Speed, TooSlow


def slower(cpu: float = 1.0, write: float = 1.0, pod: float = 1.0) -> Speed:
    """A machine that is so many times slower than the reference."""
    return Speed(REFERENCE.cpu / cpu, REFERENCE.write * write, REFERENCE.pod * pod)


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        pytest.param(slower(), Pace(1, 1, 2), id="the reference"),
        pytest.param(slower(0.1, 0.1, 0.1), Pace(1, 1, 2), id="a faster one is given no more load"),
        pytest.param(slower(cpu=1.25), Pace(1.25, 0.8, 2), id="a little slower: two stories still run side by side"),
        pytest.param(slower(cpu=1.6), Pace(1.6, 0.625, 1), id="slower: one story at a time"),
        pytest.param(slower(write=1.6), Pace(1.6, 0.625, 1), id="a slow disk"),
        pytest.param(slower(pod=1.6), Pace(1.6, 0.625, 1), id="pods that start slowly"),
        pytest.param(slower(1.1, 1.6, 1.3), Pace(1.6, 0.625, 1), id="the worst of the three decides"),
        pytest.param(slower(cpu=2.5), Pace(2.5, 0.5, 1), id="the load is at least half"),
    ],
)
def test_the_pace_follows_the_slowest_measure(speed: Speed, expected: Pace) -> None:
    actual = pace.judge(speed)
    assert (actual.deadlines, actual.load) == pytest.approx((expected.deadlines, expected.load))
    assert actual.stories == expected.stories


@pytest.mark.parametrize(
    ("speed", "what"),
    [
        pytest.param(slower(cpu=LIMIT * 1.01), "CPU", id="CPU"),
        pytest.param(slower(write=LIMIT * 1.01), "API writes", id="disk"),
        pytest.param(slower(pod=LIMIT * 1.01), "pod starts", id="pods"),
        pytest.param(Speed(0, 0.01, 1), "CPU", id="nothing done in time"),
    ],
)
def test_a_machine_beyond_the_limit_is_refused_with_the_figures(speed: Speed, what: str) -> None:
    with pytest.raises(TooSlow) as refusal:
        pace.judge(speed)
    sentence = str(refusal.value)
    assert sentence.startswith(f"the machine is too slow: {what} ")
    assert pace.describe(speed) in sentence and pace.describe(REFERENCE) in sentence
    assert "\n" not in sentence


def test_at_the_limit_it_is_still_tried() -> None:
    assert pace.judge(slower(cpu=LIMIT)).deadlines == pytest.approx(LIMIT)


def test_every_deadline_is_stretched_by_the_factor() -> None:
    assert Pace(1.5).seconds(60) == 90


def test_the_line_names_share_deadlines_and_load() -> None:
    speed = slower(cpu=1.6)
    text = pace.line(speed, pace.judge(speed))
    assert text.startswith("machine: 0.6 of the reference (") and text.endswith("deadlines × 1.6, load × 0.6")
