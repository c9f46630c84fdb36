"""A fixed part of the laws; all of them: `python -m tests.sim.laws`."""

from random import Random

import pytest

from tests.sim.laws import nulls, power, several, words
from tests.sim.laws.bounds import lower, upper
from tests.sim.laws.rollouts import analysis_of

pytestmark = pytest.mark.simulation

SEED = "fixed"


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        pytest.param(0, 10, 0.0, 0.2589, id="none of ten"),
        pytest.param(10, 10, 0.7411, 1.0, id="all of ten"),
        pytest.param(3, 100, 0.0082, 0.0757, id="three of a hundred"),
    ],
)
def test_clopper_pearson(hits: int, trials: int, low: float, high: float) -> None:
    """Against the quantiles of the beta distribution, one-sided 95 %."""
    assert lower(hits, trials) == pytest.approx(low, abs=1e-4)
    assert upper(hits, trials) == pytest.approx(high, abs=1e-4)


def test_healthy_canaries_are_rejected_no_more_often_than_the_spec_accepts() -> None:
    analysis = analysis_of()
    rows = nulls.sample(SEED, 40, analysis)
    rejected, rollouts = sum(row.rejected for row in rows), sum(row.rollouts for row in rows)
    assert upper(rejected, rollouts) <= analysis.false_rejects, [(r.kind, r.rps, r.objective, r.rejected) for r in rows]


def test_and_are_promoted_within_their_hold_and_a_tenth() -> None:
    rows = [nulls.row(SEED, case, 20, analysis_of()) for case in nulls.CASES if case[0] == "as good as live"]
    assert len(rows) == 6
    assert all(row.promoted == row.rollouts for row in rows)
    assert all(row.in_time == row.rollouts for row in rows if row.rps > 5 or row.objective < 0.999)


@pytest.mark.parametrize("multiple", [3, 10, 40])
def test_harmful_canaries_take_about_as_many_requests_as_designed(multiple: int) -> None:
    found = power.exact_counts(multiple, 100, analysis_of(warmUp="0s"), Random(SEED))
    median, p95 = power.MULTIPLES[multiple]
    assert found.quantile(0.5) <= 1.5 * median
    assert found.quantile(0.95) <= 1.5 * p95


def test_what_is_said_not_to_have_been_seen_is_about_true() -> None:
    claims = [words.claim(rps, 0.99, 40, 100, Random(f"{SEED} {rps}")) for rps in (5.0, 100.0)]
    assert all(0.65 <= claim.caught <= 0.95 for claim in claims), claims


def test_a_canary_that_is_healthy_in_two_objectives_is_rejected_no_more_often_than_one_in_one() -> None:
    analysis = analysis_of()
    rows = several.sample(SEED, 60, analysis)
    rejected, rollouts = sum(row.rejected for row in rows), sum(row.rollouts for row in rows)
    assert upper(rejected, rollouts) <= analysis.false_rejects, [(r.kind, r.rps, r.rejected) for r in rows]


def test_a_second_objective_costs_a_window_or_two_and_the_one_that_is_harmed_is_named() -> None:
    one, two = (
        several.power(10, 5.0, names, 100, analysis_of(), Random(SEED))
        for names in (("latency",), ("availability", "latency"))
    )
    assert set(two.names) == {"latency"}
    assert two.quantile(0.5) <= one.quantile(0.5) + 2
