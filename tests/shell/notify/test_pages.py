"""Messages to the pager: delivered in the background, in order, once per message as this process sees it."""

import asyncio
from dataclasses import replace

import pytest

from opsloop.api.page import PageMessage
from opsloop.core.actions import KeepPage, SendPage, WithdrawPage
from opsloop.core.facts import Delivery
from opsloop.errors import Permanent, Unavailable
from opsloop.shell.notify.pages import RESEND, PageSender
from opsloop.shell.notify.payload import payload
from opsloop.shell.ports import Object, ObjectKey
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
    assert (
        desk.sender.deliveries("uid-1") == {1: {"pager": Delivery(desk.clock.now(), answer="202 taken")}}
        and desk.sender.deliveries("uid-2") == {}
    )
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
        desk.sender.deliveries("uid-1") == {1: {"pager": Delivery(None, str(error))}}
        and desk.instruments.pages_undelivered == 1
    )
    assert desk.woken == [("Incident", "shop", "answers-1")], "the same answer wakes the Incident once"
    await asyncio.sleep(200)
    assert len(desk.pager.pages) == 1 and desk.sender.deliveries("uid-1")[1]["pager"].sent_at is not None
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
    assert len(desk.pager.fail_next) == left and desk.sender.deliveries("uid-1")[1]["pager"].sent_at is None


async def test_the_body_names_incident_namespace_severity_action_and_keys() -> None:
    body = payload("shop", action(3, "resolve"), at(0))
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


# --- several receivers


def both(number: int = 1, what: str = "trigger") -> SendPage:
    return replace(action(number, what), receivers=("chat", "oncall"))


async def test_one_receiver_that_is_down_keeps_no_other_one_waiting() -> None:
    desk = Desk()
    desk.pager.failures["chat"] = Unavailable("chat: 503")
    for message in (both(1), both(2, "resolve")):
        desk.sender.send("shop", message)
    await asyncio.sleep(30)
    assert [(name, p["action"]) for name, p in desk.pager.told] == [("oncall", "trigger"), ("oncall", "resolve")]
    outcomes = desk.sender.deliveries("uid-1")
    assert outcomes[1]["chat"] == Delivery(None, "chat: 503") and outcomes[1]["oncall"].answer == "202 taken"
    assert desk.instruments.undelivered_at == {"chat": 1, "oncall": 0}
    desk.pager.failures.clear()
    await asyncio.sleep(60)
    assert [(name, p["action"]) for name, p in desk.pager.told[2:]] == [("chat", "trigger"), ("chat", "resolve")]


async def test_a_message_is_withdrawn_where_it_was_given_up_only() -> None:
    desk = Desk()
    desk.pager.failure = Unavailable("503")
    desk.sender.send("shop", both())
    await asyncio.sleep(0.1)
    desk.sender.withdraw(WithdrawPage("uid-1", 1, ("chat",)))
    desk.pager.failure = None
    await asyncio.sleep(5)
    assert [name for name, _ in desk.pager.told] == ["oncall"]


async def test_a_deleted_incident_is_ended_at_each_receiver_that_heard_of_it() -> None:
    desk = Desk()
    desk.sender.send("shop", both())
    await asyncio.sleep(0.1)
    desk.sender.end("shop", "answers-1")
    await asyncio.sleep(0.1)
    assert [(name, p["action"]) for name, p in desk.pager.told[2:]] == [("chat", "resolve"), ("oncall", "resolve")]


# --- what ends unless it is repeated


async def test_what_is_kept_is_repeated_each_minute_until_it_is_resolved() -> None:
    desk = Desk()
    desk.sender.send("shop", action())
    await asyncio.sleep(0.1)
    for _ in range(3):
        desk.sender.keep("shop", KeepPage(action()))
    await asyncio.sleep(RESEND * 3 + 1)
    assert [p["action"] for p in desk.pager.pages] == ["trigger"] * 5, "once at first, then at once and each minute"
    assert desk.instruments.pages == {("trigger", "sent"): 1, ("trigger", "resent"): 4}
    desk.sender.send("shop", action(2, "resolve"))
    await asyncio.sleep(RESEND * 5)
    assert [p["action"] for p in desk.pager.pages][5:] == ["resolve"]
    desk.sender.keep("shop", KeepPage(action()))
    await asyncio.sleep(RESEND * 2)
    assert len(desk.pager.pages) == 6, "what a late look asks for does not open it again"


async def test_a_repeat_that_fails_is_repeated_a_minute_later_and_is_no_undelivered_page() -> None:
    desk = Desk()
    desk.pager.failure = Unavailable("503")
    desk.sender.keep("shop", KeepPage(action()))
    await asyncio.sleep(RESEND + 1)
    desk.pager.failure = None
    await asyncio.sleep(RESEND)
    assert len(desk.pager.pages) == 1 and desk.instruments.pages_undelivered == 0
    await desk.sender.close()
    await asyncio.sleep(RESEND * 3)
    assert len(desk.pager.pages) == 1


async def test_a_repeat_that_was_on_its_way_when_the_end_came_does_not_stay_the_last_word() -> None:
    desk = Desk()
    slow = asyncio.Event()
    page = desk.pager.page

    async def held(receiver: str, body: Object) -> str:
        if body["action"] == "trigger" and body["number"] == 2:
            await slow.wait()
        return await page(receiver, body)

    desk.pager.page = held  # type: ignore[method-assign, assignment]
    desk.sender.keep("shop", KeepPage(action(2)))
    await asyncio.sleep(0.1)
    desk.sender.send("shop", action(3, "resolve"))
    await asyncio.sleep(0.1)
    slow.set()
    await asyncio.sleep(0.1)
    assert [p["action"] for p in desk.pager.pages] == ["resolve", "trigger", "resolve"]


async def test_a_crowds_alert_is_kept_by_its_own_key() -> None:
    desk = Desk()
    mine = action()
    grouped = replace(mine, message=mine.message.model_copy(update={"group": "shop/pages-1"}))
    desk.sender.keep("shop", KeepPage(grouped))
    await asyncio.sleep(1)
    assert [p["dedup_key"] for p in desk.pager.pages] == ["shop/pages-1"]
    end = replace(
        grouped, thread="uid-2", message=grouped.message.model_copy(update={"number": 2, "action": "resolve"})
    )
    desk.sender.send("shop", end)  # another Incident of the crowd ends it
    await asyncio.sleep(RESEND * 3)
    assert [p["action"] for p in desk.pager.pages] == ["trigger", "resolve"]


async def test_what_was_taken_before_this_process_began_is_ended_with_its_incident() -> None:
    desk = Desk()
    desk.sender.keep("shop", KeepPage(action()))
    await asyncio.sleep(1)
    desk.sender.end("shop", "answers-1")
    await asyncio.sleep(RESEND * 5)
    assert [page["action"] for page in desk.pager.pages] == ["trigger", "resolve"]


async def test_an_alert_of_a_crowd_that_no_look_asks_for_any_more_is_not_repeated_for_ever() -> None:
    desk, mine = Desk(), action()
    crowd = replace(mine, message=mine.message.model_copy(update={"group": "shop/pages-1"}))
    desk.sender.send("shop", crowd)
    await asyncio.sleep(1)
    desk.sender.keep("shop", KeepPage(crowd))
    desk.sender.end("shop", "answers-1")
    await asyncio.sleep(3600)
    before = len(desk.pager.pages)
    await asyncio.sleep(3600)
    assert len(desk.pager.pages) == before


async def test_a_mistake_of_ours_is_a_failure_and_tried_again() -> None:
    desk = Desk()
    desk.pager.fail_next = [RuntimeError("can't start new thread")]
    desk.sender.send("shop", action())
    await asyncio.sleep(100)
    assert len(desk.pager.pages) == 1
