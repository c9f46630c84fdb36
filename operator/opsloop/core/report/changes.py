"""Changes of one Release within a window, from its history: what became live, what failed, what a canary stopped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.history import HistoryEntry
from opsloop.api.incident import Incident
from opsloop.api.release import Release
from opsloop.core.report.facts import Window
from opsloop.core.report.figures import Figures, Times

LIVE = ("Promoted", "Pushed")
LEFT = {
    "RolledBack": "rolled back",
    "Undone": "undone by opsloop undo",
    "Reverted": "replaced by an earlier revision, by hand",
}
BLAMED = "named as the cause"


@dataclass(frozen=True, slots=True)
class Failed:
    """A deployment that failed."""

    namespace: str
    release: str
    version: str
    at: datetime
    canaried: bool
    how: str
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A version that its canary stopped; dark: it served nobody."""

    namespace: str
    release: str
    version: str
    at: datetime
    reason: str
    dark: bool
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Of one Release."""

    deployments: tuple[HistoryEntry, ...]
    failed: tuple[Failed, ...]
    stopped: tuple[Stopped, ...]

    @property
    def figures(self) -> Figures:
        """Counted; when a version was committed only its own record says."""
        lead = [(e.at - e.committed_at).total_seconds() for e in self.deployments if e.committed_at is not None]
        took = [(e.at - e.began_at).total_seconds() for e in self.deployments if e.began_at is not None]
        return Figures(
            promoted=sum(e.what == "Promoted" for e in self.deployments),
            pushed=sum(e.what == "Pushed" for e in self.deployments),
            failed=len(self.failed),
            lead=Times(tuple(sorted(lead)), unknown=len(self.deployments) - len(lead)),
            rollout=Times(tuple(sorted(took))),
            stopped_dark=sum(one.dark for one in self.stopped),
            stopped_serving=sum(not one.dark for one in self.stopped),
        )


def changes(release: Release, incidents: Iterable[Incident], window: Window) -> Changes:
    """The Release's changes within the window. `incidents` are those of its namespace, of any time."""
    own = [i for i in incidents if i.spec.release == release.metadata.name and not i.status.merged_into]
    history = sorted(release.status.history, key=lambda entry: entry.at)
    live = [n for n, entry in enumerate(history) if entry.what in LIVE and window.holds(entry.at)]
    found = ((history[n], _failure(history, n, own)) for n in live)
    return Changes(
        deployments=tuple(history[n] for n in live),
        failed=tuple(_failed(release, entry, *failure) for entry, failure in found if failure is not None),
        stopped=tuple(
            Stopped(*release.key, entry.version, entry.at, entry.reason, entry.served_since is None, tuple(entry.cases))
            for entry in history
            if entry.what == "Rejected" and window.holds(entry.at)
        ),
    )


def _failed(release: Release, entry: HistoryEntry, how: str, incident: str) -> Failed:
    return Failed(*release.key, entry.version, entry.at, entry.what == "Promoted", how, incident)


def _failure(history: Sequence[HistoryEntry], number: int, incidents: Sequence[Incident]) -> tuple[str, str] | None:
    """(how, Incident) where the deployment failed: it was left again, or an Incident that began before the next one names it.

    One that was rolled back and that its Incident then cleared did not fail.
    """
    entry, later = history[number], history[number + 1 :]
    following = next((n for n, other in enumerate(later) if other.what in LIVE), len(later))
    end = later[following].at if following < len(later) else None
    for left in later[:following]:
        if left.what in LEFT and left.digest == entry.digest and not _cleared(left, incidents):
            return LEFT[left.what], left.incident
    for incident in incidents:
        cause, at = incident.status.cause, incident.status.onset_at or incident.status.detected_at
        blamed = cause is not None and (cause.kind, cause.revision) == ("bad_release", entry.digest)
        if blamed and at is not None and entry.at <= at and (end is None or at < end):
            return BLAMED, incident.metadata.name
    return None


def _cleared(left: HistoryEntry, incidents: Sequence[Incident]) -> bool:
    return any(i.metadata.name == left.incident and left.digest in i.status.exonerated for i in incidents)
