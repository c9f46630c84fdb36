"""The Runbook's decision: which requested plays may run. The one place where limits over many Incidents are counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident, Play
from opsloop.api.release import Release
from opsloop.api.runbook import Grant, Runbook, RunbookStatus
from opsloop.core import conditions
from opsloop.core.decision import Decision, DecisionBuilder
from opsloop.core.facts import RunbookFacts
from opsloop.names import APPROVE

# Named reasons
GRANTED = "Granted"  # within all limits
DRY_RUN = "DryRun"  # safety.mode is dryRun: it only says what it would do
NO_RELEASE = "NoRelease"  # no Release has the labels of spec.match.releaseLabels, so it never applies
FORBIDDEN = "Forbidden"  # the Runbook's service account may not patch the Deployment
COOLDOWN = "Cooldown"  # another incident's play on this Release was granted a moment ago: it waits for the time said
TOO_MANY = "TooManyThisHour"  # maxPerHour or maxPerHourAndRelease is reached: it waits for the time said

HOUR = timedelta(hours=1)
LOOK_AGAIN = timedelta(minutes=1)  # while it is not ready: a permission that is given tells nobody
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
        if before is not None and not is_due(before, now):
            continue
        answer = _answer(facts, [g for g in grants if g is not before], incident, play, now)
        if answer is None or (before is not None and _says_the_same(before, answer)):
            continue
        grants = [*(g for g in grants if g is not before), answer]
        _report(builder, incident, play, answer)
    builder.set(observed_generation=facts.runbook.metadata.generation, grants=_bounded(grants, now))
    last = next((grant for grant in reversed(grants) if grant.granted), None)
    if last is not None:
        builder.set(last_play=f"{_step_type(facts, last)} for {last.incident}", last_play_at=last.at)
    delays = [grant.not_before - now for grant in grants if grant.not_before is not None and grant.not_before > now]
    if delays:
        builder.look_again(min(delays))
    if finding := _ready(facts):
        ready, reason, message = finding
        said = conditions.get(builder.status.conditions, "Ready")
        builder.condition("Ready", ready, reason, message)
        if not ready and facts.stop is None and (said is None or said.reason != reason):  # a Stop tells of itself
            builder.event(reason, message, "Warning")
        if not ready:
            builder.look_again(LOOK_AGAIN)
    return builder.build()


def _ready(facts: RunbookFacts) -> tuple[bool, str, str] | None:
    """Whether a play of this Runbook could ever be granted; None while the access of its account is not reviewed."""
    spec, account = facts.runbook.spec, facts.runbook.spec.service_account_name
    if facts.stop is not None:
        return False, facts.stop.named_reason, f"no play is granted: {facts.stop.sentence}"
    concerned = [r.metadata.name for r in facts.releases if applies_to(facts.runbook, r)]
    if not concerned:
        labels = ", ".join(f"{k}={v}" for k, v in sorted(spec.match.release_labels.items()))
        return False, NO_RELEASE, f"no Release of this namespace has the labels {labels or 'of spec.match'}"
    answered = f"{spec.safety.mode}: plays are answered"
    if not acts(facts.runbook):
        return True, "Ready", answered
    reviewed = [name for name in concerned if name in facts.allowed]
    forbidden = [name for name in reviewed if not facts.allowed[name]]
    if not reviewed:
        return None
    if len(forbidden) < len(reviewed):
        return True, "Ready", f"{answered}, but not on {', '.join(forbidden)}" if forbidden else answered
    return False, FORBIDDEN, f"ServiceAccount {account} may patch the Deployment of no Release that it is for"


def applies_to(runbook: Runbook, release: Release) -> bool:
    """True where the Release has the labels that the Runbook wants."""
    return all(release.metadata.labels.get(k) == v for k, v in runbook.spec.match.release_labels.items())


def acts(runbook: Runbook) -> bool:
    """True where it has a step that needs its account's permissions."""
    return runbook.spec.safety.mode != "dryRun" and any(step.type == "rollback" for step in runbook.spec.steps)


def is_due(answer: Grant, now: datetime) -> bool:
    """True where the answer was a delay that is over: the play is answered again."""
    return answer.not_before is not None and answer.not_before <= now


def _says_the_same(before: Grant, answer: Grant) -> bool:
    return (before.granted, before.reason, before.not_before) == (answer.granted, answer.reason, answer.not_before)


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
    return next((grant for grant in grants if (grant.incident, grant.step, grant.attempt) == key), None)


def _answer(
    facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, play: Play, now: datetime
) -> Grant | None:
    """The grant, delay or refusal; None while an approval or an access review is waited for."""
    answer = _permission(facts, incident, play)
    if answer is not None and answer.reason == GRANTED and play.type != "wait":
        answer = _limit(facts, grants, incident, now) or answer
    if answer is None:
        return None
    return Grant(
        incident=incident.metadata.name,
        release=incident.spec.release,
        step=play.step,
        type=play.type,
        attempt=play.attempt,
        granted=answer.reason == GRANTED,
        reason=answer.reason,
        message=answer.message,
        not_before=answer.not_before,
        at=now,
    )


def _permission(facts: RunbookFacts, incident: Incident, play: Play) -> Answer | None:
    """Whether the play may run at all; the first rule that speaks decides."""
    release, safety, account = incident.spec.release, facts.runbook.spec.safety, facts.runbook.spec.service_account_name
    if play.type == "wait":
        return Answer(GRANTED, "watching changes nothing")
    if safety.mode == "dryRun":
        return Answer(DRY_RUN, f"dryRun: would {play.type} {release}")
    if safety.mode == "approve" and incident.metadata.annotations.get(APPROVE) != f"{play.type}-{play.attempt}":
        return None
    allowed = facts.allowed.get(release)
    if allowed is None:
        return None
    if not allowed:
        hint = f"may not patch the Deployment of {release}: grant it patch on deployments"
        return Answer(FORBIDDEN, f"ServiceAccount {account} {hint}")
    return Answer(GRANTED, f"{play.type} on behalf of ServiceAccount {account}")


def _limit(facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, now: datetime) -> Answer | None:
    """The limit that delays a play, with the latest time of all limits that do; None within all of them."""
    release, safety = incident.spec.release, facts.runbook.spec.safety
    acts = [g for g in grants if g.granted and _step_type(facts, g) != "wait"]
    recent = [g for g in acts if now - g.at < HOUR]
    on_release = [g for g in recent if g.release == release]
    others = [g.at for g in acts if g.release == release and g.incident != incident.metadata.name]
    others = [when for when in others if now - when < safety.cooldown]
    delays = [
        (COOLDOWN, f"another incident's play on {release} was just granted", max(others) + safety.cooldown)
        for _ in others[:1]
    ]
    for counted, most, where in (
        (recent, safety.max_per_hour, "over all Incidents"),
        (on_release, safety.max_per_hour_and_release, f"on {release}"),
    ):
        if len(counted) >= most:
            free = sorted(g.at for g in counted)[-most] + HOUR
            delays.append((TOO_MANY, f"{len(counted)} plays were granted within an hour {where}", free))
    if not delays:
        return None
    reason, why, free = max(delays, key=lambda d: d[2])
    return Answer(reason, f"{why}; it may run from {free:%H:%M:%S} UTC", free)


def _bounded(grants: list[Grant], now: datetime) -> list[Grant]:
    """At most MOST_GRANTS. Those that limits count go last: no number of refusals makes room for one more play."""
    counted = [grant for grant in grants if grant.granted and now - grant.at < HOUR][-MOST_GRANTS:]
    room = MOST_GRANTS - len(counted)
    others = [grant for grant in grants if grant not in counted]
    bounded = [*(others[-room:] if room else []), *counted]
    return sorted(bounded, key=grants.index)


def _step_type(facts: RunbookFacts, grant: Grant) -> str:
    """The type of a granted play; answers of an older opsloop do not say it, their step does."""
    steps = facts.runbook.spec.steps
    if grant.type:
        return grant.type
    return steps[grant.step].type if grant.step < len(steps) else "a step that is gone"
