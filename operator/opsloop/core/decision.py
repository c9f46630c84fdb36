"""A Decision and the builder that every kind's `decide` collects it with."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from opsloop.api.meta import Model, StatusModel
from opsloop.core import conditions
from opsloop.core.actions import Action

EventType = Literal["Normal", "Warning"]
# After a look that changed nothing: at the same time the next one would see the same.
SOONEST_LOOK = timedelta(seconds=1)
LONGEST_EVENT = 1000  # characters; the API server refuses an Event with a message of more than 1024


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the decided object, posted once per (object, reason)."""

    reason: str
    message: str
    type: EventType = "Normal"


@dataclass(frozen=True, slots=True)
class Decision:
    """Effects that follow from the facts, in the order in which they are applied.

    1. `safety`: weight-0 writes; they wait for nothing, not even for the status write.
    2. `status`: the whole new status, stored under the observed resourceVersion before any action (record first). None = unchanged.
       Intent and summary are one write: the outcome of an action is only known to the next observe.
    3. `actions`, in order.
    4. `events`.
    `look_again` is the latest time for the next look; None = when something changes.
    """

    safety: tuple[Action, ...] = ()
    status: Model | None = None
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    look_again: timedelta | None = None


F = TypeVar("F")
S = TypeVar("S", bound=StatusModel)


class DecisionBuilder(Generic[F, S]):
    """Collects the parts of one Decision. `status` is the status so far; nothing in it touches the cluster."""

    def __init__(self, facts: F, status: S, now: datetime) -> None:
        """`status` is the observed one: `build` compares with it."""
        self.facts = facts
        self.now = now
        self.status = status
        self._observed = status
        self._safety: list[Action] = []
        self._actions: list[Action] = []
        self._events: list[Event] = []
        self._look_again: timedelta | None = None

    def set(self, **changes: Any) -> None:
        """Changes fields of the status. Raises TypeError for a field that it does not have; `build` validates the types."""
        if unknown := changes.keys() - type(self.status).model_fields.keys():
            raise TypeError(f"{type(self.status).__name__} has no field {', '.join(sorted(unknown))}")
        self.status = self.status.model_copy(update=changes)

    def condition(self, type_: str, value: bool | None, reason: str, message: str) -> None:
        """Sets one condition; None is Unknown. lastTransitionTime moves only when the value does."""
        known, truth = self.status.conditions, conditions.truth(value)
        if not conditions.says(known, type_, truth, reason, message):  # as in most looks: a copy of the status is saved
            self.set(conditions=conditions.put(known, type_, truth, reason, message, self.now))

    def safety(self, action: Action) -> None:
        """Adds a weight-0 write, once: it is applied before the status is stored."""
        if action not in self._safety:
            self._safety.append(action)

    def execute(self, action: Action) -> None:
        """Adds an action, once: it is executed after the status is stored."""
        if action not in self._actions:
            self._actions.append(action)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions so far."""
        return tuple(self._actions)

    def exchange(self, old: Action, *new: Action) -> None:
        """Puts others in the place of an action."""
        at = self._actions.index(old)
        self._actions[at : at + 1] = [action for action in new if action not in self._actions]

    def event(self, reason: str, message: str, type_: EventType = "Normal") -> None:
        """Adds a Kubernetes Event on the decided object."""
        self._events.append(Event(reason, message[:LONGEST_EVENT], type_))

    def look_again(self, after: timedelta) -> None:
        """Asks for the next look after this time at the latest; the shortest of all such times counts."""
        self._look_again = after if self._look_again is None else min(self._look_again, after)

    def build(self) -> Decision:
        """The Decision; its status is None where nothing changed. Raises ValidationError for a status of a wrong type."""
        status = type(self.status).model_validate(dict(self.status))
        # As it would be stored: times lose their microseconds, and a write that changes nothing is none
        differs = status != self._observed and status.dump() != self._observed.dump()
        changed = status if differs else None
        again = self._look_again
        if again is not None and changed is None and not self._safety and not self._actions:
            again = max(again, SOONEST_LOOK)
        return Decision(tuple(self._safety), changed, tuple(self._actions), tuple(self._events), again)
