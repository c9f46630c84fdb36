"""Commands by annotation: each is obeyed once, for the state that it was given for."""

from typing import Any

import pytest

from opsloop.api.records import Command
from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release.commands import NOTHING_TO_APPROVE, NOTHING_TO_UNBLOCK, OBEYED
from tests.builders.objects import V1, V2, V4, at, digest, release, workload
from tests.builders.rollouts import (
    ADOPTED,
    BAD,
    BLOCK,
    canary,
    condition_of,
    dark,
    decide,
    end_of,
    facts,
    release_asking,
    status_after,
    status_with,
    step,
    target,
)

APPROVED_STEPS = [{"weight": 20, "approve": True}, {"weight": 50, "approve": True}, {"weight": 100}]
BLOCKED_BAD = BAD.model_copy(update={"blocked": BLOCK})


def approval(value: str = "v4/20", weight: int = 20, of: str = V4, seconds: float = 80) -> Command:
    return Command(name="approve", value=value, digest=of, weight=weight, reason=OBEYED, at=at(seconds))


def waiting(annotation: str, *obeyed: Command, steps: Any = APPROVED_STEPS) -> ReleaseFacts:
    """v4 is dark since second 70; its first step wants an approval."""
    item = release_asking(steps=steps, annotations={"approve": annotation} if annotation else {})
    return facts(item, status_with(target(), commands=list(obeyed)), canary=canary(1))


@pytest.mark.parametrize(
    ("situation", "state"),
    [
        pytest.param(waiting("v4/20"), "Stepping", id="it names version and weight of the step"),
        pytest.param(waiting("v4"), "Stepping", id="with the version alone it is for the step that comes next"),
        pytest.param(waiting("v4/20", approval()), "Stepping", id="it was read at an earlier look of this try"),
        pytest.param(waiting("v3/20"), "Dark", id="it names another version"),
        pytest.param(waiting("v4/50"), "Dark", id="it names a later step"),
        pytest.param(waiting("v4/100"), "Dark", id="it names a step that wants no approval"),
        pytest.param(waiting("v4/20", approval(seconds=60)), "Dark", id="it was given for an earlier try"),
        pytest.param(waiting("v4/20", approval(of=digest("shop:v5"))), "Dark", id="it was given for another image under the same label"),
        pytest.param(waiting("v4", approval("v4", seconds=60)), "Dark", id="the version alone passes no second try either"),
    ],
)  # fmt: skip
def test_an_approval(situation: ReleaseFacts, state: str) -> None:
    assert end_of(situation)[0] == state


def test_the_approval_of_one_step_is_none_of_the_next() -> None:
    for value in ("v4", "v4/20"):
        item = release_asking(steps=APPROVED_STEPS, annotations={"approve": value})
        status = status_with(target("Stepping", reached_at=at(50)), commands=[approval(value, seconds=75)])
        after = status_after(facts(item, status, canary=canary(1, 1)))
        assert after.target is not None and after.target.weight == 20
        assert condition_of(after, "Held") == ("True", "WaitingForApproval")


def test_an_approval_ahead_of_its_step_holds_until_the_step_comes() -> None:
    ahead = status_after(waiting("v4/50"))
    assert [(c.weight, c.reason) for c in ahead.commands] == [(50, OBEYED)]
    item = release_asking(steps=APPROVED_STEPS, annotations={"approve": "v4/50"})
    status = status_with(target("Stepping", reached_at=at(50)), commands=ahead.commands)
    assert (after := status_after(facts(item, status, canary=canary(1, 1))).target) and after.weight == 50


def test_an_approval_for_nothing_is_said_once_and_has_no_power_later() -> None:
    item = release_asking(steps=APPROVED_STEPS, annotations={"approve": "v4"})
    early = facts(item, status_with(target("Rejected", reason="PodsFailing", ended_at=at(1))))
    status = status_after(early)
    assert [c.reason for c in status.commands] == [NOTHING_TO_APPROVE]
    assert "CommandIgnored" in {e.reason for e in decide(early).events}
    later = facts(item, status_with(target(), commands=status.commands), canary=canary(1))
    assert end_of(later)[0] == "Dark" and "CommandIgnored" not in {e.reason for e in decide(later).events}
    held = next(c for c in status_after(later).conditions if c.type == "Held")
    assert "v4/20" in held.message


def test_the_hold_says_that_a_spent_approval_must_be_taken_away() -> None:
    held = next(c for c in status_after(waiting("v4/20", approval(seconds=60))).conditions if c.type == "Held")
    assert "take it away first" in held.message


def test_a_command_that_was_taken_away_may_be_given_again() -> None:
    gone = status_after(waiting("", approval(seconds=60)))
    assert gone.commands == [] and end_of(waiting("v4/20", *gone.commands))[0] == "Stepping"


def unblocking(value: str, *known: Revision, live: str = V1, **status: Any) -> ReleaseFacts:
    item = release(meta={"annotations": {"opsloop.dev/unblock": value}}, dependsOn=[])
    image = "shop:v1" if live == V1 else "shop:v2"
    return facts(item, status_with(target("Promoted", "v1"), *known, live=live, **status), workload=workload(image))


def lifted(status: ReleaseStatus) -> bool:
    return status.revisions[1].blocked is None


def test_unblock_lifts_the_block_of_the_revision_that_it_names() -> None:
    status = status_after(unblocking(V2, ADOPTED, BLOCKED_BAD))
    assert lifted(status) and [(c.name, c.digest, c.reason) for c in status.commands] == [("unblock", V2, OBEYED)]


def test_unblock_left_in_place_does_not_lift_a_later_block() -> None:
    obeyed = status_after(unblocking(V2, ADOPTED, BLOCKED_BAD)).commands
    assert not lifted(status_after(unblocking(V2, ADOPTED, BLOCKED_BAD, commands=obeyed)))


@pytest.mark.parametrize(
    ("value", "known"),
    [
        pytest.param(V4, BLOCKED_BAD, id="another digest"),
        pytest.param("v2", BLOCKED_BAD, id="a version is no digest"),
        pytest.param(V2, BAD, id="a revision that is not blocked, which may be blocked later"),
    ],
)
def test_unblock_for_nothing_is_said_and_spent(value: str, known: Revision) -> None:
    situation = unblocking(value, ADOPTED, known)
    status = status_after(situation)
    assert [c.reason for c in status.commands] == [NOTHING_TO_UNBLOCK]
    assert "CommandIgnored" in {e.reason for e in decide(situation).events}
    assert not lifted(status_after(unblocking(value, ADOPTED, BLOCKED_BAD, commands=status.commands)))


def test_unblock_waits_while_its_revision_is_live() -> None:
    waits = status_after(unblocking(V2, ADOPTED, BLOCKED_BAD, live=V2))
    assert waits.revisions[1].blocked == BLOCK and waits.commands == []


def test_taking_retry_away_starts_nothing() -> None:
    ended = target("Rejected", reason="PodsFailing", retry="1", ended_at=at(80))
    assert end_of(facts(release_asking(), status_with(ended))) == ("Rejected", "PodsFailing")
    assert end_of(facts(release_asking(annotations={"retry": "2"}), status_with(ended)))[0] == "Dark"


def test_a_retry_of_any_length_starts_one_try() -> None:
    ended = target("Rejected", reason="PodsFailing", retry="1", ended_at=at(80))
    again = status_after(facts(release_asking(annotations={"retry": "x" * 300}), status_with(ended))).target
    assert again is not None and (again.state, again.retry) == ("Dark", "x" * 128)


def test_a_step_and_a_dark_canary_are_what_the_builders_say() -> None:
    """Guards the tables above: without an approval nothing moves, with steps that want none it does."""
    assert end_of(waiting(""))[0] == "Dark" and end_of(dark(canary=canary(1)))[0] == "Stepping"
    assert end_of(step())[0] == "Stepping"
