"""Stories of a canary's analysis through the whole operator: errors by chance, quiet services, telemetry that goes away."""

from typing import Any

import pytest

from opsloop.core import conditions
from tests.sim.shift import Shift, seconds, story

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def analyse(shift: Shift, **analysis: Any) -> None:
    """Changes the Release's analysis."""
    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["analysis"] |= analysis
    shift.shop.cluster.seed(found)


def held(shift: Shift) -> str:
    condition = conditions.get(shift.release().status.conditions, "Held")
    return condition.reason if condition and condition.status == "True" else ""


def told(shift: Shift) -> set[str]:
    return {reason for _, reason in shift.operator.events.posted}


@story
async def test_a_second_of_errors_is_chance_and_rejects_no_canary(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 3)
    shift.shop.errors["v4"] = 0.9
    await shift.one_second()
    shift.shop.errors["v4"] = 0.0
    await shift.until("v4 is promoted", lambda: shift.live == "v4")


@story
async def test_errors_that_go_on_reject_it_and_say_against_what(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()))
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=16)
    target = shift.release().status.target
    assert target is not None and target.reason == "AnalysisFailed"
    assert target.message.startswith("BelowAbortBelow: canary 60.00% bad of ")


@story
async def test_what_live_suffers_alike_blames_no_canary(shift: Shift) -> None:
    """Both err with 10 %: above the floor, below what pages the whole service."""
    shift.shop.errors |= {"v1": 0.1, "v4": 0.1}
    await seconds(shift, 10)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 60)
    assert shift.release().status.revisions[-1].blocked is None
    assert shift.target()[1] in ("Stepping", "Promoted")


@story
async def test_a_quiet_service_gets_its_events_in_time_not_in_a_window(shift: Shift) -> None:
    analyse(shift, minEvents=50)
    shift.shop.rps = 3
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 30)
    assert held(shift) == "TooFewEvents"
    await shift.until("v4 is promoted", lambda: shift.live == "v4", most=120)


@story
async def test_a_service_without_traffic_says_so_and_ends_as_its_spec_says(shift: Shift) -> None:
    analyse(shift, patience="40s", inconclusive="abort")
    shift.shop.rps = 0.5
    await seconds(shift, 15)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is a target", lambda: shift.target() == ("v4", "Dark"))
    assert "TooLittleTraffic" in told(shift)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 20)
    assert held(shift) == "TooLittleTraffic"
    await shift.until("v4 is given up", lambda: shift.target() == ("v4", "Rejected"))
    target = shift.release().status.target
    assert target is not None and target.reason == "AnalysisInconclusive"
    assert shift.shop.open_canaries() == [] and not any(r.blocked for r in shift.release().status.revisions)


@story
async def test_an_operator_that_starts_again_in_mid_canary_knows_what_was_seen(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 8)
    await shift.operator.stop()
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=8)
