"""What a case says of the version that is live: asked when the case is written, and again when another version is live.

It is no probe: between those it is not asked. A result without enough answers is asked again, ever less often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, LiveResult
from opsloop.core import conditions
from opsloop.core.actions import Action, AskLive, ForgetLive
from opsloop.core.evalcase.expectation import Answer
from opsloop.core.evalcase.share import needed, standing
from opsloop.core.facts import EvalCaseFacts, LiveOutcome

# Named reasons of the condition PassesOnLive
PASSED = "Passed"  # enough of its answers were right
FAILED = "Failed"  # too few of its answers were right
NOT_ASKED = "NotAsked"  # no version is live alone (none, or a rollout is under way), or opsloop is stopped
ASKING = "Asking"  # live pods are being asked
ONLY_DARK = "OnlyDark"  # a check under load, which is sent to dark canaries alone

AGAIN = timedelta(seconds=30)  # after a result without enough answers, doubled each time
AT_LEAST = timedelta(minutes=5)  # so often is it asked again at least
LOOK_AGAIN = timedelta(seconds=5)  # while it is asked, or others of its Release are


@dataclass(frozen=True, slots=True)
class LiveStep:
    """Changed fields of the status, the condition (value, reason, sentence), and what is done."""

    changes: Mapping[str, Any]
    condition: tuple[bool | None, str, str]
    actions: tuple[Action, ...] = ()
    look_again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """Standing and sentence of a result."""

    passed: bool | None
    reason: str
    message: str


def claim(case: EvalCase, digest: str) -> tuple[object, ...]:
    """What is claimed by asking: another case, or another live revision, is asked anew."""
    return case.metadata.uid, case.metadata.generation, digest


def outcome(claimed: tuple[object, ...], answers: Sequence[Answer]) -> LiveOutcome:
    """The answers, counted, with the first failure or else the first reason for a missing one."""
    failed = [a for a in answers if a.fit == "failed"]
    missing = [a for a in answers if a.fit == "no_answer"]
    told = (failed or missing or [Answer("passed")])[0]
    return LiveOutcome(
        claim=claimed,
        asked=len(answers),
        passed=sum(a.fit == "passed" for a in answers),
        answered=len(answers) - len(missing),
        message=told.message,
        reason=missing[0].reason if missing else "",
    )


def next_step(facts: EvalCaseFacts, status: EvalCaseStatus, now: datetime) -> LiveStep:
    """The next step. `status` is that of the present generation."""
    if facts.case.spec.load is not None:
        return LiveStep({}, (None, ONLY_DARK, "a check under load is sent to dark canaries alone, never to live"))
    digest = facts.release.status.live if facts.release else ""
    if not digest or facts.release is None or not facts.live_selector:
        return LiveStep({"live": None}, (None, NOT_ASKED, "no version of its Release is live"), _forget(facts))
    rolled = conditions.get(facts.release.status.conditions, "RolledOut")
    if rolled is not None and rolled.status != "True":  # its pods are of two versions
        waits = (None, NOT_ASKED, "asked when the rollout is over, see RolledOut of the Release")
        return LiveStep({}, waits, (ForgetLive(facts.case.metadata.name),))
    if _is_of(facts.live_outcome, facts.case, digest):
        assert facts.live_outcome is not None
        return _stored(facts, facts.live_outcome, digest, status, now)
    known = status.live if status.live and status.live.digest == digest else None
    due = known is None or (known.result == "NoAnswer" and now >= _due(known))
    if not due:
        assert known is not None
        rest = _due(known) - now if known.result == "NoAnswer" else None
        return LiveStep({}, _condition(facts.case, known), _forget(facts), rest)
    if facts.stop is not None:
        waits = (None, NOT_ASKED, f"no pod is asked: {facts.stop.sentence}")
        stops = (ForgetLive(facts.case.metadata.name),)  # also what is under way
        return LiveStep({}, waits, stops)
    repeats = facts.release.spec.evals.repeats if facts.release.spec.evals else 1
    ask = AskLive(facts.case, digest, repeats, dict(facts.live_selector))
    said = _condition(facts.case, status.live) if status.live else (None, ASKING, "live pods are being asked")
    return LiveStep({}, said, (ask,), LOOK_AGAIN)  # until there is an answer, what was said of another version stands


def _stored(facts: EvalCaseFacts, found: LiveOutcome, digest: str, status: EvalCaseStatus, now: datetime) -> LiveStep:
    assert facts.release is not None
    said, before = _said(facts.case, found), status.live
    silent = before is not None and (before.digest, before.result) == (digest, "NoAnswer")
    result = LiveResult(
        digest=digest,
        version=next((r.version for r in facts.release.status.revisions if r.digest == digest), ""),
        result="NoAnswer" if said.passed is None else "Passed" if said.passed else "Failed",
        passed=found.passed,
        answered=found.answered,
        asked=found.asked,
        reason=said.reason,
        message=said.message[:512],
        at=now,
        tries=1 + (before.tries if silent and before else 0),
    )
    again = _due(result) - now if said.passed is None else None
    return LiveStep({"live": result}, _condition(facts.case, result), _forget(facts), again)


def _said(case: EvalCase, found: LiveOutcome) -> _Said:
    stands = standing(found.passed, found.answered, found.asked, case.spec.min_share)
    counts = f"{found.passed} of {found.answered} answers right"
    if case.spec.min_share < 1:
        counts += f", {needed(found.asked, case.spec.min_share)} of {found.asked} needed"
    told = f"{counts}: {found.message}" if found.message else counts
    if stands == "passed":
        return _Said(True, PASSED, counts)
    if stands == "failed":
        return _Said(False, FAILED, told)
    return _Said(None, found.reason, told)


def _condition(case: EvalCase, result: LiveResult) -> tuple[bool | None, str, str]:
    value = {"Passed": True, "Failed": False}.get(result.result)
    return value, result.reason, f"on {result.version or result.digest}: {result.message}"


def _due(result: LiveResult) -> datetime:
    """When a result without enough answers is asked for again."""
    doubled: timedelta = AGAIN * 2 ** min(result.tries - 1, 8)
    return result.at + min(doubled, AT_LEAST)


def _is_of(found: LiveOutcome | None, case: EvalCase, digest: str) -> bool:
    return found is not None and found.claim == claim(case, digest)


def _forget(facts: EvalCaseFacts) -> tuple[Action, ...]:
    return (ForgetLive(facts.case.metadata.name),) if facts.live_outcome is not None else ()
