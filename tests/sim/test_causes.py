"""Stories of blame with opsloop's own wiring in fake time: what changed, what did not matter, and what is not known."""

import pytest

from opsloop.shell.ports import DEPLOYMENTS, RUNBOOKS
from tests.sim.shift import Shift, release_object, resolved, runbook_object, seconds
from tests.sim.shop import NS, Shop
from tests.sim.test_plays import adopted_for_hours, ordinary
from tests.sim.test_safety import add_release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime, pytest.mark.simulation]  # hours of a service each


@pytest.mark.parametrize("length", [60, 180])
async def test_an_outage_of_a_minute_rolls_back_no_version_that_has_served_well_for_half_an_hour(length: int) -> None:
    """All requests fail because of a database; v4 was pushed half an hour ago, met its SLO and is last-good."""
    shift = ordinary()
    shift.shop.errors |= {"v4": 0.0005}
    await adopted_for_hours(shift)
    shift.shop.set_image("v4")
    await seconds(shift, 10)
    shift.shop.pass_quietly(30 * 60)
    await seconds(shift, 3)
    shift.shop.errors |= {"v4": 1.0, "v1": 1.0}
    await seconds(shift, length)
    shift.shop.errors |= {"v4": 0.0005, "v1": 0.0005}
    await seconds(shift, 60)
    incident, release = shift.incident(), shift.release().status
    assert shift.wrote() == [] and [r.version for r in release.revisions if r.blocked] == []
    if incident is not None or length > 60:  # one of a minute may be over before a tier fires
        await shift.until("resolved", lambda: resolved(shift), most=900)
        incident, release = shift.incident(), shift.release().status
        assert incident is not None and incident.status.cause is not None
        assert shift.wrote() == [] and [r.version for r in release.revisions if r.blocked] == []
        assert (incident.status.cause.kind, incident.status.cause.reason) == ("unknown", "NoneOfThese")
        assert "none of these" in str(incident.status.cause.evidence)
    await shift.operator.stop()


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param(120, id="for two hours it is what is usual"),
        pytest.param(15, id="for a quarter of an hour it is neither usual nor the harm"),
        pytest.param(5, id="for five minutes"),
    ],
)
async def test_a_smoulder_above_the_budget_does_not_hide_the_deploy_that_made_it_an_outage(minutes: int) -> None:
    shift = ordinary()
    await adopted_for_hours(shift)
    shift.shop.errors |= {"v1": 0.0011, "v2": 0.9}  # 1.1 times the budget
    shift.shop.pass_quietly(minutes * 60)
    await seconds(shift, 3)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=150)
    incident = shift.incident()
    assert incident is not None and incident.status.cause is not None
    assert incident.status.cause.version == "v2" and incident.status.cause.confidence > 0.8
    await shift.operator.stop()


async def test_a_bad_canary_that_the_sli_does_not_tell_from_live_is_taken_out_and_live_stays() -> None:
    """v4 became live a quarter of an hour ago; now v2 is a canary that errs, and the SLI counts both together."""
    release, book = release_object(), runbook_object()
    release["spec"]["slo"]["sli"] = {"good": "good[{{window}}]", "total": "total[{{window}}]"}
    release["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50, "hold": "1h"}, {"weight": 100}]
    release["spec"].pop("evals")
    shift = Shift(shop=Shop(release, book))
    await shift.adopt()
    shift.shop.set_image("v4")
    await seconds(shift, 5)
    shift.shop.pass_quietly(15 * 60)
    shift.shop.ship("v2")
    await shift.until("v2 is a canary", lambda: shift.release().status.weight.actual >= 40)
    await shift.until("it is taken out", lambda: shift.target() == ("v2", "Cancelled"))
    await shift.until("resolved", lambda: resolved(shift))
    incident, status = shift.incident(), shift.release().status
    assert incident is not None and incident.status.cause is not None
    assert shift.wrote() == [] and [r.version for r in status.revisions if r.blocked] == []
    assert incident.status.cause.version == "v2"
    assert [(p.type, p.state) for p in incident.status.plays] == [("rollback", "Helped")]
    await shift.operator.stop()


async def test_below_the_wanted_confidence_nothing_is_undone_and_the_page_has_the_ranking() -> None:
    shift = Shift()
    await shift.adopt()
    book = shift.shop.cluster.find(RUNBOOKS, NS, "bad-release")
    assert book is not None
    shift.shop.cluster.seed({**book, "spec": {**book["spec"], "safety": {"minConfidence": 1.0}}})
    shift.shop.set_image("v2")
    await seconds(shift, 90)
    incident = shift.incident()
    assert incident is not None and shift.wrote() == []
    assert [(p.type, p.reason) for p in incident.status.plays] == [
        ("rollback", "NotSureEnough"),
        ("escalate", "Escalated"),
    ]
    assert "none of these" in incident.status.plays[-1].message
    assert "none of these" in str(shift.operator.pager.pages[-1])
    await shift.operator.stop()


async def test_a_version_that_erred_while_it_was_a_canary_is_a_suspect_once_somebody_makes_it_live() -> None:
    """The SLI does not tell revisions apart: for 40 minutes the canary's share of errors burns, and below what pages."""
    shift = ordinary()
    found = shift.release_object()
    found["spec"]["slo"]["sli"] = {"good": "good[{{window}}]", "total": "total[{{window}}]"}
    found["spec"]["strategy"]["canary"]["steps"] = [{"weight": 20, "hold": "3h"}, {"weight": 100}]
    found["spec"].pop("evals")
    shift.shop.cluster.seed(found)
    shift.shop.errors |= {"v4": 0.05}
    await adopted_for_hours(shift)
    shift.shop.ship("v4")
    await shift.until("v4 is a canary", lambda: bool(shift.shop.open_canaries()))
    await seconds(shift, 5)
    shift.shop.pass_quietly(40 * 60)
    await seconds(shift, 5)
    assert shift.incident() is None
    shift.shop.set_image("v4")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=900)
    incident = shift.incident()
    assert incident is not None and incident.status.cause is not None and incident.status.cause.version == "v4"
    await shift.operator.stop()


async def test_a_dependency_that_changed_a_moment_ago_is_blamed_before_an_own_change_of_55_minutes_ago() -> None:
    shift = ordinary()
    shift.shop.errors |= {"v4": 0.0005}
    add_release(shift, "catalog")  # nobody measures it
    found = shift.release_object()
    found["spec"]["dependsOn"] = ["catalog"]
    shift.shop.cluster.seed(found)
    await adopted_for_hours(shift)
    shift.shop.set_image("v4")
    await seconds(shift, 10)
    shift.shop.pass_quietly(55 * 60)
    await seconds(shift, 3)
    changed = shift.shop.cluster.find(DEPLOYMENTS, NS, "catalog")
    assert changed is not None
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:v2"
    shift.shop.cluster.seed(changed)
    await seconds(shift, 10)
    shift.shop.errors |= {"v4": 0.9, "v1": 0.9}  # each request of answers asks catalog
    await shift.until(
        "an Incident has a cause", lambda: (i := shift.incident()) is not None and i.status.cause is not None, most=150
    )
    await seconds(shift, 60)
    incident = shift.incident()
    assert incident is not None and incident.status.cause is not None
    assert shift.wrote() == [], "the version that served well for an hour stays"
    assert incident.status.cause.version != "v4"
    await shift.operator.stop()
