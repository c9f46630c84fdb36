"""The Runbook's decision: which requested plays may run. The one place where limits over many incidents are counted."""

from datetime import datetime, timedelta

from opsloop.api.incident import Incident, Play
from opsloop.api.runbook import Grant, RunbookStatus
from opsloop.core import conditions
from opsloop.core.decision import Decision, Event
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
    """Answer every requested play of this Runbook that has no answer yet."""
    old = facts.runbook.status
    grants = list(old.grants)
    events: list[Event] = []
    for incident in sorted(facts.incidents, key=lambda i: i.metadata.name):
        for play in incident.status.plays:
            if _asks_me(facts, play) and not _answered(grants, incident, play):
                grant = _answer(facts, grants, incident, play, now)
                if grant is not None:
                    grants.append(grant)
                    text = f"{play.type} for {incident.metadata.name}: {grant.reason}"
                    granted = Event("PlayGranted", text)
                    events.append(granted if grant.granted else Event("PlayRefused", text, "Warning"))
    status = _status(facts, grants, now)
    changed = status if status != old else None
    return Decision(status=changed, events=tuple(events))


def _asks_me(facts: RunbookFacts, play: Play) -> bool:
    return play.state == "Requested" and play.runbook == facts.runbook.metadata.name


def _answered(grants: list[Grant], incident: Incident, play: Play) -> bool:
    wanted = (incident.metadata.name, play.step, play.attempt)
    return any((g.incident, g.step, g.attempt) == wanted for g in grants)


def _answer(facts: RunbookFacts, grants: list[Grant], incident: Incident, play: Play, now: datetime) -> Grant | None:
    """None: no answer yet (an approval or an access review is waited for)."""
    release = incident.spec.release

    def answer(granted: bool, reason: str, message: str) -> Grant:
        return Grant(
            incident=incident.metadata.name,
            release=release,
            step=play.step,
            attempt=play.attempt,
            granted=granted,
            reason=reason,
            message=message,
            at=now,
        )

    if play.type == "wait":
        return answer(True, GRANTED, "watching changes nothing")
    safety, account = facts.runbook.spec.safety, facts.runbook.spec.service_account_name
    if safety.mode == "dryRun":
        return answer(False, DRY_RUN, f"dryRun: would {play.type} {release}")
    approved = incident.metadata.annotations.get(APPROVE) == f"{play.type}-{play.attempt}"
    if safety.mode == "approve" and not approved:
        return None
    allowed = facts.allowed.get(release)
    if allowed is None:
        return None
    if not allowed:
        message = f"ServiceAccount {account} may not patch the Deployment of {release}: grant it patch on deployments"
        return answer(False, FORBIDDEN, message)
    recent = [g for g in grants if g.granted and now - g.at < HOUR]
    if len(recent) >= safety.max_per_hour:
        return answer(
            False, TOO_MANY, f"{len(recent)} plays were granted within an hour; the limit is {safety.max_per_hour}"
        )
    near = [g for g in recent if g.release == release and g.incident != incident.metadata.name]
    if any(now - g.at < safety.cooldown for g in near):
        return answer(False, COOLDOWN, f"another incident's play on {release} was granted within the cooldown")
    return answer(True, GRANTED, f"{play.type} on behalf of ServiceAccount {account}")


def _remembered(grants: list[Grant], now: datetime) -> list[Grant]:
    """What limits are counted from is forgotten last: no number of refusals makes room for one more play."""
    counted = [g for g in grants if g.granted and now - g.at < HOUR][-MOST_GRANTS:]
    room = MOST_GRANTS - len(counted)
    others = [g for g in grants if g not in counted]
    kept = [*(others[-room:] if room else []), *counted]
    return sorted(kept, key=grants.index)


def _status(facts: RunbookFacts, grants: list[Grant], now: datetime) -> RunbookStatus:
    old = facts.runbook.status
    granted = [g for g in grants if g.granted]
    last = granted[-1] if granted else None
    steps = facts.runbook.spec.steps
    text = old.last_play
    if last:
        text = f"{steps[last.step].type if last.step < len(steps) else 'a step that is gone'} for {last.incident}"
    message = f"{facts.runbook.spec.safety.mode}: plays are answered"
    return RunbookStatus(
        observed_generation=facts.runbook.metadata.generation,
        last_play=text,
        last_play_at=last.at if last else old.last_play_at,
        grants=_remembered(grants, now),
        conditions=conditions.put(old.conditions, "Ready", "True", "Ready", message, now),
    )
