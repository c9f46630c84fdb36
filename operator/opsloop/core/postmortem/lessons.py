"""What an incident teaches, each sentence from a fact: gaps of the system, what went well, what to do, what to ask."""

from opsloop.core.postmortem.markdown import clock, code, day, plain, span, text
from opsloop.core.postmortem.subject import Story


def gaps(story: Story) -> list[str]:
    """Contributing factors: what the system allowed or lacked. Never who."""
    return [*_shipping_gaps(story), *_eval_gaps(story), *_detection_gaps(story), *_mitigation_gaps(story)]


def _shipping_gaps(story: Story) -> list[str]:
    blamed, found = story.blamed, []
    if blamed and blamed.shipped_without_canary:
        by = f" by {code(blamed.manager)}" if blamed.manager else ""
        found.append(
            f"**Shipped without a canary.** {story.blamed_version} was written straight onto the Deployment{by},"
            " so all users met it at once and no eval ran on it. Nothing in the cluster stood in the way."
        )
    elif blamed and blamed.reason == "Canaried":
        found.append(
            f"**The canary did not catch it.** {story.blamed_version} went through its canary and was promoted;"
            " the harm showed only afterwards."
        )
    if story.release is None:
        found.append("**No Release looks after this service,** so nothing could be judged or rolled back by itself.")
    return found


def _eval_gaps(story: Story) -> list[str]:
    if story.release is None:
        return []
    if story.release.spec.evals is None:
        return [
            "**No eval cases.** The Release has no `spec.evals`: nobody asks a new version anything before users do."
        ]
    promoted, blamed = story.release.status.promotion, story.blamed
    if promoted and blamed and promoted.digest == blamed.digest and promoted.cases:
        cases = ", ".join(code(c) for c in promoted.cases[:10])
        return [f"**No eval case covered this.** {cases} ran in the promotion and passed."]
    captured = story.case is not None and story.case.spec.origin.incident == story.name
    if captured:
        return ["**No eval case covered this.** The question that failed became a case only through this incident."]
    return []


def _detection_gaps(story: Story) -> list[str]:
    status, signal, found = story.incident.status, story.incident.spec.signal, []
    first_ticket, detected = story.first_ticket_at, status.detected_at
    if signal.kind == "ticket":
        found.append("**A user noticed before any monitor did.** Neither an SLO nor an alert opened this incident.")
    elif first_ticket and detected and first_ticket < min(detected, status.alerts.first_at or detected):
        told = min(detected, status.alerts.first_at or detected)
        found.append(f"**Users told us before any monitor did:** {span(first_ticket, told)} earlier.")
    if signal.kind == "burn" and status.alerts.count == 0:
        found.append("**Detected by the SLO only.** No alert rule fired for this harm.")
    if signal.kind != "burn" and story.release is not None and story.release.spec.slo is None:
        found.append("**No SLO.** The Release does not say what healthy means, so harm cannot be measured.")
    return found


def _mitigation_gaps(story: Story) -> list[str]:
    status, found = story.incident.status, []
    back = story.revision(story.rollback.to_digest) if story.rollback else None
    if back and back.proven_at is None:
        found.append(
            f"**The rollback went to an unproven revision.** {code(back.version)} had not met its SLO for the bake time."
        )
    for play in status.plays:
        if play.state in ("DidNotHelp", "Refused"):
            why = f": {text(play.message)}" if play.message else ""
            said = "did not help" if play.state == "DidNotHelp" else f"was refused ({text(play.reason)})"
            found.append(
                f"**A play {said}.** {code(play.type)} of runbook {code(play.runbook)}, attempt {play.attempt}{why}."
            )
    if status.page and status.page.state == "Decided":
        found.append(f"**The page did not reach anybody:** {text(status.page.reason) or 'reason unknown'}.")
    if status.reopened:
        times = "once" if status.reopened == 1 else f"{status.reopened} times"
        found.append(f"**It came back {times}** after it had been resolved.")
    if story.incident.spec.previous:
        found.append(f"**It happened before:** {code(story.incident.spec.previous)}.")
    return found


def went_well(story: Story) -> list[str]:
    """Only what the record shows."""
    status, found = story.incident.status, []
    first_ticket, detected = story.first_ticket_at, status.detected_at
    first = detected is not None and (first_ticket is None or detected <= first_ticket)
    if status.onset_at and detected and first and story.incident.spec.signal.kind == "burn":
        found.append(
            f"The burn rate was noticed {span(status.onset_at, status.detected_at)} after onset, without a person."
        )
    if status.alerts.count > 1 and status.page and status.page.state == "Sent":
        found.append(f"{status.alerts.count} alerts became one incident and one page.")
    done, times = story.rollback, story.first_rollback
    if done and times:
        found.append(
            f"The rollback to {story.version(done.to_digest)} was complete {span(*times)} after it was decided."
        )
    if status.blocked:
        found.append(f"{_versions(story, status.blocked)} blocked: it cannot be promoted again by mistake.")
    found += _rejected_fixes(story)
    if story.case and story.case.status.proven == "True":
        found.append(
            f"The regression case {code(story.case.metadata.name)} is proven: it fails on the bad revision and passes on the good one."
        )
    return found


def _versions(story: Story, digests: list[str]) -> str:
    told = ", ".join(story.version(d) for d in digests)
    return f"{told} is" if len(digests) == 1 else f"{told} are"


def _rejected_fixes(story: Story) -> list[str]:
    """Later versions that were rejected as this incident's revision should have been."""
    if story.release is None:
        return []
    target, found = story.release.status.target, []
    for revision in story.release.status.revisions:
        blocked = revision.blocked
        if blocked is None or blocked.incident != story.name or revision.digest in story.incident.status.blocked:
            continue
        is_target = target is not None and target.digest == revision.digest
        dark = is_target and target is not None and target.evals_step is None
        served = "before it served any user" if dark else "and never became live"
        if revision.live_since is None:
            found.append(
                f"{story.version(revision.digest)} was rejected {served}: {text(blocked.message) or text(blocked.reason)}."
            )
    return found


def actions(story: Story) -> list[tuple[bool, str]]:
    """(done, what to do), each from a fact."""
    found: list[tuple[bool, str]] = []
    blamed, status = story.blamed, story.incident.status
    if blamed and blamed.shipped_without_canary:
        how = (
            f"instead of writing the Deployment with {code(blamed.manager)}"
            if blamed.manager
            else "not onto the Deployment"
        )
        found.append(
            (
                False,
                f"Put changes of {code(story.incident.spec.service)} through its Release, {how}; leave the pod template to it.",
            )
        )
    found += [_case_action(story), *_fix_actions(story)]
    if status.cause is None or status.cause.kind == "unknown":
        found.append((False, "Find the cause: nothing that was measured points to one."))
    if status.page and status.page.state == "Decided":
        found.append((False, "Repair the way to the pager, and try it with a test page."))
    if story.incident.spec.signal.kind != "burn" and story.release is not None and story.release.spec.slo is None:
        found.append(
            (False, f"Write an SLO for {code(story.release.metadata.name)} that counts this harm as bad events.")
        )
    if story.release is None:
        found.append(
            (
                False,
                f"Write a Release for {code(story.incident.spec.service)}, so that the next one can be rolled back.",
            )
        )
    return found


def _case_action(story: Story) -> tuple[bool, str]:
    case = story.case
    if case is None:
        why = next((c.message for c in story.incident.status.conditions if c.type == "RegressionCaptured"), "")
        because = f" None was captured: {text(why)}." if why else ""
        return False, f"Write an EvalCase that fails on what went wrong here.{because}"
    name = code(case.metadata.name)
    if case.status.proven == "True":
        return True, f"Eval case {name} gates promotions of {code(case.spec.release)} from now on (proven)."
    if case.spec.origin.kind == "manual":
        return (
            True,
            f"Eval case {name} gates promotions of {code(case.spec.release)} from now on (written by a person).",
        )
    reason = text(case.status.reason) or "no proof yet"
    return False, f"Get eval case {name} proven; until then it gates nothing ({reason})."


def _fix_actions(story: Story) -> list[tuple[bool, str]]:
    fix, cause = story.incident.status.fix, story.incident.status.cause
    if fix is not None:
        with_case = (
            "with this incident's case passing" if fix.case_passed else "**without** this incident's case passing in it"
        )
        return [
            (fix.case_passed, f"Fix {code(fix.version)} promoted at {day(fix.at)} {clock(fix.at)} UTC, {with_case}.")
        ]
    if cause and cause.kind == "bad_release":
        return [(False, f"Ship a fix of {story.blamed_version}: still open, users have {_live(story)} meanwhile.")]
    return []


def _live(story: Story) -> str:
    version = plain(story.release.status.version) if story.release else ""
    return code(version) if version else "the former version"


def questions(story: Story) -> list[str]:
    """What no measurement can answer; for the people who meet about this."""
    status, found = story.incident.status, []
    if story.blamed and story.blamed.shipped_without_canary:
        found.append(
            "What made writing the Deployment directly the easier way, and what would make the Release the easier one?"
        )
    if status.cause and status.cause.kind == "bad_release":
        found.append(
            f"What was {story.blamed_version} meant to change, and which check before the cluster could have shown this?"
        )
    if status.onset_at is None:
        found.append("When did the harm begin? The measurements do not show it.")
    if status.tickets:
        ids = ", ".join(code(t.id) for t in status.tickets[:20])
        found.append(f"Who answers the users of {ids}, and who else was harmed without writing?")
    elif status.onset_at is not None:
        found.append("No user's ticket is linked: did users notice, and where would they have said so?")
    if status.alerts.count and status.burn is None and story.incident.spec.signal.burn is None and story.release:
        found.append(
            "The alerts fired and the SLO did not burn: does the SLI miss this harm, or are the alerts too eager?"
        )
    return found
