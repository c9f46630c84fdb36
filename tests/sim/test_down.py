"""docs/operator-down.md in fake time: what a person does by kubectl while no operator runs, and what it makes of it afterwards."""

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import DEPLOYMENTS, RELEASES
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS, version_of
from tests.sim.test_guard import Guarded
from tests.sim.test_guard import story as guarded

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
LONG = {"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 100}]}}


async def serving(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=LONG)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await shift.operator.stop()


def scale_canary_to_0(shift: Shift) -> None:
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers-canary")
    assert stored is not None
    stored["spec"]["replicas"] = 0
    shift.shop.cluster.seed(stored)
    for _ in range(5):
        shift.shop.tick()


def running(shift: Shift) -> set[str]:
    """Versions of the Deployment's own pods."""
    pods = [p for p in shift.shop.objects("pods") if p["metadata"]["labels"].get("deployment") == "answers"]
    return {version_of(pod) for pod in pods}


@story
async def test_a_canary_that_was_taken_out_with_the_order_to_abort_stays_out(shift: Shift) -> None:
    await serving(shift)
    scale_canary_to_0(shift)
    assert shift.shop.open_canaries() == []
    target = shift.release().status.target
    assert target is not None
    shift.shop.annotate(RELEASES, "answers", abort=target.digest)
    await seconds(shift, 60)
    assert shift.shop.open_canaries() == [] and shift.live == "v1"
    ended = shift.release().status.target
    assert ended is not None and (ended.state, ended.reason) == ("Cancelled", "Aborted")


@story
async def test_without_that_order_its_pods_come_back(shift: Shift) -> None:
    await serving(shift)
    scale_canary_to_0(shift)
    await shift.until("the operator does what was decided", lambda: bool(shift.shop.open_canaries()))


@story
async def test_what_was_promoted_by_hand_ends_the_canary_and_is_watched(shift: Shift) -> None:
    await serving(shift)
    scale_canary_to_0(shift)
    shift.shop.set_image("v4")
    for _ in range(30):
        shift.shop.tick()
    assert running(shift) == {"v4"}, "the Deployment rolls out without opsloop"
    await seconds(shift, 60)
    status = shift.release().status
    assert shift.live == "v4" and shift.shop.open_canaries() == []
    assert status.target is None or not status.target.is_active


@story
async def test_an_undo_by_hand_is_taken_as_it_is(shift: Shift) -> None:
    await serving(shift)
    scale_canary_to_0(shift)
    shift.shop.set_image("v4")
    for _ in range(30):
        shift.shop.tick()
    shift.shop.set_image("v1")
    for _ in range(30):
        shift.shop.tick()
    assert running(shift) == {"v1"}
    target = shift.release().status.target
    assert target is not None
    shift.shop.annotate(RELEASES, "answers", abort=target.digest)
    await seconds(shift, 60)
    assert (shift.live, shift.shop.open_canaries()) == ("v1", [])


@guarded
async def test_a_guarded_deployment_that_was_unpaused_runs_what_ran_and_is_guarded_again(shift: Guarded) -> None:
    await shift.until_guarded()
    await shift.operator.stop()
    shift.by_others(paused=False)
    for _ in range(30):
        shift.shop.tick()
    assert running(shift) == {"v1"}
    await shift.until("it is paused again", lambda: shift.paused)
    assert conditions.is_true(shift.release().status.conditions, "Guarded") and running(shift) == {"v1"}
