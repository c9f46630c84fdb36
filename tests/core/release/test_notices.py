"""What a Release tells: once each, recorded with what it tells of, tried at each receiver until it is taken."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import ReleaseStatus
from opsloop.core.actions import SendPage, WithdrawPage
from opsloop.core.facts import Delivery, ReleaseFacts
from opsloop.core.notify.routing import Route, Routing
from opsloop.core.release import decide as rollout
from tests.builders.rollouts import (
    NOW,
    actions_of,
    analysed,
    canary,
    condition_of,
    dark,
    decide,
    release_asking,
    status_after,
    step,
)

TELLS = Routing((Route(("deploys", "chat"), kind="Release"),))
WAITS: list[dict[str, Any]] = [{"weight": 20, "approve": True}, {"weight": 100}]
DOWN = Delivery(None, "chat: 503 away")


def waiting(**more: Any) -> ReleaseFacts:
    return dark(release_asking(steps=WAITS), canary=canary(1), **{"routing": TELLS, **more})


def later(before: ReleaseFacts, **more: Any) -> ReleaseFacts:
    """The next look at it."""
    return replace(before, release=before.release.model_copy(update={"status": status_after(before)}), **more)


def told(situation: ReleaseFacts) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(a.message.reason, a.title, a.receivers) for a in actions_of(situation, SendPage)]


def notices(status: ReleaseStatus) -> list[tuple[str, list[str]]]:
    return [(n.reason, n.to) for n in status.notices]


def test_held_for_approval_is_told_with_what_to_do_and_stored_before() -> None:
    situation = waiting()
    name = situation.release.metadata.name
    assert told(situation) == [("WaitingForApproval", f"{name}: v4 waits for an approval", ("deploys", "chat"))]
    (notice,) = status_after(situation).notices
    assert notice.to == ["deploys", "chat"] and "opsloop.dev/approve=v4/20" in notice.text


def test_it_is_told_once_while_it_waits() -> None:
    again = later(waiting())
    assert notices(status_after(again)) == [("WaitingForApproval", ["deploys", "chat"])]


@pytest.mark.parametrize(
    "routing",
    [
        pytest.param(Routing(), id="no route at all"),
        pytest.param(Routing((Route(("chat",)),)), id="no route of Releases"),
        pytest.param(Routing((Route(("chat",), kind="Release", reasons=("Rejected",)),)), id="another reason"),
        pytest.param(Routing((Route(("chat",), kind="Release", namespaces=("elsewhere",)),)), id="another namespace"),
    ],
)
def test_without_a_route_for_it_nothing_is_told_or_stored(routing: Routing) -> None:
    situation = waiting(routing=routing)
    assert told(situation) == [] and status_after(situation).notices == []
    assert condition_of(status_after(situation), "Told") == ("", "")


def test_a_rejection_is_told_with_its_reason() -> None:
    bad = step(release_asking(), readings=analysed(0.5), routing=TELLS)
    status = status_after(bad)
    assert status.target is not None and status.target.state == "Rejected"
    (notice,) = status.notices
    assert notice.reason == "Rejected" and notice.text.startswith(f"{status.target.reason}: ")


def test_taken_by_all_it_is_over_and_said() -> None:
    outcomes = {1: {"deploys": Delivery(NOW, answer="202 ok"), "chat": Delivery(NOW, answer="200 ok")}}
    after = later(waiting(), deliveries=outcomes)
    status = status_after(after)
    assert status.notices[0].to == [] and status.notices[0].told == ["deploys: 202 ok", "chat: 200 ok"]
    assert told(after) == [] and condition_of(status, "Told") == ("True", "Told")


def test_one_that_is_down_is_tried_again_alone_and_said_once() -> None:
    after = later(waiting(), deliveries={1: {"deploys": Delivery(NOW, answer="202 ok"), "chat": DOWN}})
    status = status_after(after)
    assert told(after)[0][2] == ("chat",) and condition_of(status, "Told") == ("False", "Untold")
    assert [e.reason for e in decide(after).events if e.reason.startswith("Notice")] == ["NoticeUndelivered"]
    again = later(after)
    assert [e.reason for e in decide(again).events if e.reason.startswith("Notice")] == []


def test_after_a_day_it_is_given_up_with_a_word() -> None:
    after = later(waiting(), deliveries={1: {"deploys": DOWN, "chat": DOWN}})
    late = rollout.decide(after, NOW + timedelta(days=1, seconds=1))
    assert next(a for a in late.actions if isinstance(a, WithdrawPage)).receivers == ("deploys", "chat")
    assert "NoticeGivenUp" in [e.reason for e in late.events]
    told = next(one for one in late.status.conditions if one.type == "Told")  # type: ignore[union-attr]
    assert (told.status, told.reason) == ("False", "Untold")
    assert not [a for a in late.actions if isinstance(a, SendPage)]
