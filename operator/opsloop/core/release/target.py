"""The target: the revision that the spec asks for, recorded once, refused where it is blocked, and its ends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.actions import EnsureRevision
from opsloop.core.conditions import TEMPLATE_MISSING
from opsloop.core.facts import AdmissionAnswer, ReleaseFacts, WorkloadFacts
from opsloop.core.release import (
    ReleaseBuilder,
    admission,
    alone,
    back,
    checks,
    commands,
    frozen,
    guarding,
    identity,
    revisions,
    spared,
    weights,
)
from opsloop.core.release.analysis import ANALYSIS_FAILED, EVAL_FAILED, too_little_traffic
from opsloop.core.release.asked import answers, asked
from opsloop.core.release.giving_way import give_way, gives_way
from opsloop.core.release.outcome import Cancel, Outcome, Refuse, Rollout, Wait
from opsloop.core.release.patched import BASE_MISSING, PATCH_INVALID
from opsloop.core.release.pods import PODS_READY, TICK, clear_canary
from opsloop.core.release.route_back import asked as asked_route
from opsloop.core.release.wanted import UNKNOWN_CONTAINER, Wanted, find_blocked, version_not_changed, wanted
from opsloop.core.slo.canary import TOO_LITTLE_TRAFFIC
from opsloop.names import RETRY

# Named reasons
BLOCKED = "Blocked"  # the wanted revision was rolled back or rejected before
NEEDS_CANARY = "NeedsCanary"  # it was rolled back, but was not the cause: it may go again, as a canary only
VERSION_NOT_CHANGED = "VersionNotChanged"  # the images changed, the label by which the SLI tells versions apart did not
SPEC_BACK_TO_LIVE = "SpecBackToLive"  # the spec asks for what is live: a clean cancel
NEW_TARGET = "NewTarget"  # the spec asks for a third revision: weight 0, from the first step
ROLLED_BACK = "RolledBack"  # an Incident had live rolled back; a canary beside it starts again
UNDONE = "Undone"  # a person had live go back to an earlier revision
LIVE_CHANGED = "LiveChanged"  # a change by hand in mid-canary, or before a rollback could be written
BASE_CHANGED = "BaseChanged"  # the live template was changed, not its images: the canary starts again with that change
TRAFFIC_CHANGED = "TrafficChanged"  # strategy.traffic or httpRoute changed in mid-canary: it starts again with that
WEIGHT_UNREACHABLE = "WeightUnreachable"  # a step needs more canary pods than allowed

BLOCKING = (
    BLOCKED,
    EVAL_FAILED,
    ANALYSIS_FAILED,
    checks.CHECK_FAILED,
)  # a target that ended for these has a blocked revision
LONGEST_MESSAGE = 1000  # characters
LONGEST_RETRY = 128  # characters; a longer value is cut


def follow_spec(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records the target that the spec asks for, once per (images, version, retry).

    Waits until a rollback in progress is written or hangs, until the base template is stored, and until the API server has
    said what it would store.
    """
    facts, status = builder.facts, builder.status
    if guarding.is_busy(facts, status):
        return  # what is being rolled out first
    if _waits_for_rollback(facts, status, workload) or _is_answered(facts, status, workload):
        if _refused_by_admission(status.target):
            builder.look_again(admission.ASKED_AGAIN)
        return
    wish = wanted(facts, status)
    if wish is None:
        return  # stored by this very pass; the next one sees it
    target = _new_target(facts, wish.digest, builder.now)
    if wish.problem:
        _refuse(builder, target, *wish.problem)
    elif wish.digest == status.live:
        record_live(builder, target)
    elif blocked := _standing_block(status, wish.digest, wish.template):
        _refuse_blocked(builder, target, blocked)
    elif hindered := alone.refusal(facts, workload):
        _refuse(builder, target, hindered.reason, hindered.message)
    elif facts.stop is not None:
        cancel(builder, NEW_TARGET, f"the spec asks for {target.version}, which waits until opsloop is not stopped")
    elif frozen.holding(facts, builder.now) is not None:
        cancel(builder, NEW_TARGET, f"the spec asks for {target.version}, which waits for the end of a freeze")
    else:
        _ask_or_take(builder, wish, target)


def question(facts: ReleaseFacts) -> Wanted | None:
    """The template of which `follow_spec` wants to know what the API server would store; None while nothing is to be asked.

    Of a guarded Deployment nothing ever is: its template is stored.
    """
    status, workload = facts.release.status, facts.workload
    if (
        facts.stop is not None
        or facts.release.spec.guard
        or workload is None
        or workload.digest != status.live
        or _waits_for_rollback(facts, status, workload)
    ):
        return None
    target = status.target
    lost = target is not None and target.is_active and target.digest not in facts.templates
    if _is_answered(facts, status, workload) and not lost and not _refused_by_admission(target):
        return None
    wish = wanted(facts, status)
    if (
        wish is None
        or wish.problem
        or wish.digest == status.live
        or _standing_block(status, wish.digest, wish.template)
    ):
        return None
    return None if alone.refusal(facts, workload) else wish


def _new_target(facts: ReleaseFacts, digest: str, now: datetime) -> Target:
    wish, retry = asked(facts, facts.release.status), _retry(facts)
    target = Target(
        digest=digest,
        version=wish.version,
        images=dict(wish.images),
        patch=wish.patch,
        retry=retry,
        direct=facts.release.spec.strategy.type == "direct",
        state="Dark",
        started_at=now,
        route=asked_route(facts),
    )
    return target.model_copy(update={"restarts": spared.restarts_of(facts.release.status.target, target)})


def _ask_or_take(builder: ReleaseBuilder, wish: Wanted, target: Target) -> None:
    """Takes the target as the API server would store it; without an answer the target before ends, and the next look asks."""
    answer = builder.facts.answers.get(wish.digest)
    if builder.facts.release.spec.guard:
        answer = AdmissionAnswer(template=wish.template)  # as it stands on the Deployment
    if answer is None or answer.reason == admission.ADMISSION_UNAVAILABLE:
        cancel(builder, NEW_TARGET, f"the spec asks for {target.version}")
        builder.look_again(TICK if answer is None else admission.ASKED_SOON)
        if answer is not None:
            text = f"{target.version} waits until the API server says what it would store: {answer.message}"
            admission.mark(builder, None, admission.ADMISSION_UNAVAILABLE, text)
    elif answer.reason in admission.REFUSED:
        builder.look_again(admission.ASKED_AGAIN)
        admission.mark(builder, False, answer.reason, answer.message)
        _refuse(builder, target, answer.reason, f"{answer.message}; it is asked again every minute")
    else:
        _take(builder, wish, target, answer)


def _take(builder: ReleaseBuilder, wish: Wanted, target: Target, answer: AdmissionAnswer) -> None:
    """The target is the revision that the API server makes of the template: live, a blocked one, a known or a new one."""
    facts, status = builder.facts, builder.status
    template = dict(answer.template) if answer.template is not None else wish.template
    digest = admitted_digest(facts, status, template, answer)
    target = target.model_copy(update={"digest": digest})
    blocked = _standing_block(status, digest, template)
    if not identity.images_of_both_may_be_same(wish.template, template):
        message = f"the API server would store another template: {identity.sentence(wish.template, template)}"
        builder.look_again(admission.ASKED_AGAIN)
        admission.mark(builder, False, admission.ADMISSION_CHANGED, message)
        _refuse(builder, target, admission.ADMISSION_CHANGED, message)
    elif digest == status.live:
        record_live(builder, target)
    elif blocked is not None:
        _refuse_blocked(builder, target, blocked)
    elif message := version_not_changed(facts, status):
        _refuse(builder, target, VERSION_NOT_CHANGED, message)
    else:
        _mark_answer(builder, answer)
        new = Revision(
            digest=digest,
            number=revisions.next_number(status.revisions),
            version=target.version,
            images=revisions.images_of(template),
            base_images=wish.base_images,
            base=wish.base,
            patch=target.patch,
            left_out=list(answer.unstable),
            reason="Direct" if target.direct else "Canaried",
            first_seen=builder.now,
        )
        target = target.model_copy(update={"back": back.takes_no_steps(facts, status, digest, builder.now)})
        _start(builder, target, template, revisions.find(status.revisions, digest) or new)


def _standing_block(status: ReleaseStatus, digest: str, template: Mapping[str, Any]) -> Revision | None:
    """The blocked revision that a target of this template would be; one that needs a canary may be a target."""
    blocked = find_blocked(status, digest, template)
    return None if needs_canary(blocked) else blocked


def needs_canary(revision: Revision | None) -> bool:
    """True for a revision that was rolled back and was not the cause: the spec may ask for it again, as a canary."""
    return revision is not None and revision.blocked is not None and revision.blocked.reason == NEEDS_CANARY


def _waits_for_rollback(facts: ReleaseFacts, status: ReleaseStatus, workload: WorkloadFacts) -> bool:
    record = status.rollback
    return record is not None and record.is_active and not gives_way(facts, workload, record)


def admitted_digest(
    facts: ReleaseFacts, status: ReleaseStatus, template: Mapping[str, Any], answer: AdmissionAnswer
) -> str:
    """The revision of a template as the API server would store it: a known one, or a new digest."""
    ignored = facts.release.spec.ignore_stamps
    stable = identity.without(template, answer.unstable)
    known = identity.identify(template, status.revisions, facts.templates, ignored)
    return known or revisions.digest(stable, ignored)


def _mark_answer(builder: ReleaseBuilder, answer: AdmissionAnswer) -> None:
    if answer.reason == admission.DRY_RUN_REFUSED:
        admission.mark(
            builder, None, answer.reason, f"{answer.message}; the images that the canary is stored with are promoted"
        )
    elif answer.unstable:
        paths = ", ".join(answer.unstable)
        admission.mark(
            builder,
            False,
            admission.ADMISSION_NOT_DETERMINISTIC,
            f"two dry runs differ in {paths}: left out of comparisons",
        )
    else:
        admission.mark(builder, True, admission.AS_DECIDED, "the API server stores templates as they are decided")


def _refuse(builder: ReleaseBuilder, target: Target, reason: str, message: str) -> None:
    """Records the refusal, once: said again it is no news."""
    before, refused = builder.status.target, ended(target, "Refused", reason, message, builder.now)
    told = ("version", "images", "patch", "retry", "state", "reason", "message")
    if before is not None and all(getattr(before, f) == getattr(refused, f) for f in told):
        return
    builder.set(target=refused)
    builder.event("Refused", f"{target.version}: {message}", "Warning")


def asked_retry(annotations: Mapping[str, str]) -> str:
    """The retry that the Release's annotations ask for, as it is recorded; empty without one."""
    return annotations.get(RETRY, "")[:LONGEST_RETRY]


def _retry(facts: ReleaseFacts) -> str:
    """The try that is asked for: any new value. Taking the annotation away asks for nothing."""
    target = facts.release.status.target
    return asked_retry(facts.release.metadata.annotations) or (target.retry if target else "")


def _is_answered(facts: ReleaseFacts, status: ReleaseStatus, workload: WorkloadFacts) -> bool:
    """True where the recorded target is the answer to this spec and retry, and nothing that ended it has changed."""
    target = status.target
    if target is None or not answers(target, asked(facts, status)) or target.retry != _retry(facts):
        return False
    again = (
        _block_lifted(facts, status, target)
        or _in_reach_again(facts, target, workload)
        or _base_changed(status, target)
    )
    again = again or _fits_now(facts, status, target) or _not_alone_any_more(facts, target, workload)
    again = again or spared.starts_again(facts, target)
    return not again and not _admitted_again(facts, status, target)


def _not_alone_any_more(facts: ReleaseFacts, target: Target, workload: WorkloadFacts) -> bool:
    """The target was refused because no canary could run beside the live pods, and one can now."""
    refused = target.state in ("Refused", "Rejected") and target.reason in alone.REFUSALS
    return refused and alone.refusal(facts, workload) is None


def _fits_now(facts: ReleaseFacts, status: ReleaseStatus, target: Target) -> bool:
    """The target was refused because the Deployment's template did not fit images or patch, and it does now."""
    refused = target.state == "Refused" and target.reason in (UNKNOWN_CONTAINER, PATCH_INVALID, BASE_MISSING)
    wish = wanted(facts, status) if refused else None
    return wish is not None and wish.problem is None


def _refused_by_admission(target: Target | None) -> bool:
    return target is not None and target.state == "Refused" and target.reason in admission.REFUSALS


def _admitted_again(facts: ReleaseFacts, status: ReleaseStatus, target: Target) -> bool:
    """The target was refused for what the API server said of its template, and now it says something else."""
    wish = wanted(facts, status) if _refused_by_admission(target) else None
    answer = facts.answers.get(wish.digest) if wish else None
    return answer is not None and answer.reason not in (*admission.REFUSED, admission.ADMISSION_UNAVAILABLE)


def _base_changed(status: ReleaseStatus, target: Target) -> bool:
    """The target ended because what it was made from was changed: its template by somebody, or live by a rollback; or live by
    hand, and that was rolled back since. It was not judged, and may be the fix."""
    if target.state != "Cancelled" or target.ended_at is None:
        return False
    record = status.rollback
    undone = record is not None and record.state in ("Written", "Done") and record.at >= target.ended_at
    return target.reason in (BASE_CHANGED, ROLLED_BACK, NEW_TARGET, TRAFFIC_CHANGED) or (
        target.reason == LIVE_CHANGED and undone
    )


def _block_lifted(facts: ReleaseFacts, status: ReleaseStatus, target: Target) -> bool:
    """The target ended for its block, and an operator has lifted it. Trouble of the cluster is tried again on retry only."""
    if target.state not in ("Refused", "Rejected") or target.reason not in BLOCKING or target.digest == status.live:
        return False
    revision, wish = revisions.find(status.revisions, target.digest), wanted(facts, status)
    is_blocked = revision is not None and revision.blocked is not None
    return wish is not None and not is_blocked and find_blocked(status, wish.digest, wish.template) is None


def _in_reach_again(facts: ReleaseFacts, target: Target, workload: WorkloadFacts) -> bool:
    """The target was refused for its weights; the spec or the Deployment has changed so that all can be reached."""
    refused = target.state == "Refused" and target.reason == WEIGHT_UNREACHABLE
    return refused and not _weights_out_of_reach(facts, workload)


def _weights_out_of_reach(facts: ReleaseFacts, workload: WorkloadFacts) -> str:
    """The arithmetic for the first weight of the spec that canary pods cannot reach; empty where all can be reached."""
    canary = facts.release.spec.strategy.canary
    by_route = asked_route(facts) is not None
    steps = (s.load for s in facts.release.spec.strategy.steps if s.load)
    return weights.first_refusal(steps, workload.replicas, canary.max_canary_replicas, by_route)


def weight_unreachable(rollout: Rollout) -> Outcome | None:
    """Refuse before the canary starts where any of its weights is out of reach."""
    reason = _weights_out_of_reach(rollout.facts, rollout.workload)
    return Refuse(WEIGHT_UNREACHABLE, reason) if reason else None


def template_not_stored(rollout: Rollout) -> Outcome | None:
    """Wait or Cancel while the target's template is not stored: the process died between the record and the store.

    The template is made from the base and asked about again; Cancel where that gives another digest.
    """
    facts, status, target = rollout.facts, rollout.status, rollout.target
    if target.digest in facts.templates:
        return None
    wish, revision = wanted(facts, status), revisions.find(status.revisions, target.digest)
    answer = facts.answers.get(wish.digest) if wish else None
    if wish is not None and facts.release.spec.guard:
        answer = AdmissionAnswer(template=wish.template)
    if wish is None or revision is None or answer is None or answer.reason == admission.ADMISSION_UNAVAILABLE:
        return Wait()  # stored by this very pass, or asked by the next look
    template = dict(answer.template) if answer.template is not None else wish.template
    if admitted_digest(facts, status, template, answer) != target.digest:
        return Cancel(TEMPLATE_MISSING, "its template is not stored and what it was made from has changed")
    return Wait((EnsureRevision(facts.release.metadata.name, target.digest, revision.number, template),))


def record_live(builder: ReleaseBuilder, target: Target) -> None:
    """The spec asks for what is live. Live gets the spec's label where it was called by its image, which admission rewrote."""
    status, spec = builder.status, builder.facts.release.spec  # a guarded one names no images
    live = revisions.find(status.revisions, target.digest)
    if live is not None and any(live.images.get(name) != image for name, image in spec.images.items()):
        builder.set(revisions=revisions.put(status.revisions, live.model_copy(update={"version": spec.version})))
    cancel(builder, SPEC_BACK_TO_LIVE, "the spec asks for what is live")
    builder.set(target=ended(target, "Promoted", SPEC_BACK_TO_LIVE, "live is what the spec asks for", builder.now))


def _refuse_blocked(builder: ReleaseBuilder, target: Target, revision: Revision) -> None:
    _refuse(builder, target, BLOCKED, blocked_message(builder.status, target, revision))


def blocked_message(status: ReleaseStatus, target: Target, revision: Revision) -> str:
    """Why the target is refused, and how the block of `revision` (itself, or one with its images) is lifted."""
    blocked = revision.blocked
    assert blocked is not None
    same = "" if revision.digest == target.digest else f" has the images of {revision.digest}, which"
    return (
        f"{target.version} ({target.digest}){same} is blocked: {blocked.reason}, {blocked.message}; "
        f"to allow it again: annotate the Release with opsloop.dev/unblock={revision.digest}"
        f"{_obeyed_before(status, revision.digest)}"
    )


def _obeyed_before(status: ReleaseStatus, digest: str) -> str:
    given = commands.find(status, "unblock")
    return (
        " (take away the one that is there first: it was obeyed before this block)"
        if given and given.value == digest
        else ""
    )


def _start(builder: ReleaseBuilder, target: Target, template: dict[str, Any], revision: Revision) -> None:
    """Ends the target before, records this one and has its template stored. Its pods start at a later look."""
    workload = builder.facts.workload
    message = (
        too_little_traffic(builder.facts, workload.replicas) if workload and not (target.back or target.direct) else ""
    )
    target = target.model_copy(update={"message": message[:LONGEST_MESSAGE]})
    give_way(builder)
    cancel(builder, NEW_TARGET, f"the spec asks for {target.version}")
    clear_canary(builder, NEW_TARGET)
    history = builder.status.revisions
    for again in (r for r in history if needs_canary(r) and (r.digest == target.digest or r.images == revision.images)):
        history = revisions.unblock(history, again.digest)  # this canary is what it needs
    revision = revisions.find(history, target.digest) or revision
    builder.set(revisions=revisions.put(history, revision), target=target)
    if target.digest not in builder.facts.templates:
        name = builder.facts.release.metadata.name
        builder.execute(EnsureRevision(name, target.digest, revision.number, template))
    if target.direct:
        builder.event("DirectStarted", f"{target.version} is shipped without a canary: strategy.type is direct")
    elif target.back:
        text = f"{target.version} was proven live within strategy.backWithin: it takes no steps"
        builder.event(back.PROVEN_BEFORE, text)
    else:
        builder.event("CanaryStarted", f"{target.version} starts dark: no Service sends it anything")
    if target.message:
        builder.event(TOO_LITTLE_TRAFFIC, f"{target.version}: {target.message}", "Warning")
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
    changes |= {"match": None, "mirror": None, "shown": False, "checks": checks.closed(target)}
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
