"""What serves: a revision that is on the Deployment and of which no pod was ever available is not it."""

from datetime import datetime, timedelta

from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions

WATCHED = timedelta(seconds=30)  # a rollout that was complete longer ago than this was so while nobody watched


def notice(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Notes of the live revision that it never ran, until a pod of it is available for the first time; and since when the
    first and all users meet it, which tells an outage after a rollout from one by it."""
    before = revisions.find(builder.facts.release.status.revisions, builder.status.live)
    live = revisions.find(builder.status.revisions, builder.status.live)
    if live is None:
        return
    runs = workload.settled or workload.rollout.completed or workload.rollout.serves
    fresh = before is None or before.live_since != live.live_since  # it became live at this look
    never_ran = not runs and (live.never_ran or (fresh and live.proven_at is None))
    changes: dict[str, object] = {"exposed_since": None, "rolled_out_at": None} if fresh else {}
    if live.never_ran and not never_ran and _just_happened(workload, builder.now):
        changes["exposed_since"] = builder.now
    exposed = changes.get("exposed_since", live.exposed_since)
    if exposed is not None and live.rolled_out_at is None and workload.rollout.replaced:
        changes["rolled_out_at"] = builder.now
    changed = live.model_copy(update=changes | {"never_ran": never_ran})
    if changed != live:
        builder.set(revisions=revisions.put(builder.status.revisions, changed))


def _just_happened(workload: WorkloadFacts, now: datetime) -> bool:
    """False for a rollout that was over before anybody looked again: its first users met it at a time that nobody knows."""
    progressed = workload.rollout.progressed_at
    return not workload.rollout.replaced or progressed is None or now - progressed <= WATCHED


def serving(status: ReleaseStatus) -> Revision | None:
    """The revision whose pods serve users: the live one, or the one before it while the live one never ran."""
    live = revisions.find(status.revisions, status.live)
    if live is None or not live.never_ran:
        return live
    ran = [r for r in status.revisions if r.live_since is not None and not r.never_ran and r.digest != live.digest]
    return max(ran, key=lambda r: (r.live_since is not None, r.live_since), default=live)
