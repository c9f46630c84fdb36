"""Weight 0 waits for nothing: not for names that hang, nor for a gate that cannot be closed."""

import asyncio
from typing import Any

import pytest

from opsloop.api.eval_request import EvalRequest
from opsloop.core.facts import ProbeReply
from opsloop.errors import Unavailable
from opsloop.shell.ports import CONTROLLERREVISIONS, DEPLOYMENTS, EVALCASES, RELEASES, Labels, Object, Resource
from tests.builders.objects import template
from tests.sim.shift import Shift, release_object, seconds, story
from tests.sim.shop import NS
from tests.sim.test_evals import EVALS, add_case

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def add_release(shift: Shift, name: str, slo: Object | None = None) -> None:
    """Another Release of the namespace, on a Deployment of its own."""
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template("shop:v1", app=name)}
    shift.shop.cluster.seed({"kind": "Deployment", "metadata": {"name": name, "namespace": NS}, "spec": spec})
    body = release_object()
    body["metadata"]["name"] = name
    body["spec"] |= {"workloadRef": {"name": name}, "slo": slo}
    shift.shop.cluster.seed({**body, "spec": {k: v for k, v in body["spec"].items() if v is not None}})


def ship(shift: Shift, name: str, version: str, **spec: Any) -> None:
    """Edits another Release."""
    stored = shift.shop.cluster.find(RELEASES, NS, name)
    assert stored is not None
    stored["spec"] |= {"version": version, "images": {"answers": f"shop:{version}"}, **spec}
    shift.shop.cluster.seed(stored)


@story
async def test_weight_0_does_not_wait_behind_names_that_hang(shift: Shift) -> None:
    read: Any = shift.shop.cluster.list

    async def hanging(resource: Resource, namespace: str, labels: Any = None) -> list[Object]:
        if resource is CONTROLLERREVISIONS and "hung" in str(labels):
            await asyncio.sleep(10_000)
        found: list[Object] = await read(resource, namespace, labels)
        return found

    shift.shop.ship("v3", evals=None)
    await shift.until("v3 serves", lambda: bool(shift.shop.open_canaries()))
    shift.shop.cluster.list = hanging  # type: ignore[method-assign]
    for n in range(6):
        add_release(shift, f"hung-{n}")
    shift.shop.set_image("v4")  # a change by hand in mid-canary: weight 0
    await seconds(shift, 3)
    assert shift.shop.open_canaries() == [] and shift.target() == ("v3", "Cancelled")


@story
async def test_one_gate_that_cannot_be_closed_keeps_no_bad_canary(shift: Shift) -> None:
    close: Any = shift.shop.cluster.patch_pod_condition
    stuck = list[str]()

    async def refusing(namespace: str, pod: str, uid: str, condition: Object, labels: Labels | None = None) -> Object:
        if condition["status"] == "False" and pod in stuck:
            raise Unavailable("the API server does not answer for this pod")
        stored: Object = await close(namespace, pod, uid, condition, labels)
        return stored

    found = shift.release_object()
    found["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50}, {"weight": 100}]
    shift.shop.cluster.seed(found)
    shift.shop.errors["v3"] = 0.25  # at half of the traffic: below a page, which would end it first
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 serves", lambda: len(shift.shop.open_canaries()) == 4)
    stuck.append(shift.shop.open_canaries()[0]["metadata"]["name"])
    shift.shop.cluster.patch_pod_condition = refusing  # type: ignore[method-assign]
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"), most=20)
    await seconds(shift, 2)
    assert shift.shop.cluster.find(DEPLOYMENTS, NS, "answers-canary") is None
    assert shift.shop.open_canaries() == []


@story
async def test_slow_queries_of_a_hundred_releases_delay_no_rollback_of_another(shift: Shift) -> None:
    slow = release_object()["spec"]["slo"]
    slow["sli"] = {name: text.replace("version=~", 'job="slow",version=~') for name, text in slow["sli"].items()}
    for n in range(100):
        add_release(shift, f"able-{n:03}", slow)  # by name before `answers`

    shift.shop.telemetry.slow['job="slow"'] = 0.75  # not long enough to be given up
    await seconds(shift, 30)
    shift.shop.set_image("v2")
    await shift.until("v1 is written back", lambda: shift.wrote() == ["v1"], most=12)


@story
async def test_cases_of_another_team_that_hang_keep_no_promotion_waiting(shift: Shift) -> None:
    """50 cases of 20 repeats whose pods take each request and never answer, and two of ours."""
    prober: Any = shift.shop.prober
    ask = prober.ask

    async def hanging(pod_ip: str, request: EvalRequest, secrets: Any) -> ProbeReply:
        if "hang" in request.path:
            await asyncio.sleep(3)
            return ProbeReply(0, "", "no answer within 3 s")
        reply: ProbeReply = await ask(pod_ip, request)
        return reply

    prober.ask = hanging
    add_release(shift, "theirs")
    await seconds(shift, 5)
    for n in range(50):
        add_case(shift, f"theirs-{n}")
        stored = shift.shop.cluster.find(EVALCASES, NS, f"theirs-{n}")
        assert stored is not None
        stored["spec"] |= {"release": "theirs", "request": {"path": "/hang", "port": 8080}}
        shift.shop.cluster.seed(stored)
    add_case(shift, "ours")
    ship(shift, "theirs", "v4", evals=EVALS)
    await seconds(shift, 10)
    shift.shop.ship("v4", evals=EVALS)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=60)
