"""What a Release still does while opsloop is stopped: it lowers, looks and tells. Deadlines begin anew when the stop is over."""

from datetime import datetime

from opsloop.api.meta import Condition
from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.actions import RunEvals, StopEvals
from opsloop.core.release import ReleaseBuilder
from opsloop.core.release.outcome import Follow, Hold, Outcome, Progress, Promote, Rollout, TakeStep, WaitForPods
from opsloop.core.stop import RESUMED, STOPPED


def tell(builder: ReleaseBuilder) -> None:
    """Condition Stopped, from the first stop on, with an Event when one begins and when it is over."""
    stop, before = builder.facts.stop, _condition(builder.status)
    if stop is not None:
        builder.condition("Stopped", True, stop.named_reason, stop.sentence)
        if before is None or before.status != "True":
            builder.event(stop.named_reason, f"{stop.sentence}; only lowering, Incidents and pages go on", "Warning")
    elif before is not None and before.status == "True":
        builder.condition("Stopped", False, RESUMED, "no Stop is in effect")
        builder.event(RESUMED, "no Stop is in effect any more; it goes on by what is true now")


def deadline_start(status: ReleaseStatus, since: datetime) -> datetime:
    """The time from which a deadline counts that began at `since`: anew from the end of a stop in between."""
    last = _condition(status)
    return max(since, last.last_transition_time) if last is not None and last.status == "False" else since


def instead(rollout: Rollout, outcome: Outcome) -> Outcome:
    """What becomes of an outcome while opsloop is stopped: whatever raises a weight, starts pods or writes a template waits."""
    stop = rollout.facts.stop
    if stop is None:
        return outcome
    match outcome:
        case TakeStep() | Promote() | Follow():
            return Hold(STOPPED, stop.sentence)
        case WaitForPods(message, actions) if actions:
            return WaitForPods(f"{message}; {stop.sentence}")
        case Hold(actions=actions) if any(isinstance(action, RunEvals) for action in actions):
            return Hold(STOPPED, stop.sentence, (StopEvals(rollout.facts.release.metadata.name),))
        case Hold() | Progress() if outcome.actions:
            return Hold(STOPPED, stop.sentence)
    return outcome


def _condition(status: ReleaseStatus) -> Condition | None:
    return conditions.get(status.conditions, "Stopped")
