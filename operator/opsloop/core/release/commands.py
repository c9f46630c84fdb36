"""Commands of people: annotations that are obeyed once, for the state that they were given for.

A command is read when its value is first seen and recorded with what it was given for. A value that stays on the object
has no power over what comes later: another try, another step, another image under the same label, a later block. The
same value is a new command only after the annotation was taken away.
"""

from opsloop.api.release import Command, CommandName, ReleaseStatus, Target
from opsloop.api.strategy import Step
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.outcome import step_of
from opsloop.names import APPROVE, UNBLOCK

# Named reasons
OBEYED = "Obeyed"  # the annotation was obeyed, once
NOTHING_TO_APPROVE = "NothingToApprove"  # no step of a canary in progress wants this approval
NOTHING_TO_UNBLOCK = "NothingToUnblock"  # the digest names no blocked revision

ANNOTATIONS: dict[CommandName, str] = {"approve": APPROVE, "unblock": UNBLOCK}


def lift_block(builder: ReleaseBuilder) -> None:
    """Lifts the block of the revision that opsloop.dev/unblock names. While that revision is live the command waits."""
    digest = _new_value(builder, "unblock")
    if not digest:
        return
    revision = revisions.find(builder.status.revisions, digest)
    if revision is None or revision.blocked is None:
        _ignore(builder, "unblock", digest, NOTHING_TO_UNBLOCK, f"no revision with the digest {digest} is blocked")
    elif revision.digest != builder.status.live:
        builder.set(revisions=revisions.unblock(builder.status.revisions, digest))
        _record(builder, Command(name="unblock", value=digest, digest=digest, reason=OBEYED, at=builder.now))
        builder.event("Unblocked", f"{revision.version} ({digest}) may be a target again")


def approve_step(builder: ReleaseBuilder) -> None:
    """Records which step of the present canary opsloop.dev/approve=VERSION/WEIGHT (or VERSION: the next one) approves."""
    value = _new_value(builder, "approve")
    if not value:
        return
    target, steps = builder.status.target, builder.facts.release.spec.strategy.canary.steps
    step = _approved_step(value, target, steps)
    if target is None or step is None:
        message = f"no step that wants approval fits {value}; a valid value is VERSION/WEIGHT of the canary in progress"
        _ignore(builder, "approve", value, NOTHING_TO_APPROVE, message)
        return
    command = Command(
        name="approve", value=value, digest=target.digest, weight=step.weight, reason=OBEYED, at=builder.now
    )
    _record(builder, command)
    builder.event("Approved", f"{target.version}: weight {step.weight} was approved")


def _approved_step(value: str, target: Target | None, steps: list[Step]) -> Step | None:
    """The coming step that this value names; with the version alone the next one, where that one wants approval."""
    if target is None or not target.is_active:
        return None
    coming = steps[step_of(target) + 1 :]
    if value == target.version:
        return next((step for step in coming[:1] if step.approve), None)
    return next((step for step in coming if step.approve and value == f"{target.version}/{step.weight}"), None)


def is_approved(status: ReleaseStatus, target: Target, step: Step) -> bool:
    """True where an approval was given during this very try, for this template and this step."""
    command = find(status, "approve")
    if command is None or command.reason != OBEYED:
        return False
    return (command.digest, command.weight) == (target.digest, step.weight) and command.at >= target.started_at


def find(status: ReleaseStatus, name: CommandName) -> Command | None:
    """The last command of this name."""
    return next((command for command in status.commands if command.name == name), None)


def _new_value(builder: ReleaseBuilder, name: CommandName) -> str:
    """The annotation's value where it is not recorded yet; forgets the record where the annotation is gone."""
    value, recorded = builder.facts.release.metadata.annotations.get(ANNOTATIONS[name], ""), find(builder.status, name)
    if not value and recorded:
        builder.set(commands=[command for command in builder.status.commands if command.name != name])
    value = value[: Command.LONGEST]
    return "" if recorded and recorded.value == value else value


def _ignore(builder: ReleaseBuilder, name: CommandName, value: str, reason: str, message: str) -> None:
    """Records that it was given for nothing, so that it has no power over what comes later, and says so."""
    _record(builder, Command(name=name, value=value, reason=reason, at=builder.now))
    builder.event("CommandIgnored", f"{ANNOTATIONS[name]}: {message}", "Warning")


def _record(builder: ReleaseBuilder, command: Command) -> None:
    others = [other for other in builder.status.commands if other.name != command.name]
    builder.set(commands=[*others, command])
