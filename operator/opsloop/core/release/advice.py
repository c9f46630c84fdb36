"""What a person may want to do about a Release, by what it waits for; with the command."""

from collections.abc import Iterator

from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.release import revisions


def advice(release: Release) -> Iterator[str]:
    """One sentence for each thing."""
    status, name = release.status, release.metadata.name
    target = status.target
    held = conditions.get(status.conditions, "Held")
    reason = held.reason if held is not None and held.status == "True" else ""
    stopped = conditions.get(status.conditions, "Stopped")
    if stopped is not None and stopped.status == "True":
        yield f"{stopped.message}; to go on: opsloop resume"
    elif (frozen := conditions.get(status.conditions, "Frozen")) is not None and frozen.status == "True":
        yield frozen.message
    elif reason == "WaitingForApproval":
        yield f"to go on: opsloop approve {name}; to end it: opsloop abort {name}"
    elif reason == "Paused":
        yield f"to go on: opsloop resume {name}; to end it: opsloop abort {name}"
    elif target is not None and target.is_active and reason:
        yield f"without more waiting: opsloop promote {name}; to end it: opsloop abort {name}"
    elif conditions.is_true(status.conditions, "Rejected") and target is not None and not target.is_active:
        live = revisions.find(status.revisions, target.digest)
        blocked = live is not None and live.blocked is not None
        yield f"to try {target.version} again: opsloop {'unblock' if blocked else 'retry'} {name}"
    if conditions.is_true(status.conditions, "Drifted") and (drift := conditions.get(status.conditions, "Drifted")):
        yield drift.message
    if release.spec.evals is not None and reason == "WaitingForEvals":
        yield "EvalCases run"
