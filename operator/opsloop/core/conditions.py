"""Conditions: sets one without touching the others, and keeps the time of its last change of status."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from opsloop.api.meta import Condition

# Named reasons that several kinds give
TEMPLATE_MISSING = "TemplateMissing"  # the pod template of a revision that is needed is not stored (any more)
ROLLBACK_UNSAFE = "RollbackUnsafe"  # a revision in between has opsloop.dev/rollback-safe: "false": a person must act

Truth = Literal["True", "False", "Unknown"]


def truth(value: bool | None) -> Truth:
    """A three-valued boolean as Kubernetes writes it."""
    return "Unknown" if value is None else "True" if value else "False"


LONGEST = 2000  # characters of a message


def says(conditions: Sequence[Condition], type_: str, status: Truth, reason: str, message: str) -> bool:
    """True where the condition is there with this status, reason and message already."""
    old = get(conditions, type_)
    return old is not None and (old.status, old.reason, old.message) == (status, reason, message[:LONGEST])


def put(
    conditions: Sequence[Condition], type_: str, status: Truth, reason: str, message: str, now: datetime
) -> list[Condition]:
    """The conditions with this one set; lastTransitionTime moves only when the status does."""
    old = get(conditions, type_)
    since = old.last_transition_time if old and old.status == status else now
    new = Condition(type=type_, status=status, reason=reason, message=message[:LONGEST], last_transition_time=since)
    return [new if c.type == type_ else c for c in conditions] if old else [*conditions, new]


def get(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of this type, if it is there."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """True only for status True."""
    condition = get(conditions, type_)
    return condition is not None and condition.status == "True"
