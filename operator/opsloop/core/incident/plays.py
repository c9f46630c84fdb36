"""Plays: the Runbook's steps in order, each granted first and verified by the SLI; a person comes last.

A rollback is decided as `{from, to}` on the Incident's status; the Release carries it out.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from opsloop.api.incident import IncidentStatus
from opsloop.api.meta import PAGING, format_duration
from opsloop.api.play import Counts, Play
from opsloop.api.runbook import Grant, Runbook
from opsloop.core.conditions import ROLLBACK_UNSAFE
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import acts, choice, dependencies, errands, suspicion, timeline
from opsloop.core.incident.acts import Plan, rollback_plan
from opsloop.core.incident.consent import grant_of, hesitation, is_rehearsed, patience, refusal, runbook_of, step_of
from opsloop.core.incident.effect import (
    BACK_BEFORE_EFFECT,
    ERRANDS,
    Ending,
    counts_before,
    harmed_before,
    judge,
    seen_since,
)
from opsloop.core.incident.paging import ESCALATED, NO_RUNBOOK, call, escalate, with_play
from opsloop.core.incident.state import IncidentBuilder, is_contested
from opsloop.core.incident.watching import IN_PLACE, end, replaced, watch
from opsloop.core.runbook.decide import DRY_RUN
from opsloop.core.runbook.rights import RIGHTS
from opsloop.core.stop import STOPPED
from opsloop.core.topology import Topology
from opsloop.names import APPROVE

# Named reasons
DEPENDENCY_BREACHING = "DependencyBreaching"  # nothing is rolled back on a dependent while what it depends on breaches
AWAITS_APPROVAL = "AwaitsApproval"  # safety.mode is approve: the step waits for the annotation opsloop.dev/approve
STEP_GONE = "StepGone"  # the Runbook was edited: what was asked for is no step of it any more
PAGES_NOBODY = "PagesNobody"  # its severity pages nobody, so no Runbook acts: it ends with what opened it
LEFT_TO_A_PERSON = "LeftToAPerson"  # no SLI shows the harm, no revision is to blame, no Runbook that fits names that
CAUSE_OPEN = "CauseOpen"  # the Runbook is for unknown causes, and the cause may still be found: it begins a minute after the harm

CAUSE_FOUND = "CauseFound"  # the step was for unknown causes and had not begun: another Runbook is for what was found

MOST_FREEZES = 8  # of status.freezes
LOOK_SOON = timedelta(seconds=5)


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
    current = status.plays[-1] if status.plays else None
    begun = current is not None and current.state in ("Requested", "Running")
    if not begun and choice.must_be_named(status) and choice.matching(facts, status) is None:
        text = "a person was called: no SLI shows the harm, no revision is to blame, and no Runbook that fits names the cause"
        decision.condition("Acting", False, LEFT_TO_A_PERSON, f"{text} {choice.cause_of(status)} in match.causes")
        choice.record(decision, None)
        return
    if current is not None and current.state == "Requested" and facts.stop is not None:
        end(decision, current, Ending("Refused", STOPPED, facts.stop.sentence))
    elif current is not None and current.state == "Requested" and (better := _made_for_it(facts, status, current)):
        text = f"the cause is {choice.cause_of(status)} by now, and Runbook {better.metadata.name} is for that"
        end(decision, current, Ending("Refused", CAUSE_FOUND, text))
    elif current is not None and current.state == "Requested":
        _answer(decision, current)
    elif current is not None and current.state == "Running":
        watch(decision, current)
    elif current is not None and is_harm_gone(facts, status, current):
        decision.look_again(timedelta(seconds=30))  # the longer windows still hold the harm
    elif not is_contested(status) and not stays_with_a_person(facts, status):
        _ask_for_next(decision, topology)


def _made_for_it(facts: IncidentFacts, status: IncidentStatus, current: Play) -> Runbook | None:
    """The Runbook for the cause that was found after a step for unknown causes was asked for; None where that goes on."""
    book = runbook_of(facts, current)
    if book is None or choice.cause_of(status) == "unknown" or "unknown" not in book.spec.match.causes:
        return None
    if not choice.misfit(facts, status, book):
        return None
    return choice.matching(facts, status)


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
    book = _current_book(facts, status) or choice.matching(facts, status)
    harmed = dependencies.explaining_of(facts, topology, decision.now)
    if harmed and not choice.names(book, status, "dependency"):
        decision.condition("Acting", False, DEPENDENCY_BREACHING, f"{harmed[0]} breaches as well and comes first")
        decision.look_again(LOOK_SOON)
        return
    index = next_step(facts, status, book) if book else 0
    type_ = book.spec.steps[index].type if book and index < len(book.spec.steps) else "escalate"
    if type_ == "escalate" and (hold := suspicion.held(facts, status, topology, decision.now)):
        decision.condition("Acting", False, hold.reason, hold.text)
        decision.look_again(hold.again)
        return
    if index == 0 and book is not None and (left := patience(book, status, decision.now)) > timedelta(0):
        text = f"{book.metadata.name} is for causes that nobody knows: it begins in {format_duration(left)} unless one is found"
        decision.condition("Acting", False, CAUSE_OPEN, text)
        decision.look_again(min(left, LOOK_SOON))
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
    rehearsed = is_rehearsed(grant)
    if ending := refusal(facts, decision.status, current, decision.now):
        _refuse(decision, current, ending, grant)
    elif grant is None or book is None:
        return
    elif not grant.granted and not rehearsed:
        decision.condition("Acting", False, grant.reason, f"{current.type} is delayed: {grant.message}")
    elif isinstance(planned := _planned(decision, book, current), Ending):
        _refuse(decision, current, planned, grant)
    elif (why := hesitation(decision, current)) is not None:
        reason, text = why
        decision.condition("Acting", False, reason, f"dryRun: it would wait, as {text}" if rehearsed else text)
        decision.look_again(LOOK_SOON)
    elif rehearsed:
        _refuse(decision, current, Ending("Refused", DRY_RUN, f"dryRun: would {planned.text}"), grant)
    else:
        _start(decision, book, current, planned)


def _refuse(decision: IncidentBuilder, current: Play, ending: Ending, grant: Grant | None) -> None:
    """Ends a play that does not run. A rehearsal says what would have become of it, and is refused for nothing else."""
    if is_rehearsed(grant) and ending.reason != DRY_RUN:
        ending = Ending("Refused", DRY_RUN, f"dryRun: would be refused, {ending.reason}: {ending.message}")
    end(decision, current, ending)
    if grant is not None and not grant.granted:
        decision.event("PlayRefused", f"{current.type}: {ending.message}", "Warning")


def _start(decision: IncidentBuilder, book: Runbook, current: Play, planned: Plan) -> None:
    """Records the granted play as running, with what the Release is to carry out."""
    called = {"called_at": decision.now} if current.type in ERRANDS else {}
    running = current.model_copy(update={"state": "Running", "started_at": decision.now, **called, **_before(decision)})
    decision.set(plays=replaced(decision.status.plays, running), phase="Mitigating")
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
        end(decision, running, Ending("Done", IN_PLACE, planned.text))


def _tell(decision: IncidentBuilder, running: Play, planned: Plan) -> None:
    decision.event(running.type[0].upper() + running.type[1:], planned.text, "Warning")
    decision.look_again(LOOK_SOON)


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
