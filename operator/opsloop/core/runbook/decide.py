"""The Runbook's decision: which requested plays may run, on whose word, and within which limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.meta import format_duration
from opsloop.api.play import Play
from opsloop.api.runbook import Grant, Runbook, RunbookStatus
from opsloop.core import conditions
from opsloop.core.decision import Decision, DecisionBuilder
from opsloop.core.facts import RunbookFacts
from opsloop.core.runbook.limits import HOUR, LOOK, UNDER_WAY, delay_of, step_type, under_way
from opsloop.core.runbook.ready import FORBIDDEN, JOBS_OFF, NO_RELEASE, ready
from opsloop.core.runbook.rights import RIGHTS, UNLIMITED
from opsloop.names import APPROVE

# Named reasons
GRANTED = "Granted"  # within all limits
DRY_RUN = "DryRun"  # safety.mode is dryRun: it only says what it would do
NOT_APPROVED = "NotApproved"  # nobody approved it within safety.approveWithin

LOOK_AGAIN = timedelta(minutes=1)  # while it is not ready: a permission that is given tells nobody
REVIEW_AGAIN = timedelta(
    minutes=10
)  # one that is taken away tells nobody either, and is known before the next incident
LOOK_SOON = timedelta(seconds=1)
MOST_GRANTS = 100  # twice the highest limit: delays and refusals have room beside the grants that are counted


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one play; with `not_before` the play is delayed and asked about again at that time."""

    reason: str
    message: str
    not_before: datetime | None = None


def decide(facts: RunbookFacts, now: datetime) -> Decision:
    """Answers every requested play of this Runbook that has no answer yet, or whose delay is over."""
    builder = DecisionBuilder(facts, facts.runbook.status, now)
    grants = list(facts.runbook.status.grants)
    for incident, play in _requests(facts) if facts.stop is None else ():
        before = _answer_to(grants, incident, play)
        if before is not None and is_void(before, facts.runbook, incident, play):
            grants, before = [grant for grant in grants if grant is not before], None
        if before is not None and not is_due(before, now):
            continue
        answer = _answer(facts, [g for g in grants if g is not before], incident, play, now)
        if answer is not None and answer.reason == UNDER_WAY:
            builder.look_again(LOOK)
        if answer is None or (before is not None and _says_the_same(before, answer)):
            continue
        grants = [*(g for g in grants if g is not before), answer]
        _report(builder, incident, play, answer)
    builder.set(observed_generation=facts.runbook.metadata.generation, grants=_bounded(grants, now))
    last = next((grant for grant in reversed(grants) if grant.granted), None)
    if last is not None:
        builder.set(last_play=f"{step_type(facts, last)} for {last.incident}", last_play_at=last.at)
    if facts.runbook.spec.safety.mode == "approve":
        for incident, play in _requests(facts):
            if _answer_to(grants, incident, play) is None:
                builder.look_again(_approval_left(facts, play, now))
    delays = [grant.not_before - now for grant in grants if grant.not_before is not None and grant.not_before > now]
    if delays:
        builder.look_again(min(delays))
    if finding := ready(facts):
        is_ready, reason, message = finding
        said = conditions.get(builder.status.conditions, "Ready")
        builder.condition("Ready", is_ready, reason, message)
        if not is_ready and facts.stop is None and (said is None or said.reason != reason):  # a Stop tells of itself
            builder.event(reason, message, "Warning")
        builder.look_again(REVIEW_AGAIN if is_ready else LOOK_AGAIN)
    return builder.build()


def _approval_left(facts: RunbookFacts, play: Play, now: datetime) -> timedelta:
    """Time until an approval that is waited for is not waited for any more."""
    return max(play.requested_at + facts.runbook.spec.safety.approve_within - now, LOOK_SOON)


def is_void(grant: Grant, book: Runbook, incident: Incident, play: Play) -> bool:
    """True for a grant that safety.mode as it is by now does not give: lowering the mode stops what has not begun."""
    if not grant.granted or play.type not in RIGHTS or book.spec.safety.mode == "auto":
        return False
    return book.spec.safety.mode == "dryRun" or not _is_approved(incident, play)


def _is_approved(incident: Incident, play: Play) -> bool:
    return incident.metadata.annotations.get(APPROVE) == f"{play.type}-{play.attempt}"


def is_due(answer: Grant, now: datetime) -> bool:
    """True where the answer was a delay that is over: the play is answered again."""
    return answer.not_before is not None and answer.not_before <= now


def _says_the_same(before: Grant, answer: Grant) -> bool:
    when = before.not_before == answer.not_before or answer.reason == UNDER_WAY  # of which nobody knows the end
    return (before.granted, before.reason) == (answer.granted, answer.reason) and when


def _report(
    builder: DecisionBuilder[RunbookFacts, RunbookStatus], incident: Incident, play: Play, answer: Grant
) -> None:
    text = f"{play.type} for {incident.metadata.name}: {answer.reason}"
    if answer.granted:
        builder.event("PlayGranted", text)
    elif answer.not_before is not None:
        builder.event("PlayDelayed", f"{text}, {answer.message}", "Warning")
    else:
        builder.event("PlayRefused", text, "Warning")


def _requests(facts: RunbookFacts) -> list[tuple[Incident, Play]]:
    """Requested plays of this Runbook, by name of their Incident."""
    return [
        (incident, play)
        for incident in sorted(facts.incidents, key=lambda i: i.metadata.name)
        for play in incident.status.plays
        if play.state == "Requested" and play.runbook == facts.runbook.metadata.name
    ]


def _answer_to(grants: Sequence[Grant], incident: Incident, play: Play) -> Grant | None:
    key = (incident.metadata.name, play.step, play.attempt)
    same = (grant for grant in grants if (grant.incident, grant.step, grant.attempt) == key)
    return next((grant for grant in same if grant.type in ("", play.type)), None)


def _answer(
    facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, play: Play, now: datetime
) -> Grant | None:
    """The grant, delay or refusal; None while an approval or an access review is waited for."""
    answer = _permission(facts, incident, play, now)
    if answer is None:
        return None
    limited = answer.reason == GRANTED and play.type not in UNLIMITED
    if limited and (delay := delay_of(facts, grants, incident, now)) is not None:
        text = f"{delay.message}; it may run from {delay.until:%H:%M:%S} UTC"
        answer = Answer(delay.reason, text, delay.until)
    elif limited and (delay := under_way(facts, grants, incident, play, now)) is not None:
        text = f"{delay.message}; it may run after that"
        answer = Answer(delay.reason, text, delay.until)
    return Grant(
        incident=incident.metadata.name,
        release=incident.spec.release,
        step=play.step,
        type=play.type,
        attempt=play.attempt,
        granted=answer.reason == GRANTED,
        reason=answer.reason,
        message=answer.message[:512],
        not_before=answer.not_before,
        at=now,
    )


def _permission(facts: RunbookFacts, incident: Incident, play: Play, now: datetime) -> Answer | None:
    """Whether the play may run at all; the first rule that speaks decides."""
    release, safety, account = incident.spec.release, facts.runbook.spec.safety, facts.runbook.spec.service_account_name
    right = RIGHTS.get(play.type)
    if right is None:
        return Answer(GRANTED, "it changes nothing")
    if safety.mode == "dryRun":
        return Answer(DRY_RUN, "safety.mode is dryRun: nothing is done")
    if safety.mode == "approve" and not _is_approved(incident, play):
        waited = now - play.requested_at
        text = f"nobody approved it within {format_duration(safety.approve_within)} (safety.approveWithin)"
        return Answer(NOT_APPROVED, text) if waited >= safety.approve_within else None
    if play.type == "job" and not facts.runs_jobs:
        return Answer(JOBS_OFF, "opsloop itself may not create Jobs here (chart value runbooks.jobs)")
    if right.is_on_object and release not in {one.metadata.name for one in facts.releases}:
        return Answer(NO_RELEASE, f"the Incident has no Release that {play.type} could act on")
    allowed = facts.allowed.get((right.plural, release))
    if allowed is None:
        return None
    if not allowed:
        return Answer(FORBIDDEN, f"ServiceAccount {account} lacks the right to {play.type} {release}: {right.sentence}")
    return Answer(GRANTED, f"{play.type} on behalf of ServiceAccount {account}")


def _bounded(grants: list[Grant], now: datetime) -> list[Grant]:
    """At most MOST_GRANTS. Those that limits count go last: no number of refusals makes room for one more play."""
    counted = [grant for grant in grants if grant.granted and now - grant.at < HOUR][-MOST_GRANTS:]
    room = MOST_GRANTS - len(counted)
    others = [grant for grant in grants if grant not in counted]
    bounded = [*(others[-room:] if room else []), *counted]
    return sorted(bounded, key=grants.index)
