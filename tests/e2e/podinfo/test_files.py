"""What the podinfo story applies: images that are built, a Release that the model takes, visitors that visit."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from e2e.cluster import images
from e2e.podinfo.visitors import visits
from e2e.stories import podinfo
from opsloop.api.release import Release
from opsloop.api.runbook import Runbook
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.tiers import tiers_of
from tests.builders import yamls

Object = dict[str, Any]
BUILT = {image.ref for image in images.IMAGES}


def objects() -> list[Object]:
    texts = [path.read_text() for path in sorted((podinfo.HOME / "manifests").glob("*.yaml"))]
    return [document for text in texts for document in yamls.load_all(text) if document]


def opsloops(kind: str) -> Object:
    texts = [path.read_text() for path in sorted((podinfo.HOME / "opsloop").glob("*.yaml"))]
    found: Object
    (found,) = [o for text in texts for o in yamls.load_all(text) if o["kind"] == kind]
    return found


def containers() -> list[Object]:
    pods = [o["spec"]["template"]["spec"] for o in objects() if o["kind"] == "Deployment"]
    return [container for pod in pods for container in pod["containers"]]


def test_every_image_of_the_story_is_built_or_pulled() -> None:
    assert {podinfo.GOOD, podinfo.BAD, podinfo.BAD_AGAIN, *(c["image"] for c in containers())} <= BUILT


def test_what_is_adopted_is_what_runs() -> None:
    release = Release.model_validate(opsloops("Release"))
    (live,) = [c for c in containers() if c["name"] == "podinfo"]
    assert release.spec.images == {"podinfo": live["image"]}
    assert release.spec.version == images.PODINFO_VERSION == live["image"].split(":")[1]
    assert Runbook.model_validate(opsloops("Runbook")).spec.safety.mode == "auto"


def test_the_release_needs_no_query_and_no_label_for_a_version() -> None:
    text = (podinfo.HOME / "opsloop" / "release.yaml").read_text()
    slo = Release.model_validate(opsloops("Release")).spec.slo
    assert "{{" not in text and slo is not None
    forms = {one.name: one.sli.requests or one.sli.latency for one in objectives(slo)}
    assert set(forms) == podinfo.OBJECTIVES and all(forms.values())


def test_each_tier_can_fire_for_each_objective() -> None:
    """The API server refuses a factor that an objective cannot reach even if every request is bad."""
    slo = Release.model_validate(opsloops("Release")).spec.slo
    assert slo is not None
    assert all(tier.factor * (1 - one.objective) < 1 for one in objectives(slo) for tier in tiers_of(one))


def test_a_bad_release_differs_from_a_good_one_in_podinfos_own_flag_alone() -> None:
    own = {image.ref: image for image in images.IMAGES if image.ref.startswith("opsloop/podinfo")}
    flags = {ref: image.args["RANDOM_ERROR"] for ref, image in own.items()}
    assert flags == {podinfo.GOOD: "false", podinfo.BAD: "true", podinfo.BAD_AGAIN: "true"}
    assert len({(image.dockerfile, image.args["VERSION"]) for image in own.values()}) == 1


@pytest.mark.asyncio
async def test_visitors_come_while_others_still_wait_for_their_answer() -> None:
    waiting, many = 0, asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 40:
            many.set()
        await many.wait()  # one visitor at a time would wait for ever
        return web.Response(status=500)

    app = web.Application()
    app.router.add_get("/", slow)
    async with TestServer(app) as server:
        task = asyncio.create_task(visits(str(server.make_url("/")), 200.0))
        await asyncio.wait_for(many.wait(), 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
