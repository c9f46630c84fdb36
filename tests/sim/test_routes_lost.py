"""Weights on an HTTPRoute that could be forgotten: each story ends with the route as it was found, or with no pod beyond its share."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from opsloop.errors import Unavailable
from opsloop.shell.ports import DEPLOYMENTS, HTTPROUTES, RELEASES, Object, Resource
from opsloop.simulator.kube.routes import accept
from tests.sim.routed import RULES, Routed, story
from tests.sim.shift import seconds
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
STEPS = {"canary": {"steps": [{"weight": 20, "hold": "30s"}, {"weight": 100}]}}


def hold_at_20(shift: Routed) -> None:
    shift.edit(strategy=shift.release_object()["spec"]["strategy"] | STEPS)


async def at_20(shift: Routed) -> None:
    shift.shop.ship("v4")
    await shift.until("the canary has 20 %", lambda: shift.shop.weights().get("answers-canary") == 20)
    await seconds(shift, 3)


def unavailable(shift: Routed, method: str, wrong: Callable[[Resource, str], bool], for_seconds: float) -> None:
    """Calls of this method that are `wrong` fail for so long."""
    real: Any = getattr(shift.shop.cluster, method)
    until = shift.shop.clock.now().timestamp() + for_seconds

    async def call(resource: Resource, namespace: str, name: str, *rest: Any, **more: Any) -> Any:
        if wrong(resource, name) and shift.shop.clock.now().timestamp() < until:
            raise Unavailable("a webhook does not answer")
        return await real(resource, namespace, name, *rest, **more)

    setattr(shift.shop.cluster, method, call)


@story
async def test_a_deployment_that_is_replaced_in_mid_canary_leaves_the_route_as_it_was(shift: Routed) -> None:
    hold_at_20(shift)
    await at_20(shift)
    stored: Object = copy.deepcopy(shift.shop.cluster.find(DEPLOYMENTS, NS, "answers") or {})
    shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    await seconds(shift, 3)
    for key in ("uid", "resourceVersion", "generation", "creationTimestamp"):
        stored["metadata"].pop(key, None)
    stored.pop("status", None)
    shift.shop.cluster.seed(stored)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await seconds(shift, 15)
    assert shift.as_found()


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param(STEPS | {"traffic": "httpRoute", "httpRoute": {"name": "shop2"}}, id="another route"),
        pytest.param(STEPS, id="pods"),
    ],
)
async def test_a_route_that_cannot_be_put_back_for_a_while_is_put_back_before_another_way_is_taken(
    strategy: dict[str, Any],
) -> None:
    shift = Routed()
    await shift.adopt()
    hold_at_20(shift)
    spec = {"parentRefs": [{"name": "edge"}], "rules": copy.deepcopy(RULES)}
    shift.shop.cluster.seed({"kind": "HTTPRoute", "metadata": {"name": "shop2", "namespace": NS}, "spec": spec})
    accept(shift.shop.cluster)
    await at_20(shift)
    unavailable(shift, "json_patch", lambda resource, name: resource is HTTPROUTES and name == "shop", 20)
    shift.by_others = True
    shift.edit(strategy=strategy)
    await seconds(shift, 140)
    assert shift.shop.weights() == {"answers": 1}
    await shift.operator.stop()


async def test_a_canary_that_was_made_for_pods_never_stands_behind_the_route() -> None:
    shift = Routed()
    strategy = shift.release_object()["spec"]["strategy"]
    shift.edit(strategy={"canary": strategy["canary"]})
    await shift.adopt()
    shift.shop.ship("v4")
    await shift.until("v4 is in traffic by pods", lambda: bool(shift.shop.open_canaries()))
    unavailable(shift, "delete", lambda resource, _: resource is DEPLOYMENTS, 8)
    shift.edit(strategy=strategy)
    await seconds(shift, 25)
    assert not (shift.shop.open_canaries() and "app" in shift.canary_labels())
    await shift.operator.stop()


class Tool:
    """A tool that owns the route's file and writes it back each second."""

    def __init__(self, shift: Routed, rules: list[Object]) -> None:
        self.shift, self.rules, self.writes = shift, rules, 0
        tick = shift.shop.tick

        def busy() -> None:
            tick()
            if shift.shop.route()["spec"]["rules"] != self.rules and shift.target()[1] != "Dark":
                self.writes += 1
                shift.write(copy.deepcopy(self.rules))
                stored = shift.shop.route()
                entry = {"manager": "argocd-controller", "operation": "Apply", "time": "2026-01-05T09:00:00Z"}
                stored["metadata"]["managedFields"] = [entry]
                shift.shop.cluster.seed(stored)

        shift.shop.tick = busy  # type: ignore[method-assign]


async def _until_contested(shift: Routed, promote: bool) -> str:
    for number in range(40):
        await shift.one_second()
        if promote and shift.condition("Held") == ("True", "WeightLower"):
            shift.shop.annotate(RELEASES, "answers", promote=f"v4 #{number}")
        if shift.target() == ("v4", "Cancelled"):
            target = shift.release().status.target
            assert target is not None and target.reason == "RouteContested"
            return target.message
    raise AssertionError(f"it fights on: {shift.release().status.target}")


@pytest.mark.parametrize(
    "raises", [False, True], ids=["it lowers, and a person orders more", "it gives the canary half"]
)
async def test_a_tool_that_writes_its_weights_back_each_second_is_named_and_left_alone(raises: bool) -> None:
    refs = [{"name": "answers", "port": 80, "weight": 1}, {"name": "answers-canary", "port": 80, "weight": 1}]
    shift = Routed()
    await shift.adopt()
    shift.edit(strategy=shift.release_object()["spec"]["strategy"] | {"canary": {"steps": [{"weight": 20, "hold": "1h"}, {"weight": 50, "hold": "1h"}, {"weight": 100}]}})  # fmt: skip
    await at_20(shift)
    tool = Tool(shift, [{**RULES[0], "backendRefs": refs}, RULES[1]] if raises else copy.deepcopy(RULES))
    assert "argocd-controller" in await _until_contested(shift, promote=not raises)
    await seconds(shift, 5)
    written = len(shift.shop.cluster.written(plural="httproutes"))
    await seconds(shift, 20)
    assert len(shift.shop.cluster.written(plural="httproutes")) == written <= 10, "no endless fight"
    assert shift.shop.route()["spec"]["rules"] == tool.rules and tool.writes > 2
    assert shift.release().status.route == "" and shift.quiet()
    await shift.operator.stop()


@story
async def test_who_writes_the_route_wakes_the_release_before_the_next_tick(shift: Routed) -> None:
    hold_at_20(shift)
    await at_20(shift)
    rules = copy.deepcopy(shift.shop.route()["spec"]["rules"])
    rules[0]["backendRefs"][1]["weight"] = 900
    shift.shop.tick()
    shift.write(rules)
    await asyncio.sleep(0.05)
    assert shift.shop.weights() == {"answers": 80, "answers-canary": 20}
