"""A play that runs: since when it is in effect, and how it ends; one that was asked for and is not needed any more ends here too."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.play import Play
from opsloop.api.records import ActRecord, RollbackRecord
from opsloop.core import conditions
from opsloop.core.conditions import ROLLBACK_UNSAFE
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import errands, timeline
from opsloop.core.incident.consent import runbook_of, step_of
from opsloop.core.incident.effect import (
    BACK_BEFORE_EFFECT,
    ERRANDS,
    IN_EFFECT,
    IN_PROGRESS,
    LONGEST_WAIT,
    NOT_IN_EFFECT,
    STILL_HARMED,
    Ending,
    credited,
    effect_of,
    outcome,
    record_of,
)
from opsloop.core.incident.exoneration import exonerate
from opsloop.core.incident.state import IncidentBuilder
from opsloop.core.release import revisions
from opsloop.core.stop import STOPPED

# Named reasons
RELEASE_REFUSED = "ReleaseRefused"  # the Release refused the act: it was not carried out
IN_PLACE = "InPlace"  # the step is in effect, and no SLI was to decide on it (verify: none, freeze)
ENDED_WITH_INCIDENT = "EndedWithIncident"  # the Incident was merged into another one, or ended, before the step had
STANDING_GRANT = "StandingGrant"  # a blocked revision came back: the earlier grant of this Incident stands

ENDED = ("Helped", "DidNotHelp", "NotProven", "Refused", "Done")
# Between two looks at a rollout that takes long; its progress wakes the Incident as well.
TAKEN_UP = timedelta(seconds=30)
NO_TIMEOUT = timedelta(minutes=5)  # time that a play has whose step is gone from its Runbook


def time_left(facts: IncidentFacts, current: Play, now: datetime) -> timedelta:
    """Rest of the timeout of a running play, which counts from when it was in effect; before that, until it is taken up."""
    step = step_of(runbook_of(facts, current), current)
    timeout = step.timeout if step is not None else NO_TIMEOUT
    if current.effect_at is not None:
        return timeout - (now - current.effect_at)
    return LONGEST_WAIT - (now - (current.started_at or current.requested_at))


def watch(decision: IncidentBuilder, current: Play) -> None:
    """Ends a running play by what happened since it was in effect, or because it was refused; tells of its progress."""
    facts = decision.facts
    record = record_of(facts, current)
    if record is not None and record.state in ("Refused", "Failed"):
        end(decision, current, _not_carried_out(record))
        return
    if isinstance(record, RollbackRecord) and record.warm_at is not None:
        root = facts.root.release.status.revisions if facts.root else []
        kept = revisions.find(root, record.to_digest)
        text = f"{record.warm} warm pods of {kept.version if kept else record.to_digest} take traffic"
        timeline.record(decision, f"warm-{current.attempt}", record.warm_at, "Rollback", text)
    if record is not None and record.done_at and current.type == "rollback":
        key = f"rolled-back-{current.attempt}"
        timeline.record(decision, key, record.done_at, "Rollback", "last-good is live and available")
    current = _with_effect(decision, current)
    errands.tell_log(decision, current)
    left, step = time_left(facts, current, decision.now), step_of(runbook_of(facts, current), current)
    if current.type in ERRANDS and current.effect_at is None:
        _watch_errand(decision, current)
        return
    if current.effect_at is None:
        late = record is None and left <= timedelta(0)
        ending = Ending("NotProven", NOT_IN_EFFECT, "the Release has not taken it up") if late else None
        replaced = record.replaced if record else 0
        decision.condition("Acting", True, IN_PROGRESS, f"{current.type}: {replaced} % of the pods are replaced")
    elif step is not None and not step.verified:
        ending = Ending("Done", IN_PLACE, f"{current.type} is in effect; verify is none, so the next step follows")
    else:
        ending = outcome(facts, decision.status, current, left)
        decision.condition("Acting", True, IN_EFFECT, f"{current.type} is in effect, the SLI since then decides")
    if ending is not None:
        end(decision, current, ending)
    else:
        decision.look_again(
            left if left > timedelta(0) else TAKEN_UP
        )  # once taken up, the Release's own deadline counts


def _watch_errand(decision: IncidentBuilder, current: Play) -> None:
    """Ends a call or a Job that failed, or notes that it goes on."""
    book = runbook_of(decision.facts, current)
    found = errands.watch(decision, book, step_of(book, current), current)
    if isinstance(found, Ending):
        end(decision, current, found)
        return
    decision.set(plays=replaced(decision.status.plays, found))
    decision.condition("Acting", True, IN_PROGRESS, f"{current.type} is under way")


def _not_carried_out(record: RollbackRecord | ActRecord) -> Ending:
    """The end of a play that the Release refused, which is no play that did not help, or that hangs."""
    if record.state == "Failed":
        return Ending("NotProven", NOT_IN_EFFECT, f"{record.reason}: {record.message}")
    if record.reason == STOPPED:
        return Ending("Refused", STOPPED, "opsloop was stopped before it was written")
    said = f"{record.reason}: {record.message}" if record.message else record.reason
    reason = ROLLBACK_UNSAFE if record.reason == ROLLBACK_UNSAFE else RELEASE_REFUSED
    return Ending("Refused", reason, f"the Release refused it: {said}")


def _with_effect(decision: IncidentBuilder, current: Play) -> Play:
    """The play with the time of its effect, recorded once."""
    effect = effect_of(decision.facts, current) if current.effect_at is None else None
    if effect is None:
        return current
    current = current.model_copy(update={"effect_at": effect})
    decision.set(plays=replaced(decision.status.plays, current))
    return current


def end(decision: IncidentBuilder, current: Play, ending: Ending) -> None:
    """Ends a play, tells how, and looks again at once for what follows."""
    done = ended(current, ending.state, ending.reason, decision.now, ending.message)
    decision.set(plays=replaced(decision.status.plays, done))
    text = f"{current.type}: {ending.state}, {ending.message}"
    timeline.record(decision, f"play-{current.type}-{current.attempt}", decision.now, "Play", text)
    decision.condition("Acting", False, ending.reason, text)
    if current.type == "rollback" and ending.reason in (STILL_HARMED, BACK_BEFORE_EFFECT):
        exonerate(decision, ending)
    decision.look_again(timedelta(0))


def end_with_harm(decision: IncidentBuilder, reason: str, text: str) -> None:
    """Ends the current play because the harm is over, as this recovery says: a running one helped, a requested one is not needed
    any more."""
    facts, status = decision.facts, decision.status
    current = status.plays[-1] if status.plays else None
    if current is not None and current.state == "Running":
        current = _with_effect(decision, current)
        errands.tell_log(decision, current)
        if errands.end_with(decision, current):  # it runs until its Job is gone: `withdraw` ends it
            decision.look_again(errands.LOOK)
            return
        end(decision, current, credited(facts, decision.status, current, (reason, text)))
    elif current is not None and current.state == "Requested":
        end(decision, current, Ending("Refused", reason, f"not needed: {text}, before it was granted"))


def withdraw(decision: IncidentBuilder) -> None:
    """Ends what an Incident that is over still asks for or has under way: it was merged, or nobody speaks of it any more.

    A Job is ended at each look until it is gone; until then its play runs, so that a Stop and a restart know of it.
    """
    status = decision.status
    current = status.plays[-1] if status.plays else None
    if current is None or status.phase not in ("Mitigated", "Resolved"):
        return
    text = f"the Incident was merged into {status.merged_into}" if status.merged_into else "the Incident is over"
    if current.state == "Requested":
        end(decision, current, Ending("Refused", ENDED_WITH_INCIDENT, text))
    elif current.state == "Running" and current.type in ERRANDS:
        if errands.end_with(decision, current):
            decision.look_again(errands.LOOK)
            return
        errands.tell_log(decision, current)
        ending = Ending("NotProven", ENDED_WITH_INCIDENT, f"{text}, and its {current.type} was ended with it")
        back = conditions.get(status.conditions, "Mitigated")
        if back is not None and back.status == "True" and not status.merged_into:
            ending = credited(decision.facts, status, current, (back.reason, back.message))
        end(decision, current, ending)


def ended(play: Play, state: str, reason: str, now: datetime, message: str | None = None) -> Play:
    """The play at its end. A standing grant stays its reason: rollbacks on it are counted by that."""
    changes = {"state": state, "reason": STANDING_GRANT if play.reason == STANDING_GRANT else reason, "ended_at": now}
    return play.model_copy(update=changes | ({} if message is None else {"message": message[:500]}))


def replaced(plays: Sequence[Play], new: Play) -> list[Play]:
    """The plays with this one in place of its earlier state."""
    key = new.step, new.attempt, new.type
    return [new if (p.step, p.attempt, p.type) == key else p for p in plays]
