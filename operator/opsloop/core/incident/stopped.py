"""The emergency stop in an Incident's timeline: from when to when nothing was done about it, and why."""

from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.stop import RESUMED, STOPPED


def tell(decision: IncidentBuilder) -> None:
    """An entry when a stop begins to matter to this open Incident, and one when it is over."""
    stop, told = decision.facts.stop, [e for e in decision.status.timeline if e.type in (STOPPED, RESUMED)]
    is_told = bool(told) and told[-1].type == STOPPED
    if stop is not None and not is_told:
        timeline.record(decision, f"stopped-{decision.now.timestamp():.0f}", decision.now, STOPPED, stop.sentence)
        decision.event(stop.named_reason, f"{stop.sentence}; a person must act", "Warning")
    elif stop is None and is_told:
        text = "no Stop is in effect any more: plays are decided by what is true now"
        timeline.record(decision, f"resumed-{decision.now.timestamp():.0f}", decision.now, RESUMED, text)
