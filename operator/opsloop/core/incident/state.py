"""The working sheet of one Incident decision, and the few rules on severities and timeline that its parts share."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from opsloop.api.incident import BurnSignal, Evidence, IncidentStatus, TimelineEntry
from opsloop.api.meta import Severity, format_duration
from opsloop.core import conditions
from opsloop.core.actions import Action
from opsloop.core.decision import Decision, Event
from opsloop.core.facts import IncidentFacts, Value, Verdict

CONTESTED = "Contested"  # somebody keeps pushing a blocked revision: opsloop stops writing and escalates

MOST_PLAYS = 32
MOST_ENTRIES = 200
MOMENTS = ("Relapse", "Mitigated", "Resolved", "Reopened", "Escalated")  # told once, at a transition


def worse(a: Severity, b: Severity) -> Severity:
    """The more severe of two; sev1 is the worst."""
    return min(a, b)


def contested(sheet: "Sheet") -> bool:
    """A person must decide: opsloop has stopped writing."""
    return conditions.is_true(sheet.status.conditions, CONTESTED)


def burn_signal(verdict: Verdict) -> BurnSignal:
    """The numbers that a tier fired on. `verdict.firing` must be set."""
    firing = verdict.firing
    assert firing is not None and isinstance(firing.long, Value) and isinstance(firing.short, Value)
    return BurnSignal(
        long=format_duration(firing.tier.long),
        short=format_duration(firing.tier.short),
        factor=firing.tier.factor,
        burn_long=round(firing.burn_long or 0.0, 2),
        burn_short=round(firing.burn_short or 0.0, 2),
        error_ratio=round(firing.short.error_ratio, 4),
        bad=round(firing.long.bad, 1),
        total=round(firing.long.total, 1),
        objective=verdict.objective,
    )


class Sheet:
    """Gathers actions, events and the new status of one Incident."""

    def __init__(self, facts: IncidentFacts, now: datetime) -> None:
        self.facts = facts
        self.now = now
        self.status: IncidentStatus = facts.incident.status
        self._actions: list[Action] = []
        self._events: list[Event] = []
        self._look: timedelta | None = None

    @property
    def name(self) -> str:
        """Name of the Incident."""
        return self.facts.incident.metadata.name

    def set(self, **changes: Any) -> None:
        """Change fields of the status, validated."""
        self.status = IncidentStatus.model_validate({**dict(self.status), **changes})

    def note(
        self,
        key: str,
        at: datetime,
        type_: str,
        actor: str,
        message: str,
        evidence: Sequence[Evidence] = (),
        burn: BurnSignal | None = None,
    ) -> None:
        """Add a timeline entry once per key, in order of time; past 200, moments in the middle are folded.

        Only moments are folded: what is derived from the facts on every look would come back with the next one.
        """
        key = key[:128]
        if any(e.key == key for e in self.status.timeline):
            return
        proof = list(evidence)[:10] or ([_burn_evidence(burn)] if burn else [])
        entry = TimelineEntry(key=key, at=at, type=type_, actor=actor, message=message[:1000], evidence=proof)
        timeline = sorted([*self.status.timeline, entry], key=lambda e: e.at)
        folded = self.status.folded
        if len(timeline) > MOST_ENTRIES:
            moments = [e for e in timeline if e.type in MOMENTS and e is not entry]
            if not moments:
                return
            timeline.remove(moments[len(moments) // 2])
            folded += 1
        self.set(timeline=timeline, folded=folded)

    def act(self, action: Action) -> None:
        """To be done after the status is stored."""
        self._actions.append(action)

    def event(self, reason: str, message: str, type_: Literal["Normal", "Warning"] = "Normal") -> None:
        """A Kubernetes Event on the Incident."""
        self._events.append(Event(reason, message[:900], type_))

    def condition(self, type_: str, value: bool | None, reason: str, message: str) -> None:
        """Set one condition."""
        put = conditions.put(self.status.conditions, type_, conditions.truth(value), reason, message, self.now)
        self.set(conditions=put)

    def look(self, after: timedelta) -> None:
        """Look again after this time at the latest."""
        self._look = after if self._look is None else min(self._look, after)

    def decision(self) -> Decision:
        """What was gathered; status is None where nothing changed."""
        changed = self.status if self.status != self.facts.incident.status else None
        return Decision((), changed, tuple(self._actions), tuple(self._events), self._look)


def _burn_evidence(burn: BurnSignal) -> Evidence:
    value = f"{burn.error_ratio:.1%} bad; {burn.bad:.0f} of {burn.total:.0f} events over {burn.long}"
    return Evidence(name="error ratio", value=value, source=f"SLI against objective {burn.objective:g}")
