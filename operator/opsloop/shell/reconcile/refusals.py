"""Writes of one process that the API server refused: a fact for the next decision, with a back-off of their own.

Nothing here is stored: after a restart the write is tried again, and refused again.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from opsloop.core.actions import (
    EnsureCanary,
    EnsureCanaryService,
    EnsureWarm,
    MarkPods,
    ScaleDeployment,
    SetPaused,
    SetRoute,
    SetTemplate,
)
from opsloop.core.facts import Refusal
from opsloop.errors import OpsloopError
from opsloop.names import WARM
from opsloop.shell.ports import NamespacedName

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(seconds=60)  # a person mends the cause: it is noticed within a minute
LONGEST_MESSAGE = 500

Refusable = (
    EnsureCanary | EnsureWarm | EnsureCanaryService | SetTemplate | SetRoute | ScaleDeployment | SetPaused | MarkPods
)


@dataclass
class Refusals:
    """The last refusal of each kind of write, by Release."""

    _by_release: dict[NamespacedName, dict[str, tuple[Refusal, int]]] = field(default_factory=dict)

    def of(self, release: NamespacedName) -> tuple[Refusal, ...]:
        """The refusals that stand."""
        return tuple(refusal for refusal, _ in self._by_release.get(release, {}).values())

    def note(self, release: NamespacedName, action: Refusable, error: OpsloopError, now: datetime) -> bool:
        """Notes a refusal; False where the server said the same before."""
        write, stored = kind_of(action), self._by_release.setdefault(release, {})
        before, count = stored.get(write, (None, 0))
        count = count + 1 if before is not None and before.digest == action.digest else 1
        again_at = now + min(FIRST_PAUSE * 2 ** min(count - 1, 10), LONGEST_PAUSE)
        refusal = Refusal(write, action.digest, str(error)[:LONGEST_MESSAGE], again_at)
        stored[write] = (refusal, count)
        return before is None or before.message != refusal.message

    def accepted(self, release: NamespacedName, action: Refusable) -> None:
        """Forgets the refusal of a write that was accepted."""
        self._by_release.get(release, {}).pop(kind_of(action), None)

    def forget(self, release: NamespacedName) -> None:
        """Forgets a Release that was deleted."""
        self._by_release.pop(release, None)


def kind_of(
    action: Refusable,
) -> Literal["canary", "warm", "template", "scale", "route", "service", "warm-service", "pods"]:
    """What is written."""
    match action:
        case ScaleDeployment():
            return "scale"
        case EnsureCanary():
            return "canary"
        case EnsureWarm():
            return "warm"
        case EnsureCanaryService():
            return "warm-service" if action.key == WARM else "service"
        case SetRoute():
            return "route"
        case MarkPods():
            return "pods"
    return "template"
