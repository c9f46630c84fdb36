"""Contributing factors: what the system allowed or lacked, each found by a named rule. Never who."""

from collections.abc import Callable, Iterator

from opsloop.core.postmortem.markdown import code, span, text
from opsloop.core.postmortem.subject import PostmortemSubject

_OUTCOMES = {"DidNotHelp": "did not help", "NotProven": "was not seen to help", "Refused": "was refused"}

RULES = {
    "ShippedWithoutCanary": "the blamed revision went live without a canary",
    "PassedItsCanary": "the blamed revision was promoted by its canary",
    "NoRelease": "the service has no Release",
    "NoEvalCases": "the Release has no spec.evals",
    "NotCovered": "no EvalCase that ran before failed on the blamed revision",
    "UserSawItFirst": "a ticket came before the SLO and before any alert",
    "NoAlert": "the SLO burned and no alert fired",
    "NoSlo": "the Release has no SLO",
    "UnprovenRollback": "the revision that was rolled back to had not met its SLO for the bake time",
    "PlayFailed": "a play was refused, or was not seen to help",
    "PageLost": "the page was not delivered",
    "CameBack": "the Incident was reopened",
    "HappenedBefore": "the Incident names a previous one of the same root",
}
"""Rule → what it looks at in the record."""

Found = tuple[str, str]  # (name of the rule, inline Markdown)


def gaps(subject: PostmortemSubject) -> list[Found]:
    """All that the rules find, in their order."""
    rules: tuple[Callable[[PostmortemSubject], Iterator[Found]], ...] = (_shipping, _evals, _detection, _mitigation)
    return [found for rule in rules for found in rule(subject)]


def _shipping(subject: PostmortemSubject) -> Iterator[Found]:
    blamed = subject.blamed
    if blamed and blamed.shipped_without_canary:
        by = f" by {code(blamed.manager)}" if blamed.manager else ""
        yield (
            "ShippedWithoutCanary",
            f"**Shipped without a canary.** {subject.blamed_version} was written straight onto the Deployment{by},"
            " so all users met it at once and no eval ran on it. Nothing in the cluster stood in the way.",
        )
    elif blamed and blamed.reason == "Direct":
        yield (
            "ShippedWithoutCanary",
            f"**Shipped without a canary.** The Release has `strategy.type: direct`, so all users met {subject.blamed_version} at once.",
        )
    elif blamed and blamed.reason == "Canaried":
        yield (
            "PassedItsCanary",
            f"**The canary did not catch it.** {subject.blamed_version} went through its canary and was promoted;"
            " the harm showed only afterwards.",
        )
    if subject.release is None:
        yield (
            "NoRelease",
            "**No Release looks after this service,** so nothing could be judged or rolled back by itself.",
        )


def _evals(subject: PostmortemSubject) -> Iterator[Found]:
    if subject.release is None:
        return
    if not subject.release.has_evals:
        said = "**No eval cases.** The Release has no `spec.evals`: nobody asks a new version anything before users do."
        yield "NoEvalCases", said
    elif subject.blamed and subject.release.passed_cases:
        cases = ", ".join(code(c) for c in subject.release.passed_cases[:10])
        yield "NotCovered", f"**No eval case covered this.** {cases} ran in the promotion and passed."
    elif subject.case is not None and subject.case.incident == subject.name:
        said = "What failed became a case only through this incident."
        yield "NotCovered", f"**No eval case covered this.** {said}"


def _detection(subject: PostmortemSubject) -> Iterator[Found]:
    status, signal = subject.incident.status, subject.incident.spec.signal
    first_ticket, detected = subject.first_ticket_at, status.detected_at
    if signal.kind == "ticket":
        said = "**A user noticed before any monitor did.** Neither an SLO nor an alert opened this incident."
        yield "UserSawItFirst", said
    elif first_ticket and detected and first_ticket < min(detected, status.alerts.first_at or detected):
        earlier = span(first_ticket, min(detected, status.alerts.first_at or detected))
        yield "UserSawItFirst", f"**Users told us before any monitor did:** {earlier} earlier."
    if signal.kind == "burn" and status.alerts.count == 0:
        yield "NoAlert", "**Detected by the SLO only.** No alert rule fired for this harm."
    if signal.kind != "burn" and subject.release is not None and not subject.release.has_slo:
        said = "**No SLO.** The Release does not say what healthy means, so harm cannot be measured."
        yield "NoSlo", said


def _mitigation(subject: PostmortemSubject) -> Iterator[Found]:
    status = subject.incident.status
    back = subject.revision(subject.rollback.to_digest) if subject.rollback else None
    if back and back.proven_at is None:
        said = f"{code(back.version)} had not met its SLO for the bake time."
        yield "UnprovenRollback", f"**The rollback went to an unproven revision.** {said}"
    for play in status.plays:
        if play.state in _OUTCOMES:
            why = f": {text(play.message)}" if play.message else ""
            outcome = f"was refused ({text(play.reason)})" if play.state == "Refused" else _OUTCOMES[play.state]
            said = f"{code(play.type)} of runbook {code(play.runbook)}, attempt {play.attempt}{why}."
            yield "PlayFailed", f"**A play {outcome}.** {said}"
    if status.page and status.page.sent_at is None and status.page.state != "Grouped":
        why = text(status.page.reason) or "reason unknown"
        yield "PageLost", f"**The page did not reach anybody:** {why}."
    if status.reopened:
        times = "once" if status.reopened == 1 else f"{status.reopened} times"
        yield "CameBack", f"**It came back {times}** after it had been resolved."
    if subject.incident.spec.previous:
        yield "HappenedBefore", f"**It happened before:** {code(subject.incident.spec.previous)}."
