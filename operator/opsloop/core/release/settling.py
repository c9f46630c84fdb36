"""A rollout on a guarded Deployment that a tool keeps breaking off is finished while paused, without another write of the template.

While it is paused, Kubernetes scales the only ReplicaSet that there is, and makes none of the template that stands. So the
others are deleted without their pods; those serve on and go one by one, as in any rolling update: never more of them than
the Deployment's maxUnavailable has room for.
"""

from opsloop.core.actions import DeletePods, DeleteReplicaSet
from opsloop.core.facts import GuardFacts, OrphanFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, guarding, revisions, rollout_state
from opsloop.core.release.guarding import GUARDED
from opsloop.core.release.pods import TICK

# Named reasons
ROLLS_OUT_PAUSED = "RollsOutPaused"  # a tool keeps writing another template: the Deployment stays paused, and its pods move to the revision that is rolled out


def settle(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts, to: str) -> bool:
    """Has the ReplicaSet of the revision `to` be the only one; False where it has none."""
    own, now = guarding.rolled(guard, to), guarding.state(builder.status)
    if own is None:
        return False
    if builder.facts.stop is not None:
        builder.condition(GUARDED, True, builder.facts.stop.named_reason, builder.facts.stop.sentence)
        return True
    others = [one for one in guard.with_pods if one.uid != own.uid]
    hashes = dict.fromkeys([*now.orphaned, *(one.hash for one in others)])
    since = now.since if now.rolling == to else None
    changes = {"rolling": to, "since": since or builder.now, "orphaned": list(hashes)}
    builder.set(guard=now.model_copy(update=changes))
    for one in guarding.before(guard, own):
        builder.execute(DeleteReplicaSet(one.name, one.uid, one.version))
    for one in others:
        builder.execute(DeleteReplicaSet(one.name, one.uid, one.version, orphan=True))
    known = revisions.find(builder.status.revisions, to)
    text = f"{workload.manager or 'an unknown manager'} keeps writing another template while {known.version if known else to} "
    text += "is rolled out: the Deployment stays paused, that template stays as written, and the pods move all the same"
    if now.orphaned != list(hashes):
        builder.event(ROLLS_OUT_PAUSED, text, "Warning")
    late = rollout_state.overdue(builder.facts, workload, to, since or builder.now, builder.now)
    reason, message = (late.reason, late.message) if late else (ROLLS_OUT_PAUSED, text)
    builder.condition(GUARDED, True, reason, message)
    builder.look_again(TICK)
    return True


def sweep(builder: ReleaseBuilder, workload: WorkloadFacts, guard: GuardFacts) -> None:
    """Deletes pods without an owner as those of the revision that is rolled out become available; ends the record after the last."""
    now = guarding.state(builder.status)
    if not now.orphaned or builder.facts.stop is not None:
        return
    builder.look_again(TICK)
    own = guarding.rolled(guard, now.rolling or builder.status.live)
    gone = surplus(guard.orphans, workload.replicas, own.available if own else 0, guard.may_lack)
    if gone:
        builder.execute(DeletePods(tuple((one.name, one.uid) for one in gone)))
    elif not guard.orphans and not any(one.hash in now.orphaned for one in guard.sets):
        builder.set(guard=now.model_copy(update={"orphaned": []}))


def surplus(orphans: tuple[OrphanFacts, ...], replicas: int, available: int, may_lack: int) -> tuple[OrphanFacts, ...]:
    """The pods that are not needed any more: those that do not serve, and of the others what is beyond the wanted number."""
    serving = sorted((one for one in orphans if one.ready), key=lambda one: one.name)
    kept = {one.name for one in serving[: max(0, replicas - may_lack - available)]}
    return tuple(one for one in orphans if one.name not in kept)
