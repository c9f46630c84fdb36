"""Last-good kept warm in fake time: started before the promotion writes, dark, first to go, first to serve after a rollback."""

import copy
from typing import Any

import pytest

from opsloop.shell.ports import DEPLOYMENTS, RELEASES
from tests.sim import deaths
from tests.sim.routed import RULES, RoutedShop
from tests.sim.shift import resolved, seconds
from tests.sim.shop import NS, version_of
from tests.sim.warm import Warm, story, warm_release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@story
async def test_a_rollback_sends_users_to_them_before_it_writes_the_template(shift: Warm) -> None:
    writes = [(w.verb, w.resource.plural, w.name) for w in shift.shop.cluster.writes]
    started = writes.index(("apply", "deployments", "answers-warm"))
    assert started < writes.index(("json_patch", "deployments", "answers")), "before the promoted template"
    assert [version_of(p) for p in shift.pods()] == ["v1", "v1"] and shift.dark()
    assert shift.condition() == ("True", "KeptWarm")
    owners = shift.deployment("answers-warm")["metadata"]["ownerReferences"]
    assert [one["kind"] for one in owners] == ["Release"], "it goes with the Release"

    shift.shop.start_up = 10  # live pods of v1 take their time
    before = len(shift.shop.cluster.writes)
    await shift.turn_bad()
    await shift.until("warm pods serve", lambda: len(shift.shop.open_warm()) == 2)
    assert shift.live == "v1", "the template was written in the same look"
    written = [(w.verb, w.resource.plural, w.name) for w in shift.shop.cluster.writes[before:]]
    gates = [n for n, w in enumerate(written) if w[0] == "patch_pod_condition"]
    template = written.index(("json_patch", "deployments", "answers"))
    assert len(gates) == 2 and max(gates) < template and not [w for w in written if w[:2] == ("json_patch", "pods")]
    assert all(pod["metadata"]["labels"].get("app") == "answers" for pod in shift.shop.open_warm()), "by the same write"
    await seconds(shift, 1)
    assert shift.share("v1") >= 2 / 6
    await shift.until("resolved", lambda: resolved(shift))
    await shift.until("the warm pods are gone", shift.gone)
    assert shift.state() == ("Over", "TookOver") and shift.quiet()
    rollback, incident = shift.release().status.rollback, shift.incident()
    assert rollback is not None and (rollback.state, rollback.warm) == ("Done", 2) and rollback.warm_at is not None
    assert incident is not None
    told = [e for e in incident.status.timeline if e.key.startswith("warm-")]
    assert [(e.at, e.message) for e in told] == [(rollback.warm_at, "2 warm pods of v1 take traffic")]
    assert shift.release().status.revisions[-1].blocked is not None, "the revision that was left is blocked as ever"


@story
async def test_after_its_time_it_goes_without_having_served(shift: Warm) -> None:
    await shift.until("it is gone", shift.gone)
    assert shift.state() == ("Over", "WindowOver") and shift.condition() == ("False", "WindowOver")
    live, warm = shift.release().status.revisions[-1].live_since, shift.release().status.warm
    assert live is not None and warm is not None and warm.until is not None
    assert 60 <= (warm.until - live).total_seconds() <= 61
    before = len(shift.shop.cluster.writes)
    await seconds(shift, 5)
    assert len(shift.shop.cluster.writes) == before, "nothing is written when nothing changes"


@story
async def test_it_gives_way_to_a_new_canary_and_then_to_a_lack_of_room(shift: Warm) -> None:
    shift.shop.ship("v5")
    await shift.until("it is gone", shift.gone, most=15)
    assert shift.state() == ("Over", "NewCanary")
    await shift.until("v5 is promoted", lambda: shift.target() == ("v5", "Promoted"))
    await shift.until("another one is warm", lambda: shift.state() == ("Warm", "KeptWarm"))
    assert {version_of(p) for p in shift.pods()} == {"v4"}, "v4 is last-good by now"
    shift.shop.quota = 'pods "answers" is forbidden: exceeded quota: pods'
    shift.shop.change(replicas=6)
    await shift.until("it is gone", shift.gone, most=10)
    assert shift.state() == ("Over", "NoRoom")


@story
async def test_a_way_back_that_lacks_room_gets_that_of_warm_pods_one_by_one(shift: Warm) -> None:
    shift.shop.quota = 'pods "answers" is forbidden: exceeded quota: pods'
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("warm pods serve", lambda: len(shift.shop.open_warm()) == 2)
    await shift.until("one makes room", lambda: len(shift.pods()) == 1, most=20)
    await seconds(shift, 12)
    assert len(shift.shop.open_warm()) == 1, "the last one stays"
    shift.shop.quota = ""
    await shift.until("the warm pods are gone", shift.gone)
    assert shift.state() == ("Over", "TookOver") and shift.live == "v1"


async def test_a_proven_version_that_the_spec_goes_back_to_takes_no_steps_and_its_warm_pods_serve() -> None:
    shift = Warm(backWithin="1h")
    await shift.adopt()
    await shift.promote()
    shift.shop.start_up = 6
    shift.shop.ship("v1")
    await shift.until("warm pods serve", lambda: len(shift.shop.open_warm()) == 2, most=5)
    assert not shift.shop.open_canaries() and shift.target() == ("v1", "Promoting")
    await shift.until("v1 is promoted", lambda: shift.target() == ("v1", "Promoted"))
    await shift.until("the warm pods are gone", shift.gone)
    assert shift.state() == ("Over", "TookOver") and shift.wrote() == ["v4", "v1"]
    await shift.operator.stop()


async def test_pods_that_do_not_start_hold_the_promotion_for_the_wait_alone() -> None:
    shift = Warm()
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("v4 in traffic", lambda: len(shift.shop.open_canaries()) > 0)
    shift.shop.start_up = 25
    await shift.until("promoting", lambda: shift.target() == ("v4", "Promoting"))
    begun = shift.second
    await shift.until("the template is written", lambda: shift.live == "v4")
    assert 10 <= shift.second - begun <= 12
    await shift.operator.stop()


@story
async def test_a_user_s_deployment_of_that_name_stays(shift: Warm) -> None:
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers-warm")
    other = {**shift.deployment(), "metadata": {"name": "answers-warm", "namespace": NS, "labels": {}}}
    shift.shop.cluster.seed({**other, "kind": "Deployment"})
    await shift.until("it says so", lambda: shift.state() == ("Over", "WriteRefused"), most=15)
    assert "opsloop.dev/warm" not in str(shift.deployment("answers-warm")["spec"]["selector"])


def routed() -> Warm:
    strategy: dict[str, Any] = {"traffic": "httpRoute", "httpRoute": {"name": "shop"}}
    return Warm(shop=RoutedShop(warm_release(None, **strategy)))


async def test_behind_a_route_all_of_the_traffic_moves_at_once_and_back() -> None:
    shift = routed()
    shop = shift.shop
    assert isinstance(shop, RoutedShop)
    await shift.adopt()
    await shift.promote()
    assert shift.dark() and shop.route()["spec"]["rules"] == RULES
    shop.start_up = 10
    shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("all of it", lambda: shop.weights() == {"answers": 0, "answers-warm": 100}, most=6)
    assert not any("app" in p["metadata"]["labels"] for p in shift.pods()), "they have a Service of their own"
    rollback = shift.release().status.rollback
    await shift.until(
        "in effect", lambda: (r := shift.release().status.rollback) is not None and bool(r.effect_at), most=3
    )
    assert rollback is not None and shift.condition("RouteReady") == ("False", "WarmOnRoute")
    shop.served.clear()
    await seconds(shift, 2)
    assert shop.served == {"v1"} and shop.unserved == 0
    await shift.until("the route is as it was", lambda: shop.route()["spec"]["rules"] == RULES)
    await shift.until("the warm pods are gone", shift.gone)
    assert shop.unserved == 0 and "opsloop" not in str(shop.route()["metadata"].get("annotations"))
    await shift.operator.stop()


# --- the operator dies


async def _undone(shift: Warm) -> None:
    """To the end, or at least for a minute: v4 is promoted, and a person goes back from it."""
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("v4 is live", lambda: shift.live == "v4")
    await shift.until("v1 is warm", lambda: shift.state()[0] == "Warm")
    shift.shop.start_up = 4
    shift.shop.annotate(RELEASES, "answers", undo="v4")
    await shift.until("v1 is live", lambda: shift.live == "v1")
    await shift.until("the warm pods are gone", lambda: shift.gone() and shift.state()[0] == "Over")
    await seconds(shift, 3)


def _end(shift: Warm) -> Any:
    rollback = shift.release().status.rollback  # how many warm pods served is not known where nobody watched
    route = copy.deepcopy(shift.shop.route()["spec"]) if isinstance(shift.shop, RoutedShop) else None
    versions = sorted(version_of(p) for p in shift.shop.objects("pods"))
    return shift.state(), shift.live, rollback and rollback.state, shift.wrote(), versions, route


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("make", [pytest.param(Warm, id="by pods"), pytest.param(routed, id="by a route")])
async def test_dying_at_any_write_it_ends_the_same(make: Any) -> None:
    whole = make()
    await _undone(whole)
    await whole.operator.stop()
    count = len(whole.shop.cluster.writes)
    begun = next(n for n, w in enumerate(whole.shop.cluster.writes) if w.name == "answers-warm")
    for n in deaths.tried(begun - 1, count):
        shift = make()
        shift.shop.cluster.die_at(n, n % 16 < 8)
        await _undone(shift)
        await shift.operator.stop()
        assert (n, shift.operator.deaths) == (n, 1)
        assert (n, _end(shift)) == (n, _end(whole)), shift.shop.cluster.writes[n - 2 : n]
