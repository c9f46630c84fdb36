"""Alerts are grouped rightly on storms of faults, applications and rules that the method never saw.

The figures are in docs/storms.md; the bounds here are what 120 storms can hold without chance making them fail.
"""

import json
from pathlib import Path

import pytest

from opsloop.core.correlation.method import Method
from opsloop.core.correlation.onsets import Rules
from opsloop.entry.cli.commands import main
from tests.correlation import others
from tests.correlation.scores import ari, found, fresh, measured, other
from tests.correlation.storms import NOISE, Storm, a_storm

RECORDED = Path("/work/shared/data/correlation")  # not in a clone: its licence travels with it


@pytest.mark.parametrize(
    ("true", "found", "index"),
    [
        pytest.param("aabb", "xxyy", 1.0, id="the same partition"),
        pytest.param("aabb", "xxxx", 0.0, id="everything in one group"),
        pytest.param("aabb", "xyxy", -0.5, id="worse than chance"),
        pytest.param("aaab", "xxyz", 1 / 3, id="one of three pairs, and no wrong one"),
    ],
)
def test_the_measure_is_the_adjusted_rand_index(true: str, found: str, index: float) -> None:
    assert ari(true, found) == pytest.approx(index)


def test_a_storm_is_the_same_each_time_and_has_an_answer_for_each_alert() -> None:
    once, again = a_storm(7), a_storm(7)
    assert once.alerts == again.alerts and once.truth == again.truth
    assert {a.fingerprint for a in once.alerts} == set(once.truth)
    answers = {y for y in once.truth.values() if isinstance(y, str)}
    assert answers - {NOISE} == set(once.accept)


@pytest.mark.parametrize(
    "storm",
    [
        pytest.param(a_storm(720_007), id="a root costs less than three edges that nobody declared"),
        pytest.param(
            others.a_storm(720_070), id="pods of one service alone, at another time than all else that it could explain"
        ),
    ],
)
def test_both_of_two_faults_are_found(storm: Storm) -> None:
    grouping = found(storm, Method(), Rules())
    assert {g.service for g in grouping.groups} == {root for root, _ in storm.began.values()}


@pytest.mark.simulation
def test_hard_storms_of_other_faults_are_grouped_rightly() -> None:
    seen = measured(fresh(3, 120), Method())
    assert seen.ari >= 0.85 and seen.missed <= 0.05 and seen.noise_apart >= 0.97
    assert seen.root >= 0.85 and seen.opened <= 1.12


@pytest.mark.simulation
def test_hard_storms_of_another_generator_are_grouped_rightly() -> None:
    seen = measured(other(3, 120), Method(), prometheus=True)
    assert seen.ari >= 0.85 and seen.noise_apart >= 0.96 and seen.root >= 0.85 and seen.opened <= 1.1


@pytest.mark.simulation
def test_learning_repairs_lags_that_are_wrong_by_up_to_a_third() -> None:
    storms = fresh(4, 120)
    assert measured(storms, Method()).ari > measured(storms, Method(), learn=False).ari


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded storms are not on this machine")
def test_recorded_storms_of_two_public_applications(capsys: pytest.CaptureFixture[str]) -> None:
    truth = json.loads((RECORDED / "truth.json").read_text())["storms"]
    storms = sorted(str(path) for path in (RECORDED / "storms").glob("*.jsonl"))
    assert main(["correlate", "--topology", str(RECORDED / "topology.json"), "--output", "json", *storms]) == 0
    answers = json.loads(capsys.readouterr().out)
    scores = []
    for name, storm in truth.items():
        if storm["class"] != "single":
            single = {fp: y for fp, y in storm["alerts"].items() if isinstance(y, str)}
            groups = answers[name]["groups"]
            scores.append(
                ari([y if y != "noise" else fp for fp, y in single.items()], [groups[fp] or fp for fp in single])
            )
    assert sum(scores) / len(scores) >= 0.85
