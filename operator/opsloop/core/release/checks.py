"""Checks of a rollout: what they said, whether the canary may go on, and which ones begin now.

A check's record is stored before it is made. Its Job has a name that every process computes; an address may be asked more than once
for the same, since a question does nothing. Only an answer decides: a harness that fails is neither a pass nor a failure.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta

from opsloop.api.check import MOST_RESULTS, CheckResult, RolloutCheck
from opsloop.api.meta import format_duration, format_time
from opsloop.api.release import Release
from opsloop.api.target import Target
from opsloop.core.errands.job import NO_POD
from opsloop.core.facts import Errand
from opsloop.core.release import stopped
from opsloop.core.release.check_rights import refusal
from opsloop.core.release.outcome import DARK, Hold, Outcome, Reject, Rollout

# Named reasons
CHECK_FAILED = "CheckFailed"  # a check of the rollout said no: the Job's exit code, or the webhook's answer
WAITING_FOR_CHECKS = "WaitingForChecks"  # checks of the rollout run
CHECK_NOT_CONFIRMED = "CheckNotConfirmed"  # a webhook answers: not yet; it is asked again
CHECK_UNANSWERED = "CheckUnanswered"  # a check gives no answer: its Job could not be run to its end, or nobody answers

YES = range(200, 300)
NOT_YET = (202, 403, 425)  # Accepted, Forbidden (a gate that is closed), Too Early
NO = (409, 412, 417, 422)  # Conflict, Precondition Failed, Expectation Failed, Unprocessable Content

AGAIN = timedelta(seconds=10)  # until an address is asked again, or a Job that gave no answer is started again
OVERDUE = timedelta(seconds=NO_POD) + timedelta(minutes=2)  # after its deadline, at which Kubernetes ends a Job
LONGEST = 900  # characters of a message with the end of a log


def due(rollout: Rollout) -> list[RolloutCheck]:
    """The checks of the decided weight, in the order of the spec."""
    weight, checks = weight_of(rollout), rollout.facts.release.spec.strategy.canary.checks
    return [check for check in checks if weight in check.at] if rollout.target.state in ("Dark", "Stepping") else []


def weight_of(rollout: Rollout) -> int:
    """The decided weight; 0 in the dark phase."""
    return 0 if rollout.step == DARK else rollout.target.weight


def mark(release: Release, target: Target, check: RolloutCheck, weight: int) -> str:
    """Tells this try of the target, and what the check asks, from every other one: ten hexadecimal digits."""
    asked = check.model_dump(mode="json", exclude={"at", "dry_run", "inconclusive"})
    account = release.spec.service_account_name  # another one has to be asked about anew
    told = [release.metadata.uid, target.digest, format_time(target.started_at), weight, account, asked]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]


def result_of(rollout: Rollout, check: RolloutCheck) -> CheckResult | None:
    """The result of this check, as it is now, at the decided weight; None before it began."""
    weight = weight_of(rollout)
    found = next((r for r in rollout.target.checks if (r.name, r.weight) == (check.name, weight)), None)
    same = found is not None and found.id == mark(rollout.facts.release, rollout.target, check, weight)
    return found if same else None


def seen(rollout: Rollout) -> Target:
    """The target with what came of its checks by now. One that runs and was changed, or is not asked for any more, is dropped."""
    every, weight = {check.name: check for check in due(rollout)}, weight_of(rollout)
    kept = []
    for result in rollout.target.checks:
        check = every.get(result.name)
        if not result.is_running:
            kept.append(result)
        elif result.weight != weight:
            kept.append(_ended(rollout, result, "Unknown", "a person had the canary go on without it"))
        elif check is not None and result_of(rollout, check) is not None:
            kept.append(_after(rollout, check, result).model_copy(update={"dry_run": check.dry_run}))
    return rollout.target.model_copy(update={"checks": kept})


def failed(rollout: Rollout) -> Outcome | None:
    """Reject where a check of this weight said no."""
    for check in due(rollout):
        result = result_of(rollout, check)
        if result is not None and result.result == "Failed" and not check.dry_run:
            return Reject(CHECK_FAILED, f"check {check.name} failed{_at(result)}: {result.message}")
    return None


def pending(rollout: Rollout) -> Outcome | None:
    """Reject or Hold until each check of this weight has passed; what a person can do something about is told before what runs.

    One that only watches is waited for, and decides nothing.
    """
    found = [outcome for outcome in _waits(rollout) if outcome is not None]
    found.sort(key=lambda one: (not isinstance(one, Reject), one.reason == WAITING_FOR_CHECKS))
    return next(iter(found), None)


def _waits(rollout: Rollout) -> Iterator[Hold | Reject | None]:
    for check in due(rollout):
        result = result_of(rollout, check)
        if result is not None and result.is_running:
            yield Hold(result.reason or WAITING_FOR_CHECKS, result.message or f"check {check.name} runs")
        elif result is None:
            refused = refusal(rollout.facts, check)
            if refused is None or check.dry_run:
                yield Hold(WAITING_FOR_CHECKS, f"check {check.name} begins")
            else:
                yield Hold(refused[0], f"check {check.name}: {refused[1]}")
        elif result.result == "Unknown" and not check.dry_run:
            yield _unanswered(check, result)


def _unanswered(check: RolloutCheck, result: CheckResult) -> Hold | Reject:
    message = f"check {check.name} gave no answer{_at(result)}: {result.message}"
    if check.inconclusive == "abort":
        return Reject(CHECK_UNANSWERED, message, block=False)
    how = "annotate opsloop.dev/retry to start again, or opsloop.dev/promote to go on without it"
    return Hold(CHECK_UNANSWERED, f"{message}; {how}")


def begun(rollout: Rollout) -> Target:
    """The target with the records of checks that begin now. Those that must not be made wait for their rights; one that only watches
    has no answer."""
    new, weight = [], weight_of(rollout)
    for check in due(rollout):
        refused = refusal(rollout.facts, check)
        if result_of(rollout, check) is not None or (refused and not check.dry_run):
            continue
        record = CheckResult(
            name=check.name,
            weight=weight,
            id=mark(rollout.facts.release, rollout.target, check, weight),
            result="Running",
            dry_run=check.dry_run,
            since=rollout.now,
        )
        new.append(_ended(rollout, record, "Unknown", refused[1], refused[0]) if refused else record)
    return rollout.target.model_copy(update={"checks": bounded(rollout.target.checks, new)}) if new else rollout.target


def bounded(before: list[CheckResult], new: list[CheckResult]) -> list[CheckResult]:
    """At most MOST_RESULTS, the latest, one for each check and weight."""
    replaced = {(result.name, result.weight) for result in new}
    return [*(r for r in before if (r.name, r.weight) not in replaced), *new][-MOST_RESULTS:]


def closed(target: Target) -> list[CheckResult]:
    """The results of a target that ends: what still runs ends with its canary."""
    over = {"result": "Unknown", "reason": CHECK_UNANSWERED, "message": "its canary ended before it"}
    return [result.model_copy(update=over) if result.is_running else result for result in target.checks]


# --- what an errand's end means


def _after(rollout: Rollout, check: RolloutCheck, result: CheckResult) -> CheckResult:
    """A running result, with what is known of its errand."""
    errand = rollout.facts.checks.errands.get(errand_of(result))
    if check.job is not None:
        return _after_job(rollout, check, result, errand)
    return _after_call(rollout, check, result, errand)


def _after_job(rollout: Rollout, check: RolloutCheck, result: CheckResult, errand: Errand | None) -> CheckResult:
    assert check.job is not None
    attempts = 1 if check.dry_run else check.job.attempts
    since, deadline = stopped.deadline_start(rollout.status, result.since), check.job.deadline
    if errand is None or errand.state == "Going":
        if rollout.facts.stop is not None or rollout.now - since <= deadline + OVERDUE:
            return result
        text = f"the Job did not end by its deadline of {format_duration(deadline)}, nor did Kubernetes end it"
        return _no_answer(rollout, result, attempts, text)
    if errand.state == "Done":
        return _ended(rollout, result, "Passed", _with_log(errand))
    if errand.state == "Failed" and errand.code is not None:
        return _ended(rollout, result, "Failed", _with_log(errand))
    return _no_answer(rollout, result, attempts, _with_log(errand))


def _after_call(rollout: Rollout, check: RolloutCheck, result: CheckResult, errand: Errand | None) -> CheckResult:
    assert check.webhook is not None
    code = errand.code if errand is not None else None
    said = result.message
    if errand is not None and errand.state != "Going":
        said = errand.message
        if code in YES and code not in NOT_YET:
            return _ended(rollout, result, "Passed", said)
        if code in NO:
            return _ended(rollout, result, "Failed", said)
        reason = CHECK_NOT_CONFIRMED if code in NOT_YET else errand.reason or CHECK_UNANSWERED
        result = result.model_copy(update={"reason": reason, "message": f"check {check.name}: {said}"[:LONGEST]})
        if check.dry_run:
            return _ended(rollout, result, "Unknown", said, reason)
    since, timeout = stopped.deadline_start(rollout.status, result.since), check.webhook.timeout
    if rollout.now - since < timeout:
        return result
    text = f"it said neither yes nor no within {format_duration(timeout)}"
    return _ended(rollout, result, "Unknown", f"{text}; {said}" if said else text, result.reason or CHECK_UNANSWERED)


def _ended(rollout: Rollout, result: CheckResult, how: str, message: str, reason: str = "") -> CheckResult:
    return result.model_copy(
        update={"result": how, "reason": reason, "message": message[:LONGEST], "ended_at": rollout.now}
    )


def _no_answer(rollout: Rollout, result: CheckResult, attempts: int, message: str) -> CheckResult:
    """The next attempt a little later, or the end without an answer."""
    if result.attempt >= attempts:
        return _ended(rollout, result, "Unknown", message, CHECK_UNANSWERED)
    text = f"check {result.name}: attempt {result.attempt} of {attempts} gave no answer: {message}"
    return result.model_copy(
        update={
            "attempt": result.attempt + 1,
            "since": rollout.now + AGAIN,
            "reason": CHECK_UNANSWERED,
            "message": text[:LONGEST],
        }
    )


def _with_log(errand: Errand) -> str:
    """What is known of the Job's end, with as much of the end of its log as there is room for."""
    if not errand.tail:
        return errand.message
    room = LONGEST - len(errand.message) - len("; its log ends: ")
    return f"{errand.message}; its log ends: {errand.tail[-room:]}"


def _at(result: CheckResult) -> str:
    return f" at weight {result.weight}" if result.weight else " in the dark phase"


def errand_of(result: CheckResult) -> str:
    """What a check's errand is called among those of its Release."""
    return f"check-{result.name}-{result.id}-{result.attempt}"


def told(result: CheckResult) -> str:
    """One result in words, for an Event."""
    words = {"Passed": "passed", "Failed": "failed", "Unknown": "gave no answer", "Running": "runs"}
    watched = "; it only watches and decides nothing" if result.dry_run else ""
    return f"check {result.name} {words[result.result]}{_at(result)}{watched}: {result.message}"
