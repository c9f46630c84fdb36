"""What the operator writes and reads is what somebody needs: no write per decimal, nothing read that it wrote itself."""

from itertools import pairwise
from typing import Any

import pytest

from opsloop.core.postmortem import render
from opsloop.core.reported import Alert
from opsloop.names import ledger_name
from opsloop.shell.ports import Object, Resource
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.test_same_revision import edit, set_env

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def statuses(shift: Shift, since: int) -> list[Object]:
    """What was stored of the Release's status, in order."""
    writes = shift.shop.cluster.writes[since:]
    return [w.body["status"] for w in writes if w.verb == "replace_status" and w.resource.plural == "releases"]


def held(status: Object) -> Object:
    return next(c for c in status["conditions"] if c["type"] == "Held")


def without_words(status: Object) -> Object:
    """But for what conditions say."""
    return {**status, "conditions": [{k: v for k, v in c.items() if k != "message"} for c in status["conditions"]]}


@story
async def test_a_promotion_takes_few_writes_none_for_words_alone(shift: Shift) -> None:
    """Two for each step, one where its share of the requests is known, and those of beginning and end."""
    since = len(shift.shop.cluster.writes)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is promoted", lambda: shift.live == "v4")
    await shift.until("all is quiet", shift.quiet)
    told = statuses(shift, since)
    assert [b for a, b in pairwise(told) if without_words(a) == without_words(b)] == []
    assert len(told) <= 14, [held(s)["message"] for s in told]


@story
async def test_the_write_that_ends_a_canary_sets_held_to_false(shift: Shift) -> None:
    since = len(shift.shop.cluster.writes)
    shift.shop.ship("v3", evals=None)
    await shift.until("v3 is rejected", lambda: shift.target() == ("v3", "Rejected"))
    await shift.until("all is quiet", shift.quiet)
    ended = next(s for s in statuses(shift, since) if s["target"]["state"] == "Rejected")
    assert (held(ended)["status"], held(ended)["reason"]) == ("False", "NoCanary")


@story
async def test_a_ledger_that_the_correlator_wrote_is_not_read_again(shift: Shift) -> None:
    cluster, read = shift.shop.cluster, list[str]()
    get = cluster.get

    async def noted(resource: Resource, namespace: str, name: str) -> Any:
        read.append(name)
        return await get(resource, namespace, name)

    cluster.get = noted  # type: ignore[method-assign]
    await shift.mitigate()
    incident = shift.incident()
    assert incident is not None and incident.status.alerts.count == 20
    assert read.count(ledger_name("answers-1")) == 0


async def test_the_postmortem_is_rendered_once_for_each_time_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a whole shift; and a new process, which knows only what is stored, renders nothing again."""
    rendered, made = list[str](), render.render

    def counted(*arguments: Any) -> str:
        rendered.append(made(*arguments))
        return rendered[-1]

    monkeypatch.setattr(render, "render", counted)
    shift = Shift()
    await shift.play(stop=False)
    stores = [
        w.body for w in shift.shop.cluster.written("apply", "configmaps") if "postmortem" in w.body["metadata"]["name"]
    ]
    assert [body["data"]["postmortem.md"] for body in stores] == rendered
    assert 1 <= len(rendered) <= 8 and len(set(rendered)) == len(rendered)
    await shift.operator.stop()
    await seconds(shift, 10)  # as a new process
    await shift.operator.stop()
    assert len(rendered) == len(stores)


@story
async def test_alerts_that_end_one_by_one_rewrite_the_postmortem_once(shift: Shift) -> None:
    await shift.mitigate()
    await shift.learn()
    incident = shift.incident()
    assert incident is not None and incident.status.alerts.firing == 20
    stored = shift.shop.cluster.written("apply", "configmaps")
    for n in range(20):
        now = shift.shop.clock.now()
        labels = {"alertname": "PodWrongAnswers", "pod": f"p{n}", "service": "answers", "severity": "critical"}
        began = incident.status.alerts.first_at
        assert began is not None
        shift.shop.report(f"end-{n}", (Alert(f"f{n}", "resolved", began, labels, {}, now, now),), ())
        await seconds(shift, 1)
    ended = shift.incident()
    assert ended is not None and ended.status.alerts.firing == 0
    assert len(shift.shop.cluster.written("apply", "configmaps")) - len(stored) == 1


@pytest.mark.parametrize("text", ['sh -c "a && b"', "https://shop/?a=1&b=<2>", "grüezi"])
async def test_a_template_whose_json_is_spelled_in_two_ways_is_rolled_back_and_promoted(text: str) -> None:
    """The API server compares bytes of JSON, and spells &, < and > as escapes."""

    async def play(shift: Shift) -> None:
        edit(shift, set_env("COMMAND", text))
        await shift.until("it is live", lambda: len(shift.release().status.revisions) == 2)
        await seconds(shift, 8)
        shift.shop.set_image("v2")
        await shift.until("v1 is written back", lambda: shift.live == "v1", most=30)
        await shift.until("resolved", lambda: resolved(shift))
        shift.shop.ship("v4", evals=None)
        await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))

    await story(play)()


async def test_a_canary_that_holds_asks_the_api_server_for_next_to_nothing() -> None:
    """All of its pods serve: what changes is watched. Stops are read once a minute, as at rest."""
    shift = Shift()
    await shift.adopt()
    shift.shop.ship("v4", evals=None)
    held = shift.release_object()
    held["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50, "hold": "2h"}, {"weight": 100}]
    shift.shop.cluster.seed(held)
    await shift.until("v4 holds at 50", lambda: shift.release().status.weight.actual == 50)
    await seconds(shift, 20)
    listed, cluster = list[str](), shift.shop.cluster
    reads = cluster.list

    async def noted(resource: Resource, *more: Any) -> list[Object]:
        listed.append(resource.plural)
        return await reads(resource, *more)

    cluster.list = noted  # type: ignore[assignment, method-assign]
    written = len(cluster.writes)
    await seconds(shift, 600)
    assert len(cluster.writes) == written and [kind for kind in listed if kind != "stops"] == []
    pod = shift.shop.open_canaries()[0]
    shift.shop.evict(pod)
    await shift.until(
        "a pod that is lost is seen, and comes back", lambda: len(shift.shop.open_canaries()) == 4, most=10
    )
    assert "pods" in listed
    await shift.operator.stop()
