"""What a Runbook step would do to this Incident's service, exactly, or why it may not: the same words before and after the act.

A `Plan` is made from what is seen now, for a dry run, for whoever approves, and for the act itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from opsloop.api.incident import IncidentStatus
from opsloop.api.meta import format_duration, format_time
from opsloop.api.play import ActDecision, FreezeDecision, Play, RollbackDecision
from opsloop.api.revision import Revision
from opsloop.api.runbook import Runbook
from opsloop.api.runbook_step import OWN_FIELDS, Freeze, RunbookStep, Scale
from opsloop.core.conditions import ROLLBACK_UNSAFE
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import errands
from opsloop.core.incident.effect import Ending, is_canary
from opsloop.core.release import revisions
from opsloop.core.release.outages import SCALED_TO_ZERO
from opsloop.core.release.stamps import RESTARTED_AT
from opsloop.names import canary_name

# Named reasons
NO_LAST_GOOD = "NoLastGood"  # there is nothing to roll back to
CAUSE_NOT_A_RELEASE = "CauseNotARelease"  # a rollback needs a revision to blame
LIVE_IS_ANOTHER = "LiveIsAnother"  # the blamed revision is not live any more
NO_CANARY = "NoCanary"  # no canary is in progress that could be taken out
CANARY_PROMOTING = "CanaryPromoting"  # the canary is being promoted: from here on it takes a rollback
ENOUGH_PODS = "EnoughPods"  # the Deployment has as many pods as scale wants, or more: it only ever adds some
SCALED_BY_OTHERS = "ScaledByOthers"  # an autoscaler sets the number of pods, and would set it back
ROLLOUT_IN_PROGRESS = "RolloutInProgress"  # the Deployment replaces its pods already: a restart would start that anew
STEP_INCOMPLETE = "StepIncomplete"  # the step does not say in the field of its type what to do
NO_WORKLOAD = "NoWorkload"  # the Release's Deployment is not there


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step will do, in words that name every write, and the decision that the Release carries out."""

    text: str
    rollback: RollbackDecision | None = None
    act: ActDecision | None = None
    freeze: FreezeDecision | None = None


def plan(
    facts: IncidentFacts, status: IncidentStatus, book: Runbook, step: RunbookStep, current: Play, now: datetime
) -> Plan | Ending:
    """The plan of a step as things stand, or the refusal of what must not be done."""
    root = facts.root
    if step.type in OWN_FIELDS and getattr(step, step.type) is None:
        return _refused(STEP_INCOMPLETE, f"the step has no field {step.type} that says what to do")
    if step.webhook is not None and step.type == "webhook":
        text = errands.webhook_plan(facts, status, step.webhook, current)
        return text if isinstance(text, Ending) else Plan(text)
    if step.job is not None and step.type == "job":
        return Plan(errands.job_plan(facts, book, step.job, current))
    if step.type == "wait":
        return Plan(f"watch the SLI for {format_duration(step.timeout)}")
    if root is None:
        return _refused(NO_WORKLOAD, "the Incident has no Release whose Deployment could be acted on")
    match step.type:
        case "rollback":
            return _rollback(root, status, current.attempt, now)
        case "abortCanary":
            return _abort(root, current.attempt, now)
        case "scale":
            return _scale(facts, root, cast(Scale, step.scale), current.attempt, now)
        case "restart":
            return _restart(facts, root, current.attempt, now)
        case "freeze":
            return _freeze(root, cast(Freeze, step.freeze), now)
    return Plan("page a person")


def _refused(reason: str, message: str) -> Ending:
    return Ending("Refused", reason, message)


def rollback_refusal(root: ReleaseView, status: IncidentStatus) -> Ending | None:
    """Why nothing may be rolled back; None where it may."""
    cause, known, live = status.cause, root.release.status.revisions, root.release.status.live
    if cause is None or cause.kind != "bad_release" or cause.release != root.release.metadata.name:
        return _refused(CAUSE_NOT_A_RELEASE, "a rollback needs a revision of the root Release to blame")
    if is_canary(root, cause.revision):
        return None  # taking a canary out needs nothing to go back to
    if live != cause.revision:
        return _refused(LIVE_IS_ANOTHER, f"{cause.version} is not live any more")
    found = revisions.rollback_target(known, cause.revision)
    if found is None:
        return _refused(NO_LAST_GOOD, "no other revision that ever served is left to roll back to")
    if unsafe := revisions.unsafe_between(known, live, found[0].digest):
        return _refused(ROLLBACK_UNSAFE, unsafe_text(unsafe, found[0]))
    return None


def unsafe_text(unsafe: Revision, to: Revision) -> str:
    """Why a rollback across this revision is left to a person."""
    return f'{unsafe.version} says opsloop.dev/rollback-safe: "false", so nothing is rolled back across it to {to.version}: a person must act'


def _rollback(root: ReleaseView, status: IncidentStatus, attempt: int, now: datetime) -> Plan | Ending:
    if refused := rollback_refusal(root, status):
        return refused
    cause = status.cause
    canary = cause is not None and is_canary(root, cause.revision)
    return rollback_plan(root, status, attempt, now, canary)


def rollback_plan(root: ReleaseView, status: IncidentStatus, attempt: int, now: datetime, canary: bool) -> Plan:
    """Roll live back to last-good, or take the blamed `canary` out."""
    release, cause = root.release, status.cause
    known, live, workload = release.status.revisions, release.status.live, release.spec.workload_ref.name
    if canary and cause is not None:
        from_, to = cause.revision, live
        text = f"take the canary {cause.version} out of traffic: {_out(workload)}"
    else:
        target, bad = revisions.rollback_target(known, live), revisions.find(known, live)
        assert target is not None
        good, proven = target
        kind = "last-good" if proven else "unproven: it served longest"
        from_, to = live, good.digest
        text = f"roll back {bad.version if bad else live} to {good.version} ({kind}): "
        text += f"the pod template of Deployment {workload} is replaced, {live} by {good.digest}"
    decided = RollbackDecision(release=release.metadata.name, from_digest=from_, to_digest=to, attempt=attempt, at=now)
    return Plan(text, rollback=decided)


def _abort(root: ReleaseView, attempt: int, now: datetime) -> Plan | Ending:
    release, target = root.release, root.release.status.target
    if target is None or not target.is_active:
        return _refused(NO_CANARY, f"no canary of {release.metadata.name} is in progress")
    if target.state == "Promoting":
        return _refused(CANARY_PROMOTING, f"{target.version} is being promoted: from here on it takes a rollback")
    act = ActDecision(type="abortCanary", release=release.metadata.name, attempt=attempt, digest=target.digest, at=now)
    return Plan(f"take the canary {target.version} out of traffic: {_out(release.spec.workload_ref.name)}", act=act)


def _out(workload: str) -> str:
    return f"the readiness gates of its pods are closed, Deployment {canary_name(workload)} is deleted"


def _scale(facts: IncidentFacts, root: ReleaseView, scale: Scale, attempt: int, now: datetime) -> Plan | Ending:
    deployed, release = facts.deployed, root.release
    if deployed is None:
        return _refused(NO_WORKLOAD, f"Deployment {release.spec.workload_ref.name} is not there")
    if deployed.replicas == 0:
        return _refused(SCALED_TO_ZERO, f"Deployment {deployed.name} is scaled to 0 pods: opsloop starts none")
    if deployed.scaler:
        text = f"{deployed.scaler} sets the number of pods of Deployment {deployed.name}, and would set it back"
        return _refused(SCALED_BY_OTHERS, text)
    to = wanted_pods(scale, deployed.replicas)
    if to <= deployed.replicas:
        text = f"Deployment {deployed.name} has {deployed.replicas} pods and scale wants {to}: it only adds pods"
        return _refused(ENOUGH_PODS, text)
    act = ActDecision(
        type="scale",
        release=release.metadata.name,
        attempt=attempt,
        digest=release.status.live,
        from_replicas=deployed.replicas,
        to_replicas=to,
        at=now,
    )
    return Plan(f"scale Deployment {deployed.name} from {deployed.replicas} to {to} pods (spec.replicas)", act=act)


def wanted_pods(scale: Scale, present: int) -> int:
    """The number of pods that a step wants where there are `present`, within its `max`."""
    asked = scale.replicas if scale.replicas is not None else -(-present * (scale.percent or 100) // 100)
    return min(asked, scale.max)


def _restart(facts: IncidentFacts, root: ReleaseView, attempt: int, now: datetime) -> Plan | Ending:
    release, name = root.release, root.release.spec.workload_ref.name
    if facts.deployed is None:
        return _refused(NO_WORKLOAD, f"Deployment {name} is not there")
    target, rollback = release.status.target, release.status.rollback
    promoting = target is not None and target.state == "Promoting" and target.digest != release.status.live
    if promoting or (rollback is not None and rollback.is_active):
        return _refused(ROLLOUT_IN_PROGRESS, f"Deployment {name} replaces its pods already")
    if (other := release.status.act) is not None and other.is_active:
        return _refused(ROLLOUT_IN_PROGRESS, f"the {other.type} of {other.incident} on Deployment {name} is under way")
    act = ActDecision(
        type="restart", release=release.metadata.name, attempt=attempt, digest=release.status.live, at=now
    )
    return Plan(
        f"restart the pods of Deployment {name}: {RESTARTED_AT}={format_time(now)} on its pod template", act=act
    )


def _freeze(root: ReleaseView, freeze: Freeze, now: datetime) -> Plan:
    name = root.release.metadata.name
    decided = FreezeDecision(
        release=name if freeze.scope == "release" else "", reason=freeze.reason, at=now, until=now + freeze.duration
    )
    whose = f"of {name}" if freeze.scope == "release" else "of any Release of the namespace"
    return Plan(
        f"start no new canary {whose} until {decided.until:%Y-%m-%d %H:%M:%S} UTC: {freeze.reason}", freeze=decided
    )
