"""Dark pods under a PodDisruptionBudget, or beside an autoscaler: live's labels come with the traffic, and go with it."""

import copy
from typing import Any

import pytest

from opsloop.core.selectors import serves
from opsloop.names import CANARY, GATE
from opsloop.shell.ports import RELEASES, Object
from tests.sim import deaths
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
BUDGET: Object = {
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "answers", "namespace": NS},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "answers"}}},
}
STEPS = [{"weight": 20, "hold": "2s"}, {"weight": 50, "hold": "2s"}, {"weight": 100}]


def in_traffic(pod: Object) -> bool:
    return any(c["type"] == GATE and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


class Counted(Shift):
    """A shift whose budget counts pods by `app`. Asserts at every store that no dark canary pod has that label, and that no
    more are in traffic than decided."""

    def __init__(self, budget: bool = True) -> None:
        release = release_object()
        release["spec"].pop("evals")
        release["spec"]["strategy"] = {"canary": {"steps": STEPS}}
        super().__init__(shop=Shop(release, runbook_object()))
        if budget:
            self.shop.cluster.seed(copy.deepcopy(BUDGET))
        self.seen = False
        follow = self.shop.cluster.on_store

        def see(stored: Object) -> None:
            follow(stored)
            if budget and stored["kind"] == "Pod" and CANARY in stored["metadata"].get("labels", {}):
                counted = serves({"app": "answers"}, stored["metadata"]["labels"])
                assert counted == in_traffic(stored), stored["metadata"]
                self.seen |= counted
                target = self.release().status.target
                open_now = len(self.shop.open_canaries())
                decided = target is not None and (open_now <= target.pods or target.state == "Promoting")
                assert decided or not open_now

        self.shop.cluster.on_store = see


async def _played(die_at: int | None, version: str) -> Counted:
    shift = Counted()
    if die_at is not None:
        shift.shop.cluster.die_at(die_at)
    try:
        await shift.adopt()
        shift.shop.ship(version)
        end = "Promoted" if version == "v4" else "Rejected"
        await shift.until(f"{version} is {end}", lambda: shift.target() == (version, end))
        await shift.until("all is quiet", shift.quiet)
    finally:
        await shift.operator.stop()
    return shift


def _end(shift: Counted) -> Any:
    return shift.live, shift.target(), shift.seen


async def test_it_goes_live_and_no_dark_pod_was_ever_counted() -> None:
    shift = await _played(None, "v4")
    assert shift.seen and "v4" in shift.shop.served
    gates = [w for w in shift.shop.cluster.writes if w.verb == "patch_pod_condition" and w.body["status"] == "True"]
    assert len(gates) == len({w.name for w in gates}), "one write brings a pod in, with its label"


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("version", ["v4", "v3"])
async def test_dying_at_any_write_it_ends_the_same(version: str) -> None:
    whole = await _played(None, version)
    writes = whole.shop.cluster.writes
    first = next(n for n, w in enumerate(writes, 1) if w.resource.plural == "deployments")
    for n in deaths.tried(first - 1, len(writes), ["v4", "v3"].index(version) * 2):
        assert _end(await _played(n, version)) == _end(whole), f"died at write {n}: {writes[n - 2 : n]}"


async def test_without_a_budget_or_an_autoscaler_dark_pods_keep_the_labels_by_which_they_are_scraped() -> None:
    shift = Counted(budget=False)
    await shift.adopt()
    edited = shift.release_object()
    edited["spec"]["paused"] = True
    shift.shop.cluster.seed(edited)
    shift.shop.ship("v4")
    await seconds(shift, 10)
    pods = [p for p in shift.shop.objects("pods") if CANARY in p["metadata"]["labels"]]
    assert pods and all(p["metadata"]["labels"]["app"] == "answers" and not in_traffic(p) for p in pods)
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.operator.stop()
