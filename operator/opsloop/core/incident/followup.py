"""Learn and ship: the Incident's EvalCase, the fix that was promoted, the postmortem."""

from datetime import timedelta

from opsloop.api.evalcase import EvalCase, ProofPair
from opsloop.api.incident import Fix, IncidentStatus
from opsloop.api.meta import PAGING
from opsloop.api.release import Release
from opsloop.core import conditions
from opsloop.core.actions import CreateEvalCase, StorePostmortem
from opsloop.core.evalcase import ways
from opsloop.core.evalcase.capture import NO_EXAMPLE
from opsloop.core.evalcase.proof import PROVEN
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import comparison, timeline, waivers
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.incident.waivers import WAIVED, WAIVER_UNFIT
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.names import INCIDENT, RELEASE, postmortem_name

# Named reasons
NOT_PROVEN_YET = "NotProvenYet"  # the EvalCase is being proven
NO_FIX = "NoFixYet"  # nothing was promoted since
FIX_PROMOTED = "FixPromoted"  # another revision was promoted
CASE_DID_NOT_RUN = "CaseDidNotRun"  # it was promoted without this Incident's case
NO_WAY = "neither a ticket's example nor a failing EvalCase or probe became an EvalCase, and no request was captured"
LOOP_CLOSED = "LoopClosed"  # promoted, and this Incident's case ran and passed in that promotion


def learn(decision: IncidentBuilder) -> None:
    """Captures the regression case, follows its proof and the fix; only where a revision is to blame."""
    status, facts = decision.status, decision.facts
    blamed = status.burn is not None and status.cause is not None and status.cause.kind == "bad_release"
    if not blamed or status.merged_into or proof_pair(facts, status) is None:
        comparison.give_up(decision)
    if not blamed:
        return
    _capture(decision)
    _follow_proof(decision, waivers.record(decision))
    fix = _fix(facts, decision.status)
    if fix is not None:
        _close(decision, fix)
    elif decision.status.fix is None:
        decision.condition("FixShipped", False, NO_FIX, "no other revision was promoted since")
        decision.condition("LoopClosed", False, NO_FIX, "no other revision was promoted since")


def _capture(decision: IncidentBuilder) -> None:
    """Names the EvalCase, and creates it where it is not there yet: by the best way that gives one which can be proven."""
    facts = decision.facts
    pair = proof_pair(facts, decision.status)
    if pair is None or facts.root is None:
        return
    incident, release = facts.incident.metadata.name, facts.root.release
    made = ways.candidates(incident, release, decision.status.tickets, facts.eval_cases, facts.ledger.alerts, pair)
    choice = ways.choose(incident, facts.eval_cases, made)
    wanted = choice.new is None and (choice.case is None or ways.is_spent(choice.case))
    new = comparison.follow(decision, pair, release, wanted) or choice.new
    if new is not None:
        _create(decision, release, new)
    elif choice.case is not None:
        _take(decision, choice.case)


def _take(decision: IncidentBuilder, case: EvalCase) -> None:
    """Follows a case that is there; one that a person gave is told in the timeline."""
    name = case.metadata.name
    if name != decision.status.eval_case and ways.way_of(case) == "capture":
        text = f"EvalCase {name}, which a person wrote for this Incident" + (
            f" from {case.spec.origin.source}" if case.spec.origin.source else ""
        )
        timeline.record(decision, f"captured-{name}", decision.now, "Learnt", text)
    decision.set(eval_case=name)


def _create(decision: IncidentBuilder, release: Release, new: ways.Candidate) -> None:
    """With the labels by which the Release selects its cases: a case that gates nothing has taught nothing."""
    selected = release.spec.evals.match_labels if release.spec.evals else {}
    labels = {**selected, RELEASE: release.metadata.name, INCIDENT: decision.facts.incident.metadata.name}
    decision.set(eval_case=new.name)
    decision.execute(CreateEvalCase(new.name, new.spec.dump(), labels))
    text = f"EvalCase {new.name} from {new.source}"
    timeline.record(
        decision, "captured" if new.way == "ticket" else f"captured-{new.way}", decision.now, "Learnt", text
    )
    decision.event("RegressionCaptured", text)
    decision.look_again(timedelta(seconds=5))


def proof_pair(facts: IncidentFacts, status: IncidentStatus) -> ProofPair | None:
    """The revisions that prove a case, after the mitigation; else None."""
    mitigated = status.phase in ("Mitigated", "Resolved") and facts.root is not None
    return ways.pair_of(status) if mitigated else None


def _case(facts: IncidentFacts, name: str) -> EvalCase | None:
    return next((case for case in facts.eval_cases if case.metadata.name == name), None) if name else None


def _follow_proof(decision: IncidentBuilder, waiver_fits: bool) -> None:
    """Condition RegressionCaptured. A waiver is said where no case is proven, and makes none True."""
    case, waiver = _case(decision.facts, decision.status.eval_case), decision.status.waiver
    proven = case is not None and case.status.proven == "True"
    if waiver is not None and not proven:
        text = f"{waivers.words(waiver)}; no EvalCase guards against this fault"
        decision.condition("RegressionCaptured", None, WAIVED, text)
    elif not waiver_fits and not proven:
        decision.condition("RegressionCaptured", None, WAIVER_UNFIT, f"nothing is waived: {waivers.HOW}")
    elif case is None:
        sought = decision.status.comparison
        reason, why = (sought.reason, sought.message) if sought and sought.reason else (NO_EXAMPLE, NO_WAY)
        decision.condition("RegressionCaptured", None, reason, why)
    elif case.status.proven == "True":
        text = f"{case.metadata.name} (by {ways.way_of(case)}) fails on the bad revision and passes on the good one"
        decision.condition("RegressionCaptured", True, PROVEN, text)
        at = case.status.bad.at if case.status.bad else decision.now
        timeline.record(decision, "proven", at, "Learnt", text)
    else:
        captured = False if case.status.proven == "False" else None
        reason = case.status.reason or NOT_PROVEN_YET
        proof = conditions.get(case.status.conditions, "Proven")
        why = f": {proof.message}" if proof and proof.message else ""
        decision.condition("RegressionCaptured", captured, reason, f"EvalCase {case.metadata.name} is not proven{why}")


def _fix(facts: IncidentFacts, status: IncidentStatus) -> Fix | None:
    """The promotion of another revision since the detection; None where there is none or the loop is closed already."""
    promotion = facts.root.release.status.promotion if facts.root else None
    if promotion is None or status.detected_at is None or promotion.at <= status.detected_at:
        return None
    rollback = status.rollback
    known = {*status.blocked, *((rollback.from_digest, rollback.to_digest) if rollback else ())}
    if promotion.digest in known or (status.fix is not None and (status.fix.case_passed or status.fix.waived)):
        return None
    passed = bool(status.eval_case) and status.eval_case in promotion.cases
    waived = status.waiver is not None and not passed
    return Fix(digest=promotion.digest, version=promotion.version, at=promotion.at, case_passed=passed, waived=waived)


def _close(decision: IncidentBuilder, fix: Fix) -> None:
    """The fix is recorded; the loop is closed where this Incident's case passed in that promotion."""
    decision.set(fix=fix)
    timeline.record(decision, f"fix-{fix.digest}", fix.at, "Fix", f"{fix.version} was promoted")
    decision.condition("FixShipped", True, FIX_PROMOTED, f"{fix.version} was promoted")
    waiver = decision.status.waiver
    if fix.case_passed or (fix.waived and waiver is not None):
        text = f"{fix.version} was promoted and {decision.status.eval_case} passed in that promotion"
        if not fix.case_passed and waiver is not None:
            text = f"{fix.version} was promoted without an EvalCase for this fault, {waivers.words(waiver)}"
        decision.condition("LoopClosed", True, LOOP_CLOSED if fix.case_passed else WAIVED, text)
        timeline.record(decision, "closed", fix.at, "Closed", text)
        decision.event("LoopClosed", text)
    else:
        case = _case(decision.facts, decision.status.eval_case)
        aside = f": {case.metadata.name} was set aside as flaky" if case is not None and case.is_flaky else ""
        named = decision.status.eval_case
        text = (
            f"{named} did not pass in that promotion{aside}"
            if named
            else "there is no EvalCase of this Incident, so none ran in that promotion"
        )
        decision.condition("LoopClosed", False, CASE_DID_NOT_RUN, text)


def postmortem(decision: IncidentBuilder) -> None:
    """Asks for the postmortem to be rendered and stored, only where its subject has changed since it was stored."""
    status = decision.status
    told = status.burn is not None or (decision.facts.incident.had_outage and status.severity in PAGING)
    if status.phase not in ("Mitigated", "Resolved") or status.merged_into or not told:
        return
    name = postmortem_name(decision.facts.incident.metadata.name)
    if decision.facts.postmortem is not None:
        decision.set(postmortem=name)
        decision.condition("PostmortemWritten", True, "Written", f"ConfigMap {name}, key postmortem.md")
    else:
        decision.condition("PostmortemWritten", False, "Pending", "the postmortem is being written")
    incident = decision.facts.incident.model_copy(update={"status": decision.status})
    case = _case(decision.facts, decision.status.eval_case)
    release = decision.facts.root.release if decision.facts.root else None
    digest = PostmortemSubject.of(incident, release, case).digest
    if digest != decision.facts.postmortem:
        decision.execute(StorePostmortem(name, digest, incident, release, case))
        decision.look_again(timedelta(seconds=2))
