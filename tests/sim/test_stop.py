"""Stories of the emergency stop: it is set, seen and taken away in the middle of everything that opsloop does."""

import asyncio
from collections.abc import Mapping

import pytest

from opsloop.api.eval_request import EvalRequest
from opsloop.core import conditions
from opsloop.core.facts import ProbeReply
from opsloop.errors import Unavailable
from opsloop.shell.ports import STOPS, Object, Resource
from tests.sim.shift import Shift, resolved, seconds, story
from tests.sim.shop import NS

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
OWN = "opsloop"  # namespace of the operator
DEADLINE = 60  # seconds; a stop may last longer


def stop(shift: Shift, namespace: str = OWN) -> None:
    meta = {"name": "now", "namespace": namespace}
    shift.shop.cluster.seed({"kind": "Stop", "metadata": meta, "spec": {"reason": "alice: the site is on fire"}})


def go_on(shift: Shift, namespace: str = OWN) -> None:
    shift.shop.cluster.remove(STOPS, namespace, "now")


def said(shift: Shift, type_: str) -> tuple[str, str]:
    found = conditions.get(shift.release().status.conditions, type_)
    return (found.status, found.reason) if found else ("", "")


def acting(shift: Shift) -> str:
    incident = shift.incident()
    found = conditions.get(incident.status.conditions, "Acting") if incident else None
    return found.reason if found else ""


def acts(shift: Shift) -> list[str]:
    """Every write so far that a Stop forbids: templates, canaries, opened gates, quarantined pods."""
    found = []
    for write in shift.shop.cluster.writes:
        if (write.verb, write.resource.plural) in (("json_patch", "deployments"), ("apply", "deployments")):
            found.append(f"{write.verb} {write.name}")
        if (write.verb, write.resource.plural) == ("create", "pods"):
            found.append(f"pod {write.name}")
        if write.verb == "patch_pod_condition" and write.body["status"] == "True":
            found.append(f"open {write.name}")
    return found


def asked(shift: Shift) -> int:
    return len(shift.operator.fakes.prober.asked)


def pages(shift: Shift) -> list[str]:
    return [f"{p['action']} {p['reason']}" for p in shift.operator.pager.pages]


@pytest.mark.parametrize("namespace", [pytest.param(OWN, id="for all namespaces"), pytest.param(NS, id="for this one")])
async def test_nothing_is_rolled_back_while_stopped_and_people_are_paged(namespace: str) -> None:
    shift = Shift()
    await shift.adopt()
    stop(shift, namespace)
    await seconds(shift, 2)
    assert shift.release().status.phase == "Stopped" and said(shift, "Stopped") == ("True", "Stopped")
    shift.shop.set_image("v2")
    await shift.until("paged", lambda: bool(pages(shift)))
    await seconds(shift, 300)
    assert acts(shift) == [] and shift.live == "v2" and acting(shift) == "Stopped"
    assert "alice: the site is on fire" in shift.operator.pager.pages[0]["details"]["stopped"]
    incident = shift.incident()
    assert incident is not None and [e.type for e in incident.status.timeline].count("Stopped") == 1
    go_on(shift, namespace)
    await shift.until("v1 is back", lambda: shift.live == "v1", most=30)
    await shift.until("resolved", lambda: resolved(shift))
    assert said(shift, "Stopped") == ("False", "Resumed") and shift.release().status.phase != "Stopped"
    posted = [reason for name, reason in shift.operator.events.posted if name == "answers"]
    assert posted.count("Stopped") == posted.count("Resumed") == 1
    await shift.operator.stop()


@story
async def test_one_of_another_namespace_stops_nothing_here(shift: Shift) -> None:
    stop(shift, "billing")
    shift.shop.set_image("v2")
    await shift.until("v1 is back", lambda: shift.live == "v1")
    assert said(shift, "Stopped") == ("", "")


@story
async def test_a_canary_stays_at_its_weight_and_goes_on_from_there(shift: Shift) -> None:
    shift.shop.change(progressDeadlineSeconds=DEADLINE)
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 at 20", lambda: bool(shift.shop.open_canaries()))
    stop(shift)
    await seconds(shift, 2)
    opened, before, requests = len(shift.shop.open_canaries()), acts(shift), asked(shift)
    await seconds(shift, 2 * DEADLINE)
    assert len(shift.shop.open_canaries()) == opened and acts(shift) == before and asked(shift) == requests
    assert shift.target() == ("v4", "Stepping") and said(shift, "Held") == ("True", "Stopped")
    go_on(shift)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


@story
async def test_a_bad_canary_is_still_taken_out(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 at 20", lambda: bool(shift.shop.open_canaries()))
    stop(shift)
    await seconds(shift, 2)
    shift.shop.errors["v4"] = 0.9
    await shift.until("v4 is out", lambda: shift.shop.open_canaries() == [], most=30)
    assert shift.target()[1] in ("Rejected", "Cancelled")


@story
async def test_a_change_by_hand_still_ends_the_canary(shift: Shift) -> None:
    shift.shop.ship("v4", evals=None)
    await shift.until("v4 at 20", lambda: bool(shift.shop.open_canaries()))
    stop(shift)
    await seconds(shift, 2)
    shift.shop.set_image("v5")
    await shift.until("v4 is out", lambda: shift.shop.open_canaries() == [], most=5)


@story
async def test_a_promotion_waits_however_long_and_is_written_then(shift: Shift) -> None:
    shift.shop.change(progressDeadlineSeconds=DEADLINE)
    stored = shift.release_object()
    stored["spec"]["strategy"]["canary"]["steps"] = [{"weight": 100}]
    shift.shop.cluster.seed(stored)
    patch = shift.shop.cluster.json_patch

    async def late(*args: object, **more: object) -> Object:
        raise Unavailable("not now")

    shift.shop.ship("v4", evals=None)
    await shift.until("v4 is asked", lambda: shift.target()[0] == "v4")
    shift.shop.cluster.json_patch = late  # type: ignore[method-assign]
    await shift.until("promotion is decided", lambda: shift.target() == ("v4", "Promoting"))
    stop(shift)
    await seconds(shift, 2)
    shift.shop.cluster.json_patch = patch  # type: ignore[method-assign]
    await seconds(shift, 3 * DEADLINE)
    assert shift.target() == ("v4", "Promoting") and shift.live == "v1"
    go_on(shift)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"), most=30)


@story
async def test_a_rollback_that_was_not_written_is_withdrawn_and_decided_anew_by_what_is_true_then(shift: Shift) -> None:
    patch = shift.shop.cluster.json_patch

    async def late(*args: object, **more: object) -> Object:
        raise Unavailable("not now")

    shift.shop.cluster.json_patch = late  # type: ignore[method-assign]
    shift.shop.set_image("v2")
    await shift.until("recorded", lambda: shift.release().status.rollback is not None)
    stop(shift)
    await seconds(shift, 2)
    shift.shop.cluster.json_patch = patch  # type: ignore[method-assign]
    await seconds(shift, 60)
    record = shift.release().status.rollback
    assert record is not None and (record.state, record.reason) == ("Refused", "Stopped") and acting(shift) == "Stopped"
    assert [r.version for r in shift.release().status.revisions if r.blocked] == []
    shift.shop.errors["v2"] = 0.0  # meanwhile a person has mended it otherwise
    await shift.until("resolved", lambda: resolved(shift))
    go_on(shift)
    await seconds(shift, 60)
    assert shift.live == "v2" and shift.wrote() == []


@story
async def test_a_blocked_revision_that_is_pushed_again_waits_for_the_end_of_the_stop(shift: Shift) -> None:
    await shift.mitigate()
    stop(shift)
    await seconds(shift, 2)
    shift.shop.set_image("v2")
    await shift.until("opened again", lambda: not resolved(shift))
    await seconds(shift, 100)
    assert shift.live == "v2" and acting(shift) == "Stopped"
    go_on(shift)
    await shift.until("v1 is back", lambda: shift.live == "v1", most=30)


@story
async def test_no_revision_known_to_be_bad_is_started_in_quarantine(shift: Shift) -> None:
    shift.shop.set_image("v2")
    await shift.until("an Incident is open", lambda: shift.incident() is not None)
    shift._storm()
    await shift.until("v1 is written back", lambda: shift.live == "v1")
    stop(shift)
    await shift.until("a case is captured", lambda: bool(shift.shop.objects("evalcases")))
    await seconds(shift, 60)
    assert shift.shop.quarantined() == []
    assert shift.shop.objects("evalcases")[0]["status"]["reason"] == "Stopped"
    go_on(shift)
    await shift.until("the case is proven", lambda: shift._is("RegressionCaptured"))


@story
async def test_a_new_target_is_not_started_and_says_why(shift: Shift) -> None:
    stop(shift)
    await seconds(shift, 2)
    shift.shop.ship("v4", evals=None)
    await seconds(shift, 60)
    assert acts(shift) == [] and said(shift, "Shipped") == ("False", "Stopped")
    go_on(shift)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))


async def test_a_process_that_cannot_read_the_switch_acts_on_what_it_read_last_and_a_new_one_not_at_all() -> None:
    shift = Shift()
    await shift.adopt()
    read = shift.shop.cluster.list

    async def blind(resource: Resource, namespace: str, labels: object = None) -> list[Object]:
        if resource == STOPS:
            raise Unavailable("no answer")
        return await read(resource, namespace, labels)  # type: ignore[arg-type]

    shift.shop.cluster.list = blind  # type: ignore[method-assign]
    await shift.mitigate()  # none was there: it goes on
    await shift.operator.stop()
    shift.shop.set_image("v2")
    await seconds(shift, 30)
    assert shift.live == "v2" and said(shift, "Stopped") == ("True", "StopUnreadable")
    shift.shop.cluster.list = read  # type: ignore[method-assign]
    await shift.until("v1 is back", lambda: shift.live == "v1", most=30)
    await shift.operator.stop()


@story
async def test_one_that_is_set_between_the_record_and_the_write_still_counts(shift: Shift) -> None:
    """No tick lies between both: the switch is read once more before an act."""
    laws = shift.shop.cluster.on_store

    def on_store(stored: Object) -> None:
        laws(stored)
        record = stored.get("status", {}).get("rollback") if stored["kind"] == "Release" else None
        if record is not None and record["state"] == "Recorded":
            shift.shop.cluster.on_store = laws
            stop(shift)

    shift.shop.cluster.on_store = on_store
    shift.shop.set_image("v2")
    await shift.until("a rollback is recorded", lambda: shift.release().status.rollback is not None)
    await seconds(shift, 60)
    assert shift.live == "v2" and acts(shift) == []


@story
async def test_an_eval_run_that_is_under_way_ends_and_begins_anew(shift: Shift) -> None:
    await shift.mitigate()
    await shift.learn()
    ask, begun = shift.operator.fakes.prober.ask, list[str]()

    async def slow(pod_ip: str, request: EvalRequest, secrets: Mapping[str, str] = {}) -> ProbeReply:
        begun.append(pod_ip)
        await asyncio.sleep(20)
        return await ask(pod_ip, request)

    shift.operator.fakes.prober.ask = slow  # type: ignore[method-assign]
    shift.shop.ship("v4")
    await shift.until("v4 is asked", lambda: bool(begun))
    stop(shift)
    await seconds(shift, 2)
    requests = len(begun)
    await seconds(shift, 60)
    shift.operator.fakes.prober.ask = ask  # type: ignore[method-assign]
    assert len(begun) == requests and shift.target() == ("v4", "Dark") and said(shift, "Held") == ("True", "Stopped")
    go_on(shift)
    await shift.until("v4 is promoted", lambda: shift.target() == ("v4", "Promoted"))
