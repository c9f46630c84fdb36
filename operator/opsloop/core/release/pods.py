"""Canary pods and their readiness gates: pods before traffic on the way up, traffic before pods on the way down."""

from datetime import datetime, timedelta

from opsloop.core import conditions
from opsloop.core.actions import DeleteCanary, EnsureCanary, SetGates
from opsloop.core.release import ReleaseBuilder, weights
from opsloop.core.release.outcome import (
    WAITING_FOR_PODS,
    Hold,
    Lower,
    Outcome,
    Progress,
    Reject,
    ReplacePods,
    Rollout,
    WaitForPods,
)

# Named reasons
PODS_FAILING = "PodsFailing"  # the canary's pods do not start
WEIGHT_LOWER = "WeightLower"  # fewer pods in traffic than decided: a hold until a person says retry
PODS_READY = "CanaryPodsReady"  # condition: its transition says since when canary pods are missing

TICK = timedelta(seconds=1)
PROGRESS_DEADLINE = timedelta(minutes=5)
FAILING_DEADLINE = timedelta(minutes=1)  # for pods that name a failure, such as ImagePullBackOff


def pods_of_another_revision(rollout: Rollout) -> Outcome | None:
    """ReplacePods while the canary Deployment still has the template of an earlier target."""
    canary = rollout.facts.canary
    return ReplacePods() if canary is not None and canary.digest != rollout.target.digest else None


def pods_missing(rollout: Rollout) -> Outcome | None:
    """WaitForPods while the canary Deployment is smaller than the step needs."""
    canary, count = rollout.facts.canary, _pods_needed(rollout)
    if canary is not None and canary.replicas >= count:
        return None
    name, workload, digest = rollout.facts.release.metadata.name, rollout.workload, rollout.target.digest
    template = rollout.facts.templates[digest]
    grow = EnsureCanary(name, workload.name, digest, template, count)
    return WaitForPods(_starting(rollout), (grow,))


def pods_failing(rollout: Rollout) -> Outcome | None:
    """Reject after the progress deadline, or earlier where a pod names its failure. The revision is not blocked."""
    ready, count = _containers_ready(rollout), _pods_needed(rollout)
    if ready >= count:
        return None
    failing = next((pod for pod in rollout.pods if pod.failing), None)
    if rollout.now - _missing_since(rollout) <= (FAILING_DEADLINE if failing else PROGRESS_DEADLINE):
        return None
    cause = f"{failing.name}: {failing.failing}" if failing else f"{ready} of {count} ready"
    return Reject(PODS_FAILING, f"canary pods do not start ({cause})", block=False)


def pods_starting(rollout: Rollout) -> Outcome | None:
    """WaitForPods while fewer pods than the step needs have their containers ready."""
    return WaitForPods(_starting(rollout)) if _containers_ready(rollout) < _pods_needed(rollout) else None


def _pods_needed(rollout: Rollout) -> int:
    """Pods of the decided step; in the dark phase those of the first step, so that evals have somebody to ask."""
    if rollout.target.state == "Stepping":
        return rollout.target.pods
    weight = rollout.next_step.weight
    return 1 if weight == 100 else weights.pods_for(weight, rollout.workload.replicas)


def _containers_ready(rollout: Rollout) -> int:
    return sum(1 for pod in rollout.pods if pod.containers_ready)


def _missing_since(rollout: Rollout) -> datetime:
    """Start of the present lack of pods; neither holds nor the wait of an earlier target count."""
    condition = conditions.get(rollout.status.conditions, PODS_READY)
    since = condition.last_transition_time if condition and condition.status == "False" else rollout.now
    return max(since, rollout.target.started_at)


def _starting(rollout: Rollout) -> str:
    """Leaves out how many are ready: one status write for all of them instead of one for each."""
    return f"canary pods of {rollout.target.version} are starting, {_pods_needed(rollout)} in all are wanted"


def surplus_in_traffic(rollout: Rollout) -> SetGates | None:
    """Closes the gates of pods beyond the decided number (0 in the dark phase); None where there are none."""
    surplus = tuple(pod.name for pod in rollout.in_traffic[rollout.target.pods :])
    if not surplus:
        return None
    name = rollout.facts.release.metadata.name
    return SetGates(name, surplus, open=False, reason="more pods in traffic than decided")


def weight_higher(rollout: Rollout) -> Outcome | None:
    """Lower while more pods are in traffic than decided."""
    return Lower() if len(rollout.in_traffic) > rollout.target.pods else None


def weight_lower(rollout: Rollout) -> Outcome | None:
    """Hold where pods left the traffic after the weight was reached: raising it again is a person's decision."""
    serving, decided = len(rollout.in_traffic), rollout.target.pods
    if rollout.target.reached_at is None or serving >= decided:
        return None
    return Hold(WEIGHT_LOWER, f"{serving} of {decided} canary pods are in traffic; annotate opsloop.dev/retry to go on")


def weight_being_reached(rollout: Rollout) -> Outcome | None:
    """Progress, with gates to open, until as many pods as decided are in traffic and ready."""
    target, serving = rollout.target, rollout.in_traffic
    missing = target.pods - len(serving)
    if target.reached_at is not None or (missing == 0 and all(pod.ready for pod in serving)):
        return None
    dark = [pod.name for pod in rollout.pods if not pod.in_traffic and pod.containers_ready][:missing]
    name, reason = rollout.facts.release.metadata.name, f"weight {target.weight} decided"
    gates = (SetGates(name, tuple(dark), open=True, reason=reason),) if dark else ()
    return Progress(f"weight {target.weight} is being reached", actions=gates)


def clear_canary(builder: ReleaseBuilder, reason: str) -> None:
    """Closes every gate as safety and deletes the canary at once: a kept-alive connection ends only with its pod."""
    canary, name = builder.facts.canary, builder.facts.release.metadata.name
    if canary is None:
        return
    serving = tuple(pod.name for pod in canary.pods if pod.in_traffic and not pod.deleting)
    if serving:
        builder.safety(SetGates(name, serving, open=False, reason=reason))
    builder.execute(DeleteCanary(name))
    builder.look_again(TICK)


def mark_pods_ready(builder: ReleaseBuilder, ready: bool) -> None:
    """Sets the condition whose last transition says since when canary pods are missing."""
    if ready:
        builder.condition(PODS_READY, True, "Ready", "as many canary pods as wanted are ready")
    else:
        builder.condition(PODS_READY, False, WAITING_FOR_PODS, "fewer canary pods are ready than wanted")
