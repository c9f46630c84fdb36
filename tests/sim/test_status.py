"""The status is true now: through the whole operator, after rejections, rollbacks, reverts and deletions."""

from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.entry.release_metrics import ReleaseCollector
from opsloop.shell.ports import DEPLOYMENTS, EVALCASES, RELEASES, RUNBOOKS, Object
from tests.sim.shift import Shift, release_object, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def said(shift: Shift, condition: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, condition)
    return (found.status, found.reason) if found else ("", "")


def of_object(stored: Object | None, condition: str) -> tuple[str, str]:
    assert stored is not None
    found = next(c for c in stored["status"]["conditions"] if c["type"] == condition)
    return found["status"], found["reason"]


@story
async def test_who_waits_for_shipped_is_told_of_both_ends(shift: Shift) -> None:
    assert said(shift, "Shipped") == ("True", "Shipped")
    shift.shop.ship("v3", evals=None)
    await seconds(shift, 2)
    assert said(shift, "Shipped") == ("False", "Shipping")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    assert said(shift, "Shipped") == ("False", "AnalysisFailed") and shift.release().status.phase == "NotShipped"
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is shipped", lambda: said(shift, "Shipped") == ("True", "Shipped"))
    assert (shift.live, shift.release().status.phase) == ("v4", "Healthy")


@story
async def test_what_is_refused_is_not_shipped_and_does_not_say_healthy(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    shift.shop.ship("v1", evals=None)
    await shift.until("the spec is back", lambda: shift.target()[0] == "v1")
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is refused", lambda: shift.target() == ("v3", "Refused"))
    assert shift.release().status.phase == "NotShipped" and said(shift, "Shipped")[0] == "False"


@story
async def test_after_a_rollback_the_spec_is_not_live_and_the_status_says_so(shift: Shift) -> None:
    shift.shop.errors["v4"] = 0.0
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.errors["v4"] = 0.8
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    await seconds(shift, 10)
    assert said(shift, "Drifted") == ("True", "RolledBack") and said(shift, "Blocked")[0] == "True"
    assert said(shift, "Shipped") == ("False", "RolledBack") and shift.release().status.phase == "NotShipped"
    counted = shift.operator.fakes.instruments
    assert counted.incidents["burn", "sev1"] == 1
    await shift.until(
        "the rollback and the Incident are counted",
        lambda: counted.rollbacks["answers", "done"] == 1 and len(counted.reached) == 2,
    )
    assert [until for until, _ in counted.reached] == ["mitigated", "resolved"]
    assert 0 < counted.reached[0][1] < counted.reached[1][1]


@story
async def test_a_gitops_tool_that_puts_the_old_version_back_is_said(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.set_image("v1", manager="argocd")
    await seconds(shift, 5)
    drifted = conditions.get(shift.release().status.conditions, "Drifted")
    assert drifted is not None and (drifted.status, drifted.reason) == ("True", "ChangedByHand")
    assert "argocd" in drifted.message and shift.release().status.phase == "NotShipped"


@story
async def test_while_the_deployment_is_gone_nothing_is_said_to_be_live(shift: Shift) -> None:
    deployment = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert deployment is not None
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    shift.shop.cluster.gone(deployment)
    await seconds(shift, 3)
    assert said(shift, "Drifted") == ("Unknown", "WorkloadMissing")
    assert said(shift, "Shipped") == ("False", "WorkloadMissing")


def second_release(**spec: Any) -> Object:
    body = release_object()
    body["metadata"] = {"name": "second", "namespace": NS}
    body["spec"] |= spec
    return body


@story
async def test_a_second_release_on_the_deployment_is_refused_and_takes_over_when_the_first_is_deleted(
    shift: Shift,
) -> None:
    await seconds(shift, 2)
    shift.shop.cluster.seed(second_release(version="v4", images={"answers": "shop:v4"}))
    await seconds(shift, 20)
    stored = shift.shop.cluster.find(RELEASES, NS, "second")
    assert of_object(stored, "SpecResolved") == ("False", "WorkloadTaken") and shift.wrote() == []
    assert shift.shop.cluster.find(DEPLOYMENTS, NS, "answers-canary") is None
    first = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(first)
    await seconds(shift, 3)
    assert of_object(shift.shop.cluster.find(RELEASES, NS, "second"), "SpecResolved")[0] == "True"


@story
async def test_names_of_nothing_are_said_until_they_exist(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, dependsOn=["second"], images={"anwsers": "shop:v4"})
    await seconds(shift, 3)
    assert said(shift, "SpecResolved") == ("False", "ContainerMissing")
    assert shift.target() == ("v4", "Refused")
    shift.shop.ship("v4", evals=None, dependsOn=["second"])
    await seconds(shift, 3)
    assert said(shift, "SpecResolved") == ("False", "DependencyMissing")
    shift.shop.cluster.seed(second_release(workloadRef={"name": "other"}))
    await seconds(shift, 3)
    assert said(shift, "SpecResolved") == ("True", "Resolved")


@story
async def test_a_runbook_that_can_grant_nothing_is_not_ready(shift: Shift) -> None:
    def ready() -> tuple[str, str]:
        return of_object(shift.shop.cluster.find(RUNBOOKS, NS, "bad-release"), "Ready")

    def edit(**match: Any) -> None:
        stored = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
        assert stored is not None
        stored["spec"]["match"] = {"causes": ["bad_release"], **match}
        shift.shop.cluster.seed(stored)

    assert ready() == ("True", "Ready")
    edit(releaseLabels={"tier": "gold"})
    await seconds(shift, 2)
    assert ready() == ("False", "NoRelease")
    shift.operator.access.allows = False
    edit()
    await seconds(shift, 2)
    assert ready() == ("False", "Forbidden")
    shift.operator.access.allows = True
    await seconds(shift, 70)
    assert ready() == ("True", "Ready")


@story
async def test_a_case_for_a_release_that_does_not_exist_is_not_proven(shift: Shift) -> None:
    spec = {
        "release": "nobody",
        "request": {"path": "/ask?q=x", "port": 8080},
        "expect": {"equals": "right"},
        "origin": {"kind": "manual"},
    }
    shift.shop.cluster.seed({"kind": "EvalCase", "metadata": {"name": "by-hand", "namespace": NS}, "spec": spec})
    await seconds(shift, 2)
    assert of_object(shift.shop.cluster.find(EVALCASES, NS, "by-hand"), "Proven") == ("Unknown", "ReleaseMissing")


@story
async def test_a_version_that_never_ran_is_not_what_serves(shift: Shift) -> None:
    shift.shop.sick = {"v4": 4}
    shift.shop.change(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
    shift.shop.set_image("v4")
    await seconds(shift, 10)
    assert shift.live == "v4" and shift.release().status.version == "v1"
    assert said(shift, "RolledOut") == ("False", "RollingOut")
    shift.shop.sick = {}
    await seconds(shift, 5)
    assert shift.release().status.version == "v4"


@story
async def test_metrics_follow_the_burn_within_a_band_and_go_with_the_release(shift: Shift) -> None:
    def burn() -> dict[str, float]:
        collected = ReleaseCollector(shift.operator.operator.seen).collect()
        rates = next(metric for metric in collected if metric.name == "opsloop_release_burn_rate")
        return {sample.labels["window"]: sample.value for sample in rates.samples}

    shift.shop.errors["v1"] = 0.02
    await seconds(shift, 15)
    assert burn() == {"2s": pytest.approx(2), "10s": pytest.approx(2)}
    shift.shop.errors["v1"] = 0.05
    await seconds(shift, 15)
    assert burn() == {"2s": pytest.approx(5), "10s": pytest.approx(5)}
    gone = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(gone)
    await seconds(shift, 3)
    assert burn() == {}


@story
async def test_the_error_budget_shrinks_with_the_burn_and_goes_with_the_release(shift: Shift) -> None:
    operator = shift.operator.operator

    def left() -> list[float]:
        collected = ReleaseCollector(operator.seen, operator.budgets.of).collect()
        budgets = next(metric for metric in collected if metric.name == "opsloop_release_error_budget_left_ratio")
        return [sample.value for sample in budgets.samples if sample.labels["release"] == "answers"]

    await operator.budgets.pass_once()
    (whole,) = left()
    shift.shop.errors["v1"] = 0.05
    for _ in range(3):
        await seconds(shift, 60)
        await operator.budgets.pass_once()
        (less,) = left()
        assert less < whole
        whole = less
    gone = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(gone)
    await seconds(shift, 3)
    assert left() == []
