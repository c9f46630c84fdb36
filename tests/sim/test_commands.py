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


LONG = with_steps({"weight": 20, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100, "approve": True})


def answer(shift: Shift, name: str) -> str:
    return next((c.reason for c in shift.release().status.commands if c.name == name), "")


def is_true(shift: Shift, name: str) -> bool:
    return conditions.is_true(shift.release().status.conditions, name)


@story
async def test_a_person_sends_a_canary_on_and_then_straight_to_live(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=LONG)
    await shift.until("v4 at 20", lambda: shift.release().status.weight.wanted == 20)
    await seconds(shift, 20)
    shift.shop.annotate(RELEASES, "answers", promote="v4")
    await shift.until("v4 at 50", lambda: shift.release().status.weight.wanted == 50)
    await seconds(shift, 20)
    assert shift.release().status.weight.wanted == 50  # the order was for one step
    shift.shop.annotate(RELEASES, "answers", promote="v4/100 #full")
    await shift.until("v4 is promoted", lambda: is_true(shift, "Promoted") and shift.live == "v4")
    assert shift.operator.fakes.instruments.rollouts["answers", "promoted"] == 1


@story
async def test_a_person_aborts_a_canary_and_nothing_starts_it_again(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=LONG)
    await shift.until("v4 at 20", lambda: shift.release().status.weight.wanted == 20)
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.until("v4 is aborted", lambda: is_true(shift, "Rejected"))
    await seconds(shift, 60)
    assert shift.shop.open_canaries() == [] and shift.live == "v1" and answer(shift, "abort") == "Obeyed"
    assert shift.operator.fakes.instruments.commands["abort", "Obeyed"] == 1
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v4 is tried again", lambda: shift.target()[1] in ("Dark", "Stepping"))


@story
async def test_a_person_undoes_a_promotion_and_it_comes_back_by_retry_only(shift: Shift) -> None:
    quick = with_steps({"weight": 50}, {"weight": 100})
    shift.shop.ship("v4", evals=None, strategy=quick)
    await shift.until("v4 is promoted", lambda: is_true(shift, "Promoted") and shift.live == "v4")
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("v1 is back", lambda: shift.live == "v1" and is_true(shift, "RolledOut"))
    await seconds(shift, 60)
    assert shift.live == "v1" and answer(shift, "undo") == "Obeyed" and shift.target() == ("v4", "Promoted")
    assert [r.version for r in shift.release().status.revisions if r.blocked] == [] and is_true(shift, "Rejected")
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v4 is live again, by a canary", lambda: is_true(shift, "Promoted") and shift.live == "v4")


@story
async def test_a_person_restarts_the_pods_of_live_once(shift: Shift) -> None:
    shift.shop.annotate(RELEASES, "answers", restart="v1")
    await shift.until("the stamp is there", lambda: answer(shift, "restart") == "Obeyed")
    written = len(shift.shop.cluster.writes)
    await seconds(shift, 60)
    late = [w for w in shift.shop.cluster.writes[written:] if w.resource.plural == "deployments"]
    assert late == [] and shift.live == "v1" and len(shift.release().status.revisions) == 1


@story
async def test_an_order_while_a_stop_stands_is_refused_with_its_sentence(shift: Shift) -> None:
    stop_body = {"kind": "Stop", "metadata": {"name": "now", "namespace": "shop"}, "spec": {"reason": "alice: fire"}}
    shift.shop.cluster.seed(stop_body)
    await shift.until("it is stopped", lambda: is_true(shift, "Stopped"))
    await seconds(shift, 10)
    shift.shop.annotate(RELEASES, "answers", restart="v1")
    await shift.until("it is refused", lambda: answer(shift, "restart") == "Stopped")
