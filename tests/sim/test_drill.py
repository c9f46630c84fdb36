"""`opsloop drill` in fake time: a whole shift of a shop, and live put back wherever it breaks off."""

import asyncio
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.drill.order import Order
from opsloop.core.release.revisions import with_images
from opsloop.core.tickets.arriving import read_ticket
from opsloop.errors import Conflict, Forbidden, TimedOut, Unavailable
from opsloop.shell.drill.putting_back import NotPutBack, put_back
from opsloop.shell.drill.run import BrokeOff, Drill
from opsloop.shell.ports import DEPLOYMENTS, RELEASES, RUNBOOKS
from tests.builders.objects import template
from tests.sim.shift import Shift, release_object, runbook_object, seconds
from tests.sim.shop import NS, Shop

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime, pytest.mark.simulation]
CASE = {
    "request": {"path": "/ask?q=how%20long%20can%20I%20return%20boots%3F", "port": 8080},
    "expect": {"field": "answer", "equals": "30 days"},
}


def order(**changes: Any) -> Order:
    good = template("shop:v1")
    return replace(
        Order(
            namespace=NS,
            release="answers",
            workload="answers",
            good=good,
            bad=with_images(good, {"answers": "shop:v2"})[0],
            before=("v1", {"answers": "shop:v1"}),
            fix=("v4", {"answers": "shop:v4"}),
            deadline=timedelta(seconds=60),
            patience=timedelta(seconds=90),
            learning=timedelta(seconds=40),
            case=CASE,
        ),
        **changes,
    )


class Played:
    """A shop whose v1 is last-good, and a drill of it. `at` calls something once the drill has said this."""

    def __init__(self, shift: Shift, wanted: Order) -> None:
        self.shift, self.lines = shift, list[str]()
        self.at: dict[str, Callable[[], Any]] = {}
        self.drill = Drill(shift.shop.cluster, shift.shop.clock, wanted, self.pause, self.say)

    async def pause(self, seconds: float) -> None:
        await self.shift.one_second()

    def say(self, text: str) -> None:
        self.lines.append(text)
        for part in [p for p in self.at if p in text]:
            self.at.pop(part)()

    async def settle(self) -> None:
        for _ in range(40):
            await self.shift.one_second()

    def spec_version(self) -> str:
        return str(self.shift.release_object()["spec"]["version"])


async def played(**changes: Any) -> Played:
    shift = Shift()
    await shift.adopt()
    return Played(shift, order(**changes))


async def test_a_whole_drill_ends_with_the_fix_live_and_the_loop_closed() -> None:
    one = await played()
    assert await one.drill.run() == "answers-1"
    end = one.shift.end()
    await one.shift.operator.stop()
    assert (end["live"], end["blocked"], one.drill.remarks) == (("v4", "v4", "Healthy"), ["v2"], [])
    assert end["conditions"]["LoopClosed"] == end["conditions"]["RegressionCaptured"] == "True"
    assert [line.partition(":")[0] for line in one.lines if not line.startswith("   ")] == [
        "break", "detect", "mitigate", "resolve", "learn", "learn", "ship", "ship", "close",
    ]  # fmt: skip


async def test_without_a_case_the_drill_says_so_and_goes_on() -> None:
    ungated = release_object()
    del ungated["spec"]["evals"]
    shift = Shift(shop=Shop(ungated, runbook_object()))
    await shift.adopt()
    one = Played(shift, order(case=None, learning=timedelta(seconds=5)))
    assert await one.drill.run() == "answers-1"
    await one.shift.operator.stop()
    assert one.shift.live == "v4"
    assert "RegressionCaptured is Unknown, NoExample" in one.drill.remarks[0]
    assert "there is no EvalCase of this Incident" in one.drill.remarks[1]


class Desk:
    """Sends to the shop's intake; the first `away` tries find nobody there."""

    def __init__(self, shift: Shift, away: int = 0, refuses: str = "") -> None:
        self.shift, self.away, self.refuses = shift, away, refuses

    async def send(self, ticket: Mapping[str, Any]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("connection refused")
        if ticket["id"] == self.refuses:
            raise Forbidden("the intake answered 401: no token")
        self.shift.shop.report(
            str(ticket["id"]).lower(),
            (),
            (read_ticket(json.dumps(dict(ticket)).encode(), self.shift.shop.clock.now()).ticket,),
        )


TICKET = {
    "id": "T-1",
    "subject": "Wrong answers about returns",
    "body": "The answers service gives wrong answers right now: it says 7 days.",
    "example": {"asked": "how long can I return boots?", "got": "7 days", "expected": "30 days"},
}


async def test_a_ticket_that_is_sent_becomes_the_case_that_closes_the_loop() -> None:
    one = await played(case=None, tickets=(TICKET, {**TICKET, "id": "T-2"}))
    one.drill.desk = Desk(one.shift, away=2, refuses="T-2")
    assert await one.drill.run() == "answers-1"
    end = one.shift.end()
    await one.shift.operator.stop()
    assert (end["tickets"], end["conditions"]["LoopClosed"]) == (["T-1"], "True")
    assert one.drill.remarks == ["report: ticket T-2 was not sent: the intake answered 401: no token"]


async def test_without_a_runbook_the_drill_breaks_off_at_once_and_puts_live_back() -> None:
    one = await played()
    one.shift.shop.cluster.remove(RUNBOOKS, NS, "bad-release")
    with pytest.raises(BrokeOff, match=r"mitigate.*opsloop handed over to a person: .*escalate"):
        await one.drill.run()
    await one.settle()
    await one.shift.operator.stop()
    assert one.shift.live == "v1"
    assert "the good template was written to Deployment answers" in one.lines


async def test_a_bad_version_that_harms_nobody_is_put_back_at_the_deadline() -> None:
    one = await played(deadline=timedelta(seconds=20))
    one.shift.shop.errors["v2"] = 0.0
    with pytest.raises(BrokeOff, match="detect: an Incident of sev1: not within 20s; no Incident on answers yet"):
        await one.drill.run()
    await one.shift.operator.stop()
    assert one.shift.live == "v1"


async def test_a_fix_that_breaks_it_again_ends_the_drill_with_the_spec_as_it_was() -> None:
    one = await played(fix=("v3", {"answers": "shop:v3"}))
    with pytest.raises(BrokeOff, match=r"ship: v3 is promoted: v3 was rejected \(EvalFailed"):
        await one.drill.run()
    await one.settle()
    await one.shift.operator.stop()
    assert (one.shift.live, one.spec_version()) == ("v1", "v1")
    assert "Release answers is at v1 again" in one.lines


STOPPED = ["break:", "is sev1", "rollback Written", "mitigate:", "learn: EvalCase", "ship: Release", "is Stepping"]


async def test_stopped_while_the_fix_is_promoted_the_fix_stays() -> None:
    """From there on going back would be a rollback of a version that passed."""
    one = await played()
    task = asyncio.ensure_future(one.drill.run())
    one.at["is Promoting"] = task.cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    await one.settle()
    await one.shift.operator.stop()
    assert (one.shift.live, one.spec_version()) == ("v4", "v4")
    assert "Release answers stays at the fix v4, which is promoting" in one.lines


@pytest.mark.parametrize("at", STOPPED)
async def test_stopped_anywhere_live_is_good_and_the_spec_is_as_it_was(at: str) -> None:
    """As by Ctrl-C: the task is cancelled."""
    one = await played()
    task = asyncio.ensure_future(one.drill.run())
    one.at[at] = task.cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not one.at, f"never said {at!r}: {one.lines}"
    await one.settle()
    await one.shift.operator.stop()
    assert (one.shift.live, one.spec_version()) == ("v1", "v1")


async def test_stopped_after_the_promotion_the_fix_stays() -> None:
    one = await played()
    await one.drill.run()
    await put_back(one.shift.shop.cluster, one.drill.order, one.pause, one.say)
    await one.settle()
    await one.shift.operator.stop()
    assert (one.shift.live, one.spec_version()) == ("v4", "v4")
    assert "Release answers stays at the fix v4, which is promoted" in one.lines


@pytest.mark.parametrize(
    "error", [Unavailable("connection refused"), Conflict("somebody wrote")], ids=["away", "conflict"]
)
async def test_putting_back_goes_on_until_the_api_server_answers(error: Exception) -> None:
    one = await played(deadline=timedelta(seconds=10))
    one.shift.shop.errors["v2"] = 0.0
    one.at["breaking off"] = lambda: one.shift.shop.cluster.fail_next.append(error)
    with pytest.raises(BrokeOff):
        await one.drill.run()
    await one.shift.operator.stop()
    assert one.shift.live == "v1"


async def test_what_cannot_be_put_back_names_the_command_for_a_person() -> None:
    one = await played(deadline=timedelta(seconds=10))
    one.shift.shop.errors["v2"] = 0.0
    one.at["breaking off"] = lambda: one.shift.shop.cluster.remove(DEPLOYMENTS, NS, "answers")
    with pytest.raises(NotPutBack, match="kubectl -n shop rollout undo deployment/answers"):
        await one.drill.run()
    await one.shift.operator.stop()


async def test_a_template_of_somebody_else_is_left_alone() -> None:
    one = await played()
    task = asyncio.ensure_future(one.drill.run())

    def push_another() -> None:
        one.shift.shop.set_image("v5")
        task.cancel()

    one.at["is sev1"] = push_another
    with pytest.raises(asyncio.CancelledError):
        await task
    await one.shift.operator.stop()
    assert any("left as somebody else wrote it" in line for line in one.lines)
    assert one.shift.live == "v5"


async def test_a_deployment_that_changed_since_the_plan_is_not_broken() -> None:
    one = await played()
    one.shift.shop.set_image("v4")
    with pytest.raises(BrokeOff, match="somebody else has changed Deployment answers since the plan"):
        await one.drill.run()
    await one.shift.operator.stop()
    assert one.shift.live == "v4"
    assert one.shift.shop.cluster.find(RELEASES, NS, "answers")["spec"]["version"] == "v1"  # type: ignore[index]


def image_of(one: Played) -> str:
    stored = one.shift.shop.cluster.find(DEPLOYMENTS, NS, "answers")
    assert stored is not None
    return str(stored["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_live_is_put_back_where_the_release_is_gone() -> None:
    one = await played(deadline=timedelta(seconds=10))
    one.shift.shop.errors["v2"] = 0.0
    one.at["breaking off"] = lambda: one.shift.shop.cluster.remove(RELEASES, NS, "answers")
    with pytest.raises(BrokeOff):
        await one.drill.run()
    await one.shift.operator.stop()
    assert image_of(one) == "shop:v1"


async def test_a_bad_template_that_admission_rewrote_is_known_as_the_drills_own() -> None:
    one = await played(deadline=timedelta(seconds=10))
    one.shift.shop.errors["v2"] = 0.0
    real: Any = one.shift.shop.cluster.json_patch

    async def mirrored(resource: Any, namespace: str, name: str, operations: Any, *rest: Any, **more: Any) -> Any:
        sent = copy.deepcopy(list(operations))
        for container in (
            c for op in sent if op["path"] == "/spec/template" for c in op["value"]["spec"]["containers"]
        ):
            container["image"] = f"mirror/{container['image'].removeprefix('mirror/')}"
        return await real(resource, namespace, name, sent, *rest, **more)

    one.shift.shop.cluster.json_patch = mirrored  # type: ignore[method-assign, assignment]
    with pytest.raises(BrokeOff):
        await one.drill.run()
    await one.shift.operator.stop()
    assert image_of(one).endswith("shop:v1")


async def test_stopped_while_the_break_is_under_way_at_the_api_server_live_is_put_back_after_it() -> None:
    one = await played()
    real: Any = one.shift.shop.cluster.json_patch
    under_way: list[asyncio.Future[Any]] = []

    async def slow(resource: Any, *rest: Any, **more: Any) -> Any:
        if resource is not DEPLOYMENTS or under_way:
            return await real(resource, *rest, **more)

        async def server() -> Any:  # it does not see that the client is gone
            await asyncio.sleep(2)
            return await real(resource, *rest, **more)

        under_way.append(asyncio.ensure_future(server()))
        return await asyncio.shield(under_way[0])

    one.shift.shop.cluster.json_patch = slow  # type: ignore[method-assign]
    task = asyncio.ensure_future(one.drill.run())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait(under_way)
    assert image_of(one) == "shop:v1"
    await one.shift.operator.stop()


@pytest.mark.parametrize("resource", [DEPLOYMENTS, RELEASES], ids=["the bad template", "the fix"])
async def test_a_write_that_had_no_answer_arrives_in_vain_after_live_was_put_back(resource: Any) -> None:
    one = await played()
    real: Any = one.shift.shop.cluster.json_patch
    late: list[tuple[Any, ...]] = []

    async def lost(asked: Any, *rest: Any, **more: Any) -> Any:
        if asked is not resource or late or one.drill.leaving:
            return await real(asked, *rest, **more)
        if resource is RELEASES and not any(op["path"] == "/spec/images" for op in rest[2]):
            return await real(asked, *rest, **more)
        late.append((asked, *rest))  # on its way, while the client gives up
        raise TimedOut("no answer within 10 s")

    one.shift.shop.cluster.json_patch = lost  # type: ignore[method-assign, assignment]
    with pytest.raises(BrokeOff, match="no answer within 10 s"):
        await one.drill.run()
    with pytest.raises(Conflict):
        await real(*late[0])
    assert (image_of(one), one.spec_version()) == ("shop:v1", "v1")
    stored = one.shift.shop.cluster.find(resource, NS, "answers") or {}
    assert "opsloop.dev/drill" not in (stored["metadata"].get("annotations") or {})
    await one.shift.operator.stop()


async def test_the_deadline_holds_while_the_intake_swallows_tickets() -> None:
    tickets = tuple({**TICKET, "id": f"T-{n}"} for n in range(4))
    one = await played(case=None, deadline=timedelta(seconds=30), tickets=tickets)
    one.shift.shop.cluster.remove(RUNBOOKS, NS, "bad-release")

    class Hole:
        async def send(self, ticket: Any) -> None:
            await seconds(one.shift, 15)
            raise Unavailable("the intake does not answer: TimeoutError")

    one.drill.desk = Hole()
    began = one.shift.second
    with pytest.raises(BrokeOff):
        await one.drill.run()
    assert one.shift.second - began <= 60
    await one.shift.operator.stop()
