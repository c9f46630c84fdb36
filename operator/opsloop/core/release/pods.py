"""Canary pods and their readiness gates: pods before traffic on the way up, traffic before pods on the way down."""

from datetime import timedelta

from opsloop.api.target import Target
from opsloop.core import conditions
from opsloop.core.actions import DeleteCanary, EnsureCanary, SetGates
from opsloop.core.facts import PodFacts
from opsloop.core.release import ReleaseBuilder, checking, commands, pod_metadata, route_back, stopped, weights
from opsloop.core.release.hidden import hidden_of, is_counted, missing_labels
from opsloop.core.release.outcome import (
    WAITING_FOR_PODS,
    Follow,
    Hold,
    Lower,
    Outcome,
    Progress,
    Reject,
    ReplacePods,
    Rollout,
    WaitForPods,
)
from opsloop.core.release.rollout_state import refusal_of, trouble_of
from opsloop.core.release.wanted import template_of
from opsloop.core.selectors import serves

# Named reasons
PODS_FAILING = "PodsFailing"  # the canary's pods do not start
WEIGHT_LOWER = "WeightLower"  # canary pods left the traffic twice in one step, or by hand: retry goes on
FOLLOWED = "Followed"  # the number of canary pods follows that of live pods, so that the share stays the decided one
LIVE_AT_ZERO = "LiveAtZero"  # live was scaled to 0 in mid-canary: the canary is away until live has pods again
PODS_READY = "CanaryPodsReady"  # condition: its transition says since when canary pods are missing

TICK = timedelta(seconds=1)
LEAVES = timedelta(
    seconds=5
)  # from a closed gate until nobody sends to the pod: measured up to 2.5 s on a busy node, twice that
LOSSES = 2  # so many times in one step pods leave the traffic before it is a hold


def pods_of_another_revision(rollout: Rollout) -> Outcome | None:
    """ReplacePods while the canary Deployment still has the template of an earlier target, or, behind a route, live's labels: no
    Service of live may select its pods."""
    canary, selector = rollout.facts.canary, rollout.workload.selector
    if canary is None:
        return None
    as_live = bool(selector and canary.labels) and serves(selector, canary.labels)
    other = as_live and rollout.target.route is not None
    return ReplacePods() if canary.digest != rollout.target.digest or other else None


def pods_missing(rollout: Rollout) -> Outcome | None:
    """WaitForPods while the canary Deployment is smaller than the step needs; a refused write waits for its next try."""
    canary, count = rollout.facts.canary, pods_needed(rollout)
    if (canary is not None and canary.replicas >= count) or _overdue(rollout):
        return None
    name, workload, digest = rollout.facts.release.metadata.name, rollout.workload, rollout.target.digest
    refusal = refusal_of(rollout.facts, "canary", digest)
    if refusal and rollout.now < refusal.again_at:
        return WaitForPods(_starting(rollout))
    template = template_of(rollout.facts, rollout.status, digest)
    labels = (template.get("metadata") or {}).get("labels") or {}
    out_of_sight = rollout.target.route or is_counted(rollout.facts, workload) or rollout.facts.canary is not None
    hidden = hidden_of(rollout.facts, labels, workload.selector) if out_of_sight else ()
    own = pod_metadata.of_canary(rollout.status, rollout.target)
    grow = EnsureCanary(name, workload.name, digest, template, count, hidden, own.labels, own.annotations)
    return WaitForPods(_starting(rollout), (grow,))


def pods_failing(rollout: Rollout) -> Outcome | None:
    """Reject after the Deployment's own progress deadline, with what keeps the pods. The revision is not blocked."""
    ready, count = _started(rollout), pods_needed(rollout)
    if ready >= count or not _overdue(rollout):
        return None
    cause = _cause(rollout) or f"{ready} of {count} ready"
    return Reject(PODS_FAILING, f"canary pods do not start ({cause})", block=False)


def pods_starting(rollout: Rollout) -> Outcome | None:
    """WaitForPods while fewer pods than the step needs have been ready for the Deployment's minReadySeconds."""
    return WaitForPods(_starting(rollout)) if _started(rollout) < pods_needed(rollout) else None


def pods_needed(rollout: Rollout) -> int:
    """Pods of the decided step; in the dark phase those of the first step, so that evals have somebody to ask."""
    if rollout.target.state == "Stepping":
        return rollout.target.pods
    step = rollout.next_step
    return 1 if step.weight == 100 else weights.pods_for(step.load, rollout.workload.serving, rollout.by_route)


def _started(rollout: Rollout) -> int:
    return sum(1 for pod in rollout.pods if is_started(pod, rollout))


def is_started(pod: PodFacts, rollout: Rollout) -> bool:
    """True once the pod's containers are ready for as long as the Deployment demands."""
    long_enough = pod.ready_since is None or rollout.now - pod.ready_since >= rollout.workload.min_ready
    return pod.containers_ready and long_enough


def _overdue(rollout: Rollout) -> bool:
    """True where pods are missing for longer than the Deployment's deadline, counted from the last pod that became ready."""
    if rollout.facts.stop is not None:
        return False
    condition = conditions.get(rollout.status.conditions, PODS_READY)
    since = condition.last_transition_time if condition and condition.status == "False" else rollout.now
    since = stopped.deadline_start(rollout.status, since)
    progressed = (p.ready_since for p in rollout.pods if p.containers_ready and p.ready_since is not None)
    return rollout.now - max(since, rollout.target.started_at, *progressed) > rollout.workload.rollout.deadline


def _starting(rollout: Rollout) -> str:
    """Leaves out how many are ready: one status write for all of them instead of one for each."""
    cause = _cause(rollout)
    message = f"canary pods of {rollout.target.version} are starting, {pods_needed(rollout)} in all are wanted"
    return f"{message}; {cause}" if cause else message


def _cause(rollout: Rollout) -> str:
    """What keeps canary pods from starting, as the API server, the Deployment or the first such pod says it."""
    canary = rollout.facts.canary
    if refusal := refusal_of(rollout.facts, "canary", rollout.target.digest):
        return f"the canary Deployment is refused: {refusal.message}"
    if canary is not None and canary.failure:
        return f"pods are not created: {canary.failure}"
    return trouble_of(rollout.pods)


def followed(rollout: Rollout) -> Target:
    """The target with as many pods as its weight takes beside the live pods that serve now: never over the decided share."""
    target = rollout.target
    if target.state != "Stepping":
        return target
    if not rollout.workload.replicas:  # whoever stopped the service stopped all of it
        return target.model_copy(update={"pods": 0, "served": 0, "reached_at": None})
    most, live = rollout.facts.release.spec.strategy.canary.max_canary_replicas, rollout.workload.serving
    pods = min(weights.pods_for(target.load, live, rollout.by_route), max(1, live if most is None else most))
    return target.model_copy(update={"pods": pods, "served": min(target.served, pods)})


def with_losses(rollout: Rollout) -> Target:
    """The target, with one loss more and its weight to be reached again, where pods left the traffic since it was reached."""
    target, serving = rollout.target, len(rollout.in_traffic)
    if target.state != "Stepping" or target.reached_at is None or serving >= target.served:
        return target
    return target.model_copy(update={"served": serving, "lost": target.lost + 1, "reached_at": None})


def surplus_in_traffic(rollout: Rollout) -> SetGates | None:
    """Closes the gates of pods beyond the decided number (0 in the dark phase); None where there are none."""
    surplus = tuple(pod.name for pod in rollout.in_traffic[rollout.target.pods :])
    if not surplus:
        return None
    name = rollout.facts.release.metadata.name
    labels = missing_labels(rollout.facts.canary, rollout.facts.templates.get(rollout.target.digest))
    return SetGates(name, surplus, False, "more pods in traffic than decided", labels)


def follows_live(rollout: Rollout) -> Outcome | None:
    """Follow where live pods came or went: more canary pods are recorded before their gates are opened."""
    recorded = rollout.status.target
    return None if recorded is None or recorded.pods == rollout.target.pods else Follow(rollout.target.pods)


def live_at_0(rollout: Rollout) -> Outcome | None:
    """Hold, without canary pods, while the Deployment is scaled to 0: a canary alone would have all of the traffic."""
    if rollout.workload.replicas:
        return None
    gone = (DeleteCanary(rollout.facts.release.metadata.name),) if rollout.facts.canary is not None else ()
    text = f"Deployment {rollout.workload.name} is scaled to 0; its canary goes on, from the dark, when live has pods again"
    return Hold(LIVE_AT_ZERO, text, gone)


def weight_higher(rollout: Rollout) -> Outcome | None:
    """Lower while more pods are in traffic than decided."""
    return Lower() if len(rollout.in_traffic) > rollout.target.pods else None


def weight_lower(rollout: Rollout) -> Outcome | None:
    """Hold where somebody closed a gate, or pods left the traffic a second time: raising it again is a person's decision."""
    serving, decided = len(rollout.in_traffic), rollout.target.pods
    by_hand = next((pod.name for pod in rollout.pods if pod.closed_by_hand), "")
    if serving >= decided or (rollout.target.lost < LOSSES and not by_hand):
        return None
    if commands.ordered_weight(rollout.status, rollout.target):
        return None  # the gates are opened again, and what was ordered follows
    cause = (
        f"the gate of {by_hand} was closed by hand" if by_hand else f"pods left the traffic {rollout.target.lost} times"
    )
    message = f"{serving} of {decided} canary pods are in traffic, {cause}; annotate opsloop.dev/retry to start again, or opsloop.dev/promote to go on"
    return Hold(WEIGHT_LOWER, message)


def weight_being_reached(rollout: Rollout) -> Outcome | None:
    """Progress, with gates to open, until as many pods as decided are in traffic and ready."""
    target, serving = rollout.target, rollout.in_traffic
    missing = target.pods - len(serving)
    if missing <= 0 and (target.reached_at is not None or all(pod.ready for pod in serving)):
        return None
    dark = [pod.name for pod in rollout.pods if not pod.in_traffic and is_started(pod, rollout)][: max(0, missing)]
    name, reason = rollout.facts.release.metadata.name, f"{target.step_words} decided"
    gates = (SetGates(name, tuple(dark), True, reason, _labels(rollout)),) if dark else ()
    return Progress(f"{target.step_words} is being reached", actions=gates)


def _labels(rollout: Rollout) -> dict[str, str]:
    """Live's labels that pods have only while they are in traffic; none behind a route, where live's Services never find them."""
    if rollout.by_route:
        return {}
    return missing_labels(rollout.facts.canary, rollout.facts.templates.get(rollout.target.digest))


def let_go(builder: ReleaseBuilder, target: Target) -> bool:
    """True while users may still be sent to pods of a promoted canary: its gates are closed, and its pods end LEAVES after it.

    Endpoints need a moment to spread, and a pod that ends at once on SIGTERM would refuse what still comes. Harm does not
    wait for that: a canary that is taken out ends with its gates.
    """
    left = LEAVES - (builder.now - target.ended_at) if target.ended_at is not None else timedelta(0)
    canary = builder.facts.canary
    if left <= timedelta(0) or target.route is not None or canary is None or canary.digest != target.digest:
        return False  # behind a route `still_sends` waits, and a canary of another revision was taken out
    if builder.status.live != target.digest or (
        builder.status.rollback is not None and builder.status.rollback.is_active
    ):
        return False  # it was found bad meanwhile: a kept-alive connection ends only with its pod
    if not close_gates(builder, target.reason):
        return False
    builder.look_again(left)
    return True


def close_gates(builder: ReleaseBuilder, reason: str) -> bool:
    """Closes every open gate as safety; True where the canary has pods that serve, or did until now."""
    canary, name = builder.facts.canary, builder.facts.release.metadata.name
    if canary is None:
        return False
    there = [pod for pod in canary.pods if not pod.deleting and not pod.ended]
    if serving := tuple(pod.name for pod in there if pod.in_traffic):
        target = builder.status.target
        labels = missing_labels(canary, builder.facts.templates.get(target.digest)) if target else {}
        builder.safety(SetGates(name, serving, False, reason, labels))
    return bool(there)


def clear_canary(builder: ReleaseBuilder, reason: str) -> None:
    """Puts its route back and closes every gate as safety, and deletes it at once: a kept-alive connection ends only with its pod."""
    route_back.put_back(builder)
    canary, name = builder.facts.canary, builder.facts.release.metadata.name
    if canary is None:
        return
    close_gates(builder, reason)
    checking.end_all(builder)
    builder.execute(DeleteCanary(name))
    builder.look_again(TICK)


def mark_pods_ready(builder: ReleaseBuilder, ready: bool) -> None:
    """Sets the condition whose last transition says since when canary pods are missing."""
    if ready:
        builder.condition(PODS_READY, True, "Ready", "as many canary pods as wanted are ready")
    else:
        builder.condition(PODS_READY, False, WAITING_FOR_PODS, "fewer canary pods are ready than wanted")
