"""A person's order to go back: live's template is replaced by that of an earlier revision, at once and without a canary.

The revision that is left is not blocked: who undid it may be wrong about it. It comes back by a changed spec or by `retry`, or
on a guarded Deployment when its template is written again, and then as a canary. A revision that is blocked is never gone back to.
"""

from opsloop.api.records import RollbackRecord
from opsloop.api.revision import Revision
from opsloop.core.conditions import ROLLBACK_UNSAFE, TEMPLATE_MISSING
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions
from opsloop.core.release.commands import new_value, obey, order, refuse
from opsloop.core.release.rollback import TARGET_BLOCKED, write
from opsloop.core.release.target import UNDONE, cancel

# Named reasons
NOTHING_TO_UNDO = "NothingToUndo"  # live is another version than the order names, or there is no revision to go back to
ROLLBACK_UNDER_WAY = "RollbackUnderWay"  # live is being rolled back already

Refusal = tuple[str, str]  # reason and sentence


def undo(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records and starts the way back from opsloop.dev/undo=VERSION (live's), to last-good or to what VERSION/DIGEST names."""
    value = new_value(builder, "undo")
    if not value:
        return
    live = revisions.find(builder.status.revisions, builder.status.live)
    found = _destination(builder, order(value), live)
    if live is None or not isinstance(found, Revision):
        refuse(
            builder, "undo", value, *(found if isinstance(found, tuple) else (NOTHING_TO_UNDO, "nothing is live yet"))
        )
        return
    record = RollbackRecord(
        incident="", attempt=1, from_digest=live.digest, to_digest=found.digest, state="Recorded", at=builder.now
    )
    builder.set(rollback=record)
    cancel(builder, UNDONE, f"a person has live go back to {found.version}; to try it again: opsloop.dev/retry")
    sure = "proven" if found.proven_at else "not proven: it never met an SLO for its bake time while live"
    text = f"{live.version} is replaced by {found.version} ({found.digest}), which is {sure}"
    obey(builder, "undo", value, "UndoStarted", text, live.digest)
    builder.execute(write(builder.facts, workload, record))


def _destination(builder: ReleaseBuilder, asked: str, live: Revision | None) -> Revision | Refusal | None:
    """The revision to go back to, or why there is none; None where nothing is live."""
    facts, status = builder.facts, builder.status
    if live is None:
        return None
    name = next((n for n in (live.version, live.digest) if asked == n or asked.startswith(f"{n}/")), None)
    if facts.stop is not None:
        return facts.stop.named_reason, facts.stop.sentence
    if status.rollback is not None and status.rollback.is_active:
        return (
            ROLLBACK_UNDER_WAY,
            f"live is being rolled back to {_version(builder, status.rollback.to_digest)} already",
        )
    if name is None:
        return NOTHING_TO_UNDO, f"{asked}: live is {live.version} ({live.digest})"
    if status.target is not None and status.target.state == "Promoting" and status.target.digest != status.live:
        return NOTHING_TO_UNDO, f"{status.target.version} is being promoted and is not written yet: abort it"
    found, wish = revisions.rollback_target(status.revisions, status.live), asked[len(name) + 1 :]
    to = revisions.find(status.revisions, wish) if wish else found[0] if found else None
    if to is None or to.digest == status.live:
        return NOTHING_TO_UNDO, _why_nowhere(wish, live, to)
    if to.blocked is not None:
        text = f"{to.version} ({to.digest}) is blocked: {to.blocked.reason}, {to.blocked.message}"
        return TARGET_BLOCKED, f"{text}; to allow it again: opsloop.dev/unblock={to.digest}"
    unsafe = revisions.unsafe_between(status.revisions, status.live, to.digest)
    if unsafe is not None and not wish:
        text = f'{unsafe.version} says opsloop.dev/rollback-safe: "false"'
        return ROLLBACK_UNSAFE, f"{text}; to go back across it all the same: opsloop.dev/undo={name}/{to.digest}"
    if to.digest not in facts.templates:
        return TEMPLATE_MISSING, f"the template of {to.version} ({to.digest}) is not stored any more"
    return to


def _why_nowhere(wish: str, live: Revision, to: Revision | None) -> str:
    if to is not None:
        return f"{live.version} ({live.digest}) is live already"
    return (
        f"{wish} is the digest of no known revision"
        if wish
        else f"no revision before {live.version} is known that is not blocked"
    )


def _version(builder: ReleaseBuilder, digest: str) -> str:
    revision = revisions.find(builder.status.revisions, digest)
    return revision.version if revision else digest
