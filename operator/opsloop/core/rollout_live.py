"""What is live: adoption, our own writes landing, changes by hand, last-good, and rollbacks for Incidents."""

from datetime import datetime, timedelta

from opsloop.api.incident import Incident, RollbackDecision
from opsloop.api.release import Blocked, Revision, RollbackRecord
from opsloop.core import revisions, slo
from opsloop.core.actions import EnsureRevision, SetTemplate
from opsloop.core.draft import Draft
from opsloop.core.facts import WorkloadFacts
from opsloop.names import UNBLOCK

# Named reasons
ADOPTED = "Adopted"  # first apply: what runs becomes revision 1, and nothing moves
DRIFTED = "Drifted"  # the live template was changed by somebody else
LIVE_CHANGED = "LiveChanged"  # a change by hand in mid-canary, or before a rollback could be written
ROLLED_BACK = "RolledBack"  # an Incident had this revision rolled back
TEMPLATE_MISSING = "TemplateMissing"  # the template to go back to is not stored
TARGET_BLOCKED = "TargetBlocked"  # the revision to go back to is itself blocked

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
    since = _changed_at(draft, workload)
    by_hand = {"reason": DRIFTED, "manager": workload.manager, "shipped_without_canary": True, "live_since": since}
    if old is None:
        revision = Revision(
            digest=workload.digest,
            number=revisions.next_number(draft.status.revisions),
            version=revisions.version_of(images, spec.images, spec.version),
            images=images,
            reason=DRIFTED,
            manager=workload.manager,
            shipped_without_canary=True,
            live_since=since,
            first_seen=draft.now,
        )
    elif old.proven_at and old.blocked is None:
        revision = old.model_copy(update={"live_since": since, "manager": workload.manager})
    else:
        revision = old.model_copy(update=by_hand)
    draft.set(live=workload.digest, revisions=revisions.put(draft.status.revisions, revision))
    draft.event(DRIFTED, f"{revision.version} was pushed by {workload.manager or 'an unknown manager'}", "Warning")
    cancel(draft, LIVE_CHANGED, f"the live Deployment was changed to {revision.version} by hand")


def _changed_at(draft: Draft, workload: WorkloadFacts) -> datetime:
    """When the template was written, which may be long before a restarted operator sees it; never before what it replaced."""
    before = revisions.find(draft.status.revisions, draft.status.live)
    earliest = before.live_since if before and before.live_since else draft.now
    written = workload.written_at or draft.now
    return min(draft.now, max(written, earliest))


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


def roll_back(draft: Draft) -> None:
    """Carry out what an open Incident decided: recorded and blocked first, written with a precondition, then watched."""
    record = draft.status.rollback
    if record and record.state in ("Recorded", "Written"):
        _continue(draft, record)
        return
    for incident in draft.facts.incidents:
        wanted = incident.status.rollback
        if wanted and incident.status.phase != "Resolved" and not _answered(record, incident, wanted):
            _start(draft, incident, wanted)
            return


def _answered(record: RollbackRecord | None, incident: Incident, wanted: RollbackDecision) -> bool:
    name = incident.metadata.name
    return record is not None and (record.incident, record.attempt) == (name, wanted.attempt)


def _start(draft: Draft, incident: Incident, wanted: RollbackDecision) -> None:
    if wanted.from_digest != draft.status.live:
        return  # the decision holds only while live = from: it says nothing about what is live now
    to = revisions.find(draft.status.revisions, wanted.to_digest)
    if to is None or wanted.to_digest not in draft.facts.templates:
        _record(draft, incident, wanted, "Refused", TEMPLATE_MISSING)
        return
    if to.blocked is not None:
        _record(draft, incident, wanted, "Refused", TARGET_BLOCKED)
        return
    why = Blocked(
        reason=ROLLED_BACK,
        message=f"rolled back to {to.version}: {incident.spec.title}"[:1000],
        incident=incident.metadata.name,
        at=draft.now,
    )
    draft.set(revisions=revisions.block(draft.status.revisions, wanted.from_digest, why))
    cancel(draft, ROLLED_BACK, f"live is rolled back for {incident.metadata.name}")
    _record(draft, incident, wanted, "Recorded", "")
    draft.event("RollbackStarted", f"to {to.version} for {incident.metadata.name}", "Warning")
    _write(draft, wanted.from_digest, wanted.to_digest)


def _record(draft: Draft, incident: Incident, wanted: RollbackDecision, state: str, reason: str) -> None:
    record = RollbackRecord.model_validate(
        {
            "incident": incident.metadata.name,
            "attempt": wanted.attempt,
            "from_digest": wanted.from_digest,
            "to_digest": wanted.to_digest,
            "state": state,
            "reason": reason,
            "at": draft.now,
        }
    )
    draft.set(rollback=record)
    if state == "Refused":
        draft.event("RollbackRefused", f"{reason} for {incident.metadata.name}", "Warning")


def _continue(draft: Draft, record: RollbackRecord) -> None:
    workload = draft.facts.workload
    assert workload is not None
    draft.look(timedelta(seconds=1))
    if workload.digest == record.from_digest and record.state == "Recorded":
        _write(draft, record.from_digest, record.to_digest)
    elif workload.digest != record.to_digest:
        draft.set(rollback=record.model_copy(update={"state": "Refused", "reason": LIVE_CHANGED}))
    elif workload.settled:
        draft.set(rollback=record.model_copy(update={"state": "Done", "done_at": draft.now}))
        restored = revisions.find(draft.status.revisions, record.to_digest)
        draft.event("RolledBack", f"{restored.version if restored else record.to_digest} is live and available again")
    elif record.state == "Recorded":
        draft.set(rollback=record.model_copy(update={"state": "Written"}))


def _write(draft: Draft, from_digest: str, to_digest: str) -> None:
    workload = draft.facts.workload
    assert workload is not None
    draft.act(SetTemplate(workload.name, from_digest, draft.facts.templates[to_digest], to_digest))
