"""Analysis of a canary: its SLI against live over the same seconds, and its eval cases."""

from opsloop.api.release import CaseResult, Target
from opsloop.core.actions import RunEvals
from opsloop.core.evalcase import gating
from opsloop.core.facts import Unknown
from opsloop.core.release.outcome import Hold, Outcome, Reject, Rollout
from opsloop.core.release.untold import service_unwell, told_apart
from opsloop.core.slo import burn_rate as slo

# Named reasons
EVAL_FAILED = "EvalFailed"  # an eval case failed on the canary
ANALYSIS_FAILED = "AnalysisFailed"  # the canary's SLI is below its bound, or worse than live
WAITING_FOR_EVALS = "WaitingForEvals"  # eval cases run
EVALS_INCONCLUSIVE = "EvalsInconclusive"  # too few cases or no answers: never a pass


def analysis_failed(rollout: Rollout) -> Outcome | None:
    """Reject where the canary's SLI is surely bad. Unknown is not a failure here."""
    judged = _judged(rollout)
    return Reject(ANALYSIS_FAILED, judged.message) if judged and judged.verdict == "fail" else None


def telemetry_unknown(rollout: Rollout) -> Outcome | None:
    """Hold or Reject, as spec.unknownTelemetry says, where the canary's SLI is not surely good.

    Too few events are a matter of time: they hold also where unknown telemetry aborts.
    """
    if not told_apart(rollout):
        return service_unwell(rollout)
    judged, policy = _judged(rollout), rollout.facts.release.spec.unknown_telemetry
    if judged is None or judged.verdict == "pass" or policy == "continue":
        return None
    if policy == "abort" and judged.reason != slo.TOO_FEW_EVENTS:
        return Reject(slo.TELEMETRY_UNKNOWN, judged.message, block=False)
    return Hold(slo.TELEMETRY_UNKNOWN, judged.message)


def _judged(rollout: Rollout) -> slo.Judged | None:
    """The canary's SLI compared with live's; None without an SLO."""
    spec, split = rollout.facts.release.spec, rollout.facts.readings.by_revision
    if spec.slo is None:
        return None
    unread = Unknown(slo.NOT_READ)
    canary_reading = split.get(rollout.target.digest, unread)
    live_reading = split.get(rollout.status.live, unread)
    return slo.judge_canary(spec.strategy.canary.analysis, spec.slo.objective, canary_reading, live_reading)


def evals_pending(rollout: Rollout) -> Outcome | None:
    """Hold, with a run of the gating cases, while this digest has no finished run at this step."""
    return _run_evals(rollout) if _evals_due(rollout) and _results(rollout) is None else None


def evals_failed(rollout: Rollout) -> Outcome | None:
    """Reject where the run of this step failed the gate."""
    gate = _gate(rollout)
    failed = gate is not None and gate.verdict == "failed"
    return Reject(EVAL_FAILED, gate.message, evals=_results(rollout)) if gate and failed else None


def evals_inconclusive(rollout: Rollout) -> Outcome | None:
    """Hold, with another run, where the run of this step lets nobody say: never a pass."""
    gate = _gate(rollout)
    return _run_evals(rollout) if gate is not None and gate.verdict == "inconclusive" else None


def with_passed_evals(rollout: Rollout) -> Target:
    """The target with the results of this step's run; unchanged where none was due. Assumes that the run passed."""
    if not _evals_due(rollout):
        return rollout.target
    results = list(_results(rollout) or ())
    return rollout.target.model_copy(update={"evals": results, "evals_step": rollout.step})


def _evals_due(rollout: Rollout) -> bool:
    return rollout.facts.release.spec.evals is not None and rollout.target.evals_step != rollout.step


def _results(rollout: Rollout) -> tuple[CaseResult, ...] | None:
    """Results of the finished run of this digest at this step."""
    outcome = rollout.facts.eval_outcome
    finished = outcome is not None and (outcome.digest, outcome.step) == (rollout.target.digest, rollout.step)
    return outcome.results if outcome and finished else None


def _gate(rollout: Rollout) -> gating.Judgement | None:
    spec, results = rollout.facts.release.spec.evals, _results(rollout)
    return gating.judge(results, spec.margin) if spec and results is not None and _evals_due(rollout) else None


def _run_evals(rollout: Rollout) -> Hold:
    """A hold that asks canary pods by address and live pods by label; results of an earlier run are stored with it."""
    facts, spec, results = rollout.facts, rollout.facts.release.spec.evals, _results(rollout)
    cases = gating.select(facts.cases, facts.release)
    if spec is None or not cases:
        message = "no eval case gates this Release: zero cases run is never a pass"
        return Hold(EVALS_INCONCLUSIVE, message, evals=results)
    run = RunEvals(
        release=facts.release.metadata.name,
        digest=rollout.target.digest,
        step=rollout.step,
        cases=cases,
        repeats=spec.repeats,
        canary_ips=tuple(pod.ip for pod in rollout.pods if pod.containers_ready and pod.ip),
        live_selector=rollout.workload.selector,
    )
    return Hold(WAITING_FOR_EVALS, f"{len(cases)} eval cases run against canary and live", (run,), results)
