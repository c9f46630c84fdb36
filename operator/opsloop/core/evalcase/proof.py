"""The proof of a regression case: it fails on the bad revision and passes on the good one, in quarantined pods.

One attempt is a record (`startedAt`, `attempts`) that is stored before its pods are created; their names follow from it,
so that a process that died in between starts the same two pods and not two more. A pod that gives no answer (a time-out,
a refused connection) is asked again until the attempt ends: no verdict rests on a missing answer.

    no attempt ──leftovers gone──▶ running ──both answered──▶ True | False      (final for this generation)
        ▲                             │
        └──── rest, at most 3 ────────┴──pod fails, or 120 s──▶ Unknown
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opsloop import names
from opsloop.api.evalcase import EvalCaseStatus, ProofPair, ProofRun
from opsloop.core.actions import Action, ProbeQuarantine, StartQuarantine, StopQuarantine
from opsloop.core.conditions import TEMPLATE_MISSING
from opsloop.core.evalcase import quarantine
from opsloop.core.evalcase.expectation import NO_ANSWER
from opsloop.core.evalcase.measured import longest
from opsloop.core.facts import EvalCaseFacts, PodFacts
from opsloop.core.stop import Stop

TIME_OUT = timedelta(seconds=120)  # of one attempt
ATTEMPTS = 3
REST = timedelta(seconds=30)  # from the start of a failed attempt to the next, times the attempt's number
LOOK_AGAIN = timedelta(seconds=2)
LOOK_AGAIN_FOR_OBSTACLE = timedelta(seconds=60)  # somebody else has to remove it

# Named reasons of `proven`
PROVEN = "Proven"  # fails on the bad revision and passes on the good one
NOT_NEEDED = "NotNeeded"  # a person wrote it and is taken at their word
PASSES_ON_BAD = "PassesOnBad"  # it does not catch the revision that it is meant to catch
FAILS_ON_GOOD = "FailsOnGood"  # it would reject the revision that is known to be right
INVERTED = "Inverted"  # it passes on the bad revision and fails on the good one
PROVING = "Proving"  # quarantined pods are being asked
NO_PROOF_PAIR = "NoProofPair"  # spec.proof does not name two different revisions
QUARANTINE_NEVER = "QuarantineNever"  # the Release says that its pods do things merely by running
AWAITS_QUARANTINE = "AwaitsQuarantine"  # a person has to say that a revision known to be bad may be started
RELEASE_MISSING = "ReleaseMissing"  # the Release that spec.release names does not exist
UNSAFE = "QuarantineUnsafe"  # a pod of this template could not be kept away from users or live data
POD_FAILING = "PodFailing"  # a quarantined pod cannot run (image, crash)
POD_NOT_READY = "PodNotReady"  # a quarantined pod was not ready in time

_VERDICTS = {  # (passed on bad, passed on good) → reason
    (False, True): PROVEN,
    (True, True): PASSES_ON_BAD,
    (False, False): FAILS_ON_GOOD,
    (True, False): INVERTED,
}
FAILED_ATTEMPT = (POD_FAILING, POD_NOT_READY, NO_ANSWER)


@dataclass(frozen=True, slots=True)
class ProofStep:
    """Changed fields of the status, the sentence of the condition ("" = the standing one), and what is done."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    actions: tuple[Action, ...] = ()
    look_again: timedelta | None = None


def next_step(facts: EvalCaseFacts, status: EvalCaseStatus, now: datetime) -> ProofStep:
    """The next step of the proof. `status` is that of the present generation."""
    case = facts.case
    if case.metadata.deletion_timestamp is not None:
        return ProofStep(actions=_stop(facts))
    if facts.release is None:
        lost = {"proven": "Unknown", "reason": RELEASE_MISSING, "started_at": None}
        return ProofStep(lost, _no_release(case.spec.release), _stop(facts), LOOK_AGAIN_FOR_OBSTACLE)
    if case.spec.origin.kind == "manual":
        manual = {"proven": "NotNeeded", "reason": NOT_NEEDED}
        return ProofStep(manual, "a person wrote this case; it gates as it is", _stop(facts))
    if status.reason in _VERDICTS.values():
        return _after_verdict(facts)
    if facts.stop is not None:
        return _stopped(facts, facts.stop, status)
    if (obstacle := _obstacle(facts)) is not None:
        reason, message = obstacle
        hindered = {"proven": "Unknown", "reason": reason, "started_at": None}
        return ProofStep(hindered, message, _stop(facts), LOOK_AGAIN_FOR_OBSTACLE)
    assert case.spec.proof is not None
    if status.started_at is None or status.reason in FAILED_ATTEMPT:
        return _between_attempts(facts, status, case.spec.proof, now)
    return _running(Attempt(facts, case.spec.proof, status.attempts, status.started_at), now)


def _after_verdict(facts: EvalCaseFacts) -> ProofStep:
    """The verdict is stored. `startedAt` goes when the pods have gone; until then they are looked for."""
    if facts.pods or facts.outcomes:
        return ProofStep(actions=_stop(facts), look_again=LOOK_AGAIN)
    return ProofStep({"started_at": None})


def _stopped(facts: EvalCaseFacts, stop: Stop, status: EvalCaseStatus) -> ProofStep:
    """No pod runs while opsloop is stopped. An attempt that was interrupted does not count; a failed one keeps its rest."""
    if status.reason in FAILED_ATTEMPT:
        return ProofStep(actions=_stop(facts))
    rests = {"proven": "Unknown", "reason": stop.named_reason, "started_at": None}
    begun = 0 if status.started_at is None else 1
    return ProofStep(rests | {"attempts": status.attempts - begun}, f"no pod is started: {stop.sentence}", _stop(facts))


def _no_release(name: str) -> str:
    return f"there is no Release {name} in this namespace: the case gates nothing"


def _obstacle(facts: EvalCaseFacts) -> tuple[str, str] | None:
    """(reason, sentence) of what makes a proof impossible now."""
    release, case, pair = facts.release, facts.case.metadata.name, facts.case.spec.proof
    if pair is None or not pair.bad or not pair.good or pair.bad == pair.good:
        return NO_PROOF_PAIR, "spec.proof must name two different revisions: bad, on which it fails, and good"
    if release is None:
        return RELEASE_MISSING, _no_release(facts.case.spec.release)
    if release.spec.evals is not None and release.spec.evals.quarantine == "never":
        return QUARANTINE_NEVER, "spec.evals.quarantine of the Release is never: no pod of an old revision is started"
    for digest in (pair.bad, pair.good):
        if digest not in facts.templates:
            return TEMPLATE_MISSING, f"the pod template of revision {digest} is not stored"
        labels = quarantine.labels(case, release.metadata.name, digest)
        refusal = quarantine.refusal(facts.templates[digest], labels, facts.service_selectors)
        if refusal:
            return UNSAFE, refusal
    if quarantine.awaits_approval(facts.case, release):
        return AWAITS_QUARANTINE, (
            f"a pod of revision {pair.bad}, which is known to be bad, is started after the annotation"
            f" {names.APPROVE}={pair.bad} on this EvalCase (or at once with evals.quarantine: auto on the Release)"
        )
    return None


def _between_attempts(facts: EvalCaseFacts, status: EvalCaseStatus, pair: ProofPair, now: datetime) -> ProofStep:
    """Starts the next attempt when the last one's pods are gone and it has rested; at most ATTEMPTS."""
    if status.attempts >= ATTEMPTS:
        return ProofStep(actions=_stop(facts))
    if status.started_at is not None:
        due = status.started_at + REST * status.attempts
        if now < due:
            return ProofStep(actions=_stop(facts), look_again=due - now)
    if facts.pods or facts.outcomes:  # answers of an earlier attempt, or to an earlier question, prove nothing
        return ProofStep(actions=_stop(facts), look_again=LOOK_AGAIN)
    attempt = Attempt(facts, pair, status.attempts + 1, now)
    record = {"started_at": now, "attempts": attempt.number, "proven": "Unknown", "reason": PROVING}
    return ProofStep({**record, "bad": None, "good": None}, attempt.progress, attempt.start(), LOOK_AGAIN)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: a quarantined pod of the bad and one of the good revision, each asked until it has answered."""

    facts: EvalCaseFacts
    pair: ProofPair
    number: int
    started_at: datetime

    @property
    def digests(self) -> tuple[str, str]:
        """The bad revision, then the good one."""
        return self.pair.bad, self.pair.good

    @property
    def end(self) -> datetime:
        """When it is given up. A load takes its own time."""
        load = self.facts.case.spec.load
        return self.started_at + TIME_OUT + (longest(load) if load else timedelta(0))

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Digests of the revisions that have not answered yet."""
        return tuple(digest for digest in self.digests if digest not in self.facts.outcomes)

    @property
    def progress(self) -> str:
        """The sentence of the condition while it runs."""
        return f"attempt {self.number} of {ATTEMPTS}: both revisions are asked in quarantined pods"

    def pod_name(self, digest: str) -> str:
        """Name of this attempt's pod of a revision."""
        return quarantine.pod_name(self.facts.case.metadata.name, digest, self.number)

    @property
    def pods(self) -> dict[str, PodFacts]:
        """Digest → pod of this attempt."""
        names = {self.pod_name(digest): digest for digest in self.digests}
        return {names[pod.name]: pod for pod in self.facts.pods if pod.name in names}

    def start(self) -> tuple[Action, ...]:
        """Pods that are missing and whose answer is not known."""
        case, pods, templates = self.facts.case, self.pods, self.facts.templates
        return tuple(
            StartQuarantine(case.metadata.name, case.spec.release, digest, self.pod_name(digest), templates[digest])
            for digest in self.unanswered
            if digest not in pods
        )

    def ask(self) -> tuple[Action, ...]:
        """Requests to pods that can be asked and have not answered."""
        case, pods = self.facts.case, self.pods
        asked = [digest for digest in self.unanswered if digest in pods and _can_be_asked(pods[digest])]
        return tuple(
            ProbeQuarantine(
                case=case.metadata.name,
                digest=digest,
                pod_ip=pods[digest].ip,
                request=case.spec.request,
                expect=case.spec.expect,
                release=case.spec.release,
                repeats=case.spec.repeats or 1,
                min_share=case.spec.min_share,
                load=case.spec.load,
                pod=pods[digest].name,
            )
            for digest in asked
        )

    def stop_others(self) -> tuple[Action, ...]:
        """Pods of this case that belong to another attempt. Answers of this attempt's pods stay."""
        own = {pod.name for pod in self.pods.values()}
        others = tuple(sorted(p.name for p in self.facts.pods if not p.deleting and p.name not in own))
        return (StopQuarantine(self.facts.case.metadata.name, others, forget=False),) if others else ()

    def lateness(self) -> tuple[str, str]:
        """(reason, sentence): the first pod that was never ready, else the first one that never answered."""
        seconds, pods = int((self.end - self.started_at).total_seconds()), self.pods
        for digest in self.unanswered:
            if digest not in pods or not _can_be_asked(pods[digest]):
                return POD_NOT_READY, f"pod {self.pod_name(digest)} was not ready within {seconds} s"
        return NO_ANSWER, f"pod {self.pod_name(self.unanswered[0])} did not answer within {seconds} s"


def _can_be_asked(pod: PodFacts) -> bool:
    return pod.containers_ready and bool(pod.ip) and not pod.deleting


def _running(attempt: Attempt, now: datetime) -> ProofStep:
    if not attempt.unanswered:
        return _verdict(attempt, now)
    failing, end = next((pod for pod in attempt.pods.values() if pod.failing), None), attempt.end
    may_answer = (
        attempt.facts.case.spec.load is not None and now < end
    )  # a pod that ends under load has failed the check
    if failing is not None and not may_answer:
        return _failed(attempt, POD_FAILING, f"pod {failing.name}: {failing.failing}")
    if now >= end:
        return _failed(attempt, *attempt.lateness())
    actions = (*attempt.stop_others(), *attempt.start(), *attempt.ask())
    return ProofStep({}, attempt.progress, actions, min(LOOK_AGAIN, end - now))


def _verdict(attempt: Attempt, now: datetime) -> ProofStep:
    """Both have answered: final for this generation of the case."""
    bad, good = (_run(digest, *attempt.facts.outcomes[digest], now) for digest in attempt.digests)
    reason = _VERDICTS[bad.passed, good.passed]
    changes = {"bad": bad, "good": good, "proven": "True" if reason == PROVEN else "False", "reason": reason}
    message = f"on bad ({bad.digest}) it {_outcome(bad)}; on good ({good.digest}) it {_outcome(good)}"
    return ProofStep(changes, message, _stop(attempt.facts), LOOK_AGAIN)


def _run(digest: str, passed: bool, message: str, now: datetime) -> ProofRun:
    return ProofRun(digest=digest, passed=passed, message=message[:512], at=now)


def _outcome(run: ProofRun) -> str:
    if run.passed:
        return "passes"
    return f"fails: {run.message}" if run.message else "fails"


def _failed(attempt: Attempt, reason: str, cause: str) -> ProofStep:
    """The attempt ends without a verdict; the last one is not followed by another look."""
    message = f"attempt {attempt.number} of {ATTEMPTS}: {cause}"
    look_again = LOOK_AGAIN if attempt.number < ATTEMPTS else None
    return ProofStep({"proven": "Unknown", "reason": reason}, message, _stop(attempt.facts), look_again)


def _stop(facts: EvalCaseFacts) -> tuple[Action, ...]:
    """Nothing is being proven: no pod may stay, no answer may be remembered."""
    pods = tuple(sorted(pod.name for pod in facts.pods if not pod.deleting))
    return (StopQuarantine(facts.case.metadata.name, pods),) if pods or facts.outcomes else ()
