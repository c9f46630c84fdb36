"""The whole shift in fake time, and the same shift with opsloop killed at a write: the end is the same.

A bad release is pushed by hand; opsloop detects, pages, rolls back, resolves, learns a case from a user's ticket and proves
it; the bad answer comes back in v3, which is rejected while it serves nobody; v4 is promoted, and the loop is closed.
"""

import pytest

from tests.sim import deaths
from tests.sim.shift import Shift

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

THE_END = {
    "live": ("v4", "v4", "Healthy"),
    "blocked": ["v2", "v3"],
    "by hand": ["v2"],
    "incidents": ["answers-1"],
    "plays": [("rollback", 1, "Helped")],
    "reopened": 0,
    "alerts": 20,
    "tickets": ["T-1"],
    "cause": ("bad_release", "v2"),
    "conditions": {
        "Paged": "True",
        "Mitigated": "True",
        "PostmortemWritten": "True",
        "RegressionCaptured": "True",
        "FixShipped": "True",
        "LoopClosed": "True",
    },
    "fix": ("v4", True),
    "page": "Sent",
    "inbox": [],
    "templates": ["v1", "v4"],
    "pods": ["v4"] * 4,
    "served by v3": False,
    "paged": 1,
}


async def test_the_whole_shift_and_the_second_of_each_transition() -> None:
    shift = Shift()
    await shift.play()
    print(shift.transcript())  # pytest -s
    assert shift.end() == THE_END


async def test_a_watch_that_is_a_second_late_changes_nothing() -> None:
    shift = Shift(lag=True)
    await shift.play()
    assert shift.end() == THE_END


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
async def test_killed_at_any_write_it_ends_the_same(after: bool) -> None:
    whole = Shift()
    await whole.play()
    count = len(whole.shop.cluster.writes)
    for n in deaths.tried(1, count, after * deaths.HALF):
        shift = Shift()
        shift.shop.cluster.die_at(n, after)
        await shift.play()
        assert (n, shift.end()) == (n, THE_END)
        assert shift.operator.deaths == 1 or n == count, "another shift may need one write less"
