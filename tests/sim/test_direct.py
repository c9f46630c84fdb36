"""Whole-operator stories about strategy.type: direct: shipped at once, watched, rolled back by the Runbook or by a case that fails."""

import json
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import DEPLOYMENTS, RELEASES
from tests.builders.objects import V2
from tests.sim import deaths
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS, version_of
from tests.sim.test_evals import add_case

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DIRECT = {"type": "direct"}
EVALS = {"port": 8080}


def recreate(shift: Shift) -> None:
    """Its pods stand no second version beside them."""
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    stored["spec"]["strategy"] = {"type": "Recreate"}
    shift.shop.cluster.seed(stored)


def answers_wrong(shift: Shift, wrong: str) -> None:
    """What eval requests to a version are answered with."""
    answer: Any = shift.shop._answer
    reply = ProbeReply(200, json.dumps({"answer": "7 days"}))
    shift.shop._answer = lambda version, asked: reply if version == wrong else answer(version, asked)  # type: ignore[method-assign]


def canaries(shift: Shift) -> list[str]:
    """Images of the canary Deployments that were ever applied."""
    applied = shift.shop.cluster.written("apply", "deployments")
    return [write.body["spec"]["template"]["spec"]["containers"][0]["image"] for write in applied]


def said(shift: Shift, kind: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, kind)
    return (found.status, found.reason) if found else ("", "")


@story
async def test_a_direct_version_is_written_at_once_and_promoted_when_it_runs(shift: Shift) -> None:
    recreate(shift)
    shift.shop.ship("v4", evals=None, strategy=DIRECT)
    await shift.until("it is written", lambda: shift.live == "v4", most=5)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    status = shift.release().status
    assert shift.wrote() == ["v4"] and canaries(shift) == []
    assert status.promotion is not None and status.promotion.version == "v4"
    assert [(r.version, r.reason) for r in status.revisions] == [("v1", "Adopted"), ("v4", "Direct")]
    assert said(shift, "Promoted")[0] == "True" and said(shift, "CanaryFits") == ("True", "Direct")
    await seconds(shift, 10)
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("v1 is back", lambda: shift.live == "v1")


@story
async def test_a_bad_direct_version_is_rolled_back_by_the_runbook_and_blocked(shift: Shift) -> None:
    shift.shop.ship("v2", evals=None, strategy=DIRECT)
    await shift.until("it burns", lambda: shift.incident() is not None)
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    await shift.until("it says why", lambda: said(shift, "Rejected")[0] == "True")
    blocked = {r.version: r.blocked.reason for r in shift.release().status.revisions if r.blocked}
    assert blocked == {"v2": "RolledBack"} and shift.wrote() == ["v2", "v1"] and canaries(shift) == []
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("it is refused", lambda: shift.target() == ("v2", "Refused"))
    assert said(shift, "Blocked")[0] == "True" and shift.live == "v1"


@story
async def test_cases_are_asked_of_one_dark_pod_before_where_one_may_run(shift: Shift) -> None:
    add_case(shift, "refund")
    answers_wrong(shift, "v3")
    shift.shop.ship("v3", evals=EVALS, strategy=DIRECT)
    await shift.until("v3 is rejected in the dark", lambda: shift.target() == ("v3", "Rejected"))
    assert shift.wrote() == [] and canaries(shift) == ["shop:v3"] and "v3" not in shift.shop.served
    shift.shop.ship("v4", evals=EVALS, strategy=DIRECT)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    promotion = shift.release().status.promotion
    assert promotion is not None and promotion.cases == ["refund"]
    await shift.until("the dark pod is gone", shift.quiet)


async def after(shift: Shift) -> None:
    """A case is asked of live pods afterwards: v2 fails it and goes, v4 passes."""
    await shift.adopt()
    recreate(shift)
    add_case(shift, "refund")
    shift.shop.errors["v2"] = 0.0  # no user hears of it: the case alone does
    answers_wrong(shift, "v2")
    shift.shop.ship("v2", evals=EVALS, strategy=DIRECT)
    await shift.until("v1 is written back", lambda: "v2" in shift.wrote() and shift.live == "v1")
    await shift.until(
        "it is done", lambda: said(shift, "RolledOut")[0] == "True" and said(shift, "Rejected")[0] == "True"
    )
    shift.shop.ship("v4", evals=EVALS, strategy=DIRECT)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


def end(shift: Shift) -> Any:
    status = shift.release().status
    blocked = {r.version: r.blocked.reason for r in status.revisions if r.blocked}
    record = status.rollback
    assert record is not None and status.promotion is not None
    told = (record.case, record.state, record.from_digest, status.promotion.version, status.promotion.cases)
    return blocked, told, shift.wrote(), canaries(shift), shift.live


@pytest.mark.simulation
@pytest.mark.soak
async def test_where_no_second_pod_may_run_live_pods_are_asked_after_and_killed_anywhere_it_ends_the_same() -> None:
    whole = Shift(runbook=False)
    await after(whole)
    await whole.operator.stop()
    assert end(whole) == ({"v2": "EvalFailed"}, ("refund", "Done", V2, "v4", ["refund"]), ["v2", "v1", "v4"], [], "v4")
    writes = [n for n, w in enumerate(whole.shop.cluster.writes, 1) if w.resource in (DEPLOYMENTS, RELEASES)]
    for n in writes[5 :: deaths.EVERY]:
        shift = Shift(runbook=False)
        shift.shop.cluster.die_at(n, after=n % 2 == 0)
        await after(shift)
        await shift.operator.stop()
        assert (n, end(shift)) == (n, end(whole))


@story
async def test_zero_cases_are_no_pass_after_either(shift: Shift) -> None:
    recreate(shift)
    shift.shop.ship("v4", evals=EVALS, strategy=DIRECT)
    await shift.until("it is written", lambda: shift.live == "v4")
    await seconds(shift, 10)
    assert shift.target() == ("v4", "Promoting") and said(shift, "Held") == ("True", "EvalsInconclusive")
    add_case(shift, "refund")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_a_guarded_template_is_shipped_directly_and_the_deployment_paused_again(shift: Shift) -> None:
    stored = shift.release_object()
    stored["spec"] = {k: v for k, v in stored["spec"].items() if k not in ("version", "images", "evals")}
    stored["spec"] |= {"guard": True, "strategy": DIRECT}
    shift.shop.cluster.seed(stored)
    await shift.until("it is guarded", lambda: said(shift, "Guarded") == ("True", "Guarded"))
    shift.shop.set_image("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("it is paused again", lambda: said(shift, "Guarded") == ("True", "Guarded"))
    assert {version_of(pod) for pod in shift.shop.in_traffic()} == {"v4"} and canaries(shift) == []


@story
async def test_a_canary_that_becomes_direct_starts_again_without_one(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy={"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 100}]}})
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    shift.shop.ship("v4", evals=None, strategy=DIRECT)
    await shift.until("v4 is live", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.shop.open_canaries() == [] and shift.live == "v4"


@story
async def test_a_worker_behind_no_service_has_no_canary_without_consent(shift: Shift) -> None:
    stored = next(s for s in shift.shop.objects("services") if s["metadata"]["name"] == "answers")
    stored["spec"]["selector"] = {"app": "another"}
    shift.shop.cluster.seed(stored)
    await seconds(shift, 40)
    shift.shop.ship("v4", evals=None)
    await shift.until("it is refused", lambda: shift.target() == ("v4", "Refused"))
    assert said(shift, "CanaryFits") == ("False", "NoService")
    assert canaries(shift) == []
    shift.shop.ship("v4", evals=None, strategy={"canary": {"withoutService": True, "steps": [{"weight": 100}]}})
    await shift.until("its owner consents", lambda: shift.target() == ("v4", "Promoted"))
