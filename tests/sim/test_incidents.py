"""Short stories of the Incident with opsloop's own wiring in fake time: bad versions come, and come again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from opsloop.api.incident import Incident
from opsloop.api.meta import format_time
from opsloop.core import conditions
from opsloop.shell.ports import INCIDENTS, RELEASES, RUNBOOKS
from tests.builders.objects import BURN, V1, V4
from tests.sim.operator import SETTINGS
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS, version_of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@story
async def test_pushed_again_it_is_rolled_back_at_most_twice_then_contested(shift: Shift) -> None:
    await shift.mitigate()
    for time in (2, 3):
        shift.shop.set_image("v2", manager="argocd")
        await shift.until(f"v1 is written back, time {time}", lambda n=time: shift.wrote() == ["v1"] * n, most=5)  # type: ignore[misc]
        await shift.until("resolved again", lambda: resolved(shift))
    shift.shop.set_image("v2", manager="argocd")
    await seconds(shift, 60)
    incident = shift.incident()
    assert incident is not None
    assert shift.wrote() == ["v1"] * 3
    assert conditions.is_true(incident.status.conditions, "Contested")
    assert "argocd" in str(conditions.get(incident.status.conditions, "Contested"))
    assert [p.type for p in incident.status.plays] == ["rollback"] * 3 + ["escalate"]
    assert len({p["dedup_key"] for p in shift.operator.pager.pages}) == 1


@story
async def test_a_fighter_that_pushes_faster_than_pods_start_is_contested_too(shift: Shift) -> None:
    shift.shop.set_image("v2", manager="flux")
    for _ in range(60):
        await shift.one_second()
        if shift.live == "v1":
            shift.shop.set_image("v2", manager="flux")
    assert shift.wrote() == ["v1"] * 3


@pytest.mark.parametrize("runbook", ["dryRun", "deleted"])
async def test_a_push_after_the_runbook_stopped_acting_is_asked_for_once_and_left_to_a_person(runbook: str) -> None:
    shift = Shift()
    await shift.adopt()
    await shift.mitigate()
    book = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert book is not None
    if runbook == "deleted":
        await shift.shop.cluster.delete(RUNBOOKS, NS, "bad-release")
    else:
        shift.shop.cluster.seed({**book, "spec": {**book["spec"], "safety": {"mode": runbook}}})
    await seconds(shift, 2)
    shift.shop.set_image("v2", manager="argocd")
    await seconds(shift, 60)
    incident = shift.incident()
    assert incident is not None and shift.wrote() == ["v1"]
    assert [(p.type, p.state) for p in incident.status.plays] == [
        ("rollback", "Helped"),
        ("rollback", "Refused"),
        ("escalate", "Done"),
    ]
    await shift.operator.stop()


async def test_without_a_runbook_a_person_is_paged_and_nothing_is_written() -> None:
    shift = Shift(runbook=False)
    await shift.adopt()
    shift.shop.set_image("v2")
    await seconds(shift, 30)
    incident = shift.incident()
    assert incident is not None and shift.wrote() == []
    assert [(p.type, p.reason) for p in incident.status.plays] == [("escalate", "NoRunbook")]
    assert len(shift.operator.pager.pages) == 1
    await shift.operator.stop()


@story
async def test_pushed_while_opsloop_was_down_it_is_still_blamed_and_rolled_back(shift: Shift) -> None:
    await shift.operator.stop()
    shift.shop.set_image("v2")
    for _ in range(100):
        shift.shop.tick()
    await shift.until("v1 is written back", lambda: shift.live == "v1", most=10)
    await shift.until("resolved", lambda: resolved(shift))


@story
async def test_a_fix_goes_again_as_a_canary_after_the_blocked_version_was_pushed_beside_it(shift: Shift) -> None:
    """The second rollback is on the standing grant of the first; nobody touches the Release meanwhile."""
    await shift.mitigate()
    shift.shop.ship("v4", evals=None)
    await shift.until("the fix is a canary", lambda: shift.target() == ("v4", "Stepping"))
    shift.shop.set_image("v2")
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"])
    await shift.until("the fix is a canary again", lambda: shift.target() == ("v4", "Stepping"))
    await shift.until("and is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.live == "v4"


async def test_a_blocked_version_pushed_again_hours_after_the_loop_closed_reopens_at_once() -> None:
    shift = Shift()
    await shift.play(stop=False)
    shift.shop.pass_quietly(7200)
    shift.shop.set_image("v2")
    await shift.until("v4 is written back", lambda: shift.wrote() == ["v1", "v4", "v4"], most=4)
    await shift.until("resolved", lambda: resolved(shift))
    assert shift.incident().status.reopened == 1  # type: ignore[union-attr]
    assert len(shift.shop.objects("incidents")) == 1
    await shift.operator.stop()


@story
async def test_a_second_bad_version_within_the_grace_is_rolled_back(shift: Shift) -> None:
    await shift.mitigate()
    shift.shop.set_image("v3")
    await shift.until("v1 is written back once more", lambda: shift.wrote() == ["v1", "v1"])
    await shift.until("resolved", lambda: resolved(shift))
    assert sorted(r.version for r in shift.release().status.revisions if r.blocked) == ["v2", "v3"]
    assert len(shift.shop.objects("incidents")) == 1


async def test_a_breach_within_a_configured_grace_of_two_hours_reopens_at_once() -> None:
    """Its loop is closed, so that only the changed reading requests it: without that it waits for the next resync."""
    shift = Shift(settings=replace(SETTINGS, reopen_grace=timedelta(hours=2)))
    await shift.play(stop=False)
    shift.shop.pass_quietly(45 * 60)
    shift.shop.errors["v4"] = 0.8
    await shift.until("the Incident is open again", lambda: not resolved(shift), most=10)
    incident = shift.incident()
    assert incident is not None and incident.status.reopened == 1
    assert len(shift.shop.objects("incidents")) == 1
    await shift.operator.stop()


@story
async def test_silence_after_the_rollback_does_not_resolve(shift: Shift) -> None:
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    shift.shop.silent = True
    await seconds(shift, 40)
    assert not resolved(shift)
    shift.shop.silent = False
    await shift.until("resolved", lambda: resolved(shift))


@story
async def test_a_promoted_version_that_turns_bad_is_rolled_back_to_last_good(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    shift.shop.errors["v4"] = 0.8
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    await shift.until("resolved", lambda: resolved(shift))
    release = shift.release().status
    assert [r.version for r in release.revisions if r.blocked] == ["v4"] and release.live == V1
    assert V4 in {r.digest for r in release.revisions if r.blocked}


@story
async def test_the_incident_of_a_dead_release_stays_readable(shift: Shift) -> None:
    await shift.mitigate()
    release = shift.release_object()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    shift.shop.cluster.gone(release)
    await seconds(shift, 10)
    assert Incident.model_validate(shift.shop.cluster.find(INCIDENTS, NS, "answers-1")).status.phase == "Resolved"
    assert version_of(shift.shop.objects("deployments")[0]["spec"]["template"]) == "v1"


@story
async def test_an_incident_made_by_hand_rolls_nothing_back_while_telemetry_is_unknown(shift: Shift) -> None:
    """Whoever could create Incidents had a release rolled back by a burn that nobody measured."""
    shift.shop.set_image("v4")
    await seconds(shift, 10)
    shift.shop.silent = True
    await seconds(shift, 20)
    now = format_time(shift.shop.clock.now())
    signal = {"kind": "burn", "at": now, "severity": "sev1", "burn": BURN.dump()}
    spec = {"release": "answers", "service": "answers", "title": "answers burns", "signal": signal}
    shift.shop.cluster.seed({"kind": "Incident", "metadata": {"name": "answers-1", "namespace": NS}, "spec": spec})
    await seconds(shift, 60)
    assert shift.incident() is not None and shift.wrote() == [] and shift.live == "v4"
