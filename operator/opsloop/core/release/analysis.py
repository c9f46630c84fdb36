"""Analysis of a canary: its SLI against live since it took traffic, and its eval cases."""

from dataclasses import replace
from datetime import timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.meta import format_duration
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.api.target import CaseResult, Target
from opsloop.core.actions import RunEvals
from opsloop.core.evalcase import gating
from opsloop.core.evalcase.addresses import may_ask
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import CanaryReading, Unknown
from opsloop.core.release import weights
from opsloop.core.release.outcome import DARK, Check, Hold, Outcome, Reject, Rollout
from opsloop.core.release.untold import service_unwell, told_apart
from opsloop.core.slo import burn_rate as slo
from opsloop.core.slo import canary
from opsloop.core.slo.jointly import rejected_for
from opsloop.core.slo.merged import readings_of
from opsloop.core.slo.objectives import label, objectives, release_for
from opsloop.core.statistics.detectable import unseen

# Named reasons
EVAL_FAILED = "EvalFailed"  # an eval case failed on the canary
ANALYSIS_FAILED = "AnalysisFailed"  # the canary's SLI is surely worse than live, or below its bound
WAITING_FOR_EVALS = "WaitingForEvals"  # eval cases run
EVALS_INCONCLUSIVE = "EvalsInconclusive"  # too few cases or no answers: never a pass
ANALYSIS_INCONCLUSIVE = "AnalysisInconclusive"  # hold and patience are over, and the canary may be good or bad

UNDECIDABLE = (canary.TOO_LITTLE_TRAFFIC, ANALYSIS_INCONCLUSIVE)
"""Reasons of a hold that time alone will not end."""

_STALE = 3  # intervals: evidence that is older decides nothing
_UNREAD = timedelta(minutes=1)  # a canary that was never read for longer is not about to be


def analysis_failed(rollout: Rollout) -> Outcome | None:
    """Reject where the canary's SLI is surely bad; of several, the message names it. Unknown is not a failure here."""
    each = by_objective(rollout)
    seen = {name: r.evidence for name, one in each.items() if isinstance(r := _reading(one), CanaryReading)}
    alpha = rollout.facts.release.spec.strategy.canary.analysis.false_rejects
    name = rejected_for(seen, len(each), alpha) if seen else ""
    return Reject(ANALYSIS_FAILED, f"{label(name)}{canary.rejection(seen[name]).message}") if name else None


def telemetry_unknown(rollout: Rollout) -> Outcome | None:
    """Hold or Reject, as spec.unknownTelemetry says, where one of the canary's SLIs is not known now."""
    return _worst(rollout, _telemetry_unknown)


def _telemetry_unknown(rollout: Rollout) -> Outcome | None:
    """One failed read is a matter of time: it holds also where unknown telemetry aborts, until the evidence is old."""
    if not told_apart(rollout):
        return service_unwell(rollout)
    policy, unknown = rollout.facts.release.spec.unknown_telemetry, _unknown(rollout)
    if unknown is None or policy == "continue":
        return None
    message = f"canary has no reading: {unknown.reason} {unknown.detail}".strip()
    if policy == "abort" and _is_old(rollout):
        return Reject(slo.TELEMETRY_UNKNOWN, message, block=False)
    return Hold(slo.TELEMETRY_UNKNOWN, message)


def analysis_inconclusive(rollout: Rollout) -> Outcome | None:
    """Hold while the canary is not good enough to go on in each objective; once its patience is spent, what
    spec…inconclusive says.

    `promote` passes a canary that served too few events, not one whose own errors leave it in doubt.
    """
    return _worst(rollout, _analysis_inconclusive)


def _analysis_inconclusive(rollout: Rollout) -> Outcome | None:
    judged, unknown = _judged(rollout), _unknown(rollout)
    if not told_apart(rollout) or judged is None or unknown is not None or judged.verdict == "good":
        return None
    analysis, left = rollout.facts.release.spec.strategy.canary.analysis, _patience_left(rollout)
    if left > timedelta(0):
        return _wait_for_events(rollout, judged, left)
    message = f"{judged.message}; patience of {format_duration(analysis.patience)} is spent"
    if analysis.inconclusive == "abort":
        return Reject(ANALYSIS_INCONCLUSIVE, message, block=False)
    if analysis.inconclusive == "promote" and judged.reason == canary.TOO_FEW_EVENTS:
        return None
    return Hold(ANALYSIS_INCONCLUSIVE, message)


def by_objective(rollout: Rollout) -> dict[str, Rollout]:
    """The rollout as each objective sees it, as if there were no other; empty without an SLO."""
    facts, spec = rollout.facts, rollout.facts.release.spec.slo
    if spec is None:
        return {}
    every = objectives(spec)
    if len(every) == 1:
        return {spec.name: rollout}
    return {
        one.name: replace(
            rollout,
            facts=replace(
                facts, release=release_for(facts.release, one), readings=readings_of(facts.readings, one.name)
            ),
        )
        for one in every
    }


def _worst(rollout: Rollout, check: Check) -> Outcome | None:
    """The check's outcome over all objectives: a Reject before a Hold, else the first one; its message names the objective."""
    found = [(name, outcome) for name, one in by_objective(rollout).items() if (outcome := check(one))]
    found.sort(key=lambda pair: not isinstance(pair[1], Reject))
    if not found:
        return None
    name, outcome = found[0]
    assert isinstance(outcome, Hold | Reject)
    return replace(outcome, message=f"{label(name)}{outcome.message}")


def _wait_for_events(rollout: Rollout, judged: canary.Judged, left: timedelta) -> Hold:
    reading, spec = _reading(rollout), rollout.facts.release.spec
    assert isinstance(reading, CanaryReading) and spec.slo is not None
    missing = canary.seconds_missing(spec.slo, spec.strategy.canary.analysis.min_events, reading.evidence)
    if judged.reason != canary.TOO_FEW_EVENTS or missing <= left.total_seconds():
        return Hold(judged.reason, judged.message)
    need = canary.rough_duration(missing)
    return Hold(canary.TOO_LITTLE_TRAFFIC, f"{judged.message}; at this rate that takes about {need} more")


def _patience_left(rollout: Rollout) -> timedelta:
    """Time until hold and patience of this step are over."""
    since = rollout.target.reached_at or rollout.now
    patience = rollout.facts.release.spec.strategy.canary.analysis.patience
    return rollout.steps[rollout.step].hold + patience - (rollout.now - since)


def too_little_traffic(facts: ReleaseFacts, replicas: int) -> str:
    """Why the traffic of a new target's first step cannot give enough events in its hold and patience; empty where it can.

    By the service's rate as it was last read; empty where that is unknown. Of several objectives the first that lacks it.
    """
    spec = facts.release.spec.slo
    for one in objectives(spec) if spec else ():
        release, verdict = release_for(facts.release, one), readings_of(facts.readings, one.name).verdict
        if text := _too_little(release, one, canary.traffic(verdict), replicas):
            return f"{label(one.name)}{text}"
    return ""


def _too_little(release: Release, objective: Slo, rate: float | None, replicas: int) -> str:
    strategy = release.spec.strategy.canary
    first, analysis = next(step for step in strategy.steps if step.weight), strategy.analysis
    if rate is None or first.weight == 100:
        return ""
    pods = weights.pods_for(first.weight, replicas)
    by_route = release.spec.strategy.traffic == "httpRoute"
    share = first.weight / 100 if by_route else pods / (pods + replicas)
    seconds = canary.seconds_needed(objective, analysis, rate * share)
    if seconds <= (first.hold + analysis.patience).total_seconds():
        return ""
    return (
        f"at {rate:.2g} requests/s, {share:.0%} of them for the canary, enough events take {canary.rough_duration(seconds)}, "
        f"more than hold and patience of its first step; after that: {analysis.inconclusive}"
    )


def finding(rollout: Rollout) -> str:
    """A sentence with what the analysis saw of the canary so far, and what it could not have seen; empty without an SLO."""
    found = ((name, _finding(one)) for name, one in by_objective(rollout).items())
    return ". ".join(f"{label(name)}{text}" for name, text in found if text)


def _finding(rollout: Rollout) -> str:
    reading = _reading(rollout)
    if not isinstance(reading, CanaryReading):
        return ""
    windows = f"windows of {reading.step.total_seconds():g} s"
    how = f"; approximate, in {windows}: {reading.approximate}" if reading.approximate else ""
    return f"{canary.shares(reading.evidence)}; {unseen(reading.evidence)}{how}"


def _judged(rollout: Rollout) -> canary.Judged | None:
    """The judgement on all that the canary served; None without an SLO or a reading."""
    spec, reading = rollout.facts.release.spec, _reading(rollout)
    if spec.slo is None or not isinstance(reading, CanaryReading):
        return None
    return canary.judge(spec.slo, spec.strategy.canary.analysis.min_events, reading.evidence)


def _reading(rollout: Rollout) -> CanaryReading | Unknown | None:
    """The reading of this target's canary; NotRead where it is of an earlier attempt, None without an SLO."""
    if rollout.facts.release.spec.slo is None:
        return None
    reading = rollout.facts.readings.canary
    if reading is None or (isinstance(reading, CanaryReading) and reading.since != rollout.target.traffic_since):
        return Unknown(slo.NOT_READ)
    return reading


def _unknown(rollout: Rollout) -> Unknown | None:
    """Why the canary's SLI is not known now; None where it is."""
    reading = _reading(rollout)
    if not isinstance(reading, CanaryReading):
        return reading
    if reading.failure is not None:
        return reading.failure
    if _is_old(rollout):
        return Unknown(slo.STALE, f"no data since {(rollout.now - reading.until).total_seconds():.0f} s")
    verdict = rollout.facts.readings.verdict
    if verdict is None or (verdict.band == "unknown" and verdict.reason != slo.NO_EVENTS):
        detail = slo.unknown_because(verdict) if verdict else ""
        return Unknown(verdict.reason if verdict else slo.NOT_READ, f"for the whole service: {detail}")
    return None


def _is_old(rollout: Rollout) -> bool:
    """True where nothing was read of the canary for three intervals (a minute, where nothing was read at all)."""
    reading = _reading(rollout)
    if isinstance(reading, CanaryReading):
        return rollout.now - rollout.facts.readings.delay - reading.until > _STALE * reading.step
    unread = isinstance(reading, Unknown) and reading.reason == slo.NOT_READ
    return not unread or rollout.now - (rollout.target.traffic_since or rollout.now) > _UNREAD


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
    if gate is None or gate.verdict != "inconclusive":
        return None
    again = _run_evals(rollout)  # of a run that was answered only where it has changed: more repeats, other cases
    tail = "" if gate.reason == gating.MAY_BE_CHANCE else "; asked again"
    return Hold(EVALS_INCONCLUSIVE, f"{gate.message}{tail}", again.actions, again.evals)


def evals_finding(rollout: Rollout) -> str:
    """What the cases of this step showed; those of the last step where none were due."""
    results = _results(rollout)
    return gating.finding(rollout.target.evals if results is None else gating.with_loads(results, rollout.target.evals))


def with_passed_evals(rollout: Rollout) -> Target:
    """The target with the results of this step's run; unchanged where none was due. Assumes that the run passed."""
    if not _evals_due(rollout):
        return rollout.target
    results = gating.kept(gating.with_loads(_results(rollout) or (), rollout.target.evals))
    return rollout.target.model_copy(update={"evals": results, "evals_step": rollout.step})


def _evals_due(rollout: Rollout) -> bool:
    """True where this step has to run its cases; one whose cases all are checks under load has none after the dark phase."""
    if rollout.facts.release.spec.evals is None or rollout.target.evals_step == rollout.step:
        return False
    return bool(_cases(rollout)) or rollout.step == DARK or not any(r.load for r in rollout.target.evals)


def _cases(rollout: Rollout) -> tuple[EvalCase, ...]:
    """The cases that this step asks: once a canary has users, it is not loaded."""
    cases = gating.select(rollout.facts.cases, rollout.facts.release)
    return cases if rollout.step == DARK else tuple(case for case in cases if case.spec.load is None)


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
    cases = _cases(rollout)
    if spec is None or not cases:
        message = "no eval case gates this Release: zero cases run is never a pass"
        return Hold(EVALS_INCONCLUSIVE, message, evals=results)
    asked = [
        pod
        for pod in rollout.pods
        if pod.containers_ready and pod.ip and all(may_ask(pod.own_ports, case.spec.request.port) for case in cases)
    ]
    run = RunEvals(
        release=facts.release.metadata.name,
        digest=rollout.target.digest,
        step=rollout.step,
        cases=cases,
        repeats=spec.repeats,
        canary_ips=tuple(pod.ip for pod in asked),
        live_selector=rollout.workload.selector,
        loaded=asked[0].name if asked else "",
    )
    return Hold(WAITING_FOR_EVALS, f"{len(cases)} eval cases run against canary and live", (run,), results)
