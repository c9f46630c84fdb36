"""Counts what a stored status of a Release says anew: a rollout that ended, a command that was answered."""

from opsloop.api.release import ReleaseStatus
from opsloop.core.release import counted
from opsloop.shell.ports import Object
from opsloop.shell.runtime import Runtime


def count(runtime: Runtime, before: Object, after: ReleaseStatus) -> None:
    """Once for each write, which nobody else made: it was stored under the version of `before`, the observed Release."""
    meta, instruments = before["metadata"], runtime.instruments
    observed = ReleaseStatus.model_validate({"conditions": [], **(before.get("status") or {})})
    if end := counted.ended(observed, after):
        took = end.took.total_seconds() if end.took is not None else None
        instruments.rollout_ended(meta["namespace"], meta["name"], end.result, took)
    for command, reason in counted.answered(observed, after):
        instruments.command_answered(command, reason)
