"""Whether a case answers alike when it is repeated on one revision; one that does not is flaky, and set aside.

The live revision is asked the same a few times more, and live's answers of each rollout count as well. What a canary answers
never does: a version that is wrong now and then is at fault, not the case. Right and wrong on one live revision is flaky, at
once; steady again after ALIKE_AGAIN alike in a row, or with another spec. With `minShare` below 1 answers may vary, so there
not answers but results are compared.
"""

import math
from datetime import datetime, timedelta

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, Steadiness
from opsloop.api.release import Release
from opsloop.api.strategy import Evals
from opsloop.core import conditions
from opsloop.core.actions import AskAgain, ForgetLive
from opsloop.core.decision import DecisionBuilder
from opsloop.core.evalcase import gating, live
from opsloop.core.evalcase.share import standing
from opsloop.core.facts import EvalCaseFacts, LiveOutcome

# Named reasons of the condition Steady
STEADY = "Steady"  # as many answers as asked for agree
FLAKY = gating.FLAKY
TOO_FEW_ANSWERS = "TooFewAnswers"  # not repeated often enough yet, or spec.evals.steadyRepeats of the Release is 0

ALIKE_AGAIN = 60  # answers: a case that errs in one of 20 shows it in so many, with 95 %
ALIKE_RESULTS = 10  # the same where results are compared
BATCH = 20  # answers of a flaky case that are asked for at a time
AGAIN = timedelta(minutes=10)  # so often a flaky case is asked again
UNANSWERED = timedelta(minutes=5)  # after a time without enough answers
LOOK_AGAIN = timedelta(seconds=30)  # while others of its Release are asked again

_CONDITION = "Steady"
Builder = DecisionBuilder[EvalCaseFacts, EvalCaseStatus]


def follow(builder: Builder, fresh: LiveOutcome | None) -> None:
    """Counts what came, says whether the case is steady, and asks again where more answers are needed.

    `fresh` is the result on live that this look stores, if it does.
    """
    facts, release = builder.facts, builder.facts.release
    if facts.case.metadata.deletion_timestamp is not None:
        return
    if facts.sounded is not None:
        builder.execute(ForgetLive(facts.case.metadata.name, again=True))
    if release is None or not release.status.live or release.spec.evals is None:
        if builder.status.steadiness is not None:
            builder.set(steadiness=None, steady="")
            builder.condition(_CONDITION, None, TOO_FEW_ANSWERS, "no version of a Release with spec.evals is live")
        return
    told = known = of_revision(builder.status.steadiness, release.status.live)
    if fresh is not None:
        told = add(told, *units(facts.case, fresh))
    if facts.sounded is not None and facts.sounded.claim == _claim(facts.case, known):
        told = add(told, *units(facts.case, facts.sounded)).model_copy(update={"asked_at": builder.now})
    told = judged(_with_rollout(facts.case, release, told), _row(facts.case), builder.now)
    said = conditions.get(builder.status.conditions, _CONDITION)
    of_another_spec = builder.status.steady == "" and said is not None and said.status != "Unknown"
    if told.right or told.wrong or of_another_spec:  # until there is an answer, what was said of another version stands
        builder.set(steadiness=told)
        _say(builder, told, wanted(facts.case, release.spec.evals))
    _ask(builder, told, release)


def of_revision(before: Steadiness | None, digest: str) -> Steadiness:
    """What is known of this revision. A flaky case stays set aside on another one until its answers agree there."""
    if before is not None and before.digest == digest:
        return before
    return Steadiness(digest=digest, flaky_since=before.flaky_since if before else None)


def units(case: EvalCase, found: LiveOutcome) -> tuple[int, int]:
    """(right, wrong) of these answers: answers where each has to be right, else the one result that they give together."""
    if case.spec.min_share >= 1:
        return found.passed, found.answered - found.passed
    stands = standing(found.passed, found.answered, found.asked, case.spec.min_share)
    return int(stands == "passed"), int(stands == "failed")


def add(told: Steadiness, right: int, wrong: int) -> Steadiness:
    """With these answers as well. Their order is not known, so right and wrong ones together begin no row."""
    changes: dict[str, object] = {"right": told.right + right, "wrong": told.wrong + wrong}
    if right and wrong:
        changes |= {"alike": 0, "latest": ""}
    elif right or wrong:
        latest = "right" if right else "wrong"
        changes |= {"alike": right + wrong + (told.alike if told.latest == latest else 0), "latest": latest}
    return told.model_copy(update=changes)


def judged(told: Steadiness, row: int, now: datetime) -> Steadiness:
    """Set aside from now on where answers differ, and no more once `row` of them were alike: then only those count."""
    if told.flaky_since is None:
        return told.model_copy(update={"flaky_since": now}) if told.right and told.wrong else told
    if told.alike < row:
        return told
    alike = {"right": told.alike if told.latest == "right" else 0, "wrong": told.alike if told.latest == "wrong" else 0}
    return told.model_copy(update={**alike, "flaky_since": None})


def wanted(case: EvalCase, evals: Evals) -> int:
    """Answers (results, with minShare below 1: two at least) of a live revision that make a case steady; 0: it is not asked."""
    if case.spec.min_share >= 1 or not evals.steady_repeats:
        return evals.steady_repeats
    return max(2, math.ceil(evals.steady_repeats / gating.times(case, evals.repeats)))


def _row(case: EvalCase) -> int:
    return ALIKE_AGAIN if case.spec.min_share >= 1 else ALIKE_RESULTS


def _claim(case: EvalCase, told: Steadiness) -> tuple[object, ...]:
    return (*live.claim(case, told.digest), told.right, told.wrong)


def _with_rollout(case: EvalCase, release: Release, told: Steadiness) -> Steadiness:
    """With live's answers in the rollout that is under way, each run once."""
    target = release.status.target
    if target is None or target.state not in ("Dark", "Stepping"):  # else another revision may be live since then
        return told
    for result in target.evals:
        run = f"{target.started_at.isoformat()} {result.live_passed}/{result.live_runs}"
        if result.case == case.metadata.name and result.live_runs and told.counted != run:
            found = LiveOutcome((), result.asked, result.live_passed, result.live_runs)
            return add(told, *units(case, found)).model_copy(update={"counted": run})
    return told


def _say(builder: Builder, told: Steadiness, enough: int) -> None:
    """The condition, and an Event where it changes."""
    case, before = builder.facts.case, conditions.get(builder.status.conditions, _CONDITION)
    was_flaky = before is not None and before.status == "False"
    what = "answers" if case.spec.min_share >= 1 else "results"
    counts = f"{told.right} of {told.right + told.wrong} {what} on {_version(builder.facts, told.digest)} right"
    if told.flaky_since is not None:
        instead = "compared with live instead of must-pass" if case.spec.must_pass else "it gates nothing"
        back = f"steady again after {_row(case)} alike in a row ({told.alike} so far), or with another spec"
        text = f"{counts}: set aside, {instead}; {back}"
        builder.set(steady="Flaky")
        builder.condition(_CONDITION, False, FLAKY, text)
        if not was_flaky:
            builder.event(FLAKY, text, "Warning")
    elif enough and told.right + told.wrong >= enough:
        builder.set(steady="Steady")
        builder.condition(_CONDITION, True, STEADY, counts)
        if was_flaky:
            builder.event(STEADY, f"{counts}: it gates again")
    else:
        builder.set(steady="")
        needed = f"{enough} are asked for" if enough else "spec.evals.steadyRepeats of the Release is 0"
        builder.condition(_CONDITION, None, TOO_FEW_ANSWERS, f"{counts}; {needed}")


def _version(facts: EvalCaseFacts, digest: str) -> str:
    revisions = facts.release.status.revisions if facts.release else []
    return next((r.version for r in revisions if r.digest == digest), "") or digest


def _ask(builder: Builder, told: Steadiness, release: Release) -> None:
    """Asks again what has a result: while answers are missing, and now and then while it is flaky; where one version is live alone."""
    case, known, evals = builder.facts.case, builder.status.live, release.spec.evals
    rolled = conditions.get(release.status.conditions, "RolledOut")
    if evals is None or not builder.facts.live_selector or known is None or known.digest != told.digest:
        return
    if builder.facts.stop is not None or (rolled is not None and rolled.status != "True"):
        builder.execute(ForgetLive(case.metadata.name, again=True))  # what is under way
        return
    missing, flaky = wanted(case, evals) - told.right - told.wrong, told.flaky_since is not None
    if known.result == "NoAnswer" or not (flaky or missing > 0):
        return
    if told.asked_at is not None and builder.now < (due := told.asked_at + (AGAIN if flaky else UNANSWERED)):
        builder.look_again(due - builder.now)
        return
    times = gating.times(case, evals.repeats) if case.spec.min_share < 1 else BATCH if flaky else missing
    builder.execute(AskAgain(case, _claim(case, told), times, dict(builder.facts.live_selector)))
    builder.look_again(LOOK_AGAIN)
