"""The target: the revision that the spec asks for, recorded once, refused where it is blocked, and its ends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from opsloop.api.release import ReleaseStatus, Revision, Target
from opsloop.core import conditions
from opsloop.core.actions import EnsureRevision
from opsloop.core.conditions import TEMPLATE_MISSING
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, commands, revisions, weights
from opsloop.core.release.analysis import ANALYSIS_FAILED, EVAL_FAILED
from opsloop.core.release.giving_way import give_way, gives_way
from opsloop.core.release.outcome import Cancel, Outcome, Refuse, Rollout, Wait
from opsloop.core.release.pods import PODS_READY, TICK, clear_canary
from opsloop.core.slo import promql
from opsloop.names import RETRY

# Named reasons
BLOCKED = "Blocked"  # the wanted revision was rolled back or rejected before
UNKNOWN_CONTAINER = "UnknownContainer"  # spec.images names a container that the Deployment does not have
VERSION_NOT_CHANGED = "VersionNotChanged"  # the images changed, the label by which the SLI tells versions apart did not
SPEC_BACK_TO_LIVE = "SpecBackToLive"  # the spec asks for what is live: a clean cancel
NEW_TARGET = "NewTarget"  # the spec asks for a third revision: weight 0, from the first step
BASE_CHANGED = "BaseChanged"  # the live template was changed, not its images: the canary starts again with that change
WEIGHT_UNREACHABLE = "WeightUnreachable"  # a step needs more canary pods than allowed

BLOCKING = (BLOCKED, EVAL_FAILED, ANALYSIS_FAILED)  # a target that ended for these has a blocked revision
LONGEST_MESSAGE = 1000  # characters


def follow_spec(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records the target that the spec asks for, once per (images, version, retry).

    Waits until a rollback in progress is written or hangs, and until the base template is stored.
    """
    facts, status = builder.facts, builder.status
    if _waits_for_rollback(facts, status, workload) or _is_answered(facts, status, workload):
        return
    base = _base_template(facts, status.revisions, status.live)
    if base is None:
        return  # stored by this very pass; the next one sees it
    spec = facts.release.spec
    template, unknown = revisions.with_images(base, spec.images)
    target = Target(
        digest=revisions.digest(template, spec.ignore_stamps),
        version=spec.version,
        images=spec.images,
        retry=_retry(facts),
        state="Dark",
        started_at=builder.now,
    )
    revision = revisions.find(status.revisions, target.digest)
    blocked = _blocked(status, target.digest, template)
    if unknown:
        message = f"spec.images names {', '.join(unknown)}, which the Deployment does not have"
        builder.set(target=ended(target, "Refused", UNKNOWN_CONTAINER, message, builder.now))
    elif target.digest == status.live:
        _record_live(builder, target)
    elif blocked is not None:
        _refuse_blocked(builder, target, blocked)
    elif message := _version_not_changed(facts, status):
        builder.set(target=ended(target, "Refused", VERSION_NOT_CHANGED, message, builder.now))
        builder.event("Refused", message, "Warning")
    else:
        _start(builder, target, template, revision, revisions.base_images(base, spec.images))


def _waits_for_rollback(facts: ReleaseFacts, status: ReleaseStatus, workload: WorkloadFacts) -> bool:
    record = status.rollback
    return record is not None and record.is_active and not gives_way(facts, workload, record)


def _blocked(status: ReleaseStatus, digest: str, template: Mapping[str, Any]) -> Revision | None:
    """The blocked revision that a target of this template would be: the same, or another one with its images."""
    revision = revisions.find(status.revisions, digest)
    if revision is not None and revision.blocked is not None:
        return revision
    return revisions.blocked_images(status.revisions, revisions.images_of(template))


def _version_not_changed(facts: ReleaseFacts, status: ReleaseStatus) -> str:
    """What to write where canary and live would be one series to the SLI; empty where their labels differ or do not matter."""
    spec, live = facts.release.spec, revisions.find(status.revisions, status.live)
    if spec.slo is None or not promql.by_version_label(spec.slo.sli) or live is None or live.version != spec.version:
        return ""
    return (
        f"spec.images changed and spec.version is still {spec.version}, which the SLI reads as live's: canary and live "
        "would be one series. Write the new version, as its pods report it in the label of {{version}}, into spec.version"
    )


def _retry(facts: ReleaseFacts) -> str:
    """The try that is asked for: any new value. Taking the annotation away asks for nothing."""
    target = facts.release.status.target
    return facts.release.metadata.annotations.get(RETRY, "") or (target.retry if target else "")


def _is_answered(facts: ReleaseFacts, status: ReleaseStatus, workload: WorkloadFacts) -> bool:
    """True where the recorded target is the answer to this spec and retry, and nothing that ended it has changed."""
    spec, target = facts.release.spec, status.target
    if target is None or (target.version, target.images, target.retry) != (spec.version, spec.images, _retry(facts)):
        return False
    again = _block_lifted(facts, status, target) or _in_reach_again(facts, target, workload) or _base_changed(target)
    return not again


def _base_changed(target: Target) -> bool:
    """The target ended because somebody changed the template that it was made from, and not the images."""
    return (target.state, target.reason) == ("Cancelled", BASE_CHANGED)


def _block_lifted(facts: ReleaseFacts, status: ReleaseStatus, target: Target) -> bool:
    """The target ended for its block, and an operator has lifted it. Trouble of the cluster is tried again on retry only."""
    if target.state not in ("Refused", "Rejected") or target.reason not in BLOCKING or target.digest == status.live:
        return False
    base = _base_template(facts, status.revisions, status.live)
    return base is not None and _blocked(status, target.digest, revisions.with_images(base, target.images)[0]) is None


def _in_reach_again(facts: ReleaseFacts, target: Target, workload: WorkloadFacts) -> bool:
    """The target was refused for its weights; the spec or the Deployment has changed so that all can be reached."""
    refused = target.state == "Refused" and target.reason == WEIGHT_UNREACHABLE
    return refused and not _weights_out_of_reach(facts, workload)


def _weights_out_of_reach(facts: ReleaseFacts, workload: WorkloadFacts) -> str:
    """The arithmetic for the first weight of the spec that canary pods cannot reach; empty where all can be reached."""
    canary = facts.release.spec.strategy.canary
    return weights.first_refusal((s.weight for s in canary.steps), workload.replicas, canary.max_canary_replicas)


def weight_unreachable(rollout: Rollout) -> Outcome | None:
    """Refuse before the canary starts where any of its weights is out of reach."""
    reason = _weights_out_of_reach(rollout.facts, rollout.workload)
    return Refuse(WEIGHT_UNREACHABLE, reason) if reason else None


def _base_template(facts: ReleaseFacts, history: list[Revision], live: str) -> dict[str, Any] | None:
    """The template that a target's images are put on; None while it is not stored."""
    base = revisions.base(history, live)
    stored = facts.templates.get(base.digest) if base else None
    return revisions.without_own_images(stored, base) if base and stored else None


def template_not_stored(rollout: Rollout) -> Outcome | None:
    """Wait or Cancel while the target's template is not stored: the process died between the record and the store.

    The template is made from the base again; Cancel where that gives another digest.
    """
    facts, status, target = rollout.facts, rollout.status, rollout.target
    if target.digest in facts.templates:
        return None
    base = _base_template(facts, status.revisions, status.live)
    revision = revisions.find(status.revisions, target.digest)
    if base is None or revision is None:
        return Wait()  # stored by this very pass; the next one sees it
    template, _ = revisions.with_images(base, target.images)
    if revisions.digest(template, facts.release.spec.ignore_stamps) != target.digest:
        return Cancel(TEMPLATE_MISSING, "its template is not stored and what it was made from has changed")
    return Wait((EnsureRevision(facts.release.metadata.name, target.digest, revision.number, template),))


def _record_live(builder: ReleaseBuilder, target: Target) -> None:
    cancel(builder, SPEC_BACK_TO_LIVE, "the spec asks for what is live")
    builder.set(target=ended(target, "Promoted", SPEC_BACK_TO_LIVE, "live is what the spec asks for", builder.now))
    builder.condition("Blocked", False, "Allowed", f"{target.version} is live")


def _refuse_blocked(builder: ReleaseBuilder, target: Target, revision: Revision) -> None:
    blocked = revision.blocked
    assert blocked is not None
    same = "" if revision.digest == target.digest else f" has the images of {revision.digest}, which"
    message = (
        f"{target.version} ({target.digest}){same} is blocked: {blocked.reason}, {blocked.message}; "
        f"to allow it again: annotate the Release with opsloop.dev/unblock={revision.digest}"
        f"{_obeyed_before(builder.status, revision.digest)}"
    )
    builder.set(target=ended(target, "Refused", BLOCKED, message, builder.now))
    builder.condition("Blocked", True, BLOCKED, message)
    builder.event("Refused", message[:500], "Warning")


def _obeyed_before(status: ReleaseStatus, digest: str) -> str:
    given = commands.find(status, "unblock")
    return (
        " (take away the one that is there first: it was obeyed before this block)"
        if given and given.value == digest
        else ""
    )


def _start(
    builder: ReleaseBuilder,
    target: Target,
    template: dict[str, Any],
    revision: Revision | None,
    base_images: dict[str, str],
) -> None:
    """Ends the target before, records this one and has its template stored. Its pods start at a later look."""
    builder.condition("Blocked", False, "Allowed", f"{target.version} may be tried")
    give_way(builder)
    cancel(builder, NEW_TARGET, f"the spec asks for {target.version}")
    clear_canary(builder, NEW_TARGET)
    history = builder.status.revisions
    revision = revision or Revision(
        digest=target.digest,
        number=revisions.next_number(history),
        version=target.version,
        images=revisions.images_of(template),
        base_images=base_images,
        reason="Canaried",
        first_seen=builder.now,
    )
    builder.set(revisions=revisions.put(history, revision), target=target)
    if target.digest not in builder.facts.templates:
        name = builder.facts.release.metadata.name
        builder.execute(EnsureRevision(name, target.digest, revision.number, template))
    builder.event("CanaryStarted", f"{target.version} starts dark: no Service sends it anything")
    builder.look_again(TICK)


def ended(
    target: Target,
    state: Literal["Promoted", "Rejected", "Cancelled", "Refused"],
    reason: str,
    message: str,
    now: datetime,
) -> Target:
    """The target in a final state, with no pods in traffic."""
    changes = {"state": state, "reason": reason, "message": message[:LONGEST_MESSAGE], "ended_at": now}
    return target.model_copy(update={**changes, "weight": 0, "pods": 0})


def cancel(builder: ReleaseBuilder, reason: str, message: str) -> None:
    """Ends an active target at weight 0. `decide` closes its gates and deletes its pods in the same Decision."""
    target = builder.status.target
    if target is not None and target.is_active:
        builder.set(target=ended(target, "Cancelled", reason, message, builder.now))
        builder.event("CanaryCancelled", f"{target.version}: {message}", "Warning")


def mark_no_canary(builder: ReleaseBuilder) -> None:
    """Nothing is in progress that could be held up or wait for pods."""
    builder.condition("Held", False, "NoCanary", "no canary is in progress")
    if conditions.get(builder.status.conditions, PODS_READY):
        builder.condition(PODS_READY, None, "NoCanary", "no canary is in progress")
