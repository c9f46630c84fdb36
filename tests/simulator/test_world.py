"""The world by itself: rollouts take time and say how they are, scrapes tell what users saw."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from opsloop.core.release import revisions
from opsloop.shell.ports import DEPLOYMENTS, PODS, REPLICASETS
from opsloop.simulator.kube.pods import Image
from opsloop.simulator.loop import LeapLoop, run
from opsloop.simulator.scraping import METRIC
from opsloop.simulator.service import Service, Version
from opsloop.simulator.traffic import Wave
from opsloop.simulator.world import NS, STEP, World, image

VERSIONS = {
    "v1": Version("v1", 0.01),
    "v2": Version("v2", 0.3, harm=True, image=Image(20.0)),
    "v3": Version("v3", 0.0, image=Image(20.0, waiting="CrashLoopBackOff")),
}


def played(script: dict[float, Callable[[World], object]], seconds: float) -> World:
    """The world after so many seconds, to which these things happened."""

    async def play() -> World:
        service = Service("answers", Wave(50), VERSIONS, replicas=4)
        world = World(7, datetime(2026, 1, 5, 9, tzinfo=UTC), (service,), {"answers": "v1"})
        for at, do in script.items():
            world.at(at, lambda do=do: do(world))  # type: ignore[misc]
        while world.now() <= seconds:
            world.step()
            await asyncio.sleep(STEP)
        return world

    return run(play(), LeapLoop(float(STEP)))


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.get(DEPLOYMENTS, "answers")["status"]
    return found


def condition(world: World, kind: str) -> tuple[str, str]:
    found = next(c for c in status(world)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"]


def test_a_rollout_takes_the_time_of_its_pods() -> None:
    world = played({60: lambda w: w.push("answers", "v2")}, 75)
    assert {v for _, v in world.pods_of("answers")} == {"v1"}, "its pods start in 20 s"
    assert condition(world, "Progressing") == ("True", "ReplicaSetUpdated")
    world = played({60: lambda w: w.push("answers", "v2")}, 95)
    assert {v for _, v in world.pods_of("answers")} == {"v1", "v2"}
    world = played({60: lambda w: w.push("answers", "v2")}, 180)
    assert [v for _, v in world.pods_of("answers")] == ["v2"] * 4
    assert condition(world, "Progressing") == ("True", "NewReplicaSetAvailable")
    counts = {k: v for k, v in status(world).items() if k.endswith("eplicas")}
    assert counts == {"replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4}
    assert [s["status"]["replicas"] for s in world.cluster.all(REPLICASETS.plural)] in ([0, 4], [4, 0])


@pytest.mark.parametrize(
    ("script", "seconds", "then"),
    [
        pytest.param(
            {60: lambda w: w.push("answers", "v3")}, 900, ("Progressing", "False", "ProgressDeadlineExceeded"),
            id="pods that never start: the deadline passes",
        ),
        pytest.param(
            {50: lambda w: setattr(w.controllers.faults, "no_room", True), 60: lambda w: w.push("answers", "v2")},
            300, ("Available", "True", "MinimumReplicasAvailable"), id="no room for new pods: the old ones serve",
        ),
        pytest.param(
            {50: lambda w: setattr(w.controllers.faults, "quota", 3), 60: lambda w: w.push("answers", "v2")},
            300, ("ReplicaFailure", "True", "FailedCreate"), id="a quota that is used up: said in words",
        ),
        pytest.param(
            {50: lambda w: w.change("answers", paused=True), 60: lambda w: w.push("answers", "v2")},
            300, ("Progressing", "Unknown", "DeploymentPaused"), id="paused",
        ),
        pytest.param(
            {60: lambda w: w.down("answers", 600)}, 300, ("Available", "False", "MinimumReplicasUnavailable"),
            id="all pods sick",
        ),
    ],
)  # fmt: skip
def test_what_hinders_a_rollout_is_a_condition(
    script: dict[float, Callable[[World], object]], seconds: float, then: tuple[str, str, str]
) -> None:
    world = played(script, seconds)
    assert condition(world, then[0]) == then[1:]
    if then[0] in ("Progressing", "ReplicaFailure"):
        assert {v for _, v in world.pods_of("answers")} == {"v1"}


def test_an_evicted_pod_is_replaced_and_stays_as_an_object() -> None:
    def evict(world: World) -> None:
        world.controllers.evict(world.pods_of("answers")[0][0])

    world = played({60: evict}, 120)
    phases = sorted(p["status"]["phase"] for p in world.cluster.all("pods"))
    assert phases == ["Failed", "Running", "Running", "Running", "Running"]
    assert len(world.pods_of("answers")) == 4


def test_scrapes_tell_what_users_saw() -> None:
    world = played({600: lambda w: w.push("answers", "v2")}, 1800)
    seen = {"v1": [0, 0], "v2": [0, 0]}
    for tally in world.traffic["answers"].tallies:
        seen[tally.version][0] += tally.total
        seen[tally.version][1] += tally.bad
    asked = f'sum by (version) (increase({METRIC}{{job="answers"%s}}[25m]))'
    for place, matcher in ((0, ""), (1, ',code="500"')):
        answer = asyncio.run(world.telemetry.instant(asked % matcher, world.start_plus(1800)))
        for sample in answer:
            true = [t for t in world.traffic["answers"].tallies if t.at > 300 and t.version == sample.labels["version"]]
            expected = sum(t.total if place == 0 else t.bad for t in true)
            assert sample.value == pytest.approx(expected, rel=0.03, abs=60), sample.labels
    assert seen["v2"][1] / seen["v2"][0] == pytest.approx(0.3, abs=0.02)
    assert world.telemetry.unsupported == []


def test_history_is_steady_and_whole() -> None:
    world = played({}, 300)
    at = world.start_plus(300)
    for window in ("5m", "1h", "6h", "1d", "3d"):
        query = f'sum(increase({METRIC}{{code="500"}}[{window}])) / sum(increase({METRIC}[{window}]))'
        (sample,) = asyncio.run(world.telemetry.instant(query, at))
        assert sample.value == pytest.approx(0.01, rel=0.25), window
        covered = f"count_over_time((sum(increase({METRIC}[1m])))[{window}:36m]) or vector(0)"
        if window in ("1d", "3d"):
            (sample,) = asyncio.run(world.telemetry.instant(covered, at))
            points = {"1d": 40, "3d": 120}[window]
            assert sample.value == pytest.approx(points, abs=1), "no hole"


def test_pods_are_named_as_kubernetes_names_them() -> None:
    world = played({}, 10)
    template = world.get(DEPLOYMENTS, "answers")["spec"]["template"]
    assert revisions.images_of(template) == {"answers": "registry.example/app:v1"}
    for name, _ in world.pods_of("answers"):
        pod = world.cluster.find(PODS, NS, name)
        assert pod is not None
        hash_ = pod["metadata"]["labels"]["pod-template-hash"]
        assert name.startswith(f"answers-{hash_}-")
        assert len(name.rpartition("-")[2]) == 5


def canary_behind_a_route(weight: int) -> Callable[[World], None]:
    """What opsloop makes of a canary with this share, at once."""

    def do(world: World) -> None:
        labels, meta = {"opsloop.dev/canary": "answers"}, {"name": "answers-canary", "namespace": NS}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "answers", "image": image("v2")}]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        world.cluster.seed({"kind": "Deployment", "metadata": meta, "spec": spec})
        world.cluster.seed({"kind": "Service", "metadata": dict(meta), "spec": {"selector": labels}})
        refs = [{"name": "answers", "weight": 100 - weight}, {"name": "answers-canary", "weight": weight}]
        route = {"metadata": {"name": "shop", "namespace": NS}, "spec": {"rules": [{"backendRefs": refs}]}}
        world.cluster.seed({"kind": "HTTPRoute", **route})

    return do


@pytest.mark.parametrize("weight", [10, 35])
def test_behind_a_route_users_follow_its_weights_whatever_the_number_of_pods(weight: int) -> None:
    world = played({60: canary_behind_a_route(weight)}, 1800)
    since = [tally for tally in world.traffic["answers"].tallies if tally.at > 120]
    counts = {v: sum(t.total for t in since if t.version == v) for v in ("v1", "v2")}
    number, share = sum(counts.values()), weight / 100
    spread = 3.3 * (number * share * (1 - share)) ** 0.5  # 99.9 % of a binomial number
    assert abs(counts["v2"] - number * share) < spread, counts
    lost = [tally for tally in world.traffic["answers"].tallies if tally.version == "" and tally.at > 60]
    assert lost and max(tally.at for tally in lost) <= 85, "while its pods start nobody answers its share"
