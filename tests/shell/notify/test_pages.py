"""Pages: delivered in the background, once per key as this process sees it."""

import asyncio

import pytest

from opsloop.api.incident import Page
from opsloop.core.actions import SendPage
from opsloop.errors import Permanent, Unavailable
from opsloop.shell.notify.pages import PageSender, payload
from opsloop.shell.ports import ObjectKey
from opsloop.simulator.fakes.clock import FakeClock
from opsloop.simulator.fakes.pager import FakePager
from tests.builders.objects import at

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
PAGE = Page(state="Decided", severity="sev1", dedup_key="uid-1", decided_at=at(0))
ACTION = SendPage("answers-1", "answers burns", PAGE, {"service": "answers"})


class Desk:
    def __init__(self) -> None:
        self.pager, self.clock = FakePager(), FakeClock()
        self.woken: list[ObjectKey] = []
        self.sender = PageSender(self.pager, self.clock, self.woken.append)


async def test_a_delivered_page_wakes_its_incident_which_then_knows_when() -> None:
    desk = Desk()
    desk.sender.send("shop", ACTION)
    await asyncio.sleep(0.1)
    assert [p["dedup_key"] for p in desk.pager.pages] == ["uid-1"]
    assert desk.woken == [("Incident", "shop", "answers-1")] and desk.sender.sent_at("uid-1") == desk.clock.now()


async def test_asked_again_it_is_delivered_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.sender.send("shop", ACTION)
    await asyncio.sleep(0.1)
    desk.sender.send("shop", ACTION)
    await asyncio.sleep(0.1)
    assert len(desk.pager.pages) == 1


@pytest.mark.parametrize("error", [Unavailable("503"), Permanent("401")])
async def test_a_pager_that_does_not_answer_is_asked_again_with_longer_pauses(error: Exception) -> None:
    desk = Desk()
    desk.pager.fail_next = [error] * 9
    desk.sender.send("shop", ACTION)
    await asyncio.sleep(1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 - 1)
    assert desk.pager.pages == [] and len(desk.pager.fail_next) == 1
    await asyncio.sleep(200)
    assert len(desk.pager.pages) == 1 and desk.sender.sent_at("uid-1") is not None


async def test_close_ends_what_is_under_way() -> None:
    desk = Desk()
    desk.pager.fail_next = [Unavailable("503")] * 99
    desk.sender.send("shop", ACTION)
    await asyncio.sleep(5)
    await desk.sender.close()
    left = len(desk.pager.fail_next)
    await asyncio.sleep(100)
    assert len(desk.pager.fail_next) == left and desk.sender.sent_at("uid-1") is None


async def test_the_body_names_incident_namespace_severity_and_key() -> None:
    body = payload("shop", ACTION)
    assert {k: body[k] for k in ("dedup_key", "severity", "incident", "namespace", "title")} == {
        "dedup_key": "uid-1", "severity": "sev1", "incident": "answers-1", "namespace": "shop", "title": "answers burns",
    }  # fmt: skip
