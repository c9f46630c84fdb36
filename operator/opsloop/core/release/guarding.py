"""A guarded Deployment: what runs on it while it is paused, and which revision it is unpaused for."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsloop.api.records import Guarding
from opsloop.api.release import ReleaseStatus
from opsloop.core.facts import GuardFacts, ReleaseFacts, SetFacts
from opsloop.core.release.revisions import canonical

# Named reasons
GUARDED = "Guarded"  # the Deployment is paused at rest: a changed template is canaried

LIMIT = (
    2  # so many times another template is answered by pausing and writing; then the rollout is finished while paused
)


def state(status: ReleaseStatus) -> Guarding:
    """What is under way."""
    return status.guard or Guarding()


def running(sets: Sequence[SetFacts], live: str = "", rolling: str = "") -> SetFacts | None:
    """The ReplicaSet that stands for what runs on a paused Deployment; None where there is none.

    That with the most ready pods, then with the most pods; without any that of `live`, then the newest: Kubernetes would
    scale up that one. While the revision that is live is still being rolled out, its own.
    """
    ours = [one for one in sets if live and live == one.digest == rolling]
    return max(
        ours or sets,
        key=lambda one: (one.ready, one.pods, one.digest == live, one.created_at, one.name),
        default=None,
    )


def is_done(guard: GuardFacts, digest: str) -> bool:
    """True where every pod is of this revision, by the ReplicaSet that was rolled out last.

    Of a restart that another template broke off the pods are those of before, of the same revision without its stamp.
    """
    last = rolled(guard, digest)
    return not guard.orphans and all(one.digest == digest and one is last for one in guard.with_pods)


def rolled(guard: GuardFacts, digest: str) -> SetFacts | None:
    """The ReplicaSet of this revision that Kubernetes rolled out last: of several, those with other stamps are older."""
    own = [one for one in guard.sets if one.digest == digest]
    return max(own, key=lambda one: (one.revision, one.created_at), default=None)


def is_contested(guard: GuardFacts, now: Guarding) -> bool:
    """True where another template was written too often, and no ReplicaSet is there by which the rollout could be finished."""
    return now.answered > LIMIT and guard.digest != now.rolling and rolled(guard, now.rolling) is None


def is_wanted(status: ReleaseStatus, digest: str) -> bool:
    """True while a rollout of this revision goes on: a promotion, a rollback, or live that is restarted or restored."""
    target, record = status.target, status.rollback
    if target is not None and target.digest == digest and target.state in ("Promoting", "Rejected"):
        return target.state == "Promoting"
    if record is not None and record.to_digest == digest and (record.is_active or record.state == "Failed"):
        return record.is_active
    return digest == status.live


def is_busy(facts: ReleaseFacts, status: ReleaseStatus) -> bool:
    """True while a rollout on a guarded Deployment is not over: what else is asked for waits for it."""
    guard, rolling = facts.workload.guard if facts.workload else None, state(status).rolling
    if guard is None or not facts.release.spec.guard or not rolling or not is_wanted(status, rolling):
        return False
    return not (guard.ours and is_done(guard, rolling)) and not is_contested(guard, state(status))


def is_restamped(guard: GuardFacts, template: Mapping[str, Any]) -> bool:
    """True where the template that stands is not the one that runs, letter by letter."""
    return canonical(guard.template) != canonical(template)


def in_the_way(guard: GuardFacts, live: str) -> tuple[SetFacts, ...]:
    """ReplicaSets without pods that Kubernetes would scale up before live's, from 0 pods and though paused.

    That is the one of the template that stands, else the newest. Templates are kept as ControllerRevisions.
    """
    own = max(
        (one for one in guard.sets if one.digest == live), key=lambda one: (one.pods, one.created_at), default=None
    )
    return before(guard, own) if own is not None else ()


def before(guard: GuardFacts, own: SetFacts) -> tuple[SetFacts, ...]:
    """The ReplicaSets without pods that Kubernetes would scale up before this one."""
    stands = guard.digest != own.digest
    return tuple(
        one
        for one in guard.sets
        if one.uid != own.uid
        and not one.pods
        and (one.created_at >= own.created_at or (stands and not is_restamped(guard, one.template)))
    )
