"""Routing: which receivers a message is for, by namespace, team, severity, kind and reason, as administrators wrote it.

The first route that fits decides, as in Alertmanager, unless it says `continue`; what fits none goes to the default. What a
Release has to tell wakes nobody, so it goes only where a route asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["Incident", "Release"]
PAGER = "pager"  # the receiver of pager.url, for whoever configures no other
MOST_RECEIVERS = 16


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about, as far as it is routed by it."""

    namespace: str
    kind: Kind = "Incident"
    team: str = ""
    severity: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Receivers for what fits every list that is not empty. Namespaces and teams are patterns (`team-*`)."""

    receivers: tuple[str, ...]
    namespaces: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    kind: Kind = "Incident"
    goes_on: bool = False  # later routes are looked at as well

    def fits(self, subject: Subject) -> bool:
        """True where the message is for these receivers."""
        return (
            subject.kind == self.kind
            and _fits(subject.namespace, self.namespaces)
            and _fits(subject.team, self.teams)
            and (not self.severities or subject.severity in self.severities)
            and (not self.reasons or subject.reason in self.reasons)
        )


@dataclass(frozen=True, slots=True)
class Routing:
    """All routes, in their order. `resent`: receivers at which an alert ends unless it is sent again (Alertmanager)."""

    routes: tuple[Route, ...] = ()
    default: tuple[str, ...] = (PAGER,)
    resent: frozenset[str] = field(default_factory=frozenset)
    known: frozenset[str] = field(default_factory=frozenset)  # all that are configured; empty: nobody says

    def is_gone(self, name: str) -> bool:
        """True for a receiver that is not configured any more."""
        return bool(self.known) and name not in self.known

    def receivers_of(self, subject: Subject) -> tuple[str, ...]:
        """Names of the receivers, each once, in the order of the routes; of an Incident there is always one."""
        found: list[str] = []
        for route in self.routes:
            if route.fits(subject):
                found += route.receivers
                if not route.goes_on:
                    break
        if not found and subject.kind == "Incident":
            found = list(self.default)
        return tuple(dict.fromkeys(found))


def _fits(value: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
