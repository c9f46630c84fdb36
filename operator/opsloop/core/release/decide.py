"""The Release's decision: track what is live, carry out rollbacks, then move the canary, then say how it stands.

Order matters: safety before progress. Each part is a function over `Draft`, which gathers the parts of one Decision.
"""

from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.core import conditions
from opsloop.core.decision import Decision
from opsloop.core.facts import ReleaseFacts
from opsloop.core.release import canary as rollout_canary
from opsloop.core.release import live as rollout_live
from opsloop.core.release import pods as rollout_parts
from opsloop.core.release import revisions, weights
from opsloop.core.release import rollback as rollout_rollback
from opsloop.core.release import target as rollout_target
from opsloop.core.release.draft import Draft
from opsloop.core.release.live import ACTIVE
from opsloop.core.slo import burn_rate as slo
from opsloop.names import incident_number

# Named reasons
WORKLOAD_MISSING = "WorkloadMissing"  # the Deployment that workloadRef names does not exist
KNOWN = "Known"  # the SLI was read
LIVE_AS_WANTED = "LiveAsWanted"  # nobody changed the Deployment behind the Release's back
CHANGED_BY_HAND = "ChangedByHand"  # somebody other than opsloop wrote the live template

CLOSED = ("Rejected", "Cancelled", "Promoted", "Refused")


def decide(facts: ReleaseFacts, now: datetime) -> Decision:
    """What follows for one Release."""
    draft = Draft(facts, now)
    if facts.workload is None:
        _workload_missing(draft)
    else:
        draft.condition("WorkloadMissing", False, "Found", f"Deployment {facts.workload.name} is there")
        rollout_live.track(draft)
        rollout_live.lift_block(draft)
        rollout_live.bake(draft)
        rollout_rollback.roll_back(draft)
        rollout_target.follow_spec(draft)
        rollout_canary.advance(draft)
        _clean_up_canary(draft)
    _summarize(draft)
    return draft.decision()


def _workload_missing(draft: Draft) -> None:
    name = draft.facts.release.spec.workload_ref.name
    message = f"there is no Deployment {name} in this namespace; create it or correct spec.workloadRef.name"
    draft.condition("WorkloadMissing", True, WORKLOAD_MISSING, message)
    draft.set(phase="Pending")
    rollout_parts.clear_canary(draft, WORKLOAD_MISSING)


def _clean_up_canary(draft: Draft) -> None:
    target = draft.status.target
    if target is None or target.state in CLOSED:
        rollout_parts.no_canary(draft)  # in the write that says how it ended
        rollout_parts.clear_canary(draft, target.reason if target else "NoTarget")


def _forget_old(draft: Draft) -> None:
    """The list of revisions is bounded; what anything refers to stays."""
    status = draft.status
    named = {status.live, status.last_good}
    named |= {status.target.digest} if status.target else set()
    named |= {status.rollback.from_digest, status.rollback.to_digest} if status.rollback else set()
    base = revisions.base(status.revisions)
    pruned = revisions.prune(status.revisions, named | ({base.digest} if base else set()))
    if len(pruned) < len(status.revisions):
        draft.set(revisions=pruned)


def _summarize(draft: Draft) -> None:
    facts, status = draft.facts, draft.status
    workload, verdict = facts.workload, facts.readings.verdict
    target = status.target
    in_traffic = sum(1 for p in facts.canary.pods if p.in_traffic and p.ready) if facts.canary else 0
    wanted = target.weight if target and target.state in ACTIVE else 0
    live = revisions.find(status.revisions, status.live)
    opened = _open_incident(facts.incidents)
    draft.set(
        observed_generation=facts.release.metadata.generation,
        version=live.version if live else "",
        weight=status.weight.model_copy(
            update={
                "wanted": wanted,
                "actual": weights.share(in_traffic, workload.replicas) if workload and wanted else 0,
            }
        ),
        burn_band=verdict.band if verdict else "unknown",
        incident=opened.metadata.name if opened else "",
        last_good=_last_good(draft),
        last_episode=max([status.last_episode, *(_number(i) for i in facts.incidents)]),
    )
    _forget_old(draft)
    _telemetry_condition(draft)
    _drift_condition(draft)
    if workload is not None:
        draft.set(phase=_phase(draft))


def _number(incident: Incident) -> int:
    return incident_number(incident.metadata.name, incident.spec.release)


def _open_incident(incidents: tuple[Incident, ...]) -> Incident | None:
    return next((i for i in incidents if i.is_open), None)


def _last_good(draft: Draft) -> str:
    live = revisions.find(draft.status.revisions, draft.status.live)
    if live and live.proven_at and live.blocked is None:
        return live.digest
    target = revisions.rollback_target(draft.status.revisions, draft.status.live)
    return target[0].digest if target else ""


def _telemetry_condition(draft: Draft) -> None:
    if draft.facts.release.spec.slo is None:
        return
    verdict = draft.facts.readings.verdict
    if verdict is None:
        draft.condition("TelemetryKnown", None, "NotRead", "the SLI has not been read yet")
    elif verdict.band == "unknown":
        draft.condition(
            "TelemetryKnown",
            False,
            verdict.reason,
            f"the SLI is unknown, so nothing is decided on it: {slo.unknown_because(verdict)}"[:500],
        )
    else:
        draft.condition("TelemetryKnown", True, KNOWN, "the SLI is read")


def _drift_condition(draft: Draft) -> None:
    live = revisions.find(draft.status.revisions, draft.status.live)
    target = draft.status.target
    if live and live.reason == "Drifted" and (target is None or target.digest != live.digest):
        message = (
            f"{live.version} was put on the Deployment by {live.manager or 'an unknown manager'}, without a canary"
        )
        draft.condition("Drifted", True, CHANGED_BY_HAND, message)
    elif live:
        draft.condition("Drifted", False, LIVE_AS_WANTED, f"live is {live.version}")


def _phase(draft: Draft) -> str:
    status, verdict, target = draft.status, draft.facts.readings.verdict, draft.status.target
    if status.rollback and status.rollback.state in ("Recorded", "Written"):
        return "RollingBack"
    if target and target.state in ACTIVE:
        held = conditions.get(status.conditions, "Held")
        return "Held" if held and held.status == "True" else target.state
    if verdict is None or verdict.band == "unknown":
        return "Unknown" if draft.facts.release.spec.slo else "Healthy"
    return "Breaching" if verdict.band == "fast" else "Healthy"
