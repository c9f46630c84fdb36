"""What stands in the way of a rollout of the Deployment: as Kubernetes and the API server say it, and since when it is too long."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from opsloop.core.facts import PodFacts, Refusal, ReleaseFacts, WorkloadFacts

# Named reasons
DEPLOYMENT_PAUSED = "DeploymentPaused"  # spec.paused of the Deployment: Kubernetes starts no pod of a new template
REPLICA_FAILURE = "ReplicaFailure"  # pods are not created: quota, admission (the Deployment's condition)
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"  # no progress within the Deployment's progressDeadlineSeconds
WRITE_REFUSED = "WriteRefused"  # the API server refuses what opsloop writes
ROLLING_OUT = "RollingOut"  # pods of the live template are being started
ROLLED_OUT = "RolledOut"  # no older pod is left and as many are available as the strategy demands

STUCK = (DEPLOYMENT_PAUSED, REPLICA_FAILURE, DEADLINE_EXCEEDED, WRITE_REFUSED)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A named reason and the sentence of who gave it."""

    reason: str
    message: str


def refusal_of(
    facts: ReleaseFacts,
    write: Literal["canary", "warm", "template", "scale", "route", "service", "warm-service", "pods"],
    digest: str,
) -> Refusal | None:
    """The standing refusal of this very write."""
    return next((r for r in facts.refusals if (r.write, r.digest) == (write, digest)), None)


def obstacle(facts: ReleaseFacts, workload: WorkloadFacts, digest: str) -> Obstacle | None:
    """What keeps the Deployment from running this template; None where nothing is known to."""
    state, name = workload.rollout, workload.name
    if workload.digest != digest and (refusal := refusal_of(facts, "template", digest)):
        return Obstacle(WRITE_REFUSED, f"the template of Deployment {name} is refused: {refusal.message}")
    if workload.settled and workload.digest == digest:
        return None
    if state.paused:
        return Obstacle(DEPLOYMENT_PAUSED, f"Deployment {name} is paused; kubectl rollout resume deployment/{name}")
    if state.failure:
        return Obstacle(REPLICA_FAILURE, f"Deployment {name}: {state.failure}")
    stalled = with_trouble(workload, f"Deployment {name}: {state.stalled}")
    return Obstacle(DEADLINE_EXCEEDED, stalled) if state.stalled else None


def overdue(
    facts: ReleaseFacts, workload: WorkloadFacts, digest: str, since: datetime, now: datetime
) -> Obstacle | None:
    """Why a rollout that was decided at `since` has failed: no progress within the Deployment's own deadline."""
    state = workload.rollout
    if workload.settled and workload.digest == digest:
        return None
    if state.observed and state.stalled_at is not None and state.stalled_at >= since:
        return Obstacle(DEADLINE_EXCEEDED, with_trouble(workload, f"Deployment {workload.name}: {state.stalled}"))
    progressed = max(since, state.progressed_at or since)
    if now - progressed <= state.deadline:
        return None
    seconds = int(state.deadline.total_seconds())
    silent = with_trouble(workload, f"Deployment {workload.name} made no progress within {seconds} s")
    return obstacle(facts, workload, digest) or Obstacle(DEADLINE_EXCEEDED, silent)


def with_trouble(workload: WorkloadFacts, message: str) -> str:
    """The message, and what keeps the Deployment's pods from starting."""
    return f"{message}; {workload.rollout.trouble}" if workload.rollout.trouble else message


def time_left(workload: WorkloadFacts, since: datetime, now: datetime) -> timedelta:
    """Time until a rollout without progress is overdue."""
    return max(timedelta(0), workload.rollout.deadline - (now - max(since, workload.rollout.progressed_at or since)))


def trouble_of(pods: Iterable[PodFacts]) -> str:
    """What keeps the first pod, by name, that does not start; empty where none says so."""
    waiting = [
        p for p in sorted(pods, key=lambda p: p.name) if not p.containers_ready and not p.deleting and not p.ended
    ]
    if failing := next((p for p in waiting if p.failing), None):
        return f"{failing.name}: {failing.failing}"
    unschedulable = next((p for p in waiting if p.unschedulable), None)
    return f"{unschedulable.name} fits no node: {unschedulable.unschedulable}" if unschedulable else ""
