"""Freezes: a while in which no new canary starts, begun by an Incident's Runbook. What fixes that Incident may pass."""

from dataclasses import dataclass
from datetime import datetime

from opsloop.api.play import FreezeDecision
from opsloop.core import conditions
from opsloop.core.decision import SOONEST_LOOK
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import ReleaseBuilder
from opsloop.names import FIXES

# Named reasons
FROZEN = "Frozen"  # an Incident's Runbook lets no new canary start; the message says until when, and how its fix passes
FIX_PASSES = "FixPasses"  # a freeze stands, and annotation opsloop.dev/fixes names its Incident: this is its fix
THAWED = "Thawed"  # no freeze concerns this Release any more


@dataclass(frozen=True, slots=True)
class Frozen:
    """The freeze that ends last of those that concern a Release, with the Incident that began it."""

    incident: str
    freeze: FreezeDecision

    @property
    def sentence(self) -> str:
        """Until when, why, and how the fix passes."""
        return (
            f"{self.incident} lets no new canary start until {self.freeze.until:%Y-%m-%d %H:%M:%S} UTC: {self.freeze.reason};"
            f" its fix passes with the annotation {FIXES}={self.incident}"
        )


def standing(facts: ReleaseFacts, now: datetime) -> tuple[Frozen, ...]:
    """The freezes that concern this Release now: of open Incidents, and not over."""
    name = facts.release.metadata.name
    return tuple(
        Frozen(incident.metadata.name, freeze)
        for incident in facts.freezing
        for freeze in incident.status.freezes
        if incident.is_open and freeze.release in ("", name) and freeze.until > now
    )


def holding(facts: ReleaseFacts, now: datetime) -> Frozen | None:
    """The freeze that keeps a new canary of this Release from starting; None where none does, or its fix is shipped."""
    fixes = {name.strip() for name in facts.release.metadata.annotations.get(FIXES, "").split(",")}
    held = [one for one in standing(facts, now) if one.incident not in fixes]
    return max(held, key=lambda one: one.freeze.until, default=None)


def tell(builder: ReleaseBuilder) -> None:
    """Condition Frozen, from the first freeze on, with an Event when one begins and when it is over."""
    facts, now, before = builder.facts, builder.now, conditions.get(builder.status.conditions, "Frozen")
    held, stands = holding(facts, now), standing(facts, now)
    if stands:
        builder.look_again(max(min(one.freeze.until for one in stands) - now, SOONEST_LOOK))
    if held is not None:
        builder.condition("Frozen", True, FROZEN, held.sentence)
        if before is None or before.status != "True":
            builder.event(FROZEN, held.sentence, "Warning")
    elif stands:
        builder.condition("Frozen", False, FIX_PASSES, f"canaries start: they are said to fix {stands[0].incident}")
    elif before is not None and before.reason != THAWED:
        builder.condition("Frozen", False, THAWED, "no freeze is in effect")
        builder.event(THAWED, "no freeze is in effect any more; what the spec asks for starts now")
