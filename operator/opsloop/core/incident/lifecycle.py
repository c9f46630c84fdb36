"""The life of an Incident beyond its plays: merged into another one, reopened, mitigated, resolved, harmed again.

`mitigated_at` and `back_since` speak of the present harm only: whatever begins a new one clears them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.meta import PAGING
from opsloop.api.play import Play
from opsloop.api.revision import Revision
from opsloop.core.conditions import ROLLBACK_UNSAFE
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import errands, plays, thread, timeline, watching
from opsloop.core.incident import recovery as recoveries
from opsloop.core.incident.acts import unsafe_text
from opsloop.core.incident.delivery import MERGED
from opsloop.core.incident.effect import rollback_pending, rollback_record
from opsloop.core.incident.paging import REOPENED, call, escalate, with_play
from opsloop.core.incident.recovery import Recovery
from opsloop.core.incident.state import CONTESTED, IncidentBuilder, is_contested
from opsloop.core.incident.watching import STANDING_GRANT
from opsloop.core.release import revisions
from opsloop.core.release.giving_way import GAVE_WAY
from opsloop.core.release.outages import OUTAGE_AFTER, outage_lasts, outage_since
from opsloop.core.slo.anew import burns_anew
from opsloop.core.slo.merged import verdicts

# Named reasons
BLOCKED_PUSHED = "BlockedRevisionPushed"  # a revision that this Incident blocked is live again
BREACH_AGAIN = "BreachedAgain"  # the SLI breached again inside the grace time
OUT_AGAIN = "NoPodAgain"  # no pod of the root is available once more

SOONEST = timedelta(seconds=1)  # a due time that has just passed does not make a busy loop
MOST_REPUSH_ROLLBACKS = 2
MOST_BLOCKED = 20


# --- merged


def merge(decision: IncidentBuilder, other: Incident) -> None:
    """Ends the Incident in favour of another one: it pages nobody of its own."""
    decision.set(merged_into=other.metadata.name, phase="Resolved", resolved_at=decision.now)
    text = f"merged into {other.metadata.name}: {other.spec.service} explains it"
    timeline.record(decision, "merged", decision.now, "Merged", text)
    decision.condition("Mitigated", None, MERGED, text)


# --- reopened


def reopen(decision: IncidentBuilder, grace: timedelta) -> None:
    """Reopens for a blocked revision that came back, whenever it does, or for new harm inside the grace time."""
    facts, status = decision.facts, decision.status
    if facts.root is None or (status.burn is None and not facts.incident.had_outage):
        return
    blocked, known = blocked_by(facts), facts.root.release.status
    if known.live == "":
        return  # the Release was made again and has not adopted yet: it remembers its blocks from this Incident
    decision.set(blocked=blocked[-MOST_BLOCKED:])
    harmless = known.live not in blocked and revisions.find(known.revisions, known.live) is not None
    if harmless and is_contested(status):
        decision.condition(CONTESTED, False, "NotLive", "no revision that this Incident blocked is live")
    pushed = pushed_again(facts, status)
    if pushed is not None:
        _answer_push(decision, pushed)
    elif reason := harmed_again(facts, grace, decision.now):
        text = "the SLI breached again" if reason == BREACH_AGAIN else "no pod is available once more"
        _open_again(decision, reason, text)
        decision.set(cause=None)
    elif facts.incident.reopens(grace, decision.now) and (since := outage_since(facts.root.release)) is not None:
        decision.look_again(max(OUTAGE_AFTER - (decision.now - since), SOONEST))


def blocked_by(facts: IncidentFacts) -> list[str]:
    """Digests of the root's revisions that are blocked because of this Incident."""
    known = facts.root.release.status.revisions if facts.root else []
    return [r.digest for r in known if r.blocked and r.blocked.incident == facts.incident.metadata.name]


def pushed_again(facts: IncidentFacts, status: IncidentStatus) -> Revision | None:
    """The blocked revision of this Incident that is live, unless its rollback is under way or gave way to a fix."""
    root = facts.root
    live = revisions.find(root.release.status.revisions, root.release.status.live) if root else None
    if live is None or live.digest not in blocked_by(facts):
        return None
    if rollback_pending(facts, status) or _just_decided(facts, status) or _refused_since(status, live):
        return None
    return None if _gave_way(facts) else live


def _gave_way(facts: IncidentFacts) -> bool:
    """True while a newer version is tried in place of this Incident's rollback: nobody pushed the blocked one again."""
    status = facts.root.release.status if facts.root else None
    if status is None or status.rollback is None or status.target is None or not status.target.is_active:
        return False
    record = status.rollback
    return (record.incident, record.state, record.reason) == (facts.incident.metadata.name, "Failed", GAVE_WAY)


def _refused_since(status: IncidentStatus, live: Revision) -> bool:
    """True if the rollback of this very push was asked for and refused (Runbook gone, dry run): the Runbook's next step
    follows, at last a person. Asking again at every look would never end."""
    asked = (p for p in status.plays if p.type == "rollback" and p.state == "Refused")
    return any(live.live_since is not None and p.requested_at >= live.live_since for p in asked)


def _just_decided(facts: IncidentFacts, status: IncidentStatus) -> bool:
    """True while the Release has this very rollback in hand: live is still `from` until its write lands.

    Not once the Incident is Resolved: the Release carries nothing out for it, and its record may be of a later one by now.
    """
    ordered, root = status.rollback, facts.root
    if ordered is None or root is None or status.phase == "Resolved":
        return False
    record = rollback_record(facts, ordered.attempt)
    answered = record is not None and record.state in ("Done", "Refused", "Failed")
    return ordered.from_digest == root.release.status.live and not answered


def harmed_again(facts: IncidentFacts, grace: timedelta, now: datetime) -> str:
    """Why it reopens inside the grace time: a tier fires on the root, as read after the Incident was resolved, or none of
    its pods is available; "" = it does not.

    Not while another Incident of the root is open: one is enough. A tier that pages nobody reopens nothing that paged: a
    smoulder is no reason to call a person at the old severity. Windows that merely hold the harm that is over reopen nothing.
    """
    root, resolved = facts.root, facts.incident.status.resolved_at
    if root is None or resolved is None or not facts.incident.reopens(grace, now):
        return ""
    if any(i.is_open and i.spec.release == facts.incident.spec.release for i in facts.incidents):
        return ""
    if outage_lasts(root.release, now):
        return OUT_AGAIN
    each, ended = verdicts(root.readings.verdict) if root.readings.verdict else (), facts.incident.status.back_since
    anew = [v for v in each if v.at > resolved and not v.back and burns_anew(v, ended or resolved)]
    fires = [v.firing.tier.severity for v in anew if v.firing]
    pages = any(severity in PAGING for severity in fires)
    return BREACH_AGAIN if pages or (fires and facts.incident.status.severity not in PAGING) else ""


def _open_again(decision: IncidentBuilder, reason: str, text: str) -> None:
    count = decision.status.reopened + 1
    decision.set(phase="Mitigating", reopened=count, mitigated_at=None, resolved_at=None, back_since=None)
    timeline.record(decision, f"reopened-{count}", decision.now, "Reopened", text)
    decision.event("Reopened", f"{reason}: {text}", "Warning")
    told = any(
        message.reason == REOPENED for message in thread.calls(decision.status.page)
    )  # in a thread that has not ended
    if decision.status.severity in PAGING and not told:
        call(decision, REOPENED, f"open again: {text}")


def _answer_push(decision: IncidentBuilder, live: Revision) -> None:
    """Reopens and rolls back on the earlier grant; the third time it stops writing and calls a person."""
    facts, before, now = decision.facts, decision.status.plays, decision.now
    if is_contested(decision.status) or facts.root is None:
        return
    who = f"{live.version} by {live.manager or 'an unknown manager'}"
    _open_again(decision, BLOCKED_PUSHED, f"blocked revision {who} is live again")
    if before:
        errands.end_with(decision, before[-1])
    decision.set(plays=_overtaken(before, now))
    granted = [p for p in before if p.type == "rollback" and p.started_at is not None]
    repushed = sum(p.reason == STANDING_GRANT for p in before)
    known = facts.root.release.status.revisions
    target = revisions.rollback_target(known, live.digest)
    if target is not None and (unsafe := revisions.unsafe_between(known, live.digest, target[0].digest)):
        text = unsafe_text(unsafe, target[0])
        decision.condition(CONTESTED, True, ROLLBACK_UNSAFE, text)
        escalate(decision, ROLLBACK_UNSAFE, text)
        return
    if repushed >= MOST_REPUSH_ROLLBACKS or not granted or target is None:
        text = f"blocked revision {who} keeps coming back: opsloop stops writing, a person must decide"
        decision.condition(CONTESTED, True, CONTESTED, text)
        escalate(decision, CONTESTED, text)
        return
    again = _repeated(facts, granted[-1], plays.next_attempt(before), who, now)
    decision.set(plays=with_play(decision.status, again))
    if again.state == "Running":
        plays.decide_rollback(decision, again)


def _repeated(facts: IncidentFacts, granted: Play, attempt: int, who: str, now: datetime) -> Play:
    """The granted rollback once more. Its grant stands while the Runbook that gave it still acts by itself; set to
    approve or dryRun, the Runbook is asked anew."""
    stands = any(b.metadata.name == granted.runbook and b.spec.safety.mode == "auto" for b in facts.runbooks)
    stands = stands and facts.stop is None
    return granted.model_copy(
        update={
            "attempt": attempt,
            "state": "Running" if stands else "Requested",
            "reason": STANDING_GRANT if stands else "",
            "message": f"blocked revision {who} was pushed again"[:500],
            "requested_at": now,
            "started_at": now if stands else None,
            "effect_at": None,
            "ended_at": None,
        }
    )


def _overtaken(before: Sequence[Play], now: datetime) -> list[Play]:
    """The plays with those ended that are not over: the revision that they are about was pushed again meanwhile."""
    ending = {"state": "DidNotHelp", "message": "the blocked revision was pushed again", "ended_at": now}
    return [p if p.state in watching.ENDED else p.model_copy(update=ending) for p in before]


# --- mitigated, resolved, harmed again


def recover(decision: IncidentBuilder) -> None:
    """Mitigated when the harm is surely over, Resolved when that held; unknown ends nothing."""
    status = decision.status
    seen = recoveries.recovery(decision.facts, status, decision.now)
    if seen.reason == recoveries.WENT_STALE:
        _end_stale(decision)
        return
    if seen.over and not rollback_pending(decision.facts, status):
        _mitigate(decision, seen)
        if seen.drained:
            _resolve(decision)
        else:
            decision.look_again(timedelta(seconds=30))
        return
    decision.set(back_since=None)
    decision.condition("Mitigated", None if seen.over is None else False, seen.reason, "the harm is not surely over")
    if status.phase == "Mitigated" and seen.over is False:
        decision.set(phase="Mitigating" if status.plays else "Open", mitigated_at=None)
        text = recoveries.relapse(seen.reason, status)
        timeline.record(decision, f"relapse-{seen.at.timestamp():.0f}", seen.at, "Relapse", text)
    decision.look_again(timedelta(seconds=30))


def _end_stale(decision: IncidentBuilder) -> None:
    """Ends an Incident of which nobody speaks any more. Nobody said that the harm is over, so it is not mitigated."""
    decision.set(phase="Resolved", resolved_at=decision.now, back_since=None)
    text = recoveries.sentence(decision.facts, recoveries.WENT_STALE)
    decision.condition("Mitigated", None, recoveries.WENT_STALE, text)
    timeline.record(decision, f"stale-{decision.status.reopened}", decision.now, recoveries.WENT_STALE, text)
    decision.event(recoveries.WENT_STALE, text, "Warning")


def _mitigate(decision: IncidentBuilder, seen: Recovery) -> None:
    status, text = decision.status, recoveries.sentence(decision.facts, seen.reason)
    decision.set(back_since=status.back_since or seen.at)
    if status.phase != "Mitigated":
        decision.set(phase="Mitigated", mitigated_at=decision.status.back_since)
        watching.end_with_harm(decision, seen.reason, text)
        # by time: after a relapse it is mitigated once more, and that is a second entry
        timeline.record(decision, f"mitigated-{seen.at.timestamp():.0f}", seen.at, "Mitigated", text)
        decision.event("Mitigated", text)
    decision.condition("Mitigated", True, seen.reason, text)


def _resolve(decision: IncidentBuilder) -> None:
    status, needed = decision.status, recoveries.hold(decision.facts, decision.status)
    assert status.back_since is not None
    left = needed - (decision.now - status.back_since)
    if left > timedelta(0):
        decision.look_again(left)
        return
    decision.set(phase="Resolved", resolved_at=decision.now)
    text = f"held for {needed.total_seconds():.0f} s"
    timeline.record(decision, f"resolved-{status.reopened}", decision.now, "Resolved", text)
    decision.event("Resolved", text)
