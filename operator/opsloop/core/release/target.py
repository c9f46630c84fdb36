"""The target: what the spec asks for, recorded once and refused where it is blocked."""

from opsloop.api.release import Revision, Target
from opsloop.core.actions import EnsureRevision
from opsloop.core.release import revisions
from opsloop.core.release.analysis import ANALYSIS_FAILED, EVAL_FAILED
from opsloop.core.release.draft import Draft
from opsloop.core.release.live import TEMPLATE_MISSING, cancel
from opsloop.core.release.pods import NEW_TARGET, TICK, WEIGHT_UNREACHABLE, clear_canary, ended, unreachable
from opsloop.names import RETRY

# Named reasons
BLOCKED = "Blocked"  # the wanted revision was rolled back or rejected before
UNKNOWN_CONTAINER = "UnknownContainer"  # spec.images names a container that the Deployment does not have
SPEC_BACK_TO_LIVE = "SpecBackToLive"  # the spec asks for what is live: a clean cancel

BLOCKING = (BLOCKED, EVAL_FAILED, ANALYSIS_FAILED)  # a target that ended for these has a blocked revision


def follow_spec(draft: Draft) -> None:
    """Record what the spec asks for, once per (images, version, retry)."""
    facts, status, spec = draft.facts, draft.status, draft.facts.release.spec
    rollback = status.rollback
    if rollback and rollback.state in ("Recorded", "Written"):
        return
    retry = facts.release.metadata.annotations.get(RETRY, "")
    old = status.target
    asked = old is not None and (old.version, old.images, old.retry) == (spec.version, spec.images, retry)
    if old is not None and asked and not _unblocked(draft, old) and not _reachable_now(draft, old):
        return
    base = revisions.base(status.revisions) or revisions.find(status.revisions, status.live)
    template = facts.templates.get(base.digest) if base else None
    if template is None:
        return  # stored by this very pass; the next one sees it
    wanted, unknown = revisions.with_images(template, spec.images)
    digest = revisions.digest(wanted)
    target = Target(
        digest=digest, version=spec.version, images=spec.images, retry=retry, state="Dark", started_at=draft.now
    )
    if unknown:
        message = f"spec.images names {', '.join(unknown)}, which the Deployment does not have"
        draft.set(target=ended(draft, target, "Refused", UNKNOWN_CONTAINER, message))
    elif digest == status.live:
        _already_live(draft, target)
    else:
        _new_target(draft, target, wanted)


def stored(draft: Draft, target: Target) -> bool:
    """Is the target's template stored? If not, the process died right after recording it: it is made from the base again."""
    if target.digest in draft.facts.templates:
        return True
    base = revisions.base(draft.status.revisions) or revisions.find(draft.status.revisions, draft.status.live)
    template = draft.facts.templates.get(base.digest) if base else None
    revision = revisions.find(draft.status.revisions, target.digest)
    if template is None or revision is None:
        return False  # stored by this very pass; the next one sees it
    wanted, _ = revisions.with_images(template, target.images)
    if revisions.digest(wanted) == target.digest:
        draft.act(EnsureRevision(draft.facts.release.metadata.name, target.digest, revision.number, wanted))
    else:
        cancel(draft, TEMPLATE_MISSING, "its template is not stored and what it was made from has changed")
    return False


def _unblocked(draft: Draft, target: Target) -> bool:
    """It was ended for its block, and a person has lifted that. What the cluster did is tried again on retry only."""
    revision = revisions.find(draft.status.revisions, target.digest)
    blocked = target.state in ("Refused", "Rejected") and target.reason in BLOCKING
    return blocked and target.digest != draft.status.live and (revision is None or revision.blocked is None)


def _reachable_now(draft: Draft, target: Target) -> bool:
    """It was refused for its weights, and the spec or the Deployment changed so that all of them can be reached."""
    return target.state == "Refused" and target.reason == WEIGHT_UNREACHABLE and not unreachable(draft)


def _already_live(draft: Draft, target: Target) -> None:
    cancel(draft, SPEC_BACK_TO_LIVE, "the spec asks for what is live")
    draft.set(target=ended(draft, target, "Promoted", SPEC_BACK_TO_LIVE, "live is what the spec asks for"))
    draft.condition("Blocked", False, "Allowed", f"{target.version} is live")


def _new_target(draft: Draft, target: Target, template: dict[str, object]) -> None:
    known = revisions.find(draft.status.revisions, target.digest)
    if known and known.blocked:
        message = (
            f"{target.version} ({target.digest}) is blocked: {known.blocked.reason}, {known.blocked.message}; "
            f"to allow it again: annotate the Release with opsloop.dev/unblock={target.digest}"
        )
        draft.set(target=ended(draft, target, "Refused", BLOCKED, message[:1000]))
        draft.condition("Blocked", True, BLOCKED, message)
        draft.event("Refused", message[:500], "Warning")
        return
    draft.condition("Blocked", False, "Allowed", f"{target.version} may be tried")
    cancel(draft, NEW_TARGET, f"the spec asks for {target.version}")
    clear_canary(draft, NEW_TARGET)
    revision = known or Revision(
        digest=target.digest,
        number=revisions.next_number(draft.status.revisions),
        version=target.version,
        images=revisions.images_of(template),
        reason="Canaried",
        first_seen=draft.now,
    )
    draft.set(revisions=revisions.put(draft.status.revisions, revision), target=target)
    name = draft.facts.release.metadata.name
    if target.digest not in draft.facts.templates:
        draft.act(EnsureRevision(name, target.digest, revision.number, template))
    draft.event("CanaryStarted", f"{target.version} starts dark: no Service sends it anything")
    draft.look(TICK)
