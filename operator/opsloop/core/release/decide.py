"""The Release's Decision: track the live revision, carry out rollbacks, follow the spec, move the canary, summarize.

The order matters: safety before progress.
"""

from dataclasses import replace
from datetime import datetime

from opsloop.api.incident import Incident
from opsloop.api.release import ObjectiveStatus, ReleaseStatus
from opsloop.api.revision import Revision
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.decision import SOONEST_LOOK, Decision
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.readings import Readings, Verdict
from opsloop.core.release import (
    ReleaseBuilder,
    acts,
    alone,
    budgets,
    canary,
    commands,
    compared,
    frozen,
    guard,
    history,
    live,
    notices,
    outages,
    played,
    pod_metadata,
    progress,
    restart,
    revisions,
    rollback,
    route_back,
    route_ready,
    serving,
    shares,
    stopped,
    target,
    undo,
    unsafe,
)
from opsloop.core.release.pods import clear_canary, let_go
from opsloop.core.release.rollout_state import Obstacle
from opsloop.core.release.warm import keep as warm
from opsloop.core.slo import addresses, age, merged, tiers
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo.objectives import label, objectives
from opsloop.core.slo.remarks import approximate
from opsloop.names import incident_number

# Named reasons
KNOWN = "Known"  # the SLI was read
TIERS_COMPLETE = "TiersComplete"  # the objective can reach the factor of every burn-rate tier
TIERS_DROPPED = "TiersDropped"  # default tiers are left out, because the objective cannot reach their factors


def decide(facts: ReleaseFacts, now: datetime) -> Decision:
    """The effects that follow for one Release. Deterministic; repeated on the same facts it decides the same."""
    facts = replace(facts, readings=age.as_of(facts.readings, now))
    builder = ReleaseBuilder(facts, facts.release.status, now)
    workload = facts.workload
    stopped.tell(builder)
    frozen.tell(builder)
    outages.watch(builder, workload)
    budgets.watch(builder, workload)
    if workload is None:
        _workload_missing(builder)
    elif compared.taken_by(facts):
        clear_canary(builder, compared.WORKLOAD_TAKEN)
        warm.clear(builder, Obstacle(compared.WORKLOAD_TAKEN, "another Release has the Deployment"))
        pod_metadata.take_off(builder)
        builder.set(phase="Pending")
    else:
        builder.condition("WorkloadMissing", False, "Found", f"Deployment {workload.name} is there")
        _decide_on(builder, workload)
    _summarize(builder)
    history.note(builder)
    notices.tell(builder)
    return builder.build()


def _decide_on(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Live, rollback, target, canary, warm pods, in this order; around them the guard."""
    if guard.intercept(builder, workload):
        return
    workload = live.track(builder, workload)
    serving.notice(builder, workload)
    commands.lift_block(builder)
    live.bake(builder, workload)
    unsafe.mark(builder, workload)
    rollback.roll_back(builder, workload)
    played.carry_out(builder, workload)
    rollback.clear_exonerated(builder)
    undo.undo(builder, workload)
    target.follow_spec(builder, workload)
    restart.restart(builder, workload)
    acts.abort(builder, workload)
    commands.approve_step(builder)
    acts.promote(builder)
    pod_metadata.record(builder, workload)
    canary.advance(builder, workload)
    route_ready.keep(builder, workload)
    _clean_up_canary(builder)
    warm.keep(builder, workload)
    guard.keep(builder, workload)
    pod_metadata.keep(builder)


def _workload_missing(builder: ReleaseBuilder) -> None:
    name = builder.facts.release.spec.workload_ref.name
    message = f"there is no Deployment {name} in this namespace; create it or correct spec.workloadRef.name"
    builder.condition("WorkloadMissing", True, compared.WORKLOAD_MISSING, message)
    builder.set(phase="Pending")
    clear_canary(builder, compared.WORKLOAD_MISSING)
    warm.clear(builder, Obstacle(compared.WORKLOAD_MISSING, message))
    pod_metadata.take_off(builder)
    failed = {"state": "Failed", "reason": compared.WORKLOAD_MISSING, "message": message}
    for field in ("act", "rollback"):
        record = getattr(builder.status, field)
        if record is not None and record.is_active:
            builder.set(**{field: record.model_copy(update=failed)})


def _clean_up_canary(builder: ReleaseBuilder) -> None:
    """Deletes the canary of a target that is over, in the Decision that says how it ended."""
    last = builder.status.target
    if last is None or not last.is_active:
        target.mark_no_canary(builder)
        if last is not None and last.state == "Promoted" and route_back.still_sends(builder, last):
            builder.look_again(SOONEST_LOOK)
            return
        if last is not None and last.state == "Promoted" and let_go(builder, last):
            return
        clear_canary(builder, last.reason if last else "NoTarget")


def _summarize(builder: ReleaseBuilder) -> None:
    """Derives what a reader sees at a glance: version, weight, band, conditions, phase."""
    facts, status = builder.facts, builder.status
    runs, verdict = serving.serving(status), facts.readings.verdict
    builder.set(
        observed_generation=facts.release.metadata.generation,
        version=runs.version if runs else "",
        weight=shares.weight(facts, status),
        burn_band=verdict.band if verdict else "unknown",
        incident=next((i.metadata.name for i in facts.incidents if i.is_open), ""),
        last_good=_last_good(status),
        last_episode=max([status.last_episode, *(_number(i) for i in facts.incidents)]),
    )
    known = revisions.with_replica_sets(_pruned(builder.status), facts.replica_sets)
    builder.set(revisions=addresses.with_addresses(known, facts.addresses, builder.now))
    if facts.release.spec.slo is not None:
        if verdict is not None or conditions.get(builder.status.conditions, "TelemetryKnown") is None:
            readable, reason, message = _telemetry(verdict, facts.readings)  # a restart does not begin a silence anew
            builder.condition("TelemetryKnown", readable, reason, message)
        if told := facts.readings.told:
            builder.condition("RevisionsTold", told.apart, told.reason, told.message)
        builder.set(objectives=_objectives(facts.release.spec.slo, facts.readings))
        reachable, reason, message = _tiers(facts.release.spec.slo)
        builder.condition("TiersReachable", reachable, reason, message)
    resolved, reason, message = compared.resolved(facts)
    builder.condition("SpecResolved", resolved, reason, message)
    if not compared.taken_by(facts):
        _compare(builder)
    progress.tell(builder)


def _compare(builder: ReleaseBuilder) -> None:
    """Conditions on live and the spec as they are now, and the phase."""
    facts = builder.facts
    rolled_out, reason, message = compared.rolled_out(facts, builder.status)
    builder.condition("RolledOut", rolled_out, reason, message)
    if drift := compared.drift(facts, builder.status):
        drifted, reason, message = drift
        builder.condition("Drifted", drifted, reason, message)
    blocked, reason, message = compared.blocked(facts, builder.status)
    builder.condition("Blocked", blocked, reason, message)
    shipped, reason, message = compared.shipped(facts, builder.status)
    builder.condition("Shipped", shipped, reason, message)
    if facts.workload is not None:
        stands, reason, message = alone.fits(facts, facts.workload)
        builder.condition("CanaryFits", stands, reason, message)
        if reason in alone.LOOKED_AT_AGAIN:
            builder.look_again(alone.LOOK_AGAIN)
    if facts.workload is not None:
        builder.set(phase=_phase(facts, builder.status))


def _number(incident: Incident) -> int:
    return incident_number(incident.metadata.name, incident.spec.release)


def _last_good(status: ReleaseStatus) -> str:
    """Digest of the live revision where it is proven, else of the one that a rollback goes to; empty without either."""
    revision = revisions.find(status.revisions, status.live)
    if revision and revision.proven_at and revision.blocked is None:
        return revision.digest
    destination = revisions.rollback_target(status.revisions, status.live)
    return destination[0].digest if destination else ""


def _pruned(status: ReleaseStatus) -> list[Revision]:
    """The list of revisions within its bound; revisions that the status refers to stay."""
    base = revisions.base(status.revisions, status.live)
    bases = {r.base for r in status.revisions if r.base and r.blocked is None}
    named = {status.live, status.last_good}
    named |= {status.target.digest} if status.target else set()
    named |= {status.rollback.from_digest, status.rollback.to_digest} if status.rollback else set()
    return revisions.prune(status.revisions, named | bases | ({base.digest} if base else set()))


def _telemetry(verdict: Verdict | None, readings: Readings) -> compared.Finding:
    """Known where each objective is: an unknown one is told also while another one burns."""
    if verdict is None:
        return None, slo.NOT_READ, "the SLI has not been read yet"
    unknown, remarks = merged.unread(verdict), readings.remarks
    if unknown is None:
        canaries = [one.canary for one in (*readings.each.values(), readings)]
        remarks = (*remarks, *[how for how in map(approximate, canaries) if how][:1])
    remark = remarks[0] if remarks else None
    if unknown is not None:
        message = f"the SLI is unknown, so nothing is decided on it: {slo.unknown_because(unknown)}"
        return (
            False,
            remark.reason if remark else unknown.reason,
            "; ".join([f"{label(unknown.name)}{message}"[:500], *(r.message for r in remarks)]),
        )
    return True, remark.reason if remark else KNOWN, "; ".join(["the SLI is read", *(r.message for r in remarks)])


def _tiers(spec: Slo) -> compared.Finding:
    """False where default tiers are left out. Written tiers are all reachable: the CRD refuses others."""
    found = []
    for one in objectives(spec):
        if dropped := tiers.dropped_tiers(one):
            none_left = [] if tiers.tiers_of(one) else ["no tier is left to judge the SLI by"]
            found.append(f"{label(one.name)}{'; '.join([*dropped, *none_left])}")
    if not found:
        return True, TIERS_COMPLETE, "the objective can reach the factor of every tier"
    return False, TIERS_DROPPED, "; ".join(found)


def _objectives(spec: Slo, readings: Readings) -> list[ObjectiveStatus]:
    """How each of several objectives stands; one alone is told by the band."""
    every = objectives(spec)
    verdicts = [(one, merged.readings_of(readings, one.name).verdict) for one in every] if len(every) > 1 else []
    return [
        ObjectiveStatus(
            name=one.name,
            objective=one.objective,
            band=verdict.band if verdict else "unknown",
            reason=verdict.reason if verdict else slo.NOT_READ,
        )
        for one, verdict in verdicts
    ]


def _phase(facts: ReleaseFacts, status: ReleaseStatus) -> str:
    """Stopped before all else: whoever looks must not wait for opsloop. The column BURN shows the harm beside it."""
    verdict = facts.readings.verdict
    if facts.stop is not None:
        return "Stopped"
    if status.rollback and status.rollback.is_active:
        return "RollingBack"
    if status.target and status.target.is_active:
        return "Held" if conditions.is_true(status.conditions, "Held") else status.target.state
    if verdict is not None and verdict.band == "fast":
        return "Breaching"
    if conditions.is_true(status.conditions, "Drifted"):
        return "NotShipped"
    unknown = verdict is None or verdict.band == "unknown"
    return "Unknown" if unknown and facts.release.spec.slo else "Healthy"
