"""From an incident to a case without a user's example: a failing EvalCase, a probe, a captured or a recorded request."""

from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.reported import Alert
from opsloop.entry.cli import commands
from opsloop.shell.ports import EVALCASES, INCIDENTS, Object
from tests.builders.objects import V1, V2
from tests.sim.shift import Shift, resolved, runbook_object, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def write_case(shift: Shift, name: str, path: str, equals: str) -> None:
    """As `kubectl apply` does."""
    spec = {
        "release": "answers",
        "request": {"path": path, "port": 8080},
        "expect": {"field": "answer", "equals": equals},
    }
    meta = {"name": name, "namespace": NS, "generation": 1}
    shift.shop.cluster.seed({"kind": "EvalCase", "metadata": meta, "spec": spec})


async def push_a_bad_one(shift: Shift, *alerts: Alert) -> None:
    """v2 by hand until it is rolled back and the Incident resolved; no user writes."""
    shift.shop.set_image("v2")
    await shift.until("an Incident is open", lambda: shift.incident() is not None)
    if alerts:
        shift.shop.report("alerts", alerts)
    await shift.until("resolved", lambda: resolved(shift))


def case_of(shift: Shift, way: str) -> Object | None:
    name = "answers-1-regression" + ("" if way == "ticket" else f"-{way}")
    return shift.shop.cluster.find(EVALCASES, NS, name)


def proven(shift: Shift, way: str) -> str:
    status: dict[str, Any] = (case_of(shift, way) or {}).get("status", {})
    return f"{status.get('proven', '')} {status.get('reason', '')}".strip()


async def the_fix_closes_the_loop(shift: Shift, name: str) -> None:
    shift.shop.ship("v3")
    await shift.until("v3 is rejected in the dark", lambda: shift.target() == ("v3", "Rejected"))
    target = shift.release().status.target
    assert target is not None and name in target.message and "v3" not in shift.shop.served
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("the loop is closed", lambda: shift._is("LoopClosed"))
    await shift.until("all is quiet", shift.quiet)


@story
async def test_an_evalcase_that_failed_on_the_bad_version_becomes_its_regression_case(shift: Shift) -> None:
    write_case(shift, "boots", "/ask?q=boots", "30 days")
    write_case(shift, "laces", "/ask?q=laces", "30 days")  # v2 is right about these
    await push_a_bad_one(shift)
    await shift.until("the case is proven", lambda: proven(shift, "evalcase") == "True Proven")
    stored = case_of(shift, "evalcase")
    assert stored is not None
    origin = stored["spec"]["origin"]
    assert (origin["kind"], origin["incident"], origin["by"], origin["source"]) == (
        "regression",
        "answers-1",
        "evalcase",
        "boots",
    )
    assert stored["spec"]["proof"] == {"bad": V2, "good": V1} and stored["spec"]["mustPass"] is True
    shift.shop.cluster.remove(EVALCASES, NS, "boots")  # whose it was may delete it: what was learnt stays
    await shift.until("captured", lambda: shift._is("RegressionCaptured"))
    await the_fix_closes_the_loop(shift, "answers-1-regression-evalcase")


@story
async def test_a_probe_that_passes_on_the_bad_version_gives_way_to_nothing_and_says_so(shift: Shift) -> None:
    """The probe asked for what v2 answers with 200 as well: the case is refuted, and gates nothing."""
    now = shift.shop.clock.now()
    labels = {"alertname": "ProbeSlow", "instance": "http://answers.shop.svc/ask?q=boots", "severity": "warning"}
    await push_a_bad_one(shift, Alert("p1", "firing", now, {**labels, "service": "answers"}, {}, now))
    await shift.until("the case is refuted", lambda: proven(shift, "probe") == "False PassesOnBad")
    await seconds(shift, 10)
    incident = shift.incident()
    assert incident is not None and incident.status.eval_case == "answers-1-regression-probe"
    said = next(c for c in incident.status.conditions if c.type == "RegressionCaptured")
    assert (said.status, said.reason) == ("False", "PassesOnBad")


@story
async def test_where_the_users_example_is_not_what_is_wrong_the_next_way_is_tried(shift: Shift) -> None:
    """The user quotes an answer that v2 gets right; an EvalCase failed on it."""
    write_case(shift, "boots", "/ask?q=boots", "30 days")
    shift.shop.cluster.seed(_asking_about_laces(shift))
    shift.shop.cluster.seed(runbook_object() | {"spec": {**runbook_object()["spec"], "safety": {"mode": "approve"}}})
    shift.shop.set_image("v2")
    await shift.until("an Incident is open", lambda: shift.incident() is not None)
    shift._storm()
    await shift.until("the case has failed on v2", lambda: bool(_failed_on(shift, "boots")))
    shift.shop.annotate(INCIDENTS, "answers-1", approve="rollback-1")
    await shift.until("resolved", lambda: resolved(shift))
    await shift.until("the example is refuted", lambda: proven(shift, "ticket") == "False PassesOnBad")
    await shift.until("the next is proven", lambda: proven(shift, "evalcase") == "True Proven")
    await shift.until("captured", lambda: shift._is("RegressionCaptured"))
    incident = shift.incident()
    assert incident is not None and incident.status.eval_case == "answers-1-regression-evalcase"
    assert {"captured", "captured-evalcase", "proven"} <= {e.key for e in incident.status.timeline}


@story
async def test_a_captured_line_of_the_log_becomes_the_incidents_case(shift: Shift) -> None:
    """Nobody wrote a ticket and no case failed: a person gives the line, and says what would have been right."""
    await push_a_bad_one(shift)
    said = [c.reason for c in _incident(shift).status.conditions if c.type == "RegressionCaptured"]
    assert said == ["NoExample"]
    line = '10.1.2.3 - - [10/Oct/2026:13:55:36 +0000] "GET /ask?q=boots HTTP/1.1" 200 21 "-" "-"'
    argv = ["capture", "-n", NS, "answers-1", line, "--contains", "30 days", "--field", "answer"]
    arguments = commands.parser().parse_args(argv)
    assert await arguments.run(arguments, shift.shop.cluster) == 0
    await shift.until("the case is proven", lambda: proven(shift, "capture") == "True Proven")
    await shift.until("captured", lambda: shift._is("RegressionCaptured"))
    assert _incident(shift).status.eval_case == "answers-1-regression-capture"
    assert "captured" in {e.key.split("-")[0] for e in _incident(shift).status.timeline}
    await the_fix_closes_the_loop(shift, "answers-1-regression-capture")


def _incident(shift: Shift) -> Incident:
    incident = shift.incident()
    assert incident is not None
    return incident


def _failed_on(shift: Shift, name: str) -> list[Any]:
    status = (shift.shop.cluster.find(EVALCASES, NS, name) or {}).get("status", {})
    return list(status.get("failedOn") or [])


def _asking_about_laces(shift: Shift) -> Object:
    """The Release whose template asks the same whatever the user wrote."""
    found = shift.release_object()
    found["spec"]["evals"]["ask"] = {"path": "/ask?q=laces", "body": "{{asked}}", "method": "POST"}
    return found


@story
async def test_the_same_question_after_two_incidents_is_asked_once_and_passes_for_both(shift: Shift) -> None:
    await shift.mitigate()
    await shift.learn()
    stored = case_of(shift, "ticket")
    assert stored is not None
    origin = {"kind": "regression", "incident": "answers-7", "by": "capture"}
    meta = {"name": "answers-7-again", "namespace": NS, "generation": 1}
    shift.shop.cluster.seed({"kind": "EvalCase", "metadata": meta, "spec": {**stored["spec"], "origin": origin}})

    def status(name: str) -> dict[str, Any]:
        found: dict[str, Any] = (shift.shop.cluster.find(EVALCASES, NS, name) or {}).get("status", {})
        return found

    first = "answers-1-regression"
    await shift.until("merged", lambda: status("answers-7-again").get("mergedInto") == first, most=120)
    await shift.until("it names both", lambda: status(first).get("incidents") == ["answers-1", "answers-7"])
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    release = shift.release().status
    assert release.promotion is not None and release.promotion.cases == [first, "answers-7-again"]
    assert release.target is not None and [r.case for r in release.target.evals] == [first], "asked once"
    shift.shop.cluster.remove(EVALCASES, NS, first)
    shift.shop.cluster.gone(stored)
    await shift.until("it stands for itself", lambda: status("answers-7-again").get("mergedInto", "") == "")


@story
async def test_a_person_waives_a_case_and_the_loop_closes_without_a_pass(shift: Shift) -> None:
    await push_a_bad_one(shift)
    await seconds(shift, 5)
    incident = shift.incident()
    assert incident is not None and incident.status.eval_case == ""
    shift.shop.annotate(INCIDENTS, "answers-1", waive_regression="alice: no request shows it, an alert on memory does")
    await shift.until("it is stored", lambda: (i := shift.incident()) is not None and i.status.waiver is not None)
    shift.shop.ship("v4", evals=None)
    await shift.until("the loop is closed", lambda: shift._is("LoopClosed"))
    incident = shift.incident()
    assert incident is not None and incident.status.fix is not None
    said = {c.type: (c.status, c.reason) for c in incident.status.conditions}
    assert said["RegressionCaptured"] == ("Unknown", "Waived") and said["LoopClosed"] == ("True", "Waived")
    assert (incident.status.fix.case_passed, incident.status.fix.waived) == (False, True)
    name = "answers-1-postmortem"

    def told() -> str:
        stored = next((c for c in shift.shop.objects("configmaps") if c["metadata"]["name"] == name), {})
        return str(stored.get("data", {}))

    await shift.until("the postmortem tells it", lambda: "No EvalCase guards against this fault" in told(), most=60)
    assert "an alert on memory does" in told() and "alice" not in told()
