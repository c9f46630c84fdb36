"""Eval cases: does a reply fit, which cases gate a promotion and what they say together, where a case comes from."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from opsloop.api.evalcase import (
    EvalCase,
    EvalCaseSpec,
    EvalCaseStatus,
    EvalExpect,
    EvalRequest,
    LastResult,
    Origin,
    ProofPair,
)
from opsloop.api.incident import LinkedTicket
from opsloop.api.release import CaseResult, Release
from opsloop.core import conditions
from opsloop.core.decision import Decision, Event
from opsloop.core.evalcase import proof
from opsloop.core.facts import EvalCaseFacts, ProbeReply

Fit = Literal["passed", "failed", "no_answer"]
MOST_TOLD = 300  # characters of a message about one reply
LONGEST_PATH = 2048

# Named reasons of a gate
EVALS_PASSED = "EvalsPassed"  # every must-pass case passed, and the rest is not worse than live
MUST_PASS_FAILED = "MustPassFailed"  # a must-pass case failed at least once on the canary
WORSE_THAN_LIVE = "WorseThanLive"  # the canary's pass rate is below live's by more than the margin
NO_CASES = "NoCases"  # nothing was asked: that is not a pass
NO_ANSWER = "NoAnswer"  # a case got no answer, so nobody knows

# Named reasons why a ticket gives no case
NO_ASK = "NoAsk"  # spec.evals.ask of the Release does not say how to ask a pod
NO_EXAMPLE = "NoExample"  # the ticket does not say what was asked and what would have been right
TOO_LONG = "TooLong"  # the question does not fit into a path


# --- does a reply fit?


def fits(expect: EvalExpect, reply: ProbeReply) -> tuple[Fit, str]:
    """Whether the reply is what was expected, and what was wrong. A pod that cannot be reached has not failed."""
    if reply.status == 0:
        return "no_answer", f"no answer: {reply.error or 'the pod did not reply'}"[:MOST_TOLD]
    if reply.status != expect.status:
        return "failed", _wanted(f"HTTP {expect.status}", f"{reply.status}: {reply.body.strip()}")
    try:
        value = _value(reply.body, expect.field)
    except ValueError as wrong:
        return "failed", _wanted(f"field {expect.field}", f"{wrong}: {reply.body.strip()}")
    if expect.equals is not None and value.strip() != expect.equals.strip():
        return "failed", _wanted(_quoted(expect.equals), _quoted(value))
    if expect.contains is not None and expect.contains not in value:
        return "failed", _wanted(f"something with {_quoted(expect.contains)}", _quoted(value))
    return "passed", ""


def _value(body: str, path: str) -> str:
    """The text at a dotted path of a JSON body ("" = the whole body). Raises ValueError that says what is missing."""
    if not path:
        return body
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("a reply that is not JSON") from None
    if not (isinstance(found, dict) and path in found):
        for part in path.split("."):
            found = _member(found, part)
    else:
        found = found[path]
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, sort_keys=True)


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 7 and int(part) < len(value):
        return value[int(part)]
    raise ValueError(f"a reply without {part!r}")


def _wanted(wanted: str, got: str) -> str:
    half = (MOST_TOLD - len("wanted , got ")) // 2
    return f"wanted {_cut(wanted, half)}, got {_cut(got, half)}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _quoted(text: str) -> str:
    half = (MOST_TOLD - len("wanted , got ")) // 2 - len('something with ""')
    return f'"{_cut(" ".join(text.split()), half)}"'


# --- which cases gate, and what do they say together?


@dataclass(frozen=True, slots=True)
class Gate:
    """May the canary go on? Inconclusive holds."""

    verdict: Literal["passed", "failed", "inconclusive"]
    reason: str
    message: str


def gate(results: Sequence[CaseResult], margin: float) -> Gate:
    """Must-pass cases at zero failures; the rest together not worse than live by more than `margin` (0 to 1).

    A sure failure counts although another case is unanswered; a pass needs every case to be answered.
    """
    failed = [r for r in results if r.must_pass and r.canary_passed < r.canary_runs]
    if failed:
        return Gate("failed", MUST_PASS_FAILED, "; ".join(_of_case(r) for r in failed)[:1000])
    if not results:
        return Gate("inconclusive", NO_CASES, "no eval case gates this Release: zero cases run is not a pass")
    silent = [r.case for r in results if r.canary_runs == 0 or (r.live_runs == 0 and not r.must_pass)]
    if silent:
        return Gate("inconclusive", NO_ANSWER, f"no answer to {', '.join(silent)}"[:1000])
    rest = [r for r in results if not r.must_pass]
    canary = _rate([(r.canary_passed, r.canary_runs) for r in rest])
    live = _rate([(r.live_passed, r.live_runs) for r in rest])
    told = f"{len(results)} cases; pass rate without must-pass: canary {canary:.0%}, live {live:.0%}"
    if canary < live - margin - 1e-9:
        return Gate("failed", WORSE_THAN_LIVE, f"{told}, margin {margin:.0%}")
    return Gate("passed", EVALS_PASSED, told if rest else f"{len(results)} must-pass cases passed")


def _rate(counts: Sequence[tuple[int, int]]) -> float:
    """Mean of the cases' pass rates: each case counts once, however often it was answered."""
    return sum(passed / runs for passed, runs in counts) / len(counts) if counts else 1.0


def _of_case(result: CaseResult) -> str:
    failures = result.canary_runs - result.canary_passed
    why = f": {result.message}" if result.message else ""
    return f"{result.case} failed {failures} of {result.canary_runs}{why}"


def gating(cases: Iterable[EvalCase], release: Release) -> tuple[EvalCase, ...]:
    """The cases that gate this Release, by name: selected by it, and proven or written by a person."""
    if release.spec.evals is None:
        return ()
    wanted = release.spec.evals.match_labels
    mine = [
        case
        for case in cases
        if (case.metadata.namespace, case.spec.release) == release.key
        and case.metadata.deletion_timestamp is None
        and all(case.metadata.labels.get(k) == v for k, v in wanted.items())
        and counts(case)
    ]
    return tuple(sorted(mine, key=lambda case: case.metadata.name))


def counts(case: EvalCase) -> bool:
    """Does it gate anything? A regression case only with a proof of the very spec that it has now."""
    if case.spec.origin.kind == "manual":
        return True
    return case.status.proven == "True" and case.status.observed_generation == case.metadata.generation


# --- from a user's ticket to a case


def case_name(incident: str) -> str:
    """Name of the EvalCase that is captured from an Incident."""
    return f"{incident}-regression"


def why_no_case(release: Release, ticket: LinkedTicket) -> str:
    """Named reason why `from_ticket` gives None, or ""."""
    if release.spec.evals is None or release.spec.evals.ask is None:
        return NO_ASK
    example = ticket.example
    if example is None or not example.asked.strip() or not example.expected.strip():
        return NO_EXAMPLE
    return TOO_LONG if len(_path(release.spec.evals.ask.path, example.asked)) > LONGEST_PATH else ""


def _path(template: str, asked: str) -> str:
    return template.replace("{{asked}}", quote(asked.strip(), safe="", errors="replace"))


def from_ticket(incident: str, release: Release, ticket: LinkedTicket, bad: str, good: str) -> EvalCaseSpec | None:
    """The regression case of a ticket's example; None where `why_no_case` gives a reason.

    `bad` and `good` are digests; where either is not known the case is made without a proof pair, and gates nothing.
    """
    evals = release.spec.evals
    if why_no_case(release, ticket) or evals is None or evals.ask is None or ticket.example is None:
        return None
    return EvalCaseSpec(
        release=release.metadata.name,
        request=EvalRequest(path=_path(evals.ask.path, ticket.example.asked), port=evals.port),
        expect=EvalExpect(field=evals.ask.answer_field, equals=ticket.example.expected.strip()),
        must_pass=True,
        origin=Origin(kind="regression", incident=incident, ticket=ticket.id),
        proof=ProofPair(bad=bad, good=good) if bad and good else None,
    )


# --- the EvalCase's own decision


def decide(facts: EvalCaseFacts, now: datetime) -> Decision:
    """What follows for one EvalCase: its proof, and what it said in the last rollout."""
    case, before = facts.case, facts.case.status
    step = proof.prove(facts, proof.this_generation(case), now)
    status = step.status.model_copy(update=_last_result(case, facts.release, now))
    put = conditions.put(status.conditions, "Proven", _truth(status), status.reason, step.message, now)
    status = status.model_copy(update={"conditions": put, "observed_generation": case.metadata.generation})
    changed = status if status != before else None
    return Decision((), changed, step.actions, _events(before, status, step.message), step.look_again)


def _truth(status: EvalCaseStatus) -> conditions.Truth:
    return "True" if status.proven in ("True", "NotNeeded") else "False" if status.proven == "False" else "Unknown"


def _last_result(case: EvalCase, release: Release | None, now: datetime) -> dict[str, object]:
    """What this case said of the canary in the last rollout, copied so that one `kubectl get` shows it."""
    target = release.status.target if release else None
    mine = [r for r in target.evals if r.case == case.metadata.name and r.canary_runs > 0] if target else []
    if target is None or not mine:
        return {}
    passed, message = mine[0].canary_passed == mine[0].canary_runs, mine[0].message[:512]
    old = case.status.last_result
    known = old and old.at >= target.started_at and (old.version, old.passed, old.message)
    if known == (target.version, passed, message):
        return {}
    result = LastResult(version=target.version, passed=passed, message=message, at=now)
    return {"last_result": result, "result": "Passed" if passed else "Failed"}


def _events(before: EvalCaseStatus, after: EvalCaseStatus, message: str) -> tuple[Event, ...]:
    if after.reason == before.reason or after.reason in (proof.PROVING, proof.NOT_NEEDED):
        return ()
    if after.reason == proof.PROVEN:
        return (Event(proof.PROVEN, message),)
    return (Event("NotProven", f"{after.reason}: {message}", "Warning"),)
