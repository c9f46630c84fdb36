"""Deployments beside which no canary may run."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.core.facts import WorkloadFacts
from opsloop.core.release.alone import refusal
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
    said = refusal(live, claims)
    assert bool(said) == bool(cause) and cause in said
    assert not said or "kubectl set image deployment/answers" in said


def test_the_target_is_refused_and_goes_on_by_itself_when_the_deployment_is_changed() -> None:
    status = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)
    recreate = replace(workload(), strategy="Recreate")
    assert end_of(facts(release_asking(), status, workload=recreate)) == ("Refused", "RunsAlone")
    refused = status_with(target("Refused", reason="RunsAlone", ended_at=at(80)), ADOPTED)
    assert end_of(facts(release_asking(), refused, workload=recreate)) == ("Refused", "RunsAlone")
    assert end_of(facts(release_asking(), refused)) == ("Dark", "")
