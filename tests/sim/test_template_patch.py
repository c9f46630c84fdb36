"""Whole-operator stories about spec.templatePatch: canaried like an image, gone with the next target that does not name it."""

from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.errors import Invalid
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, Object
from tests.sim.shift import Shift, seconds, story
from tests.sim.shop import NS
from tests.sim.test_same_revision import edit, env_of, set_env

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

RED = {"spec": {"containers": [{"name": "answers", "env": [{"name": "COLOUR", "value": "red"}]}], "priority": 7}}
MISSPELT = {"spec": {"containers": [{"name": "answer", "env": []}]}}


def ship(shift: Shift, version: str, patch: Object | None = None, images: bool = True, **spec: Any) -> None:
    """Edits version, images and patch of the Release."""
    stored = shift.shop.cluster.find(RELEASES, NS, "answers")
    assert stored is not None
    stored["spec"] |= {"version": version, "evals": None, "images": {"answers": f"shop:{version}"}, **spec}
    for field, value in (("templatePatch", patch), ("images", images or None)):
        if value is None:
            stored["spec"].pop(field, None)
    if patch is not None:
        stored["spec"]["templatePatch"] = patch
    shift.shop.cluster.seed(stored)


def template(shift: Shift) -> Object:
    stored = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    found: Object = stored["spec"]["template"]
    return found


async def promoted(shift: Shift, version: str) -> None:
    await shift.until(f"{version} is promoted", lambda: shift.target() == (version, "Promoted"))


def said(shift: Shift, kind: str) -> tuple[str, str, str]:
    found = conditions.get(shift.release().status.conditions, kind)
    assert found is not None
    return found.status, found.reason, found.message


@story
async def test_a_patch_is_canaried_and_a_dropped_one_goes_with_the_next_target(shift: Shift) -> None:
    before = template(shift)
    ship(shift, "v4", RED)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    assert env_of(shift) == []
    canary = shift.shop.open_canaries()[0]["spec"]["containers"][0]
    assert canary["env"] == [{"name": "COLOUR", "value": "red"}]
    await promoted(shift, "v4")
    assert env_of(shift) == [{"name": "COLOUR", "value": "red"}] and template(shift)["spec"]["priority"] == 7
    blue = {"spec": {"containers": [{"name": "answers", "env": [{"name": "SHADE", "value": "blue"}]}]}}
    ship(shift, "v5", blue)
    await promoted(shift, "v5")
    assert env_of(shift) == [{"name": "SHADE", "value": "blue"}] and "priority" not in template(shift)["spec"]
    ship(shift, "v4")
    await promoted(shift, "v4")
    now = template(shift)
    assert now["spec"]["containers"][0].pop("image") == "shop:v4"
    before["spec"]["containers"][0].pop("image")
    assert now == before


@story
async def test_a_change_by_hand_is_the_next_base(shift: Shift) -> None:
    ship(shift, "v4", RED)
    await promoted(shift, "v4")
    edit(shift, set_env("BY_HAND", "1"))
    await seconds(shift, 3)
    ship(shift, "v5", RED)
    await promoted(shift, "v5")
    assert [one["name"] for one in env_of(shift)] == ["COLOUR", "BY_HAND"]
    ship(shift, "v4")
    await promoted(shift, "v4")
    assert [one["name"] for one in env_of(shift)] == ["BY_HAND"]


@story
async def test_a_patch_alone_ships_without_images_and_is_undone(shift: Shift) -> None:
    ship(shift, "v1", RED, images=False, slo=None)
    await shift.until("it is live", lambda: env_of(shift) == [{"name": "COLOUR", "value": "red"}])
    await promoted(shift, "v1")
    revisions = shift.release().status.revisions
    assert [(r.images, bool(r.patch), r.base) for r in revisions] == [
        ({"answers": "shop:v1"}, False, ""),
        ({"answers": "shop:v1"}, True, revisions[0].digest),
    ]
    shift.shop.annotate(RELEASES, "answers", undo="v1")
    await shift.until("the template before is back", lambda: env_of(shift) == [])
    await seconds(shift, 5)
    status = shift.release().status
    assert status.rollback is not None and status.rollback.state == "Done"


@story
async def test_a_patch_that_does_not_fit_is_refused_with_its_field_until_it_does(shift: Shift) -> None:
    ship(shift, "v4", MISSPELT)
    await shift.until("it is refused", lambda: shift.target() == ("v4", "Refused"))
    await seconds(shift, 2)
    text = "spec.templatePatch.spec.containers: answer has no image; the Deployment has answers"
    assert said(shift, "SpecResolved") == ("False", "PatchInvalid", text)
    assert said(shift, "Shipped")[1:] == ("PatchInvalid", text)
    writes = len(shift.shop.cluster.writes)
    await seconds(shift, 30)
    assert len(shift.shop.cluster.writes) == writes
    ship(shift, "v4", RED)
    await promoted(shift, "v4")
    assert said(shift, "SpecResolved")[0] == "True"


@story
async def test_what_the_api_server_refuses_of_a_patch_is_said_in_its_words(shift: Shift) -> None:
    def strict(obj: Object) -> Object:
        if obj["kind"] == "Deployment" and "priority" in obj["spec"]["template"]["spec"]:
            raise Invalid('strict decoding error: unknown field "spec.template.spec.priorty"')
        return obj

    shift.shop.cluster.admission = strict
    ship(shift, "v4", RED)
    await shift.until("it is refused", lambda: shift.target() == ("v4", "Refused"))
    assert said(shift, "StoredAsDecided")[1] == "AdmissionRefused"
    assert 'unknown field "spec.template.spec.priorty"' in said(shift, "Shipped")[2]


async def until_it_serves(shift: Shift) -> None:
    await shift.adopt()
    ship(shift, "v4", RED)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))


async def test_killed_at_a_write_before_its_canary_serves_a_patch_ends_the_same() -> None:
    whole = Shift()
    await until_it_serves(whole)
    await whole.operator.stop()
    kinds = [write.resource.plural for write in whole.shop.cluster.writes]
    first = kinds.index("controllerrevisions", kinds.index("controllerrevisions") + 1)  # v4's, recorded just before
    for n, after in ((first, False), (first, True), (first + 1, False), (first + 2, False)):
        shift = Shift()
        shift.shop.cluster.die_at(n, after)
        await until_it_serves(shift)
        await shift.operator.stop()
        pods = [[pod["spec"] for pod in one.shop.open_canaries()] for one in (shift, whole)]
        told = [[(r.version, r.patch, r.base) for r in one.release().status.revisions] for one in (shift, whole)]
        assert (n, pods[0], told[0]) == (n, pods[1], told[1])
