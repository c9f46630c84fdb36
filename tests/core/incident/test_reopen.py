"""Reopening: blocked revisions that come back, fights, and new breaches within the grace time."""

from typing import Any

import pytest

from opsloop.api.release import Blocked
from opsloop.core.facts import IncidentFacts
from tests.builders.incidents import (
    BAD_CAUSE,
    BLOCKED_BAD,
    DONE,
    ROLLED_BACK,
    WANTED,
    after,
    burnt,
    facts,
    play,
    said,
    service,
    sli,
    told,
)
from tests.builders.objects import V1, V2, V3, at
from tests.builders.rollouts import ADOPTED, record, revision

RUNNING = play("Running")
AGAIN = service(known=(ADOPTED, BLOCKED_BAD), rollback=DONE)


def test_a_blocked_revision_pushed_again_reopens_its_incident_and_goes_at_once() -> None:
    status = after(facts(burnt("Resolved", **ROLLED_BACK), AGAIN))
    assert (status.phase, status.reopened) == ("Mitigating", 1)
    assert status.rollback is not None and (status.rollback.attempt, status.rollback.from_digest) == (2, V2)
    assert [p.reason for p in status.plays] == ["", "StandingGrant"] and "reopened-1" in told(status)


def test_it_does_so_however_long_ago_and_before_any_user_suffers() -> None:
    old = burnt("Resolved", resolvedAt=at(-90_000), **ROLLED_BACK)
    assert after(facts(old, AGAIN, sli(0.0))).reopened == 1


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        pytest.param(facts(burnt("Resolved", **ROLLED_BACK), service(known=(ADOPTED, BLOCKED_BAD), live=V1, rollback=DONE), sli(0.0)), "it is not live", id="what is blocked is not live"),
        pytest.param(facts(burnt("Resolved", "answers-2", **ROLLED_BACK), AGAIN, sli(0.0)), "another Incident's", id="another Incident blocked it"),
        pytest.param(facts(burnt("Mitigating", plays=[RUNNING], rollback=WANTED), service(known=(ADOPTED, BLOCKED_BAD), rollback=record())), "in hand", id="its rollback is in hand"),
        pytest.param(facts(burnt("Mitigating", plays=[RUNNING], rollback=WANTED), service(known=(ADOPTED, BLOCKED_BAD))), "on its way", id="its rollback was decided a moment ago"),
    ],
)  # fmt: skip
def test_no_reopening(seen: IncidentFacts, why: str) -> None:
    assert after(seen).reopened == 0, why


def fought(times: int) -> dict[str, Any]:
    again = [play("Helped", attempt=n + 2, reason="StandingGrant") for n in range(times)]
    return {"plays": [play("Helped"), *again], "rollback": {**WANTED, "attempt": times + 1}, "reopened": times}


@pytest.mark.parametrize(
    ("times", "contested"),
    [
        pytest.param(0, False, id="the first time it is rolled back"),
        pytest.param(1, False, id="the second time as well"),
        pytest.param(2, True, id="the third time opsloop stops writing"),
    ],
)
def test_at_most_twice_then_contested(times: int, contested: bool) -> None:
    root = service(
        known=(ADOPTED, BLOCKED_BAD.model_copy(update={"manager": "argocd"})),
        rollback=record("Done", attempt=times + 1),
    )
    status = after(facts(burnt("Resolved", **fought(times)), root))
    assert (said(status, "Contested")[0] == "True") == contested
    assert status.plays[-1].type == ("escalate" if contested else "rollback")
    assert not contested or "argocd" in status.plays[-1].message


def test_contested_nothing_more_is_done_until_it_is_not_live_any_more() -> None:
    conditions = [
        {"type": "Contested", "status": "True", "reason": "Contested", "lastTransitionTime": at(90).isoformat()}
    ]
    item = burnt("Mitigating", **fought(2), conditions=conditions)
    still = after(facts(item, AGAIN))
    assert still.plays == item.status.plays and still.rollback == item.status.rollback
    gone = service(known=(ADOPTED, BLOCKED_BAD), live=V1, rollback=DONE)
    assert said(after(facts(item, gone)), "Contested") == ("False", "NotLive")


def test_an_incident_that_was_never_granted_a_rollback_does_not_begin_to_roll_back_by_itself() -> None:
    status = after(facts(burnt("Resolved", plays=[], rollback=None), AGAIN))
    assert said(status, "Contested")[0] == "True" and status.rollback is None


def test_pushed_again_while_the_rollback_runs_gives_up_that_play_and_begins_another() -> None:
    item = burnt("Mitigating", plays=[RUNNING], rollback=WANTED)
    status = after(facts(item, service(known=(ADOPTED, BLOCKED_BAD), rollback=record("Refused", reason="LiveChanged"))))
    assert [(p.attempt, p.state) for p in status.plays] == [(1, "DidNotHelp"), (2, "Running")]


LATER: dict[str, Any] = {"cause": BAD_CAUSE, **ROLLED_BACK}
THIRD = revision("v3", "Drifted", live_since=at(96), shipped_without_canary=True)


@pytest.mark.parametrize(
    ("resolved", "seen", "reopened"),
    [
        pytest.param(50, sli(0.5, onset=at(97)), 1, id="a breach within the grace time"),
        pytest.param(-2000, sli(0.5, onset=at(97)), 0, id="a breach after it is another Incident's"),
        pytest.param(50, sli(0.0), 0, id="no breach"),
        pytest.param(50, sli(None), 0, id="unknown opens nothing"),
        pytest.param(101, sli(0.5), 0, id="a reading from before the end says nothing"),
    ],
)
def test_a_new_breach(resolved: float, seen: Any, reopened: int) -> None:
    known = (ADOPTED, BLOCKED_BAD, THIRD)
    status = after(facts(burnt("Resolved", resolvedAt=at(resolved), **LATER), service(V3, known, rollback=DONE), seen))
    assert status.reopened == reopened


def test_a_new_breach_looks_for_its_own_cause_and_begins_the_runbook_anew() -> None:
    known = (ADOPTED, BLOCKED_BAD, THIRD)
    status = after(facts(burnt("Resolved", **LATER), service(V3, known, rollback=DONE), sli(0.5, onset=at(97))))
    assert status.cause is not None and status.cause.version == "v3"
    assert [(p.type, p.attempt, p.step, p.state) for p in status.plays][-1] == ("rollback", 2, 0, "Requested")


def test_more_blocked_revisions_than_the_status_holds_are_no_error() -> None:
    why = Blocked(reason="EvalFailed", incident="answers-1", at=at(9))
    many = [revision(f"v{n}", "Canaried", blocked=why) for n in range(10, 40)]
    assert len(after(facts(burnt("Resolved", **ROLLED_BACK), service(V1, (ADOPTED, *many)), sli(0.0))).blocked) == 20
