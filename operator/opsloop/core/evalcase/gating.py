"""Which eval cases gate the promotions of a Release, and the verdict of their results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from opsloop.api.evalcase import EvalCase
from opsloop.api.release import CaseResult, Release
from opsloop.core.evalcase.expectation import NO_ANSWER
from opsloop.core.evalcase.share import Standing, needed, standing
from opsloop.core.slo.canary import WORSE_THAN_LIVE
from opsloop.core.statistics.paired import mcnemar, missed

# Named reasons
EVALS_PASSED = "EvalsPassed"  # every must-pass case passed, and the rest is not worse than live
MUST_PASS_FAILED = "MustPassFailed"  # a must-pass case failed on the canary more often than its minShare allows
MAY_BE_CHANCE = "MayBeChance"  # worse than live by more than the margin, on too few answers to rule chance out
NO_CASES = "NoCases"  # zero cases ran, which is not a pass

ALPHA = 0.05  # of McNemar's test: how often a canary as good as live may be rejected for cases that are not must-pass
LONGEST_MESSAGE = 1000
MOST_RESULTS = 200  # in the status of a Release, and names of passed cases in its promotion


@dataclass(frozen=True, slots=True)
class Judgement:
    """May the canary go on? Inconclusive holds it."""

    verdict: Literal["passed", "failed", "inconclusive"]
    reason: str
    message: str


def judge(results: Sequence[CaseResult], margin: float) -> Judgement:
    """Must-pass cases each with their share of right answers, which is all of them unless they say otherwise; the rest
    together not worse than live by more than `margin` (0 to 1).

    A failure counts although another case is unanswered. A must-pass case passes when its missing answers cannot change
    that any more; the rest must be answered each time they were asked, so that both sides are compared alike.
    """
    failed = [r for r in results if r.must_pass and on_canary(r) == "failed"]
    if failed:
        return Judgement("failed", MUST_PASS_FAILED, "; ".join(_failures(r) for r in failed)[:LONGEST_MESSAGE])
    if not results:
        return Judgement("inconclusive", NO_CASES, "no eval case gates this Release: zero cases run is not a pass")
    unanswered = [_unanswered(r) for r in results if _unanswered(r)]
    if unanswered:
        return Judgement("inconclusive", NO_ANSWER, f"no answer to {', '.join(unanswered)}"[:LONGEST_MESSAGE])
    return _compared(results, margin)


def _unanswered(result: CaseResult) -> str:
    """The case with its number of answers, where more are needed; a must-pass case needs none of live's."""
    asked = max(result.asked, 1)
    answers = result.canary_runs if result.must_pass else min(result.canary_runs, result.live_runs)
    enough = on_canary(result) != "open" if result.must_pass else answers >= asked
    why = f": {result.message}" if result.message and answers == 0 else ""
    return "" if enough else f"{result.case} ({answers} of {asked}{why})"


def on_canary(result: CaseResult) -> Standing:
    """Where the case stands on the canary."""
    return standing(result.canary_passed, result.canary_runs, result.asked, result.min_share)


def times(case: EvalCase, repeats: int) -> int:
    """How often the case is asked for one result; `repeats` is what its Release says."""
    return case.spec.repeats or repeats


def kept(results: Sequence[CaseResult], most: int = MOST_RESULTS) -> list[CaseResult]:
    """The results that the status has room for, by name: failures before must-pass cases before the rest."""
    first = sorted(results, key=lambda r: (on_canary(r) == "passed", not r.must_pass, r.case))
    return sorted(first[:most], key=lambda r: r.case)


def _compared(results: Sequence[CaseResult], margin: float) -> Judgement:
    """Canary against live on the cases that are not must-pass. Every case is answered.

    Worse by more than the margin is a failure where it is no chance: by McNemar's exact test on the pairs of answers, canary's
    and live's to the same request in the same turn. Else nobody can say, and asking the same again until it suits would be no test.
    """
    rest = [r for r in results if not r.must_pass]
    canary = _mean_rate([(r.canary_passed, r.canary_runs) for r in rest])
    live = _mean_rate([(r.live_passed, r.live_runs) for r in rest])
    if canary >= live - margin - 1e-9:
        return Judgement("passed", EVALS_PASSED, finding(results))
    worse, better = sum(r.worse for r in rest), sum(r.better for r in rest)
    chance = mcnemar(worse, better)
    said = (
        f"{_rates(rest)}, margin {margin:.0%}; of {worse + better} pairs of answers that differ {worse} speak against the canary"
        f" (McNemar's exact test: p = {chance:.2g})"
    )
    if chance <= ALPHA:
        return Judgement("failed", WORSE_THAN_LIVE, said)
    return Judgement("inconclusive", MAY_BE_CHANCE, f"{said}: ask more often (spec.evals.repeats), or add cases")


def finding(results: Sequence[CaseResult]) -> str:
    """What the results rest on, and what they could not have shown; "" without any."""
    if not results:
        return ""
    rest = [r for r in results if not r.must_pass]
    answers = sum(r.canary_runs for r in results)
    seen = (
        f"{_number(len(results), 'eval case')} with {_number(answers, 'answer')}, {len(results) - len(rest)} must-pass"
    )
    compared = f"; {_rates(rest)}" if rest else ""
    return f"{seen}{compared}; faults in less than {missed(len(results)):.0%} of what users ask may have been missed"


def _rates(rest: Sequence[CaseResult]) -> str:
    canary = _mean_rate([(r.canary_passed, r.canary_runs) for r in rest])
    live = _mean_rate([(r.live_passed, r.live_runs) for r in rest])
    return f"right without must-pass: canary {canary:.0%}, live {live:.0%}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _mean_rate(counts: Sequence[tuple[int, int]]) -> float:
    """Mean of the cases' pass rates: each case counts once, however often it was answered."""
    return sum(passed / runs for passed, runs in counts) / len(counts) if counts else 1.0


def _failures(result: CaseResult) -> str:
    failures = result.canary_runs - result.canary_passed
    message = f": {result.message}" if result.message else ""
    most = max(result.asked, 1) - needed(max(result.asked, 1), result.min_share)
    allowed = f" ({most} allowed)" if most else ""
    return f"{result.case} failed {failures} of {result.canary_runs}{allowed}{message}"


def select(cases: Iterable[EvalCase], release: Release) -> tuple[EvalCase, ...]:
    """The cases that gate this Release, by name: selected by its `spec.evals`, and proven or written by a person."""
    if release.spec.evals is None:
        return ()
    labels = release.spec.evals.match_labels
    selected = [
        case
        for case in cases
        if (case.metadata.namespace, case.spec.release) == release.key
        and case.metadata.deletion_timestamp is None
        and all(case.metadata.labels.get(key) == value for key, value in labels.items())
        and _gates(case)
    ]
    return tuple(sorted(selected, key=lambda case: case.metadata.name))


def _gates(case: EvalCase) -> bool:
    """True for a person's case; for a regression case only with a proof of the very spec that it has now."""
    if case.spec.origin.kind == "manual":
        return True
    return case.status.proven == "True" and case.status.observed_generation == case.metadata.generation
