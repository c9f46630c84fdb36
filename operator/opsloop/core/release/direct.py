"""Strategy direct: the template is written at once, without a canary beside live; the same SLO watches it and the same Runbook
rolls it back.

By choice, or because only one pod may exist. EvalCases are asked of one dark pod before, where one may run; else of live pods
after, and then a must-pass case that fails has the version before written back.
"""

from dataclasses import dataclass

from opsloop.api.evalcase import EvalCase, LiveResult
from opsloop.api.records import RollbackRecord
from opsloop.api.target import CaseResult, Target
from opsloop.core.conditions import ROLLBACK_UNSAFE, TEMPLATE_MISSING
from opsloop.core.evalcase import gating
from opsloop.core.facts import ReleaseFacts, WorkloadFacts
from opsloop.core.release import ReleaseBuilder, alone, revisions, rollback
from opsloop.core.release.analysis import EVAL_FAILED, EVALS_INCONCLUSIVE, WAITING_FOR_EVALS
from opsloop.core.release.outcome import Cancel, Hold, Outcome, Reject, Rollout
from opsloop.core.release.target import TRAFFIC_CHANGED

# Named reasons
NOTHING_BEFORE = "NothingBefore"  # there is no revision to go back to from one that was shipped directly


def strategy_changed(rollout: Rollout) -> Outcome | None:
    """Cancel where the spec has another strategy than when the target was recorded."""
    if rollout.target.direct == (rollout.facts.release.spec.strategy.type == "direct"):
        return None
    return Cancel(TRAFFIC_CHANGED, "strategy.type changed; the target starts again with it")


def asks_before(facts: ReleaseFacts, workload: WorkloadFacts) -> bool:
    """True where one dark pod is asked before the template is written: it stands beside live, and may run without traffic."""
    evals = facts.release.spec.evals
    known = facts.beside is not None  # else a queue worker's pod could work at once
    return (
        evals is not None
        and known
        and evals.quarantine != "never"
        and alone.refusal(facts, workload, canary=False) is None
    )


def needs_pods(rollout: Rollout) -> bool:
    """False for a direct target that starts no pod beside live."""
    return not rollout.target.direct or asks_before(rollout.facts, rollout.workload)


def answers_missing(rollout: Rollout) -> Outcome | None:
    """Hold until live pods have answered each case, where no pod was asked before; Reject where a must-pass case fails."""
    target, facts = rollout.target, rollout.facts
    if not target.direct or facts.release.spec.evals is None or target.evals_step is not None:
        return None
    cases = [case for case in gating.select(facts.cases, facts.release) if case.spec.load is None]
    if not cases:
        return Hold(EVALS_INCONCLUSIVE, "no eval case gates this Release: zero cases run is never a pass")
    every = _told(cases, target)
    results = tuple(_result(one.case, one.live) for one in every)
    cases = [
        case for case in cases if not case.is_flaky
    ]  # what is set aside gates nothing, and is waited for by nobody
    if not cases:
        return Hold(EVALS_INCONCLUSIVE, "all eval cases of this Release are flaky: none says anything", evals=results)
    told = [one for one in every if not one.case.is_flaky]
    if failed := [one for one in told if one.live.result == "Failed" and one.case.spec.must_pass]:
        said = "; ".join(f"{one.case.metadata.name}: {one.live.message}" for one in failed)
        text = f"on live pods, after it was shipped directly: {said}"
        if facts.stop is not None:  # the way back is decided with it, and a Stop would refuse that for good
            return Hold(facts.stop.named_reason, f"{text}; {facts.stop.sentence}", evals=results)
        return Reject(EVAL_FAILED, text, evals=results)
    if len(told) < len(cases):
        text = f"{len(told)} of {len(cases)} eval cases are answered by live pods of {target.version}"
        return Hold(WAITING_FOR_EVALS, text, evals=results)
    if silent := [one.case.metadata.name for one in told if one.live.result == "NoAnswer"]:
        return Hold(EVALS_INCONCLUSIVE, f"no answer to {', '.join(silent)[:500]}; asked again", evals=results)
    return None


def with_answers(rollout: Rollout) -> Target:
    """The target with what live pods answered, where they were asked in place of a dark pod."""
    target, facts = rollout.target, rollout.facts
    if not target.direct or facts.release.spec.evals is None or target.evals_step is not None:
        return target
    told = _told([case for case in gating.select(facts.cases, facts.release) if case.spec.load is None], target)
    return target.model_copy(update={"evals": gating.kept([_result(one.case, one.live) for one in told])})


@dataclass(frozen=True, slots=True)
class _Told:
    case: EvalCase
    live: LiveResult


def _told(cases: list[EvalCase], target: Target) -> list[_Told]:
    """The cases, as they are written now, with the answers of live pods of this very revision."""
    return [
        _Told(case, case.status.live)
        for case in cases
        if case.status.live is not None
        and case.status.live.digest == target.digest
        and case.status.observed_generation == case.metadata.generation
    ]


def _result(case: EvalCase, live: LiveResult) -> CaseResult:
    return CaseResult(
        case=case.metadata.name,
        must_pass=case.spec.must_pass,
        min_share=case.spec.min_share,
        asked=live.asked,
        canary_passed=live.passed,
        canary_runs=live.answered,
        live_passed=0,
        live_runs=0,
        flaky=case.is_flaky,
        message="" if live.result == "Passed" else live.message,
    )


def go_back(builder: ReleaseBuilder, workload: WorkloadFacts, target: Target) -> None:
    """Records and starts the way back from a version that its cases proved bad while live, as an undo does. It is blocked."""
    status = builder.status
    if not target.direct or status.live != target.digest:
        return
    found = revisions.rollback_target(status.revisions, status.live)
    if found is None:
        _stays(builder, target, NOTHING_BEFORE, "no revision before it is known that is not blocked")
        return
    to = found[0]
    if unsafe := revisions.unsafe_between(status.revisions, status.live, to.digest):
        text = f'{unsafe.version} says opsloop.dev/rollback-safe: "false"'
        _stays(
            builder,
            target,
            ROLLBACK_UNSAFE,
            f"{text}; opsloop.dev/undo={target.version}/{to.digest} goes back all the same",
        )
    elif to.digest not in builder.facts.templates:
        _stays(builder, target, TEMPLATE_MISSING, f"the template of {to.version} ({to.digest}) is not stored any more")
    else:
        case = next(r.case for r in target.evals if r.must_pass and gating.on_canary(r) == "failed")
        record = RollbackRecord(
            incident="",
            case=case,
            attempt=1,
            from_digest=target.digest,
            to_digest=to.digest,
            state="Recorded",
            at=builder.now,
        )
        builder.set(rollback=record)
        builder.event("RollbackStarted", f"to {to.version}, because {case} fails on {target.version}", "Warning")
        builder.execute(rollback.write(builder.facts, workload, record))


def _stays(builder: ReleaseBuilder, target: Target, reason: str, message: str) -> None:
    """Says on the target and by an Event why a version that is known to be bad stays live."""
    text = f"{target.version} stays live: {message}"
    ended = builder.status.target
    if ended is not None:
        builder.set(target=ended.model_copy(update={"message": f"{ended.message}; {text}"[:1000]}))
    builder.event("RollbackRefused", f"{reason}: {text}", "Warning")
