"""Reopening: a blocked revision that came back, or a new breach inside the grace time."""

from datetime import timedelta

from opsloop.api.incident import Play
from opsloop.core.incident.paging import escalate
from opsloop.core.incident.rollback import STANDING_GRANT, decide_rollback, next_attempt, rollback_pending
from opsloop.core.incident.state import CONTESTED, MOST_PLAYS, Sheet, contested
from opsloop.core.release import revisions

# Named reasons
BLOCKED_PUSHED = "BlockedRevisionPushed"  # a revision that this Incident blocked is live again
BREACH_AGAIN = "BreachedAgain"  # the SLI breached again inside the grace time

MOST_REPUSH_ROLLBACKS = 2
MOST_BLOCKED = 20


def reopen(sheet: Sheet, grace: timedelta) -> None:
    """A blocked revision that came back, or a new breach inside the grace time, opens the Incident again."""
    status, root = sheet.status, sheet.facts.root
    if root is None or not status.burn:
        return
    mine = [r.digest for r in root.release.status.revisions if r.blocked and r.blocked.incident == sheet.name]
    if mine[-MOST_BLOCKED:] != status.blocked:
        sheet.set(blocked=mine[-MOST_BLOCKED:])
    live = revisions.find(root.release.status.revisions, root.release.status.live)
    pending = rollback_pending(sheet)
    if live and live.digest in mine and not pending and not _just_decided(sheet, live.digest):
        _blocked_again(sheet, live.digest, f"{live.version} by {live.manager or 'an unknown manager'}")
        return
    if live and live.digest not in mine and contested(sheet):
        sheet.condition(CONTESTED, False, "NotLive", "no revision that this Incident blocked is live")
    verdict = root.readings.verdict
    resolved = status.resolved_at
    if status.phase == "Resolved" and resolved and sheet.now - resolved <= grace and verdict and verdict.firing:
        if verdict.at <= resolved:
            return
        _open_again(sheet, BREACH_AGAIN, "the SLI breached again")
        sheet.set(cause=None)


def _just_decided(sheet: Sheet, live: str) -> bool:
    """The Release has this very rollback in hand: live is still `from` until its write lands. Not once it is Resolved:
    the Release carries nothing out for a Resolved Incident, and its record may be of a later one by now."""
    wanted, root = sheet.status.rollback, sheet.facts.root
    record = root.release.status.rollback if root else None
    if wanted is None or wanted.from_digest != live or sheet.status.phase == "Resolved":
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
    if contested(sheet):
        return
    granted = [p for p in status.plays if p.type == "rollback" and p.started_at is not None]
    repushed = sum(1 for p in status.plays if p.reason == STANDING_GRANT)
    _open_again(sheet, BLOCKED_PUSHED, f"blocked revision {who} is live again")
    _give_up_running(sheet)
    target = revisions.rollback_target(root.release.status.revisions, live)
    if repushed >= MOST_REPUSH_ROLLBACKS or not granted or target is None:
        text = f"blocked revision {who} keeps coming back: opsloop stops writing, a person must decide"
        sheet.condition(CONTESTED, True, CONTESTED, text)
        escalate(sheet, CONTESTED, text)
        return
    attempt, stands = next_attempt(sheet), _stands(sheet, granted[-1])
    again = granted[-1].model_copy(
        update={
            "attempt": attempt,
            "state": "Running" if stands else "Requested",
            "reason": STANDING_GRANT if stands else "",
            "message": f"blocked revision {who} was pushed again",
            "requested_at": sheet.now,
            "started_at": sheet.now if stands else None,
            "ended_at": None,
        }
    )
    sheet.set(plays=[*sheet.status.plays, again][-MOST_PLAYS:])
    if stands:
        decide_rollback(sheet, live, target[0].digest, attempt, target[1])


def _stands(sheet: Sheet, granted: Play) -> bool:
    """A grant stands while the Runbook that gave it still acts by itself; set to approve or dryRun, it is asked anew."""
    books = (b for b in sheet.facts.runbooks if b.metadata.name == granted.runbook)
    return any(b.spec.safety.mode == "auto" for b in books)


def _give_up_running(sheet: Sheet) -> None:
    """What runs was overtaken: the revision that it is about was pushed again meanwhile."""
    over = {"state": "DidNotHelp", "message": "the blocked revision was pushed again", "ended_at": sheet.now}
    running = ("Requested", "Running")
    sheet.set(plays=[p.model_copy(update=over) if p.state in running else p for p in sheet.status.plays])
