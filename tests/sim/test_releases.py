"""Short stories of the Release with opsloop's own wiring in fake time: people ship, pause and change their minds."""

import pytest

from opsloop.core import conditions
from opsloop.core.reported import Alert
from opsloop.shell.ports import DEPLOYMENTS, PODS, RELEASES
from tests.builders.objects import V1, V2
from tests.sim.shift import Shift, release_object, seconds, story
from tests.sim.shop import NS

STEPS = [{"weight": weight, "hold": "3s"} for weight in (20, 33, 50)] + [{"weight": 100}]

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def report_critical_alert(shift: Shift) -> None:
    now, labels = shift.shop.clock.now(), {"alertname": "AnswersDown", "service": "answers", "severity": "critical"}
    shift.shop.report("outage", (Alert("f1", "firing", now, labels, {}, now),))


@story
async def test_adoption_moves_nothing(shift: Shift) -> None:
    await seconds(shift, 20)
    assert shift.wrote() == []
    assert {w.resource.plural for w in shift.shop.cluster.writes} == {"releases", "runbooks", "controllerrevisions"}


@story
async def test_an_idle_cluster_is_not_written_to(shift: Shift) -> None:
    await seconds(shift, 5)
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 120)
    assert shift.shop.cluster.writes[before:] == []


@story
async def test_a_change_by_hand_in_mid_canary_ends_it_with_weight_0(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    shift.shop.set_image("v3")
    await seconds(shift, 2)
    assert shift.shop.open_canaries() == []
    target = shift.release().status.target
    assert target is not None and (target.state, target.reason) == ("Cancelled", "LiveChanged")


@story
async def test_a_third_version_in_mid_canary_starts_again_dark(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()))
    shift.shop.ship("v4", evals=None)
    await shift.one_second()
    assert shift.shop.open_canaries() == []
    await shift.until("v4 is promoted", lambda: shift.live == "v4")
    assert shift.wrote() == ["v4"]


@story
async def test_a_canary_that_harms_users_is_rejected_on_its_sli_and_blocked(shift: Shift) -> None:
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    assert shift.wrote() == [] and shift.shop.open_canaries() == []
    assert [r.version for r in shift.release().status.revisions if r.blocked] == ["v3"]


@story
async def test_silence_of_prometheus_holds_the_canary_and_resolves_nothing(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 serves", lambda: bool(shift.shop.open_canaries()))
    shift.shop.silent = True
    await seconds(shift, 40)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert shift.wrote() == [] and held is not None and held.reason == "TelemetryUnknown"
    shift.shop.silent = False
    await shift.until("v4 is promoted", lambda: shift.live == "v4")


async def test_a_prometheus_that_never_answers_beside_sixty_releases_promotes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It accepts and is silent: readings from before the silence are no reason to go on."""
    monkeypatch.setattr(
        "tests.sim.operator.MOST_RECONCILES", 200
    )  # each Release's first reading is one of the namespace's
    shift = Shift()
    for n in range(60):
        item = release_object()
        item["metadata"]["name"] = item["spec"]["workloadRef"]["name"] = f"able-{n}"  # read before answers, by name
        shift.shop.cluster.seed(item)
    await shift.adopt()
    shift.shop.ship(
        "v4", evals=None, strategy={"canary": {"steps": STEPS, "analysis": {"window": "2s", "minEvents": 5}}}
    )
    await shift.until("v4 serves a second step", lambda: shift.release().status.weight.wanted > 20)
    shift.shop.telemetry.stalled = True
    await seconds(shift, 3)
    reached = shift.release().status.weight.wanted
    await seconds(shift, 60)
    known = conditions.get(shift.release().status.conditions, "TelemetryKnown")
    assert shift.release().status.weight.wanted == reached < 100
    assert shift.wrote() == []
    assert known is not None and known.status == "False"
    shift.shop.telemetry.stalled = False
    await shift.until("v4 is promoted", lambda: shift.live == "v4")
    await shift.operator.stop()


@story
async def test_an_outage_that_the_sli_cannot_see_pages_by_its_critical_alert(shift: Shift) -> None:
    await shift.adopt()
    shift.shop.silent = True  # all pods are dead, or Prometheus is: nobody can say
    report_critical_alert(shift)
    await seconds(shift, 30)
    assert shift.operator.pager.pages == [], "silence of some seconds is no outage"
    await seconds(shift, 60)
    assert [p["severity"] for p in shift.operator.pager.pages] == ["sev2"]
    assert shift.wrote() == [], "unknown telemetry pages, and rolls nothing back"


@story
async def test_while_the_sli_is_known_a_critical_alert_alone_pages_nobody(shift: Shift) -> None:
    await shift.adopt()
    report_critical_alert(shift)
    await seconds(shift, 120)
    assert shift.incident() is not None and shift.operator.pager.pages == []


@story
async def test_a_canary_pod_lost_once_comes_back_and_lost_twice_waits_for_a_person(shift: Shift) -> None:
    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["steps"][1]["hold"] = "30s"
    shift.shop.cluster.seed(found)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 at 50", lambda: len(shift.shop.open_canaries()) == 4)
    await seconds(shift, 2)
    shift.shop.cluster.remove(PODS, NS, shift.shop.open_canaries()[0]["metadata"]["name"])
    await seconds(shift, 1)
    assert len(shift.shop.open_canaries()) == 3, "its successor starts dark"
    await shift.until("its successor takes its place", lambda: len(shift.shop.open_canaries()) == 4)
    await seconds(shift, 2)
    shift.shop.cluster.remove(PODS, NS, shift.shop.open_canaries()[0]["metadata"]["name"])
    await seconds(shift, 60)
    held = conditions.get(shift.release().status.conditions, "Held")
    assert len(shift.shop.open_canaries()) == 3 and shift.live == "v1"
    assert held is not None and held.reason == "WeightLower"
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v4 is promoted", lambda: shift.live == "v4")


@story
async def test_a_weight_beyond_the_pods_is_refused_once_and_tried_when_possible(shift: Shift) -> None:
    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["maxCanaryReplicas"] = 1
    shift.shop.cluster.seed(found)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is refused", lambda: shift.target() == ("v4", "Refused"))
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 30)
    assert len(shift.shop.cluster.writes) == before
    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["maxCanaryReplicas"] = 4
    shift.shop.cluster.seed(found)
    await shift.until("v4 is promoted", lambda: shift.live == "v4")


@story
async def test_a_blocked_target_is_refused_until_a_person_unblocks_it(shift: Shift) -> None:
    await shift.mitigate()
    shift.shop.ship("v2", evals=None)
    await shift.until("v2 is refused", lambda: shift.target() == ("v2", "Refused"))
    target = shift.release().status.target
    assert target is not None and f"unblock={V2}" in target.message
    shift.shop.annotate(RELEASES, "answers", unblock=V2)
    await shift.until("v2 is tried", lambda: shift.target()[1] == "Dark")
    assert shift.release().status.live == V1


@story
async def test_paused_holds_the_canary_but_a_rollback_still_acts(shift: Shift) -> None:
    shift.shop.ship("v4", paused=True)
    await seconds(shift, 15)
    assert shift.target() == ("v4", "Dark") and shift.shop.open_canaries() == []
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.live == "v1")


@story
async def test_the_deployment_goes_and_comes_back(shift: Shift) -> None:
    deployment = shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert deployment is not None
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    shift.shop.cluster.gone(deployment)
    await seconds(shift, 3)
    assert conditions.is_true(shift.release().status.conditions, "WorkloadMissing")
    shift.shop.cluster.seed(
        {k: v for k, v in deployment.items() if k != "status"} | {"metadata": {"name": "answers", "namespace": NS}}
    )
    await seconds(shift, 10)
    assert not conditions.is_true(shift.release().status.conditions, "WorkloadMissing")
    assert shift.wrote() == []


@story
async def test_a_change_that_only_removes_fields_is_dated_when_observed_and_baked_again(shift: Shift) -> None:
    """managedFields then name an earlier writer and time (tests/contract/test_coownership.py)."""
    shift.shop.set_image("v4", manager="helm")
    await shift.until("v4 is last-good", lambda: bool(shift.release().status.revisions[-1].proven_at))
    changed_at = shift.shop.clock.now()
    shift.shop.set_image("v3", manager="")
    await seconds(shift, 2)
    fresh = shift.release().status.revisions[-1]
    assert (fresh.version, fresh.manager, fresh.proven_at) == ("v3", "", None)
    assert fresh.live_since is not None and fresh.live_since >= changed_at
