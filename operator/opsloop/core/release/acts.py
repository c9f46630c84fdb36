"""Acts of people on a canary: go on without waiting (promote), and take it out (abort).

A promotion by order skips what waits for time, approval or more evidence. What judges stays: a canary that is surely worse
is rejected, EvalCases must pass, pods must be ready, and an emergency stop or spec.paused is no person's to overrule here.
"""

from opsloop.api.strategy import Step
from opsloop.api.target import Target
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder
from opsloop.core.release.commands import new_value, obey, order, refuse
from opsloop.core.release.outcome import step_of
from opsloop.core.release.target import cancel

# Named reasons
NOTHING_TO_PROMOTE = "NothingToPromote"  # no canary of that version is in progress, or no such step is to come
NOTHING_TO_ABORT = "NothingToAbort"  # no canary of that version is in progress
IS_PAUSED = "IsPaused"  # spec.paused is true: resume it first
TEMPLATE_WRITTEN = "TemplateWritten"  # the Deployment has the canary's template already: undo it
ABORTED = "Aborted"  # a person took the canary out; retry, or a changed spec, starts it again


def promote(builder: ReleaseBuilder) -> None:
    """Records to which step opsloop.dev/promote=VERSION (the next one with a weight) or VERSION/WEIGHT has the present canary go."""
    value = new_value(builder, "promote")
    if not value:
        return
    facts, target = builder.facts, builder.status.target
    step = _ordered_step(order(value), target, facts.release.spec.strategy.steps)
    if target is None or step is None:
        refuse(
            builder, "promote", value, NOTHING_TO_PROMOTE, _nothing(order(value), target, "VERSION or VERSION/WEIGHT")
        )
    elif facts.stop is not None:
        refuse(builder, "promote", value, facts.stop.named_reason, facts.stop.sentence)
    elif facts.release.spec.paused:
        refuse(builder, "promote", value, IS_PAUSED, "spec.paused is true: set it to false, then promote")
    else:
        what = "goes live" if step.weight == 100 else f"goes to weight {step.weight}"
        text = (
            f"{target.version} {what} as soon as its pods are ready and its EvalCases have passed, without more waiting"
        )
        obey(builder, "promote", value, "PromotionOrdered", text, target.digest, step.weight)


def _ordered_step(asked: str, target: Target | None, steps: list[Step]) -> Step | None:
    """The coming step that this names; with the version (or digest) alone the next one."""
    if target is None or not target.is_active or target.state == "Promoting":
        return None
    coming = [step for step in steps[step_of(target) + 1 :] if step.weight]
    if asked in (target.version, target.digest):
        return next(iter(coming), None)
    named = {f"{target.version}/{step.weight}": step for step in coming}
    return {**named, **{f"{target.digest}/{step.weight}": step for step in coming}}.get(asked)


def abort(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Takes the canary that opsloop.dev/abort=VERSION names out of traffic, and ends its target. It is not blocked."""
    value = new_value(builder, "abort")
    if not value:
        return
    target = builder.status.target
    if target is None or not target.is_active or order(value) not in (target.version, target.digest):
        refuse(builder, "abort", value, NOTHING_TO_ABORT, _nothing(order(value), target, "VERSION"))
    elif target.state == "Promoting" and workload.digest == target.digest:
        text = f"the Deployment has the template of {target.version} already; to go back: opsloop.dev/undo={target.version}"
        refuse(builder, "abort", value, TEMPLATE_WRITTEN, text)
    else:
        text = f"{target.version} was aborted by a person; to try it again: opsloop.dev/retry with a new value"
        cancel(builder, ABORTED, text)
        obey(builder, "abort", value, ABORTED, text, target.digest)


def _nothing(asked: str, target: Target | None, valid: str) -> str:
    """Why an order fits nothing, and what would."""
    if target is None or not target.is_active:
        last = f"; {target.version} is {target.state.lower()}" if target else ""
        return f"{asked}: no canary is in progress{last}"
    if target.state == "Promoting":
        return f"{asked}: {target.version} is being promoted already"
    return f"{asked} does not fit: the canary in progress is of {target.version}, at weight {target.weight}; valid is {valid} of it"
