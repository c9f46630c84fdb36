"""Rollbacks that Incidents decided: recorded and blocked first, written with a precondition, then watched until available."""

from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.api.play import RollbackDecision
from opsloop.api.records import RollbackRecord
from opsloop.api.release import ReleaseStatus
from opsloop.api.revision import Blocked, Revision
from opsloop.core.actions import SetTemplate
from opsloop.core.conditions import ROLLBACK_UNSAFE, TEMPLATE_MISSING
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, revisions, stopped
from opsloop.core.release.admission import ADMISSION_CHANGED, mark, without_effect
from opsloop.core.release.giving_way import GAVE_WAY, failed
from opsloop.core.release.pods import TICK
from opsloop.core.release.rollout_state import Obstacle, overdue, refusal_of
from opsloop.core.release.target import LIVE_CHANGED, NEEDS_CANARY, ROLLED_BACK, cancel
from opsloop.core.release.wanted import template_of
from opsloop.core.stop import STOPPED

# Named reasons
INCIDENT_OVER = "IncidentOver"  # the Incident was resolved (or deleted) before the rollback was written
TARGET_BLOCKED = "TargetBlocked"  # the revision to go back to is itself blocked


def roll_back(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Continues the rollback in progress, or starts the first one that an open Incident decided and that still holds.

    A decision holds only while live is its `from`: it says nothing about any other revision.
    """
    record = builder.status.rollback
    if record and record.is_active:
        _continue(builder, workload, record)
    elif record and record.state == "Failed" and workload.settled and workload.digest == record.to_digest:
        _done(builder, record)
    elif decided := _decided(builder.facts.incidents, builder.status):
        _start(builder, workload, *decided)


def _decided(incidents: tuple[Incident, ...], status: ReleaseStatus) -> tuple[Incident, RollbackDecision] | None:
    """The first open Incident whose decision holds and has no record yet, with the decision."""
    record = status.rollback
    recorded = (record.incident, record.attempt) if record else None
    for incident in incidents:
        decision = incident.status.rollback
        if decision is None or not incident.is_open or decision.from_digest != status.live:
            continue
        undone_since = (
            record is not None and not record.incident and record.state == "Done" and record.at >= decision.at
        )
        if recorded != (incident.metadata.name, decision.attempt) and not undone_since:
            return incident, decision
    return None


def _refusal(facts: ReleaseFacts, decision: RollbackDecision, history: list[Revision]) -> str:
    """The reason why the decision cannot be carried out; empty where it can."""
    if facts.stop is not None:
        return STOPPED
    to = revisions.find(history, decision.to_digest)
    if to is None or decision.to_digest not in facts.templates:
        return TEMPLATE_MISSING
    if revisions.unsafe_between(history, decision.from_digest, decision.to_digest) is not None:
        return ROLLBACK_UNSAFE
    return TARGET_BLOCKED if to.blocked is not None else ""


def _start(builder: ReleaseBuilder, workload: WorkloadFacts, incident: Incident, decision: RollbackDecision) -> None:
    """Records the rollback, blocks the revision that it leaves and cancels the canary; or records the refusal."""
    history, name, now = builder.status.revisions, incident.metadata.name, builder.now
    record = RollbackRecord(
        incident=name,
        attempt=decision.attempt,
        from_digest=decision.from_digest,
        to_digest=decision.to_digest,
        state="Recorded",
        at=now,
    )
    if reason := _refusal(builder.facts, decision, history):
        builder.set(rollback=_refused(record, reason))
        builder.event("RollbackRefused", f"{reason} for {name}", "Warning")
        return
    version = _version(history, decision.to_digest)
    message = f"rolled back to {version}: {incident.spec.title}"[:1000]
    blocked = Blocked(reason=ROLLED_BACK, message=message, incident=name, at=now)
    builder.set(revisions=revisions.block(history, decision.from_digest, blocked), rollback=record)
    cancel(builder, ROLLED_BACK, f"live is rolled back for {name}")
    builder.event("RollbackStarted", f"to {version} for {name}", "Warning")
    builder.execute(write(builder.facts, workload, record))


def _continue(builder: ReleaseBuilder, workload: WorkloadFacts, record: RollbackRecord) -> None:
    """Writes the template while that was not seen to happen, then waits until the Deployment is available."""
    builder.look_again(TICK)
    unwritten = record.state == "Recorded" and workload.digest == record.from_digest
    if unwritten and (stored := without_effect(builder.facts, workload, record.to_digest, record.at)):
        builder.set(rollback=_refused(record, ADMISSION_CHANGED))
        mark(builder, False, ADMISSION_CHANGED, stored)
        builder.event("RollbackRefused", f"{stored} ({_whose(record)})", "Warning")
    elif unwritten and (reason := _invalid(builder.facts, record)):
        builder.set(rollback=_refused(record, reason), revisions=_without_block(builder.status.revisions, record))
        builder.event("RollbackRefused", f"{reason} for {_whose(record)}", "Warning")
    elif not unwritten and workload.digest != record.to_digest:
        gave_way = is_promoting(builder.status, workload.digest)
        given_up = failed(record, Obstacle(GAVE_WAY, "a newer version was promoted"))
        builder.set(rollback=given_up if gave_way else _refused(record, LIVE_CHANGED))
    elif not unwritten and workload.settled:
        _done(builder, with_effect(record, workload, builder.now))
    elif late := _late(builder, workload, record):
        builder.set(rollback=failed(record, late))
        builder.event("RollbackFailed", f"{_whose(record)}: {late.reason}, {late.message}", "Warning")
    elif unwritten:
        _write_again(builder, workload, record)
    else:
        written = record.model_copy(update={"state": "Written"})
        builder.set(rollback=with_effect(written, workload, builder.now))


def _late(builder: ReleaseBuilder, workload: WorkloadFacts, record: RollbackRecord) -> Obstacle | None:
    """Why the rollback has failed: no progress within the Deployment's own deadline, which rests while opsloop is stopped."""
    if builder.facts.stop is not None:
        return None
    since = stopped.deadline_start(builder.status, record.at)
    return overdue(builder.facts, workload, record.to_digest, since, builder.now)


def _write_again(builder: ReleaseBuilder, workload: WorkloadFacts, record: RollbackRecord) -> None:
    """Writes the template; one that the API server refuses waits for its next try."""
    refusal = refusal_of(builder.facts, "template", record.to_digest)
    if refusal is None or builder.now >= refusal.again_at:
        builder.execute(write(builder.facts, workload, record))


def with_effect(record: RollbackRecord, workload: WorkloadFacts, now: datetime) -> RollbackRecord:
    """The record with the share of pods that run the restored template; in effect once no pod of `from` is left, whether
    or not all new ones are available."""
    state = workload.rollout
    if not state.observed:
        return record
    effect = {"effect_at": now} if state.percent == 100 and record.effect_at is None else {}
    return record.model_copy(update={"replaced": state.percent, **effect})


def _done(builder: ReleaseBuilder, record: RollbackRecord) -> None:
    done = {"state": "Done", "reason": "", "message": "", "done_at": builder.now}
    builder.set(rollback=record.model_copy(update=done))
    builder.event(ROLLED_BACK, f"{_version(builder.status.revisions, record.to_digest)} is live and available again")


def is_promoting(status: ReleaseStatus, digest: str) -> bool:
    """True where a promotion put this template on the Deployment."""
    return status.target is not None and (status.target.state, status.target.digest) == ("Promoting", digest)


def _invalid(facts: ReleaseFacts, record: RollbackRecord) -> str:
    """The reason why a recorded rollback may not be written any more; empty where it may."""
    if facts.stop is not None:
        return STOPPED  # after the stop it is decided anew, by what is true then
    incident = next((i for i in facts.incidents if i.metadata.name == record.incident), None)
    if record.incident and (incident is None or not incident.is_open):
        return INCIDENT_OVER  # a person's undo has no Incident
    return "" if record.to_digest in facts.templates else TEMPLATE_MISSING


def _refused(record: RollbackRecord, reason: str) -> RollbackRecord:
    return record.model_copy(update={"state": "Refused", "reason": reason})


def _without_block(history: list[Revision], record: RollbackRecord) -> list[Revision]:
    """The revisions without the block that this record brought: nothing was written, so nothing was rolled back."""
    bad = revisions.find(history, record.from_digest)
    brought = bad and bad.blocked and (bad.blocked.reason, bad.blocked.at) == (ROLLED_BACK, record.at)
    return revisions.unblock(history, record.from_digest) if brought else history


def clear_exonerated(builder: ReleaseBuilder) -> None:
    """Turns the block of a revision that its Incident has exonerated into NEEDS_CANARY: it may go again, as a canary."""
    for incident in builder.facts.incidents:
        for digest in incident.status.exonerated:
            revision = revisions.find(builder.status.revisions, digest)
            blocked = revision.blocked if revision else None
            if revision is None or blocked is None or blocked.reason != ROLLED_BACK:
                continue
            if blocked.incident != incident.metadata.name:
                continue
            message = f"{revision.version} was rolled back for {blocked.incident} and was not the cause"
            cleared = blocked.model_copy(update={"reason": NEEDS_CANARY, "message": message})
            builder.set(
                revisions=revisions.put(builder.status.revisions, revision.model_copy(update={"blocked": cleared}))
            )
            builder.event("Exonerated", f"{message}: a changed spec or opsloop.dev/retry tries it as a canary")


def _whose(record: RollbackRecord) -> str:
    return record.incident or (f"EvalCase {record.case}" if record.case else "a person's undo")


def _version(history: list[Revision], digest: str) -> str:
    revision = revisions.find(history, digest)
    return revision.version if revision else digest


def write(facts: ReleaseFacts, workload: WorkloadFacts, record: RollbackRecord) -> SetTemplate:
    """The write that restores the template, while the Deployment still has the one that is left."""
    template = template_of(facts, facts.release.status, record.to_digest)
    return SetTemplate(workload.name, workload.own_digest, template, record.to_digest)
