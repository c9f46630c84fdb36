"""Rollbacks that Incidents decided: recorded and blocked first, written with a precondition, then watched until available."""

from datetime import timedelta

from opsloop.api.incident import Incident, RollbackDecision
from opsloop.api.release import Blocked, RollbackRecord
from opsloop.core.actions import SetTemplate
from opsloop.core.release import revisions
from opsloop.core.release.draft import Draft
from opsloop.core.release.live import LIVE_CHANGED, TEMPLATE_MISSING, cancel

# Named reasons
ROLLED_BACK = "RolledBack"  # an Incident had this revision rolled back
INCIDENT_OVER = "IncidentOver"  # the Incident was resolved (or deleted) before the rollback was written
TARGET_BLOCKED = "TargetBlocked"  # the revision to go back to is itself blocked


def roll_back(draft: Draft) -> None:
    """Carry out what an open Incident decided: recorded and blocked first, written with a precondition, then watched.

    The decision holds only while live = from: it says nothing about any other revision.
    """
    record = draft.status.rollback
    if record and record.state in ("Recorded", "Written"):
        _continue(draft, record)
        return
    for incident in draft.facts.incidents:
        wanted = incident.status.rollback
        holds = wanted and incident.is_open and wanted.from_digest == draft.status.live
        if wanted and holds and not _answered(record, incident, wanted):
            _start(draft, incident, wanted)
            return


def _answered(record: RollbackRecord | None, incident: Incident, wanted: RollbackDecision) -> bool:
    name = incident.metadata.name
    return record is not None and (record.incident, record.attempt) == (name, wanted.attempt)


def _start(draft: Draft, incident: Incident, wanted: RollbackDecision) -> None:
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
        if why := _void(draft, record):
            _give_up(draft, record, why)
        else:
            _write(draft, record.from_digest, record.to_digest)
    elif workload.digest != record.to_digest:
        draft.set(rollback=record.model_copy(update={"state": "Refused", "reason": LIVE_CHANGED}))
    elif workload.settled:
        draft.set(rollback=record.model_copy(update={"state": "Done", "done_at": draft.now}))
        restored = revisions.find(draft.status.revisions, record.to_digest)
        draft.event("RolledBack", f"{restored.version if restored else record.to_digest} is live and available again")
    elif record.state == "Recorded":
        draft.set(rollback=record.model_copy(update={"state": "Written"}))


def _void(draft: Draft, record: RollbackRecord) -> str:
    """Why what was recorded may not be written any more."""
    incident = next((i for i in draft.facts.incidents if i.metadata.name == record.incident), None)
    if incident is None or not incident.is_open:
        return INCIDENT_OVER
    return "" if record.to_digest in draft.facts.templates else TEMPLATE_MISSING


def _give_up(draft: Draft, record: RollbackRecord, why: str) -> None:
    """Nothing was written, so nothing was rolled back: the block that the record brought goes with it."""
    bad = revisions.find(draft.status.revisions, record.from_digest)
    if bad and bad.blocked and (bad.blocked.reason, bad.blocked.at) == (ROLLED_BACK, record.at):
        free = bad.model_copy(update={"blocked": None})
        draft.set(revisions=revisions.put(draft.status.revisions, free))
    draft.set(rollback=record.model_copy(update={"state": "Refused", "reason": why}))
    draft.event("RollbackRefused", f"{why} for {record.incident}", "Warning")


def _write(draft: Draft, from_digest: str, to_digest: str) -> None:
    workload = draft.facts.workload
    assert workload is not None
    draft.act(SetTemplate(workload.name, from_digest, draft.facts.templates[to_digest], to_digest))
