"""A canary that was taken out for an Incident and was not its cause: it starts again by itself, once, when that is over.

Weight 0 waits for nothing, so it is taken out at the first sight of harm. What it and live served side by side since the harm
began often tells only a few scrapes later which of them erred: that is looked at until the harm is over.
"""

from opsloop.api.target import Target
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import Harm
from opsloop.core.release import ReleaseBuilder
from opsloop.core.statistics.alike import SURE, compare

# Named reasons
INCIDENT_OPEN = "IncidentOpen"  # an Incident opened on this Release in mid-canary
NOT_THE_CANARY = "NotTheCanary"  # an Incident opened in mid-canary, but live errs alike: tried again after it


def ending(target: Target, harm: Harm | None, incident: str) -> tuple[str, str]:
    """(reason, message) of a target that is cancelled for an Incident."""
    if target.restarts == 0 and _errs_alone(target, harm) is False:
        return NOT_THE_CANARY, f"{incident} is open and live errs alike: it starts again, once, when that is resolved"
    return INCIDENT_OPEN, f"{incident} is open; annotate opsloop.dev/retry to start again"


def reconsider(builder: ReleaseBuilder) -> None:
    """Changes the reason of a cancelled target where what was counted meanwhile surely says otherwise."""
    target = builder.status.target
    if target is None or target.state != "Cancelled" or target.reason not in (INCIDENT_OPEN, NOT_THE_CANARY):
        return
    alone, incident = _errs_alone(target, builder.facts.readings.harm), _open_harm(builder.facts)
    if alone is None or not incident:
        return
    reason, message = ending(target, builder.facts.readings.harm, incident)
    if reason != target.reason:
        builder.set(target=target.model_copy(update={"reason": reason, "message": message}))
        builder.event(reason, f"{target.version}: {message}", "Normal" if reason == NOT_THE_CANARY else "Warning")


def starts_again(facts: ReleaseFacts, target: Target) -> bool:
    """True where the target was taken out for harm that live had as well, and that is resolved."""
    return (target.state, target.reason) == ("Cancelled", NOT_THE_CANARY) and not _open_harm(facts)


def restarts_of(before: Target | None, again: Target) -> int:
    """How often a target has started again: counted on over tries of one version and one retry."""
    same = ("version", "images", "patch", "retry")
    if before is None or any(getattr(before, field) != getattr(again, field) for field in same):
        return 0
    return before.restarts + (before.reason == NOT_THE_CANARY)


def _errs_alone(target: Target, harm: Harm | None) -> bool | None:
    """Whether the canary errs and live beside it does not, since the harm began; None where that is not sure."""
    both = harm.side_by_side if harm is not None else None
    if both is None or both.own != target.digest:
        return None
    odds = compare(both.intervals, both.dispersion).odds
    return True if odds >= SURE else False if odds <= -SURE else None


def _open_harm(facts: ReleaseFacts) -> str:
    """The name of an open Incident with a burn or an outage; empty without one."""
    return next((i.metadata.name for i in facts.incidents if i.is_open and (i.burned or i.had_outage)), "")
