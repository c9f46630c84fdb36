"""Canaries judged twice, by the functions alone and by the whole operator; on many seeds: `python -m tests.sim.agreement`."""

import pytest

from tests.sim.agreement.layers import compare

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize(("seed", "kind"), [(1, "bad-release"), (2, "good-release"), (3, "bad-release")])
def test_the_layers_take_the_same_decisions_at_the_same_tick(seed: int, kind: str) -> None:
    found = compare(seed, kind)
    assert found
    assert [one for one in found if not one.agree] == []
