"""Plays: the Runbook's steps in order, each granted first and verified by the SLI; a person comes last.

A rollback is decided as `{from, to}` on the Incident's status; the Release carries it out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import Counts, IncidentStatus, Play
from opsloop.api.meta import PAGING
from opsloop.api.release import ActRecord, RollbackRecord
from opsloop.api.runbook import Runbook
from opsloop.core.conditions import ROLLBACK_UNSAFE
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import acts, choice, dependencies, errands, outage_cause, suspicion, timeline
from opsloop.core.incident.acts import Plan, rollback_plan
from opsloop.core.incident.consent import grant_of, hesitation, refusal, runbook_of, step_of
from opsloop.core.incident.effect import (
    BACK_BEFORE_EFFECT,
    ERRANDS,
    IN_EFFECT,
    IN_PROGRESS,
    LONGEST_WAIT,
    NOT_IN_EFFECT,
    SLI_BACK,
    STILL_HARMED,
    Ending,
    counts_before,
    credited,
    effect_of,
    harmed_before,
    judge,
    outcome,
    record_of,
    seen_since,
)
from opsloop.core.incident.exoneration import exonerate
from opsloop.core.incident.paging import ESCALATED, NO_RUNBOOK, call, escalate, with_play
from opsloop.core.incident.state import IncidentBuilder, is_contested
from opsloop.core.runbook.decide import DRY_RUN
from opsloop.core.runbook.rights import RIGHTS
from opsloop.core.stop import STOPPED
from opsloop.core.topology import Topology
from opsloop.names import APPROVE

# Named reasons
DEPENDENCY_BREACHING = "DependencyBreaching"  # nothing is rolled back on a dependent while what it depends on breaches
RELEASE_REFUSED = "ReleaseRefused"  # the Release refused the act: it was not carried out
AWAITS_APPROVAL = "AwaitsApproval"  # safety.mode is approve: the step waits for the annotation opsloop.dev/approve
STEP_GONE = "StepGone"  # the Runbook was edited: what was asked for is no step of it any more
IN_PLACE = "InPlace"  # the step is in effect, and no SLI was to decide on it (verify: none, freeze)
PAGES_NOBODY = "PagesNobody"  # its severity pages nobody, so no Runbook acts: it ends with what opened it
LEFT_TO_A_PERSON = "LeftToAPerson"  # paged by alerts or an outage that no change explains: there is nothing to undo
STANDING_GRANT = "StandingGrant"  # a blocked revision came back: the earlier grant of this Incident stands

ENDED = ("Helped", "DidNotHelp", "NotProven", "Refused", "Done")
# Between two looks at a rollout that takes long; its progress wakes the Incident as well.
TAKEN_UP = timedelta(seconds=30)
MOST_FREEZES = 8  # of status.freezes
NO_TIMEOUT = timedelta(minutes=5)  # time that a play has whose step is gone from its Runbook


# --- which play


def play(decision: IncidentBuilder, topology: Topology) -> None:
    """Carries on with the current play, or asks for the Runbook's next one. One play at a time."""
    facts, status = decision.facts, decision.status
    if status.phase == "Mitigated":
        return
    if status.severity not in PAGING:
        text = f"{status.severity} pages nobody and no Runbook acts on it: it ends with what opened it"
        decision.condition("Acting", False, PAGES_NOBODY, text)
        return
    if status.burn is None and not outage_cause.is_explained(status):
        text = "a person was called: no SLI shows a harm that a Runbook could undo, and no change is to blame for an outage"
        decision.condition("Acting", False, LEFT_TO_A_PERSON, text)
        return
    current = status.plays[-1] if status.plays else None
    if current is not None and current.state == "Requested" and facts.stop is not None:
        _end(decision, current, Ending("Refused", STOPPED, facts.stop.sentence))
    elif current is not None and current.state == "Requested":
        _answer(decision, current)
    elif current is not None and current.state == "Running":
        _watch(decision, current)
    elif current is not None and is_harm_gone(facts, status, current):
        decision.look_again(timedelta(seconds=30))  # the longer windows still hold the harm
    elif not is_contested(status) and not stays_with_a_person(facts, status):
        _ask_for_next(decision, topology)


def is_harm_gone(facts: IncidentFacts, status: IncidentStatus, last: Play) -> bool:
    """True where the SLI since the last play is better, or nobody can say yet, after a play that was judged so once."""
    over = last.state == "Helped" or last.reason == BACK_BEFORE_EFFECT
    seen = all(seen_since(facts, last, name) is not None for name in harmed_before(status, last))
    return over and seen and judge(facts, status, last) != "harmed"


def stays_with_a_person(facts: IncidentFacts, status: IncidentStatus) -> bool:
    """True if the Incident was escalated and nothing begins a Runbook anew."""
    last = status.plays[-1] if status.plays else None
    return last is not None and last.type == "escalate" and not begins_anew(facts, status, last)


def begins_anew(facts: IncidentFacts, status: IncidentStatus, last: Play) -> bool:
    """A reopened Incident begins its Runbook anew; one that had none begins when one fits (a cause became known)."""
    reopened = next((e.at for e in status.timeline if e.key == f"reopened-{status.reopened}"), None)
    if reopened is not None and last.requested_at < reopened:
        return True
    return last.reason == NO_RUNBOOK and choice.matching(facts, status) is not None


def next_step(facts: IncidentFacts, status: IncidentStatus, book: Runbook) -> int:
    """Index of the step that follows the last play; behind the last step comes a person."""
    last = status.plays[-1] if status.plays else None
    if last is None or last.runbook != book.metadata.name or begins_anew(facts, status, last):
        return 0
    if last.reason == STOPPED:
        return last.step  # a play that a stop withdrew is asked for again
    return len(book.spec.steps) if _leaves_to_a_person(book, last) else last.step + 1


def _leaves_to_a_person(book: Runbook, last: Play) -> bool:
    """True where what follows the play's outcome is no further step."""
    step = step_of(book, last)
    if last.state == "Refused":
        return last.reason == ROLLBACK_UNSAFE or (step is not None and step.if_refused == "escalate")
    return last.state in ("DidNotHelp", "NotProven") and step is not None and step.if_not_helped == "escalate"


def _current_book(facts: IncidentFacts, status: IncidentStatus) -> Runbook | None:
    """The Runbook of the last play goes on, also where the blame that it was chosen for has turned out wrong."""
    last = status.plays[-1] if status.plays and status.exonerated else None
    return None if last is None or begins_anew(facts, status, last) else runbook_of(facts, last)


def _why_a_person(status: IncidentStatus) -> tuple[str, str]:
    """(reason, text) of the call at a Runbook's end, or where a step leaves the rest to a person."""
    last = status.plays[-1] if status.plays else None
    if last is None:
        return ESCALATED, "the Runbook calls a person"
    if last.reason == ROLLBACK_UNSAFE:
        return ROLLBACK_UNSAFE, last.message
    how = f" ({last.type}: {last.message})" if last.message else ""
    what = {"Refused": "could not act", "Done": "is done and the SLI is not back"}.get(last.state, "did not help")
    return ESCALATED, f"the Runbook {what}: a person must act{how}"


def next_attempt(plays: Sequence[Play], type_: str = "rollback") -> int:
    """Attempts only go up, so that each is carried out at most once."""
    return 1 + max((p.attempt for p in plays if p.type == type_), default=0)


def _ask_for_next(decision: IncidentBuilder, topology: Topology) -> None:
    facts, status = decision.facts, decision.status
    if harmed := dependencies.explaining_of(facts, topology, decision.now):
        decision.condition("Acting", False, DEPENDENCY_BREACHING, f"{harmed[0]} breaches as well and comes first")
        decision.look_again(timedelta(seconds=5))
        return
    book = _current_book(facts, status) or choice.matching(facts, status)
    index = next_step(facts, status, book) if book else 0
    type_ = book.spec.steps[index].type if book and index < len(book.spec.steps) else "escalate"
    if type_ == "escalate" and (hold := suspicion.held(facts, status, topology, decision.now)):
        decision.condition("Acting", False, hold.reason, hold.text)
        decision.look_again(hold.again)
        return
    if index == 0 or book is None:
        choice.record(decision, book)
    if book is None:
        escalate(decision, NO_RUNBOOK, "no Runbook matches: a person must act")
        return
    if type_ == "escalate":
        escalate(decision, *_why_a_person(status))
        return
    if facts.stop is not None:
        decision.condition("Acting", False, facts.stop.named_reason, f"{type_} is not asked for: {facts.stop.sentence}")
        return
    requested = Play(
        runbook=book.metadata.name,
        step=index,
        type=type_,
        attempt=next_attempt(status.plays, type_),
        state="Requested",
        requested_at=decision.now,
    )
    decision.set(plays=with_play(status, requested))
    decision.condition("Acting", True, "Requested", f"{book.metadata.name}: {type_} is asked for")
    if book.spec.safety.mode == "approve" and type_ in RIGHTS:
        _ask_a_person(decision, book, requested)


def _ask_a_person(decision: IncidentBuilder, book: Runbook, requested: Play) -> None:
    """Calls whoever may approve the play, and says exactly what they would approve."""
    meta, play = decision.facts.incident.metadata, f"{requested.type}-{requested.attempt}"
    planned = _planned(decision, book, requested)
    what = planned.text if isinstance(planned, Plan) else f"{requested.type}, which would be refused: {planned.message}"
    how = f"kubectl -n {meta.namespace} annotate --overwrite incident {meta.name} {APPROVE}={play}"
    text = f"{play} waits for an approval: {what}. To approve: {how}"
    decision.condition("Acting", False, AWAITS_APPROVAL, text)
    timeline.record(decision, f"approval-{play}", decision.now, "Approval", text)
    call(decision, AWAITS_APPROVAL, text)


def _planned(decision: IncidentBuilder, book: Runbook, current: Play) -> Plan | Ending:
    """What the step would do, or the refusal of what it must not."""
    step = step_of(book, current)
    if step is None:
        return Ending("Refused", STEP_GONE, f"Runbook {book.metadata.name} has no such step any more")
    return acts.plan(decision.facts, decision.status, book, step, current, decision.now)


# --- begun, or refused


def _answer(decision: IncidentBuilder, current: Play) -> None:
    """Starts the requested play that was granted, ends the one that was refused, or that must not be done as things stand."""
    facts, book = decision.facts, runbook_of(decision.facts, current)
    grant = grant_of(facts, current)
    if ending := refusal(facts, decision.status, current, decision.now):
        if book is not None and ending.reason == DRY_RUN:
            ending = _dry_run(_planned(decision, book, current))
        _end(decision, current, ending)
        if grant is not None and not grant.granted:
            decision.event("PlayRefused", f"{current.type}: {ending.message}", "Warning")
    elif grant is None or book is None:
        return
    elif not grant.granted:
        decision.condition("Acting", False, grant.reason, f"{current.type} is delayed: {grant.message}")
    elif isinstance(planned := _planned(decision, book, current), Ending):
        _end(decision, current, planned)
    elif (why := hesitation(decision, current)) is not None:
        decision.condition("Acting", False, *why)
        decision.look_again(timedelta(seconds=5))
    else:
        _start(decision, book, current, planned)


def _dry_run(planned: Plan | Ending) -> Ending:
    """The end of a play that only says what it would do, exactly."""
    if isinstance(planned, Plan):
        return Ending("Refused", DRY_RUN, f"dryRun: would {planned.text}")
    return Ending("Refused", DRY_RUN, f"dryRun: would be refused, {planned.reason}: {planned.message}")


def _start(decision: IncidentBuilder, book: Runbook, current: Play, planned: Plan) -> None:
    """Records the granted play as running, with what the Release is to carry out."""
    called = {"called_at": decision.now} if current.type in ERRANDS else {}
    running = current.model_copy(update={"state": "Running", "started_at": decision.now, **called, **_before(decision)})
    decision.set(plays=_replaced(decision.status.plays, running), phase="Mitigating")
    if planned.rollback is not None:
        _decide(decision, running, planned)
    elif planned.act is not None:
        decision.set(act=planned.act)
        timeline.record(decision, f"{running.type}-{running.attempt}", decision.now, "Play", planned.text)
        _tell(decision, running, planned)
    elif current.type in ERRANDS and (step := step_of(book, running)) is not None:
        timeline.record(decision, f"{running.type}-{running.attempt}", decision.now, "Play", planned.text)
        _tell(decision, running, planned)
        errands.begin(decision, book, step, running)
    elif planned.freeze is not None:
        decision.set(freezes=[*decision.status.freezes, planned.freeze][-MOST_FREEZES:])
        _tell(decision, running, planned)
        _end(decision, running, Ending("Done", IN_PLACE, planned.text))


def _tell(decision: IncidentBuilder, running: Play, planned: Plan) -> None:
    decision.event(running.type[0].upper() + running.type[1:], planned.text, "Warning")
    decision.look_again(timedelta(seconds=5))


def _before(decision: IncidentBuilder) -> dict[str, Any]:
    """What the play is to be compared with, by objective where there are several."""
    harmed = counts_before(decision.facts, decision.status)
    slo = decision.facts.root.release.spec.slo if decision.facts.root else None
    first = Counts(bad=harmed[0].bad, total=harmed[0].total) if harmed else None
    return {"before": first, "harmed": harmed if slo is not None and slo.also else []}


def decide_rollback(decision: IncidentBuilder, current: Play) -> None:
    """Stores the decision to roll live back; it holds only while that revision is live and the Incident not Resolved."""
    root = decision.facts.root
    assert root is not None
    _decide(decision, current, rollback_plan(root, decision.status, current.attempt, decision.now, canary=False))


def _decide(decision: IncidentBuilder, running: Play, planned: Plan) -> None:
    decision.set(rollback=planned.rollback)
    timeline.record(decision, f"rollback-{running.attempt}", decision.now, "Play", planned.text)
    _tell(decision, running, planned)


# --- how it ends


def time_left(facts: IncidentFacts, current: Play, now: datetime) -> timedelta:
    """Rest of the timeout of a running play, which counts from when it was in effect; before that, until it is taken up."""
    step = step_of(runbook_of(facts, current), current)
    timeout = step.timeout if step is not None else NO_TIMEOUT
    if current.effect_at is not None:
        return timeout - (now - current.effect_at)
    return LONGEST_WAIT - (now - (current.started_at or current.requested_at))


def _watch(decision: IncidentBuilder, current: Play) -> None:
    """Ends a running play by what happened since it was in effect, or because it was refused; tells of its progress."""
    facts = decision.facts
    record = record_of(facts, current)
    if record is not None and record.state in ("Refused", "Failed"):
        _end(decision, current, _not_carried_out(record))
        return
    if record is not None and record.done_at and current.type == "rollback":
        key = f"rolled-back-{current.attempt}"
        timeline.record(decision, key, record.done_at, "Rollback", "last-good is live and available")
    current = _with_effect(decision, current)
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
        _end(decision, current, ending)
    else:
        decision.look_again(
            left if left > timedelta(0) else TAKEN_UP
        )  # once taken up, the Release's own deadline counts


def _watch_errand(decision: IncidentBuilder, current: Play) -> None:
    """Ends a call or a Job that failed, or notes that it goes on."""
    book = runbook_of(decision.facts, current)
    found = errands.watch(decision, book, step_of(book, current), current)
    if isinstance(found, Ending):
        _end(decision, current, found)
        return
    decision.set(plays=_replaced(decision.status.plays, found))
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
    decision.set(plays=_replaced(decision.status.plays, current))
    return current


def _end(decision: IncidentBuilder, current: Play, ending: Ending) -> None:
    done = ended(current, ending.state, ending.reason, decision.now, ending.message)
    decision.set(plays=_replaced(decision.status.plays, done))
    text = f"{current.type}: {ending.state}, {ending.message}"
    timeline.record(decision, f"play-{current.type}-{current.attempt}", decision.now, "Play", text)
    decision.condition("Acting", False, ending.reason, text)
    if current.type == "rollback" and ending.reason in (STILL_HARMED, BACK_BEFORE_EFFECT):
        exonerate(decision, ending)
    decision.look_again(timedelta(0))


def end_with_sli_back(decision: IncidentBuilder) -> None:
    """Ends the current play because the SLI is back: a running one helped, a requested one is not needed any more."""
    facts, status = decision.facts, decision.status
    current = status.plays[-1] if status.plays else None
    if current is not None and current.state == "Running":
        current = _with_effect(decision, current)
        errands.tell_log(decision, current)
        errands.end_with(decision, current)
        _end(decision, current, credited(facts, decision.status, current))
    elif current is not None and current.state == "Requested":
        _end(decision, current, Ending("Refused", SLI_BACK, "not needed: the SLI was back before it was granted"))


def ended(play: Play, state: str, reason: str, now: datetime, message: str | None = None) -> Play:
    """The play at its end. A standing grant stays its reason: rollbacks on it are counted by that."""
    changes = {"state": state, "reason": STANDING_GRANT if play.reason == STANDING_GRANT else reason, "ended_at": now}
    return play.model_copy(update=changes | ({} if message is None else {"message": message[:500]}))


def _replaced(plays: Sequence[Play], new: Play) -> list[Play]:
    key = new.step, new.attempt, new.type
    return [new if (p.step, p.attempt, p.type) == key else p for p in plays]
