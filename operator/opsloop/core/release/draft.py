"""The working sheet of one Release decision: status so far, actions so far. Becomes an immutable Decision."""

from datetime import datetime, timedelta
from typing import Any, Literal

from opsloop.api.release import ReleaseStatus
from opsloop.core import conditions
from opsloop.core.actions import Action
from opsloop.core.decision import Decision, Event
from opsloop.core.facts import ReleaseFacts


class Draft:
    """Gathers safety writes, actions, events and the new status; nothing in it touches the world."""

    def __init__(self, facts: ReleaseFacts, now: datetime) -> None:
        self.facts = facts
        self.now = now
        self.status: ReleaseStatus = facts.release.status
        self._safety: list[Action] = []
        self._actions: list[Action] = []
        self._events: list[Event] = []
        self._look: timedelta | None = None

    def set(self, **changes: Any) -> None:
        """Change fields of the status; validated, so that a wrong type fails here and not at the API server."""
        merged = {**dict(self.status), **changes}
        self.status = ReleaseStatus.model_validate(merged)

    def safety(self, action: Action) -> None:
        """A weight-0 write: waits for nothing."""
        if action not in self._safety:
            self._safety.append(action)

    def act(self, action: Action) -> None:
        """To be done after the status is stored."""
        if action not in self._actions:
            self._actions.append(action)

    def event(self, reason: str, message: str, type_: Literal["Normal", "Warning"] = "Normal") -> None:
        """A Kubernetes Event on the Release."""
        self._events.append(Event(reason, message, type_))

    def condition(self, type_: str, value: bool | None, reason: str, message: str) -> None:
        """Set one condition."""
        put = conditions.put(self.status.conditions, type_, conditions.truth(value), reason, message, self.now)
        self.set(conditions=put)

    def look(self, after: timedelta) -> None:
        """Look again after this time at the latest."""
        self._look = after if self._look is None else min(self._look, after)

    def decision(self) -> Decision:
        """What was gathered; status is None where nothing changed."""
        changed = self.status if self.status != self.facts.release.status else None
        return Decision(tuple(self._safety), changed, tuple(self._actions), tuple(self._events), self._look)
