"""A person's statement that no EvalCase can guard against an Incident's fault: who, when and why. It is never a pass.

The annotation opsloop.dev/waive-regression says WHO: WHY. The admission policy takes it only from somebody who has the right, and
only with their own name (charts/opsloop/templates/guard.yaml).
"""

from opsloop.api.incident import SHORTEST_WHY, Waiver
from opsloop.api.meta import format_time
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.names import WAIVE

# Named reasons
WAIVED = "Waived"  # a person said why no case is possible: the loop closes with the fix, and nothing guards against the fault
WAIVER_UNFIT = "WaiverUnfit"  # the annotation does not say who and why, so nothing is waived

HOW = f"write {WAIVE}='WHO: WHY', with your name as kubectl auth whoami shows it and a reason of {SHORTEST_WHY} characters at least"


def record(decision: IncidentBuilder) -> bool:
    """Stores the waiver with the time at which it was first seen, and tells it. False where the annotation is unfit."""
    value, known = decision.facts.incident.metadata.annotations.get(WAIVE), decision.status.waiver
    if value is None:
        if known is not None:
            decision.set(waiver=None)
            timeline.record(
                decision, f"unwaived-{known.at.timestamp():.0f}", decision.now, "Waived", "the waiver was taken back"
            )
        return True
    said = Waiver.said(value)
    if said is None:
        decision.set(waiver=None)
        return False
    if known is None or (known.by, known.why) != said:
        waiver = Waiver(by=said[0], why=said[1], at=decision.now)
        decision.set(waiver=waiver)
        text = f"no EvalCase is to guard against this fault: {waiver.why}"
        timeline.record(
            decision,
            f"waived-{decision.now.timestamp():.0f}",
            decision.now,
            "Waived",
            text,
            waiver.by[: timeline.LONGEST_ACTOR],
        )
        decision.event(WAIVED, f"waived by {waiver.by}: {waiver.why}", "Warning")
    return True


def words(waiver: Waiver) -> str:
    """The waiver in a sentence."""
    return f"waived by {waiver.by} at {format_time(waiver.at)}: {waiver.why}"
