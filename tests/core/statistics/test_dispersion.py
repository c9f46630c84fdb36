"""How unevenly bad events split among pods: 1 for single ones, about the size of bursts where they come together."""

from random import Random

import pytest

from opsloop.core.statistics.dispersion import LARGEST, NO_SPLIT, Split
from opsloop.simulator.traffic import poisson


def seen(*intervals: list[tuple[float, float]]) -> Split:
    split = NO_SPLIT
    for pods in intervals:
        split = split.after(pods)
    return split


EVEN, BURST = [(1.0, 100.0)] * 4, [(40.0, 140.0), (0.0, 100.0), (0.0, 100.0), (0.0, 100.0)]


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="pods are not told apart"),
        pytest.param([(5, 100)], id="one pod alone"),
        pytest.param([(5, 100), (0, 0)], id="one pod alone that serves"),
        pytest.param([(0, 100), (0, 100)], id="no bad event"),
    ],
)
def test_what_says_nothing_of_bursts(pods: list[tuple[float, float]]) -> None:
    assert seen(pods) == NO_SPLIT


def test_a_burst_to_one_pod_is_worth_about_one_event() -> None:
    assert 15 < seen(BURST).dispersion < 40
    assert 10 < seen(*[EVEN] * 5, BURST).dispersion < seen(BURST).dispersion


def test_an_outage_of_all_pods_shows_nothing_and_its_edges_little() -> None:
    outage, edge = [(900.0, 1000.0)] * 4, [(900.0, 1000.0), (900.0, 1000.0), (0.0, 1000.0), (0.0, 1000.0)]
    assert seen(*[outage] * 10).dispersion == 1
    assert seen(edge).dispersion <= LARGEST
    assert seen(edge, *[outage] * 10, *[EVEN] * 100).dispersion < 10


@pytest.mark.parametrize("mean", [0.05, 0.5, 5.0, 50.0])
def test_single_events_are_hardly_ever_taken_for_bursts(mean: float) -> None:
    random = Random(f"{mean}")
    found = [
        seen(*[[(float(poisson(random, mean)), 1000.0) for _ in range(4)] for _ in range(240)]).dispersion
        for _ in range(50)
    ]
    assert sum(found) / len(found) < 1.1
    assert max(found) < 1.5


def test_where_bursts_come_one_interval_may_say_less() -> None:
    assert NO_SPLIT.cut == 1
    assert 0.35 < seen(BURST).cut < 0.5
