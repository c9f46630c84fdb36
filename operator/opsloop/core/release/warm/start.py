"""Which revision is kept warm beside a promoted one, and the wait for its pods before the Deployment gets its template."""

from datetime import datetime, timedelta

from opsloop.api.keep_warm import KeepWarm
from opsloop.api.target import Target
from opsloop.api.warm import WarmPods
from opsloop.core.conditions import ROLLBACK_UNSAFE, TEMPLATE_MISSING
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, alone, revisions, stopped
from opsloop.core.release.outcome import WAITING_FOR_PODS, Outcome, Progress, Rollout
from opsloop.core.release.pods import TICK
from opsloop.core.release.rollout_state import Obstacle
from opsloop.core.stop import STOPPED

# Named reasons
WARM_STARTING = "WarmStarting"  # pods of last-good are starting, to be kept warm
NOTHING_TO_KEEP = "NothingToKeepWarm"  # no revision is known to which a rollback would go
SINGLE_VOLUME = "SingleVolume"  # a volume of last-good's is for the pods of one node

CONDITION = "LastGoodWarm"  # condition: pods of last-good are ready beside a promoted version


def begin(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records which pods are started, in the look that decides the promotion; or why none are."""
    spec, target = builder.facts.release.spec.strategy.keep_warm, builder.status.target
    if spec is None or target is None or target.state != "Promoting" or workload.digest == target.digest:
        return
    if not workload.replicas or is_for(builder.status.warm, target) or _goes_back(builder.status.warm, target):
        return
    found = revisions.rollback_target(builder.status.revisions, target.digest)
    if found is None:
        why: Obstacle | None = Obstacle(NOTHING_TO_KEEP, "no revision is known to which a rollback would go")
    else:
        why = _refusal(builder, workload, target, found[0].digest)
    if found is None or why is not None:
        assert why is not None
        builder.set(warm=None)
        builder.condition(CONDITION, False, why.reason, f"no pods of last-good are kept warm: {why.message}")
        return
    record = WarmPods(
        digest=found[0].digest,
        version=found[0].version,
        beside=target.digest,
        state="Starting",
        replicas=warm_pods(spec, workload.replicas),
        since=builder.now,
        reason=WARM_STARTING,
    )
    builder.set(warm=record)


def _goes_back(record: WarmPods | None, target: Target) -> bool:
    """True where the promotion itself is the way back, and the pods that are kept serve in it."""
    serves = record is not None and record.state != "Over" and record.digest == target.digest
    return serves or target.back


def warm_pods(spec: KeepWarm, live: int) -> int:
    """How many pods are kept beside so many live ones."""
    return spec.replicas or max(1, (live + 1) // 2)


def is_for(record: WarmPods | None, target: Target) -> bool:
    """True where these pods were decided for this very try of a target."""
    return record is not None and record.beside == target.digest and record.since >= target.started_at


def _refusal(builder: ReleaseBuilder, workload: WorkloadFacts, target: Target, digest: str) -> Obstacle | None:
    facts, history = builder.facts, builder.status.revisions
    if facts.stop is not None:
        return Obstacle(STOPPED, facts.stop.sentence)
    if digest not in facts.templates:
        return Obstacle(TEMPLATE_MISSING, "the template to which a rollback would go is not stored")
    if (unsafe := revisions.unsafe_between(history, target.digest, digest)) is not None:
        text = f'{unsafe.version} says opsloop.dev/rollback-safe: "false": no Runbook goes back across it'
        return Obstacle(ROLLBACK_UNSAFE, text)
    if hindered := alone.refusal(
        facts, workload, canary=False
    ):  # consent to a canary without a Service is none to these
        return hindered
    if name := next((c for c, modes in facts.claims.items() if not set(modes) & set(alone.SHARED)), ""):
        return Obstacle(SINGLE_VOLUME, f"PersistentVolumeClaim {name} is for the pods of one node")
    return None


def starting(rollout: Rollout) -> Outcome | None:
    """Progress while the pods that are to be kept warm start, for `wait` at most: then the template is written all the same."""
    record, target = rollout.status.warm, rollout.target
    if record is None or record.state != "Starting" or not is_for(record, target):
        return None
    if rollout.workload.digest == target.digest:
        return None
    since = stopped.deadline_start(rollout.status, target.reached_at or target.started_at)
    left = _patience(rollout) - (rollout.now - since)
    if left <= timedelta(0):
        return None
    text = f"{record.replicas} pods of {record.version} are started first, to be kept warm"
    return Progress(text, WAITING_FOR_PODS, look_again=min(left, TICK))


def write_due(rollout: Rollout) -> datetime:
    """Time from which the deadline of a promotion counts: the template is live, or these pods have been waited for."""
    target, decided = rollout.target, rollout.target.reached_at or rollout.target.started_at
    live = revisions.find(rollout.status.revisions, target.digest)
    if rollout.status.live == target.digest and live is not None and live.live_since is not None:
        return max(decided, live.live_since)
    return decided + _patience(rollout)


def _patience(rollout: Rollout) -> timedelta:
    spec, record = rollout.facts.release.spec.strategy.keep_warm, rollout.status.warm
    return spec.wait if spec is not None and is_for(record, rollout.target) else timedelta(0)
