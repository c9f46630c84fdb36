"""The spec goes back to a version that was proven live not long ago: it takes no steps, because nothing about it is new.

Its canary would compare it with the version that people want to leave. A blocked revision is refused before this is asked, and one
that lies beyond a revision across which nothing may be rolled back takes its steps.
"""

from collections.abc import Sequence
from datetime import datetime

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import revisions

# Named reasons
PROVEN_BEFORE = "ProvenBefore"  # the spec goes back to a version that was proven live within strategy.backWithin


def takes_no_steps(facts: ReleaseFacts, status: ReleaseStatus, digest: str, now: datetime) -> bool:
    """True for a revision that was last-good and live within strategy.backWithin."""
    window, found = facts.release.spec.strategy.back_within, revisions.find(status.revisions, digest)
    if window is None or found is None or found.proven_at is None or found.blocked is not None or found.never_ran:
        return False
    if digest == status.live or revisions.unsafe_between(status.revisions, status.live, digest) is not None:
        return False
    left = left_at(status.revisions, found)
    return left is not None and now - left <= window


def left_at(history: Sequence[Revision], revision: Revision) -> datetime | None:
    """When another revision took its place, the last time that it was live; None where none did, or it never was."""
    since = revision.live_since
    later = [r.live_since for r in history if since is not None and r.live_since is not None and r.live_since > since]
    return min(later, default=None)
