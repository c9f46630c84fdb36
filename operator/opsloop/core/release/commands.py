"""Commands of people: annotations that are obeyed once, for the state that they were given for.

A command is read when its value is first seen and recorded with what it was given for. A value that stays on the object
has no power over what comes later: another try, another step, another image under the same label, a later block. The
same value is a new command only after the annotation was taken away, or with another remark: ` #` and whatever follows it
is not part of what is asked for. The command line writes there when it was given, and by whom.
"""

from opsloop.api.records import Command, CommandName
from opsloop.api.release import ReleaseStatus
from opsloop.api.strategy import Step
from opsloop.api.target import Target
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.outcome import step_of
from opsloop.names import ABORT, APPROVE, PROMOTE, RESTART, UNBLOCK, UNDO

# Named reasons
OBEYED = "Obeyed"  # the annotation was obeyed, once
NOTHING_TO_APPROVE = "NothingToApprove"  # no step of a canary in progress wants this approval
NOTHING_TO_UNBLOCK = "NothingToUnblock"  # the digest names no blocked revision

ANNOTATIONS: dict[CommandName, str] = {
    "approve": APPROVE,
    "unblock": UNBLOCK,
    "promote": PROMOTE,
    "abort": ABORT,
    "undo": UNDO,
    "restart": RESTART,
}
REMARK = " #"  # begins what is no part of the order


def lift_block(builder: ReleaseBuilder) -> None:
    """Lifts the block of the revision that opsloop.dev/unblock names. While that revision is live the command waits."""
    value = new_value(builder, "unblock")
    digest = order(value)
    if not digest:
        return
    revision = revisions.find(builder.status.revisions, digest)
    if revision is None or revision.blocked is None:
        refuse(builder, "unblock", value, NOTHING_TO_UNBLOCK, f"no revision with the digest {digest} is blocked")
    elif revision.digest != builder.status.live:
        builder.set(revisions=revisions.unblock(builder.status.revisions, digest))
        obey(builder, "unblock", value, "Unblocked", f"{revision.version} ({digest}) may be a target again", digest)


def approve_step(builder: ReleaseBuilder) -> None:
    """Records which step of the present canary opsloop.dev/approve=VERSION/WEIGHT (or VERSION: the next one) approves."""
    value = new_value(builder, "approve")
    if not value:
        return
    target, steps = builder.status.target, builder.facts.release.spec.strategy.steps
    step = _approved_step(order(value), target, steps)
    if target is None or step is None:
        text = f"no step that wants approval fits {order(value)}; a valid value is VERSION/WEIGHT of the canary in progress"
        refuse(builder, "approve", value, NOTHING_TO_APPROVE, text)
        return
    text = f"{target.version}: weight {step.weight} was approved"
    obey(builder, "approve", value, "Approved", text, target.digest, step.weight)


def _approved_step(asked: str, target: Target | None, steps: list[Step]) -> Step | None:
    """The coming step that this names; with the version alone the next one, where that one wants approval."""
    if target is None or not target.is_active:
        return None
    coming = steps[step_of(target) + 1 :]
    names = (target.version, target.digest)
    if asked in names:
        return next((step for step in coming[:1] if step.approve), None)
    return next(
        (step for step in coming if step.approve and asked in [f"{name}/{step.weight}" for name in names]), None
    )


def is_approved(status: ReleaseStatus, target: Target, step: Step) -> bool:
    """True where an approval was given during this very try, for this template and this step."""
    command = find(status, "approve")
    if command is None or command.reason != OBEYED:
        return False
    return (command.digest, command.weight) == (target.digest, step.weight) and command.at >= target.started_at


def ordered_weight(status: ReleaseStatus, target: Target) -> int:
    """The weight to which a person ordered this very try (promote); 0 where nobody did, or where it is reached."""
    command = find(status, "promote")
    if command is None or command.reason != OBEYED or command.digest != target.digest:
        return 0
    return command.weight if command.at >= target.started_at and command.weight > target.weight else 0


def find(status: ReleaseStatus, name: CommandName) -> Command | None:
    """The last command of this name."""
    return next((command for command in status.commands if command.name == name), None)


def order(value: str) -> str:
    """What a value asks for, without its remark."""
    return value.partition(REMARK)[0].strip()


def new_value(builder: ReleaseBuilder, name: CommandName) -> str:
    """The annotation's value where it is not recorded yet; forgets the record where the annotation is gone."""
    value, recorded = builder.facts.release.metadata.annotations.get(ANNOTATIONS[name], ""), find(builder.status, name)
    if not value and recorded:
        builder.set(commands=[command for command in builder.status.commands if command.name != name])
    value = value[: Command.LONGEST]
    return "" if recorded and recorded.value == value else value


def obey(
    builder: ReleaseBuilder, name: CommandName, value: str, event: str, message: str, digest: str, weight: int = 0
) -> None:
    """Records that it was obeyed, for this revision (and step), and says so with the remark of who gave it."""
    remark = value.partition(REMARK)[2].strip()
    answer(builder, Command(name=name, value=value, digest=digest, weight=weight, reason=OBEYED, message=message[:512], at=builder.now))  # fmt: skip
    builder.event(event, f"{message} ({remark})" if remark else message)


def refuse(builder: ReleaseBuilder, name: CommandName, value: str, reason: str, message: str) -> None:
    """Records that it was given for nothing, so that it has no power over what comes later, and says so."""
    answer(builder, Command(name=name, value=value, reason=reason, message=message[:512], at=builder.now))
    builder.event("CommandIgnored", f"{ANNOTATIONS[name]}: {message}", "Warning")


def answer(builder: ReleaseBuilder, command: Command) -> None:
    """Records the command with its answer, in place of the one before."""
    others = [other for other in builder.status.commands if other.name != command.name]
    builder.set(commands=[*others, command])
