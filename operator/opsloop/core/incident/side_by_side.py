"""When two revisions of a Release served users at the same time: an experiment that every rollout makes.

Only then do their error ratios compare: what one served before the harm began, or after the other one was gone, says
nothing about which of them is harmed.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.release import revisions


@dataclass(frozen=True, slots=True)
class Stretch:
    """Two revisions, the newer one first, and the time in which both served."""

    own: Revision
    other: Revision
    start: datetime
    end: datetime

    def since(self, began: datetime) -> "Stretch | None":
        """The part of it since a time; None where it was over by then."""
        start = max(began, self.start)
        return replace(self, start=start) if start < self.end else None


def side_by_side(status: ReleaseStatus, now: datetime) -> Stretch | None:
    """A canary beside live, else the pods of a rollout beside those before, until now; None without one.

    Where nobody saw the rollout it may have been at any time since it was decided.
    """
    found = _with_canary(status, now) or _in_rollout(status, now)
    return found and replace(found, end=min(now, found.end))


def _with_canary(status: ReleaseStatus, now: datetime) -> Stretch | None:
    target, live = status.target, revisions.find(status.revisions, status.live)
    tried = revisions.find(status.revisions, target.digest) if target is not None else None
    if target is None or tried is None or live is None or target.digest == status.live:
        return None
    if tried.served_since is None or tried.served_since < target.started_at:
        return None
    if target.is_active:
        return Stretch(tried, live, tried.served_since, now)
    return Stretch(tried, live, tried.served_since, target.ended_at) if target.ended_at else None


def _in_rollout(status: ReleaseStatus, now: datetime) -> Stretch | None:
    live = revisions.find(status.revisions, status.live)
    if live is None or live.live_since is None:
        return None
    before = [
        (r.live_since, r)
        for r in status.revisions
        if r.live_since and r.live_since < live.live_since and not r.never_ran
    ]
    if not before:
        return None
    other = max(before, key=lambda pair: pair[0])[1]
    if live.exposed_since is None:
        return Stretch(live, other, live.live_since, now)
    return Stretch(live, other, live.exposed_since, live.rolled_out_at or now)
