"""What is decided on the weights of an HTTPRoute: one look at a time."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.core import http_route
from opsloop.core.actions import DeleteCanary, EnsureCanary, EnsureCanaryService, SetGates, SetRoute
from opsloop.core.facts import Beside, Refusal, ReleaseFacts, RouteFacts
from opsloop.core.http_route import Backends
from opsloop.shell.reconcile import routes
from opsloop.simulator.fakes.cluster import json_patch
from tests.builders.objects import V4, at, release
from tests.builders.rollouts import (
    HOLD,
    NOW,
    actions_of,
    canary,
    condition_of,
    decide,
    end_of,
    facts,
    status_after,
    status_with,
    target,
)

BACKENDS = Backends("answers", "answers-canary")
ROUTE = {"name": "shop"}
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}]


def stored(weight: int = 0, seen: int = 3, **found: str) -> dict[str, Any]:
    """The route `shop` with this share for the canary; its Gateway has seen generation `seen` of 3."""
    meta = {"name": "shop", "namespace": "shop", "generation": 3}
    plain = {"metadata": meta, "spec": {"rules": [{"backendRefs": [{"name": "answers", "port": 80, "weight": 1}]}]}}
    conditions = [
        {"type": kind, "status": found.get(kind, "True"), "message": "no", "observedGeneration": seen}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    told = {**plain, "status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}}
    return json_patch(told, http_route.moved(told, "answers", BACKENDS, weight)) if weight else told


def service(name: str = "answers", **labels: str) -> dict[str, Any]:
    selector = {"app": "answers"} if name == "answers" else {"opsloop.dev/canary": "answers"}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"selector": selector, "ports": PORTS}}


OWN = {"opsloop.dev/canary": "answers", "opsloop.dev/release": "answers"}
SERVICES = {"answers": service(), "answers-canary": service("answers-canary", **OWN)}
SELECTORS = ({"matchLabels": {"app": "answers"}},)


def look(state: str = "Stepping", route: Any = None, steps: Any = HOLD, weight: int = 20, **more: Any) -> ReleaseFacts:
    """v4 at weight 20 with its pod ready; the route as `stored` by default gives it nothing yet."""
    base: dict[str, Any] = {"route": ROUTE, "reached_at": None, **more.pop("target", {})}
    if state == "Stepping" and "state" not in base:
        base |= {"weight": weight}
    strategy = {"traffic": "httpRoute", "httpRoute": ROUTE, "canary": {"steps": steps}}
    moved = {"route": "shop"} if state != "Dark" else {}
    status = status_with(target(base.pop("state", state), **base), **(moved | more.pop("status", {})))
    beside = Beside(selectors=SELECTORS, services=SERVICES)
    found = RouteFacts("shop", stored() if route is None else route)
    given = {"canary": canary(1, 1), "beside": beside, "routes": {"shop": found}, **more}
    return facts(release(version="v4", dependsOn=[], strategy=strategy), status, **given)


def raised(situation: ReleaseFacts) -> list[tuple[int, Any]]:
    return [(a.weight, a.expect) for a in decide(situation).actions if isinstance(a, SetRoute)]


def lowered(situation: ReleaseFacts) -> list[int]:
    return [a.weight for a in decide(situation).safety if isinstance(a, SetRoute)]


@pytest.mark.parametrize(
    ("situation", "writes"),
    [
        pytest.param(look(), [(20, (0.0, 0.0))], id="its pods are ready in traffic: the decided weight, from what was seen"),
        pytest.param(look(canary=canary(1, 0)), [], id="the gate is opened first"),
        pytest.param(look(canary=canary(1, 1, ready=False)), [], id="its pod is not ready yet"),
        pytest.param(look(canary=canary(0)), [], id="it has no pod yet"),
        pytest.param(look(route=stored(20)), [], id="it is there already"),
        pytest.param(look(weight=50, route=stored(20), canary=canary(2, 2), target={"routed": 20, "step": 1, "pods": 2}), [(50, (20.0, 20.0))], id="from one step to the next"),
        pytest.param(look(route=stored(Accepted="False")), [], id="no Gateway takes the route"),
        pytest.param(look(refusals=(Refusal("route", V4, "frozen", at(105)),)), [], id="it was refused just now"),
        pytest.param(look(refusals=(Refusal("route", V4, "frozen", NOW),)), [(20, (0.0, 0.0))], id="it is tried again after a while"),
        pytest.param(look("Dark", canary=canary(1, 0)), [], id="dark it gets nothing"),
    ],
)  # fmt: skip
def test_it_is_raised_to_what_was_decided_and_only_with_pods(situation: ReleaseFacts, writes: Any) -> None:
    assert raised(situation) == writes


@pytest.mark.parametrize(
    ("situation", "weights"),
    [
        pytest.param(look(route=stored(35), target={"routed": 20}), [20], id="somebody raised it"),
        pytest.param(look(route=stored(35)), [0], id="somebody raised it before anything was reached"),
        pytest.param(look("Dark", route=stored(20), canary=canary(1, 0)), [0], id="dark, it has a share"),
        pytest.param(look(route=stored(20), target={"routed": 20}, canary=canary(1, 1, ready=False)), [0], id="none of its pods is ready"),
        pytest.param(look("Promoting", route=stored(50), target={"routed": 50}, canary=canary(4, 4)), [], id="promoted, it keeps what it had"),
        pytest.param(look("Promoting", route=stored(90), target={"routed": 50}, canary=canary(4, 4)), [50], id="promoted, somebody raised it"),
        pytest.param(look(route=stored(20), target={"routed": 20}), [], id="it is as decided"),
    ],
)  # fmt: skip
def test_what_is_above_is_lowered_as_safety(situation: ReleaseFacts, weights: list[int]) -> None:
    assert lowered(situation) == weights


@pytest.mark.parametrize(
    ("situation", "held"),
    [
        pytest.param(look(route=stored(5), target={"routed": 20, "reached_at": at(50)}), ("True", "WeightLower"), id="somebody lowered it"),
        pytest.param(look(route=stored(20, seen=2), target={"traffic": [at(95)]}), ("False", "Holding"), id="its Gateway is about to take it"),
        pytest.param(look(route=stored(20, seen=2), target={"traffic": [at(60)]}), ("True", "RouteNotTaken"), id="its Gateway does not take it"),
        pytest.param(look(route=stored(20, ResolvedRefs="False"), target={"routed": 20}), ("True", "RefsNotResolved"), id="its Gateway does not find a Service"),
        pytest.param(look(routes={"shop": RouteFacts("shop", None, "RouteMissing")}), ("True", "RouteMissing"), id="the route is gone"),
        pytest.param(look("Dark", canary=None, beside=None), ("True", "Unreadable"), id="nobody may say which labels to leave out"),
        pytest.param(look("Dark", canary=None, beside=Beside(services={"answers": service()})), ("True", "CanaryServiceMissing"), id="its Service is being made"),
        pytest.param(look("Dark", canary=None, beside=Beside(services=SERVICES | {"answers-canary": service("answers-canary")})), ("True", "CanaryServiceMissing"), id="a Service of that name is somebody else's"),
    ],
)  # fmt: skip
def test_it_is_held_and_says_why(situation: ReleaseFacts, held: tuple[str, str]) -> None:
    assert condition_of(status_after(situation), "Held") == held


def test_the_weight_is_reached_when_the_route_has_it_and_its_gateway_too() -> None:
    status = status_after(look(route=stored(20)))
    assert status.target is not None and (status.target.routed, status.target.reached_at) == (20, NOW)
    assert status.weight.wanted == status.weight.actual == 20


def test_its_pods_do_not_get_the_labels_by_which_live_is_found() -> None:
    (grown,) = actions_of(look("Dark", canary=None), EnsureCanary)
    assert grown.without == ("app",)


def test_its_service_has_ports_and_labels_of_lives() -> None:
    alone = Beside(selectors=SELECTORS, services={"answers": service(team="help")})
    (made,) = actions_of(look("Dark", canary=None, beside=alone), EnsureCanaryService)
    assert (made.name, dict(made.labels), list(made.ports)) == ("answers-canary", {"team": "help"}, PORTS)
    assert actions_of(look("Dark", canary=None), EnsureCanaryService) == [], "it is there"


def test_an_end_puts_the_route_back_then_closes_gates_then_deletes() -> None:
    situation = look(route=stored(20), target={"routed": 20, "route": {"name": "other"}}, status={"route": "shop"})
    decision = decide(situation)
    assert end_of(situation) == ("Cancelled", "TrafficChanged")
    assert [type(action) for action in decision.safety] == [SetRoute, SetGates]
    assert [action for action in decision.actions if isinstance(action, DeleteCanary)]


@pytest.mark.parametrize(
    ("route", "ended", "deleted"),
    [
        pytest.param(stored(50), 99, False, id="the route still has its weight"),
        pytest.param(stored(seen=2), 99, False, id="its Gateway has not taken that it is back"),
        pytest.param(stored(seen=2), 80, True, id="it never does"),
        pytest.param(stored(), 99, True, id="it has"),
    ],
)
def test_pods_of_a_promoted_canary_end_when_nobody_is_sent_to_them(route: Any, ended: int, deleted: bool) -> None:
    done = {"state": "Promoted", "weight": 100, "ended_at": at(ended), "routed": 50}
    situation = look("Promoting", route=route, target=done, canary=canary(4, 4))
    assert bool(actions_of(situation, DeleteCanary)) == deleted


def test_a_route_that_cannot_be_put_back_is_told() -> None:
    done = {"state": "Cancelled", "ended_at": at(99), "routed": 20}
    refused = (Refusal("route", V4, "frozen", at(105)),)
    situation = look(route=stored(20), target=done, canary=None, refusals=refused)
    assert condition_of(status_after(situation), "RouteReady") == ("False", "WriteRefused") and lowered(situation) == [
        0
    ]


def test_a_route_that_is_back_is_forgotten() -> None:
    done = {"state": "Cancelled", "ended_at": at(99), "routed": 20}
    assert status_after(look(target=done, canary=None)).route == ""


def of_both() -> Any:
    """The route, on which the canary of Release pay has half of another rule."""
    route = stored()
    route["spec"]["rules"].append({"backendRefs": [{"name": "pay", "port": 80, "weight": 1}]})
    return json_patch(route, http_route.moved(route, "pay", Backends("pay", "pay-canary"), 50))


def test_a_route_that_another_releases_canary_has_is_waited_for() -> None:
    assert condition_of(status_after(look("Dark", route=of_both())), "Held") == ("True", "RouteTaken")


def test_what_another_release_has_moved_is_not_put_back() -> None:
    action = SetRoute("answers", "shop", Backends("answers", "answers-canary"), 0, None, "")
    assert routes._operations(of_both(), action) == []


def test_a_canary_that_was_unready_for_one_look_is_not_told_as_lowered_by_somebody() -> None:
    one = look(route=stored(20), target={"routed": 20, "reached_at": at(90), "served": 1})
    assert one.canary is not None
    pods = tuple(replace(pod, ready=False, containers_ready=False) for pod in one.canary.pods)
    status = status_after(replace(one, canary=replace(one.canary, pods=pods)))
    again = one.release.model_copy(update={"status": status})
    back = replace(one, routes={"shop": RouteFacts("shop", stored())}, release=again)
    assert condition_of(status_after(back), "Held")[1] != "WeightLower"
