"""Acts of Runbook steps on the user's Deployment, other than rollbacks: recorded first, written with a precondition, watched
until the pods are there.

An Incident decides them; a decision holds only while that Incident is open and live is what it was decided on.
"""

from datetime import datetime
from typing import Literal

from opsloop.api.incident import Incident
from opsloop.api.meta import format_time
from opsloop.api.play import ActDecision
from opsloop.api.records import ActRecord
from opsloop.api.target import Target
from opsloop.core.actions import ScaleDeployment, SetTemplate
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, stopped
from opsloop.core.release.pods import TICK
from opsloop.core.release.restart import stamp_of, stamped
from opsloop.core.release.rollout_state import DEPLOYMENT_PAUSED, WRITE_REFUSED, Obstacle, refusal_of, with_trouble
from opsloop.core.stop import STOPPED

# Named reasons
DECISION_OVER = "DecisionOver"  # the Incident that decided the act is over, or has decided another one
LIVE_MOVED = "LiveMoved"  # live is another revision than the act was decided on
REPLICAS_CHANGED = "ReplicasChanged"  # somebody else changed the number of pods before the act was written
PODS_MISSING = "PodsMissing"  # not all pods that the act wants were available within the Deployment's own deadline
ABORTED = "AbortedByRunbook"  # an Incident's Runbook took the canary out of traffic


def carry_out(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Continues the act in progress, or starts the first one that an open Incident decided and that has no record yet."""
    record = builder.status.act
    if record is not None and record.is_active:
        _continue(builder, workload, record)
    elif decided := _decided(builder.facts.incidents, record):
        _start(builder, workload, *decided)


def _decided(incidents: tuple[Incident, ...], record: ActRecord | None) -> tuple[Incident, ActDecision] | None:
    """The earliest running play of an open Incident that has an act of its own and was decided after the one on record.

    Only the last record is kept, so an earlier decision may be one that was carried out before it: it is not looked at again, and
    one that was overtaken on its way ends as not taken up.
    """
    found = []
    for incident in incidents:
        act, plays = incident.status.act, incident.status.plays
        if act is None or act.type == "abortCanary" or not incident.is_open or not plays:
            continue
        last = plays[-1]
        if (last.type, last.attempt, last.state) != (act.type, act.attempt, "Running"):
            continue
        if record is None or (act.at, incident.metadata.name) > (record.at, record.incident):
            found.append((incident, act))
    return min(found, key=lambda one: (one[1].at, one[0].metadata.name), default=None)


def _start(builder: ReleaseBuilder, workload: WorkloadFacts, incident: Incident, act: ActDecision) -> None:
    """Records the act, or its refusal."""
    record = ActRecord.model_validate(
        {
            "incident": incident.metadata.name,
            "type": act.type,
            "attempt": act.attempt,
            "state": "Recorded",
            "from_replicas": act.from_replicas,
            "to_replicas": act.to_replicas,
            "at": act.at,
        }
    )
    if refused := _refusal(builder, workload, record, act.digest):
        _refuse(builder, record, refused)
        return
    builder.set(act=record)
    builder.event("ActStarted", f"{_words(record, workload)} for {record.incident}", "Warning")
    builder.execute(_write(workload, record))
    builder.look_again(TICK)


def _refusal(builder: ReleaseBuilder, workload: WorkloadFacts, record: ActRecord, digest: str = "") -> Obstacle | None:
    """Why a recorded act must not be written (any more); None where it may."""
    facts = builder.facts
    if facts.stop is not None:
        return Obstacle(STOPPED, facts.stop.sentence)
    incident = next((i for i in facts.incidents if i.metadata.name == record.incident), None)
    act = incident.status.act if incident is not None and incident.is_open else None
    if act is None or (act.type, act.attempt) != (record.type, record.attempt):
        return Obstacle(DECISION_OVER, f"{record.incident} does not want it any more")
    if builder.status.live != (digest or act.digest):
        return Obstacle(LIVE_MOVED, "another revision is live than when it was decided")
    if record.type == "restart" and workload.rollout.paused:
        return Obstacle(DEPLOYMENT_PAUSED, f"Deployment {workload.name} is paused: Kubernetes would start no pod")
    if record.type == "scale" and workload.replicas not in (record.from_replicas, record.to_replicas):
        text = f"Deployment {workload.name} has {workload.replicas} pods, it had {record.from_replicas}"
        return Obstacle(REPLICAS_CHANGED, text)
    return None


def _refuse(builder: ReleaseBuilder, record: ActRecord, why: Obstacle) -> None:
    refused = {"state": "Refused", "reason": why.reason, "message": why.message[:1000]}
    builder.set(act=record.model_copy(update=refused))
    builder.event("ActRefused", f"{record.type} for {record.incident}: {why.reason}, {why.message}", "Warning")


def _continue(builder: ReleaseBuilder, workload: WorkloadFacts, record: ActRecord) -> None:
    """Writes while that was not seen to happen, then waits until the pods are there."""
    builder.look_again(TICK)
    if record.state == "Recorded" and not _is_written(workload, record):
        refused = _refused_by_server(builder.facts, workload, record)
        if why := _refusal(builder, workload, record) or refused:
            _refuse(builder, record, why)
        else:
            builder.execute(_write(workload, record))
        return
    written = _progress(record.model_copy(update={"state": "Written"}), workload, builder.now)
    if written.done_at is not None:
        builder.set(act=written)
        builder.event("ActDone", f"{_words(record, workload)}: all pods are available")
    elif why := _moved_on(builder, workload, record) or _late(builder, workload, record):
        builder.set(
            act=written.model_copy(update={"state": "Failed", "reason": why.reason, "message": why.message[:1000]})
        )
        builder.event("ActFailed", f"{record.type} for {record.incident}: {why.reason}, {why.message}", "Warning")
    else:
        builder.set(act=written)


def _is_written(workload: WorkloadFacts, record: ActRecord) -> bool:
    if record.type == "scale":
        return workload.replicas == record.to_replicas
    return stamp_of(workload.template) == format_time(record.at)


def _progress(record: ActRecord, workload: WorkloadFacts, now: datetime) -> ActRecord:
    """The record with the share of pods that are as decided. In effect: of a restart once no old pod is left, of scale once
    the new ones are available; done once all are."""
    if not _is_written(workload, record) or not workload.rollout.observed:
        return record
    if record.type == "scale":
        share = 100 * min(workload.available, record.to_replicas) // record.to_replicas
        effect = workload.available >= record.to_replicas
    else:
        share, effect = workload.rollout.percent, workload.rollout.percent == 100
    changes: dict[str, object] = {"replaced": share}
    if effect and record.effect_at is None:
        changes["effect_at"] = now
    if effect and workload.settled:
        changes |= {"state": "Done", "done_at": now}
    return record.model_copy(update=changes)


def _moved_on(builder: ReleaseBuilder, workload: WorkloadFacts, record: ActRecord) -> Obstacle | None:
    """Why the act cannot be finished: somebody has undone or overtaken it."""
    if _is_written(workload, record):
        return None
    if record.type == "scale":
        return Obstacle(REPLICAS_CHANGED, f"Deployment {workload.name} was set to {workload.replicas} pods meanwhile")
    return Obstacle(LIVE_MOVED, "the pod template was written again meanwhile")


def _late(builder: ReleaseBuilder, workload: WorkloadFacts, record: ActRecord) -> Obstacle | None:
    """Why the pods are overdue: no end within the Deployment's own deadline, which rests while opsloop is stopped."""
    since = stopped.deadline_start(builder.status, record.at)
    if (
        builder.facts.stop is not None
        or builder.now - max(since, workload.rollout.progressed_at or since) <= workload.rollout.deadline
    ):
        return None
    text = f"{workload.available} of {workload.replicas} pods of Deployment {workload.name} are available"
    said = workload.rollout.failure or workload.rollout.stalled
    return Obstacle(PODS_MISSING, with_trouble(workload, f"{text}; {said}" if said else text))


def _refused_by_server(facts: ReleaseFacts, workload: WorkloadFacts, record: ActRecord) -> Obstacle | None:
    """The standing refusal of this very write by the API server."""
    write = _write(workload, record)
    kind: Literal["scale", "template"] = "scale" if isinstance(write, ScaleDeployment) else "template"
    refusal = refusal_of(facts, kind, write.digest)
    return Obstacle(WRITE_REFUSED, refusal.message) if refusal is not None else None


def _write(workload: WorkloadFacts, record: ActRecord) -> ScaleDeployment | SetTemplate:
    if record.type == "scale":
        key = f"{record.incident}/{record.attempt}"
        return ScaleDeployment(workload.name, record.from_replicas, record.to_replicas, key)
    template = stamped(workload.template, format_time(record.at))
    return SetTemplate(workload.name, workload.own_digest, template, workload.digest)


def _words(record: ActRecord, workload: WorkloadFacts) -> str:
    if record.type == "scale":
        return f"scale Deployment {workload.name} from {record.from_replicas} to {record.to_replicas} pods"
    return f"restart the pods of Deployment {workload.name}"


# --- a canary that a Runbook takes out


def aborted_by(incidents: tuple[Incident, ...], target: Target) -> str:
    """The open Incident whose Runbook takes this very try of a canary out of traffic; empty where none does."""
    for incident in incidents:
        act = incident.status.act
        if act is None or act.type != "abortCanary" or not incident.is_open:
            continue
        if act.digest == target.digest and act.at >= target.started_at:
            return incident.metadata.name
    return ""
