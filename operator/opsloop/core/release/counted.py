"""What one write of a Release's status is counted as: rollouts, rollbacks and holds that ended, and commands that were answered."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.release.target import SPEC_BACK_TO_LIVE

RolloutResult = Literal["promoted", "rejected", "cancelled", "refused"]
RESULTS: dict[str, RolloutResult] = {
    "Promoted": "promoted",
    "Rejected": "rejected",
    "Cancelled": "cancelled",
    "Refused": "refused",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A rollout or a rollback that is over. `took` counts from its record; None for one that was refused, and never began."""

    result: str
    took: timedelta | None


def ended(before: ReleaseStatus, after: ReleaseStatus) -> Ended | None:
    """The rollout that ended with this write; None where none did. That the spec asks for what is live is no rollout."""
    old, new = before.target, after.target
    if new is None or new.is_active or new.ended_at is None or new.reason == SPEC_BACK_TO_LIVE:
        return None
    if old is not None and (old.started_at, old.state) == (new.started_at, new.state):
        return None
    result = RESULTS[new.state]
    return Ended(result, None if result == "refused" else new.ended_at - new.started_at)


def rolled_back(before: ReleaseStatus, after: ReleaseStatus) -> Ended | None:
    """The rollback that ended with this write: done, failed or refused; None where none did. `took` is None for a refused one."""
    old, new = before.rollback, after.rollback
    if new is None or new.is_active:
        return None
    if old is not None and (old.incident, old.attempt, old.state) == (new.incident, new.attempt, new.state):
        return None
    return Ended(new.state.lower(), new.done_at - new.at if new.done_at is not None else None)


def checked(before: ReleaseStatus, after: ReleaseStatus) -> list[tuple[str, str]]:
    """Name and result of each check of a rollout that ended with this write."""
    old, new = before.target.checks if before.target else [], after.target.checks if after.target else []
    known = {(result.id, result.ended_at) for result in old}
    return [(r.name, r.result.lower()) for r in new if r.ended_at is not None and (r.id, r.ended_at) not in known]


def let_go(before: ReleaseStatus, after: ReleaseStatus) -> tuple[str, timedelta] | None:
    """The reason and the duration of a hold of the canary that ended with this write."""
    old, new = conditions.get(before.conditions, "Held"), conditions.get(after.conditions, "Held")
    if old is None or new is None or old.status != "True" or new.status == "True":
        return None
    return old.reason, new.last_transition_time - old.last_transition_time


def answered(before: ReleaseStatus, after: ReleaseStatus) -> list[tuple[str, str]]:
    """Name and reason of each command that was answered with this write, or answered otherwise."""
    known = {(command.name, command.value, command.reason, command.at) for command in before.commands}
    told = [c for c in after.commands if (c.name, c.value, c.reason, c.at) not in known]
    return [(command.name, command.reason) for command in told]
