"""A flaky case through the whole operator: found on live, set aside where everybody sees it, and back once it is steady."""

from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import EVALCASES
from opsloop.simulator.fakes.prober import Asked
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS
from tests.sim.test_evals import add_case, write_case

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SUMMARY: dict[str, Any] = {  # a right version is wrong in every tenth answer, and no answer may be
    "request": {"path": "/summary", "port": 8080},
    "expect": {"json": [{"path": "$.text", "contains": "free"}]},
}


def steady(shift: Shift, name: str = "summary") -> tuple[str, str]:
    """(word, message) of a case."""
    status = (shift.shop.cluster.find(EVALCASES, NS, name) or {}).get("status") or {}
    told: dict[str, str] = next((c for c in status.get("conditions", []) if c["type"] == "Steady"), {})
    return status.get("steady", ""), told.get("message", "")


def events(shift: Shift) -> list[str]:
    return [reason for _, reason in shift.operator.fakes.events.posted if reason in ("Flaky", "Steady")]


@story
async def test_a_flaky_case_is_found_within_a_minute_and_gates_no_version_any_more(shift: Shift) -> None:
    write_case(shift, "summary", SUMMARY)
    add_case(shift, "refund")
    await shift.until("it is told", lambda: steady(shift)[0] == "Flaky", most=60)
    assert steady(shift)[1].startswith("9 of 10 answers on v1 right: set aside, it gates nothing")
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    target = shift.release().status.target
    assert (
        target is not None and "1 eval case with 1 answer, 1 must-pass; set aside as flaky: summary;" in target.message
    )
    promotion = shift.release().status.promotion
    assert promotion is not None and promotion.cases == ["refund"]


@story
async def test_where_every_case_is_flaky_nothing_ran_and_the_version_waits_and_says_so(shift: Shift) -> None:
    write_case(shift, "summary", SUMMARY)
    await shift.until("it is told", lambda: steady(shift)[0] == "Flaky", most=60)
    shift.shop.ship("v4", evals={"port": 8080})
    await seconds(shift, 60)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert held is not None and (held.status, held.reason) == ("True", "EvalsInconclusive")
    assert held.message.startswith("all are set aside as flaky (summary): zero cases run is not a pass")
    assert shift.target() == ("v4", "Dark") and shift.shop.open_canaries() == []


@story
async def test_a_flaky_must_pass_case_stops_no_good_version_and_still_stops_a_bad_one(shift: Shift) -> None:
    write_case(shift, "summary", {**SUMMARY, "mustPass": True})
    await shift.until("it is told", lambda: steady(shift)[0] == "Flaky", most=60)
    assert "compared with live instead of must-pass" in steady(shift)[1]
    shift.shop.ship("v3", evals={"port": 8080})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and "summary, flaky on live (18 of 20 right), was right 10 of 20 times" in target.message
    assert "McNemar's exact test: p = " in target.message and shift.shop.open_canaries() == []
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    target = shift.release().status.target
    assert target is not None and (
        "set aside as flaky: summary (compared with live instead of must-pass: right 18 of 20, live 18 of 20)"
        in target.message
    )
    assert shift.release().status.promotion is not None and shift.release().status.promotion.cases == []  # type: ignore[union-attr]


@story
async def test_it_is_back_once_the_service_answers_alike_and_is_told_twice_in_all(shift: Shift) -> None:
    write_case(shift, "summary", {**SUMMARY, "mustPass": True})
    await shift.until("it is told", lambda: steady(shift)[0] == "Flaky", most=60)
    shift.shop._answer = lambda version, asked: right(asked)  # type: ignore[method-assign]
    await seconds(shift, 29 * 60)
    assert steady(shift)[0] == "Flaky"
    await shift.until("it is back", lambda: steady(shift)[0] == "Steady", most=120)
    assert events(shift) == ["Flaky", "Steady"]


@story
async def test_another_spec_brings_it_back(shift: Shift) -> None:
    write_case(shift, "summary", SUMMARY)
    await shift.until("it is told", lambda: steady(shift)[0] == "Flaky", most=60)
    stored = shift.shop.cluster.find(EVALCASES, NS, "summary")
    assert stored is not None
    stored["spec"] |= {"repeats": 20, "minShare": 0.8}
    stored["metadata"]["generation"] = 2
    shift.shop.cluster.seed(stored)
    await shift.until("its answers may vary now", lambda: steady(shift)[0] == "Steady", most=60)
    assert steady(shift)[1] == "2 of 2 results on v1 right"


def right(_: Asked) -> ProbeReply:
    return ProbeReply(200, '{"text": "Returns are free for 30 days.", "answer": "30 days"}')
