"""No state without an end: what Kubernetes says is passed on, deadlines are the Deployment's own, and the fix ships."""

from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.errors import Forbidden
from opsloop.shell.ports import DEPLOYMENTS, INCIDENTS, SERVICES, Object, Resource
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

TOLERANT = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
STRICT = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
SLOW = {
    "canary": {"steps": [{"weight": 20, "hold": "60s"}, {"weight": 100}], "analysis": {"window": "2s", "minEvents": 5}}
}


def said(shift: Shift, condition: str) -> tuple[str, str, str]:
    found = conditions.get(shift.release().status.conditions, condition)
    return (found.status, found.reason, found.message) if found else ("", "", "")


def target_end(shift: Shift) -> tuple[str, str]:
    target = shift.release().status.target
    return (target.state, target.reason) if target else ("", "")


def posted(shift: Shift) -> set[str]:
    return {reason for _, reason in shift.operator.events.posted}


@story
async def test_one_sick_pod_of_four_keeps_neither_a_promotion_nor_last_good_nor_the_next_version(shift: Shift) -> None:
    shift.shop.change(strategy=TOLERANT)
    shift.shop.errors["v5"] = 0.0
    shift.shop.sick = {"v4": 1, "v5": 1}
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("v4 is last-good", lambda: bool(shift.release().status.revisions[-1].proven_at))
    shift.shop.ship("v5", evals=None)
    await shift.until("v5 is promoted", lambda: shift.target() == ("v5", "Promoted"))


@story
async def test_a_rollback_with_one_sick_pod_is_done_and_the_fix_ships(shift: Shift) -> None:
    shift.shop.change(strategy=TOLERANT)
    shift.shop.sick = {"v1": 1}
    await shift.mitigate()
    await seconds(shift, 10)
    rollback = shift.release().status.rollback
    assert rollback is not None and rollback.state == "Done"
    shift.shop.ship("v4", evals=None)
    await shift.until("the fix is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_a_fix_ships_beside_a_rollback_that_hangs(shift: Shift) -> None:
    """No pod more can be started and the strategy wants all: the rollback never ends; the fix must not wait for it."""
    shift.shop.change(strategy=STRICT, progressDeadlineSeconds=600)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    shift.shop.sick = {"v1": 4}
    await seconds(shift, 20)
    assert said(shift, "RolledOut")[:2] == ("False", "RollingOut")
    shift.shop.ship("v4", evals=None)
    await shift.until("the fix is promoted", lambda: shift.target() == ("v4", "Promoted"))
    rollback = shift.release().status.rollback
    assert rollback is not None and (rollback.state, rollback.reason) == ("Failed", "GaveWay")


@story
async def test_a_rollback_without_progress_fails_by_name_after_the_deployments_deadline(shift: Shift) -> None:
    shift.shop.change(strategy=STRICT, progressDeadlineSeconds=20)
    shift.shop.set_image("v2")
    await shift.until("v2 serves", lambda: "v2" in shift.shop.served)
    shift.shop.quota = "pods is forbidden: exceeded quota: pods=8, limited to 8"
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    await seconds(shift, 3)
    assert (
        said(shift, "RolledOut")[:2] == ("False", "ReplicaFailure") and "exceeded quota" in said(shift, "RolledOut")[2]
    )
    await seconds(shift, 30)
    rollback = shift.release().status.rollback
    assert rollback is not None and rollback.state == "Failed" and rollback.message
    assert "RollbackFailed" in posted(shift)
    shift.shop.quota = ""
    await shift.until(
        "it is done late", lambda: (r := shift.release().status.rollback) is not None and r.state == "Done"
    )


@story
async def test_a_promotion_on_a_paused_deployment_says_so_ends_and_is_finished_when_it_is_resumed(shift: Shift) -> None:
    shift.shop.change(paused=True, progressDeadlineSeconds=30)
    shift.shop.ship("v4", evals=None)
    await shift.until("it is said", lambda: said(shift, "Held")[:2] == ("True", "DeploymentPaused"))
    assert said(shift, "RolledOut")[:2] == ("False", "DeploymentPaused") and "Held" in posted(shift)
    await seconds(shift, 40)
    assert target_end(shift) == ("Rejected", "DeploymentPaused") and "Rejected" in posted(shift)
    assert [r.version for r in shift.release().status.revisions if r.blocked] == []
    shift.shop.change(paused=False)
    await shift.until("it is promoted late", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_what_keeps_live_pods_from_starting_is_said_while_a_promotion_waits_for_them(shift: Shift) -> None:
    shift.shop.change(strategy=STRICT, progressDeadlineSeconds=20)
    shift.shop.sick = {"v4": 4}
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is written", lambda: shift.live == "v4")
    await seconds(shift, 2)
    pod = next(
        p
        for p in shift.shop.objects("pods")
        if p["metadata"]["labels"].get("deployment") == "answers" and version_of(p) == "v4"
    )
    waiting = {"name": "answers", "ready": False, "state": {"waiting": {"reason": "CreateContainerConfigError"}}}
    pod["status"] = {**pod["status"], "containerStatuses": [waiting]}
    shift.shop.cluster.seed({k: pod[k] for k in ("kind", "metadata", "spec", "status")})
    await seconds(shift, 2)
    assert "CreateContainerConfigError" in said(shift, "RolledOut")[2]
    await seconds(shift, 30)
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Rejected", "ProgressDeadlineExceeded")
    assert "CreateContainerConfigError" in target.message


@story
async def test_a_promotion_that_hangs_gives_way_to_a_newer_version(shift: Shift) -> None:
    shift.shop.errors["v5"] = 0.0
    shift.shop.change(strategy=STRICT, progressDeadlineSeconds=600)
    shift.shop.sick = {"v4": 4}
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is written", lambda: shift.live == "v4")
    await seconds(shift, 5)
    shift.shop.ship("v5", evals=None)
    await shift.until("v5 is promoted", lambda: shift.target() == ("v5", "Promoted"))


def refuse(shift: Shift, verb: str, name: str, error: Exception) -> None:
    """The API server refuses each write of this kind on this Deployment; a dry run of it was still allowed."""
    write: Any = getattr(shift.shop.cluster, verb)

    async def refused(resource: Resource, namespace: str, *rest: Any, **options: bool) -> Object:
        written = rest[0] if isinstance(rest[0], str) else rest[0]["metadata"]["name"]
        if resource is DEPLOYMENTS and written == name and ANSWER["refuses"] and not options.get("dry_run"):
            ANSWER["asked"] += 1
            raise error
        result: Object = await write(resource, namespace, *rest, **options)
        return result

    ANSWER.update(refuses=True, asked=0)
    setattr(shift.shop.cluster, verb, refused)


ANSWER: dict[str, Any] = {}


@story
async def test_a_canary_that_the_api_server_refuses_says_why_ends_and_is_not_asked_for_each_second(
    shift: Shift,
) -> None:
    shift.shop.change(progressDeadlineSeconds=60)
    refuse(shift, "apply", "answers-canary", Forbidden("admission webhook denied: images must be signed"))
    shift.shop.ship("v4", evals=None)
    await seconds(shift, 10)
    held = said(shift, "Held")
    assert held[:2] == ("True", "WaitingForPods") and "images must be signed" in held[2]
    await seconds(shift, 60)
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Rejected", "PodsFailing")
    assert "images must be signed" in target.message and ANSWER["asked"] < 10


@story
async def test_a_template_that_the_api_server_refuses_says_why_and_ends(shift: Shift) -> None:
    shift.shop.change(progressDeadlineSeconds=30)
    refuse(shift, "json_patch", "answers", Forbidden("admission webhook denied: no deploys on Friday"))
    shift.shop.ship("v4", evals=None)
    await shift.until("it is said", lambda: said(shift, "Held")[:2] == ("True", "WriteRefused"))
    assert "no deploys on Friday" in said(shift, "Held")[2]
    await seconds(shift, 40)
    assert target_end(shift) == ("Rejected", "WriteRefused") and ANSWER["asked"] < 8
    assert shift.live == "v1" and shift.shop.open_canaries() == []


@story
async def test_a_rollback_whose_write_is_refused_says_why_and_the_fix_ships(shift: Shift) -> None:
    refuse(shift, "json_patch", "answers", Forbidden("admission webhook denied: frozen"))
    shift.shop.set_image("v2")
    await shift.until("it is said", lambda: said(shift, "RolledOut")[:2] == ("False", "WriteRefused"))
    assert shift._find(INCIDENTS, "answers-1") is not None
    shift.shop.ship("v4", evals=None)
    await shift.until("the fix is tried", lambda: shift.target()[0] == "v4")
    ANSWER["refuses"] = False
    await shift.until("the fix is promoted", lambda: shift.target() == ("v4", "Promoted"))
    incident = shift.incident()
    assert incident is not None and conditions.get(incident.status.conditions, "Contested") is None
    assert [p.attempt for p in incident.status.plays if p.type == "rollback"] == [1], "v2 was not pushed again"


@story
async def test_an_evicted_canary_pod_is_no_traffic_and_its_successor_is(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=SLOW)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 2)
    shift.shop.evict(shift.shop.open_canaries()[0])
    evicted_at = shift.second
    await seconds(shift, 1)
    assert shift.release().status.weight.actual == 0
    await shift.until("its successor serves", lambda: bool(shift.shop.open_canaries()))
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=150)
    assert shift.second - evicted_at >= 60, "the hold counts with the canary in traffic"


@story
async def test_canary_pods_follow_live_pods_down_within_a_tick_and_up_again(shift: Shift) -> None:
    shift.shop.change(replicas=16)
    await seconds(shift, 12)
    shift.shop.ship("v4", evals=None, strategy=SLOW)
    await shift.until("4 of 20 pods serve", lambda: len(shift.shop.open_canaries()) == 4)
    await seconds(shift, 2)
    shift.shop.change(replicas=2)
    await seconds(shift, 2)
    assert len([p for p in shift.shop.in_traffic() if version_of(p) == "v1"]) == 2
    assert len(shift.shop.open_canaries()) == 1, "67 % of the users otherwise, where 20 % were decided"
    assert said(shift, "Held")[0] == "False" and "Followed" in posted(shift)
    shift.shop.change(replicas=12)
    await shift.until("it follows up", lambda: len(shift.shop.open_canaries()) == 3)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=150)


@story
async def test_a_canary_beside_a_volume_for_one_is_refused_with_the_way_out(shift: Shift) -> None:
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": NS}}
    shift.shop.cluster.seed({**claim, "spec": {"accessModes": ["ReadWriteOncePod"]}})
    deployment = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert deployment is not None
    mounted = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    deployment["spec"]["template"]["spec"]["volumes"] = [mounted]
    shift.shop.cluster.seed(deployment)
    await seconds(shift, 10)
    shift.shop.ship("v4", evals=None)
    await seconds(shift, 5)
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Refused", "RunsAlone")
    assert "data is ReadWriteOncePod" in target.message and "strategy: {type: direct}" in target.message
    assert shift.shop.cluster.find(DEPLOYMENTS, NS, "answers-canary") is None and "Refused" in posted(shift)


@story
async def test_a_version_shipped_while_the_deployment_is_scaled_to_0_is_set(shift: Shift) -> None:
    shift.shop.change(replicas=0)
    await seconds(shift, 5)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.change(replicas=4)
    await shift.until("v4 serves", lambda: len(shift.shop.in_traffic()) == 4)
    assert {version_of(p) for p in shift.shop.in_traffic()} == {"v4"}


@story
async def test_a_service_that_sees_dark_pods_refuses_a_canary_until_it_is_gone(shift: Shift) -> None:
    """Services are not watched: that it is gone is seen at a later look, without anybody's help."""
    spec = {"publishNotReadyAddresses": True, "selector": {"app": "answers"}}
    shift.shop.cluster.seed({"kind": "Service", "metadata": {"name": "peers", "namespace": NS}, "spec": spec})
    await seconds(shift, 16)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is refused", lambda: shift.target() == ("v4", "Refused"), most=5)
    target = shift.release().status.target
    assert target is not None and target.reason == "PublishesUnready" and "Service peers" in target.message
    assert conditions.get(shift.release().status.conditions, "CanaryFits").status == "False"  # type: ignore[union-attr]
    await seconds(shift, 40)
    assert shift.shop.cluster.written("apply", "deployments") == []
    shift.shop.cluster.remove(SERVICES, NS, "peers")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_a_service_that_appears_beside_a_canary_takes_it_away_before_another_pod_of_it_is_dark(
    shift: Shift,
) -> None:
    """While it holds all of its pods serve, and a Service that finds unready ones finds none of them."""
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    stored = shift.release_object()
    stored["spec"]["strategy"]["canary"]["steps"][0]["hold"] = "20s"
    shift.shop.cluster.seed(stored)
    spec = {"publishNotReadyAddresses": True, "selector": {"app": "answers"}}
    shift.shop.cluster.seed({"kind": "Service", "metadata": {"name": "peers", "namespace": NS}, "spec": spec})
    await shift.until("it is taken away", lambda: shift.target() == ("v4", "Rejected"), most=40)
    sizes = [w.body["spec"]["replicas"] for w in shift.shop.cluster.written("apply", "deployments")]
    assert sizes == [1], "the pods of the next step were never started"
    assert shift.shop.open_canaries() == []
