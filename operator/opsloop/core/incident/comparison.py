"""The last way to a case: a bad and a good revision are asked the same in quarantine, and what differs is what is wrong.

Looked for only where no better way gave a case that can be proven: first by the EvalCases that people wrote (one may fail on
the bad revision that was never asked while it was live), then by requests that the service recorded. One attempt is a record
that is stored before its pods are created, as in `core.evalcase.proof`.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from opsloop import names
from opsloop.api.eval_expect import EvalExpect
from opsloop.api.evalcase import EvalCase, Origin, ProofPair
from opsloop.api.incident import Comparison, Incident
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.actions import Action, CompareQuarantine, StartQuarantine, StopQuarantine
from opsloop.core.conditions import TEMPLATE_MISSING
from opsloop.core.evalcase import capture, proof, quarantine, ways
from opsloop.core.evalcase.expectation import NO_ANSWER
from opsloop.core.facts import Compared, ComparisonFacts, PodFacts
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.release.revisions import find

TIME_OUT = timedelta(seconds=180)  # of one attempt: pods that start, and some ten answers to each of twenty requests
ATTEMPTS = 2
GOOD_PODS = 2  # what differs between two pods of one revision says nothing about revisions
MOST_CASES = 20
NOBODY_SAID = "recorded: nobody has said that the good revision's answer is right"

# Named reasons of status.comparison
COMPARING = "Comparing"  # quarantined pods of both revisions are asked the same
FOUND = "Found"  # a difference became an EvalCase
NO_DIFFERENCE = "NoDifference"  # both revisions answer all recorded requests alike, as far as can be told
NO_REQUESTS = "NoRequests"  # spec.evals.recorded names no requests that can be asked


def is_wanted(incident: Incident, release: Release | None, cases: Sequence[EvalCase]) -> bool:
    """True where its facts are to be gathered: no better way gives a case, or pods of it may be left."""
    status = incident.status
    if status.comparison is not None and status.comparison.started_at is not None:
        return True
    if status.phase not in ("Mitigated", "Resolved") or status.merged_into or ways.pair_of(status) is None:
        return False
    if status.cause is None or status.cause.kind != "bad_release" or release is None or release.spec.evals is None:
        return False
    own, asked = ways.of_incident(cases, incident.metadata.name), status.comparison
    return (
        not _is_over(asked, own)
        and all(ways.is_spent(c) for c in own)
        and bool(release.spec.evals.recorded or written(cases))
    )


def _is_over(asked: Comparison | None, own: Sequence[EvalCase]) -> bool:
    """True where it found what it can, or was tried as often as it may be. A case that was found and is not there was lost by a
    process that died: it is looked for once more."""
    if asked is None:
        return False
    found = asked.reason == FOUND and bool(own)
    return found or asked.reason == NO_DIFFERENCE or (asked.started_at is None and asked.attempts >= ATTEMPTS)


def written(cases: Sequence[EvalCase]) -> tuple[EvalCase, ...]:
    """The cases that people wrote and that one request answers, by name; the first MOST_CASES."""
    by_people = [c for c in cases if c.spec.origin.kind == "manual" and c.metadata.deletion_timestamp is None]
    telling = [c for c in by_people if not c.is_flaky and c.spec.load is None]
    return tuple(sorted(telling, key=lambda c: c.metadata.name)[:MOST_CASES])


def subject(incident: str) -> str:
    """What the quarantined pods are labelled with: they are no case's."""
    return f"{incident}-comparison"


def follow(decision: IncidentBuilder, pair: ProofPair, release: Release, wanted: bool) -> ways.Candidate | None:
    """The next step; a candidate where a difference was found. `wanted`: no better way gives a case now."""
    facts, status = decision.facts.comparison, decision.status
    if facts is None:
        return None
    own = ways.of_incident(decision.facts.eval_cases, decision.facts.incident.metadata.name)
    if not wanted or _is_over(status.comparison, own):
        _end(decision, facts)
        return None
    if (
        facts.outcome is not None
        and status.comparison is not None
        and facts.outcome.attempt == status.comparison.attempts
    ):
        return _verdict(decision, facts, facts.outcome, pair, release)
    hindrance = _hindrance(decision, facts, pair, release)
    if hindrance is not None:
        _say(decision, *hindrance)
        _end(decision, facts)
        return None
    _attempt(decision, facts, pair, release)
    return None


def _hindrance(
    decision: IncidentBuilder, facts: ComparisonFacts, pair: ProofPair, release: Release
) -> tuple[str, str] | None:
    """(reason, sentence) of what makes a comparison impossible now."""
    incident, evals = decision.facts.incident, release.spec.evals
    if decision.facts.stop is not None:
        return decision.facts.stop.named_reason, f"no pod is started: {decision.facts.stop.sentence}"
    if not facts.requests and not facts.cases:
        return NO_REQUESTS, facts.remark
    if evals is not None and evals.quarantine == "never":
        return (
            proof.QUARANTINE_NEVER,
            "spec.evals.quarantine of the Release is never: no pod of an old revision is started",
        )
    for digest in (pair.bad, pair.good):
        if digest not in facts.templates:
            return TEMPLATE_MISSING, f"the pod template of revision {digest} is not stored"
        labels = quarantine.labels(subject(incident.metadata.name), release.metadata.name, digest)
        refusal = quarantine.refusal(facts.templates[digest], labels, facts.service_selectors)
        if refusal:
            return proof.UNSAFE, refusal
    asks = evals is not None and evals.quarantine == "ask"
    if asks and incident.metadata.annotations.get(names.APPROVE) != pair.bad:
        return proof.AWAITS_QUARANTINE, (
            f"recorded requests are asked of a pod of revision {pair.bad}, which is known to be bad, after the annotation"
            f" {names.APPROVE}={pair.bad} on this Incident (or at once with evals.quarantine: auto on the Release)"
        )
    return None


def _attempt(decision: IncidentBuilder, facts: ComparisonFacts, pair: ProofPair, release: Release) -> None:
    """Starts an attempt, or goes on with it until its pods are ready, and have answered."""
    now, known = decision.now, decision.status.comparison or Comparison()
    if known.started_at is None:
        if known.attempts >= ATTEMPTS:
            return None
        if facts.pods:  # of an earlier attempt
            _end(decision, facts)
            return None
        known = Comparison(attempts=known.attempts + 1, started_at=now, reason=COMPARING, message=_progress(facts))
        decision.set(comparison=known)
    assert known.started_at is not None
    wanted = _pods(decision.facts.incident.metadata.name, pair, known.attempts)
    there = {pod.name: pod for pod in facts.pods}
    if failing := next((p for p in facts.pods if p.name in wanted and p.failing), None):
        return _failed(decision, facts, proof.POD_FAILING, f"pod {failing.name}: {failing.failing}")
    if now >= known.started_at + TIME_OUT:
        late = next((n for n in wanted if not _is_ready(there.get(n))), None)
        seconds = int(TIME_OUT.total_seconds())
        said = (
            f"pod {late} was not ready within {seconds} s"
            if late
            else f"the pods did not answer all within {seconds} s"
        )
        return _failed(decision, facts, proof.POD_NOT_READY if late else NO_ANSWER, said)
    decision.look_again(proof.LOOK_AGAIN)
    case = subject(decision.facts.incident.metadata.name)
    for name, digest in wanted.items():
        if name not in there:
            template = facts.templates[digest]
            decision.execute(StartQuarantine(case, release.metadata.name, digest, name, template))
    if all(_is_ready(there.get(name)) for name in wanted):
        decision.execute(_ask(decision, facts, pair, release, [there[name] for name in wanted], known.attempts))
    return None


def _ask(
    decision: IncidentBuilder,
    facts: ComparisonFacts,
    pair: ProofPair,
    release: Release,
    pods: Sequence[PodFacts],
    attempt: int,
) -> Action:
    bad, deployed = next(pod for pod in pods if pod.digest == pair.bad), decision.facts.deployed
    return CompareQuarantine(
        incident=decision.facts.incident.metadata.name,
        subject=subject(decision.facts.incident.metadata.name),
        release=release.metadata.name,
        attempt=attempt,
        requests=facts.requests,
        cases=facts.cases,
        good=tuple((pod.name, pod.ip) for pod in pods if pod.digest == pair.good),
        bad=(bad.name, bad.ip),
        live_selector=deployed.selector if deployed and _serves(release, pair.good) else {},
        good_words=_words(release, pair.good),
        bad_words=_words(release, pair.bad),
    )


def _serves(release: Release, digest: str) -> bool:
    """True where all live pods are of this revision."""
    return release.status.live == digest and conditions.is_true(release.status.conditions, "RolledOut")


def _words(release: Release, digest: str) -> tuple[str, ...]:
    """The words by which an answer may name its own revision: version label and tags of its images with and without `v`, digest."""
    known = find(release.status.revisions, digest)
    images = list(known.images.values()) if known else []
    tags = [image.rpartition("/")[2].partition("@")[0].partition(":")[2] for image in images]
    numbers = [word.removeprefix("v") for word in (known.version if known else "", *tags) if re.match(r"v?\d", word)]
    spelled = [known.version if known else "", *images, *tags, *numbers, *(f"v{n}" for n in numbers), digest]
    return tuple(dict.fromkeys(filter(None, spelled)))


def _pods(incident: str, pair: ProofPair, attempt: int) -> dict[str, str]:
    """Name → revision of the pods of one attempt."""
    case, first = subject(incident), (attempt - 1) * GOOD_PODS + 1
    good = {quarantine.pod_name(case, pair.good, first + n): pair.good for n in range(GOOD_PODS)}
    return {quarantine.pod_name(case, pair.bad, first): pair.bad, **good}


def _is_ready(pod: PodFacts | None) -> bool:
    return pod is not None and pod.containers_ready and bool(pod.ip) and not pod.deleting


def _progress(facts: ComparisonFacts) -> str:
    return f"{len(facts.cases)} EvalCases and {facts.remark} are asked of both revisions, in quarantined pods"[:512]


def _verdict(
    decision: IncidentBuilder, facts: ComparisonFacts, found: Compared, pair: ProofPair, release: Release
) -> ways.Candidate | None:
    """All is answered: what was found becomes a case; else that is said, and nothing is asked again."""
    made = _candidate(decision.facts.incident.metadata.name, facts, found, pair, release)
    if made is None:
        _say(decision, NO_DIFFERENCE, found.text)
    else:
        _say(decision, FOUND, f"EvalCase {made.name} from {made.source}")
    _end(decision, facts)
    return made


def _candidate(
    incident: str, facts: ComparisonFacts, found: Compared, pair: ProofPair, release: Release
) -> ways.Candidate | None:
    case = next((c for c in facts.cases if c.metadata.name == found.failing), None)
    if case is not None:
        return ways.of_failed(incident, case, pair)
    if found.request is None or found.expect is None:
        return None
    asked = f"{found.request.method} {found.request.path}"
    left = f"; left out, as it varies by itself: {', '.join(found.left_out)}" if found.left_out else ""
    if found.request in facts.failed and found.expect == EvalExpect(status=found.expect.status):
        way, source = "capture", f"{asked}, which the service recorded as failed: {found.text}"
    else:
        way, source = "recorded", f"the answers to {asked}: {found.text}{left} ({NOBODY_SAID})"
    by: Literal["capture", "recorded"] = "capture" if way == "capture" else "recorded"
    origin = Origin(kind="regression", incident=incident, by=by, source=f"recorded {asked}"[:253])
    spec = ways.regression(release, found.request, found.expect, pair, origin)
    return ways.Candidate(way, capture.case_name(incident, way), spec, source)


def give_up(decision: IncidentBuilder) -> None:
    """Ends an attempt whose Incident burns again, was merged, or blames no revision any more: no pod of it may stay."""
    if decision.facts.comparison is not None:
        _end(decision, decision.facts.comparison)


def _failed(decision: IncidentBuilder, facts: ComparisonFacts, reason: str, cause: str) -> None:
    """The attempt ends without a verdict."""
    attempts = decision.status.comparison.attempts if decision.status.comparison else 0
    _say(decision, reason, f"attempt {attempts} of {ATTEMPTS}: {cause}")
    _end(decision, facts)
    if attempts < ATTEMPTS:
        decision.look_again(proof.REST)


def _say(decision: IncidentBuilder, reason: str, message: str) -> None:
    known = decision.status.comparison or Comparison()
    decision.set(comparison=known.model_copy(update={"reason": reason, "message": message[:512]}))


def _end(decision: IncidentBuilder, facts: ComparisonFacts) -> None:
    """No pod may stay. `startedAt` goes when they have gone; until then they are looked for."""
    pods = tuple(sorted(pod.name for pod in facts.pods if not pod.deleting))
    if pods or facts.outcome is not None:
        decision.execute(StopQuarantine(subject(decision.facts.incident.metadata.name), pods))
    known = decision.status.comparison
    if facts.pods:
        decision.look_again(proof.LOOK_AGAIN)
    elif known is not None and known.started_at is not None:
        decision.set(comparison=known.model_copy(update={"started_at": None}))
