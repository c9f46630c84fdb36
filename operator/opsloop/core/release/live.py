"""The live revision: adoption, opsloop's own writes, changes by hand, and last-good."""

from dataclasses import replace
from datetime import datetime, timedelta

from opsloop.api.release import ReleaseSpec, ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.slo import Slo
from opsloop.core.actions import EnsureRevision
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.readings import Readings
from opsloop.core.release import ReleaseBuilder, identity, revisions
from opsloop.core.release.admission import note_stored_instead, was_stored_instead
from opsloop.core.release.memory import remembered
from opsloop.core.release.pods import TICK
from opsloop.core.release.target import BASE_CHANGED, LIVE_CHANGED, cancel
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.merged import readings_of
from opsloop.core.slo.objectives import objectives
from opsloop.names import FIELD_MANAGER

# Named reasons
ADOPTED = "Adopted"  # first apply: what runs becomes revision 1, and nothing moves
DRIFTED = "Drifted"  # the live template was changed by somebody else


def track(builder: ReleaseBuilder, workload: WorkloadFacts) -> WorkloadFacts:
    """Compares the live template with status.live: adoption, a write of opsloop's own, or a change by hand.

    A change by hand cancels the canary. The live template is stored where it is not yet. Returns the workload under the
    digest of its revision, which a write that was stored otherwise than decided has only from here on.
    """
    status, now = builder.status, builder.now
    decided = written_revisions(status)
    if status.live == "":
        adopted = _adopted(builder.facts.release.spec, workload, now)
        builder.set(live=workload.digest, revisions=[adopted, *remembered(builder.facts, workload, now)])
        builder.event(ADOPTED, f"{workload.name} at {adopted.version} is revision 1; nothing was moved")
    elif status.live == workload.digest:
        _note_spelling(builder, workload)
    elif any(revision.digest == workload.digest for revision in decided):
        builder.set(live=workload.digest, revisions=_with_live_since(status.revisions, workload.digest, now))
    elif written := _stored_instead(builder, workload, decided):
        note_stored_instead(builder, workload, written)
        workload = replace(workload, digest=written.digest, stored_as=workload.own_digest)
        builder.set(live=written.digest, revisions=_with_live_since(status.revisions, written.digest, now))
        _note_spelling(builder, workload)
    else:
        _changed_by_hand(builder, workload)
    if missing := _missing_template(builder.facts, builder.status.revisions, workload):
        builder.execute(missing)
        builder.look_again(TICK)
    return workload


def _note_spelling(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Records a digest under which the live revision was stored, once; one with fields that change at each write has too many."""
    live = revisions.find(builder.status.revisions, workload.digest)
    if workload.stored_as and live is not None and not live.left_out:
        also = identity.also_stored_as(live, workload.stored_as)
        builder.set(revisions=revisions.put(builder.status.revisions, also))


def _changed_by_hand(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    status = builder.status
    before = revisions.find(status.revisions, status.live)
    drifted = _drifted(builder.facts.release.spec, status, workload, builder.now)
    builder.set(live=workload.digest, revisions=revisions.put(status.revisions, drifted))
    builder.event(DRIFTED, f"{drifted.version} was pushed by {drifted.manager or 'an unknown manager'}", "Warning")
    if before is not None and before.images == drifted.images:
        by = drifted.manager or "an unknown manager"
        text = f"{by} changed the live template, not its images; the canary starts again on it"
        cancel(builder, BASE_CHANGED, text)
    else:
        cancel(builder, LIVE_CHANGED, f"the live Deployment was changed to {drifted.version} by hand")


def written_revisions(status: ReleaseStatus) -> list[Revision]:
    """The revisions that a promotion and a rollback in progress put on the Deployment, and what a guard has it run again."""
    target, rollback = status.target, status.rollback
    promoted = target.digest if target is not None and target.state == "Promoting" else ""
    restored = rollback.to_digest if rollback is not None and rollback.is_active else ""
    rolled = status.guard.rolling if status.guard is not None else ""
    return [r for r in status.revisions if r.digest in (promoted, restored, rolled)]


def _stored_instead(builder: ReleaseBuilder, workload: WorkloadFacts, decided: list[Revision]) -> Revision | None:
    """The revision of which the live template, a new one, is what the API server made at our write; None for a change by hand."""
    if revisions.find(builder.status.revisions, workload.digest) is not None:
        return None
    return next((r for r in decided if was_stored_instead(builder.facts, workload, r)), None)


def _adopted(spec: ReleaseSpec, workload: WorkloadFacts, now: datetime) -> Revision:
    images = revisions.images_of(workload.template)
    return Revision(
        digest=workload.digest,
        number=1,
        version=revisions.version_of(images, spec.images, spec.version),
        images=images,
        reason=ADOPTED,
        manager=workload.manager,
        live_since=now,
        first_seen=now,
    )


def _with_live_since(history: list[Revision], digest: str, now: datetime) -> list[Revision]:
    return [r.model_copy(update={"live_since": now}) if r.digest == digest else r for r in history]


def _drifted(spec: ReleaseSpec, status: ReleaseStatus, workload: WorkloadFacts, now: datetime) -> Revision:
    """The revision of a template that somebody else put on the Deployment; one that was proven live keeps its reason."""
    manager, since = _change(status, workload, now)
    revision = revisions.find(status.revisions, workload.digest)
    if revision is not None and revision.proven_at and revision.blocked is None:
        return revision.model_copy(update={"live_since": since, "manager": manager})
    if revision is not None:
        by_hand = {"reason": DRIFTED, "manager": manager, "shipped_without_canary": True, "live_since": since}
        return revision.model_copy(update=by_hand)
    images = revisions.images_of(workload.template)
    before = revisions.find(status.revisions, status.live)
    return Revision(
        digest=workload.digest,
        number=revisions.next_number(status.revisions),
        version=_version_by_hand(spec, before, images),
        images=images,
        base_images=revisions.kept_base_images(before, images),
        reason=DRIFTED,
        manager=manager,
        shipped_without_canary=True,
        live_since=since,
        first_seen=now,
    )


def _version_by_hand(spec: ReleaseSpec, before: Revision | None, images: dict[str, str]) -> str:
    """The version of what it was changed from where the images stayed: the spec may meanwhile name another one."""
    if before is not None and before.images == images:
        return before.version
    return revisions.version_of(images, spec.images, spec.version)


def _change(status: ReleaseStatus, workload: WorkloadFacts, now: datetime) -> tuple[str, datetime]:
    """(manager, time) of the change that made this template live, which may be long before a restarted operator sees it.

    managedFields do not tell of a writer who only took fields away (`kubectl set env NAME-`): the last one that they name
    is then an earlier one, whose time would make a fresh revision look baked (docs/decisions/whole-template-by-json-patch.md).
    """
    before = revisions.find(status.revisions, status.live)
    since = before.live_since if before else None
    written = workload.written_at
    if written is None or workload.manager == FIELD_MANAGER or (since and written <= since):
        return "", now
    return workload.manager, min(now, written)


def _missing_template(facts: ReleaseFacts, history: list[Revision], workload: WorkloadFacts) -> EnsureRevision | None:
    """Stores the live template; None where it is stored."""
    revision = revisions.find(history, workload.digest)
    if revision is None or workload.digest in facts.templates:
        return None
    return EnsureRevision(facts.release.metadata.name, workload.digest, revision.number, workload.template)


def bake(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Marks the live revision as proven (last-good) once it has met its SLO for the bake time."""
    spec, status, now = builder.facts.release.spec.slo, builder.status, builder.now
    revision = revisions.find(status.revisions, status.live)
    if spec is None or revision is None or revision.proven_at or revision.blocked:
        return
    if revision.live_since is None or not (workload.settled or workload.rollout.completed):
        return
    left = spec.bake_time - (now - revision.live_since)
    if left > timedelta(0):
        builder.look_again(left)
    elif met(spec, builder.facts.readings):
        proven = revision.model_copy(update={"proven_at": now})
        builder.set(revisions=revisions.put(status.revisions, proven))
        builder.event("Proven", f"{revision.version} met its SLO for the bake time: it is last-good")


def met(spec: Slo, readings: Readings) -> bool:
    """True where no tier burns and the bake window surely meets each objective: only known telemetry counts."""
    each = [(one, readings_of(readings, one.name)) for one in objectives(spec)]
    calm = readings.verdict is not None and readings.verdict.band == "ok"
    return calm and all(r.bake is not None and slo.meets(o, r.bake, o.min_bad_events) is True for o, r in each)
