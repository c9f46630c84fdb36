"""A guarded Deployment whose last-good is kept warm: both halves of a way back at once, in fake time."""

import pytest

from opsloop.names import WARM
from opsloop.shell.ports import DEPLOYMENTS, Object
from tests.sim.shift import resolved
from tests.sim.shop import version_of
from tests.sim.test_guard import Guarded
from tests.sim.warm import KEEP

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


class GuardedWarm(Guarded):
    """A guarded shift that keeps last-good warm."""

    def __init__(self) -> None:
        super().__init__()
        release = self.release_object()
        canary = {**release["spec"]["strategy"]["canary"], "steps": [{"weight": 50}, {"weight": 100}]}
        release["spec"]["strategy"] = {"canary": canary, "keepWarm": KEEP}
        self.shop.cluster.seed(release)

    def warm(self) -> list[Object]:
        return [p for p in self.shop.objects("pods") if WARM in p["metadata"]["labels"]]

    def state(self) -> tuple[str, str]:
        found = self.release().status.warm
        return (found.state, found.reason) if found else ("", "")

    async def promoted(self) -> None:
        """Helm wrote v4, which passed its canary; pods of v1 are kept beside it, and the Deployment is paused again."""
        await self.adopt()
        await self.until_guarded()
        self.shop.set_image("v4", manager="helm")
        await self.until("v4 is promoted", lambda: self.target() == ("v4", "Promoted"))
        await self.until("v1 is warm", lambda: self.state() == ("Warm", "KeptWarm"))
        await self.until_guarded()


async def test_the_pods_of_last_good_are_ready_before_the_guard_lets_the_new_template_run() -> None:
    shift = GuardedWarm()
    await shift.promoted()
    writes = [(w.verb, w.resource.plural, w.name) for w in shift.shop.cluster.writes]
    unpaused = [n for n, w in enumerate(writes) if w == ("json_patch", "deployments", "answers")][1]
    assert writes.index(("apply", "deployments", "answers-warm")) < unpaused
    assert {version_of(p) for p in shift.warm()} == {"v1"} and not shift.shop.open_warm()
    assert shift.running() == {"v4"} and shift.paused
    await shift.operator.stop()


async def test_a_way_back_sends_users_to_them_while_the_tool_writes_the_bad_template_again_and_again() -> None:
    shift = GuardedWarm()
    await shift.promoted()
    shift.shop.start_up = 8
    shift.shop.errors["v4"] = 0.8
    await shift.until("warm pods serve", lambda: len(shift.shop.open_warm()) == 2)
    assert shift.running() == {"v4"}, "users are sent to v1 before any pod of the Deployment was replaced"
    await shift.until("v1 runs", lambda: shift.running() == {"v1"})
    shift.ran.clear()
    for _ in range(20):
        shift.shop.set_image("v4", manager="argocd-controller")
        await shift.one_second()
    await shift.until("resolved", lambda: resolved(shift))
    gone = "answers-warm"
    await shift.until("the warm pods are gone", lambda: shift._find(DEPLOYMENTS, gone) is None and not shift.warm())
    await shift.until_guarded()
    assert shift.state() == ("Over", "TookOver") and shift.running() == {"v1"}
    assert shift.ran <= {"v1"}, "the template that was rolled back ran nowhere again"
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v4"]
    await shift.operator.stop()
