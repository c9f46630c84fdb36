"""Canary pods for which there is no room: what Kubernetes says of it is passed on, and the canary ends."""

import pytest

from tests.sim.shift import Shift, seconds, story
from tests.sim.test_hindered import posted, said

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@pytest.mark.parametrize(
    ("hindrance", "says"),
    [
        pytest.param({"quota": "pods is forbidden: exceeded quota: pods=4"}, "exceeded quota", id="no pod is created"),
        pytest.param({"full": "0/3 nodes are available: Insufficient cpu"}, "Insufficient cpu", id="no node has room"),
    ],
)
async def test_a_canary_that_cannot_start_says_what_kubernetes_says_and_ends(
    hindrance: dict[str, str], says: str
) -> None:
    async def play(shift: Shift) -> None:
        shift.shop.change(progressDeadlineSeconds=30)
        await seconds(shift, 5)
        for name, message in hindrance.items():
            setattr(shift.shop, name, message)
        shift.shop.ship("v4", evals=None)
        await seconds(shift, 10)
        held = said(shift, "Held")
        assert held[:2] == ("True", "WaitingForPods") and says in held[2]
        await seconds(shift, 30)
        target = shift.release().status.target
        assert target is not None and (target.state, target.reason) == ("Rejected", "PodsFailing")
        assert says in target.message and "Rejected" in posted(shift)

    await story(play)()
