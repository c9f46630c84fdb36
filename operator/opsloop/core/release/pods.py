"""What target, canary and judgement share: close the canary, end or reject a target, say why it holds."""

from datetime import timedelta

from opsloop.api.release import Blocked, CaseResult, Target
from opsloop.core import conditions
from opsloop.core.actions import DeleteCanary, SetGates
from opsloop.core.facts import PodFacts
from opsloop.core.release import revisions, weights
from opsloop.core.release.draft import Draft

# Named reasons
NEW_TARGET = "NewTarget"  # the spec asks for a third revision: weight 0, from the first step
HOLDING = "Holding"  # the step's hold is not over
WEIGHT_UNREACHABLE = "WeightUnreachable"  # a step needs more canary pods than allowed

PODS_READY = "CanaryPodsReady"  # condition: its transition says since when canary pods are missing
TICK = timedelta(seconds=1)


def clear_canary(draft: Draft, reason: str) -> None:
    """Traffic before pods: close every gate first; a kept-alive connection ends only with its pod, so delete at once."""
    canary = draft.facts.canary
    if canary is None:
        return
    opened = tuple(p.name for p in canary.pods if p.in_traffic and not p.deleting)
    name = draft.facts.release.metadata.name
    if opened:
        draft.safety(SetGates(name, opened, open=False, reason=reason))
    draft.act(DeleteCanary(name))
    draft.look(TICK)


def ended(draft: Draft, target: Target, state: str, reason: str, message: str) -> Target:
    """The target closed with this state: weight 0, no pods, now."""
    return Target.model_validate(
        {**dict(target), "state": state, "reason": reason, "message": message[:1000], "weight": 0, "pods": 0,
         "ended_at": draft.now}
    )  # fmt: skip


def reject(draft: Draft, target: Target, reason: str, message: str, block: bool = True) -> None:
    """Weight 0 and the end of this target. Blocked only for what the revision did, not for what the cluster did."""
    draft.set(target=ended(draft, target, "Rejected", reason, message))
    if block:
        blocked = Blocked(
            reason=reason, message=message[:1000], incident=_failed_incident(draft, target.evals), at=draft.now
        )
        draft.set(revisions=revisions.block(draft.status.revisions, target.digest, blocked))
    draft.event("Rejected", f"{target.version}: {message}", "Warning")


def _failed_incident(draft: Draft, results: list[CaseResult]) -> str:
    """The Incident whose regression case caught it: pushed by hand, the revision reopens that one."""
    failed = {r.case for r in results if r.canary_passed < r.canary_runs}
    origins = (c.spec.origin.incident for c in draft.facts.cases if c.metadata.name in failed)
    return next((o for o in origins if o), "")


def hold(draft: Draft, reason: str, message: str) -> None:
    """Say why the canary does not move on."""
    draft.condition("Held", True, reason, message)


def hold_kept(draft: Draft, reason: str, message: str) -> None:
    """Within its hold a canary is on its way, not held up."""
    draft.condition("Held", False, reason, message)


def no_canary(draft: Draft) -> None:
    """Nothing is on its way that could be held up."""
    draft.condition("Held", False, "NoCanary", "no canary is in progress")
    if conditions.get(draft.status.conditions, PODS_READY):
        draft.condition(PODS_READY, None, "NoCanary", "no canary is in progress")


def unreachable(draft: Draft) -> str:
    """Why some weight of the spec cannot be reached by pods beside the live ones; empty where all can."""
    canary, workload = draft.facts.release.spec.strategy.canary, draft.facts.workload
    stable = workload.replicas if workload else 0
    wanted = (step.weight for step in canary.steps if step.weight < 100)
    return next((why for w in wanted if (why := weights.refusal(w, stable, canary.max_canary_replicas))), "")


def pods_of(draft: Draft) -> tuple[PodFacts, ...]:
    """Canary pods of the target, older first by name; those that are going do not count."""
    canary, target = draft.facts.canary, draft.status.target
    if canary is None or target is None:
        return ()
    return tuple(p for p in sorted(canary.pods, key=lambda p: p.name) if p.digest == target.digest and not p.deleting)
