"""What is live: adoption, our own writes landing, changes by hand, last-good, and rollbacks for Incidents."""

from datetime import datetime, timedelta

from opsloop.api.release import Revision
from opsloop.core.actions import EnsureRevision
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import revisions
from opsloop.core.release.draft import Draft
from opsloop.core.slo import burn_rate as slo
from opsloop.names import FIELD_MANAGER, UNBLOCK

# Named reasons
ADOPTED = "Adopted"  # first apply: what runs becomes revision 1, and nothing moves
DRIFTED = "Drifted"  # the live template was changed by somebody else
LIVE_CHANGED = "LiveChanged"  # a change by hand in mid-canary, or before a rollback could be written
TEMPLATE_MISSING = "TemplateMissing"  # the template to go back to is not stored

ACTIVE = ("Dark", "Stepping", "Promoting")


def track(draft: Draft) -> None:
    """Compare what is live with what was: adoption, a landed write of our own, or a change by hand."""
    workload = draft.facts.workload
    assert workload is not None
    status = draft.status
    if status.live == "":
        _adopt(draft, workload)
    elif status.live != workload.digest:
        if _is_ours(draft, workload.digest):
            _landed(draft, workload)
        else:
            _drifted(draft, workload)
    _store_template(draft, workload)


def _is_ours(draft: Draft, digest: str) -> bool:
    target, rollback = draft.status.target, draft.status.rollback
    promoted = target is not None and target.state == "Promoting" and target.digest == digest
    restored = rollback is not None and rollback.state in ("Recorded", "Written") and rollback.to_digest == digest
    return promoted or restored


def _adopt(draft: Draft, workload: WorkloadFacts) -> None:
    spec = draft.facts.release.spec
    images = revisions.images_of(workload.template)
    revision = Revision(
        digest=workload.digest,
        number=1,
        version=revisions.version_of(images, spec.images, spec.version),
        images=images,
        reason=ADOPTED,
        manager=workload.manager,
        live_since=draft.now,
        first_seen=draft.now,
    )
    draft.set(live=workload.digest, revisions=[revision])
    draft.event(ADOPTED, f"{workload.name} at {revision.version} is revision 1; nothing was moved")


def _landed(draft: Draft, workload: WorkloadFacts) -> None:
    old = revisions.find(draft.status.revisions, workload.digest)
    if old is not None:
        moved = old.model_copy(update={"live_since": draft.now})
        draft.set(revisions=revisions.put(draft.status.revisions, moved))
    draft.set(live=workload.digest)


def _drifted(draft: Draft, workload: WorkloadFacts) -> None:
    spec = draft.facts.release.spec
    images = revisions.images_of(workload.template)
    old = revisions.find(draft.status.revisions, workload.digest)
    manager, since = _change(draft, workload)
    by_hand = {"reason": DRIFTED, "manager": manager, "shipped_without_canary": True, "live_since": since}
    if old is None:
        revision = Revision(
            digest=workload.digest,
            number=revisions.next_number(draft.status.revisions),
            version=revisions.version_of(images, spec.images, spec.version),
            images=images,
            reason=DRIFTED,
            manager=manager,
            shipped_without_canary=True,
            live_since=since,
            first_seen=draft.now,
        )
    elif old.proven_at and old.blocked is None:
        revision = old.model_copy(update={"live_since": since, "manager": manager})
    else:
        revision = old.model_copy(update=by_hand)
    draft.set(live=workload.digest, revisions=revisions.put(draft.status.revisions, revision))
    draft.event(DRIFTED, f"{revision.version} was pushed by {manager or 'an unknown manager'}", "Warning")
    cancel(draft, LIVE_CHANGED, f"the live Deployment was changed to {revision.version} by hand")


def _change(draft: Draft, workload: WorkloadFacts) -> tuple[str, datetime]:
    """(manager, time) of the change that made this template live, which may be long before a restarted operator sees it.

    managedFields do not tell of a writer who only took fields away (`kubectl set env NAME-`): the last one that they name
    is then an earlier one, whose time would make a fresh revision look baked (docs/decisions/whole-template-by-json-patch.md).
    """
    before = revisions.find(draft.status.revisions, draft.status.live)
    since = before.live_since if before else None
    written = workload.written_at
    if written is None or workload.manager == FIELD_MANAGER or (since and written <= since):
        return "", draft.now
    return workload.manager, min(draft.now, written)


def cancel(draft: Draft, reason: str, message: str) -> None:
    """Weight 0 and an end to the canary; the gates close first (rollout._clean_up_canary deletes the pods)."""
    target = draft.status.target
    if target is None or target.state not in ACTIVE:
        return
    ended = {"state": "Cancelled", "reason": reason, "message": message, "weight": 0, "pods": 0, "ended_at": draft.now}
    draft.set(target=target.model_copy(update=ended))
    draft.event("CanaryCancelled", f"{target.version}: {message}", "Warning")


def _store_template(draft: Draft, workload: WorkloadFacts) -> None:
    revision = revisions.find(draft.status.revisions, workload.digest)
    if revision and workload.digest not in draft.facts.templates:
        name = draft.facts.release.metadata.name
        draft.act(EnsureRevision(name, workload.digest, revision.number, workload.template))
        draft.look(timedelta(seconds=1))


def lift_block(draft: Draft) -> None:
    """Annotation opsloop.dev/unblock=DIGEST: a person allows a blocked revision again."""
    digest = draft.facts.release.metadata.annotations.get(UNBLOCK, "")
    revision = revisions.find(draft.status.revisions, digest) if digest else None
    if revision and revision.blocked and revision.digest != draft.status.live:
        freed = revision.model_copy(update={"blocked": None})
        draft.set(revisions=revisions.put(draft.status.revisions, freed))
        draft.event("Unblocked", f"{revision.version} ({digest}) may be a target again")


def bake(draft: Draft) -> None:
    """A live revision that met its SLO for the bake time is last-good. Only known telemetry counts."""
    spec, workload = draft.facts.release.spec.slo, draft.facts.workload
    revision = revisions.find(draft.status.revisions, draft.status.live)
    if spec is None or revision is None or workload is None or revision.proven_at or revision.blocked:
        return
    if revision.live_since is None or not workload.settled:
        return
    left = spec.bake_time - (draft.now - revision.live_since)
    if left > timedelta(0):
        draft.look(left)
        return
    verdict, reading = draft.facts.readings.verdict, draft.facts.readings.bake
    calm = verdict is not None and verdict.band == "ok"
    if calm and reading is not None and slo.meets(spec, reading, spec.min_bad_events):
        proven = revision.model_copy(update={"proven_at": draft.now})
        draft.set(revisions=revisions.put(draft.status.revisions, proven))
        draft.event("Proven", f"{revision.version} met its SLO for the bake time: it is last-good")
