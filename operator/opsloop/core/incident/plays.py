"""Plays: the Runbook's steps in order, each granted first and verified by the SLI; a person comes last.

A rollback is decided as `{from, to}` on the Incident's status; the Release carries it out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from opsloop.api.incident import Counts, IncidentStatus, Play, RollbackDecision
from opsloop.api.meta import PAGING
from opsloop.api.runbook import Grant, Runbook
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident import dependencies, outage_cause, suspicion, timeline
from opsloop.core.incident.cause import is_over_now, ranking
from opsloop.core.incident.effect import (
    BACK_BEFORE_EFFECT,
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
    is_canary,
    judge,
    limit_of,
    outcome,
    rollback_record,
    seen_since,
)
from opsloop.core.incident.exoneration import exonerate
from opsloop.core.incident.paging import ESCALATED, NO_RUNBOOK, escalate, with_play
from opsloop.core.incident.state import IncidentBuilder, harmed_names, is_contested
from opsloop.core.release import revisions
from opsloop.core.release.silence import READ, told_in
from opsloop.core.slo.burn_rate import TELEMETRY_UNKNOWN
from opsloop.core.slo.merged import about
from opsloop.core.stop import STOPPED
from opsloop.core.topology import Topology

# Named reasons
NO_LAST_GOOD = "NoLastGood"  # there is nothing to roll back to
CAUSE_NOT_A_RELEASE = "CauseNotARelease"  # a rollback needs a revision to blame
NOT_SURE_ENOUGH = "NotSureEnough"  # the confidence in the cause is below safety.minConfidence: a person has the ranking
HARM_IS_OVER = "HarmIsOver"  # the last intervals surely show no harm: nothing is undone for what is over
LIVE_IS_ANOTHER = "LiveIsAnother"  # the blamed revision is not live any more
DEPENDENCY_BREACHING = "DependencyBreaching"  # nothing is rolled back on a dependent while what it depends on breaches
RELEASE_REFUSED = "ReleaseRefused"  # the Release refused the rollback
PAGES_NOBODY = "PagesNobody"  # its severity pages nobody, so no Runbook acts: it ends with what opened it
LEFT_TO_A_PERSON = "LeftToAPerson"  # paged by alerts or an outage that no change explains: there is nothing to undo
STANDING_GRANT = "StandingGrant"  # a blocked revision came back: the earlier grant of this Incident stands

ENDED = ("Helped", "DidNotHelp", "NotProven", "Refused", "Done")
PATIENCE = timedelta(minutes=1)  # four scrapes: evidence of a harm that goes on has grown by then, if it ever does
# Between two looks at a rollout that takes long; its progress wakes the Incident as well.
TAKEN_UP = timedelta(seconds=30)
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
    return last.reason == NO_RUNBOOK and matching(facts, status) is not None


def matching(facts: IncidentFacts, status: IncidentStatus) -> Runbook | None:
    """The Runbook that fits cause, severity and labels: the most specific one, then by name."""
    cause = status.cause.kind if status.cause else "unknown"
    labels = facts.root.release.metadata.labels if facts.root else {}

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

    return min(filter(fits, facts.runbooks), key=rank, default=None)


def next_step(facts: IncidentFacts, status: IncidentStatus, book: Runbook) -> int:
    """Index of the step that follows the last play; behind the last step comes a person."""
    last = status.plays[-1] if status.plays else None
    if last is None or last.runbook != book.metadata.name or begins_anew(facts, status, last):
        return 0
    return last.step if last.reason == STOPPED else last.step + 1  # a play that a stop withdrew is asked for again


def _current_book(facts: IncidentFacts, status: IncidentStatus) -> Runbook | None:
    """The Runbook of the last play goes on, also where the blame that it was chosen for has turned out wrong."""
    last = status.plays[-1] if status.plays and status.exonerated else None
    return None if last is None or begins_anew(facts, status, last) else _runbook(facts, last)


def _last_outcome(status: IncidentStatus) -> str:
    last = status.plays[-1] if status.plays else None
    return f" ({last.type}: {last.message})" if last is not None and last.message else ""


def next_attempt(plays: Sequence[Play], type_: str = "rollback") -> int:
    """Attempts only go up, so that each is carried out at most once."""
    return 1 + max((p.attempt for p in plays if p.type == type_), default=0)


def _ask_for_next(decision: IncidentBuilder, topology: Topology) -> None:
    facts, status = decision.facts, decision.status
    if harmed := dependencies.explaining_of(facts, topology, decision.now):
        decision.condition("Acting", False, DEPENDENCY_BREACHING, f"{harmed[0]} breaches as well and comes first")
        decision.look_again(timedelta(seconds=5))
        return
    book = _current_book(facts, status) or matching(facts, status)
    index = next_step(facts, status, book) if book else 0
    type_ = book.spec.steps[index].type if book and index < len(book.spec.steps) else "escalate"
    if type_ == "escalate" and (hold := suspicion.held(facts, status, topology, decision.now)):
        decision.condition("Acting", False, hold.reason, hold.text)
        decision.look_again(hold.again)
        return
    if book is None:
        escalate(decision, NO_RUNBOOK, "no Runbook matches: a person must act")
        return
    if type_ == "escalate":
        escalate(decision, ESCALATED, f"the Runbook's plays did not help: a person must act{_last_outcome(status)}")
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


# --- on whose word


def grant_of(facts: IncidentFacts, current: Play) -> Grant | None:
    """The Runbook's last answer to this very play."""
    book = _runbook(facts, current)
    key = facts.incident.metadata.name, current.step, current.attempt
    grants = [g for g in (book.status.grants if book else []) if (g.incident, g.step, g.attempt) == key]
    return grants[-1] if grants else None


def refusal(facts: IncidentFacts, status: IncidentStatus, current: Play, now: datetime) -> Ending | None:
    """Why a requested play does not run; the first check that has a reason decides. None: it runs, is delayed, or waits for
    its grant."""
    grant = grant_of(facts, current)
    if _runbook(facts, current) is None:
        return Ending("Refused", NO_RUNBOOK, f"Runbook {current.runbook} is gone")
    if grant is not None and not grant.granted and grant.not_before is None:
        return Ending("Refused", grant.reason, grant.message)
    if grant is None or not grant.granted or current.type != "rollback":
        return None
    return _nothing_to_roll_back(facts.root, status) or _not_sure(facts, status, current, now)


def _not_sure(facts: IncidentFacts, status: IncidentStatus, current: Play, now: datetime) -> Ending | None:
    """Refused where the cause has not become sure enough within PATIENCE, or nobody could read the SLI for as long as that is
    told. Where a person approves, the person is sure."""
    if (text := doubt(facts, status, current)) and now - current.requested_at >= PATIENCE:
        return Ending("Refused", NOT_SURE_ENOUGH, text)
    told = facts.root is not None and told_in(facts.root.release, now) == timedelta(0)
    if told and (text := blind(facts, status, current)):
        return Ending("Refused", TELEMETRY_UNKNOWN, text)
    return None


def doubt(facts: IncidentFacts, status: IncidentStatus, current: Play) -> str:
    """Why a play that undoes something may not run by itself yet; empty where it may."""
    book, cause = _runbook(facts, current), status.cause
    if book is None or cause is None or book.spec.safety.mode != "auto":
        return ""
    sure = book.spec.safety.min_confidence
    if cause.confidence < sure:
        return (
            f"{cause.version} is blamed with {cause.confidence:.2f}, safety.minConfidence is {sure:g}: {ranking(cause)}"
        )
    return ""


def blind(facts: IncidentFacts, status: IncidentStatus, current: Play) -> str:
    """Why a play that undoes something waits for a reading: by itself it is done only while the harm can be read.

    Harm that pods show, without a burn, needs no SLI.
    """
    book, root = _runbook(facts, current), facts.root
    if book is None or root is None or status.burn is None or book.spec.safety.mode != "auto":
        return ""
    verdicts = [about(root.readings, name).verdict for name in harmed_names(status, root)]
    if any(v is not None and (v.band != "unknown" or v.reason in READ) for v in verdicts):
        return ""
    return "the SLI is unknown: nothing is undone for a harm that nobody sees at present"


def _nothing_to_roll_back(root: ReleaseView | None, status: IncidentStatus) -> Ending | None:
    cause = status.cause
    if root is None or cause is None or cause.kind != "bad_release" or cause.release != root.release.metadata.name:
        return Ending("Refused", CAUSE_NOT_A_RELEASE, "a rollback needs a revision of the root Release to blame")
    if is_canary(root, cause.revision):
        return None  # taking a canary out needs nothing to go back to
    if root.release.status.live != cause.revision:
        return Ending("Refused", LIVE_IS_ANOTHER, f"{cause.version} is not live any more")
    if revisions.rollback_target(root.release.status.revisions, cause.revision) is None:
        return Ending("Refused", NO_LAST_GOOD, "no other revision that ever served is left to roll back to")
    return None


def _runbook(facts: IncidentFacts, current: Play) -> Runbook | None:
    return next((b for b in facts.runbooks if b.metadata.name == current.runbook), None)


def _answer(decision: IncidentBuilder, current: Play) -> None:
    """Starts the requested play that was granted, ends the one that was refused."""
    grant = grant_of(decision.facts, current)
    if ending := refusal(decision.facts, decision.status, current, decision.now):
        _end(decision, current, ending)
        if grant is not None and not grant.granted:
            decision.event("PlayRefused", f"{current.type}: {grant.message}", "Warning")
    elif grant is not None and not grant.granted:
        decision.condition("Acting", False, grant.reason, f"{current.type} is delayed: {grant.message}")
    elif grant is not None and (hesitation := _hesitation(decision, current)) is not None:
        decision.condition("Acting", False, *hesitation)
        decision.look_again(timedelta(seconds=5))
    elif grant is not None:
        running = current.model_copy(update={"state": "Running", "started_at": decision.now, **_before(decision)})
        decision.set(plays=_replaced(decision.status.plays, running), phase="Mitigating")
        if current.type == "rollback":
            decide_rollback(decision, current.attempt, _blames_canary(decision))


def _before(decision: IncidentBuilder) -> dict[str, Any]:
    """What the play is to be compared with, by objective where there are several."""
    harmed = counts_before(decision.facts, decision.status)
    slo = decision.facts.root.release.spec.slo if decision.facts.root else None
    first = Counts(bad=harmed[0].bad, total=harmed[0].total) if harmed else None
    return {"before": first, "harmed": harmed if slo is not None and slo.also else []}


def _blames_canary(decision: IncidentBuilder) -> bool:
    root, cause = decision.facts.root, decision.status.cause
    return root is not None and cause is not None and is_canary(root, cause.revision)


def _hesitation(decision: IncidentBuilder, current: Play) -> tuple[str, str] | None:
    """(reason, message) why a granted rollback waits: for more evidence, or because the harm is over at present."""
    facts, status = decision.facts, decision.status
    if current.type != "rollback":
        return None
    if text := doubt(facts, status, current):
        return NOT_SURE_ENOUGH, text
    if text := blind(facts, status, current):
        return TELEMETRY_UNKNOWN, text
    root = facts.root if status.burn is not None else None  # without a pod no SLI can say that the harm is over
    if root is not None and all(
        is_over_now(about(root.readings, name).harm, limit_of(status, name)) for name in harmed_names(status, root)
    ):
        return HARM_IS_OVER, "the last intervals do not show the harm any more"
    return None


def decide_rollback(decision: IncidentBuilder, attempt: int, canary: bool = False) -> None:
    """Stores the decision to roll live back, or to take the blamed `canary` out; it holds only while that revision is live
    (or the canary) and the Incident not Resolved."""
    root = decision.facts.root
    assert root is not None
    known, live, cause = root.release.status.revisions, root.release.status.live, decision.status.cause
    if canary and cause is not None:
        from_, to, text = cause.revision, live, f"take the canary {cause.version} out of traffic"
    else:
        target, bad = revisions.rollback_target(known, live), revisions.find(known, live)
        assert target is not None
        good, proven = target
        kind = "last-good" if proven else "unproven: it served longest"
        from_, to, text = live, good.digest, f"roll back {bad.version if bad else live} to {good.version} ({kind})"
    name = root.release.metadata.name
    ordered = RollbackDecision(release=name, from_digest=from_, to_digest=to, attempt=attempt, at=decision.now)
    decision.set(rollback=ordered)
    timeline.record(decision, f"rollback-{attempt}", decision.now, "Play", text)
    decision.event("Rollback", text, "Warning")
    decision.look_again(timedelta(seconds=5))


# --- how it ends


def time_left(facts: IncidentFacts, current: Play, now: datetime) -> timedelta:
    """Rest of the timeout of a running play, which counts from when it was in effect; before that, until it is taken up."""
    book = _runbook(facts, current)
    known = book is not None and current.step < len(book.spec.steps)
    timeout = book.spec.steps[current.step].timeout if book is not None and known else NO_TIMEOUT
    if current.effect_at is not None:
        return timeout - (now - current.effect_at)
    return LONGEST_WAIT - (now - (current.started_at or current.requested_at))


def _watch(decision: IncidentBuilder, current: Play) -> None:
    """Ends a running play by what happened since it was in effect, or because it was refused; tells of its progress."""
    facts = decision.facts
    record = rollback_record(facts, current.attempt) if current.type == "rollback" else None
    if record is not None and record.state == "Refused" and record.reason == STOPPED:
        _end(decision, current, Ending("Refused", STOPPED, "opsloop was stopped before it was written"))
        return
    if record is not None and record.state == "Refused":
        _end(decision, current, Ending("DidNotHelp", RELEASE_REFUSED, f"the Release refused it: {record.reason}"))
        return
    if record is not None and record.state == "Failed":
        _end(decision, current, Ending("NotProven", NOT_IN_EFFECT, f"{record.reason}: {record.message}"))
        return
    if record is not None and record.done_at:
        key = f"rolled-back-{current.attempt}"
        timeline.record(decision, key, record.done_at, "Rollback", "last-good is live and available")
    current = _with_effect(decision, current)
    left = time_left(facts, current, decision.now)
    if current.effect_at is None:
        late = record is None and left <= timedelta(0)
        ending = Ending("NotProven", NOT_IN_EFFECT, "the Release has not taken it up") if late else None
        replaced = record.replaced if record else 0
        decision.condition("Acting", True, IN_PROGRESS, f"{current.type}: {replaced} % of the pods are replaced")
    else:
        ending = outcome(facts, decision.status, current, left)
        decision.condition("Acting", True, IN_EFFECT, f"{current.type} is in effect, the SLI since then decides")
    if ending is not None:
        _end(decision, current, ending)
    else:
        decision.look_again(
            left if left > timedelta(0) else TAKEN_UP
        )  # once taken up, the Release's own deadline counts


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
