"""Is the canary good enough? Its SLI against live over the same seconds, and its eval cases."""

from opsloop.api.release import Target
from opsloop.core.actions import RunEvals
from opsloop.core.evalcase import decide as evals
from opsloop.core.facts import Unknown
from opsloop.core.release import revisions
from opsloop.core.release.draft import Draft
from opsloop.core.release.pods import hold, pods_of, reject
from opsloop.core.slo import burn_rate as slo

# Named reasons
EVAL_FAILED = "EvalFailed"  # an eval case failed on the canary
ANALYSIS_FAILED = "AnalysisFailed"  # the canary's SLI is below its bound, or worse than live
WAITING_FOR_EVALS = "WaitingForEvals"  # eval cases run
EVALS_INCONCLUSIVE = "EvalsInconclusive"  # too few cases or no answers: never a pass
TELEMETRY_UNKNOWN = "TelemetryUnknown"  # the canary's SLI is not known (yet)


def analysed_well(draft: Draft, target: Target) -> bool:
    """False when the canary was rejected on its SLI. Unknown is not a failure here."""
    judged = _judged(draft, target)
    if judged is not None and judged.verdict == "fail":
        reject(draft, target, ANALYSIS_FAILED, judged.message)
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


def known_good(draft: Draft, target: Target) -> bool:
    """True when the step may be left: surely good, or unknown where spec.unknownTelemetry says continue."""
    judged = _judged(draft, target)
    if judged is None or judged.verdict == "pass":
        return True
    policy = draft.facts.release.spec.unknown_telemetry
    if policy == "continue":
        return True
    if policy == "abort" and judged.reason != slo.TOO_FEW_EVENTS:
        reject(draft, target, TELEMETRY_UNKNOWN, judged.message, block=False)
        return False
    hold(draft, TELEMETRY_UNKNOWN, judged.message)
    return False


def evals_passed(draft: Draft, target: Target, step: int) -> bool:
    """True when the gating cases passed on this digest at this step; asks for a run otherwise."""
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
        reject(draft, seen, EVAL_FAILED, gate.message)
        return False
    if gate.verdict == "inconclusive":
        draft.set(target=seen)
        hold(draft, EVALS_INCONCLUSIVE, gate.message)
        _run_evals(draft, target, step)
        return False
    draft.set(target=seen.model_copy(update={"evals_step": step}))
    return True


def _run_evals(draft: Draft, target: Target, step: int) -> None:
    spec, workload = draft.facts.release.spec.evals, draft.facts.workload
    assert spec is not None and workload is not None
    cases = evals.gating(draft.facts.cases, draft.facts.release)
    ready = tuple(p.ip for p in pods_of(draft) if p.containers_ready and p.ip)
    if not cases:
        hold(draft, EVALS_INCONCLUSIVE, "no eval case gates this Release: zero cases run is never a pass")
        return
    hold(draft, WAITING_FOR_EVALS, f"{len(cases)} eval cases run against canary and live")
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
