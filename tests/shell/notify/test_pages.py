"""Messages to the pager: delivered in the background, in order, once per message as this process sees it."""

import asyncio

import pytest

from opsloop.api.page import PageMessage
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import Delivery
from opsloop.errors import Permanent, Unavailable
from opsloop.shell.notify.pages import PageSender, payload
from opsloop.shell.ports import ObjectKey
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.pager import FakePager
from opsloop.simulator.fakes.ports import FakeInstruments
from tests.builders.objects import at

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def action(number: int = 1, what: str = "trigger", key: str = "uid-1") -> SendPage:
    message = PageMessage.model_validate(
        {"number": number, "action": what, "reason": "Severity", "severity": "sev1", "state": "Decided", "decided_at": at(0)}
    )  # fmt: skip
    return SendPage("answers-1", "answers burns", key, message, {"service": "answers"})


class Desk:
    def __init__(self) -> None:
        self.pager, self.clock, self.instruments = FakePager(), FakeClock(), FakeInstruments()
        self.woken: list[ObjectKey] = []
        self.sender = PageSender(self.pager, self.clock, self.woken.append, self.instruments)

    @property
    def arrived(self) -> list[str]:
        return [f"{p['message_id']} {p['action']}" for p in self.pager.pages]


async def test_a_delivered_page_wakes_its_incident_which_then_knows_when() -> None:
    desk = Desk()
    desk.sender.send("shop", action())
    await asyncio.sleep(0.1)
    assert [p["dedup_key"] for p in desk.pager.pages] == ["uid-1"]
    assert desk.woken == [("Incident", "shop", "answers-1")]
    assert desk.sender.deliveries("uid-1") == {1: Delivery(desk.clock.now())} and desk.sender.deliveries("uid-2") == {}
    assert desk.instruments.pages == {("trigger", "sent"): 1}


async def test_asked_again_it_is_delivered_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.sender.send("shop", action())
    await asyncio.sleep(0.1)
    desk.sender.send("shop", action())
    await asyncio.sleep(0.1)
    assert len(desk.pager.pages) == 1


@pytest.mark.parametrize("error", [Unavailable("503"), Permanent("401")])
async def test_a_pager_that_does_not_answer_is_asked_again_with_longer_pauses(error: Exception) -> None:
    desk = Desk()
    desk.pager.fail_next = [error] * 9
    desk.sender.send("shop", action())
    await asyncio.sleep(1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 - 1)
    assert desk.pager.pages == [] and len(desk.pager.fail_next) == 1
    assert (
        desk.sender.deliveries("uid-1") == {1: Delivery(None, str(error))} and desk.instruments.pages_undelivered == 1
    )
    assert desk.woken == [("Incident", "shop", "answers-1")], "the same answer wakes the Incident once"
    await asyncio.sleep(200)
    assert len(desk.pager.pages) == 1 and desk.sender.deliveries("uid-1")[1].sent_at is not None
    assert desk.instruments.pages_undelivered == 0
    assert desk.instruments.pages == {("trigger", "failed"): 9, ("trigger", "sent"): 1}


async def test_a_pause_that_the_receiver_asks_for_is_kept_within_reason() -> None:
    desk = Desk()
    desk.pager.fail_next = [Unavailable("429", after=30), Unavailable("429", after=86_400)]
    desk.sender.send("shop", action())
    await asyncio.sleep(29)
    assert len(desk.pager.fail_next) == 1
    await asyncio.sleep(2 + 299)
    assert desk.pager.pages == []
    await asyncio.sleep(2)
    assert len(desk.pager.pages) == 1


async def test_a_resolve_does_not_overtake_the_call_that_it_ends() -> None:
    desk = Desk()
    desk.pager.fail_next = [Unavailable("503")] * 2
    for message in (action(2, "resolve"), action(1), action(1, key="uid-2")):
        desk.sender.send("shop", message)
    await asyncio.sleep(0.1)
    assert desk.arrived == [], "each thread had one failure"
    await asyncio.sleep(5)
    assert [a for a in desk.arrived if a.startswith("uid-1")] == ["uid-1/1 trigger", "uid-1/2 resolve"]
    assert "uid-2/1 trigger" in desk.arrived


async def test_what_was_withdrawn_is_not_tried_and_makes_way_at_once() -> None:
    desk = Desk()
    desk.pager.fail_next = [Unavailable("503")] * 7
    desk.sender.send("shop", action(1))
    await asyncio.sleep(70)
    desk.sender.send("shop", action(2, "resolve"))
    desk.sender.withdraw(WithdrawPage("uid-1", 1))
    await asyncio.sleep(0.1)
    assert desk.arrived == ["uid-1/2 resolve"]
    assert desk.instruments.pages["trigger", "given_up"] == 1 and desk.instruments.pages_undelivered == 0
    desk.sender.withdraw(WithdrawPage("uid-9", 1))  # nothing of it is known


async def test_close_ends_what_is_under_way() -> None:
    desk = Desk()
    desk.pager.fail_next = [Unavailable("503")] * 99
    desk.sender.send("shop", action())
    await asyncio.sleep(5)
    await desk.sender.close()
    left = len(desk.pager.fail_next)
    await asyncio.sleep(100)
    assert len(desk.pager.fail_next) == left and desk.sender.deliveries("uid-1")[1].sent_at is None


async def test_the_body_names_incident_namespace_severity_action_and_keys() -> None:
    body = payload("shop", action(3, "resolve"))
    names = ("dedup_key", "message_id", "action", "severity", "incident", "namespace", "title")
    assert {k: body[k] for k in names} == {
        "dedup_key": "uid-1", "message_id": "uid-1/3", "action": "resolve", "severity": "sev1", "incident": "answers-1",
        "namespace": "shop", "title": "answers burns",
    }  # fmt: skip


async def test_a_deleted_incidents_thread_is_ended_once() -> None:
    desk = Desk()
    desk.sender.end("shop", "answers-1")  # nothing of it is known
    for message in (action(1), action(1, key="uid-2")):
        desk.sender.send("shop", message)
    desk.sender.send("shop", action(2, "resolve", key="uid-2"))
    await asyncio.sleep(0.1)
    for _ in range(2):
        desk.sender.end("shop", "answers-1")
        desk.sender.end("elsewhere", "answers-1")
        await asyncio.sleep(0.1)
    assert sorted(desk.arrived) == ["uid-1/1 trigger", "uid-1/2 resolve", "uid-2/1 trigger", "uid-2/2 resolve"]
    assert {p["reason"] for p in desk.pager.pages if p["action"] == "resolve"} == {"Deleted", "Severity"}


async def test_a_message_that_comes_as_the_last_one_makes_way_is_delivered() -> None:
    """A withdrawn message ends the delivery; at whatever turn of the event loop the next one comes, it is not left behind."""
    for turns in range(8):
        desk = Desk()
        desk.pager.failure = Unavailable("503")
        desk.sender.send("shop", action())
        await asyncio.sleep(0.1)
        desk.pager.failure = None
        desk.sender.withdraw(WithdrawPage("uid-1", 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        desk.sender.send("shop", action(2, "resolve"))
        await asyncio.sleep(0.1)
        assert [p["action"] for p in desk.pager.pages] == ["resolve"], f"after {turns} turns"
