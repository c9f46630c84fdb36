"""Plays: the Runbook's steps in order, each granted first and verified by the SLI, escalation last."""

from datetime import timedelta

from opsloop.api.incident import Play
from opsloop.api.meta import PAGING
from opsloop.api.runbook import Grant, Runbook, RunbookStep
from opsloop.core.incident import cause as causes
from opsloop.core.incident.paging import ESCALATED, escalate
from opsloop.core.incident.rollback import STANDING_GRANT, decide_rollback, next_attempt
from opsloop.core.incident.state import MOST_PLAYS, Sheet, contested
from opsloop.core.release import revisions

# Named reasons
NO_RUNBOOK = "NoRunbook"  # no Runbook matches cause, severity and labels
NO_LAST_GOOD = "NoLastGood"  # there is nothing to roll back to
CAUSE_NOT_A_RELEASE = "CauseNotARelease"  # a rollback needs a revision to blame
LIVE_IS_ANOTHER = "LiveIsAnother"  # the blamed revision is not live any more
DEPENDENCY_BREACHING = "DependencyBreaching"  # nothing is rolled back on a dependent while what it depends on breaches
TIMED_OUT = "TimedOut"  # the SLI was not back in time
RELEASE_REFUSED = "ReleaseRefused"  # the Release refused the rollback
SLI_BACK = "SliBack"  # the SLI was back while the play ran

ENDED = ("Helped", "DidNotHelp", "Refused", "Done")


def play(sheet: Sheet) -> None:
    """One play at a time, in the Runbook's order."""
    status = sheet.status
    if status.phase in ("Mitigated", "Resolved") or status.burn is None or status.severity not in PAGING:
        return
    current = status.plays[-1] if status.plays else None
    if current and current.state not in ENDED:
        _continue(sheet, current)
        return
    if contested(sheet) or (current and current.type == "escalate" and not _anew(sheet, current)):
        return
    _next(sheet, current)


def _anew(sheet: Sheet, last: Play) -> bool:
    """A reopened Incident begins its Runbook anew; one that had none begins when one fits (a cause became known)."""
    reopened = next((e.at for e in sheet.status.timeline if e.key == f"reopened-{sheet.status.reopened}"), None)
    if reopened is not None and last.requested_at < reopened:
        return True
    return last.reason == NO_RUNBOOK and matching(sheet) is not None


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
    same = last is not None and last.runbook == book.metadata.name and not _anew(sheet, last)
    index = last.step + 1 if last is not None and same else 0
    step = steps[min(index, len(steps) - 1)]
    if step.type == "escalate":
        escalate(sheet, ESCALATED, "the Runbook's plays did not help: a person must act")
        return
    asked = Play(
        runbook=book.metadata.name,
        step=index,
        type=step.type,
        attempt=next_attempt(sheet, step.type),
        state="Requested",
        requested_at=sheet.now,
    )
    sheet.set(plays=[*sheet.status.plays, asked][-MOST_PLAYS:])
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
    decide_rollback(sheet, cause.revision, target[0].digest, current.attempt, target[1])


def _replace(sheet: Sheet, new: Play) -> None:
    same = [(p.step, p.attempt, p.type) == (new.step, new.attempt, new.type) for p in sheet.status.plays]
    sheet.set(plays=[new if s else p for s, p in zip(same, sheet.status.plays, strict=True)])


def _end(sheet: Sheet, current: Play, state: str, reason: str, message: str) -> None:
    reason = _kept(current, reason)
    done = {"state": state, "reason": reason, "message": message[:500], "ended_at": sheet.now}
    _replace(sheet, Play.model_validate({**dict(current), **done}))
    sheet.note(
        f"play-{current.type}-{current.attempt}", sheet.now, "Play", "opsloop", f"{current.type}: {state}, {message}"
    )
    sheet.look(timedelta(0))


def _kept(current: Play, reason: str) -> str:
    """Rollbacks on the standing grant are counted by their reason, so that it stays."""
    return STANDING_GRANT if current.reason == STANDING_GRANT else reason


def helped(sheet: Sheet) -> None:
    """The SLI is back while a play runs: it helped. One that still waits for its grant is not wanted any more."""
    current = sheet.status.plays[-1] if sheet.status.plays else None
    if current and current.state == "Running":
        done = {"state": "Helped", "reason": _kept(current, SLI_BACK), "ended_at": sheet.now}
        _replace(sheet, current.model_copy(update=done))
        sheet.condition("Acting", False, SLI_BACK, f"{current.type} helped")
    elif current and current.state == "Requested":
        _end(sheet, current, "Refused", SLI_BACK, "the SLI was back before it was granted")
        sheet.condition("Acting", False, SLI_BACK, f"{current.type} is not needed any more")
