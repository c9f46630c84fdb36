"""Whole-operator stories about an API server that stores another template than the one that was written."""

import copy
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from opsloop.core import conditions
from opsloop.errors import Forbidden, Unavailable
from opsloop.shell.ports import Object
from opsloop.simulator.fakes.cluster import FakeDeath
from tests.sim import deaths
from tests.sim.shift import Shift, seconds, story
from tests.sim.test_same_revision import edit, set_env

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def rewriting(change: Callable[[Object], None]) -> Callable[[Object], Object]:
    """Admission that changes the pod template of every Deployment."""

    def admission(obj: Object) -> Object:
        if obj["kind"] == "Deployment":
            obj = copy.deepcopy(obj)
            change(obj["spec"]["template"])
        return obj

    return admission


def pin(template: Object) -> None:
    """shop:v4 → shop@sha256:v4, as a policy does that resolves tags."""
    container = template["spec"]["containers"][0]
    if "@" not in container["image"]:
        container["image"] = container["image"].replace(":", "@sha256:")


def complete(template: Object) -> None:
    """One more field with its default, as a newer API server writes it."""
    template["spec"].setdefault("schedulerName", "default-scheduler")


def said(shift: Shift) -> tuple[str, str, str]:
    found = conditions.get(shift.release().status.conditions, "StoredAsDecided")
    return (found.status, found.reason, found.message) if found else ("", "", "")


def target_end(shift: Shift) -> tuple[str, str]:
    target = shift.release().status.target
    return (target.state, target.reason) if target else ("", "")


def by_hand(shift: Shift) -> list[str]:
    return [r.version for r in shift.release().status.revisions if r.shipped_without_canary]


def pinned_from_the_start(play: Callable[[Shift], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A story in a cluster whose policy had resolved the live image before the Release came."""

    async def test() -> None:
        shift = Shift()
        shift.shop.cluster.admission = rewriting(pin)
        edit(shift, set_env("COLOUR", "red"))
        try:
            await seconds(shift, 20)
            await play(shift)
        finally:
            await shift.operator.stop()

    test.__name__ = play.__name__
    return test


@pinned_from_the_start
async def test_adoption_of_a_pinned_image_moves_nothing_and_the_spec_names_what_is_live(shift: Shift) -> None:
    assert shift.wrote() == [] and shift.shop.cluster.written(plural="deployments") == []
    status = shift.release().status
    assert target_end(shift) == ("Promoted", "SpecBackToLive") and status.version == "v1"
    assert [r.images for r in status.revisions] == [{"answers": "shop@sha256:v1"}]
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 30)
    assert len(shift.shop.cluster.writes) == before


@pinned_from_the_start
async def test_a_promotion_of_a_pinned_image_ends_as_one_and_writes_the_template_once(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 10)
    assert shift.wrote() == ["v4"] and by_hand(shift) == [] and said(shift) == ("", "", "")
    assert shift.release().status.revisions[-1].images == {"answers": "shop@sha256:v4"}
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is live already", lambda: target_end(shift) == ("Promoted", "SpecBackToLive"))
    shift.shop.ship("v3", evals=None)
    await seconds(shift, 5)
    assert target_end(shift) == ("Refused", "Blocked"), "a tag that is resolved to a blocked image is blocked"
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 70)
    assert len(shift.shop.cluster.writes) == before


@story
async def test_a_rollback_that_a_new_policy_rewrites_is_done_not_refused(shift: Shift) -> None:
    shift.shop.cluster.admission = rewriting(pin)
    await shift.mitigate()
    await seconds(shift, 10)
    status = shift.release().status
    assert status.rollback is not None and (status.rollback.state, status.rollback.reason) == ("Done", "")
    assert shift.wrote() == ["v1"] and by_hand(shift) == ["sha256:v2"]
    state, reason, message = said(shift)
    assert (state, reason) == ("False", "AdmissionChanged")
    assert "/spec/containers/0/image: shop:v1 → shop@sha256:v1" in message


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
async def test_a_process_that_dies_at_a_write_that_is_rewritten_ends_the_same(after: bool) -> None:
    async def play(shift: Shift) -> None:
        cluster: Any = shift.shop.cluster
        cluster.admission = rewriting(pin)
        write = cluster.json_patch

        async def die(*arguments: Any, dry_run: bool = False, strict: bool = False) -> Any:
            if not dry_run:
                cluster.json_patch = write
                if after:
                    await write(*arguments)
                raise FakeDeath
            return await write(*arguments, dry_run=True, strict=strict)

        cluster.json_patch = die
        shift.shop.set_image("v2")
        await shift.until("v1 is written back", lambda: shift.live == "v1")
        await seconds(shift, 15)
        rollback = shift.release().status.rollback
        assert shift.operator.deaths == 1 and shift.wrote() == ["v1"]
        assert rollback is not None and (rollback.state, rollback.attempt) == ("Done", 1)
        assert by_hand(shift) == ["sha256:v2"]

    await story(play)()


@story
async def test_a_new_api_server_that_completes_a_field_makes_nothing_drift(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None, strategy=SLOW)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 2)
    await upgrade(shift)
    await seconds(shift, 12)  # its share of the requests is told once, after the analysis window
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 5)
    assert shift.shop.cluster.writes[before:] == [] and shift.target() == ("v4", "Stepping")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 10)
    status = shift.release().status
    assert shift.wrote() == ["v4"] and by_hand(shift) == [] and len(status.revisions) == 2
    assert not conditions.is_true(status.conditions, "Drifted")
    before = len(shift.shop.cluster.writes)
    await upgrade(shift)
    await seconds(shift, 10)
    assert len(shift.shop.cluster.writes) - before <= 2, "a restart alone"


SLOW = {
    "canary": {"steps": [{"weight": 20, "hold": "20s"}, {"weight": 100}], "analysis": {"window": "2s", "minEvents": 5}}
}


async def upgrade(shift: Shift) -> None:
    """The API server is replaced by a newer one: what is stored is read with one more field, and nothing was written."""
    await shift.operator.stop()
    shift.shop.cluster.admission = rewriting(complete)
    for deployment in shift.shop.objects("deployments"):
        complete(deployment["spec"]["template"])


@story
async def test_a_field_that_admission_fills_anew_each_time_is_left_out_and_shown(shift: Shift) -> None:
    numbers = itertools.count()

    def stamp(template: Object) -> None:
        template["metadata"].setdefault("annotations", {})["policy.example.com/seen"] = str(next(numbers))

    shift.shop.cluster.admission = rewriting(stamp)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 10)
    assert shift.wrote() == ["v4"] and by_hand(shift) == []
    state, reason, message = said(shift)
    assert (state, reason) == ("False", "AdmissionNotDeterministic")
    assert "/metadata/annotations/policy.example.com~1seen" in message


@story
async def test_an_image_that_admission_chooses_anew_each_time_is_refused_until_it_is_decided(shift: Shift) -> None:
    numbers = itertools.count()

    def choose(template: Object) -> None:
        template["spec"]["containers"][0]["image"] = f"shop@sha256:{next(numbers)}"

    shift.shop.cluster.admission = rewriting(choose)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is refused", lambda: target_end(shift) == ("Refused", "AdmissionNotDeterministic"))
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 50)
    assert len(shift.shop.cluster.writes) == before and shift.wrote() == []
    shift.shop.cluster.admission = rewriting(pin)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_where_dry_runs_are_refused_the_images_that_the_canary_ran_are_promoted(shift: Shift) -> None:
    shift.shop.cluster.admission = rewriting(pin)
    shift.shop.cluster.webhook_without_dry_run = "pin.example.com"
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 10)
    assert by_hand(shift) == []
    writes = shift.shop.cluster.written("json_patch", "deployments")
    assert [w.body[-1]["value"]["spec"]["containers"][0]["image"] for w in writes] == ["shop@sha256:v4"]
    state, reason, message = said(shift)
    assert (state, reason) == ("Unknown", "DryRunRefused") and "pin.example.com" in message


@pytest.mark.parametrize("dry_run", [True, False], ids=["asked before", "shown by the canary"])
async def test_a_tag_that_moves_in_mid_canary_brings_nothing_to_live_that_the_canary_did_not_run(dry_run: bool) -> None:
    tags = {"shop:v1": "v1", "shop:v4": "v4"}

    def resolve(template: Object) -> None:
        container = template["spec"]["containers"][0]
        if container["image"] in tags:
            container["image"] = f"shop@sha256:{tags[container['image']]}"

    async def play(shift: Shift) -> None:
        shift.shop.cluster.admission = rewriting(resolve)
        shift.shop.cluster.webhook_without_dry_run = "" if dry_run else "pin.example.com"
        shift.shop.ship("v4", evals=None)
        await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
        tags["shop:v4"] = "v3"
        await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
        await seconds(shift, 5)
        assert shift.live == "v4" and "v3" not in shift.shop.served

    await story(play)()


@story
async def test_a_template_that_the_api_server_would_refuse_is_refused_at_once_and_starts_when_it_would_not(
    shift: Shift,
) -> None:
    def refuse(obj: Object) -> Object:
        if obj["kind"] != "Deployment":
            return obj
        raise Forbidden("admission webhook denied the request: images must be signed")

    shift.shop.cluster.admission = refuse
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is refused", lambda: target_end(shift) == ("Refused", "AdmissionRefused"))
    target = shift.release().status.target
    assert target is not None and "images must be signed" in target.message
    shift.shop.cluster.admission = lambda obj: obj
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_while_the_api_server_cannot_say_what_it_would_store_a_target_waits_with_a_reason(shift: Shift) -> None:
    def fail(obj: Object) -> Object:
        if obj["kind"] != "Deployment":
            return obj
        raise Unavailable("failed calling webhook: connection refused")

    shift.shop.cluster.admission = fail
    shift.shop.ship("v4", evals=None)
    await seconds(shift, 30)
    state, reason, message = said(shift)
    assert (state, reason) == ("Unknown", "AdmissionUnavailable") and "connection refused" in message
    shift.shop.cluster.admission = lambda obj: obj
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert said(shift)[0] == "True"


@pytest.mark.parametrize("dry_run", [True, False], ids=["asked before", "shown by the write"])
async def test_an_image_that_admission_puts_back_ends_with_its_reason_after_one_write_at_most(dry_run: bool) -> None:
    async def play(shift: Shift) -> None:
        def put_back(obj: Object) -> Object:
            if obj["kind"] == "Deployment" and obj["metadata"]["name"] == "answers":
                obj["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:v1"
            return obj

        shift.shop.cluster.admission = put_back
        shift.shop.cluster.webhook_without_dry_run = "" if dry_run else "freeze.example.com"
        shift.shop.ship("v4", evals=None)
        end = ("Refused" if dry_run else "Rejected", "AdmissionChanged")
        await shift.until("v4 has ended", lambda: target_end(shift) == end)
        await seconds(shift, 20)
        assert shift.wrote() == ([] if dry_run else ["v4"]) and shift.live == "v1"

    await story(play)()


async def rolled_back_and_shipped(n: int = 0, after: bool = False) -> tuple[int, Object]:
    """A bad push, its rollback and a good version under a policy that came with the push; killed at the n-th write since."""
    shift = Shift()
    try:
        await shift.adopt()
        shift.shop.cluster.admission = rewriting(pin)
        before = len(shift.shop.cluster.writes)
        if n:
            shift.shop.cluster.die_at(n, after)
        shift.shop.set_image("v2")
        await shift.until("v1 is written back", lambda: shift.live == "v1")
        await shift.until("resolved", lambda: (i := shift.incident()) is not None and i.status.phase == "Resolved")
        shift.shop.ship("v4", evals=None)
        await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
        await shift.until("all is quiet", shift.quiet)
        status, incident = shift.release().status, shift.incident()
        assert incident is not None and status.rollback is not None
        end = {
            "deaths": shift.operator.deaths if n else 1,
            "wrote": shift.wrote(),
            "by hand": by_hand(shift),
            "blocked": [r.version for r in status.revisions if r.blocked],
            "rollback": (status.rollback.state, status.rollback.attempt),
            "plays": [(p.type, p.attempt, p.state) for p in incident.status.plays],
            "live": (status.version, shift.live),
        }
        return len(shift.shop.cluster.writes) - before, end
    finally:
        await shift.operator.stop()


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
async def test_killed_at_any_write_under_a_policy_that_rewrites_it_ends_the_same(after: bool) -> None:
    count, end = await rolled_back_and_shipped()
    assert end["wrote"] == ["v1", "v4"] and end["by hand"] == ["sha256:v2"] and end["rollback"] == ("Done", 1)
    for n in deaths.tried(1, count, after * deaths.HALF):
        _, killed = await rolled_back_and_shipped(n, after)
        assert (n, killed) == (n, end)
