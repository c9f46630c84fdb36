"""What the API server is asked before a target is taken, and how its answers are read."""

import asyncio
import copy
from typing import Any

import pytest

from opsloop.errors import Conflict, Forbidden, Invalid, LeadershipLost, Unavailable
from opsloop.shell.ports import DEPLOYMENTS, Object
from opsloop.shell.reconcile import admission
from opsloop.shell.reconcile.observe import release_facts
from opsloop.shell.reconcile.reconciler import reconcile
from tests.builders.objects import digest, template
from tests.fakes.runtime import Bench, bench
from tests.sim.shop import NS

KEY = ("Release", NS, "answers")
V4 = digest("shop:v4")
LABELS = template("shop:v1")["metadata"]["labels"]


async def shipping() -> Bench:
    """v1 is adopted, and the spec asks for v4."""
    world = bench({"kind": "Service", "metadata": {"name": "answers", "namespace": NS}, "spec": {"selector": LABELS}})
    for _ in range(2):
        await reconcile(world.runtime, KEY)
        world.see()
    stored = copy.deepcopy(world.cached("Release"))
    stored["spec"] |= {"version": "v4", "images": {"answers": "shop:v4"}}
    world.seed(stored)
    return world


def stub(world: Bench, dry_run: Any) -> None:
    cluster: Any = world.cluster
    cluster.json_patch = dry_run


def refused_with(world: Bench, error: Exception) -> list[int]:
    """Every dry run ends so; the number of those."""
    asked = [0]

    async def fail(*_: Any, **__: Any) -> Object:
        asked[0] += 1
        raise error

    stub(world, fail)
    return asked


async def answer(world: Bench) -> Any:
    facts = await release_facts(world.runtime, NS, "answers")
    assert facts is not None
    return facts.answers.get(V4)


async def test_two_dry_runs_are_made_once_for_a_new_target_and_none_when_it_is_taken() -> None:
    world = await shipping()
    tried: list[bool] = []
    patch: Any = world.cluster.json_patch

    async def counted(*arguments: Any, **options: bool) -> Object:
        tried.append(options.get("dry_run", False))
        stored: Object = await patch(*arguments, **options)
        return stored

    stub(world, counted)
    for _ in range(4):
        await reconcile(world.runtime, KEY)
        world.see()
    assert tried == [True, True]
    assert world.cached("Release")["status"]["target"]["state"] == "Dark"
    before = world.cluster.find(DEPLOYMENTS, NS, "answers")
    assert before is not None and before["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:v1"


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        pytest.param(Invalid('x: 400 admission webhook "pin.example.com" does not support dry run'), "DryRunRefused", 'admission webhook "pin.example.com" does not support dry run', id="a webhook with side effects is named"),
        pytest.param(Forbidden("denied the request: unsigned"), "AdmissionRefused", "denied the request: unsigned", id="a refusal is an answer"),
        pytest.param(Invalid("spec.template: required"), "AdmissionRefused", "spec.template: required", id="validation as well"),
        pytest.param(Unavailable("failed calling webhook"), "AdmissionUnavailable", "failed calling webhook", id="a webhook that is down is none"),
        pytest.param(Conflict("try again"), "AdmissionUnavailable", "try again", id="nor is a conflict"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_template(error: Exception, reason: str, message: str) -> None:
    world = await shipping()
    refused_with(world, error)
    given = await answer(world)
    assert (given.template, given.reason, given.message) == (None, reason, message)


async def test_an_answer_is_kept_a_minute_and_no_answer_ten_seconds() -> None:
    world = await shipping()
    asked = refused_with(world, Forbidden("no"))
    for seconds, expected in ((0, 2), (50, 2), (10, 4)):
        world.clock.advance(seconds)
        await answer(world)
        assert asked[0] == expected
    world = await shipping()
    asked = refused_with(world, Unavailable("no"))
    for seconds, expected in ((0, 2), (5, 2), (5, 4)):
        world.clock.advance(seconds)
        await answer(world)
        assert asked[0] == expected


async def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await shipping()
    monkeypatch.setattr(admission, "PATIENCE", 0.01)

    async def hang(*_: Any, **__: Any) -> Object:
        await asyncio.sleep(60)
        raise AssertionError

    stub(world, hang)
    given = await answer(world)
    assert given.reason == "AdmissionUnavailable" and "no answer within" in given.message


async def test_who_does_not_lead_does_not_ask() -> None:
    world = await shipping()

    def fenced() -> None:
        raise LeadershipLost("fenced")

    world.cluster.fence = fenced
    with pytest.raises(LeadershipLost):
        await answer(world)
