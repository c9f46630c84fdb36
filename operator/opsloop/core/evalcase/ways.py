"""The ways from an Incident to its regression case, best first, and which case is the Incident's now.

    ticket     what a user asked, and what would have been right: nobody knows it better
    evalcase   an EvalCase that failed on the bad revision while it was live
    probe      a synthetic probe of the service whose alert fired during the Incident
    capture    a bad request that the service recorded itself, given to `opsloop capture`
    recorded   the good revision's own answer to a recorded request: no person has said that it is right

Each is proven in quarantine like any other. Where a case cannot be proven (it passes on the bad revision, or fails on the
good one), the next way is tried; one that is proven stays, whatever comes later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from opsloop.api.eval_expect import EvalExpect
from opsloop.api.eval_request import EvalRequest
from opsloop.api.evalcase import EvalCase, EvalCaseSpec, Origin, ProofPair
from opsloop.api.incident import IncidentStatus
from opsloop.api.release import Release
from opsloop.api.reported import LinkedTicket
from opsloop.core.alerts.labels import name_of, service_of
from opsloop.core.evalcase import capture, proof
from opsloop.core.recorded import redact
from opsloop.core.recorded.lines import LONGEST_PATH
from opsloop.core.reported import Alert

WAYS = ("ticket", "evalcase", "probe", "capture", "recorded")
_TARGETS = ("instance", "target", "url", "monitor_url")  # where probing exporters name what they ask, as a URL


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case that could be made, and what it would be made from."""

    way: str
    name: str
    spec: EvalCaseSpec
    source: str  # in words, for the timeline


@dataclass(frozen=True, slots=True)
class Choice:
    """The Incident's case: one that is there, or one to be made; neither where no way gives one."""

    case: EvalCase | None = None
    new: Candidate | None = None


def pair_of(status: IncidentStatus) -> ProofPair | None:
    """The bad and the good revision of an Incident that was rolled back; None where it names no two."""
    bad, good = status.cause.revision if status.cause else "", status.rollback.to_digest if status.rollback else ""
    return ProofPair(bad=bad, good=good) if bad and good and bad != good else None


def way_of(case: EvalCase) -> str:
    """The way by which a regression case came; one that a person wrote for the Incident is as good as a captured one."""
    origin = case.spec.origin
    return origin.by or ("ticket" if origin.ticket else "capture")


def of_incident(cases: Iterable[EvalCase], incident: str) -> list[EvalCase]:
    """The regression cases of an Incident, best way first."""
    named = capture.case_name(incident)
    own = [
        c
        for c in cases
        if c.metadata.deletion_timestamp is None
        and (c.metadata.name == named or (c.spec.origin.kind, c.spec.origin.incident) == ("regression", incident))
    ]
    return sorted(own, key=lambda c: (WAYS.index(way_of(c)), c.metadata.name))


def is_proven(case: EvalCase) -> bool:
    """True where the spec that it has now is proven."""
    return case.status.proven == "True" and case.status.observed_generation == case.metadata.generation


def is_spent(case: EvalCase) -> bool:
    """True where it is refuted, or was tried as often as it may be: another way is to be tried."""
    status = case.status
    if status.observed_generation != case.metadata.generation:
        return False
    tried = status.attempts >= proof.ATTEMPTS and status.reason in proof.FAILED_ATTEMPT
    return status.proven == "False" or tried


def choose(incident: str, cases: Sequence[EvalCase], candidates: Sequence[Candidate]) -> Choice:
    """The first proven case, else the first that may still be proven or be made, else the first that could not be proven."""
    own = of_incident(cases, incident)
    proven = next((c for c in own if is_proven(c)), None)
    if proven is not None:
        return Choice(case=proven)
    there = {c.metadata.name for c in own}
    for way in WAYS:
        open_ = next((c for c in own if way_of(c) == way and not is_spent(c)), None)
        if open_ is not None:
            return Choice(case=open_)
        new = next((c for c in candidates if c.way == way and c.name not in there), None)
        if new is not None:
            return Choice(new=new)
    return Choice(case=own[0] if own else None)


def candidates(
    incident: str,
    release: Release,
    tickets: Iterable[LinkedTicket],
    cases: Iterable[EvalCase],
    alerts: Iterable[Alert],
    pair: ProofPair,
) -> list[Candidate]:
    """What tickets, failing EvalCases and probes give: at most one of each."""
    made = [
        next((c for t in tickets if (c := _of_ticket(incident, release, t, pair)) is not None), None),
        next((c for e in cases if (c := _of_case(incident, release, e, pair)) is not None), None),
        next((c for a in alerts if (c := _of_probe(incident, release, a, pair)) is not None), None),
    ]
    return [candidate for candidate in made if candidate is not None]


def _of_ticket(incident: str, release: Release, ticket: LinkedTicket, pair: ProofPair) -> Candidate | None:
    spec = capture.from_ticket(incident, release, ticket, pair.bad, pair.good)
    return Candidate("ticket", capture.case_name(incident), spec, f"ticket {ticket.id}") if spec else None


def _of_case(incident: str, release: Release, case: EvalCase, pair: ProofPair) -> Candidate | None:
    """A person's case, or one that another Incident left, that failed on the bad revision while it was live.

    A copy of the latter asks the same: proven, the two become one that names both Incidents.
    """
    failed = any(f.digest == pair.bad for f in case.status.failed_on)
    stands = case.spec.origin.kind == "manual" or (is_proven(case) and case.spec.origin.incident != incident)
    ours = stands and case.spec.release == release.metadata.name
    if not failed or not ours or case.is_flaky:  # a flaky one may have failed by itself
        return None
    return of_failed(incident, case, pair)


def of_failed(incident: str, case: EvalCase, pair: ProofPair) -> Candidate:
    """A person's case that failed on the bad revision: with a proof it is the Incident's, and it must pass from now on.

    It is a copy: the person's own may be edited, deleted, or no case that gates.
    """
    name = case.metadata.name
    origin = Origin(kind="regression", incident=incident, by="evalcase", source=name)
    spec = case.spec.model_copy(update={"must_pass": True, "origin": origin, "proof": pair})
    return Candidate("evalcase", capture.case_name(incident, "evalcase"), spec, f"EvalCase {name}, which failed on it")


def _of_probe(incident: str, release: Release, alert: Alert, pair: ProofPair) -> Candidate | None:
    """A synthetic probe asks by GET and takes any 2xx; the case asks for the commonest, 200, and the proof says if that is right.

    The port is that of spec.evals: a probe names the one of a Service or an ingress, which a pod need not have.
    """
    evals, url = release.spec.evals, probed_url(alert.labels)
    if evals is None or url is None or not _is_about(release, alert.labels, url):
        return None
    parts = urlsplit(url)
    path, secret = redact.target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    if len(path) > LONGEST_PATH or secret:  # without its credential it would be another request
        return None
    name = name_of(alert)
    request = EvalRequest(path=path, port=evals.port, tls=evals.ask.tls if evals.ask else None)
    origin = Origin(kind="regression", incident=incident, by="probe", source=name[:253])
    spec = regression(release, request, EvalExpect(status=200), pair, origin)
    return Candidate("probe", capture.case_name(incident, "probe"), spec, f"the probe of alert {name} ({path})")


def regression(
    release: Release, request: EvalRequest, expect: EvalExpect, pair: ProofPair, origin: Origin
) -> EvalCaseSpec:
    """A must-pass case with its proof pair."""
    return EvalCaseSpec(
        release=release.metadata.name, request=request, expect=expect, must_pass=True, origin=origin, proof=pair
    )


def probed_url(labels: Mapping[str, str]) -> str | None:
    """The URL that a probe asks, by the labels of its alert. An ordinary target is an address without `http://`."""
    found = (labels.get(label, "") for label in _TARGETS)
    return next((url for url in found if url.startswith(("http://", "https://"))), None)


def _is_about(release: Release, labels: Mapping[str, str], url: str) -> bool:
    """True where the URL's host or the alert's labels name this service: of others' probes nothing is to be learnt here."""
    known = {release.metadata.name, release.spec.workload_ref.name}
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host.split(".")[0] in known or service_of(labels, sorted(known)) in known
