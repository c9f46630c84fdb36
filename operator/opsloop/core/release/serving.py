"""What serves: a revision that is on the Deployment and of which no pod was ever available is not it."""

from opsloop.api.release import ReleaseStatus, Revision
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions


def notice(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Notes of the live revision that it never ran, until a pod of it is available for the first time."""
    before = revisions.find(builder.facts.release.status.revisions, builder.status.live)
    live = revisions.find(builder.status.revisions, builder.status.live)
    if live is None:
        return
    runs = workload.settled or workload.rollout.completed or workload.rollout.serves
    fresh = before is None or before.live_since != live.live_since  # it became live at this look
    never_ran = not runs and (live.never_ran or (fresh and live.proven_at is None))
    if never_ran != live.never_ran:
        changed = live.model_copy(update={"never_ran": never_ran})
        builder.set(revisions=revisions.put(builder.status.revisions, changed))


def serving(status: ReleaseStatus) -> Revision | None:
    """The revision whose pods serve users: the live one, or the one before it while the live one never ran."""
    live = revisions.find(status.revisions, status.live)
    if live is None or not live.never_ran:
        return live
    ran = [r for r in status.revisions if r.live_since is not None and not r.never_ran and r.digest != live.digest]
    return max(ran, key=lambda r: (r.live_since is not None, r.live_since), default=live)
