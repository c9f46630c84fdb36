"""What each step would do, exactly, and what it must not: the plan of a step on what is seen."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.records import ActRecord
from opsloop.api.runbook_step import RunbookStep
from opsloop.core.facts import Address, Deployed
from opsloop.core.incident.acts import Plan, plan, wanted_pods
from tests.builders.incidents import NOW, burnt, facts, play, service
from tests.builders.objects import V1, V2
from tests.builders.rollouts import ADOPTED, BAD, record, target

FOUR = Deployed("answers", 4)


def planned(step: dict[str, Any], root: Any = None, deployed: Deployed | None = FOUR, **status: Any) -> tuple[str, str]:
    """("", text) of a plan, (reason, message) of a refusal."""
    seen = replace(
        facts(burnt(**status), root), deployed=deployed, addresses=(Address("https://hooks.example.com/opsloop/"),)
    )
    found = plan(
        seen,
        seen.incident.status,
        seen.runbooks[0],
        RunbookStep.model_validate(step),
        play("Requested", step["type"]),
        NOW,
    )
    return ("", found.text) if isinstance(found, Plan) else (found.reason, found.message)


def step(type_: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, **more}


SIX = step("scale", scale={"replicas": 6})
FREEZE = step("freeze", freeze={"duration": "1h", "reason": "hold still", "scope": "namespace"})


@pytest.mark.parametrize(
    ("asked", "root", "words"),
    [
        pytest.param(step("rollback"), None, f"roll back v2 to v1 (last-good): the pod template of Deployment answers is replaced, {V2} by {V1}", id="rollback names both digests"),
        pytest.param(step("rollback"), service(known=(ADOPTED.model_copy(update={"proven_at": None}), BAD)), "unproven", id="and says what is unproven"),
        pytest.param(step("abortCanary"), service(live=V2).model_copy(update={"status": service().status.model_copy(update={"target": target("Stepping")})}), "take the canary v4 out of traffic: the readiness gates of its pods are closed, Deployment answers-canary is deleted", id="abortCanary names what is deleted"),
        pytest.param(SIX, None, "scale Deployment answers from 4 to 6 pods (spec.replicas)", id="scale names both numbers"),
        pytest.param(step("restart"), None, "restart the pods of Deployment answers: kubectl.kubernetes.io/restartedAt=2026-01-01T12:01:40.000Z on its pod template", id="restart names the stamp"),
        pytest.param(FREEZE, None, "start no new canary of any Release of the namespace until 2026-01-01 13:01:40 UTC: hold still", id="freeze names its end"),
        pytest.param(step("wait", timeout="2m"), None, "watch the SLI for 2m", id="wait"),
        pytest.param(step("job", job={"image": "tool:1", "args": ["--fix"]}), None, "create Job answers-1-step-0-1: image tool:1, --fix, as ServiceAccount runbook without its token, ended after 5m", id="a Job names image, arguments and account"),
        pytest.param(step("webhook", webhook={"url": "https://hooks.example.com/opsloop/restart"}), None, 'POST https://hooks.example.com/opsloop/restart {"incident": "answers-1", "namespace": "shop"', id="a webhook names address and content"),
    ],
)  # fmt: skip
def test_a_plan_names_what_is_written(asked: dict[str, Any], root: Any, words: str) -> None:
    reason, text = planned(asked, root)
    assert reason == "" and words in text


@pytest.mark.parametrize(
    ("asked", "root", "deployed", "reason"),
    [
        pytest.param(SIX, None, None, "NoWorkload", id="its Deployment is gone"),
        pytest.param(SIX, None, Deployed("answers", 6), "EnoughPods", id="it has as many pods"),
        pytest.param(SIX, None, Deployed("answers", 9), "EnoughPods", id="it has more: pods are only added"),
        pytest.param(SIX, None, Deployed("answers", 0), "ScaledToZero", id="somebody wants none"),
        pytest.param(SIX, None, Deployed("answers", 4, "kube-controller-manager"), "ScaledByOthers", id="an autoscaler is at it"),
        pytest.param(step("scale"), None, FOUR, "StepIncomplete", id="a stored step that says not how many"),
        pytest.param(step("job"), None, FOUR, "StepIncomplete", id="a Job of no image"),
        pytest.param(step("webhook", webhook={"url": "https://elsewhere.example.com/"}), None, FOUR, "AddressNotAllowed", id="an address that nobody allowed"),
        pytest.param(step("abortCanary"), None, FOUR, "NoCanary", id="no canary is in progress"),
        pytest.param(step("abortCanary"), service().model_copy(update={"status": service().status.model_copy(update={"target": target("Promoting")})}), FOUR, "CanaryPromoting", id="it is being promoted"),
        pytest.param(step("restart"), service(rollback=record()), FOUR, "RolloutInProgress", id="a rollback replaces the pods"),
        pytest.param(step("restart"), service(act=ActRecord.model_validate({"incident": "answers-2", "type": "restart", "attempt": 1, "state": "Written", "at": NOW})), FOUR, "RolloutInProgress", id="another Incident restarts the pods"),
        pytest.param(step("rollback"), service(known=(BAD,)), FOUR, "NoLastGood", id="there is nothing to go back to"),
        pytest.param(step("rollback"), service(known=(ADOPTED, BAD.model_copy(update={"rollback_unsafe": True}))), FOUR, "RollbackUnsafe", id="a migration lies in between"),
    ],
)  # fmt: skip
def test_what_must_not_be_done(asked: dict[str, Any], root: Any, deployed: Deployed | None, reason: str) -> None:
    assert planned(asked, root, deployed)[0] == reason


@pytest.mark.parametrize(
    ("scale", "present", "wanted"),
    [
        pytest.param({"replicas": 6}, 4, 6, id="a number"),
        pytest.param({"percent": 150}, 4, 6, id="a share"),
        pytest.param({"percent": 101}, 3, 4, id="a share is rounded up"),
        pytest.param({"percent": 1000, "max": 12}, 4, 12, id="never beyond max"),
        pytest.param({"replicas": 50, "max": 12}, 4, 12, id="nor by a number"),
    ],
)
def test_how_many_pods(scale: dict[str, Any], present: int, wanted: int) -> None:
    found = RunbookStep.model_validate({"type": "scale", "scale": scale}).scale
    assert found is not None and wanted_pods(found, present) == wanted
