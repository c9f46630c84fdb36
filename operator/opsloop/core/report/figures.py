"""Figures that add up: those of a namespace are the sum of its Releases', those of a cluster the sum of its namespaces'."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, each time in seconds and in order. `unknown`: how often nobody can say; `ongoing`: not over yet."""

    seconds: tuple[float, ...] = ()
    unknown: int = 0
    ongoing: int = 0

    def __add__(self, other: "Times") -> "Times":
        """Both together."""
        both = tuple(sorted((*self.seconds, *other.seconds)))
        return Times(both, self.unknown + other.unknown, self.ongoing + other.ongoing)

    @property
    def count(self) -> int:
        """How often it happened, known or not."""
        return len(self.seconds) + self.unknown + self.ongoing

    @property
    def median(self) -> timedelta | None:
        """Half took no longer; None where none is known."""
        return timedelta(seconds=median(self.seconds)) if self.seconds else None

    @property
    def p90(self) -> timedelta | None:
        """Nine of ten took no longer: one of the times themselves (nearest rank); None where none is known."""
        return timedelta(seconds=self.seconds[math.ceil(0.9 * len(self.seconds)) - 1]) if self.seconds else None


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one Release, or of many.

    A deployment is a change that became live for all users: by its canary, or pushed without one. One failed that was rolled back,
    undone or replaced by hand, or that an Incident names as its cause. Changes that a canary stopped are counted apart.
    """

    incidents: int = 0
    severities: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    open: int = 0
    reopened: int = 0
    merged: int = 0  # told by another Incident, and counted there
    detect: Times = Times()
    mitigate: Times = Times()
    resolve: Times = Times()
    promoted: int = 0
    pushed: int = 0
    failed: int = 0
    lead: Times = Times()  # from commit to live
    rollout: Times = Times()  # from the recorded target to live
    restore: Times = Times()
    stopped_dark: int = 0
    stopped_serving: int = 0
    caught: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        """Both together."""
        return Figures(**{f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def deployments(self) -> int:
        """Changes that became live."""
        return self.promoted + self.pushed

    @property
    def failure_rate(self) -> float | None:
        """Share of the deployments that failed; None without any."""
        return self.failed / self.deployments if self.deployments else None


def _sum(one: Any, other: Any) -> Any:
    return one + other


def total(parts: Iterable[Figures]) -> Figures:
    """All together."""
    return sum(parts, Figures())
