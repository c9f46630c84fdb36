"""The proof of a regression case: it fails on the bad revision and passes on the good one, in quarantined pods.

One attempt is a record (`startedAt`, `attempts`) that is stored before its pods are created; their names follow from it,
so that a process that died in between starts the same two pods and not two more.

    no attempt ──leftovers gone──▶ running ──both answered──▶ True | False      (final for this generation)
        ▲                             │
        └──── rest, at most 3 ────────┴──pod fails, or 120 s──▶ Unknown
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.evalcase import EvalCase, EvalCaseStatus, ProofPair, ProofRun
from opsloop.core import conditions
from opsloop.core.actions import Action, ProbeQuarantine, StartQuarantine, StopQuarantine
from opsloop.core.evalcase import quarantine
from opsloop.core.facts import EvalCaseFacts, PodFacts

TIME_OUT = timedelta(seconds=120)
ATTEMPTS = 3
REST = timedelta(seconds=30)  # from the start of a failed attempt to the next, times the attempt's number
LOOK = timedelta(seconds=2)
LOOK_FOR_HELP = timedelta(seconds=60)  # what stands in the way is somebody else's to change

# Named reasons of `proven`
PROVEN = "Proven"  # fails on the bad revision and passes on the good one
NOT_NEEDED = "NotNeeded"  # a person wrote it and is taken at their word
PASSES_ON_BAD = "PassesOnBad"  # it does not catch the revision that it is meant to catch
FAILS_ON_GOOD = "FailsOnGood"  # it would reject the revision that is known to be right
INVERTED = "Inverted"  # it passes on the bad revision and fails on the good one
PROVING = "Proving"  # quarantined pods are being asked
NO_PROOF_PAIR = "NoProofPair"  # spec.proof does not name two different revisions
QUARANTINE_NEVER = "QuarantineNever"  # the Release says that its pods do things merely by running
RELEASE_MISSING = "ReleaseMissing"  # the Release that spec.release names does not exist
UNSAFE = "QuarantineUnsafe"  # a pod of this template could not be kept away from users or live data
POD_FAILING = "PodFailing"  # a quarantined pod cannot run (image, crash)
POD_NOT_READY = "PodNotReady"  # a quarantined pod was not ready in time
NO_ANSWER = "NoAnswer"  # a quarantined pod was ready and did not answer in time

_FINAL = (PROVEN, PASSES_ON_BAD, FAILS_ON_GOOD, INVERTED)
_FAILED_ATTEMPT = (POD_FAILING, POD_NOT_READY, NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Next:
    """The proof's part of a decision."""

    status: EvalCaseStatus
    message: str
    actions: tuple[Action, ...] = ()
    look_again: timedelta | None = None


def this_generation(case: EvalCase) -> EvalCaseStatus:
    """An edited case is a new claim: what was proven was another one."""
    status = case.status
    if status.observed_generation == case.metadata.generation:
        return status
    forgotten = {"proven": "Unknown", "reason": "", "bad": None, "good": None, "started_at": None, "attempts": 0}
    return status.model_copy(update=forgotten)


def prove(facts: EvalCaseFacts, status: EvalCaseStatus, now: datetime) -> Next:
    """The next step of the proof. `status` is that of the present generation (`this_generation`)."""
    case = facts.case
    if case.metadata.deletion_timestamp is not None:
        return Next(status, _message(status), _stop(facts))
    if case.spec.origin.kind == "manual":
        return _settled(facts, status, "NotNeeded", NOT_NEEDED, "a person wrote this case; it gates as it is")
    if status.reason in _FINAL:
        return _tidy(facts, status)
    obstacle = _obstacle(facts)
    if obstacle:
        nothing_runs = status.model_copy(update={"started_at": None})
        settled = _settled(facts, nothing_runs, "Unknown", *obstacle)
        return Next(settled.status, settled.message, settled.actions, LOOK_FOR_HELP)
    assert case.spec.proof is not None
    if status.started_at is None or status.reason in _FAILED_ATTEMPT:
        return _between_attempts(facts, status, case.spec.proof, now)
    return _running(facts, status, case.spec.proof, now)


def _tidy(facts: EvalCaseFacts, status: EvalCaseStatus) -> Next:
    """The verdict is stored. `startedAt` goes when the pods have gone; until then they are looked for."""
    if facts.pods or facts.outcomes:
        return Next(status, _message(status), _stop(facts), LOOK)
    return Next(status.model_copy(update={"started_at": None}), _message(status))


def _settled(facts: EvalCaseFacts, status: EvalCaseStatus, proven: str, reason: str, message: str) -> Next:
    return Next(status.model_copy(update={"proven": proven, "reason": reason}), message, _stop(facts))


def _obstacle(facts: EvalCaseFacts) -> tuple[str, str] | None:
    """(reason, sentence) of what makes a proof impossible now."""
    release, case, pair = facts.release, facts.case.metadata.name, facts.case.spec.proof
    if pair is None or not pair.bad or not pair.good or pair.bad == pair.good:
        return NO_PROOF_PAIR, "spec.proof must name two different revisions: bad, on which it fails, and good"
    if release is None:
        return RELEASE_MISSING, f"there is no Release {facts.case.spec.release} in this namespace"
    if release.spec.evals is not None and release.spec.evals.quarantine == "never":
        return QUARANTINE_NEVER, "spec.evals.quarantine of the Release is never: no pod of an old revision is started"
    for digest in (pair.bad, pair.good):
        if digest not in facts.templates:
            return conditions.TEMPLATE_MISSING, f"the pod template of revision {digest} is not stored"
        own_labels = quarantine.labels(case, release.metadata.name, digest)
        why_not = quarantine.refusal(facts.templates[digest], own_labels, facts.service_selectors)
        if why_not:
            return UNSAFE, why_not
    return None


def _between_attempts(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair, now: datetime) -> Next:
    """Start the next attempt when the last one's pods are gone and it has rested; at most three."""
    if status.attempts >= ATTEMPTS:
        return Next(status, _message(status), _stop(facts))
    if status.started_at is not None:
        due = status.started_at + REST * status.attempts
        if now < due:
            return Next(status, _message(status), _stop(facts), due - now)
    if facts.pods or facts.outcomes:  # answers of an earlier attempt, or to an earlier question, prove nothing
        return Next(status, _message(status), _stop(facts), LOOK)
    update = {"started_at": now, "attempts": status.attempts + 1, "proven": "Unknown", "reason": PROVING}
    recorded = status.model_copy(update={**update, "bad": None, "good": None})
    return Next(recorded, _asking(recorded), _start(facts, recorded, pair), LOOK)


def _running(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair, now: datetime) -> Next:
    assert status.started_at is not None
    if pair.bad in facts.outcomes and pair.good in facts.outcomes:
        return _verdict(facts, status, pair, now)
    failing = next((p for p in _own_pods(facts, status, pair).values() if p.failing), None)
    if failing is not None:
        return _attempt_failed(facts, status, POD_FAILING, f"pod {failing.name}: {failing.failing}")
    if now >= status.started_at + TIME_OUT:
        return _attempt_failed(facts, status, *_why_late(facts, status, pair))
    actions = (*_stop_strangers(facts, status, pair), *_start(facts, status, pair), *_probe(facts, status, pair))
    return Next(status, _asking(status), actions, min(LOOK, status.started_at + TIME_OUT - now))


def _verdict(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair, now: datetime) -> Next:
    on_bad, on_good = facts.outcomes[pair.bad], facts.outcomes[pair.good]
    runs = {
        role: ProofRun(digest=digest, passed=outcome[0], message=outcome[1][:512], at=now)
        for role, digest, outcome in (("bad", pair.bad, on_bad), ("good", pair.good, on_good))
    }
    reason = {
        (False, True): PROVEN,
        (True, True): PASSES_ON_BAD,
        (False, False): FAILS_ON_GOOD,
        (True, False): INVERTED,
    }[on_bad[0], on_good[0]]
    proven = "True" if reason == PROVEN else "False"
    settled = status.model_copy(update={**runs, "proven": proven, "reason": reason})
    return Next(settled, _told(settled), _stop(facts), LOOK)


def _told(status: EvalCaseStatus) -> str:
    """One sentence with what both revisions said."""

    def said(run: ProofRun | None) -> str:
        if run is None:
            return "was not asked"
        return f"({run.digest}) it " + ("passes" if run.passed else f"fails: {run.message}" if run.message else "fails")

    return f"on bad {said(status.bad)}; on good {said(status.good)}"


def _attempt_failed(facts: EvalCaseFacts, status: EvalCaseStatus, reason: str, what: str) -> Next:
    message = f"attempt {status.attempts} of {ATTEMPTS}: {what}"
    settled = _settled(facts, status, "Unknown", reason, message)
    return Next(settled.status, message, settled.actions, LOOK if status.attempts < ATTEMPTS else None)


def _why_late(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair) -> tuple[str, str]:
    seconds = int(TIME_OUT.total_seconds())
    own = _own_pods(facts, status, pair)
    unready = [_pod(facts, status, d) for d in (pair.bad, pair.good) if not (d in own and _askable(own[d]))]
    unready = [name for name in unready if name not in {_pod(facts, status, d) for d in facts.outcomes}]
    if unready:
        return POD_NOT_READY, f"pod {unready[0]} was not ready within {seconds} s"
    silent = next(d for d in (pair.bad, pair.good) if d not in facts.outcomes)
    return NO_ANSWER, f"pod {_pod(facts, status, silent)} did not answer within {seconds} s"


def _pod(facts: EvalCaseFacts, status: EvalCaseStatus, digest: str) -> str:
    return quarantine.pod_name(facts.case.metadata.name, digest, status.attempts)


def _own_pods(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair) -> dict[str, PodFacts]:
    """digest → pod of the present attempt."""
    wanted = {_pod(facts, status, digest): digest for digest in (pair.bad, pair.good)}
    return {wanted[p.name]: p for p in facts.pods if p.name in wanted}


def _askable(pod: PodFacts) -> bool:
    return pod.containers_ready and bool(pod.ip) and not pod.deleting


def _start(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair) -> tuple[Action, ...]:
    case, own = facts.case, _own_pods(facts, status, pair)
    missing = [d for d in (pair.bad, pair.good) if d not in own and d not in facts.outcomes]
    return tuple(
        StartQuarantine(case.metadata.name, case.spec.release, d, _pod(facts, status, d), facts.templates[d])
        for d in missing
    )


def _probe(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair) -> tuple[Action, ...]:
    case, own = facts.case, _own_pods(facts, status, pair)
    return tuple(
        ProbeQuarantine(case.metadata.name, digest, pod.ip, case.spec.request, case.spec.expect)
        for digest, pod in own.items()
        if _askable(pod) and digest not in facts.outcomes
    )


def _stop(facts: EvalCaseFacts) -> tuple[Action, ...]:
    """Nothing is being proven: no pod may stay, no answer may be remembered."""
    pods = tuple(sorted(p.name for p in facts.pods if not p.deleting))
    return (StopQuarantine(facts.case.metadata.name, pods),) if pods or facts.outcomes else ()


def _stop_strangers(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair) -> tuple[Action, ...]:
    """Pods of this case that the running attempt did not name; their answers are not asked for."""
    own = {p.name for p in _own_pods(facts, status, pair).values()}
    pods = tuple(sorted(p.name for p in facts.pods if not p.deleting and p.name not in own))
    return (StopQuarantine(facts.case.metadata.name, pods, forget=False),) if pods else ()


def _asking(status: EvalCaseStatus) -> str:
    return f"attempt {status.attempts} of {ATTEMPTS}: both revisions are asked in quarantined pods"


def _message(status: EvalCaseStatus) -> str:
    """The sentence that stands, where nothing new is to be said."""
    old = conditions.get(status.conditions, "Proven")
    return old.message if old and old.reason == status.reason else "not proven yet"
