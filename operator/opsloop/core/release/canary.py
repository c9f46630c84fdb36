"""The canary: dark first, then weights by readiness gates, then promotion. Every step is recorded before it is taken."""

from datetime import timedelta

from opsloop.api.incident import Incident
from opsloop.api.release import Promotion, Step, Target
from opsloop.core import conditions
from opsloop.core.actions import EnsureCanary, SetGates, SetTemplate
from opsloop.core.release import weights
from opsloop.core.release.analysis import analysed_well, evals_passed, known_good
from opsloop.core.release.draft import Draft
from opsloop.core.release.live import ACTIVE, LIVE_CHANGED, cancel
from opsloop.core.release.pods import (
    HOLDING,
    NEW_TARGET,
    PODS_READY,
    TICK,
    WEIGHT_UNREACHABLE,
    clear_canary,
    ended,
    hold,
    hold_kept,
    no_canary,
    pods_of,
    reject,
    unreachable,
)
from opsloop.core.release.target import stored
from opsloop.names import APPROVE

# Named reasons
INCIDENT_OPEN = "IncidentOpen"  # an Incident opened on this Release in mid-canary
PODS_FAILING = "PodsFailing"  # the canary's pods do not start
PAUSED = "Paused"  # spec.paused
WAITING_FOR_APPROVAL = "WaitingForApproval"  # the step wants annotation opsloop.dev/approve
WAITING_FOR_PODS = "WaitingForPods"  # canary pods are starting
WEIGHT_LOWER = "WeightLower"  # fewer pods in traffic than decided: a hold until a person says retry

DARK = -1
PROGRESS_DEADLINE = timedelta(minutes=5)
TEMPLATE_GOES = "the Deployment gets the promoted template"


def advance(draft: Draft) -> None:
    """Move the active target on by at most one recorded step."""
    target = draft.status.target
    if target is None or target.state not in ACTIVE:
        no_canary(draft)
        return
    _close_surplus(draft, target)
    if target.started_at == draft.now or not stored(draft, target):
        draft.look(TICK)
        return  # recorded just now: the record is stored before anything is started
    draft.look(TICK)
    opened = next((i for i in draft.facts.incidents if _opened_meanwhile(i, target)), None)
    if opened and target.state != "Promoting":
        cancel(draft, INCIDENT_OPEN, f"{opened.metadata.name} is open; annotate opsloop.dev/retry to start again")
    elif target.state == "Promoting":
        _promote(draft, target)
    elif target.state == "Dark":
        _dark(draft, target)
    else:
        _step(draft, target)


def _opened_meanwhile(incident: Incident, target: Target) -> bool:
    """A target that is younger than the harm may be its fix: that one goes its way, compared with live."""
    status = incident.status
    harm = status.phase in ("Open", "Mitigating") and status.burn is not None
    return harm and (status.detected_at is None or target.started_at <= status.detected_at)


def _steps(draft: Draft) -> list[Step]:
    return draft.facts.release.spec.strategy.canary.steps


def _stable(draft: Draft) -> int:
    return draft.facts.workload.replicas if draft.facts.workload else 0


def _ensure_pods(draft: Draft, target: Target, count: int) -> bool:
    """True when `count` canary pods have their containers ready; asks for them otherwise."""
    canary, workload = draft.facts.canary, draft.facts.workload
    assert workload is not None
    name = draft.facts.release.metadata.name
    if canary is not None and canary.digest != target.digest:
        clear_canary(draft, NEW_TARGET)
        return False
    if canary is None or canary.replicas < count:
        template = draft.facts.templates[target.digest]
        draft.act(EnsureCanary(name, workload.name, target.digest, template, workload.selector, count))
        _waited_for_pods(draft, target)
        hold(draft, WAITING_FOR_PODS, _starting(target, count))
        return False
    ready = [p for p in pods_of(draft) if p.containers_ready]
    if len(ready) >= count:
        draft.condition(PODS_READY, True, "Ready", "as many canary pods as wanted are ready")
        return True
    failing = next((p for p in pods_of(draft) if p.failing), None)
    waited = _waited_for_pods(draft, target)
    if waited > PROGRESS_DEADLINE or (failing and waited > timedelta(seconds=60)):
        why = f"{failing.name}: {failing.failing}" if failing else f"{len(ready)} of {count} ready"
        reject(draft, target, PODS_FAILING, f"canary pods do not start ({why})", block=False)
    else:
        hold(draft, WAITING_FOR_PODS, _starting(target, count))
    return False


def _waited_for_pods(draft: Draft, target: Target) -> timedelta:
    """How long pods of this target have been missing: neither its holds nor an earlier target's wait are counted."""
    draft.condition(PODS_READY, False, WAITING_FOR_PODS, "fewer canary pods are ready than wanted")
    since = conditions.get(draft.status.conditions, PODS_READY)
    assert since is not None
    return draft.now - max(since.last_transition_time, target.started_at)


def _starting(target: Target, count: int) -> str:
    """Without how many are ready: one write for all of them, and not one for each."""
    return f"canary pods of {target.version} are starting, {count} in all are wanted"


def _dark(draft: Draft, target: Target) -> None:
    step = _steps(draft)[0]
    if why := unreachable(draft):
        draft.set(target=ended(draft, target, "Refused", WEIGHT_UNREACHABLE, why))
        return
    count = 1 if step.weight == 100 else weights.pods_for(step.weight, _stable(draft))
    if not _ensure_pods(draft, target, count):
        return
    if _stopped(draft, step) or not evals_passed(draft, target, DARK):
        return
    _record_step(draft, target, 0)


def _stopped(draft: Draft, following: Step) -> bool:
    """A person wants it to stay where it is."""
    release = draft.facts.release
    if release.spec.paused:
        hold(draft, PAUSED, "spec.paused is true; safety still acts")
        return True
    if following.approve and release.metadata.annotations.get(APPROVE) != release.spec.version:
        wanted = f"annotate the Release with opsloop.dev/approve={release.spec.version}"
        hold(draft, WAITING_FOR_APPROVAL, f"weight {following.weight} wants approval: {wanted}")
        return True
    return False


def _record_step(draft: Draft, target: Target, index: int) -> None:
    """Decide the step: only stored here; the next look opens gates up to what is stored."""
    step = _steps(draft)[index]
    canary = draft.facts.release.spec.strategy.canary
    if step.weight == 100:
        changes = {"state": "Promoting", "step": index, "weight": 100, "reached_at": None}
        draft.set(target=target.model_copy(update=changes))
        hold_kept(draft, HOLDING, TEMPLATE_GOES)
        draft.event("Promoting", f"{target.version}: weight 100, the Deployment gets its template")
        return
    if why := weights.refusal(step.weight, _stable(draft), canary.max_canary_replicas):
        reject(draft, target, WEIGHT_UNREACHABLE, why, block=False)
        return
    pods = weights.pods_for(step.weight, _stable(draft))
    changes = {"state": "Stepping", "step": index, "weight": step.weight, "pods": pods, "reached_at": None}
    draft.set(target=target.model_copy(update=changes))
    hold_kept(draft, HOLDING, f"weight {step.weight} is being reached")
    draft.event(f"Weight{step.weight}", f"{target.version}: weight {step.weight} decided, {pods} canary pods")


def _step(draft: Draft, target: Target) -> None:
    steps = _steps(draft)
    if target.step + 1 >= len(steps):
        reject(
            draft, target, NEW_TARGET, "spec.strategy.canary.steps became shorter than the step reached", block=False
        )
        return
    if not analysed_well(draft, target):
        return
    if not _ensure_pods(draft, target, target.pods):
        return
    if not _gates_as_decided(draft, target):
        return
    reached = draft.status.target.reached_at if draft.status.target else None
    left = steps[target.step].hold - (draft.now - (reached or draft.now))
    if left > timedelta(0):
        held = f"held for {steps[target.step].hold.total_seconds():.0f} s" if reached else "being reached"
        hold_kept(draft, HOLDING, f"weight {target.weight} is {held}")
        draft.look(min(left, TICK))
        return
    current = draft.status.target
    assert current is not None
    if not known_good(draft, current) or _stopped(draft, steps[target.step + 1]):
        return
    if evals_passed(draft, current, target.step):
        assert draft.status.target is not None
        _record_step(draft, draft.status.target, target.step + 1)


def _close_surplus(draft: Draft, target: Target) -> None:
    """A weight found higher than decided (0 while dark) is lowered at once, whatever else is going on."""
    opened = [p for p in pods_of(draft) if p.in_traffic]
    surplus = tuple(p.name for p in opened[target.pods :])
    if surplus:
        name = draft.facts.release.metadata.name
        draft.safety(SetGates(name, surplus, open=False, reason="more pods in traffic than decided"))


def _gates_as_decided(draft: Draft, target: Target) -> bool:
    """Healing only lowers: too many gates are closed at once; too few are opened only while the step is being reached."""
    name = draft.facts.release.metadata.name
    opened = [p for p in pods_of(draft) if p.in_traffic]
    if len(opened) > target.pods:
        return False
    if len(opened) == target.pods:
        if target.reached_at is None and not all(p.ready for p in opened):
            hold_kept(draft, HOLDING, f"weight {target.weight} is being reached")
            return False
        if target.reached_at is None:
            draft.set(target=target.model_copy(update={"reached_at": draft.now}))
        return True
    if target.reached_at is not None:
        message = f"{len(opened)} of {target.pods} canary pods are in traffic; annotate opsloop.dev/retry to go on"
        hold(draft, WEIGHT_LOWER, message)
        return False
    dark = [p for p in pods_of(draft) if not p.in_traffic and p.containers_ready]
    more = tuple(p.name for p in dark[: target.pods - len(opened)])
    if more:
        draft.act(SetGates(name, more, open=True, reason=f"weight {target.weight} decided"))
    hold_kept(draft, HOLDING, f"weight {target.weight} is being reached")
    return False


def _promote(draft: Draft, target: Target) -> None:
    """Weight 100: the Deployment gets the template; the canary serves until the Deployment is available."""
    workload = draft.facts.workload
    assert workload is not None
    if workload.digest != target.digest:
        if workload.digest != draft.status.live:
            cancel(draft, LIVE_CHANGED, "the live Deployment changed before the promotion was written")
            return
        template = draft.facts.templates[target.digest]
        draft.act(SetTemplate(workload.name, draft.status.live, template, target.digest))
        hold_kept(draft, HOLDING, TEMPLATE_GOES)
        return
    if not workload.settled:
        hold_kept(draft, WAITING_FOR_PODS, "the Deployment rolls out; the canary serves meanwhile")
        return
    passed = [r.case for r in target.evals if r.canary_runs and r.canary_passed == r.canary_runs]
    done = {"state": "Promoted", "reason": "Promoted", "ended_at": draft.now, "weight": 100, "pods": 0}
    draft.set(
        target=target.model_copy(update=done),
        promotion=Promotion(digest=target.digest, version=target.version, at=draft.now, cases=passed),
    )
    draft.event("Promoted", f"{target.version} is live, proven on {len(passed)} eval cases")
