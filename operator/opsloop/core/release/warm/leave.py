"""Why pods that are kept warm go: they are the first to go at any trouble, and nothing waits for them."""

from opsloop.api.release import ReleaseStatus
from opsloop.api.warm import WarmPods
from opsloop.core.facts import CanaryFacts, ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.played import LIVE_MOVED
from opsloop.core.release.pods import LIVE_AT_ZERO
from opsloop.core.release.rollback import TARGET_BLOCKED
from opsloop.core.release.rollout_state import WRITE_REFUSED, Obstacle, refusal_of

# Named reasons
KEEP_WARM_OFF = "KeepWarmOff"  # strategy.keepWarm was taken away
NO_ROOM = "NoRoom"  # quota, nodes or scaling up lack room, which pods that are kept warm give back first
NEW_CANARY = "NewCanary"  # a new canary starts: it needs the room, and another revision may be last-good after it
WINDOW_OVER = "WindowOver"  # the time for which they are kept is over


def cause(builder: ReleaseBuilder, workload: WorkloadFacts, record: WarmPods) -> Obstacle | None:
    """Why dark pods are kept no longer; None while they are."""
    facts, status = builder.facts, builder.status
    kept = revisions.find(status.revisions, record.digest)
    if facts.release.spec.strategy.keep_warm is None:
        return Obstacle(KEEP_WARM_OFF, "strategy.keepWarm was taken away")
    if not workload.replicas:
        return Obstacle(LIVE_AT_ZERO, f"Deployment {workload.name} is scaled to 0")
    if kept is None or kept.blocked is not None:
        return Obstacle(TARGET_BLOCKED, f"{record.version} is blocked, so that no rollback goes to it")
    if not _is_beside(status, record):
        return Obstacle(LIVE_MOVED, "live is another revision than the one that they were kept for")
    if room := no_room(facts, workload, record):
        return Obstacle(NO_ROOM, room)
    if refusal := refusal_of(facts, "warm", record.digest):
        return Obstacle(WRITE_REFUSED, refusal.message)
    target = status.target
    if target is not None and target.is_active and target.digest not in (record.beside, record.digest):
        return Obstacle(NEW_CANARY, f"the canary of {target.version} starts")
    if record.until is not None and builder.now >= record.until:
        return Obstacle(WINDOW_OVER, "the time of strategy.keepWarm.for is over")
    return None


def _is_beside(status: ReleaseStatus, record: WarmPods) -> bool:
    """True while the revision for which they are kept is live, or on its way there."""
    target = status.target
    promoting = target is not None and (target.state, target.digest) == ("Promoting", record.beside)
    return status.live == record.beside or (promoting and record.until is None)


def no_room(facts: ReleaseFacts, workload: WorkloadFacts, record: WarmPods) -> str:
    """What Kubernetes says of the lack of room, first of live's pods, then of the canary's and of these; empty where it is none."""
    state = workload.rollout
    if state.failure or state.unscheduled:
        return f"Deployment {workload.name}: {state.failure or state.unscheduled}"
    for name, own in (("canary", facts.canary), (f"pods of {record.version}", facts.warm)):
        if own is not None and (text := _lacks(own)):
            return f"{name}: {text}"
    return ""


def _lacks(own: CanaryFacts) -> str:
    return own.failure or next((pod.unschedulable for pod in own.pods if pod.unschedulable), "")
