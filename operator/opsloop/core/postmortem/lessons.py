"""What an incident teaches, each sentence from a fact: gaps of the system, what went well, what to do, what to ask."""

from opsloop.core.postmortem.markdown import clock, code, day, plain, span, text
from opsloop.core.postmortem.subject import PostmortemSubject

_OUTCOMES = {"DidNotHelp": "did not help", "NotProven": "was not seen to help", "Refused": "was refused"}


def gaps(subject: PostmortemSubject) -> list[str]:
    """Contributing factors: what the system allowed or lacked. Never who."""
    return [*_shipping_gaps(subject), *_eval_gaps(subject), *_detection_gaps(subject), *_mitigation_gaps(subject)]


def _shipping_gaps(subject: PostmortemSubject) -> list[str]:
    blamed, sentences = subject.blamed, []
    if blamed and blamed.shipped_without_canary:
        by = f" by {code(blamed.manager)}" if blamed.manager else ""
        sentences.append(
            f"**Shipped without a canary.** {subject.blamed_version} was written straight onto the Deployment{by},"
            " so all users met it at once and no eval ran on it. Nothing in the cluster stood in the way."
        )
    elif blamed and blamed.reason == "Canaried":
        sentences.append(
            f"**The canary did not catch it.** {subject.blamed_version} went through its canary and was promoted;"
            " the harm showed only afterwards."
        )
    if subject.release is None:
        sentences.append(
            "**No Release looks after this service,** so nothing could be judged or rolled back by itself."
        )
    return sentences


def _eval_gaps(subject: PostmortemSubject) -> list[str]:
    if subject.release is None:
        return []
    if not subject.release.has_evals:
        return [
            "**No eval cases.** The Release has no `spec.evals`: nobody asks a new version anything before users do."
        ]
    if subject.blamed and subject.release.passed_cases:
        cases = ", ".join(code(c) for c in subject.release.passed_cases[:10])
        return [f"**No eval case covered this.** {cases} ran in the promotion and passed."]
    captured = subject.case is not None and subject.case.incident == subject.name
    if captured:
        return ["**No eval case covered this.** The question that failed became a case only through this incident."]
    return []


def _detection_gaps(subject: PostmortemSubject) -> list[str]:
    status, signal, sentences = subject.incident.status, subject.incident.spec.signal, []
    first_ticket, detected = subject.first_ticket_at, status.detected_at
    if signal.kind == "ticket":
        sentences.append("**A user noticed before any monitor did.** Neither an SLO nor an alert opened this incident.")
    elif first_ticket and detected and first_ticket < min(detected, status.alerts.first_at or detected):
        first_monitor = min(detected, status.alerts.first_at or detected)
        sentences.append(f"**Users told us before any monitor did:** {span(first_ticket, first_monitor)} earlier.")
    if signal.kind == "burn" and status.alerts.count == 0:
        sentences.append("**Detected by the SLO only.** No alert rule fired for this harm.")
    if signal.kind != "burn" and subject.release is not None and not subject.release.has_slo:
        sentences.append("**No SLO.** The Release does not say what healthy means, so harm cannot be measured.")
    return sentences


def _mitigation_gaps(subject: PostmortemSubject) -> list[str]:
    status, sentences = subject.incident.status, []
    back = subject.revision(subject.rollback.to_digest) if subject.rollback else None
    if back and back.proven_at is None:
        sentences.append(
            f"**The rollback went to an unproven revision.** {code(back.version)} had not met its SLO for the bake time."
        )
    for play in status.plays:
        if play.state in _OUTCOMES:
            why = f": {text(play.message)}" if play.message else ""
            outcome = f"was refused ({text(play.reason)})" if play.state == "Refused" else _OUTCOMES[play.state]
            sentences.append(
                f"**A play {outcome}.** {code(play.type)} of runbook {code(play.runbook)}, attempt {play.attempt}{why}."
            )
    if status.page and status.page.sent_at is None and status.page.state != "Grouped":
        sentences.append(f"**The page did not reach anybody:** {text(status.page.reason) or 'reason unknown'}.")
    if status.reopened:
        times = "once" if status.reopened == 1 else f"{status.reopened} times"
        sentences.append(f"**It came back {times}** after it had been resolved.")
    if subject.incident.spec.previous:
        sentences.append(f"**It happened before:** {code(subject.incident.spec.previous)}.")
    return sentences


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
    if subject.blocked:
        sentences.append(f"{_versions(subject, subject.blocked)} blocked: it cannot be promoted again by mistake.")
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
        if blocked is None or blocked.incident != subject.name or revision.digest in subject.incident.status.blocked:
            continue
        dark = revision.digest == subject.release.rejected_dark
        served = "before it served any user" if dark else "and never became live"
        if revision.live_since is None:
            sentences.append(
                f"{subject.version(revision.digest)} was rejected {served}: {text(blocked.message) or text(blocked.reason)}."
            )
    return sentences


def actions(subject: PostmortemSubject) -> list[tuple[bool, str]]:
    """(done, what to do), each from a fact."""
    items: list[tuple[bool, str]] = []
    blamed, status = subject.blamed, subject.incident.status
    if blamed and blamed.shipped_without_canary:
        how = (
            f"instead of writing the Deployment with {code(blamed.manager)}"
            if blamed.manager
            else "not onto the Deployment"
        )
        items.append(
            (
                False,
                f"Put changes of {code(subject.incident.spec.service)} through its Release, {how}; leave the pod template to it.",
            )
        )
    items += [_case_action(subject), *_fix_actions(subject)]
    if status.cause is None or status.cause.kind == "unknown":
        items.append((False, "Find the cause: nothing that was measured points to one."))
    if status.page and status.page.sent_at is None and status.page.state != "Grouped":
        items.append((False, "Repair the way to the pager, and try it with a test page."))
    if subject.incident.spec.signal.kind != "burn" and subject.release is not None and not subject.release.has_slo:
        items.append((False, f"Write an SLO for {code(subject.release.name)} that counts this harm as bad events."))
    if subject.release is None:
        items.append(
            (
                False,
                f"Write a Release for {code(subject.incident.spec.service)}, so that the next one can be rolled back.",
            )
        )
    return items


def _case_action(subject: PostmortemSubject) -> tuple[bool, str]:
    case = subject.case
    if case is None:
        because = f" None was captured: {text(subject.no_case)}." if subject.no_case else ""
        return False, f"Write an EvalCase that fails on what went wrong here.{because}"
    name = code(case.name)
    if case.proven == "True":
        return True, f"Eval case {name} gates promotions of {code(case.release)} from now on (proven)."
    if case.kind == "manual":
        return (
            True,
            f"Eval case {name} gates promotions of {code(case.release)} from now on (written by a person).",
        )
    reason = text(case.reason) or "no proof yet"
    return False, f"Get eval case {name} proven; until then it gates nothing ({reason})."


def _fix_actions(subject: PostmortemSubject) -> list[tuple[bool, str]]:
    fix, cause = subject.incident.status.fix, subject.incident.status.cause
    if fix is not None:
        with_case = (
            "with this incident's case passing" if fix.case_passed else "**without** this incident's case passing in it"
        )
        return [
            (fix.case_passed, f"Fix {code(fix.version)} promoted at {day(fix.at)} {clock(fix.at)} UTC, {with_case}.")
        ]
    if cause and cause.kind == "bad_release":
        return [(False, f"Ship a fix of {subject.blamed_version}: still open, users have {_live(subject)} meanwhile.")]
    if cause and cause.object:
        return [(False, f"Undo or mend it where it is written: {code(cause.object)}. opsloop does not change it.")]
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
