"""Learn and ship: the EvalCase from the ticket's example, the fix that was promoted, the postmortem."""

from datetime import timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Fix
from opsloop.core.actions import CreateEvalCase, StorePostmortem
from opsloop.core.evalcase import capture
from opsloop.core.evalcase.capture import NO_EXAMPLE
from opsloop.core.evalcase.proof import PROVEN
from opsloop.core.incident import timeline
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.names import INCIDENT, RELEASE, WAIVE, postmortem_name

# Named reasons
NOT_PROVEN_YET = "NotProvenYet"  # the EvalCase is being proven
WAIVED = "Waived"  # a person said that no case is possible
NO_FIX = "NoFixYet"  # nothing was promoted since
FIX_PROMOTED = "FixPromoted"  # another revision was promoted
CASE_DID_NOT_RUN = "CaseDidNotRun"  # it was promoted without this Incident's case
LOOP_CLOSED = "LoopClosed"  # promoted, and this Incident's case ran and passed in that promotion


def learn(decision: IncidentBuilder) -> None:
    """Only where a revision is to blame is there something to regress against."""
    cause = decision.status.cause
    if decision.status.burn is None or cause is None or cause.kind != "bad_release":
        return
    _capture(decision)
    _captured(decision)
    _fix(decision)


def _capture(decision: IncidentBuilder) -> None:
    status, root = decision.status, decision.facts.root
    if status.phase not in ("Mitigated", "Resolved") or root is None or status.rollback is None:
        return
    name = capture.case_name(decision.facts.incident.metadata.name)
    if _case(decision, name) is not None:
        decision.set(eval_case=name)
        return
    assert status.cause is not None
    for ticket in status.tickets:
        good = status.rollback.to_digest
        spec = capture.from_ticket(
            decision.facts.incident.metadata.name, root.release, ticket, status.cause.revision, good
        )
        if spec is not None:
            labels = {RELEASE: root.release.metadata.name, INCIDENT: decision.facts.incident.metadata.name}
            decision.set(eval_case=name)
            decision.execute(CreateEvalCase(name, spec.dump(), labels))
            text = f"EvalCase {name} from ticket {ticket.id}"
            timeline.record(decision, "captured", decision.now, "Learnt", text)
            decision.event("RegressionCaptured", text)
            decision.look_again(timedelta(seconds=5))
            return


def _case(decision: IncidentBuilder, name: str) -> EvalCase | None:
    return next((c for c in decision.facts.eval_cases if c.metadata.name == name), None)


def _captured(decision: IncidentBuilder) -> None:
    case = _case(decision, decision.status.eval_case) if decision.status.eval_case else None
    if decision.facts.incident.metadata.annotations.get(WAIVE) == "true":
        decision.condition("RegressionCaptured", True, WAIVED, "a person waived the regression case")
    elif case is None:
        decision.condition("RegressionCaptured", None, NO_EXAMPLE, "no ticket's example became an EvalCase")
    elif case.status.proven == "True":
        text = f"{case.metadata.name} fails on the bad revision and passes on the good one"
        decision.condition("RegressionCaptured", True, PROVEN, text)
        at = case.status.bad.at if case.status.bad else decision.now
        timeline.record(decision, "proven", at, "Learnt", text)
    else:
        said = False if case.status.proven == "False" else None
        decision.condition(
            "RegressionCaptured", said, case.status.reason or NOT_PROVEN_YET, "the EvalCase is not proven"
        )


def _fix(decision: IncidentBuilder) -> None:
    status, root = decision.status, decision.facts.root
    promotion = root.release.status.promotion if root else None
    detected = status.detected_at
    fixed = (
        promotion is not None
        and detected is not None
        and promotion.at > detected
        and promotion.digest not in status.blocked
        and (
            status.rollback is None or promotion.digest not in (status.rollback.from_digest, status.rollback.to_digest)
        )
    )
    if not fixed or promotion is None:
        if status.fix is None:
            decision.condition("FixShipped", False, NO_FIX, "no other revision was promoted since")
            decision.condition("LoopClosed", False, NO_FIX, "no other revision was promoted since")
        return
    if status.fix is not None and status.fix.case_passed:
        return
    waived = decision.facts.incident.metadata.annotations.get(WAIVE) == "true"
    passed = status.eval_case in promotion.cases if status.eval_case else False
    decision.set(
        fix=Fix(digest=promotion.digest, version=promotion.version, at=promotion.at, case_passed=passed or waived)
    )
    timeline.record(decision, f"fix-{promotion.digest}", promotion.at, "Fix", f"{promotion.version} was promoted")
    decision.condition("FixShipped", True, FIX_PROMOTED, f"{promotion.version} was promoted")
    if passed or waived:
        text = f"{promotion.version} was promoted and {status.eval_case or 'the waived case'} passed in that promotion"
        decision.condition("LoopClosed", True, LOOP_CLOSED, text)
        timeline.record(decision, "closed", promotion.at, "Closed", text)
        decision.event("LoopClosed", text)
    else:
        decision.condition(
            "LoopClosed", False, CASE_DID_NOT_RUN, "the Incident's EvalCase did not run in that promotion"
        )


def postmortem(decision: IncidentBuilder) -> None:
    """Asks for the postmortem to be rendered and stored, only where its subject has changed since it was stored."""
    status = decision.status
    if status.phase not in ("Mitigated", "Resolved") or status.merged_into or status.burn is None:
        return
    name = postmortem_name(decision.facts.incident.metadata.name)
    if decision.facts.postmortem is not None:
        decision.set(postmortem=name)
        decision.condition("PostmortemWritten", True, "Written", f"ConfigMap {name}, key postmortem.md")
    else:
        decision.condition("PostmortemWritten", False, "Pending", "the postmortem is being written")
    incident = decision.facts.incident.model_copy(update={"status": decision.status})
    case = _case(decision, decision.status.eval_case) if decision.status.eval_case else None
    release = decision.facts.root.release if decision.facts.root else None
    digest = PostmortemSubject.of(incident, release, case).digest
    if digest != decision.facts.postmortem:
        decision.execute(StorePostmortem(name, digest, incident, release, case))
        decision.look_again(timedelta(seconds=2))
