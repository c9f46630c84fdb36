"""Eval cases through the whole operator: missing answers are no pass, many cases are no trouble, and a proof needs events."""

import json
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import EVALCASES, RELEASES
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
    assert "refund (1 of 20)" in held.message or "refund (0 of 20: no answer: refused)" in held.message
    assert shift.target() == ("v4", "Dark") and shift.shop.open_canaries() == []


@story
async def test_201_cases_gate_a_promotion_and_stop_none(shift: Shift) -> None:
    for n in range(201):
        add_case(shift, f"case-{n:03}", must_pass=n % 2 == 0)
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=240)
    promotion = shift.release().status.promotion
    assert promotion is not None and len(promotion.cases) == 200


QUOTE = {
    "request": {
        "method": "POST", "path": "/quotes", "port": 8080, "query": [{"name": "currency", "value": "EUR"}],
        "headersFrom": [{"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "robot", "key": "token"}}],
        "body": '{"items": [{"sku": "boots", "n": 2}, {"sku": "laces", "n": 1}]}',
    },
    "expect": {
        "status": 201, "headers": [{"name": "Content-Type", "contains": "json"}], "maxLatency": "500ms",
        "json": [
            {"path": "$.quote.total", "number": 163.3, "tolerance": 0.001},
            {"path": "$.quote.items[?@.sku == 'laces'].n", "number": 1},
        ],
        "jsonSchema": {"properties": {"quote": {"properties": {"currency": {"enum": ["EUR"]}}}}},
    },
    "mustPass": True,
}  # fmt: skip
SUMMARY = {
    "request": {"path": "/summary", "port": 8080},
    "expect": {"json": [{"path": "$.text", "contains": "free"}]},
    "repeats": 20, "minShare": 0.8, "mustPass": True,
}  # fmt: skip
ROBOT = {"kind": "Secret", "metadata": {"name": "robot", "namespace": NS}, "data": {"token": "czNjcjN0LXQwazNu"}}


def write_case(shift: Shift, name: str, spec: dict[str, Any]) -> None:
    """As `kubectl apply` does: the operator hears of it by its watch."""
    body = {
        "kind": "EvalCase",
        "metadata": {"name": name, "namespace": NS, "generation": 1},
        "spec": {"release": "answers", **spec},
    }
    shift.shop.cluster.seed(body)


def on_live(shift: Shift, name: str) -> tuple[str, str, str]:
    """(result, reason, message) of a case on the live version."""
    stored = shift.shop.cluster.find(EVALCASES, NS, name)
    live = (stored or {}).get("status", {}).get("live") or {}
    return live.get("result", ""), live.get("reason", ""), live.get("message", "")


@story
async def test_a_case_that_posts_shows_its_result_on_live_and_stops_a_version_that_is_wrong(shift: Shift) -> None:
    shift.shop.cluster.seed(ROBOT)
    write_case(shift, "quote", QUOTE)
    await shift.until("it is answered", lambda: on_live(shift, "quote")[0] == "Passed", most=60)
    sent = next(a for a in shift.shop.prober.asked if a.path.startswith("/quotes"))
    assert (sent.method, sent.path, sent.headers["Authorization"]) == (
        "POST",
        "/quotes?currency=EUR",
        "Bearer s3cr3t-t0k3n",
    )
    shift.shop.ship("v3", evals=EVALS)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and 'wanted $.quote.total 163.3 ± 0.001, got "1633.0"' in target.message
    assert shift.shop.open_canaries() == [] and "v3" not in shift.shop.served
    stored = json.dumps([shift.shop.objects(kind) for kind in ("evalcases", "releases", "incidents", "configmaps")])
    assert "s3cr3t" not in stored + str(shift.operator.fakes.events)


@story
async def test_a_case_with_a_secret_that_is_missing_says_so_and_is_asked_again_once_it_is_there(shift: Shift) -> None:
    write_case(shift, "quote", QUOTE)
    await shift.until("it says why", lambda: on_live(shift, "quote")[0] == "NoAnswer", most=60)
    assert on_live(shift, "quote")[1] == "SecretMissing"
    shift.shop.cluster.seed(ROBOT)
    await shift.until("it is answered", lambda: on_live(shift, "quote")[0] == "Passed", most=60)


@story
async def test_a_service_whose_answers_vary_passes_by_its_share_and_fails_below_it(shift: Shift) -> None:
    write_case(shift, "summary", SUMMARY)
    await shift.until("it is answered", lambda: on_live(shift, "summary")[0] == "Passed", most=60)
    assert on_live(shift, "summary")[2] == "18 of 20 answers right, 16 of 20 needed"
    shift.shop.ship("v3", evals={"port": 8080})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and "summary failed 10 of 20 (4 allowed)" in target.message
    shift.shop.ship("v4", evals={"port": 8080})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("its result is shown", lambda: "v4" in str(live_of(shift, "summary")), most=60)


def live_of(shift: Shift, name: str) -> Any:
    return (shift.shop.cluster.find(EVALCASES, NS, name) or {})["status"].get("live")


@story
async def test_one_answer_worse_than_live_holds_a_version_and_more_repeats_reject_it(shift: Shift) -> None:
    shift.shop.cluster.seed(ROBOT)
    write_case(shift, "quote", {**QUOTE, "mustPass": False})
    shift.shop.ship("v3", evals={"port": 8080})
    await seconds(shift, 60)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert held is not None and (held.status, held.reason) == ("True", "EvalsInconclusive")
    assert (
        "of 1 pairs of answers that differ 1 speak against the canary (McNemar's exact test: p = 0.5)" in held.message
    )
    asked = len(shift.shop.prober.asked)
    await seconds(shift, 60)
    assert len(shift.shop.prober.asked) == asked, "asking the same until it suits would be no test"
    assert shift.target() == ("v3", "Dark") and shift.shop.open_canaries() == []
    shift.shop.ship("v3", evals={"port": 8080, "repeats": 6})
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and "p = 0.016" in target.message


@story
async def test_a_promotion_says_how_many_cases_it_rests_on(shift: Shift) -> None:
    shift.shop.cluster.seed(ROBOT)
    write_case(shift, "quote", {**QUOTE, "mustPass": False})
    write_case(shift, "summary", SUMMARY)
    shift.shop.ship("v4", evals={"port": 8080, "repeats": 3})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    target = shift.release().status.target
    assert target is not None
    assert (
        "2 eval cases with 23 answers, 1 must-pass; right without must-pass: canary 100%, live 100%" in target.message
    )
    assert "faults in less than 78% of what users ask may have been missed" in target.message


@story
async def test_500_cases_that_are_applied_at_once_show_their_results_within_a_minute(shift: Shift) -> None:
    for n in range(500):
        write_case(shift, f"case-{n:03}", {**SUMMARY, "repeats": 1, "minShare": 1, "expect": {"status": 200}})
    names = [f"case-{n:03}" for n in range(500)]
    await shift.until("all are answered", lambda: all(on_live(shift, name)[0] == "Passed" for name in names), most=60)


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
