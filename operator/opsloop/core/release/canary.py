"""The canary: dark first, then weights by readiness gates, then promotion. Every step is recorded before it is taken."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.records import Promotion
from opsloop.api.revision import Blocked
from opsloop.api.strategy import words_of
from opsloop.api.target import CaseResult, Target
from opsloop.core import conditions
from opsloop.core.actions import SetTemplate
from opsloop.core.evalcase import gating, merging
from opsloop.core.facts import WorkloadFacts
from opsloop.core.release import (
    ReleaseBuilder,
    alone,
    checking,
    checks,
    commands,
    direct,
    played,
    revisions,
    route_back,
    routing,
    spared,
    stopped,
    weights,
)
from opsloop.core.release.admission import ADMISSION_CHANGED, without_effect
from opsloop.core.release.analysis import (
    EVAL_FAILED,
    UNDECIDABLE,
    WAITING_FOR_EVALS,
    analysis_failed,
    analysis_inconclusive,
    evals_failed,
    evals_finding,
    evals_inconclusive,
    evals_pending,
    finding,
    telemetry_unknown,
    with_passed_evals,
)
from opsloop.core.release.outcome import (
    HOLDING,
    WAITING_FOR_PODS,
    Cancel,
    Check,
    End,
    Follow,
    Hold,
    Lower,
    Move,
    Outcome,
    Progress,
    Promote,
    Promoted,
    Refuse,
    Reject,
    ReplacePods,
    Rollout,
    Stay,
    TakeStep,
    Wait,
    WaitForPods,
    first_outcome,
)
from opsloop.core.release.pods import (
    FOLLOWED,
    TICK,
    clear_canary,
    followed,
    follows_live,
    live_at_0,
    mark_pods_ready,
    pods_failing,
    pods_missing,
    pods_of_another_revision,
    pods_starting,
    surplus_in_traffic,
    weight_being_reached,
    weight_higher,
    weight_lower,
    with_losses,
)
from opsloop.core.release.ran import other_images, take_images
from opsloop.core.release.rollout_state import STUCK, obstacle, overdue, refusal_of, time_left, with_trouble
from opsloop.core.release.target import (
    LIVE_CHANGED,
    LONGEST_MESSAGE,
    NEW_TARGET,
    WEIGHT_UNREACHABLE,
    cancel,
    ended,
    mark_no_canary,
    template_not_stored,
    weight_unreachable,
)
from opsloop.core.release.wanted import template_of
from opsloop.core.release.warm import start as warm

# Named reasons
PAUSED = "Paused"  # spec.paused
WAITING_FOR_APPROVAL = "WaitingForApproval"  # the step wants annotation opsloop.dev/approve=VERSION/WEIGHT
TESTERS = "Testers"  # requests with the step's headers go to the canary, and no others
MIRRORING = "Mirroring"  # requests are copied to the canary, which answers nobody

TEMPLATE_GOES = "the Deployment gets the promoted template"


def advance(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Moves the active target on by at most one recorded step.

    A weight found higher than decided (0 in the dark phase) is lowered at once, whatever else is decided.
    """
    target = builder.status.target
    if target is None or not target.is_active:
        _promote_late(builder, workload)
        spared.reconsider(builder)
        mark_no_canary(builder)
        return
    if not take_images(builder, target):
        return
    rollout = measured(Rollout(builder.facts, builder.status, workload, target, builder.now))
    if builder.status.route and not route_back.is_of(target, builder.status.route):
        route_back.put_back(builder)  # of an earlier target, whose route could not be put back at its end
        rollout = dataclasses.replace(rollout, status=builder.status)
    for surplus in (routing.surplus_on_route(rollout), surplus_in_traffic(rollout)):
        if surplus is not None:
            builder.safety(surplus)
    builder.look_again(TICK)
    target, outcome = judge(rollout)
    outcome = stopped.instead(rollout, outcome)
    target = checking.advance(builder, dataclasses.replace(rollout, target=target), outcome)
    match outcome:
        case TakeStep() | Promote() | Promoted():
            _move(builder, target, outcome)
        case Reject() | Refuse() | Cancel():
            _end(builder, target, outcome)
            if isinstance(outcome, Reject) and outcome.block and builder.status.target is not None:
                direct.go_back(builder, workload, builder.status.target)
        case _:
            _stay(builder, target, outcome)


def _promote_late(builder: ReleaseBuilder, workload: WorkloadFacts) -> None:
    """Finishes a promotion that was given up as hanging, once the Deployment is rolled out with it after all."""
    target = builder.status.target
    if target is None or target.state != "Rejected" or target.reason not in STUCK:
        return
    if workload.settled and workload.digest == target.digest == builder.status.live:
        _finish(builder, target)


def measured(rollout: Rollout) -> Rollout:
    """The rollout with the target as the pods are now: as many as its weight takes, less those that left the traffic."""
    as_live = dataclasses.replace(rollout, target=followed(rollout))
    counted = dataclasses.replace(as_live, target=with_losses(as_live))
    checked = dataclasses.replace(counted, target=checks.seen(counted))
    on_route = dataclasses.replace(checked, target=routing.routed(checked))
    return dataclasses.replace(on_route, target=routing.with_meddling(on_route))


# --- checks, in the order in which they are made


def recorded_just_now(rollout: Rollout) -> Outcome | None:
    """Wait in the pass that records a target: the record is stored before anything is started."""
    return Wait() if rollout.target.started_at == rollout.now else None


def incident_opened(rollout: Rollout) -> Outcome | None:
    """Cancel where harm began after the canary did; it starts again by itself where live errs alike (`spared`)."""
    incident = next((i for i in rollout.facts.incidents if _is_harm_since(i, rollout.target)), None)
    if incident is None:
        return None
    return Cancel(*spared.ending(rollout.target, rollout.facts.readings.harm, incident.metadata.name))


def aborted(rollout: Rollout) -> Outcome | None:
    """Cancel where an Incident's Runbook takes this very try out of traffic. Nobody proved harm by it, so it is not blocked."""
    incident = played.aborted_by(rollout.facts.incidents, rollout.target)
    message = f"taken out of traffic for {incident}; annotate opsloop.dev/retry to start again"
    return Cancel(played.ABORTED, message) if incident else None


def _is_harm_since(incident: Incident, target: Target) -> bool:
    """A target that is younger than the harm may be its fix: it goes on, compared with live."""
    status = incident.status
    harm = status.phase in ("Open", "Mitigating") and (status.burn is not None or incident.had_outage)
    return harm and (status.detected_at is None or target.started_at <= status.detected_at)


def seen_while_dark(rollout: Rollout) -> Outcome | None:
    """Reject where a Service sends users to pods that are not ready: no gate keeps the canary dark, so its pods go."""
    hindered = alone.refusal(rollout.facts, rollout.workload)
    if hindered is None or hindered.reason != alone.PUBLISHES_UNREADY:
        return None
    return Reject(hindered.reason, hindered.message, block=False)


def steps_became_shorter(rollout: Rollout) -> Outcome | None:
    """Reject where the spec has no step after the one reached."""
    if rollout.step + 1 < len(rollout.steps):
        return None
    message = "spec.strategy.canary.steps became shorter than the step reached"
    return Reject(NEW_TARGET, message, block=False)


def hold_not_over(rollout: Rollout) -> Outcome | None:
    """Progress until the step has lasted for its hold, counted from when its weight was reached."""
    target, hold = rollout.target, rollout.steps[rollout.target.step].hold
    left = hold - (rollout.now - (target.reached_at or rollout.now))
    if left <= timedelta(0):
        return None
    return Progress(f"{target.step_words} is held for {hold.total_seconds():.0f} s", look_again=left)


def paused(rollout: Rollout) -> Outcome | None:
    """Hold where spec.paused is true."""
    return Hold(PAUSED, "spec.paused is true; safety still acts") if rollout.facts.release.spec.paused else None


def approval_missing(rollout: Rollout) -> Outcome | None:
    """Hold where the next step wants an approval that was not given during this try."""
    step, value = rollout.next_step, f"{rollout.target.version}/{rollout.next_step.weight}"
    if not step.approve or commands.is_approved(rollout.status, rollout.target, step):
        return None
    given = commands.find(rollout.status, "approve")
    again = "; the one that is there was given before: take it away first" if given and given.value == value else ""
    annotate = f"annotate the Release with opsloop.dev/approve={value}"
    return Hold(WAITING_FOR_APPROVAL, f"weight {step.weight} wants approval: {annotate}{again}")


def live_changed(rollout: Rollout) -> Outcome | None:
    """Cancel a promotion where the live template is neither the target's nor the one that the canary was compared with."""
    if rollout.workload.digest in (rollout.target.digest, rollout.status.live):
        return None
    return Cancel(LIVE_CHANGED, "the live Deployment changed before the promotion was written")


def template_not_written(rollout: Rollout) -> Outcome | None:
    """Progress, with the write, until the Deployment has the target's template; Reject where the API server does not take it.

    A refused write waits for its next try.
    """
    facts, workload, digest = rollout.facts, rollout.workload, rollout.target.digest
    refusal = refusal_of(facts, "template", digest)
    if workload.digest == digest or (refusal and rollout.now < refusal.again_at):
        return None
    if stored := without_effect(facts, workload, digest, rollout.target.started_at):
        return Reject(ADMISSION_CHANGED, stored, block=False)
    template = template_of(facts, rollout.status, digest)
    write = SetTemplate(workload.name, workload.own_digest, template, digest)
    return Progress(TEMPLATE_GOES, actions=(write,))


def rollout_overdue(rollout: Rollout) -> Outcome | None:
    """Reject a promotion that made no progress within the Deployment's own deadline. The revision is not blocked."""
    if rollout.facts.stop is not None:
        return None
    since = stopped.deadline_start(rollout.status, warm.write_due(rollout))
    late = overdue(rollout.facts, rollout.workload, rollout.target.digest, since, rollout.now)
    return Reject(late.reason, f"the promotion hangs: {late.message}", block=False) if late else None


def rollout_hindered(rollout: Rollout) -> Outcome | None:
    """Hold while the Deployment is paused, or its pods or its template are refused."""
    hindered = obstacle(rollout.facts, rollout.workload, rollout.target.digest)
    return Hold(hindered.reason, hindered.message) if hindered else None


def rolling_out(rollout: Rollout) -> Outcome | None:
    """Progress until the Deployment is rolled out, by its own strategy."""
    workload, target = rollout.workload, rollout.target
    if workload.settled and workload.digest == target.digest:
        return None
    left = time_left(workload, target.reached_at or target.started_at, rollout.now)
    meanwhile = "" if target.direct else "; the canary serves meanwhile"
    message = with_trouble(workload, f"the Deployment rolls out{meanwhile}")
    return Progress(message, WAITING_FOR_PODS, look_again=min(left, TICK))


RECORDED: tuple[Check, ...] = (recorded_just_now, template_not_stored)
PODS: tuple[Check, ...] = (pods_of_another_revision, other_images, pods_missing, pods_failing, pods_starting)
GATES: tuple[Check, ...] = (weight_higher, weight_lower, weight_being_reached)
ROUTE: tuple[Check, ...] = (routing.route_hindered, routing.route_lower, routing.route_being_reached)
PEOPLE: tuple[Check, ...] = (paused, approval_missing)
EVALS: tuple[Check, ...] = (evals_pending, evals_failed, evals_inconclusive)

REACHING: Mapping[str, tuple[Check, ...]] = {
    "Dark": (
        *RECORDED,
        aborted,
        incident_opened,
        direct.strategy_changed,
        routing.traffic_changed,
        seen_while_dark,
        weight_unreachable,
        routing.earlier_route,
        routing.route_hindered,
        checks.failed,
        *PODS,
    ),
    "Stepping": (
        *RECORDED,
        aborted,
        incident_opened,
        direct.strategy_changed,
        routing.traffic_changed,
        seen_while_dark,
        steps_became_shorter,
        analysis_failed,
        checks.failed,
        routing.contested,
        follows_live,
        routing.rules_refused,
        routing.route_higher,
        live_at_0,
        *PODS,
        *GATES,
        *ROUTE,
    ),
    "Promoting": (
        *RECORDED,
        live_changed,
        warm.starting,
        rollout_overdue,
        template_not_written,
        rollout_hindered,
        rolling_out,
    ),
}
"""By state of the target: the checks until it has what was decided (pods, weight, the Deployment's template)."""

ALONE: tuple[Check, ...] = (*RECORDED, aborted, incident_opened, direct.strategy_changed)
"""In place of those of the dark phase, for a direct target that starts no pod beside live."""

LEAVING: Mapping[str, tuple[Check, ...]] = {
    "Dark": (*PEOPLE, *EVALS),
    "Stepping": (hold_not_over, telemetry_unknown, analysis_inconclusive, checks.pending, *PEOPLE, *EVALS),
    "Promoting": (direct.answers_missing,),
}
"""By state of the target: the checks before the next step is decided. A Job or a webhook that the spec asks for does not run beside
EvalCases, since the load of one may be the failure of the other: in the dark phase it comes after them, later before them."""

BACK: tuple[Check, ...] = (*RECORDED, aborted, paused)
"""In place of all checks of the dark phase, where the target was proven live not long ago (`back`): it takes no steps."""

LEAVING_RULES: tuple[Check, ...] = (hold_not_over, *PEOPLE, *EVALS)
"""In place of LEAVING at a step without a weight. A canary that is surely worse is rejected there as well, but few or no
events keep it from nothing: testers send what they send, copies may be counted nowhere, and the first weight is small."""

ORDERED: tuple[Check, ...] = (paused, *EVALS)
"""In place of LEAVING, where a person ordered the next steps (`acts.promote`): what waits for time or for somebody's word is skipped,
EvalCases are not, nor is a Job or a webhook that said no."""


def judge(rollout: Rollout) -> tuple[Target, Outcome]:
    """The outcome for the active target, and the target as it was measured: the time its weight was reached, its evals."""
    state, target = rollout.target.state, rollout.target
    without = state == "Dark" and not direct.needs_pods(rollout)
    if target.back and state == "Dark" and not target.direct:
        no_steps = Promote(len(rollout.steps) - 1, "it was proven live within strategy.backWithin and takes no steps")
        return target, first_outcome(BACK, rollout) or no_steps
    if outcome := first_outcome(ALONE if without else REACHING[state], rollout):
        return target, outcome
    if without:
        return target, paused(rollout) or _next_step(rollout)
    if state == "Stepping":
        routed = target.weight if rollout.by_route else 0
        reached = {"reached_at": target.reached_at or rollout.now, "served": target.pods, "routed": routed}
        reached |= {"shown": target.by_rules}
        target = target.model_copy(update=reached)
    measured_now = dataclasses.replace(rollout, target=target)
    leaving = LEAVING_RULES if target.by_rules else LEAVING[state]
    leaving = ORDERED if _is_ordered(measured_now) else leaving
    if outcome := first_outcome(leaving, measured_now):
        return target, outcome
    if state == "Promoting":
        return direct.with_answers(measured_now), Promoted()
    target = with_passed_evals(measured_now)
    passed = dataclasses.replace(measured_now, target=target)
    if state == "Dark" and not target.direct and leaving is not ORDERED and (outcome := checks.pending(passed)):
        return target, outcome
    return target, _next_step(passed)


def _next_step(rollout: Rollout) -> Outcome:
    """The step after the decided one; Reject where more live pods have put its weight out of reach."""
    index, workload = _next_index(rollout), rollout.workload
    weight = rollout.steps[index].weight
    seen = finding(rollout) if rollout.target.state == "Stepping" else ""
    if weight == 100:
        return Promote(index, ". ".join(text for text in (seen, evals_finding(rollout)) if text))
    limit, step = rollout.facts.release.spec.strategy.canary.max_canary_replicas, rollout.steps[index]
    if not weight:
        pods = weights.pods_for(step.load, workload.serving, rollout.by_route)
        return TakeStep(index, 0, min(pods, max(1, limit or workload.replicas)), seen, step)
    if reason := weights.refusal(weight, workload.replicas, limit, rollout.by_route):
        return Reject(WEIGHT_UNREACHABLE, reason, block=False)
    return TakeStep(index, weight, weights.pods_for(weight, workload.serving, rollout.by_route), seen)


def _is_ordered(rollout: Rollout) -> bool:
    """True where a person ordered the step that comes next, or a later one: the spec's steps may have changed since."""
    ordered = commands.ordered_weight(rollout.status, rollout.target)
    return bool(ordered) and rollout.steps[_next_index(rollout)].weight <= ordered


def _next_index(rollout: Rollout) -> int:
    """The step after the decided one, or the later one to which a person ordered the canary."""
    ordered = commands.ordered_weight(rollout.status, rollout.target)
    coming = enumerate(rollout.steps)
    there = (index for index, step in coming if ordered and index > rollout.next_index and step.weight == ordered)
    return next(there, rollout.next_index)


# --- effects


def _stay(builder: ReleaseBuilder, target: Target, outcome: Stay) -> None:
    """The step stays as decided: executes the actions of the outcome and says why in the conditions."""
    if isinstance(outcome, Wait | WaitForPods | Progress | Hold):
        for action in outcome.actions:
            builder.execute(action)
    match outcome:
        case ReplacePods():
            clear_canary(builder, NEW_TARGET)
        case WaitForPods(message):
            mark_pods_ready(builder, False)
            builder.set(target=target)
            mark_held(builder, target, WAITING_FOR_PODS, message)
        case Follow(pods):
            mark_pods_ready(builder, True)
            builder.set(target=target)
            mark_progressing(builder, HOLDING, f"{target.step_words} is being reached")
            builder.event(FOLLOWED, f"{target.version}: {pods} canary pods now make {target.step_words}")
        case Lower():
            mark_pods_ready(builder, True)
            builder.set(target=target)
        case Progress(message, reason):
            if target.state != "Promoting":
                mark_pods_ready(builder, True)
            builder.set(target=target)
            mark_progressing(builder, reason, message)
            builder.look_again(outcome.look_again or TICK)
        case Hold(reason, message):
            mark_pods_ready(builder, True)
            builder.set(target=_with_evals(target, outcome.evals))
            mark_held(builder, target, reason, message)


def mark_held(builder: ReleaseBuilder, target: Target, reason: str, message: str) -> None:
    """Sets Held to True; an Event tells of each reason that waits for somebody."""
    held = conditions.get(builder.status.conditions, "Held")
    if reason not in (WAITING_FOR_PODS, WAITING_FOR_EVALS, checks.WAITING_FOR_CHECKS) and (
        held is None or held.reason != reason
    ):
        builder.event(
            "Held",
            f"{target.version}: {reason}, {message}",
            "Warning" if reason in (*STUCK, *UNDECIDABLE) else "Normal",
        )
    builder.condition("Held", True, reason, message)


def mark_progressing(builder: ReleaseBuilder, reason: str, message: str) -> None:
    """Sets Held to False: within its hold a canary makes progress and is not held up."""
    builder.condition("Held", False, reason, message)


def _end(builder: ReleaseBuilder, target: Target, outcome: End) -> None:
    """Ends the target at weight 0; `decide` closes the gates and deletes the pods in the same Decision."""
    match outcome:
        case Cancel(reason, message):
            cancel(builder, reason, message)
        case Refuse(reason, message):
            builder.set(target=ended(target, "Refused", reason, message, builder.now))
            builder.event("Refused", f"{target.version}: {message}", "Warning")
        case Reject(reason, message, block):
            target = _with_evals(target, outcome.evals)
            if block:
                known = builder.facts.cases if reason == EVAL_FAILED else ()
                incident = _incident_of_failed_case(known, target.evals)
                blocked = Blocked(reason=reason, message=message[:1000], incident=incident, at=builder.now)
                builder.set(revisions=revisions.block(builder.status.revisions, target.digest, blocked))
            builder.set(target=ended(target, "Rejected", reason, message, builder.now))
            builder.event("Rejected", f"{target.version}: {message}", "Warning")


def _with_evals(target: Target, evals: tuple[CaseResult, ...] | None) -> Target:
    if evals is None:
        return target
    return target.model_copy(update={"evals": gating.kept(gating.with_loads(evals, target.evals))})


def _incident_of_failed_case(cases: tuple[EvalCase, ...], results: list[CaseResult]) -> str:
    """The Incident whose regression case failed: if the revision is pushed by hand, it reopens that one."""
    failed = {r.case for r in results if gating.on_canary(r) == "failed"}
    origins = (c.spec.origin.incident for c in cases if c.metadata.name in failed)
    return next((origin for origin in origins if origin), "")


def _move(builder: ReleaseBuilder, target: Target, outcome: Move) -> None:
    """Records the next step. The look after this one opens gates, or writes the template, up to the record."""
    if isinstance(outcome, Promoted):
        _finish(builder, target)
        return
    mark_pods_ready(builder, True)
    match outcome:
        case TakeStep(index, weight, pods, seen, step):
            _serves(builder, target)
            if target.route is not None:
                builder.set(route=target.route.name)
            match, mirror = (step.match, step.mirror) if step else (None, None)
            changes = {"state": "Stepping", "step": index, "weight": weight, "pods": pods, "reached_at": None}
            changes |= {"match": match, "mirror": mirror, "shown": False}
            changes |= {"served": 0, "lost": 0, "traffic": [*_judged_so_far(target, weight), builder.now]}
            words = words_of(weight, match, mirror)
            mark_progressing(builder, HOLDING, f"{words} is being reached")
            text = f"{target.version}: {words} decided, {pods} canary pods"
            reason = TESTERS if match else MIRRORING if mirror else f"Weight{weight}"
            builder.event(reason, f"{text}; {seen}" if seen else text)
        case Promote(index, seen):
            changes = {"state": "Promoting", "step": index, "weight": 100, "reached_at": builder.now}
            changes |= {"match": None, "mirror": None, "shown": False}
            mark_progressing(builder, HOLDING, TEMPLATE_GOES)
            text = f"{target.version}: weight 100, the Deployment gets its template"
            builder.event("Promoting", f"{text}; {seen}" if seen else text)
    builder.set(target=target.model_copy(update={**changes, "message": seen[:LONGEST_MESSAGE]}))


def _judged_so_far(target: Target, weight: int) -> list[datetime]:
    """Steps whose events count on: those of testers and of copies do not, once users get a weight."""
    return [] if target.by_rules and weight else target.traffic


def _serves(builder: ReleaseBuilder, target: Target) -> None:
    """Records from when on the target's revision takes traffic: from then on it is a suspect of what harms users."""
    revision = revisions.find(builder.status.revisions, target.digest)
    if target.state == "Dark" and revision is not None:
        served = revision.model_copy(update={"served_since": builder.now})
        builder.set(revisions=revisions.put(builder.status.revisions, served))


def _finish(builder: ReleaseBuilder, target: Target) -> None:
    merged = merging.keepers(gating.selected_by(builder.facts.cases, builder.facts.release))
    passed = merging.with_merged(
        (r.case for r in target.evals if gating.on_canary(r) == "passed" and not r.flaky), merged
    )[:200]
    final = {"state": "Promoted", "reason": "Promoted", "ended_at": builder.now, "weight": 100, "pods": 0}
    promotion = Promotion(digest=target.digest, version=target.version, at=builder.now, cases=passed)
    builder.set(target=target.model_copy(update=final), promotion=promotion)
    proof = "as it was before" if target.back else f"proven on {len(passed)} eval cases"
    builder.event("Promoted", f"{target.version} is live, {proof}")
