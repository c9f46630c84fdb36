"""Which eval cases gate the promotions of a Release, and the verdict of their results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from opsloop.api.evalcase import EvalCase
from opsloop.api.release import Release
from opsloop.api.target import CaseResult
from opsloop.core.evalcase import merging
from opsloop.core.evalcase.expectation import NO_ANSWER
from opsloop.core.evalcase.loads import with_pod
from opsloop.core.evalcase.share import Standing, needed, standing
from opsloop.core.slo.canary import WORSE_THAN_LIVE
from opsloop.core.statistics.paired import mcnemar, missed

# Named reasons
EVALS_PASSED = "EvalsPassed"  # every must-pass case passed, and the rest is not worse than live
MUST_PASS_FAILED = "MustPassFailed"  # a must-pass case failed on the canary more often than its minShare allows
MAY_BE_CHANCE = "MayBeChance"  # worse than live by more than the margin, on too few answers to rule chance out
NO_CASES = "NoCases"  # zero cases ran, which is not a pass
FLAKY = "Flaky"  # answers of one live revision were right and wrong: the case is set aside until it is steady again

ALPHA = 0.05  # of McNemar's test: how often a canary as good as live may be rejected for cases that are not must-pass
FLAKY_REPEATS = (
    20  # of a must-pass case that is set aside: wrong on live in a tenth, on a canary in half, is told with 80 %
)
LONGEST_MESSAGE = 1000
MOST_TOLD = 5  # flaky cases that a verdict names
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

    Flaky cases are set aside. One that is must-pass still stops a canary that is surely worse than live on it.
    """
    failed = [r for r in results if r.must_pass and not r.flaky and on_canary(r) == "failed"]
    if surely := [r for r in failed if not _varies_on_live(r)]:
        return Judgement("failed", MUST_PASS_FAILED, "; ".join(_failures(r) for r in surely)[:LONGEST_MESSAGE])
    if worse := _worse_though_flaky(results):
        return Judgement("failed", WORSE_THAN_LIVE, "; ".join(worse)[:LONGEST_MESSAGE])
    if failed:
        text = f"{_failures(failed[0])}; on live {failed[0].live_passed} of {failed[0].live_runs} were right"
        return Judgement("inconclusive", FLAKY, text[:LONGEST_MESSAGE])
    ran = [r for r in results if not r.flaky or r.must_pass]
    if not ran:
        why = f"all are set aside as flaky ({_names(results)})" if results else "no eval case gates this Release"
        return Judgement("inconclusive", NO_CASES, f"{why}: zero cases run is not a pass"[:LONGEST_MESSAGE])
    unanswered = [_unanswered(r) for r in ran if _unanswered(r)]
    if unanswered:
        return Judgement("inconclusive", NO_ANSWER, f"no answer to {', '.join(unanswered)}"[:LONGEST_MESSAGE])
    return _compared(results, margin)


def _varies_on_live(result: CaseResult) -> bool:
    """True where this very run shows that the case is flaky: live was right and wrong, and each answer has to be right."""
    return result.min_share >= 1 and 0 < result.live_passed < result.live_runs


def _worse_though_flaky(results: Sequence[CaseResult]) -> list[str]:
    """Of each must-pass case that is set aside, why the canary is surely worse on it than live; ALPHA is for all of them together."""
    aside = [r for r in results if r.must_pass and r.flaky]
    return [
        f"{r.case}, flaky on live ({r.live_passed} of {r.live_runs} right), was right {r.canary_passed} of {r.canary_runs} times"
        f" (McNemar's exact test: p = {mcnemar(r.worse, r.better):.2g}): {r.message}"
        for r in aside
        if mcnemar(r.worse, r.better) <= ALPHA / len(aside)
    ]


def _unanswered(result: CaseResult) -> str:
    """The case with its number of answers, where more are needed; a must-pass case needs none of live's."""
    asked, alone = max(result.asked, 1), result.must_pass and not result.flaky
    answers = result.canary_runs if alone else min(result.canary_runs, result.live_runs)
    enough = on_canary(result) != "open" if alone else answers >= asked
    why = f": {result.message}" if result.message and (answers == 0 or result.pod == "NoAnswer") else ""
    return "" if enough else f"{result.case} ({answers} of {asked}{why})"


def on_canary(result: CaseResult) -> Standing:
    """Where the case stands on the canary."""
    by_replies = standing(result.canary_passed, result.canary_runs, result.asked, result.min_share)
    return with_pod(by_replies, result.pod)


def times(case: EvalCase, repeats: int) -> int:
    """How often the case is asked for one result; `repeats` is what its Release says. A flaky one is asked more often."""
    if case.spec.load is not None:
        return case.spec.load.requests
    return max(case.spec.repeats or repeats, FLAKY_REPEATS if case.is_flaky and case.spec.must_pass else 1)


def is_asked(case: EvalCase) -> bool:
    """False for a flaky case that is not must-pass: it says nothing of a canary."""
    return case.spec.must_pass or not case.is_flaky


def kept(results: Sequence[CaseResult], most: int = MOST_RESULTS) -> list[CaseResult]:
    """The results that the status has room for, by name: failures before must-pass cases before the rest."""
    first = sorted(results, key=lambda r: (on_canary(r) == "passed" and not r.flaky, not r.must_pass, r.case))
    return sorted(first[:most], key=lambda r: r.case)


def _compared(results: Sequence[CaseResult], margin: float) -> Judgement:
    """Canary against live on the cases that are not must-pass. Every case is answered.

    Worse by more than the margin is a failure where it is no chance: by McNemar's exact test on the pairs of answers, canary's
    and live's to the same request in the same turn. Else nobody can say, and asking the same again until it suits would be no test.
    """
    rest = [r for r in results if not r.must_pass and not r.flaky]
    canary = _mean_rate([(r.canary_passed, r.canary_runs) for r in rest])
    live = _mean_rate([(r.live_passed, r.live_runs) for r in rest])
    if canary >= live - margin - 1e-9:
        return Judgement("passed", EVALS_PASSED, finding(results))
    worse, better = sum(r.worse for r in rest), sum(r.better for r in rest)
    chance = mcnemar(worse, better)
    said = (
        f"{_rates(rest)} over {_number(len(rest), 'eval case')}, margin {margin:.0%}; of {worse + better} pairs of answers that differ {worse} speak against the canary"
        f" (McNemar's exact test: p = {chance:.2g})"
    )
    if chance <= ALPHA:
        return Judgement("failed", WORSE_THAN_LIVE, said)
    return Judgement("inconclusive", MAY_BE_CHANCE, f"{said}: ask more often (spec.evals.repeats), or add cases")


def finding(results: Sequence[CaseResult]) -> str:
    """What the results rest on, and what they could not have shown; "" without any."""
    if not results:
        return ""
    counted, aside = [r for r in results if not r.flaky and not r.load], [r for r in results if r.flaky]
    rest = [r for r in counted if not r.must_pass]
    answers = sum(r.canary_runs for r in counted)
    seen = (
        f"{_number(len(counted), 'eval case')} with {_number(answers, 'answer')}, {len(counted) - len(rest)} must-pass"
    )
    compared = f"; {_rates(rest)}" if rest else ""
    flaky = f"; set aside as flaky: {_names(aside)}" if aside else ""
    loads = "".join(f"; {r.case}: {_good(r)}" for r in results if r.load)
    if not counted:
        return f"no eval case{flaky}{loads}"
    return f"{seen}{compared}{flaky}{loads}; faults in less than {missed(len(counted)):.0%} of what users ask may have been missed"


def _good(result: CaseResult) -> str:
    """What a check saw."""
    pod = ", and the pod within its bounds" if result.pod == "Passed" else ""
    return f"{result.canary_passed} of {result.asked} replies good under {result.load}{pod}"


def with_loads(results: Sequence[CaseResult], before: Sequence[CaseResult]) -> list[CaseResult]:
    """The results of a later step beside those of the dark phase that are not asked for again: once a canary has users, it is not loaded."""
    again = {r.case for r in results}
    return [*results, *(r for r in before if r.load and r.case not in again)]


def _names(aside: Sequence[CaseResult]) -> str:
    """The cases that are set aside; of a must-pass one, what holds instead."""
    told = [
        f"{r.case} (compared with live instead of must-pass: right {r.canary_passed} of {r.canary_runs}, live {r.live_passed} of"
        f" {r.live_runs})"
        if r.must_pass
        else r.case
        for r in sorted(aside, key=lambda r: (not r.must_pass, r.case))
    ]
    return ", ".join(told[:MOST_TOLD]) + (f" and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else "")


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
    if result.pod == "Failed":
        return f"{result.case} failed: {result.message}"
    failures = result.canary_runs - result.canary_passed
    message = f": {result.message}" if result.message else ""
    most = max(result.asked, 1) - needed(max(result.asked, 1), result.min_share)
    allowed = f" ({most} allowed)" if most else ""
    return f"{result.case} failed {failures} of {result.canary_runs}{allowed}{message}"


def select(cases: Iterable[EvalCase], release: Release) -> tuple[EvalCase, ...]:
    """The cases that gate this Release, by name: selected by its `spec.evals`, and proven or written by a person; of those that
    ask the same after several Incidents one."""
    selected = selected_by(cases, release)
    merged = merging.keepers(selected)
    return tuple(case for case in selected if case.metadata.name not in merged)


def selected_by(cases: Iterable[EvalCase], release: Release) -> tuple[EvalCase, ...]:
    """Those cases with the ones that another one stands for."""
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
