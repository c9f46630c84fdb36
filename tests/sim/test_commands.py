"""Annotations that people forget on the object, through the whole operator: each is obeyed once."""

from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.names import APPROVE
from opsloop.shell.ports import RELEASES
from tests.builders.objects import digest
from tests.sim.shift import Shift, seconds, story

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

V3 = digest("shop:v3")


def with_steps(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"canary": {"steps": list(steps), "analysis": {"window": "2s", "minEvents": 5}}}


ASKING = with_steps({"weight": 20, "approve": True}, {"weight": 50, "approve": True}, {"weight": 100, "approve": True})


def waits_for_approval(shift: Shift) -> bool:
    held = conditions.get(shift.release().status.conditions, "Held")
    return held is not None and (held.status, held.reason) == ("True", "WaitingForApproval")


@story
async def test_unblock_left_in_place_tries_a_bad_version_once_more_and_not_for_ever(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    shift.shop.annotate(RELEASES, "answers", unblock=V3)
    await shift.until("v3 is tried again", lambda: shift.target()[1] == "Dark")
    await shift.until("v3 is rejected again", lambda: shift.target() == ("v3", "Rejected"))
    writes = len(shift.shop.cluster.writes)
    await seconds(shift, 60)
    late = [w for w in shift.shop.cluster.writes[writes:] if w.resource.plural == "deployments" and w.verb == "apply"]
    assert late == [] and shift.target() == ("v3", "Rejected")
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v3"]


@story
async def test_one_approval_passes_one_step(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=ASKING)
    for weight, approved in ((20, "v4"), (50, "v4/50")):
        await shift.until("the next step waits", lambda: waits_for_approval(shift))
        shift.shop.annotate(RELEASES, "answers", approve=approved)
        await shift.until(f"v4 at {weight}", lambda w=weight: shift.release().status.weight.wanted == w)  # type: ignore[misc]
        await seconds(shift, 20)
        assert waits_for_approval(shift) and shift.release().status.weight.wanted == weight
    shift.shop.annotate(RELEASES, "answers", approve="v4/100")
    await shift.until("v4 is promoted", lambda: shift.live == "v4")


@story
async def test_an_approval_that_was_left_passes_no_other_image_under_the_same_label(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=ASKING)
    await shift.until("the first step waits", lambda: waits_for_approval(shift))
    shift.shop.annotate(RELEASES, "answers", approve="v4")
    await shift.until("v4 at 20", lambda: shift.release().status.weight.wanted == 20)
    shift.shop.ship("v4", images={"answers": "shop:v3"}, evals=None, strategy=ASKING)
    await seconds(shift, 30)
    assert shift.release().metadata.annotations[APPROVE] == "v4"
    assert waits_for_approval(shift) and shift.shop.open_canaries() == [] and "v3" not in shift.shop.served


@story
async def test_taking_retry_away_starts_no_canary(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    ended = shift.release().status.target
    stored = shift.release_object()
    stored["metadata"]["annotations"] = {}
    shift.shop.cluster.seed(stored)
    await seconds(shift, 20)
    assert shift.release().status.target == ended
