"""Steps without a weight behind an HTTPRoute, in fake time: testers' requests and copies reach the canary, users do not."""

import copy
from typing import Any

import pytest

from opsloop.entry.cli import unguard
from opsloop.entry.cli.commands import parser
from opsloop.shell.ports import RELEASES, Object
from tests.sim import deaths
from tests.sim.routed import RULES, Routed, story
from tests.sim.shift import seconds

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

TESTERS = {"match": {"headers": [{"name": "x-canary", "value": "yes"}]}, "hold": "5s"}
COPIES = {"mirror": {"percent": 50}, "hold": "5s"}
END = [{"weight": 20, "hold": "2s"}, {"weight": 100}]
FEATURES = ["HTTPRouteMethodMatching", "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"]


def steps(shift: Routed, *first: Object) -> None:
    """The canary's steps, before an Incident could be opened for what testers met."""
    shift.edit(strategy=shift.release_object()["spec"]["strategy"] | {"canary": {"steps": [*first, *END]}})


def gateway(shift: Routed, *features: str) -> None:
    shift.shop.cluster.seed(
        {
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": shift.shop.route()["metadata"]["namespace"]},
            "spec": {"gatewayClassName": "house"},
        }
    )
    told = {"supportedFeatures": [{"name": name} for name in features]}
    shift.shop.cluster.seed({"kind": "GatewayClass", "metadata": {"name": "house"}, "spec": {}, "status": told})


def own(shift: Routed) -> list[Object]:
    return [rule for rule in shift.shop.route()["spec"]["rules"] if rule.get("name", "").startswith("opsloop-canary-")]


async def at_rules(shift: Routed, version: str = "v4") -> None:
    shift.shop.ship(version)
    await shift.until("its rule is on the route", lambda: bool(own(shift)))


@story
async def test_testers_come_first_and_users_only_with_a_weight(shift: Routed) -> None:
    steps(shift, TESTERS)
    shift.shop.testers = 2
    await at_rules(shift)
    await seconds(shift, 4)
    assert shift.shop.tested["v4"] > 0 and "v4" not in shift.shop.served
    assert shift.release().status.weight.wanted == 0 and shift.release().status.target is not None
    before = shift.release().status.target
    assert before is not None and before.shown and before.step_words == "testers (x-canary: yes)"
    await shift.until("users get a share", lambda: shift.shop.weights().get("answers-canary") == 20)
    assert own(shift) == [], "one write takes the rule off and gives the weight"
    target = shift.release().status.target
    assert target is not None and len(target.traffic) == 1, "judged anew by what users send"
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", shift.quiet)
    assert shift.as_found() and shift.shop.unserved == 0
    writes = [w.verb for w in shift.shop.cluster.written(plural="httproutes")]
    assert writes == ["json_patch"] * 3, "the rule, the weight, and back"


@story
async def test_a_version_that_errs_on_copies_is_rejected_and_has_answered_nobody(shift: Routed) -> None:
    gateway(shift, *FEATURES)
    steps(shift, {"mirror": {"percent": 5}, "hold": "10m"})  # of more the whole service's SLI would tell, and page
    await at_rules(shift, "v3")
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=120)
    assert shift.shop.copied["v3"] > 0 and "v3" not in shift.shop.served
    assert shift.as_found()


@story
async def test_a_gateway_that_does_not_say_that_it_copies_requests_is_not_tried(shift: Routed) -> None:
    gateway(shift, "HTTPRouteMethodMatching")  # as Traefik 3.6, which answers such a rule with errors
    steps(shift, COPIES)
    await shift.until("it is said at rest", lambda: shift.condition("RouteReady") == ("False", "MirrorUnsupported"))
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "MirrorUnsupported"))
    assert "HTTPRouteRequestMirror" in str(shift.release().status.conditions)
    assert shift.target() == ("v4", "Dark") and shift.as_found()
    steps(shift, TESTERS)
    await shift.until("v4 is promoted without that step", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_a_gateway_that_cannot_be_read_is_not_tried(shift: Routed) -> None:
    steps(shift, COPIES)
    shift.shop.ship("v4")
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "MirrorUnsupported"))
    assert "opsloop may not read Gateway edge" in str(shift.release().status.conditions)


@story
async def test_a_rule_that_a_gateway_does_not_accept_is_taken_off_at_once(shift: Routed) -> None:
    steps(shift, {**TESTERS, "hold": "1h"})
    await at_rules(shift)
    shift.shop.accepts = False
    route = shift.shop.route()
    told = {"type": "PartiallyInvalid", "status": "True", "reason": "UnsupportedValue", "message": "dropped rule 2"}
    route["status"]["parents"][0]["conditions"].append(told)
    shift.shop.cluster.seed(route)
    await shift.until("it is rejected", lambda: shift.target() == ("v4", "Rejected"), most=5)
    target = shift.release().status.target
    assert target is not None and target.reason == "RuleRefused" and "dropped rule 2" in target.message
    assert shift.as_found()


@story
async def test_a_rule_that_somebody_takes_off_is_held_until_a_person_orders_more(shift: Routed) -> None:
    steps(shift, {**TESTERS, "hold": "1h"})
    await at_rules(shift)
    await seconds(shift, 3)
    shift.write(copy.deepcopy(RULES))  # `kubectl apply` of the file in git, which resets the whole list
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "WeightLower"))
    await seconds(shift, 5)
    assert own(shift) == [], "healing only lowers"
    shift.shop.annotate(RELEASES, "answers", promote="v4")
    await shift.until("the next weight", lambda: shift.shop.weights().get("answers-canary") == 20)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
    await shift.until("all is quiet", shift.quiet)
    assert shift.as_found()


@story
async def test_a_rule_that_somebody_widens_is_taken_off(shift: Routed) -> None:
    steps(shift, {**TESTERS, "hold": "1h"})
    await at_rules(shift)
    await seconds(shift, 3)
    rules = copy.deepcopy(shift.shop.route()["spec"]["rules"])
    del rules[-1]["matches"][0]["headers"]
    shift.write(rules)
    await seconds(shift, 3)
    assert own(shift) == []
    await shift.until("it is held", lambda: shift.condition("Held") == ("True", "WeightLower"))


@story
async def test_an_abort_and_an_uninstall_in_such_a_step_leave_the_route_as_it_was(shift: Routed) -> None:
    steps(shift, {**TESTERS, "hold": "1h"})
    await at_rules(shift)
    shift.shop.annotate(RELEASES, "answers", abort="v4")
    await shift.until("it is aborted", lambda: shift.target() == ("v4", "Cancelled"))
    assert shift.as_found()
    shift.shop.annotate(RELEASES, "answers", retry="1")
    await shift.until("its rule is there again", lambda: bool(own(shift)))
    await shift.operator.stop()
    arguments = parser().parse_args(["unguard", "--force", "--canaries"])
    assert await unguard.unguard(arguments, shift.shop.cluster) == 0  # type: ignore[arg-type]
    assert shift.as_found()


async def _played(die_at: int | None) -> Routed:
    """Testers, copies, a weight, promoted; somebody edits another rule of the route in mid-step."""
    shift = Routed()
    gateway(shift, *FEATURES)
    steps(shift, {**TESTERS, "hold": "1s"}, {**COPIES, "hold": "1s"})
    if die_at is not None:
        shift.shop.cluster.die_at(die_at)
    try:
        await shift.adopt()
        await at_rules(shift)
        rules = copy.deepcopy(shift.shop.route()["spec"]["rules"])
        rules[1]["backendRefs"][0]["weight"] = shift.rules[1]["backendRefs"][0]["weight"] = 9
        shift.write(rules)
        await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
        await shift.until("all is quiet", lambda: shift.quiet() and shift.release().status.route == "")
    finally:
        await shift.operator.stop()
    return shift


def _end(shift: Routed) -> Any:
    return shift.as_found(), shift.live, shift.target(), shift.release().status.route, shift.shop.unserved


@pytest.mark.simulation
@pytest.mark.soak
async def test_dying_at_any_write_from_the_first_rule_to_the_end_it_ends_the_same() -> None:
    whole = await _played(None)
    assert whole.as_found()
    routed = [n for n, write in enumerate(whole.shop.cluster.writes, 1) if write.resource.plural == "httproutes"]
    assert len(routed) == 4, "testers, copies, the weight, and back"
    for n in deaths.tried(routed[0] - 1, routed[-1] + 1):
        shift = await _played(n)
        assert _end(shift) == _end(whole), f"died at write {n}: {shift.shop.cluster.writes[n - 2 : n]}"
