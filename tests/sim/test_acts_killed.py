"""A person's acts, with the operator killed at any write: what was ordered happens once, or is said not to have happened."""

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import RELEASES
from tests.sim import deaths
from tests.sim.shift import Shift, seconds
from tests.sim.test_commands import LONG, answer

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def is_true(shift: Shift, name: str) -> bool:
    return conditions.is_true(shift.release().status.conditions, name)


async def play(shift: Shift) -> None:
    """promote to live, restart, undo, retry, abort: each is waited for by its answer and by what it does."""
    await shift.adopt()
    annotate = shift.shop.annotate
    shift.shop.ship("v4", evals=None, strategy=LONG)
    await shift.until("v4 at 20", lambda: shift.release().status.weight.wanted == 20)
    annotate(RELEASES, "answers", promote="v4/100")
    await shift.until("v4 is live", lambda: is_true(shift, "Promoted") and is_true(shift, "RolledOut"))
    annotate(RELEASES, "answers", restart="v4")
    await shift.until("it restarts", lambda: answer(shift, "restart") == "Obeyed")
    await seconds(shift, 15)
    annotate(RELEASES, "answers", undo="v4")
    await shift.until("v1 is back", lambda: is_true(shift, "Rejected") and is_true(shift, "RolledOut"))
    annotate(RELEASES, "answers", undo="v4", retry="1")
    await shift.until("v4 is tried again", lambda: shift.release().status.weight.wanted == 20)
    annotate(RELEASES, "answers", undo="v4", retry="1", abort="v4")
    await shift.until("v4 is aborted", lambda: shift.target() == ("v4", "Cancelled"))
    await seconds(shift, 10)


def end(shift: Shift) -> object:
    status = shift.release().status
    answers = sorted((c.name, c.reason) for c in status.commands)
    blocked = [r.version for r in status.revisions if r.blocked]
    return shift.live, shift.target(), answers, blocked, shift.shop.open_canaries(), shift.wrote()


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
async def test_killed_at_any_write_the_acts_end_the_same(after: bool) -> None:
    whole = Shift()
    await play(whole)
    await whole.operator.stop()
    count = len(whole.shop.cluster.writes)
    for n in deaths.tried(1, count, after * deaths.HALF):
        shift = Shift()
        shift.shop.cluster.die_at(n, after)
        await play(shift)
        await shift.operator.stop()
        assert (n, end(shift)) == (n, end(whole))
