"""Whole-operator stories about what is the same revision: stamps, changes of the template beside the image, blocks."""

from collections.abc import Callable
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, Object
from tests.builders.objects import V1, V2
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def edit(shift: Shift, change: Callable[[Object], Any], manager: str = "kubectl-edit") -> None:
    """Somebody changes the live pod template."""
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    change(stored["spec"]["template"])
    at = shift.shop.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = {"manager": manager, "time": at, "fieldsV1": {"f:spec": {"f:template": {}}}}
    stored["metadata"]["managedFields"] = [entry]
    shift.shop.cluster.seed(stored)


def set_env(name: str, value: str) -> Callable[[Object], None]:
    def change(template: Object) -> None:
        template["spec"]["containers"][0]["env"] = [{"name": name, "value": value}]

    return change


def annotate(name: str, value: str) -> Callable[[Object], None]:
    return lambda template: template["metadata"].setdefault("annotations", {}).update({name: value})


def env_of(shift: Shift) -> list[Object]:
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    found: list[Object] = stored["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return found


STAMPS = {
    "kubectl rollout restart": annotate("kubectl.kubernetes.io/restartedAt", "2026-01-01T12:00:00Z"),
    "Rancher's redeploy": annotate("cattle.io/timestamp", "2026-01-01T12:00:00Z"),
    "Reloader": set_env("STAKATER_SHOP_CONFIGMAP", "6f1ed002ab5595859014ebf0951522d9"),
}


@pytest.mark.parametrize("stamp", STAMPS.values(), ids=STAMPS)
async def test_a_stamp_in_mid_canary_and_later_is_no_change_by_hand(stamp: Callable[[Object], None]) -> None:
    async def play(shift: Shift) -> None:
        shift.shop.ship("v4", evals=None)
        await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
        edit(shift, stamp)
        await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
        edit(shift, stamp)
        await seconds(shift, 5)
        status = shift.release().status
        assert [(r.version, r.reason) for r in status.revisions] == [("v1", "Adopted"), ("v4", "Canaried")]
        assert not conditions.is_true(status.conditions, "Drifted") and shift.wrote() == ["v4"]

    await story(play)()


@story
async def test_a_blocked_image_is_refused_whatever_else_changed_in_the_template(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    edit(shift, set_env("COLOUR", "blue"))
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.ship("v3", evals=None)
    await seconds(shift, 5)
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Refused", "Blocked")
    blocked = next(r for r in shift.release().status.revisions if r.blocked)
    assert f"unblock={blocked.digest}" in target.message
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 10)
    assert len(shift.shop.cluster.writes) == before, "refused once"
    shift.shop.annotate(RELEASES, "answers", unblock=blocked.digest)
    await shift.until("v3 is tried", lambda: shift.target()[1] == "Dark")


@story
async def test_an_image_without_a_new_version_label_is_refused_not_judged_by_the_events_of_live(shift: Shift) -> None:
    shift.shop.ship("v1", evals=None, images={"answers": "shop:v3"})
    await seconds(shift, 40)
    target = shift.release().status.target
    assert "v3" not in shift.shop.served and shift.live == "v1"
    assert target is not None and (target.state, target.reason) == ("Refused", "VersionNotChanged")
    assert "into spec.version" in target.message
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected on its own events", lambda: shift.target() == ("v3", "Rejected"))


@story
async def test_a_variable_set_by_hand_and_taken_away_stays_away(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    edit(shift, set_env("DEBUG", "1"))
    await seconds(shift, 10)
    edit(shift, lambda template: template["spec"]["containers"][0].pop("env"), manager="")
    await seconds(shift, 10)
    shift.shop.errors["v5"] = 0.0
    shift.shop.ship("v5", evals=None)
    await shift.until("v5 is promoted", lambda: shift.target() == ("v5", "Promoted"))
    assert env_of(shift) == []


@story
async def test_a_variable_set_in_mid_canary_starts_the_canary_again_with_it(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    edit(shift, set_env("COLOUR", "blue"))
    await shift.one_second()
    assert shift.shop.open_canaries() == [], "what ran is not what would be promoted"
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert env_of(shift) == [{"name": "COLOUR", "value": "blue"}]
    assert shift.live == "v4" and shift.release().status.revisions[0].digest == V1


@story
async def test_a_migration_in_an_init_container_changes_with_the_application(shift: Shift) -> None:
    edit(shift, lambda t: t["spec"].update(initContainers=[{"name": "migrate", "image": "shop:v1"}]))
    await seconds(shift, 5)
    shift.shop.ship("v4", evals=None, images={"answers": "shop:v4", "migrate": "shop:v4"})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None and stored["spec"]["template"]["spec"]["initContainers"][0]["image"] == "shop:v4"


@story
async def test_a_release_that_is_deleted_and_made_again_remembers_what_was_rolled_back(shift: Shift) -> None:
    await shift.mitigate()
    cluster, made = shift.shop.cluster, shift.release_object()
    await cluster.delete(RELEASES, NS, "answers")
    await seconds(shift, 3)
    meta = {"name": "answers", "namespace": NS}
    cluster.seed({**made, "metadata": meta, "spec": {**made["spec"], "evals": None}, "status": {}})
    await shift.until("v1 is adopted again", lambda: shift.release().status.live == V1)
    shift.shop.ship("v2", evals=None)
    await seconds(shift, 5)
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Refused", "Blocked")
    assert "answers-1" in target.message and shift.live == "v1"
    incident = shift.incident()
    assert incident is not None and incident.status.blocked == [V2]
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
