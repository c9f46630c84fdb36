"""Eval cases through the whole operator: missing answers are no pass, many cases are no trouble, and a proof needs events."""

import json
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import RELEASES
from opsloop.simulator.fakes.prober import SILENT, Asked
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

EVALS = {"port": 8080, "repeats": 20}


def add_case(shift: Shift, name: str, must_pass: bool = True) -> None:
    spec = {
        "release": "answers",
        "request": {"path": "/ask?q=refund", "port": 8080},
        "expect": {"field": "answer", "equals": "30 days"},
        "mustPass": must_pass,
        "origin": {"kind": "manual"},
    }
    shift.shop.cluster.seed({"kind": "EvalCase", "metadata": {"name": name, "namespace": NS}, "spec": spec})


def answering_once(answered: list[str], asked: Asked) -> ProbeReply:
    """The first request gets its answer, all later ones none."""
    answered.append(asked.path)
    return ProbeReply(200, json.dumps({"answer": "30 days"})) if len(answered) == 1 else SILENT(asked)


@story
async def test_a_must_pass_case_that_answered_once_of_twenty_times_is_no_pass(shift: Shift) -> None:
    add_case(shift, "refund")
    shift.shop.ship("v4", evals=EVALS)
    answered: list[str] = []
    answer: Any = shift.shop._answer
    shift.shop._answer = lambda version, asked: (  # type: ignore[method-assign]
        answering_once(answered, asked) if version == "v4" else answer(version, asked)
    )
    await seconds(shift, 60)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert held is not None and (held.status, held.reason) == ("True", "EvalsInconclusive")
    assert "refund (1 of 20)" in held.message or "refund (0 of 20)" in held.message
    assert shift.target() == ("v4", "Dark") and shift.shop.open_canaries() == []


@story
async def test_201_cases_gate_a_promotion_and_stop_none(shift: Shift) -> None:
    for n in range(201):
        add_case(shift, f"case-{n:03}", must_pass=n % 2 == 0)
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=240)
    promotion = shift.release().status.promotion
    assert promotion is not None and len(promotion.cases) == 200


@story
async def test_a_promotion_in_one_step_keeps_the_cases_that_it_passed(shift: Shift) -> None:
    add_case(shift, "refund")
    shift.shop.ship("v4", evals=EVALS, strategy={"canary": {"steps": [{"weight": 100}]}})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    promotion = shift.release().status.promotion
    assert promotion is not None and promotion.cases == ["refund"]


@story
async def test_a_fix_that_is_promoted_in_one_step_closes_the_loop(shift: Shift) -> None:
    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["steps"] = [{"weight": 100}]
    shift.shop.cluster.seed(found)
    await shift.mitigate()
    await shift.learn()
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("the loop is closed", lambda: shift._is("LoopClosed"), most=30)


@story
async def test_a_few_events_prove_no_version(shift: Shift) -> None:
    """5 good events against an objective of 99.9 %."""
    found = shift.release_object()
    found["spec"]["slo"]["objective"] = 0.999
    shift.shop.cluster.seed(found)
    shift.shop.rps = 2
    await seconds(shift, 10)
    shift.shop.set_image("v4")
    await seconds(shift, 60)
    fresh = shift.release().status.revisions[-1]
    assert (fresh.version, fresh.proven_at) == ("v4", None)
    shift.shop.rps = 200
    await shift.until("v4 is last-good", lambda: bool(shift.release().status.revisions[-1].proven_at))


@story
async def test_stored_templates_are_deleted_when_nothing_refers_to_them_any_more(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.errors |= {f"v{n}": 0.0 for n in range(10, 40)}
    for n in range(10, 36):
        shift.shop.set_image(f"v{n}")
        await seconds(shift, 1)
    await seconds(shift, 5)
    listed = {r.digest for r in shift.release().status.revisions}
    stored = {str(o["metadata"]["labels"]["opsloop.dev/revision"]) for o in shift.shop.objects("controllerrevisions")}
    assert len(listed) <= 20 and stored == listed, "as many as the Release lists, and no other"
    gone = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(gone)
    await seconds(shift, 3)
    assert shift.shop.objects("controllerrevisions") == []


@story
async def test_a_template_that_an_incident_refers_to_outlives_its_release(shift: Shift) -> None:
    await shift.mitigate()
    gone = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(gone)
    await seconds(shift, 3)
    kept = [version_of({"spec": o["data"]["spec"]}) for o in shift.shop.objects("controllerrevisions")]
    assert sorted(kept) == ["v1", "v2"]
    assert shift.shop.cluster.written("delete", "controllerrevisions") == []
