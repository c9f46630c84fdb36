"""The canary: dark first, then weights by readiness gates, then promotion. Every step is recorded before it is taken."""

from datetime import timedelta

from opsloop.api.release import Blocked, CaseResult, Promotion, Revision, Step, Target
from opsloop.core import evals, revisions, slo, weights
from opsloop.core.actions import DeleteCanary, EnsureCanary, EnsureRevision, RunEvals, SetGates, SetTemplate
from opsloop.core.draft import Draft
from opsloop.core.facts import PodFacts, Unknown
from opsloop.core.rollout_live import ACTIVE, LIVE_CHANGED, cancel
from opsloop.names import APPROVE, RETRY

# Named reasons
BLOCKED = "Blocked"  # the wanted revision was rolled back or rejected before
UNKNOWN_CONTAINER = "UnknownContainer"  # spec.images names a container that the Deployment does not have
WEIGHT_UNREACHABLE = "WeightUnreachable"  # a step needs more canary pods than allowed
SPEC_BACK_TO_LIVE = "SpecBackToLive"  # the spec asks for what is live: a clean cancel
NEW_TARGET = "NewTarget"  # the spec asks for a third revision: weight 0, from the first step
INCIDENT_OPEN = "IncidentOpen"  # an Incident opened on this Release in mid-canary
EVAL_FAILED = "EvalFailed"  # an eval case failed on the canary
ANALYSIS_FAILED = "AnalysisFailed"  # the canary's SLI is below its bound, or worse than live
PODS_FAILING = "PodsFailing"  # the canary's pods do not start
PAUSED = "Paused"  # spec.paused
WAITING_FOR_APPROVAL = "WaitingForApproval"  # the step wants annotation opsloop.dev/approve
WAITING_FOR_PODS = "WaitingForPods"  # canary pods are starting
WAITING_FOR_EVALS = "WaitingForEvals"  # eval cases run
EVALS_INCONCLUSIVE = "EvalsInconclusive"  # too few cases or no answers: never a pass
TELEMETRY_UNKNOWN = "TelemetryUnknown"  # the canary's SLI is not known (yet)
HOLDING = "Holding"  # the step's hold is not over
WEIGHT_LOWER = "WeightLower"  # fewer pods in traffic than decided: a hold until a person says retry

DARK = -1
PROGRESS_DEADLINE = timedelta(minutes=5)
TICK = timedelta(seconds=1)


def clear_canary(draft: Draft, reason: str) -> None:
    """Traffic before pods: close every gate first; a kept-alive connection ends only with its pod, so delete at once."""
    canary = draft.facts.canary
    if canary is None:
        return
    opened = tuple(p.name for p in canary.pods if p.in_traffic and not p.deleting)
    name = draft.facts.release.metadata.name
    if opened:
        draft.safety(SetGates(name, opened, open=False, reason=reason))
    draft.act(DeleteCanary(name))
    draft.look(TICK)


def follow_spec(draft: Draft) -> None:
    """Record what the spec asks for, once per (images, version, retry)."""
    facts, status, spec = draft.facts, draft.status, draft.facts.release.spec
    rollback = status.rollback
    if rollback and rollback.state in ("Recorded", "Written"):
        return
    retry = facts.release.metadata.annotations.get(RETRY, "")
    old = status.target
    asked = old is not None and (old.version, old.images, old.retry) == (spec.version, spec.images, retry)
    if old is not None and asked and not _unblocked(draft, old):
        return
    base = revisions.base(status.revisions) or revisions.find(status.revisions, status.live)
    template = facts.templates.get(base.digest) if base else None
    if template is None:
        return  # stored by this very pass; the next one sees it
    wanted, unknown = revisions.with_images(template, spec.images)
    digest = revisions.digest(wanted)
    target = Target(
        digest=digest, version=spec.version, images=spec.images, retry=retry, state="Dark", started_at=draft.now
    )
    if unknown:
        message = f"spec.images names {', '.join(unknown)}, which the Deployment does not have"
        draft.set(target=_ended(draft, target, "Refused", UNKNOWN_CONTAINER, message))
    elif digest == status.live:
        _already_live(draft, target)
    else:
        _new_target(draft, target, wanted)


def _unblocked(draft: Draft, target: Target) -> bool:
    revision = revisions.find(draft.status.revisions, target.digest)
    refused = target.state in ("Refused", "Rejected") and target.reason != UNKNOWN_CONTAINER
    return refused and target.digest != draft.status.live and revision is not None and revision.blocked is None


def _already_live(draft: Draft, target: Target) -> None:
    cancel(draft, SPEC_BACK_TO_LIVE, "the spec asks for what is live")
    draft.set(target=_ended(draft, target, "Promoted", SPEC_BACK_TO_LIVE, "live is what the spec asks for"))


def _new_target(draft: Draft, target: Target, template: dict[str, object]) -> None:
    known = revisions.find(draft.status.revisions, target.digest)
    if known and known.blocked:
        message = (
            f"{target.version} ({target.digest}) is blocked: {known.blocked.reason}, {known.blocked.message}; "
            f"to allow it again: annotate the Release with opsloop.dev/unblock={target.digest}"
        )
        draft.set(target=_ended(draft, target, "Refused", BLOCKED, message[:1000]))
        draft.condition("Blocked", True, BLOCKED, message)
        draft.event("Refused", message[:500], "Warning")
        return
    draft.condition("Blocked", False, "Allowed", f"{target.version} may be tried")
    cancel(draft, NEW_TARGET, f"the spec asks for {target.version}")
    clear_canary(draft, NEW_TARGET)
    revision = known or Revision(
        digest=target.digest,
        number=revisions.next_number(draft.status.revisions),
        version=target.version,
        images=revisions.images_of(template),
        reason="Canaried",
        first_seen=draft.now,
    )
    draft.set(revisions=revisions.put(draft.status.revisions, revision), target=target)
    name = draft.facts.release.metadata.name
    if target.digest not in draft.facts.templates:
        draft.act(EnsureRevision(name, target.digest, revision.number, template))
    draft.event("CanaryStarted", f"{target.version} starts dark: no Service sends it anything")
    draft.look(TICK)


def _ended(draft: Draft, target: Target, state: str, reason: str, message: str) -> Target:
    return Target.model_validate(
        {**dict(target), "state": state, "reason": reason, "message": message[:1000], "weight": 0, "pods": 0,
         "ended_at": draft.now}
    )  # fmt: skip


def advance(draft: Draft) -> None:
    """Move the active target on by at most one recorded step."""
    target = draft.status.target
    if target is None or target.state not in ACTIVE:
        draft.condition("Held", False, "NoCanary", "no canary is in progress")
        return
    if target.started_at == draft.now or target.digest not in draft.facts.templates:
        draft.look(TICK)
        return  # recorded just now: the record is stored before anything is started
    draft.look(TICK)
    opened = next(
        (i for i in draft.facts.incidents if i.status.phase in ("Open", "Mitigating") and i.status.burn), None
    )
    if opened and target.state != "Promoting":
        cancel(draft, INCIDENT_OPEN, f"{opened.metadata.name} is open; annotate opsloop.dev/retry to start again")
    elif target.state == "Promoting":
        _promote(draft, target)
    elif target.state == "Dark":
        _dark(draft, target)
    else:
        _step(draft, target)


def _hold(draft: Draft, reason: str, message: str) -> None:
    draft.condition("Held", True, reason, message)


def _steps(draft: Draft) -> list[Step]:
    return draft.facts.release.spec.strategy.canary.steps


def _stable(draft: Draft) -> int:
    return draft.facts.workload.replicas if draft.facts.workload else 0


def _pods(draft: Draft) -> tuple[PodFacts, ...]:
    """Canary pods of the target, older first by name; those that are going do not count."""
    canary, target = draft.facts.canary, draft.status.target
    if canary is None or target is None:
        return ()
    return tuple(p for p in sorted(canary.pods, key=lambda p: p.name) if p.digest == target.digest and not p.deleting)


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
        _hold(draft, WAITING_FOR_PODS, f"{count} canary pods of {target.version} are wanted")
        return False
    ready = [p for p in _pods(draft) if p.containers_ready]
    if len(ready) >= count:
        return True
    failing = next((p for p in _pods(draft) if p.failing), None)
    waited = draft.now - (target.reached_at or target.started_at)
    if waited > PROGRESS_DEADLINE or (failing and waited > timedelta(seconds=60)):
        why = f"{failing.name}: {failing.failing}" if failing else f"{len(ready)} of {count} ready"
        _reject(draft, target, PODS_FAILING, f"canary pods do not start ({why})", block=False)
    else:
        _hold(draft, WAITING_FOR_PODS, f"{len(ready)} of {count} canary pods are ready")
    return False


def _dark(draft: Draft, target: Target) -> None:
    step = _steps(draft)[0]
    canary = draft.facts.release.spec.strategy.canary
    if step.weight < 100 and (why := weights.refusal(step.weight, _stable(draft), canary.max_canary_replicas)):
        draft.set(target=_ended(draft, target, "Refused", WEIGHT_UNREACHABLE, why))
        return
    count = 1 if step.weight == 100 else weights.pods_for(step.weight, _stable(draft))
    if not _ensure_pods(draft, target, count):
        return
    if _stopped(draft, step) or not _evals_passed(draft, target, DARK):
        return
    _record_step(draft, target, 0)


def _stopped(draft: Draft, following: Step) -> bool:
    """A person wants it to stay where it is."""
    release = draft.facts.release
    if release.spec.paused:
        _hold(draft, PAUSED, "spec.paused is true; safety still acts")
        return True
    if following.approve and release.metadata.annotations.get(APPROVE) != release.spec.version:
        wanted = f"annotate the Release with opsloop.dev/approve={release.spec.version}"
        _hold(draft, WAITING_FOR_APPROVAL, f"weight {following.weight} wants approval: {wanted}")
        return True
    return False


def _record_step(draft: Draft, target: Target, index: int) -> None:
    """Decide the step: only stored here; the next look opens gates up to what is stored."""
    step = _steps(draft)[index]
    canary = draft.facts.release.spec.strategy.canary
    if step.weight == 100:
        changes = {"state": "Promoting", "step": index, "weight": 100, "reached_at": None}
        draft.set(target=target.model_copy(update=changes))
        draft.event("Promoting", f"{target.version}: weight 100, the Deployment gets its template")
        return
    if why := weights.refusal(step.weight, _stable(draft), canary.max_canary_replicas):
        _reject(draft, target, WEIGHT_UNREACHABLE, why, block=False)
        return
    pods = weights.pods_for(step.weight, _stable(draft))
    changes = {"state": "Stepping", "step": index, "weight": step.weight, "pods": pods, "reached_at": None}
    draft.set(target=target.model_copy(update=changes))
    draft.event(f"Weight{step.weight}", f"{target.version}: weight {step.weight} decided, {pods} canary pods")


def _step(draft: Draft, target: Target) -> None:
    steps = _steps(draft)
    if target.step + 1 >= len(steps):
        _reject(
            draft, target, NEW_TARGET, "spec.strategy.canary.steps became shorter than the step reached", block=False
        )
        return
    if not _analysed_well(draft, target):
        return
    if not _ensure_pods(draft, target, target.pods):
        _close_surplus(draft, target)
        return
    if not _gates_as_decided(draft, target):
        return
    reached = draft.status.target.reached_at if draft.status.target else None
    left = steps[target.step].hold - (draft.now - (reached or draft.now))
    if left > timedelta(0):
        _hold_kept(
            draft, HOLDING, f"weight {target.weight} is held for {steps[target.step].hold.total_seconds():.0f} s"
        )
        draft.look(min(left, TICK))
        return
    current = draft.status.target
    assert current is not None
    if not _known_good(draft, current) or _stopped(draft, steps[target.step + 1]):
        return
    if _evals_passed(draft, current, target.step):
        assert draft.status.target is not None
        _record_step(draft, draft.status.target, target.step + 1)


def _hold_kept(draft: Draft, reason: str, message: str) -> None:
    """Within its hold a canary is on its way, not held up."""
    draft.condition("Held", False, reason, message)


def _close_surplus(draft: Draft, target: Target) -> None:
    opened = [p for p in _pods(draft) if p.in_traffic]
    surplus = tuple(p.name for p in opened[target.pods :])
    if surplus:
        name = draft.facts.release.metadata.name
        draft.safety(SetGates(name, surplus, open=False, reason="more pods in traffic than decided"))


def _gates_as_decided(draft: Draft, target: Target) -> bool:
    """Healing only lowers: too many gates are closed at once; too few are opened only while the step is being reached."""
    name = draft.facts.release.metadata.name
    opened = [p for p in _pods(draft) if p.in_traffic]
    _close_surplus(draft, target)
    if len(opened) > target.pods:
        return False
    if len(opened) == target.pods:
        if target.reached_at is None and all(p.ready for p in opened):
            draft.set(target=target.model_copy(update={"reached_at": draft.now}))
        return True
    if target.reached_at is not None:
        message = f"{len(opened)} of {target.pods} canary pods are in traffic; annotate opsloop.dev/retry to go on"
        _hold(draft, WEIGHT_LOWER, message)
        return False
    dark = [p for p in _pods(draft) if not p.in_traffic and p.containers_ready]
    more = tuple(p.name for p in dark[: target.pods - len(opened)])
    if more:
        draft.act(SetGates(name, more, open=True, reason=f"weight {target.weight} decided"))
    _hold_kept(draft, HOLDING, f"weight {target.weight} is being reached")
    return False


def _analysed_well(draft: Draft, target: Target) -> bool:
    """False when the canary was rejected on its SLI. Unknown is not a failure here."""
    judged = _judged(draft, target)
    if judged is not None and judged.verdict == "fail":
        _reject(draft, target, ANALYSIS_FAILED, judged.message)
        return False
    return True


def _judged(draft: Draft, target: Target) -> slo.Judged | None:
    spec = draft.facts.release.spec
    if spec.slo is None:
        return None
    live = revisions.find(draft.status.revisions, draft.status.live)
    unread = Unknown("NotRead")
    canary_reading = draft.facts.readings.by_version.get(target.version, unread)
    live_reading = draft.facts.readings.by_version.get(live.version if live else "", unread)
    return slo.judge_canary(spec.strategy.canary.analysis, spec.slo.objective, canary_reading, live_reading)


def _known_good(draft: Draft, target: Target) -> bool:
    judged = _judged(draft, target)
    if judged is None or judged.verdict == "pass":
        return True
    policy = draft.facts.release.spec.unknown_telemetry
    if policy == "continue":
        return True
    if policy == "abort" and judged.reason != slo.TOO_FEW_EVENTS:
        _reject(draft, target, TELEMETRY_UNKNOWN, judged.message, block=False)
        return False
    _hold(draft, TELEMETRY_UNKNOWN, judged.message)
    return False


def _evals_passed(draft: Draft, target: Target, step: int) -> bool:
    spec = draft.facts.release.spec.evals
    if spec is None or target.evals_step == step:
        return True
    outcome = draft.facts.eval_outcome
    if outcome is None or (outcome.digest, outcome.step) != (target.digest, step):
        _run_evals(draft, target, step)
        return False
    results = list(outcome.results)
    gate = evals.gate(results, spec.margin)
    seen = target.model_copy(update={"evals": results})
    if gate.verdict == "failed":
        _reject(draft, seen, EVAL_FAILED, gate.message)
        return False
    if gate.verdict == "inconclusive":
        draft.set(target=seen)
        _hold(draft, EVALS_INCONCLUSIVE, gate.message)
        _run_evals(draft, target, step)
        return False
    draft.set(target=seen.model_copy(update={"evals_step": step}))
    return True


def _run_evals(draft: Draft, target: Target, step: int) -> None:
    spec, workload = draft.facts.release.spec.evals, draft.facts.workload
    assert spec is not None and workload is not None
    cases = evals.gating(draft.facts.cases, draft.facts.release)
    ready = tuple(p.ip for p in _pods(draft) if p.containers_ready and p.ip)
    if not cases:
        _hold(draft, EVALS_INCONCLUSIVE, "no eval case gates this Release: zero cases run is never a pass")
        return
    _hold(draft, WAITING_FOR_EVALS, f"{len(cases)} eval cases run against canary and live")
    draft.act(
        RunEvals(
            release=draft.facts.release.metadata.name,
            digest=target.digest,
            step=step,
            cases=cases,
            repeats=spec.repeats,
            canary_ips=ready,
            live_selector=workload.selector,
            live_digest=workload.digest,
        )
    )


def _reject(draft: Draft, target: Target, reason: str, message: str, block: bool = True) -> None:
    """Weight 0 and the end of this target. Blocked only for what the revision did, not for what the cluster did."""
    draft.set(target=_ended(draft, target, "Rejected", reason, message))
    if block:
        blocked = Blocked(
            reason=reason, message=message[:1000], incident=_failed_incident(draft, target.evals), at=draft.now
        )
        draft.set(revisions=revisions.block(draft.status.revisions, target.digest, blocked))
        number = revisions.find(draft.status.revisions, target.digest)
        template = draft.facts.templates.get(target.digest)
        if number and template is not None:
            release = draft.facts.release.metadata.name
            draft.act(EnsureRevision(release, target.digest, number.number, template, keep=True))
    draft.event("Rejected", f"{target.version}: {message}", "Warning")


def _failed_incident(draft: Draft, results: list[CaseResult]) -> str:
    """The Incident whose regression case caught it: pushed by hand, the revision reopens that one."""
    failed = {r.case for r in results if r.canary_passed < r.canary_runs}
    origins = (c.spec.origin.incident for c in draft.facts.cases if c.metadata.name in failed)
    return next((o for o in origins if o), "")


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
        _hold_kept(draft, HOLDING, "the Deployment gets the promoted template")
        return
    if not workload.settled:
        _hold_kept(draft, WAITING_FOR_PODS, "the Deployment rolls out; the canary serves meanwhile")
        return
    passed = [r.case for r in target.evals if r.canary_runs and r.canary_passed == r.canary_runs]
    done = {"state": "Promoted", "reason": "Promoted", "ended_at": draft.now, "weight": 100, "pods": 0}
    draft.set(
        target=target.model_copy(update=done),
        promotion=Promotion(digest=target.digest, version=target.version, at=draft.now, cases=passed),
    )
    draft.condition("Held", False, "Promoted", f"{target.version} is promoted")
    draft.event("Promoted", f"{target.version} is live, proven on {len(passed)} eval cases")
