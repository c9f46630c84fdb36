"""Checks on a canary: the Rollout that a check reads, and the outcome that it returns.

A check is a question: it returns an outcome, or None where it has no objection, and changes nothing. Checks stand in
ordered chains (`canary.REACHING`, `canary.LEAVING`); the first outcome decides. `canary.advance` applies it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.api.strategy import Step
from opsloop.api.target import CaseResult, Target
from opsloop.core.actions import Action
from opsloop.core.facts import PodFacts, ReleaseFacts, WorkloadFacts

DARK = -1  # index of the dark phase, before step 0

# Named reasons
HOLDING = "Holding"  # the canary makes progress: its step is being reached or its hold is not over
WAITING_FOR_PODS = "WaitingForPods"  # canary pods are starting


def step_of(target: Target) -> int:
    """Index of the decided step; DARK before the first one."""
    return DARK if target.state == "Dark" else target.step


@dataclass(frozen=True, slots=True)
class Rollout:
    """One active target, with the facts and the status that its checks read."""

    facts: ReleaseFacts
    status: ReleaseStatus
    workload: WorkloadFacts
    target: Target
    now: datetime

    @property
    def steps(self) -> list[Step]:
        """The steps of the spec; of a direct target the promotion alone."""
        return self.facts.release.spec.strategy.steps

    @property
    def step(self) -> int:
        """Index of the decided step; DARK before the first one."""
        return step_of(self.target)

    @property
    def next_index(self) -> int:
        """Index of the step after the decided one: the promotion, where the Deployment is scaled to 0 and has no traffic."""
        return self.step + 1 if self.workload.replicas else max(self.step + 1, len(self.steps) - 1)

    @property
    def next_step(self) -> Step:
        """The step after the decided one. Raises IndexError where the spec has none."""
        return self.steps[self.next_index]

    @property
    def by_route(self) -> bool:
        """True where an HTTPRoute makes the weight, and canary pods only carry it."""
        return self.target.route is not None

    @property
    def pods(self) -> tuple[PodFacts, ...]:
        """Canary pods of the target, by name; pods that ended (evicted) or are being deleted do not count."""
        pods = self.facts.canary.pods if self.facts.canary else ()
        by_name = sorted(pods, key=lambda pod: pod.name)
        return tuple(pod for pod in by_name if pod.digest == self.target.digest and not pod.deleting and not pod.ended)

    @property
    def in_traffic(self) -> tuple[PodFacts, ...]:
        """Canary pods of the target whose readiness gate is open."""
        return tuple(pod for pod in self.pods if pod.in_traffic)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is decided at this look; conditions stay as they are."""

    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitForPods:
    """Fewer canary pods are ready than the step needs: held, and the time without pods is counted."""

    message: str
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplacePods:
    """The canary's pods are of another revision: they are taken out of traffic and deleted."""


@dataclass(frozen=True, slots=True)
class Follow:
    """The decided weight takes another number of pods, because the number of live pods changed: recorded first."""

    pods: int


@dataclass(frozen=True, slots=True)
class Lower:
    """More canary pods are in traffic than decided: their gates are closed as safety, and nothing else is decided."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The canary moves on by itself: `Held` is False."""

    message: str
    reason: str = HOLDING
    actions: tuple[Action, ...] = ()
    look_again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """The canary stays where it is: `Held` is True. `evals` are stored where an eval run is the cause."""

    reason: str
    message: str
    actions: tuple[Action, ...] = ()
    evals: tuple[CaseResult, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Weight 0 and the end of the target. `block` only for harm by the revision, not for trouble of the cluster."""

    reason: str
    message: str
    block: bool = True
    evals: tuple[CaseResult, ...] | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The end of a target that never started."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Weight 0 and the end of the target, for a reason that lies outside of the canary."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TakeStep:
    """The next step is recorded: this many pods in traffic. The look after this one opens their gates.

    `finding` is what the analysis saw of the steps before.
    """

    index: int
    weight: int
    pods: int
    finding: str = ""
    step: Step | None = None  # where it sends requests by rules of its own, and no share


@dataclass(frozen=True, slots=True)
class Promote:
    """Weight 100 is recorded: the Deployment gets the target's template at the next look."""

    index: int
    finding: str = ""


@dataclass(frozen=True, slots=True)
class Promoted:
    """The Deployment is available with the target's template."""


Stay = Wait | WaitForPods | ReplacePods | Follow | Lower | Progress | Hold
End = Reject | Refuse | Cancel
Move = TakeStep | Promote | Promoted
Outcome = Stay | End | Move
Check = Callable[[Rollout], Outcome | None]


def first_outcome(checks: Iterable[Check], rollout: Rollout) -> Outcome | None:
    """The outcome of the first check that has one; None where all checks pass."""
    return next((outcome for check in checks if (outcome := check(rollout)) is not None), None)
