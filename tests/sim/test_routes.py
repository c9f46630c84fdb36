"""Canaries behind an HTTPRoute in fake time: users follow the weights, the route is put back, and nothing else of it is touched."""

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from opsloop.errors import Forbidden
from opsloop.names import WEIGHTS_BEFORE
from opsloop.shell.ports import HTTPROUTES, PODS, RELEASES, SERVICES, Object, Resource
from tests.sim import deaths
from tests.sim.routed import RULES, Routed, story
from tests.sim.shift import seconds
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def at_weight(shift: Routed, weight: int, version: str = "v4") -> None:
    shift.shop.ship(version)
    await shift.until(f"{version} at {weight}", lambda: shift.shop.weights().get("answers-canary") == weight)


@story
async def test_it_goes_up_by_the_routes_weights_and_leaves_it_as_it_was(shift: Routed) -> None:
    assert shift.condition("RouteReady") == ("True", "RouteReady")
    seen: list[int] = []
    shift.shop.ship("v4")

    def promoted() -> bool:
        weight = shift.shop.weights().get("answers-canary", 0)
        if weight not in seen:
            seen.append(weight)
        return shift.target() == ("v4", "Promoted")

    await shift.until("v4 is promoted", promoted)
    assert seen == [0, 20, 50]
    await shift.until("all is quiet", shift.quiet)
    assert shift.as_found() and shift.shop.unserved == 0
    assert shift.release().status.route == ""


@story
async def test_dark_it_has_no_label_by_which_live_is_found_and_the_route_is_not_touched(shift: Routed) -> None:
    shift.edit(paused=True)
    shift.shop.ship("v4")
    await shift.until("it is held dark", lambda: shift.condition("Held") == ("True", "Paused"))
    assert shift.as_found() and "app" not in shift.canary_labels()
    service = shift.shop.cluster.find(SERVICES, NS, "answers-canary")
    assert service is not None and service["spec"]["selector"] == {"opsloop.dev/canary": "answers"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    assert service["metadata"]["labels"]["team"] == "help"


@story
async def test_a_bad_version_is_rejected_and_the_route_is_as_it_was(shift: Routed) -> None:
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    assert "v3" in shift.shop.served and shift.as_found()
    await shift.until("its canary is gone", shift.quiet)
    writes = [w.verb for w in shift.shop.cluster.written(plural="httproutes")]
    assert writes == ["json_patch", "json_patch"], "one weight, and back"


@story
async def test_the_weight_goes_before_the_gates_and_the_pods(shift: Routed) -> None:
    await at_weight(shift, 20)
    before = len(shift.shop.cluster.writes)
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.until("it is aborted", lambda: shift.target() == ("v4", "Cancelled"))
    written = [(w.verb, w.resource.plural) for w in shift.shop.cluster.writes[before:]]
    order = [
        ("json_patch", "httproutes"),
        ("patch_pod_condition", "pods"),
        ("replace_status", "releases"),
        ("delete", "deployments"),
    ]
    assert [w for w in written if w in order][:4] == order
    assert shift.as_found()


@story
async def test_a_weight_that_somebody_lowers_is_held_until_a_person_orders_more(shift: Routed) -> None:
    shift.edit(
        strategy=shift.release_object()["spec"]["strategy"]
        | {"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 100}]}}
    )
    await at_weight(shift, 20)
    await seconds(shift, 3)
    shift.write(copy.deepcopy(RULES))  # `kubectl apply` of the file in git, which resets the whole list
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "WeightLower"))
    await seconds(shift, 10)
    assert shift.shop.weights() == {"answers": 1}, "healing only lowers"
    shift.shop.annotate(RELEASES, "answers", promote="v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", shift.quiet)
    assert shift.as_found()


@story
async def test_a_weight_that_somebody_raises_is_lowered_within_a_look(shift: Routed) -> None:
    shift.edit(
        strategy=shift.release_object()["spec"]["strategy"]
        | {"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 100}]}}
    )
    await at_weight(shift, 20)
    await seconds(shift, 3)
    rules = copy.deepcopy(shift.shop.route()["spec"]["rules"])
    rules[0]["backendRefs"][1]["weight"] = 900
    shift.write(rules)
    await seconds(shift, 2)
    assert shift.shop.weights() == {"answers": 80, "answers-canary": 20}


@story
async def test_a_release_that_is_deleted_in_mid_canary_leaves_the_route_as_it_was(shift: Routed) -> None:
    await at_weight(shift, 20)
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    await seconds(shift, 3)
    assert shift.as_found()


async def test_a_release_that_is_deleted_while_no_operator_runs_leaves_the_route_as_it_was() -> None:
    shift = Routed()
    await shift.adopt()
    await at_weight(shift, 20)
    await shift.operator.stop()
    shift.shop.cluster.remove(RELEASES, NS, "answers")
    assert not shift.as_found()
    await seconds(shift, 5)
    assert shift.as_found()
    await shift.operator.stop()


@story
async def test_traffic_by_pods_again_in_mid_canary_puts_the_route_back_and_starts_again(shift: Routed) -> None:
    await at_weight(shift, 20)
    canary = shift.release_object()["spec"]["strategy"]["canary"]
    shift.edit(strategy={"canary": canary})
    await shift.until("the route is as it was", shift.as_found)
    await shift.until(
        "it starts again, by pods", lambda: shift.target() == ("v4", "Dark") and "app" in shift.canary_labels()
    )
    assert shift.condition("RouteReady") == ("Unknown", "ByPods")
    await shift.until("its Service goes", lambda: shift.shop.cluster.find(SERVICES, NS, "answers-canary") is None)


@story
async def test_a_route_that_is_deleted_in_mid_canary_is_held_and_said(shift: Routed) -> None:
    await at_weight(shift, 20)
    await seconds(shift, 2)
    shift.shop.cluster.remove(HTTPROUTES, NS, "shop")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "RouteMissing"))
    assert shift.condition("RouteReady") == ("False", "RouteMissing")
    shift.write(copy.deepcopy(RULES))
    await shift.until("lower than it was", lambda: shift.condition("Held") == ("True", "WeightLower"))
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.as_found()


@story
async def test_with_no_pod_of_the_canary_ready_the_route_sends_it_nothing(shift: Routed) -> None:
    shift.edit(
        strategy=shift.release_object()["spec"]["strategy"]
        | {"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 100}]}}
    )
    await at_weight(shift, 20)
    await seconds(shift, 3)
    for pod in shift.shop.open_canaries():
        shift.shop.cluster.remove(PODS, NS, pod["metadata"]["name"])
    await shift.until("weight 0", lambda: "answers-canary" not in shift.shop.weights(), most=3)
    await shift.until("it is back with the pod", lambda: shift.shop.weights().get("answers-canary") == 20)
    assert shift.shop.unserved <= 2 * 0.2 * shift.shop.rps


def refused(shift: Routed, text: str) -> Callable[[], None]:
    """The API server refuses every write of a route, until what is returned is called."""
    write: Any = shift.shop.cluster.json_patch
    stands = [True]

    async def patch(resource: Resource, *rest: Any, **more: Any) -> Object:
        if resource is HTTPROUTES and stands[0]:
            raise Forbidden(text)
        result: Object = await write(resource, *rest, **more)
        return result

    setattr(shift.shop.cluster, "json_patch", patch)  # noqa: B010 - mypy would not have a method replaced

    def allow() -> None:
        stands[0] = False

    return allow


@story
async def test_a_weight_that_the_api_server_refuses_is_held_with_its_words(shift: Routed) -> None:
    allow = refused(shift, "admission webhook denied: frozen")
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "WriteRefused"))
    assert "frozen" in str(shift.release().status.conditions)
    allow()
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.as_found()


@story
async def test_a_stop_in_mid_canary_raises_nothing_and_lets_an_abort_put_the_route_back(shift: Routed) -> None:
    await at_weight(shift, 20)
    meta = {"name": "now", "namespace": "opsloop"}
    shift.shop.cluster.seed({"kind": "Stop", "metadata": meta, "spec": {"reason": "alice: the site is on fire"}})
    await seconds(shift, 20)
    assert shift.shop.weights() == {"answers": 80, "answers-canary": 20}
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.until("it is as it was", shift.as_found)


async def test_from_pods_to_a_route_in_mid_canary_it_starts_again_without_the_labels() -> None:
    shift = Routed()
    strategy = shift.release_object()["spec"]["strategy"]
    shift.edit(strategy={"canary": strategy["canary"]})
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("v4 is in traffic by pods", lambda: bool(shift.shop.open_canaries()))
    assert "app" in shift.canary_labels()
    shift.edit(strategy=strategy)
    await shift.until("its weight is on the route", lambda: shift.shop.weights().get("answers-canary") == 20)
    assert "app" not in shift.canary_labels()
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.as_found()
    await shift.operator.stop()


@pytest.mark.parametrize(
    ("http_route", "rules", "reason"),
    [
        pytest.param({"name": "other"}, None, "RouteMissing", id="there is no such route"),
        pytest.param({"name": "shop", "service": "web"}, None, "RuleMissing", id="no rule has the Service"),
        pytest.param({"name": "shop", "rules": ["pay"]}, None, "RuleMissing", id="no rule of that name has it"),
        pytest.param({"name": "shop", "service": "files"}, None, "ServiceMissing", id="the Service has other pods"),
        pytest.param(
            {"name": "shop"},
            [
                {
                    "backendRefs": [
                        {"name": "answers", "port": 80, "weight": 1},
                        {"name": "answers", "port": 81, "weight": 1},
                    ]
                }
            ],
            "RuleAmbiguous",
            id="a rule has the Service twice",
        ),
        pytest.param(
            {"name": "shop"},
            [
                {
                    "backendRefs": [
                        {"name": "answers", "port": 80, "weight": 100},
                        {"name": "lost", "port": 80, "weight": 100},
                    ]
                }
            ],
            "RefsNotResolved",
            id="a Gateway does not find a Service",
        ),
    ],
)
async def test_what_stands_in_the_way_is_said_at_rest_and_holds_the_canary_dark(
    http_route: Object, rules: list[Object] | None, reason: str
) -> None:
    shift = Routed(rules, http_route)
    await shift.adopt()
    await shift.until("it is said", lambda: shift.condition("RouteReady") == ("False", reason))
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", reason))
    assert shift.target() == ("v4", "Dark") and shift.as_found()
    await shift.operator.stop()


@story
async def test_a_route_that_no_gateway_has_taken_is_held(shift: Routed) -> None:
    shift.shop.accepts = False
    route = shift.shop.route()
    shift.shop.cluster.seed({**route, "status": {"parents": []}})
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "RouteNotAccepted"))
    shift.shop.accepts = True
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


async def test_beside_other_backends_their_weights_stay_and_the_share_is_of_the_services_part() -> None:
    refs = [{"name": "answers", "port": 80, "weight": 80}, {"name": "files", "port": 80, "weight": 20}]
    shift = Routed([{"backendRefs": refs}])
    await shift.adopt()
    await at_weight(shift, 16)
    assert shift.shop.weights() == {"answers": 64, "files": 20, "answers-canary": 16}
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    assert shift.as_found()
    await shift.operator.stop()


async def test_a_ref_to_the_canary_that_the_team_keeps_in_git_is_used_and_left_as_it_was() -> None:
    refs = [{"name": "answers", "port": 80, "weight": 1}, {"name": "answers-canary", "port": 80, "weight": 0}]
    shift = Routed([{"backendRefs": refs}])
    await shift.adopt()
    assert shift.condition("RouteReady") == ("True", "RouteReady"), "its Service is there at rest"
    await at_weight(shift, 20)
    assert shift.shop.weights() == {"answers": 80, "answers-canary": 20}
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", lambda: shift.quiet() and shift.release().status.route == "")
    assert shift.as_found()
    await shift.operator.stop()


async def test_a_weight_that_whole_numbers_cannot_say_is_held_before_anything_starts() -> None:
    refs = [{"name": "answers", "port": 80, "weight": 3}, {"name": "files", "port": 80, "weight": 1}]
    shift = Routed([{"backendRefs": refs}])
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "RouteWeightUnreachable"))
    assert not shift.shop.objects("httproutes")[0]["metadata"].get("annotations", {}).get(WEIGHTS_BEFORE)
    await shift.operator.stop()


async def _played(die_at: int | None, play: Callable[[Routed], Awaitable[None]]) -> tuple[Routed, int]:
    shift = Routed()
    if die_at is not None:
        shift.shop.cluster.die_at(die_at)
    try:
        await shift.adopt()
        await play(shift)
    finally:
        await shift.operator.stop()
    return shift, len(shift.shop.cluster.writes)


async def _promoted(shift: Routed) -> None:
    shift.shop.ship("v4")
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", lambda: shift.quiet() and shift.release().status.route == "")


async def _rejected(shift: Routed) -> None:
    shift.shop.ship("v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    await shift.until("all is quiet", lambda: shift.quiet() and shift.release().status.route == "")


async def _by_pods_again(shift: Routed) -> None:
    await at_weight(shift, 20)
    shift.edit(strategy={"canary": shift.release_object()["spec"]["strategy"]["canary"]})
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", lambda: shift.quiet() and shift.release().status.route == "")


def _end(shift: Routed) -> Any:
    status = shift.release().status
    services = [s["metadata"]["name"] for s in shift.shop.objects("services")]
    return shift.as_found(), shift.live, shift.target(), status.route, services, shift.shop.unserved


PLAYS: list[Callable[[Routed], Awaitable[None]]] = [_promoted, _rejected, _by_pods_again]


@pytest.mark.simulation
@pytest.mark.soak
@pytest.mark.parametrize("play", PLAYS)
async def test_dying_at_any_write_it_ends_the_same(play: Callable[[Routed], Awaitable[None]]) -> None:
    whole, writes = await _played(None, play)
    assert whole.as_found()
    for n in deaths.tried(1, writes, 3 * PLAYS.index(play)):
        shift, _ = await _played(n, play)
        assert _end(shift) == _end(whole), f"died at write {n}: {shift.shop.cluster.writes[n - 2 : n]}"
