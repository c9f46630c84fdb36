"""Effective events: a burst is one thing that happened, wherever the slots' borders lie."""

from math import exp, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.statistics.clusters import effective, evidence
from opsloop.simulator.traffic import poisson

SLOTS = st.lists(st.floats(0, 1e6).map(lambda x: round(x, 3)), max_size=40)


@pytest.mark.parametrize(
    ("events", "count"),
    [
        pytest.param([], 0, id="no slot"),
        pytest.param([0, 0, 0], 0, id="nothing happened"),
        pytest.param([0, 60, 0, 0], 1, id="one burst"),
        pytest.param([0, 20, 40, 0], 1, id="one burst across a border"),
        pytest.param([0, 60, 0, 0, 60], 2, id="two bursts"),
        pytest.param([0, 30, 30, 0, 60], 2, id="two bursts, one of them across a border"),
        pytest.param([1, 0, 1, 0, 1, 0, 1], 4, id="single events apart"),
        pytest.param([15] * 8, 4, id="harm that goes on: half as many as slots"),
        pytest.param([100, 0, 0, 1, 0, 0, 1], pytest.approx(1.04, abs=0.01), id="a few single events make no burst more"),
    ],
)  # fmt: skip
def test_effective_events(events: list[float], count: float) -> None:
    assert effective(events) == pytest.approx(count)


@given(SLOTS, st.floats(0.001, 1000))
def test_effective_events_do_not_depend_on_the_scale(events: list[float], scale: float) -> None:
    assert effective([x * scale for x in events]) == pytest.approx(effective(events), rel=1e-6)


@given(SLOTS)
def test_there_are_at_most_as_many_effective_events_as_slots_with_events(events: list[float]) -> None:
    assert effective(events) <= sum(x > 0 for x in events) + 1e-9


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("expected", [0.05, 0.5, 2.0])
def test_the_bound_holds_where_a_burst_makes_one_look(size: int, expected: float) -> None:
    """Bursts of one size come at a rate, one of them in the last slot: as much as ln(1/α) is seen in α of the looks at most."""
    random, alpha, hits, runs = Random(f"{size} {expected}"), 0.02, 0, 20_000
    for _ in range(runs):
        slots = [0.0] * 59 + [float(size)]
        for _ in range(poisson(random, expected)):
            slots[random.randrange(60)] += size
        hits += evidence(slots, sum(slots) / (expected * size)) >= -log(alpha)
    assert hits / runs <= alpha


def test_the_evidence_of_single_events_is_chernoffs_bound() -> None:
    """Four of them where one is expected: the chance of three others."""
    assert exp(-evidence([1, 0, 1, 0, 1, 0, 1], 4.0)) == pytest.approx(exp(-1.0) * (exp(1.0) / 3) ** 3)


@pytest.mark.parametrize("events", [[], [60], [0, 60, 0], [30, 30]])
def test_one_burst_is_no_evidence(events: list[float]) -> None:
    assert evidence(events, 1000.0) == 0


def test_as_many_as_expected_are_no_evidence() -> None:
    assert evidence([1, 1, 1], 1.0) == evidence([1, 1, 1], 0.5) == 0
