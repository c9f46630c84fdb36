"""Learn and ship: the EvalCase from the ticket's example, the fix that was promoted, the postmortem."""

from datetime import timedelta

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Fix
from opsloop.core.actions import CreateEvalCase, StorePostmortem
from opsloop.core.evalcase import capture
from opsloop.core.evalcase.capture import NO_EXAMPLE
from opsloop.core.evalcase.proof import PROVEN
from opsloop.core.incident.state import Sheet
from opsloop.core.postmortem.subject import PostmortemSubject
from opsloop.names import INCIDENT, RELEASE, WAIVE, postmortem_name

# Named reasons
NOT_PROVEN_YET = "NotProvenYet"  # the EvalCase is being proven
WAIVED = "Waived"  # a person said that no case is possible
NO_FIX = "NoFixYet"  # nothing was promoted since
FIX_PROMOTED = "FixPromoted"  # another revision was promoted
CASE_DID_NOT_RUN = "CaseDidNotRun"  # it was promoted without this Incident's case
LOOP_CLOSED = "LoopClosed"  # promoted, and this Incident's case ran and passed in that promotion


def learn(sheet: Sheet) -> None:
    """Only where a revision is to blame is there something to regress against."""
    cause = sheet.status.cause
    if sheet.status.burn is None or cause is None or cause.kind != "bad_release":
        return
    _capture(sheet)
    _captured(sheet)
    _fix(sheet)


def _capture(sheet: Sheet) -> None:
    status, root = sheet.status, sheet.facts.root
    if status.phase not in ("Mitigated", "Resolved") or root is None or status.rollback is None:
        return
    name = capture.case_name(sheet.name)
    if _case(sheet, name) is not None:
        sheet.set(eval_case=name)
        return
    assert status.cause is not None
    for ticket in status.tickets:
        good = status.rollback.to_digest
        spec = capture.from_ticket(sheet.name, root.release, ticket, status.cause.revision, good)
        if spec is not None:
            labels = {RELEASE: root.release.metadata.name, INCIDENT: sheet.name}
            sheet.set(eval_case=name)
            sheet.act(CreateEvalCase(name, spec.dump(), labels))
            text = f"EvalCase {name} from ticket {ticket.id}"
            sheet.note("captured", sheet.now, "Learnt", "opsloop", text)
            sheet.event("RegressionCaptured", text)
            sheet.look(timedelta(seconds=5))
            return


def _case(sheet: Sheet, name: str) -> EvalCase | None:
    return next((c for c in sheet.facts.eval_cases if c.metadata.name == name), None)


def _captured(sheet: Sheet) -> None:
    case = _case(sheet, sheet.status.eval_case) if sheet.status.eval_case else None
    if sheet.facts.incident.metadata.annotations.get(WAIVE) == "true":
        sheet.condition("RegressionCaptured", True, WAIVED, "a person waived the regression case")
    elif case is None:
        sheet.condition("RegressionCaptured", None, NO_EXAMPLE, "no ticket's example became an EvalCase")
    elif case.status.proven == "True":
        text = f"{case.metadata.name} fails on the bad revision and passes on the good one"
        sheet.condition("RegressionCaptured", True, PROVEN, text)
        at = case.status.bad.at if case.status.bad else sheet.now
        sheet.note("proven", at, "Learnt", "opsloop", text)
    else:
        said = False if case.status.proven == "False" else None
        sheet.condition("RegressionCaptured", said, case.status.reason or NOT_PROVEN_YET, "the EvalCase is not proven")


def _fix(sheet: Sheet) -> None:
    status, root = sheet.status, sheet.facts.root
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
            sheet.condition("FixShipped", False, NO_FIX, "no other revision was promoted since")
            sheet.condition("LoopClosed", False, NO_FIX, "no other revision was promoted since")
        return
    if status.fix is not None and status.fix.case_passed:
        return
    waived = sheet.facts.incident.metadata.annotations.get(WAIVE) == "true"
    passed = status.eval_case in promotion.cases if status.eval_case else False
    sheet.set(
        fix=Fix(digest=promotion.digest, version=promotion.version, at=promotion.at, case_passed=passed or waived)
    )
    sheet.note(f"fix-{promotion.digest}", promotion.at, "Fix", "opsloop", f"{promotion.version} was promoted")
    sheet.condition("FixShipped", True, FIX_PROMOTED, f"{promotion.version} was promoted")
    if passed or waived:
        text = f"{promotion.version} was promoted and {status.eval_case or 'the waived case'} passed in that promotion"
        sheet.condition("LoopClosed", True, LOOP_CLOSED, text)
        sheet.note("closed", promotion.at, "Closed", "opsloop", text)
        sheet.event("LoopClosed", text)
    else:
        sheet.condition("LoopClosed", False, CASE_DID_NOT_RUN, "the Incident's EvalCase did not run in that promotion")


def postmortem(sheet: Sheet) -> None:
    """Asks for the postmortem to be rendered and stored, only where its subject has changed since it was stored."""
    status = sheet.status
    if status.phase not in ("Mitigated", "Resolved") or status.merged_into or status.burn is None:
        return
    name = postmortem_name(sheet.name)
    if sheet.facts.postmortem is not None:
        sheet.set(postmortem=name)
        sheet.condition("PostmortemWritten", True, "Written", f"ConfigMap {name}, key postmortem.md")
    else:
        sheet.condition("PostmortemWritten", False, "Pending", "the postmortem is being written")
    incident = sheet.facts.incident.model_copy(update={"status": sheet.status})
    case = _case(sheet, sheet.status.eval_case) if sheet.status.eval_case else None
    release = sheet.facts.root.release if sheet.facts.root else None
    digest = PostmortemSubject.of(incident, release, case).digest
    if digest != sheet.facts.postmortem:
        sheet.act(StorePostmortem(name, digest, incident, release, case))
        sheet.look(timedelta(seconds=2))
