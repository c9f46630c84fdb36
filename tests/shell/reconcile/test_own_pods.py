"""A canary's pods are listed at each look, but while all of them serve and their Deployment tells of no change."""

import copy
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.core.actions import SetGates
from opsloop.names import CANARY, GATE, REVISION, WARM
from opsloop.shell.ports import PODS, Object
from opsloop.shell.reconcile.apply import execute
from opsloop.shell.reconcile.own_pods import QUIET, own_pods
from tests.builders.objects import V4
from tests.fakes.runtime import Bench, bench, pod, release
from tests.sim.shop import NS

SERVES = {"ContainersReady": "True", "Ready": "True", GATE: "True"}
DARK = {"ContainersReady": "True", "Ready": "False", GATE: "False"}
OBSERVED = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}


def canary(**status: int) -> Object:
    meta = {"name": "answers-canary", "namespace": NS, "uid": "u", "generation": 1, "resourceVersion": "7"}
    return {"kind": "Deployment", "metadata": meta, "spec": {"replicas": 2}, "status": {**OBSERVED, **status}}


def stepping(step: int = 0) -> Release:
    target = {"digest": V4, "version": "v4", "state": "Stepping", "step": step, "startedAt": "2026-01-05T09:00:00Z"}
    return Release.model_validate(release(target=target))


def world(*conditions: dict[str, str], key: str = CANARY, **more: Any) -> Bench:
    pods = [pod(f"c{n}", {key: "answers", REVISION: V4}, held, **more) for n, held in enumerate(conditions)]
    return bench(*pods)


async def lists(on: Bench, deployment: Object, item: Release | None = None, key: str = CANARY) -> int:
    """Number of lists of pods that a look takes."""
    before = on.cluster.reads.count("list pods")
    await own_pods(on.runtime, item or stepping(), key, deployment)
    return on.cluster.reads.count("list pods") - before


@pytest.mark.parametrize(
    ("on", "deployment", "again"),
    [
        pytest.param(world(SERVES, SERVES), canary(), 0, id="all serve, and the Deployment says so"),
        pytest.param(world(SERVES, DARK), canary(), 1, id="one is dark: its containers may fail without a word"),
        pytest.param(world(SERVES, SERVES), canary(readyReplicas=1), 1, id="the Deployment does not know yet that both are ready"),
        pytest.param(world(SERVES, SERVES), canary(observedGeneration=0), 1, id="its controller has not seen it yet"),
        pytest.param(world(SERVES, SERVES), canary(replicas=3), 1, id="an old pod is left"),
        pytest.param(world(SERVES), canary(), 1, id="one is not there"),
        pytest.param(world(), canary(), 1, id="none is there"),
        pytest.param(world(SERVES, SERVES, key=WARM), canary(), 1, id="pods that are kept warm are no canary's"),
    ],
)  # fmt: skip
async def test_when_they_are_listed_again(on: Bench, deployment: Object, again: int) -> None:
    key = WARM if any(WARM in p["metadata"]["labels"] for p in await on.cluster.list(PODS, NS)) else CANARY
    assert await lists(on, deployment, key=key) == 1
    assert await lists(on, deployment, key=key) == again


async def test_what_ends_it() -> None:
    on, known = world(SERVES, SERVES), canary()
    assert await lists(on, known) == 1
    changed = copy.deepcopy(known)
    changed["metadata"]["resourceVersion"] = "8"
    assert await lists(on, changed) == 1, "a change of the Deployment's status"
    assert await lists(on, changed, stepping(1)) == 1, "a step that was recorded"
    assert await lists(on, changed, stepping(1)) == 0
    await execute(on.runtime, NS, on.cached("Release"), SetGates("answers", ("c0",), False, "told"))
    assert await lists(on, changed, stepping(1)) == 1, "a gate that opsloop wrote"
    assert await lists(on, changed, stepping(1)) == 1, "and that pod is dark now"


async def test_after_a_while_they_are_listed_whatever_is_told() -> None:
    on = world(SERVES, SERVES)
    assert [await lists(on, canary()) for _ in range(3)] == [1, 0, 0]
    on.clock.advance(QUIET.total_seconds())
    assert [await lists(on, canary()) for _ in range(2)] == [1, 0]


async def test_an_evicted_pod_stays_in_the_list_and_counts_for_nothing() -> None:
    on = world(SERVES, SERVES)
    on.cluster.seed(pod("gone", {CANARY: "answers", REVISION: V4}, {"Ready": "False"}, phase="Failed"))
    assert [await lists(on, canary()) for _ in range(2)] == [1, 0]
