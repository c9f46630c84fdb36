"""The table of blame on generated weather, on few samples: its machinery works and its rows are where they were measured."""

from math import isclose
from random import Random

import pytest

from opsloop.core.incident.weights import WEIGHTS
from tools import judge_causes


def test_few_samples_are_judged_as_many_are() -> None:
    rows = {name: hits / of for name, hits, of in judge_causes.table(judge_causes.situations(25, 3), WEIGHTS)}
    right = rows["bad release, harm within half a minute: rolled back"]
    wrong = rows["outage, the youngest change over 10 min before: rolled back"]
    assert right >= 0.8 and wrong <= 0.1


def test_a_weather_is_its_seed() -> None:
    assert judge_causes.weather(Random("1"), "late") == judge_causes.weather(Random("1"), "late")


def test_each_number_is_varied_both_ways() -> None:
    labels = [label for label, _ in judge_causes.varied()]
    assert "soon at 70%" in labels and "soon at 130%" in labels and len(labels) == len(set(labels))


@pytest.mark.parametrize(("count", "of", "low", "high"), [(0, 100, 0.0, 0.0362), (5, 100, 0.0164, 0.1128)])
def test_bounds_are_those_of_clopper_and_pearson(count: int, of: int, low: float, high: float) -> None:
    assert isclose(judge_causes.bound(count, of, False), low, abs_tol=1e-3)
    assert isclose(judge_causes.bound(count, of, True), high, abs_tol=1e-3)
