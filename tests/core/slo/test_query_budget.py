"""The query budget of a namespace: what a round may take, and what a person is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.core.slo.query_budget import QueryBudget, remark, round_of


@pytest.mark.parametrize(
    ("costs", "budget", "seconds"),
    [
        pytest.param([1, 1, 1], 0, 0, id="without a budget a round takes no time"),
        pytest.param([1] * 10, 120, 5, id="ten SLIs of one query fit into 120 a minute at a tick of 5 s"),
        pytest.param([1] * 10, 60, 10, id="half the budget is half as often"),
        pytest.param([6, 1, 1], 60, 8, id="one that burns and asks more lengthens the round of all"),
    ],
)
def test_a_round_takes_as_long_as_the_budget_holds_it(costs: list[int], budget: int, seconds: float) -> None:
    assert round_of(sum(costs), budget) == seconds


@given(st.lists(st.integers(1, 20), min_size=1, max_size=50), st.integers(1, 10_000))
def test_rounds_cost_the_budget_whatever_the_reads_cost(costs: list[int], budget: int) -> None:
    rounds_a_minute = 60 / round_of(sum(costs), budget)
    assert rounds_a_minute * sum(costs) == pytest.approx(budget)


def test_a_namespace_has_its_own_budget_or_that_of_each() -> None:
    budget = QueryBudget(600, {"shop": 60, "free": 0})
    assert [budget.of(name) for name in ("shop", "free", "other")] == [60, 0, 600]


def test_the_message_names_budget_and_interval_and_stays_the_same_while_costs_vary_a_little() -> None:
    one = remark("shop", 5, 11, 60)
    assert one == remark("shop", 5, 19.9, 60)
    assert "up to every 20 s instead of every 5 s" in one.message
    assert "namespace shop together may cost 60 queries a minute" in one.message
