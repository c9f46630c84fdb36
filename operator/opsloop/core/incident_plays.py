"""Paging and plays: one page for one Incident, Runbook steps in order, each verified by the SLI, escalation last."""

from datetime import timedelta

from opsloop.api.incident import Page, Play, RollbackDecision
from opsloop.api.runbook import Grant, Runbook, RunbookStep
from opsloop.core import causes, revisions
from opsloop.core.actions import SendPage
from opsloop.core.incident_sheet import PAGING, Sheet

# Named reasons
SEVERITY = "Severity"  # the severity pages
ESCALATED = "Escalated"  # the runbook is at its end, or there is none
NO_RUNBOOK = "NoRunbook"  # no Runbook matches cause, severity and labels
NO_LAST_GOOD = "NoLastGood"  # there is nothing to roll back to
CAUSE_NOT_A_RELEASE = "CauseNotARelease"  # a rollback needs a revision to blame
LIVE_IS_ANOTHER = "LiveIsAnother"  # the blamed revision is not live any more
DEPENDENCY_BREACHING = "DependencyBreaching"  # nothing is rolled back on a dependent while what it depends on breaches
TIMED_OUT = "TimedOut"  # the SLI was not back in time
RELEASE_REFUSED = "ReleaseRefused"  # the Release refused the rollback
STANDING_GRANT = "StandingGrant"  # a blocked revision came back: the earlier grant of this Incident stands
CONTESTED = "Contested"  # somebody keeps pushing a blocked revision: opsloop stops writing and escalates
BLOCKED_PUSHED = "BlockedRevisionPushed"  # a revision that this Incident blocked is live again
BREACH_AGAIN = "BreachedAgain"  # the SLI breached again inside the grace time

MOST_REPUSH_ROLLBACKS = 2
PAGE_RETRY = timedelta(seconds=10)
ENDED = ("Helped", "DidNotHelp", "Refused", "Done")


def page(sheet: Sheet) -> None:
    """Page once: decided and stored before the call; the key lets the receiver fold a repeat after a crash."""
    status = sheet.status
    if status.page is None:
        if status.severity in PAGING and status.phase != "Resolved" and not sheet.facts.incident.status.merged_into:
            _decide_page(sheet, SEVERITY)
        return
    if status.page.state == "Decided":
        sent = sheet.facts.page_sent_at
        if sent is None:
            _send(sheet)
            return
        sheet.set(page=status.page.model_copy(update={"state": "Sent", "sent_at": sent}))
        sheet.note("paged", sent, "Paged", "opsloop", f"one {status.page.severity} page was delivered")
        sheet.event("Paged", f"{status.page.severity}: {sheet.facts.incident.spec.title}")


def _decide_page(sheet: Sheet, reason: str) -> None:
    new = Page(
        state="Decided",
        severity=sheet.status.severity,
        dedup_key=sheet.facts.incident.metadata.uid or sheet.name,
        decided_at=sheet.now,
        reason=reason,
    )
    sheet.set(page=new)
    _send(sheet)


def _send(sheet: Sheet) -> None:
    status, spec = sheet.status, sheet.facts.incident.spec
    assert status.page is not None
    details = {"service": spec.service, "phase": status.phase, "reason": status.page.reason}
    if status.burn:
        details["burn"] = f"{status.burn.burn_long:g}x over {status.burn.long}, {status.burn.error_ratio:.1%} bad"
    sheet.act(SendPage(sheet.name, spec.title, status.page, details))
    sheet.look(PAGE_RETRY)


def reopen(sheet: Sheet, grace: timedelta) -> None:
    """A blocked revision that came back, or a new breach inside the grace time, opens the Incident again."""
    status, root = sheet.status, sheet.facts.root
    if root is None or not status.burn:
        return
    mine = [r.digest for r in root.release.status.revisions if r.blocked and r.blocked.incident == sheet.name]
    if mine != status.blocked:
        sheet.set(blocked=mine)
    live = revisions.find(root.release.status.revisions, root.release.status.live)
    pending = rollback_pending(sheet)
    if live and live.digest in mine and not pending and not _just_decided(sheet, live.digest):
        _blocked_again(sheet, live.digest, f"{live.version} by {live.manager or 'an unknown manager'}")
        return
    verdict = root.readings.verdict
    resolved = status.resolved_at
    if status.phase == "Resolved" and resolved and sheet.now - resolved <= grace and verdict and verdict.firing:
        if verdict.at <= resolved:
            return
        _open_again(sheet, BREACH_AGAIN, "the SLI breached again")
        sheet.set(cause=None)


def _just_decided(sheet: Sheet, live: str) -> bool:
    """The Release has this very rollback in hand: live is still `from` until its write lands."""
    wanted, root = sheet.status.rollback, sheet.facts.root
    record = root.release.status.rollback if root else None
    if wanted is None or wanted.from_digest != live:
        return False
    answered = record is not None and (record.incident, record.attempt) == (sheet.name, wanted.attempt)
    return not (answered and record is not None and record.state in ("Done", "Refused"))


def _open_again(sheet: Sheet, reason: str, text: str) -> None:
    count = sheet.status.reopened + 1
    sheet.set(phase="Mitigating", reopened=count, mitigated_at=None, resolved_at=None, back_since=None)
    sheet.note(f"reopened-{count}", sheet.now, "Reopened", "opsloop", text)
    sheet.event("Reopened", f"{reason}: {text}", "Warning")


def _blocked_again(sheet: Sheet, live: str, who: str) -> None:
    status, root = sheet.status, sheet.facts.root
    assert root is not None
    if any(c.type == CONTESTED and c.status == "True" for c in status.conditions):
        return
    granted = [p for p in status.plays if p.type == "rollback" and p.state in ("Helped", "Running")]
    repushed = sum(1 for p in status.plays if p.reason == STANDING_GRANT)
    _open_again(sheet, BLOCKED_PUSHED, f"blocked revision {who} is live again")
    target = revisions.rollback_target(root.release.status.revisions, live)
    if repushed >= MOST_REPUSH_ROLLBACKS or not granted or target is None:
        text = f"blocked revision {who} keeps coming back: opsloop stops writing, a person must decide"
        sheet.condition(CONTESTED, True, CONTESTED, text)
        escalate(sheet, CONTESTED, text)
        return
    attempt = _next_attempt(sheet)
    again = granted[-1].model_copy(
        update={
            "attempt": attempt,
            "state": "Running",
            "reason": STANDING_GRANT,
            "message": f"blocked revision {who} was pushed again",
            "requested_at": sheet.now,
            "started_at": sheet.now,
            "ended_at": None,
        }
    )
    sheet.set(plays=[*status.plays, again])
    _decide_rollback(sheet, live, target[0].digest, attempt, target[1])


def play(sheet: Sheet) -> None:
    """One play at a time, in the Runbook's order."""
    status = sheet.status
    if status.phase in ("Mitigated", "Resolved") or status.burn is None or status.severity not in PAGING:
        return
    current = status.plays[-1] if status.plays else None
    if current and current.state not in ENDED:
        _continue(sheet, current)
        return
    if current and current.type == "escalate":
        return
    _next(sheet, current)


def _next(sheet: Sheet, last: Play | None) -> None:
    if status_blocker := _dependency_breaching(sheet):
        sheet.condition("Acting", False, DEPENDENCY_BREACHING, f"{status_blocker} breaches as well and comes first")
        sheet.look(timedelta(seconds=5))
        return
    book = matching(sheet)
    if book is None:
        escalate(sheet, NO_RUNBOOK, "no Runbook matches: a person must act")
        return
    steps = [*book.spec.steps, RunbookStep(type="escalate")]
    index = last.step + 1 if last and last.runbook == book.metadata.name else 0
    step = steps[min(index, len(steps) - 1)]
    if step.type == "escalate":
        escalate(sheet, ESCALATED, "the Runbook's plays did not help: a person must act")
        return
    asked = Play(
        runbook=book.metadata.name,
        step=index,
        type=step.type,
        attempt=_next_attempt(sheet) if step.type == "rollback" else 1,
        state="Requested",
        requested_at=sheet.now,
    )
    sheet.set(plays=[*sheet.status.plays, asked])
    sheet.condition("Acting", True, "Requested", f"{book.metadata.name}: {step.type} is asked for")


def matching(sheet: Sheet) -> Runbook | None:
    """The Runbook that fits; the most specific one, then by name."""
    status, root = sheet.status, sheet.facts.root
    cause = status.cause.kind if status.cause else "unknown"
    labels = root.release.metadata.labels if root else {}

    def fits(book: Runbook) -> bool:
        match = book.spec.match
        return (
            (not match.causes or cause in match.causes)
            and (not match.severities or status.severity in match.severities)
            and all(labels.get(k) == v for k, v in match.release_labels.items())
        )

    def rank(book: Runbook) -> tuple[int, str]:
        match = book.spec.match
        return -sum(map(bool, (match.causes, match.severities, match.release_labels))), book.metadata.name

    found = sorted((b for b in sheet.facts.runbooks if fits(b)), key=rank)
    return found[0] if found else None


def _dependency_breaching(sheet: Sheet) -> str:
    root = sheet.facts.root
    if root is None:
        return ""
    views = {v.release.metadata.name: v for v in sheet.facts.releases}
    for name, hops in causes.dependencies(root.release.metadata.name, views).items():
        verdict = views[name].readings.verdict if name in views else None
        if hops and verdict and verdict.firing:
            return name
    return ""


def _grant(sheet: Sheet, current: Play) -> tuple[Runbook | None, Grant | None]:
    book = next((b for b in sheet.facts.runbooks if b.metadata.name == current.runbook), None)
    grants = book.status.grants if book else []
    mine = [g for g in grants if (g.incident, g.step, g.attempt) == (sheet.name, current.step, current.attempt)]
    return book, mine[-1] if mine else None


def _continue(sheet: Sheet, current: Play) -> None:
    book, grant = _grant(sheet, current)
    if current.state == "Requested":
        if book is None:
            _end(sheet, current, "Refused", NO_RUNBOOK, f"Runbook {current.runbook} is gone")
        elif grant and not grant.granted:
            _end(sheet, current, "Refused", grant.reason, grant.message)
            sheet.event("PlayRefused", f"{current.type}: {grant.message}", "Warning")
        elif grant:
            _start(sheet, current)
        return
    root = sheet.facts.root
    record = root.release.status.rollback if root else None
    mine = record is not None and (record.incident, record.attempt) == (sheet.name, current.attempt)
    if current.type == "rollback" and mine and record is not None and record.state == "Refused":
        _end(sheet, current, "DidNotHelp", RELEASE_REFUSED, f"the Release refused it: {record.reason}")
        return
    if current.type == "rollback" and mine and record is not None and record.done_at:
        sheet.note(
            f"rolled-back-{current.attempt}", record.done_at, "Rollback", "opsloop", "last-good is live and available"
        )
    timeout = (
        book.spec.steps[current.step].timeout if book and current.step < len(book.spec.steps) else timedelta(minutes=5)
    )
    left = timeout - (sheet.now - (current.started_at or current.requested_at))
    if left <= timedelta(0):
        _end(sheet, current, "DidNotHelp", TIMED_OUT, "the SLI was not back in time")
    else:
        sheet.look(left)


def _start(sheet: Sheet, current: Play) -> None:
    running = current.model_copy(update={"state": "Running", "started_at": sheet.now})
    if current.type != "rollback":
        _replace(sheet, running)
        sheet.set(phase="Mitigating")
        return
    root, cause = sheet.facts.root, sheet.status.cause
    if root is None or cause is None or cause.kind != "bad_release" or cause.release != root.release.metadata.name:
        _end(sheet, current, "Refused", CAUSE_NOT_A_RELEASE, "a rollback needs a revision of the root Release to blame")
        return
    if root.release.status.live != cause.revision:
        _end(sheet, current, "Refused", LIVE_IS_ANOTHER, f"{cause.version} is not live any more")
        return
    target = revisions.rollback_target(root.release.status.revisions, cause.revision)
    if target is None:
        _end(sheet, current, "Refused", NO_LAST_GOOD, "no proven or adopted revision to roll back to")
        return
    _replace(sheet, running)
    _decide_rollback(sheet, cause.revision, target[0].digest, current.attempt, target[1])


def _decide_rollback(sheet: Sheet, from_digest: str, to_digest: str, attempt: int, proven: bool) -> None:
    root = sheet.facts.root
    assert root is not None
    known = root.release.status.revisions
    bad, good = revisions.find(known, from_digest), revisions.find(known, to_digest)
    wanted = RollbackDecision(
        release=root.release.metadata.name, from_digest=from_digest, to_digest=to_digest, attempt=attempt, at=sheet.now
    )
    sheet.set(rollback=wanted, phase="Mitigating", back_since=None)
    kind = "last-good" if proven else "adopted and unproven"
    text = f"roll back {bad.version if bad else from_digest} to {good.version if good else to_digest} ({kind})"
    sheet.note(f"rollback-{attempt}", sheet.now, "Play", "opsloop", text)
    sheet.event("Rollback", text, "Warning")
    sheet.look(timedelta(seconds=5))


def _next_attempt(sheet: Sheet) -> int:
    return 1 + max((p.attempt for p in sheet.status.plays if p.type == "rollback"), default=0)


def _replace(sheet: Sheet, new: Play) -> None:
    same = [(p.step, p.attempt, p.type) == (new.step, new.attempt, new.type) for p in sheet.status.plays]
    sheet.set(plays=[new if s else p for s, p in zip(same, sheet.status.plays, strict=True)])


def _end(sheet: Sheet, current: Play, state: str, reason: str, message: str) -> None:
    done = {"state": state, "reason": reason, "message": message[:500], "ended_at": sheet.now}
    _replace(sheet, Play.model_validate({**dict(current), **done}))
    sheet.note(
        f"play-{current.type}-{current.attempt}", sheet.now, "Play", "opsloop", f"{current.type}: {state}, {message}"
    )
    sheet.look(timedelta(0))


def helped(sheet: Sheet) -> None:
    """The SLI is back while a play runs: it helped."""
    current = sheet.status.plays[-1] if sheet.status.plays else None
    if current and current.state == "Running":
        done = {"state": "Helped", "reason": "SliBack", "ended_at": sheet.now}
        _replace(sheet, current.model_copy(update=done))


def rollback_pending(sheet: Sheet) -> bool:
    """A decided rollback that the Release has not finished or refused yet."""
    wanted, root = sheet.status.rollback, sheet.facts.root
    current = sheet.status.plays[-1] if sheet.status.plays else None
    if wanted is None or root is None or current is None or current.type != "rollback" or current.state != "Running":
        return False
    record = root.release.status.rollback
    if record is None or (record.incident, record.attempt) != (sheet.name, wanted.attempt):
        return root.release.status.live == wanted.from_digest
    return record.state in ("Recorded", "Written")


def escalate(sheet: Sheet, reason: str, text: str) -> None:
    """The last play: a person. One page for one Incident: where it was sent already, the timeline says so."""
    done = Play(
        runbook="", step=0, type="escalate", state="Done", reason=reason, message=text, requested_at=sheet.now,
        ended_at=sheet.now,
    )  # fmt: skip
    sheet.set(plays=[*sheet.status.plays, done][-32:])
    sheet.condition("Acting", False, reason, text)
    sheet.note(f"escalated-{len(sheet.status.plays)}", sheet.now, "Escalated", "opsloop", text)
    sheet.event("Escalated", text, "Warning")
    if sheet.status.page is None:
        _decide_page(sheet, ESCALATED)
