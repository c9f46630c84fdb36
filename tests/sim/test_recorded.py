"""From recorded requests to a case: nobody wrote a ticket, no case failed while the bad version was live."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from opsloop.core.facts import ProbeReply
from opsloop.shell.ports import EVALCASES, INCIDENTS, RELEASES
from opsloop.simulator.fakes.prober import Asked
from tests.builders.objects import V1, V2
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS
from tests.sim.test_ways import case_of, proven, push_a_bad_one, the_fix_closes_the_loop, write_case

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

LOG = """10.0.0.9 - - [05/Jan/2026:09:00:00 +0000] "GET /ask?q=laces HTTP/1.1" 200 21
10.0.0.9 - - [05/Jan/2026:09:00:01 +0000] "POST /orders HTTP/1.1" 201 21
10.0.0.9 - - [05/Jan/2026:09:00:02 +0000] "GET /ask?q=boots HTTP/1.1" 200 21
10.0.0.9 - - [05/Jan/2026:09:00:03 +0000] "GET /ask?q=boots&token=abc HTTP/1.1" 200 21
"""


def record(shift: Shift, log: str = LOG, name: str = "answers-requests") -> None:
    """The team keeps a few lines of its access log in a ConfigMap."""
    meta = {"name": name, "namespace": NS}
    shift.shop.cluster.seed({"kind": "ConfigMap", "metadata": meta, "data": {"access.log": log}})


def recorded(shift: Shift, quarantine: str = "auto", name: str = "answers-requests", **more: Any) -> None:
    found = shift.release_object()
    evals = {"port": 8080, "quarantine": quarantine, "recorded": {"configMap": name, **more}}
    shift.shop.cluster.seed({**found, "spec": {**found["spec"], "evals": evals}})


def naming_itself(shift: Shift) -> None:
    """Each answer says which version and pod gave it and when, as many services do."""
    plain: Callable[[str, Asked], ProbeReply] = shift.shop._answer

    def answer(version: str, asked: Asked) -> ProbeReply:
        reply = plain(version, asked)
        body = json.loads(reply.body) | {"version": version, "pod": asked.pod, "at": str(shift.shop.clock.now())}
        return ProbeReply(reply.status, json.dumps(body), headers=reply.headers)

    shift.shop._answer = answer  # type: ignore[method-assign]


def comparison(shift: Shift) -> tuple[str, str]:
    incident = shift.incident()
    found = incident.status.comparison if incident else None
    return (found.reason, found.message) if found else ("", "")


def captured(shift: Shift) -> tuple[str, str, str]:
    incident = shift.incident()
    assert incident is not None
    return next((c.status, c.reason, c.message) for c in incident.status.conditions if c.type == "RegressionCaptured")


@story
async def test_what_the_good_version_alone_answers_becomes_the_case(shift: Shift) -> None:
    naming_itself(shift)
    record(shift)
    recorded(shift)
    await push_a_bad_one(shift)
    await shift.until("the case is proven", lambda: proven(shift, "recorded") == "True Proven")
    stored = case_of(shift, "recorded")
    assert stored is not None
    spec = stored["spec"]
    assert (spec["origin"]["by"], spec["request"]["path"]) == ("recorded", "/ask?q=boots")
    assert [(c["path"], c["equals"]) for c in spec["expect"]["json"]] == [("$.answer", "30 days")]
    assert spec["proof"] == {"bad": V2, "good": V1}
    await shift.until("captured", lambda: shift._is("RegressionCaptured"))
    incident = shift.incident()
    assert incident is not None
    told = next(e.message for e in incident.status.timeline if e.key == "captured-recorded")
    assert '$.answer "30 days", and "7 days" on the bad revision' in told and "left out" in told and "$.at" in told
    assert "nobody has said that the good revision's answer is right" in told
    asked = {a.path for a in shift.shop.prober.asked}
    assert "/orders" not in asked and "token" not in str(asked)
    await the_fix_closes_the_loop(shift, "answers-1-regression-recorded")


@story
async def test_a_persons_case_that_was_never_asked_of_the_bad_version_is_asked_in_quarantine(shift: Shift) -> None:
    """The rollback came before the rollout was over, so that no case was asked of v2 while it was live."""
    await seconds(shift, 3)
    await push_a_bad_one(shift)
    write_case(shift, "boots", "/ask?q=boots", "30 days")
    shift.shop.annotate(INCIDENTS, "answers-1", keep="true")  # anything: it is looked at
    await shift.until("the case is proven", lambda: proven(shift, "evalcase") == "True Proven")
    await shift.until("captured", lambda: shift._is("RegressionCaptured"))
    assert comparison(shift)[0] == "Found"
    await shift.until("all is quiet", shift.quiet)


@story
async def test_pods_of_a_release_that_is_deleted_meanwhile_go_at_once(shift: Shift) -> None:
    record(shift)
    recorded(shift)
    shift.shop.set_image("v2")
    await shift.until("its pods run", lambda: comparison(shift)[0] == "Comparing" and bool(shift.shop.quarantined()))
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    await shift.until("they are gone", lambda: not shift.shop.quarantined(), most=15)
    incident = shift.incident()
    assert incident is not None and incident.status.comparison is not None
    await shift.until("nothing is looked for", lambda: _not_started(shift), most=15)


def _not_started(shift: Shift) -> bool:
    incident = shift.incident()
    return (
        incident is not None
        and incident.status.comparison is not None
        and incident.status.comparison.started_at is None
    )


@story
async def test_where_both_answer_alike_it_says_so_and_asks_no_more(shift: Shift) -> None:
    record(shift, LOG.replace("boots", "laces"))
    recorded(shift)
    await push_a_bad_one(shift)
    await shift.until("it says so", lambda: comparison(shift)[0] == "NoDifference")
    assert captured(shift)[:2] == ("Unknown", "NoDifference")
    await shift.until("all is quiet", shift.quiet)
    asked = len(shift.shop.prober.asked)
    await seconds(shift, 120)
    assert len(shift.shop.prober.asked) == asked and shift.shop.quarantined() == []


@story
async def test_without_the_configmap_it_says_which_is_missing(shift: Shift) -> None:
    recorded(shift)
    await push_a_bad_one(shift)
    await shift.until("it says so", lambda: comparison(shift)[0] == "NoRequests")
    assert captured(shift)[2] == "ConfigMap answers-requests of spec.evals.recorded does not exist"
    assert shift.shop.cluster.written("create", "pods") == []


@story
async def test_by_default_a_person_is_asked_before_the_bad_version_runs_again(shift: Shift) -> None:
    record(shift)
    recorded(shift, "ask")
    await push_a_bad_one(shift)
    await shift.until("it asks", lambda: comparison(shift)[0] == "AwaitsQuarantine")
    assert f"opsloop.dev/approve={V2}" in captured(shift)[2]
    await seconds(shift, 60)
    assert shift.shop.cluster.written("create", "pods") == []
    shift.shop.annotate(INCIDENTS, "answers-1", approve=V2)
    await shift.until("a case is there", lambda: case_of(shift, "recorded") is not None)
    shift.shop.annotate(EVALCASES, "answers-1-regression-recorded", approve=V2)
    await shift.until("the case is proven", lambda: proven(shift, "recorded") == "True Proven")


@story
async def test_a_bad_request_that_the_service_tells_of_itself_becomes_the_case(shift: Shift) -> None:
    """v2 fails on /checkout; its endpoint tells of it while it burns, with a token that must not be kept."""
    plain: Callable[[str, Asked], ProbeReply] = shift.shop._answer
    told = [
        {"method": "GET", "path": "/ask?q=laces", "status": 200},
        {"method": "GET", "path": "/checkout?token=s3cr3t", "status": 503},
        {"method": "GET", "path": "/checkout", "status": 503, "request": {"headers": {"Accept": "text/html", "Cookie": "c00kie"}}},
    ]  # fmt: skip

    def answer(version: str, asked: Asked) -> ProbeReply:
        if asked.path == "/requests":
            return ProbeReply(200, "".join(json.dumps(line) + "\n" for line in told))
        if asked.path == "/checkout":
            return ProbeReply(503 if version in ("v2", "v3") else 200, "")
        return plain(version, asked)

    shift.shop._answer = answer  # type: ignore[method-assign]
    found = shift.release_object()
    evals = {"port": 8080, "quarantine": "auto", "recorded": {"path": "/requests"}}
    shift.shop.cluster.seed({**found, "spec": {**found["spec"], "evals": evals}})
    await push_a_bad_one(shift)
    await shift.until("the case is proven", lambda: proven(shift, "capture") == "True Proven")
    stored = case_of(shift, "capture")
    assert stored is not None
    assert (stored["spec"]["request"]["path"], stored["spec"]["expect"]["status"]) == ("/checkout", 200)
    incident = shift.incident()
    assert incident is not None and incident.status.sampled is not None
    assert (incident.status.sampled.requests, incident.status.sampled.bad) == (2, 1)
    kept = json.dumps([shift.shop.objects(kind) for kind in ("configmaps", "evalcases", "incidents")])
    assert "s3cr3t" not in kept and "c00kie" not in kept
    await the_fix_closes_the_loop(shift, "answers-1-regression-capture")


@story
async def test_a_users_example_comes_first_and_nothing_is_compared(shift: Shift) -> None:
    record(shift)
    found = shift.release_object()
    found["spec"]["evals"]["recorded"] = {"configMap": "answers-requests"}
    shift.shop.cluster.seed(found)
    await shift.mitigate()
    await shift.learn()
    assert comparison(shift) == ("", "") and case_of(shift, "recorded") is None
    assert resolved(shift)


@pytest.mark.simulation
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("n", range(1, 10))
async def test_killed_at_any_write_while_it_compares_it_ends_the_same(n: int, after: bool) -> None:
    """The n-th write since the comparison was recorded: pods, the verdict, the case, its proof."""
    shift = Shift()
    try:
        await shift.adopt()
        record(shift)
        recorded(shift)
        shift.shop.set_image("v2")
        await shift.until("it compares", lambda: comparison(shift)[0] == "Comparing")
        shift.shop.cluster.die_at(n, after)
        await shift.until("the case is proven", lambda: proven(shift, "recorded") == "True Proven", most=300)
        await shift.until("captured", lambda: shift._is("RegressionCaptured"))
        await shift.until("all is quiet", shift.quiet)
        assert shift.operator.deaths == 1
        assert [c["metadata"]["name"] for c in shift.shop.objects("evalcases")] == ["answers-1-regression-recorded"]
    finally:
        await shift.operator.stop()
