"""A backtest calls when the operator did, over the same history; on many seeds: `python -m tests.sim.agreement.past`."""

import pytest

from opsloop.simulator.episode import TICK
from tests.sim.agreement.past import compare


@pytest.mark.simulation
@pytest.mark.parametrize(("seed", "kind"), [(1001, "bad-push"), (108, "outage"), (102, "quiet")])
def test_a_backtest_calls_at_the_same_reads_as_the_operator(seed: int, kind: str) -> None:
    [found] = compare(seed, kind, [TICK])
    assert bool(found.operator) == (kind != "quiet")
    assert found.agree and found.backtest == found.operator, found
    assert found.resolved[0] == found.resolved[1]
