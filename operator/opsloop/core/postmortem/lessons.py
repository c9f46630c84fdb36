"""What an incident teaches, each sentence from a fact: what went well, what to do, what to ask."""

from opsloop.core.postmortem.markdown import clock, code, day, plain, span, text
from opsloop.core.postmortem.subject import PostmortemSubject


def went_well(subject: PostmortemSubject) -> list[str]:
    """Only what the record shows."""
    status, sentences = subject.incident.status, []
    first_ticket, detected = subject.first_ticket_at, status.detected_at
    first = detected is not None and (first_ticket is None or detected <= first_ticket)
    if status.onset_at and detected and first and subject.incident.spec.signal.kind == "burn":
        sentences.append(
            f"The burn rate was noticed {span(status.onset_at, status.detected_at)} after onset, without a person."
        )
    if status.alerts.count > 1 and status.page and status.page.sent_at and len(status.page.messages) <= 1:
        sentences.append(f"{status.alerts.count} alerts became one incident and one page.")
    done, times = subject.rollback, subject.first_rollback
    if done and times:
        sentences.append(
            f"The rollback to {subject.version(done.to_digest)} was complete {span(*times)} after it was decided."
        )
    if ran := [digest for digest in subject.blocked if not _never_lived(subject, digest)]:
        they = "it" if len(ran) == 1 else "they"
        sentences.append(f"{_versions(subject, ran)} blocked: {they} cannot be promoted again by mistake.")
    sentences += _rejected_fixes(subject)
    if subject.case and subject.case.proven == "True":
        sentences.append(
            f"The regression case {code(subject.case.name)} is proven: it fails on the bad revision and passes on the good one."
        )
    return sentences


def _versions(subject: PostmortemSubject, digests: list[str]) -> str:
    versions = ", ".join(subject.version(d) for d in digests)
    return f"{versions} is" if len(digests) == 1 else f"{versions} are"


def _rejected_fixes(subject: PostmortemSubject) -> list[str]:
    """Later versions that were rejected as this incident's revision should have been."""
    if subject.release is None:
        return []
    sentences = []
    for revision in subject.release.revisions:
        blocked = revision.blocked
        if blocked is None or blocked.incident != subject.name or not _never_lived(subject, revision.digest):
            continue
        dark = revision.digest in subject.release.rejected_dark
        served = "before it served any user" if dark else "and never became live"
        sentences.append(
            f"{subject.version(revision.digest)} was rejected {served}: {text(blocked.message) or text(blocked.reason)}."
        )
    return sentences


def _never_lived(subject: PostmortemSubject, digest: str) -> bool:
    """True for a revision that its canary kept from being live."""
    revision = subject.revision(digest)
    return revision is not None and revision.live_since is None


Item = tuple[str, bool, str]  # (identifier, done, what to do)


def actions(subject: PostmortemSubject) -> list[Item]:
    """What to do, each from a fact."""
    items: list[Item] = []
    blamed, status, service = subject.blamed, subject.incident.status, code(subject.incident.spec.service)
    if blamed and blamed.shipped_without_canary:
        by = f"instead of writing the Deployment with {code(blamed.manager)}"
        how = by if blamed.manager else "not onto the Deployment"
        said = f"Put changes of {service} through its Release, {how}; leave the pod template to it."
        items.append(("ship-by-release", False, said))
    items += [_case_action(subject), *_fix_actions(subject)]
    if status.cause is None or status.cause.kind == "unknown":
        items.append(("cause", False, "Find the cause: nothing that was measured points to one."))
    if status.page and status.page.sent_at is None and status.page.state != "Grouped":
        items.append(("pager", False, "Repair the way to the pager, and try it with a test page."))
    if subject.incident.spec.signal.kind != "burn" and subject.release is not None and not subject.release.has_slo:
        said = f"Write an SLO for {code(subject.release.name)} that counts this harm as bad events."
        items.append(("slo", False, said))
    if subject.release is None:
        items.append(("release", False, f"Write a Release for {service}, so that the next one can be rolled back."))
    return items


def _case_action(subject: PostmortemSubject) -> Item:
    case, waiver = subject.case, subject.incident.status.waiver
    if waiver is not None and (case is None or case.proven != "True"):
        said = f"**Waived** at {day(waiver.at)} {clock(waiver.at)} UTC by a person (`status.waiver.by`): {text(waiver.why)}."
        return "eval-case", False, f"No EvalCase guards against this fault. {said}"
    if case is None:
        because = f" None was captured: {text(subject.no_case)}." if subject.no_case else ""
        return "eval-case", False, f"Write an EvalCase that fails on what went wrong here.{because}"
    said = f"Eval case {code(case.name)} gates promotions of {code(case.release)} from now on"
    if case.proven == "True":
        return "eval-case", True, f"{said} (proven)."
    if case.kind == "manual":
        return "eval-case", True, f"{said} (written by a person)."
    reason = text(case.reason) or "no proof yet"
    return "eval-case", False, f"Get eval case {code(case.name)} proven; until then it gates nothing ({reason})."


def _fix_actions(subject: PostmortemSubject) -> list[Item]:
    fix, cause = subject.incident.status.fix, subject.incident.status.cause
    if fix is not None:
        how = (
            "with this incident's case passing"
            if fix.case_passed
            else f"**without** this incident's case passing in it{', which a person waived' if fix.waived else ''}"
        )
        said = f"Fix {code(fix.version)} promoted at {day(fix.at)} {clock(fix.at)} UTC, {how}."
        return [("fix", fix.case_passed, said)]
    if cause and cause.kind == "bad_release":
        said = f"Ship a fix of {subject.blamed_version}: still open, users have {_live(subject)} meanwhile."
        return [("fix", False, said)]
    if cause and cause.object:
        said = f"Undo or mend it where it is written: {code(cause.object)}. opsloop does not change it."
        return [("mend", False, said)]
    return []


def _live(subject: PostmortemSubject) -> str:
    version = plain(subject.release.live_version) if subject.release else ""
    return code(version) if version else "the former version"


def questions(subject: PostmortemSubject) -> list[str]:
    """What no measurement can answer; for the people who meet about this."""
    status, sentences = subject.incident.status, []
    if subject.blamed and subject.blamed.shipped_without_canary:
        sentences.append(
            "What made writing the Deployment directly the easier way, and what would make the Release the easier one?"
        )
    if status.cause and status.cause.kind == "bad_release":
        sentences.append(
            f"What was {subject.blamed_version} meant to change, and which check before the cluster could have shown this?"
        )
    if status.onset_at is None:
        sentences.append("When did the harm begin? The measurements do not show it.")
    if status.tickets:
        ids = ", ".join(code(t.id) for t in status.tickets[:20])
        sentences.append(f"Who answers the users of {ids}, and who else was harmed without writing?")
    elif status.onset_at is not None:
        sentences.append("No user's ticket is linked: did users notice, and where would they have said so?")
    if status.alerts.count and status.burn is None and subject.incident.spec.signal.burn is None and subject.release:
        sentences.append(
            "The alerts fired and the SLO did not burn: does the SLI miss this harm, or are the alerts too eager?"
        )
    return sentences
