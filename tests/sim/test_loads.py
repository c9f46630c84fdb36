"""A check under load through the whole operator: what no single request shows stops a version in the dark."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import EVALCASES, PODS, Sample
from opsloop.simulator.fakes.prober import Asked
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS, version_of
from tests.sim.test_evals import add_case, write_case

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

BUSY: dict[str, Any] = {
    "request": {"path": "/search?q=boots", "port": 8080},
    "expect": {"maxLatency": "300ms"},
    "mustPass": True,
    "minShare": 0.99,
    "load": {"requestsPerSecond": 20, "duration": "30s"},
}
SLOW = ("v2", "v3")


class Busy:
    """Pods of slow versions that need 20 ms for a reply, and for each request of the last second as much again."""

    def __init__(self, shift: Shift) -> None:
        self.shift, self.answer = shift, shift.shop._answer
        self.begun: dict[str, list[float]] = {}
        self.asked = Counter[str]()
        shift.shop._answer = self  # type: ignore[method-assign]

    def __call__(self, version: str, asked: Asked) -> ProbeReply:
        if not asked.path.startswith("/search"):
            return self.answer(version, asked)
        now = self.shift.shop.clock.now().timestamp()
        self.asked[version] += 1
        recent = self.begun[version] = [at for at in self.begun.get(version, []) if now - at < 1] + [now]
        return ProbeReply(200, json.dumps({"hits": 3}), seconds=0.02 * (len(recent) if version in SLOW else 1))


def told(shift: Shift, name: str, condition: str) -> tuple[str, str, str]:
    status = (shift.shop.cluster.find(EVALCASES, NS, name) or {}).get("status") or {}
    found: dict[str, str] = next((c for c in status.get("conditions", []) if c["type"] == condition), {})
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


@story
async def test_a_version_that_is_slow_under_load_serves_nobody(shift: Shift) -> None:
    busy = Busy(shift)
    write_case(shift, "busy", BUSY)
    await shift.until("it says where it is sent", lambda: told(shift, "busy", "PassesOnLive")[1] == "OnlyDark", most=60)
    shift.shop.ship("v3", evals={"port": 8080})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and target.reason == "EvalFailed"
    assert "busy failed" in target.message and "under 20/s for 30s, 99.0% needed" in target.message
    assert "wanted a reply within 300ms" in target.message
    assert busy.asked == {"v3": 600} and "v3" not in shift.shop.served, "live was not loaded"


@story
async def test_one_that_is_not_is_loaded_once_in_the_dark_and_says_so_when_it_is_promoted(shift: Shift) -> None:
    busy = Busy(shift)
    write_case(shift, "busy", BUSY)
    add_case(shift, "refund")
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=180)
    status = shift.release().status
    assert status.target is not None and "busy: 600 of 600 replies good under 20/s for 30s" in status.target.message
    assert status.promotion is not None and status.promotion.cases == ["busy", "refund"]
    assert busy.asked == {"v4": 600}


@story
async def test_where_it_is_the_only_case_later_steps_have_none_to_ask(shift: Shift) -> None:
    Busy(shift)
    write_case(shift, "busy", BUSY)
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=180)
    promotion = shift.release().status.promotion
    assert promotion is not None and promotion.cases == ["busy"]


@story
async def test_a_pod_that_never_answers_holds_the_version_and_is_no_failure(shift: Shift) -> None:
    busy = Busy(shift)
    busy.answer = lambda version, asked: ProbeReply(200, json.dumps({"answer": "30 days"}))
    shift.shop._answer = lambda version, asked: (  # type: ignore[method-assign]
        ProbeReply(0, "", "refused", "Unreachable") if asked.path.startswith("/search") else busy(version, asked)
    )
    write_case(shift, "busy", BUSY)
    shift.shop.ship("v4", evals={"port": 8080})
    await seconds(shift, 90)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert held is not None and (held.status, held.reason) == ("True", "EvalsInconclusive")
    assert "no answer to busy (0 of 600: no answer (Unreachable): refused)" in held.message


class Leak:
    """Prometheus, to which pods of `versions` show a memory of 350Mi after a load, and all others 90Mi; `lost`: it shows none."""

    def __init__(self, shift: Shift, *versions: str) -> None:
        self.shift, self.versions, self.lost = shift, versions, False
        shift.shop.telemetry.others = self

    def __call__(self, query: str, at: datetime) -> list[Sample]:
        assert "container_memory" in query and "{{" not in query
        version = version_of(
            self.shift.shop.cluster.find(PODS, NS, query.partition('pod="')[2].partition('"')[0]) or {}
        )
        size = (350 if version in self.versions else 90) * 2**20
        return [] if self.lost else [Sample({}, size, at)]


HUNGRY: dict[str, Any] = BUSY | {
    "load": BUSY["load"]
    | {
        "measured": [
            {
                "name": "memory",
                "query": 'max(max_over_time(container_memory_working_set_bytes{pod="{{pod}}"}[{{window}}]))',
                "max": "200Mi",
            }
        ]
    }
}


@story
async def test_a_version_whose_memory_grows_under_load_serves_nobody_though_each_reply_is_right(shift: Shift) -> None:
    Busy(shift)
    Leak(shift, "v4")
    write_case(shift, "hungry", HUNGRY)
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is rejected", lambda: shift.target() == ("v4", "Rejected"), most=120)
    target = shift.release().status.target
    assert target is not None and target.reason == "EvalFailed" and "v4" not in shift.shop.served
    assert "hungry failed: under load memory 350Mi of at most 200Mi; 600 of 600 replies good" in target.message


@story
async def test_memory_that_prometheus_does_not_tell_holds_the_version_until_it_does(shift: Shift) -> None:
    Busy(shift)
    leak = Leak(shift)
    leak.lost = True
    write_case(shift, "hungry", HUNGRY)
    shift.shop.ship("v4", evals={"port": 8080})
    await seconds(shift, 150)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert held is not None and (held.status, held.reason) == ("True", "EvalsInconclusive")
    assert "no answer to hungry (600 of 600: memory: no sample of pod" in held.message
    leak.lost = False
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=240)
    target = shift.release().status.target
    assert target is not None and "under 20/s for 30s, and the pod within its bounds" in target.message


@story
async def test_a_leak_of_an_incident_is_proven_by_memory_in_quarantine(shift: Shift) -> None:
    busy = Busy(shift)
    Leak(shift, "v2")
    await shift.mitigate()
    incident = shift.incident()
    assert incident is not None and incident.status.rollback is not None
    rollback = incident.status.rollback
    pair = {"bad": rollback.from_digest, "good": rollback.to_digest}
    origin = {"kind": "regression", "incident": "answers-1"}
    patient = {"expect": {"status": 200}, "minShare": 0.5}  # it is slow as well, which is not what this asks
    write_case(shift, "answers-1-hungry", {**HUNGRY, **patient, "origin": origin, "proof": pair})
    await shift.until("it is proven", lambda: told(shift, "answers-1-hungry", "Proven")[0] == "True", most=240)
    message = told(shift, "answers-1-hungry", "Proven")[2]
    assert "fails: under load memory 350Mi of at most 200Mi" in message and message.endswith("it passes")
    assert busy.asked == {"v1": 600, "v2": 600}


@story
async def test_a_check_of_an_incident_is_proven_red_and_green_under_load_in_quarantine(shift: Shift) -> None:
    busy = Busy(shift)
    await shift.mitigate()
    incident = shift.incident()
    assert incident is not None and incident.status.rollback is not None
    rollback = incident.status.rollback
    pair = {"bad": rollback.from_digest, "good": rollback.to_digest}
    origin = {"kind": "regression", "incident": "answers-1"}
    write_case(shift, "answers-1-busy", {**BUSY, "origin": origin, "proof": pair})
    await shift.until("it is proven", lambda: told(shift, "answers-1-busy", "Proven")[0] == "True", most=180)
    message = told(shift, "answers-1-busy", "Proven")[2]
    assert "replies good" in message and "under 20/s for 30s, 99.0% needed" in message and message.endswith("it passes")
    assert busy.asked == {"v1": 600, "v2": 600}
    assert shift.shop.quarantined() == [] or await gone(shift)


async def gone(shift: Shift) -> bool:
    await shift.until("its pods are gone", lambda: not shift.shop.quarantined(), most=30)
    return True
