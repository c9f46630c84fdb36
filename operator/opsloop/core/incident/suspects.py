"""Suspects: every change of the root, and of what it depends on, that may have brought the present harm.

A revision that became live, a canary that is or was in traffic, an object that pods use, the number of pods, and a
dependency that is harmed itself. Undoing is no change: the revision that a rollback restored is no suspect.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import ObjectChange, ReleaseView
from opsloop.core.release import revisions
from opsloop.core.topology import Topology


@dataclass(frozen=True, slots=True)
class Meeting:
    """More users met a change: at `at` it was decided; the first met it at `first`, all at `full`, where that was watched."""

    at: datetime
    first: datetime | None = None
    full: datetime | None = None

    @property
    def time(self) -> datetime:
        """When it began, as well as it is known."""
        return self.first or self.at


@dataclass(frozen=True, slots=True)
class Suspect:
    """One change, with the times at which more users met it, the first ones first.

    `revision` or `change` is set, or neither for a dependency's harm. `along`: objects that were written with a revision.
    """

    release: str
    kind: Literal["live", "canary", "config", "scaling", "dependency"]
    hops: int
    meetings: tuple[Meeting, ...]
    revision: Revision | None = None
    change: ObjectChange | None = None
    along: tuple[ObjectChange, ...] = ()

    @property
    def name(self) -> str:
        """The suspect in a sentence."""
        if self.change is not None:
            return self.change.what
        if self.revision is None:
            return f"harm of {self.release}"
        return f"{self.release} {self.revision.version}{' (canary)' if self.kind == 'canary' else ''}"


Span = tuple[datetime, datetime]
ONE_ACT = timedelta(minutes=1)  # writes of one field manager within it are one act


def suspects(
    root: ReleaseView, topology: Topology, harmed: Iterable[str], began: Span, lookback: timedelta, slack: timedelta
) -> list[Suspect]:
    """All suspects for harm of `root` that began within the interval `began`; `harmed` are dependencies that are harmed themselves."""
    name = root.release.metadata.name
    views, near = topology.views | {name: root}, {name: 0} | topology.dependencies(name)
    found = [s for n, hops in near.items() if n in views for s in _of_release(views[n], hops, began, lookback, slack)]
    found += [
        Suspect(n, "dependency", near.get(n, 1), (Meeting(views[n].readings.onset or began[0]),))
        for n in harmed
        if n in views
    ]
    return found


def _of_release(view: ReleaseView, hops: int, began: Span, lookback: timedelta, slack: timedelta) -> Iterable[Suspect]:
    status, name = view.release.status, view.release.metadata.name

    def is_near(at: datetime) -> bool:
        return began[0] - lookback <= at <= began[1] + slack

    by_time = sorted((c for c in view.objects.found if is_near(c.at)), key=lambda c: c.at)
    changes, along = list({c.what: c for c in by_time}.values()), set[ObjectChange]()  # the last one of each object
    for kind, revision, meetings in (*_live(status), *_canary(status, began[0])):
        near = tuple(m for m in meetings if is_near(m.at))
        if near:
            together = tuple(c for c in changes if _came_with(c, revision, meetings))
            along |= {*together}
            yield Suspect(name, kind, hops, near, revision, along=together)
    for change in changes:
        if change not in along:
            yield Suspect(name, change.kind, hops, (Meeting(change.at),), change=change)


def _came_with(change: ObjectChange, revision: Revision, meetings: Iterable[Meeting]) -> bool:
    """One act of one writer (`helm upgrade`): the revision answers for it. A rollout that somebody else made of the change,
    as controllers do that restart pods for a new ConfigMap, is another act: undoing it would not undo the change."""
    times = (revision.first_seen, *(m.at for m in meetings))
    return (
        bool(change.manager)
        and change.manager == revision.manager
        and any(abs(change.at - t) <= ONE_ACT for t in times)
    )


Change = tuple[Literal["live", "canary"], Revision, tuple[Meeting, ...]]


def _live(status: ReleaseStatus) -> list[Change]:
    """The live revision, since it was live and since it served as a canary. Adoption is no change."""
    live = revisions.find(status.revisions, status.live)
    if live is None or (live.number == 1 and live.blocked is None):
        return []
    record = status.rollback
    if record is not None and record.to_digest == live.digest and record.state in ("Written", "Done"):
        return []
    as_canary = [Meeting(live.served_since, live.served_since, live.served_since)] if live.served_since else []
    as_live = [Meeting(live.live_since, live.exposed_since, live.rolled_out_at)] if live.live_since else []
    return [("live", live, (*as_canary, *as_live))]


def _canary(status: ReleaseStatus, began: datetime) -> list[Change]:
    """The target that takes or took traffic and is not live; not one that had left before the harm began."""
    target = status.target
    revision = revisions.find(status.revisions, target.digest) if target else None
    if target is None or revision is None or revision.served_since is None or revision.digest == status.live:
        return []
    if revision.served_since < target.started_at or (target.ended_at is not None and target.ended_at < began):
        return []
    times = sorted({revision.served_since, target.reached_at or revision.served_since})
    return [("canary", revision, tuple(Meeting(at, at, at) for at in times))]
