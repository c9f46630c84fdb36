"""Deployments beside which no canary may run."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.strategy import Strategy
from opsloop.core.facts import Beside, Budget, WorkloadFacts
from opsloop.core.release.alone import fits, refusal
from tests.builders.objects import at, workload
from tests.builders.rollouts import ADOPTED, end_of, facts, release_asking, status_with, target


def with_spec(replicas: int = 1, **spec: Any) -> WorkloadFacts:
    plain = workload(replicas=replicas)
    return replace(plain, template={**plain.template, "spec": {**plain.template["spec"], **spec}})


def mounting(replicas: int = 1) -> WorkloadFacts:
    return with_spec(replicas, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])


PORTS = [{"name": "answers", "image": "shop:v1", "ports": [{"containerPort": 80, "hostPort": 8080}]}]


@pytest.mark.parametrize(
    ("live", "claims", "cause"),
    [
        pytest.param(workload(), {}, "", id="an ordinary one"),
        pytest.param(replace(workload(), strategy="Recreate"), {}, "Recreate", id="it wants no two versions at once"),
        pytest.param(with_spec(containers=PORTS), {}, "hostPort 8080", id="its pods take a port of the node"),
        pytest.param(with_spec(hostNetwork=True), {}, "hostNetwork", id="its pods use the node's network"),
        pytest.param(mounting(), {"data": ("ReadWriteOnce",)}, "data is ReadWriteOnce", id="its pod mounts a claim for one node"),
        pytest.param(mounting(2), {"data": ("ReadWriteOnce",)}, "", id="pods on one node share it already"),
        pytest.param(mounting(2), {"data": ("ReadWriteOncePod",)}, "ReadWriteOncePod", id="a claim for one pod"),
        pytest.param(mounting(), {"data": ("ReadWriteMany",)}, "", id="a claim for many"),
        pytest.param(mounting(), {}, "unknown access modes", id="a claim that cannot be read is not taken for shared"),
        pytest.param(with_spec(volumes=[{"name": "tmp", "emptyDir": {}}]), {}, "", id="a volume of each pod's own"),
    ],
)  # fmt: skip
def test_a_canary_beside_it(live: WorkloadFacts, claims: dict[str, Any], cause: str) -> None:
    said = refusal(facts(workload=live, claims=claims), live)
    assert (said is None) == (not cause)
    assert said is None or (cause in said.message and "strategy: {type: direct}" in said.message)


SERVED = Beside(services={"answers": {"spec": {"selector": {"app": "answers"}}}})
DIRECT = {"type": "direct"}
WITHOUT = {"canary": {"withoutService": True}}
OTHER = Beside(services={"other": {"spec": {"selector": {"app": "other"}}}, "manual": {"spec": {}}})


@pytest.mark.parametrize(
    ("strategy", "beside", "reason"),
    [
        pytest.param({}, OTHER, "NoService", id="a queue worker: no Service selects its pods"),
        pytest.param(WITHOUT, OTHER, "", id="one whose owner consents to a canary"),
        pytest.param(DIRECT, OTHER, "", id="one that is shipped directly"),
        pytest.param({"traffic": "httpRoute", "httpRoute": {"name": "shop"}}, OTHER, "", id="a route names its Service, and says if that is missing"),
        pytest.param({}, None, "", id="opsloop may not look"),
        pytest.param({}, replace(OTHER, services=SERVED.services), "", id="a Service selects them"),
    ],
)  # fmt: skip
def test_pods_that_no_service_selects_are_never_dark(strategy: Any, beside: Beside | None, reason: str) -> None:
    asking = release_asking("v4")
    asking = asking.model_copy(
        update={"spec": asking.spec.model_copy(update={"strategy": Strategy.model_validate(strategy)})}
    )
    said = refusal(facts(asking, beside=beside), workload())
    assert (said.reason if said else "") == reason
    assert said is None or "withoutService: true" in said.message


def test_the_target_is_refused_and_goes_on_by_itself_when_the_deployment_is_changed() -> None:
    status = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)
    recreate = replace(workload(), strategy="Recreate")
    assert end_of(facts(release_asking(), status, workload=recreate)) == ("Refused", "RunsAlone")
    refused = status_with(target("Refused", reason="RunsAlone", ended_at=at(80)), ADOPTED)
    assert end_of(facts(release_asking(), refused, workload=recreate)) == ("Refused", "RunsAlone")
    assert end_of(facts(release_asking(), refused)) == ("Dark", "")


EXPOSED = replace(SERVED, unready=("peers",))


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        pytest.param(SERVED, (True, "Fits"), id="nothing stands beside it"),
        pytest.param(None, (None, "Unreadable"), id="opsloop may not look"),
        pytest.param(EXPOSED, (False, "PublishesUnready"), id="a Service that does not wait for readiness"),
        pytest.param(replace(SERVED, budgets=(Budget("web", 3),)), (True, "Fits"), id="a budget by a number of pods that stay"),
        pytest.param(replace(SERVED, budgets=(Budget("web", "80%"),)), (True, "BudgetCountsCanary"), id="a budget by a share"),
        pytest.param(replace(SERVED, budgets=(Budget("web", None, 1),)), (True, "BudgetCountsCanary"), id="a budget by what may be missing"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_canary_is_said_at_adoption(beside: Beside | None, expected: tuple[Any, str]) -> None:
    value, reason, _ = fits(facts(beside=beside), workload())
    assert (value, reason) == expected


@pytest.mark.parametrize("state", [pytest.param("Dark", id="dark"), pytest.param("Stepping", id="at its weight")])
def test_a_canary_that_a_service_sees_before_it_is_ready_is_taken_away(state: str) -> None:
    status = status_with(target(state), ADOPTED)
    assert end_of(facts(release_asking(), status, beside=EXPOSED)) == ("Rejected", "PublishesUnready")


def test_a_target_that_no_gate_could_keep_dark_is_refused_and_goes_on_when_the_service_is_changed() -> None:
    status = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)
    assert end_of(facts(release_asking(), status, beside=EXPOSED)) == ("Refused", "PublishesUnready")
    refused = status_with(target("Refused", reason="PublishesUnready", ended_at=at(80)), ADOPTED)
    assert end_of(facts(release_asking(), refused, beside=EXPOSED)) == ("Refused", "PublishesUnready")
    assert end_of(facts(release_asking(), refused, beside=SERVED)) == ("Dark", "")
