"""Guarded Deployments: kept paused at rest, so that a changed template starts no pod until its canary has passed.

The decisions on live, target and canary are those of any Release. This module adds what `/spec/paused` takes:
`intercept` comes before them (a template that nobody canaried must not run for a look longer), `keep` after them: it has
each template written go out together with `paused: false`, and pauses again once its pods run.
"""

from datetime import timedelta

from opsloop.api.records import Guarding
from opsloop.api.revision import Revision
from opsloop.core import conditions
from opsloop.core.actions import DeletePods, DeleteReplicaSet, EnsureRevision, SetPaused, SetTemplate
from opsloop.core.facts import GuardFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, guarding, restart, revisions, rollout_state, serving, settling
from opsloop.core.release.admission import was_stored_instead
from opsloop.core.release.giving_way import failed
from opsloop.core.release.guarding import GUARDED, LIMIT
from opsloop.core.release.pods import TICK, clear_canary
from opsloop.core.release.rollout_state import Obstacle
from opsloop.core.release.target import cancel, ended
from opsloop.names import RETRY

# Named reasons
GUARD_ROLLS_OUT = "GuardRollsOut"  # the Deployment is unpaused for a revision that may run; another one would be paused
ADOPTION_WAITS = "AdoptionWaits"  # the Deployment is paused as soon as all its pods are of one ReplicaSet
PAUSED_BY_OTHERS = "PausedByOthers"  # somebody else had paused the Deployment: opsloop never unpauses that
CONTESTED = "GuardContested"  # somebody keeps writing another template, or unpausing: opsloop has stopped answering
UNGUARDED = "Unguarded"  # spec.guard was taken away: the Deployment rolls out by itself, as before
RESTORED = "Restored"  # pods of another revision than live's were there, though paused: live is rolled out

HOUR = timedelta(hours=1)  # unpausing is counted within it


def intercept(builder: ReleaseBuilder, workload: WorkloadFacts) -> bool:
    """Answers at once what must not wait for other decisions; True where this look decides on nothing else."""
    guard, status = workload.guard, builder.status
    if guard is None:
        return False
    if not builder.facts.release.spec.guard:
        return _let_go(builder, workload, guard)
    _obey_retry(builder)
    now = guarding.state(builder.status)
    if not guard.paused and now.rolling and guard.digest != now.rolling and not _stored_instead(builder, workload, now):
        _answer(builder, workload, guard, now)
        return True
    strays = guard.ours and not now.rolling and bool(status.live) and bool(guard.with_pods)
    if (
        strays
        and not any(one.digest == status.live for one in guard.with_pods)
        and status.live in builder.facts.templates
    ):
        if builder.facts.stop is None:  # under a Stop nothing is restored, and the condition says so
            builder.event(
                RESTORED, "pods of a revision that was not canaried were started: live is rolled out again", "Warning"
            )
        _roll_again(builder, workload, guard, status.live)
        return True
    return False


def _stored_instead(builder: ReleaseBuilder, workload: WorkloadFacts, now: Guarding) -> bool:
    """True where what stands is what the API server made of our own write of the revision that is rolled out."""
    decided, known = (revisions.find(builder.status.revisions, d) for d in (now.rolling, workload.digest))
    return decided is not None and known is None and was_stored_instead(builder.facts, workload, decided)


def _answer(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """Another template was written while one is rolled out: paused at once; theirs is kept, to be put back afterwards."""
    builder.safety(SetPaused(workload.name, guard.own_digest, True, guard.digest))
    held = _held(builder, guard)
    counts = guarding.is_wanted(builder.status, now.rolling) and guard.generation != now.answered_generation
    changes = {"held": held, "answered": now.answered + counts, "answered_generation": guard.generation}
    builder.set(guard=now.model_copy(update=changes))
    who = workload.manager or "an unknown manager"
    text = (
        f"{who} wrote another template while {_version(builder, now.rolling)} is rolled out: the Deployment is paused"
    )
    builder.condition(GUARDED, True, GUARD_ROLLS_OUT, text)
    builder.event("TemplateHeld", text, "Warning")
    builder.look_again(TICK)


def _let_go(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> bool:
    """Unpauses what opsloop paused, with live's template on it: nothing moves, and nothing that was held back is shipped."""
    if not guard.ours:
        return False
    facts = builder.facts
    cancel(builder, UNGUARDED, "spec.guard was taken away before its canary had passed")
    clear_canary(builder, UNGUARDED)
    builder.look_again(TICK)
    if facts.stop is not None:
        builder.condition(GUARDED, True, facts.stop.named_reason, facts.stop.sentence)
        return True
    put_back = guard.digest != workload.digest
    if guard.orphans:  # nobody would see to them any more
        builder.execute(DeletePods(tuple((one.name, one.uid) for one in guard.orphans)))
    builder.execute(unpaused(workload.name, guard, workload))
    text = f"the Deployment goes on with {_version(builder, workload.digest)}, which runs"
    if put_back:
        text += f"; {_version(builder, guard.digest)}, which was held back, is taken off it: apply it again to ship it"
    if (told := conditions.get(builder.status.conditions, GUARDED)) is None or told.reason != UNGUARDED:
        builder.event(UNGUARDED, text, "Warning" if put_back else "Normal")
    builder.condition(GUARDED, False, UNGUARDED, text)
    return True


def unpaused(deployment: str, guard: GuardFacts, runs: WorkloadFacts) -> SetPaused:
    """The write that ends guarding: nothing moves by it. A mere stamp on the template is a restart that somebody asked for."""
    template = runs.template if guard.digest != runs.digest else None
    return SetPaused(deployment, guard.own_digest, False, runs.digest, template)


def keep(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """What `/spec/paused` needs after all else was decided; sets the condition Guarded."""
    guard = workload.guard
    if not builder.facts.release.spec.guard or guard is None:
        if not builder.facts.release.spec.guard and builder.status.guard is not None:
            builder.set(guard=None)
            builder.condition(GUARDED, False, UNGUARDED, "spec.guard is false: the Deployment rolls out by itself")
        return
    _with_unpausing(builder, workload, guard)
    if guard.paused and not guard.ours:
        text = (
            f"{guard.paused_by or 'somebody'} paused the Deployment; kubectl rollout resume deployment/{workload.name}"
        )
        builder.condition(GUARDED, False, PAUSED_BY_OTHERS, text)
    elif guard.ours:
        _paused(builder, workload, guard)
    else:
        _unpaused(builder, workload, guard)
    settling.sweep(builder, workload, guard)


def _with_unpausing(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> None:
    """A template that was decided to be written goes out with `paused: false`, recorded as what the Deployment is unpaused for."""
    write = next((a for a in builder.actions if isinstance(a, SetTemplate)), None)
    if write is None:
        return
    now, target = guarding.state(builder.status), builder.status.target
    if guard.paused and not guard.ours:
        builder.exchange(write)  # never unpaused by opsloop; who waits for it is told so
        return
    if now.rolling == write.digest and now.answered > LIMIT and guard.digest != write.digest:
        builder.exchange(write)
        _finish(builder, workload, guard, write.digest)
        return
    promoted = target is not None and (target.state, target.digest) == ("Promoting", write.digest) == (
        "Promoting",
        guard.digest,
    )
    answered = now.answered if now.rolling == write.digest else 0
    held = "" if guard.digest in (write.digest, builder.status.live) else _held(builder, guard)
    stored = [a for a in builder.actions if isinstance(a, EnsureRevision)]
    for action in stored:  # what is written over is stored first
        builder.exchange(action)
    builder.exchange(
        write,
        *stored,
        SetPaused(workload.name, guard.own_digest, False, write.digest, None if promoted else write.template),
    )
    since = now.since if now.rolling == write.digest and now.since else builder.now
    builder.set(guard=now.model_copy(update={"rolling": write.digest, "since": since, "held": held or now.held, "answered": answered}))  # fmt: skip


def _paused(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> None:
    now, status = guarding.state(builder.status), builder.status
    if any(isinstance(a, SetPaused) for a in builder.actions):
        _told_rolling(builder, workload)
    elif any(isinstance(a, DeleteReplicaSet) for a in builder.actions):
        return  # it is being finished while paused
    elif now.rolling and guarding.is_wanted(status, now.rolling) and not guarding.is_done(guard, now.rolling):
        _go_on(builder, workload, guard, now)
    elif _is_mixed(builder, workload, guard):
        _restore(builder, workload, guard, now)
    elif _restarts(builder, workload, guard):
        _roll_again(builder, workload, guard, workload.digest)
    else:
        _rest(builder, workload, guard, now)


def _go_on(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """The rollout that was broken off by another template goes on; from the third time on without a write of the template."""
    if now.answered > LIMIT and guard.digest != now.rolling:
        _finish(builder, workload, guard, now.rolling)
    else:
        _roll_again(builder, workload, guard, now.rolling)


def _finish(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, to: str) -> None:
    """While paused where that is possible; else it is contested, or tried anew for another revision than the one before."""
    now = guarding.state(builder.status)
    if settling.settle(builder, workload, guard, to):
        return
    if to != now.rolling:
        _roll_again(builder, workload, guard, to)
    else:
        _contested(builder, workload, now)


def _restore(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """Pods of two revisions, or none of live's: what serves is rolled out again. A canary that is on its way ends it itself."""
    target, serves = builder.status.target, serving.serving(builder.status)
    ends_itself = target is not None and target.is_active
    if guarding.is_contested(guard, now) and not guard.orphans:
        _contested(builder, workload, now)
    elif (
        serves is None
        or serves.digest not in builder.facts.templates
        or (ends_itself and not _blocked_runs(builder, guard))
    ):
        builder.condition(
            GUARDED, True, GUARDED, "pods are of two revisions; a changed template is canaried beside them"
        )
    elif now.answered > LIMIT and guard.digest != serves.digest:
        _finish(builder, workload, guard, serves.digest)
    else:
        _roll_again(builder, workload, guard, serves.digest)


def _blocked_runs(builder: ReleaseBuilder, guard: GuardFacts) -> bool:
    known = (revisions.find(builder.status.revisions, one.digest) for one in guard.with_pods)
    return any(r is not None and r.blocked is not None and r.digest != builder.status.live for r in known)


def _roll_again(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, digest: str) -> None:
    """Unpauses for a revision that may run, with its template where another one stands; that one is put back afterwards."""
    now = guarding.state(builder.status)
    if builder.facts.stop is not None:
        builder.condition(GUARDED, True, builder.facts.stop.named_reason, builder.facts.stop.sentence)
        return
    template, held = None, now.held
    if guard.digest != digest:
        begun = guarding.rolled(guard, digest) if digest == now.rolling else None
        template = (
            begun.template if begun else builder.facts.templates.get(digest)
        )  # with its stamps, where it has some
        held = _held(builder, guard)
        if template is None:
            builder.condition(GUARDED, False, conditions.TEMPLATE_MISSING, "the template that may run is not stored")
            return
    builder.execute(SetPaused(workload.name, guard.own_digest, False, digest, template))
    answered = now.answered if now.rolling == digest else 0
    changes = {"rolling": digest, "since": builder.now, "held": held, "answered": answered}
    builder.set(guard=now.model_copy(update=changes))
    _told_rolling(builder, workload)


def _rest(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """All pods are of one revision and the Deployment is paused: what was under way is over, a contest is not."""
    if guarding.is_contested(guard, now):
        _contested(builder, workload, now)
        return
    if now.rolling and restart.is_under_way(builder.status):
        _told_rolling(builder, workload)  # its count of answers stands until its stamp was seen, or it has failed
        return
    kept = ("retry", "resumed", "resumed_at", "orphaned")
    builder.set(guard=Guarding(**{field: getattr(now, field) for field in kept}))
    for one in guarding.in_the_way(guard, builder.status.live):
        builder.execute(DeleteReplicaSet(one.name, one.uid, one.version))
    text = "the Deployment is paused at rest: a changed template is canaried, and no pod runs it before"
    if guard.digest != builder.status.live:
        text = f"{_version(builder, guard.digest)} stands on the Deployment, and no pod runs it"
    builder.condition(GUARDED, True, GUARDED, text)


def _unpaused(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> None:
    now = guarding.state(builder.status)
    if any(isinstance(a, SetPaused) for a in builder.actions):
        _told_rolling(builder, workload)
    elif now.rolling:
        _rolls_out(builder, workload, guard, now)
    elif _keeps_being_resumed(builder, now):
        text = f"the Deployment was unpaused {now.resumed + 1} times within an hour; what sets spec.paused? A changed "
        text += "template is rolled out without a canary; to have it guarded again: opsloop.dev/retry with a new value"
        told = conditions.get(builder.status.conditions, GUARDED)
        if told is None or told.reason != CONTESTED:
            builder.event(CONTESTED, text, "Warning")
        builder.condition(GUARDED, False, CONTESTED, text)
    elif workload.settled and workload.digest == builder.status.live:
        _pause(builder, workload, guard, now)
    else:
        waits = rollout_state.with_trouble(workload, "it is paused as soon as all its pods are of one ReplicaSet")
        builder.condition(GUARDED, False, ADOPTION_WAITS, waits)
        builder.look_again(TICK)


def _rolls_out(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """Paused once every pod has the template. Deadlines count from the unpausing."""
    if workload.settled:
        _pause(builder, workload, guard, now)
        return
    late = rollout_state.overdue(builder.facts, workload, now.rolling, now.since or builder.now, builder.now)
    if late is not None:
        builder.condition(GUARDED, True, late.reason, late.message)
    else:
        _told_rolling(builder, workload)
    builder.look_again(TICK)


def _pause(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, now: Guarding) -> None:
    """At rest: paused, with the template that was held meanwhile. `rolling` stands until that was seen."""
    held = builder.facts.templates.get(now.held) if now.held != guard.digest else None
    if held is not None and rollout_state.refusal_of(builder.facts, "template", now.held):
        held = None  # the API server does not take it any more: who wants it will write it again
    digest = now.held if held is not None else guard.digest
    builder.execute(SetPaused(workload.name, guard.own_digest, True, digest, held))
    if now.rolling:
        _told_rolling(builder, workload)
        return
    told = conditions.get(builder.status.conditions, GUARDED)
    if told is not None and told.reason == GUARDED:
        lately = now.resumed_at is not None and builder.now - now.resumed_at < HOUR
        again = {"resumed": now.resumed + 1 if lately else 1, "resumed_at": builder.now}
        builder.set(guard=now.model_copy(update=again))
        builder.event("Resumed", "somebody unpaused the Deployment; opsloop pauses it again, as spec.guard says")
    builder.condition(GUARDED, False, ADOPTION_WAITS, "the Deployment is paused now")


def _keeps_being_resumed(builder: ReleaseBuilder, now: Guarding) -> bool:
    told = conditions.get(builder.status.conditions, GUARDED)
    if told is not None and told.reason == CONTESTED:
        return now.resumed >= LIMIT
    guarded = told is not None and told.reason == GUARDED
    lately = now.resumed_at is not None and builder.now - now.resumed_at < HOUR
    return guarded and lately and now.resumed >= LIMIT


def _contested(builder: ReleaseBuilder, workload: WorkloadFacts, now: Guarding) -> None:
    """Writes no more: the Deployment stays paused, and whoever waits for the rollout is told that it failed."""
    who, version = workload.manager or "an unknown manager", _version(builder, now.rolling)
    text = f"{who} keeps writing another template while {version} is rolled out: the Deployment stays paused. Have it write "
    text += f"the template of {version} or nothing, then annotate opsloop.dev/retry with a new value"
    told, status = conditions.get(builder.status.conditions, GUARDED), builder.status
    if told is None or told.reason != CONTESTED:
        builder.event(CONTESTED, text, "Warning")
    builder.condition(GUARDED, False, CONTESTED, text)
    if status.rollback is not None and status.rollback.is_active and status.rollback.to_digest == now.rolling:
        builder.set(rollback=failed(status.rollback, Obstacle(CONTESTED, text)))
        builder.event("RollbackFailed", f"{status.rollback.incident}: {CONTESTED}, {text}", "Warning")
    if status.target is not None and (status.target.state, status.target.digest) == ("Promoting", now.rolling):
        builder.set(target=ended(status.target, "Rejected", CONTESTED, text, builder.now))
        builder.event("Rejected", f"{version}: {text}", "Warning")


def _is_mixed(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> bool:
    """Pods are not all of one ReplicaSet; or pods are wanted and no ReplicaSet of live is there to start them."""
    if len(guard.with_pods) + bool(guard.orphans) > 1:
        return True
    gone = not any(one.digest == builder.status.live for one in guard.sets)
    return bool(workload.replicas) and not guard.with_pods and gone


def _restarts(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> bool:
    """The template that stands is live's with other stamps: somebody wants new pods of the same revision."""
    same = guard.digest == workload.digest == builder.status.live
    return same and bool(guard.sets) and guarding.is_restamped(guard, workload.template)


def _held(builder: ReleaseBuilder, guard: GuardFacts) -> str:
    """Keeps the template that stands on the Deployment before another one is written over it; its digest."""
    known = revisions.find(builder.status.revisions, guard.digest)
    if known is None:
        images = revisions.images_of(guard.template)
        known = Revision(
            digest=guard.digest,
            number=revisions.next_number(builder.status.revisions),
            version=revisions.version_of(images, {}, ""),
            images=images,
            reason="Canaried",
            first_seen=builder.now,
        )
        builder.set(revisions=revisions.put(builder.status.revisions, known))
    if guard.digest not in builder.facts.templates:
        name = builder.facts.release.metadata.name
        builder.execute(EnsureRevision(name, guard.digest, known.number, dict(guard.template)))
    return guard.digest


def _obey_retry(builder: ReleaseBuilder) -> None:
    """A new value of opsloop.dev/retry ends a contest: somebody has seen to it."""
    value, now = builder.facts.release.metadata.annotations.get(RETRY, "")[:128], guarding.state(builder.status)
    if value and value != now.retry:
        builder.set(guard=now.model_copy(update={"retry": value, "answered": 0, "resumed": 0, "resumed_at": None}))


def _told_rolling(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    version = _version(builder, guarding.state(builder.status).rolling)
    builder.condition(
        GUARDED, True, GUARD_ROLLS_OUT, f"{version} is rolled out; another template would be paused at once"
    )
    builder.look_again(TICK)


def _version(builder: ReleaseBuilder, digest: str) -> str:
    known = revisions.find(builder.status.revisions, digest)
    return known.version if known else digest
