"""The Runbook's decision: which requested plays may run. The one place where limits over many Incidents are counted."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from opsloop.api.incident import Incident, Play
from opsloop.api.runbook import Grant
from opsloop.core.decision import Decision, DecisionBuilder
from opsloop.core.facts import RunbookFacts
from opsloop.names import APPROVE

# Named reasons
GRANTED = "Granted"  # within all limits
DRY_RUN = "DryRun"  # safety.mode is dryRun: it only says what it would do
FORBIDDEN = "Forbidden"  # the Runbook's service account may not patch the Deployment
COOLDOWN = "Cooldown"  # another incident's play on this Release was granted a moment ago
TOO_MANY = "TooManyThisHour"  # maxPerHour is reached

HOUR = timedelta(hours=1)
MOST_GRANTS = 50


def decide(facts: RunbookFacts, now: datetime) -> Decision:
    """Answers every requested play of this Runbook that has no answer yet."""
    builder = DecisionBuilder(facts, facts.runbook.status, now)
    grants = list(facts.runbook.status.grants)
    for incident, play in _requests(facts):
        if _is_answered(grants, incident, play):
            continue
        answer = _answer(facts, grants, incident, play, now)
        if answer is not None:
            grants.append(answer)
            text = f"{play.type} for {incident.metadata.name}: {answer.reason}"
            if answer.granted:
                builder.event("PlayGranted", text)
            else:
                builder.event("PlayRefused", text, "Warning")
    builder.set(observed_generation=facts.runbook.metadata.generation, grants=_bounded(grants, now))
    last = next((grant for grant in reversed(grants) if grant.granted), None)
    if last is not None:
        builder.set(last_play=f"{_step_type(facts, last)} for {last.incident}", last_play_at=last.at)
    builder.condition("Ready", True, "Ready", f"{facts.runbook.spec.safety.mode}: plays are answered")
    return builder.build()


def _requests(facts: RunbookFacts) -> list[tuple[Incident, Play]]:
    """Requested plays of this Runbook, by name of their Incident."""
    return [
        (incident, play)
        for incident in sorted(facts.incidents, key=lambda i: i.metadata.name)
        for play in incident.status.plays
        if play.state == "Requested" and play.runbook == facts.runbook.metadata.name
    ]


def _is_answered(grants: Sequence[Grant], incident: Incident, play: Play) -> bool:
    key = (incident.metadata.name, play.step, play.attempt)
    return any((grant.incident, grant.step, grant.attempt) == key for grant in grants)


def _answer(
    facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, play: Play, now: datetime
) -> Grant | None:
    """The grant or refusal; None while an approval or an access review is waited for."""
    verdict = _verdict(facts, grants, incident, play, now)
    if verdict is None:
        return None
    reason, message = verdict
    return Grant(
        incident=incident.metadata.name,
        release=incident.spec.release,
        step=play.step,
        attempt=play.attempt,
        granted=reason == GRANTED,
        reason=reason,
        message=message,
        at=now,
    )


def _verdict(
    facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, play: Play, now: datetime
) -> tuple[str, str] | None:
    """(reason, sentence); the first rule that speaks decides."""
    release, safety, account = incident.spec.release, facts.runbook.spec.safety, facts.runbook.spec.service_account_name
    if play.type == "wait":
        return GRANTED, "watching changes nothing"
    if safety.mode == "dryRun":
        return DRY_RUN, f"dryRun: would {play.type} {release}"
    if safety.mode == "approve" and incident.metadata.annotations.get(APPROVE) != f"{play.type}-{play.attempt}":
        return None
    allowed = facts.allowed.get(release)
    if allowed is None:
        return None
    if not allowed:
        return (
            FORBIDDEN,
            f"ServiceAccount {account} may not patch the Deployment of {release}: grant it patch on deployments",
        )
    recent = [grant for grant in grants if grant.granted and now - grant.at < HOUR]
    if len(recent) >= safety.max_per_hour:
        return TOO_MANY, f"{len(recent)} plays were granted within an hour; the limit is {safety.max_per_hour}"
    others = [g for g in recent if g.release == release and g.incident != incident.metadata.name]
    if any(now - grant.at < safety.cooldown for grant in others):
        return COOLDOWN, f"another incident's play on {release} was granted within the cooldown"
    return GRANTED, f"{play.type} on behalf of ServiceAccount {account}"


def _bounded(grants: list[Grant], now: datetime) -> list[Grant]:
    """At most MOST_GRANTS. Those that limits count go last: no number of refusals makes room for one more play."""
    counted = [grant for grant in grants if grant.granted and now - grant.at < HOUR][-MOST_GRANTS:]
    room = MOST_GRANTS - len(counted)
    others = [grant for grant in grants if grant not in counted]
    bounded = [*(others[-room:] if room else []), *counted]
    return sorted(bounded, key=grants.index)


def _step_type(facts: RunbookFacts, grant: Grant) -> str:
    steps = facts.runbook.spec.steps
    return steps[grant.step].type if grant.step < len(steps) else "a step that is gone"
