"""A rollback gives way to a newer version: the fix may always be shipped."""

from opsloop.api.records import RollbackRecord
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder
from opsloop.core.release.rollout_state import Obstacle, obstacle

# Named reasons
GAVE_WAY = "GaveWay"  # a newer version was shipped while the rollback hung or was rolling out


def gives_way(facts: ReleaseFacts, workload: WorkloadFacts, record: RollbackRecord) -> bool:
    """True where a newer version may be tried beside it: once its template is written, or while something hinders it."""
    return record.state == "Written" or obstacle(facts, workload, record.to_digest) is not None


def give_way(builder: ReleaseBuilder) -> None:
    """Ends a rollback that could not be written, because a newer version is tried. A written one goes on by itself."""
    record = builder.status.rollback
    if record is not None and record.state == "Recorded":
        builder.set(rollback=failed(record, Obstacle(GAVE_WAY, "a newer version is tried, and it was not written yet")))
        builder.event("RollbackFailed", f"{record.incident or 'undo'}: {GAVE_WAY}, a newer version is tried", "Warning")


def failed(record: RollbackRecord, cause: Obstacle) -> RollbackRecord:
    """The record of a rollback that hangs, with what hinders it."""
    changes = {"state": "Failed", "reason": cause.reason, "message": cause.message[:1000]}
    return record.model_copy(update=changes)
