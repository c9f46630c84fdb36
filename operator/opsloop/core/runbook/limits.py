"""Limits on plays over all Incidents and Runbooks of a namespace: they delay, and say until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import Incident
from opsloop.api.play import Play
from opsloop.api.runbook import Grant
from opsloop.core.facts import RunbookFacts
from opsloop.core.runbook.rights import UNLIMITED

# Named reasons
COOLDOWN = "Cooldown"  # another incident's play on this Release was granted a moment ago: it waits for the time said
UNDER_WAY = "UnderWay"  # another incident's play replaces this Release's pods at present, or is about to: it waits until that is done
TOO_MANY = "TooManyThisHour"  # maxPerHour or maxPerHourAndRelease is reached: it waits for the time said

HOUR = timedelta(hours=1)
BEGINS = timedelta(
    minutes=1
)  # from its grant, a play that has not begun by then waits for something, and keeps nobody waiting
LOOK = timedelta(seconds=15)  # at one that is under way: it ends by the Deployment's own deadline
ON_PODS = ("rollback", "restart", "scale")  # two of them at once on one Deployment: nobody could say what either did


@dataclass(frozen=True, slots=True)
class Delay:
    """The limit that delays a play, and until when."""

    reason: str
    message: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Acted:
    """A play that was granted or began."""

    incident: str
    release: str
    at: datetime


def delay_of(facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, now: datetime) -> Delay | None:
    """The limit that delays a play, with the latest time of all limits that do; None within all of them.

    `grants` are this Runbook's own, as decided so far.
    """
    release, safety = incident.spec.release, facts.runbook.spec.safety
    acts = _acts(facts, grants)
    recent = [one for one in acts if now - one.at < HOUR]
    on_release = [one for one in recent if one.release == release]
    others = [one.at for one in acts if one.release == release and one.incident != incident.metadata.name]
    others = [when for when in others if now - when < safety.cooldown]
    delays = [
        Delay(COOLDOWN, f"another incident's play on {release} was just granted", max(others) + safety.cooldown)
        for _ in others[:1]
    ]
    for counted, most, where in (
        (recent, safety.max_per_hour, "over all Incidents"),
        (on_release, safety.max_per_hour_and_release, f"on {release}"),
    ):
        if len(counted) >= most:
            free = sorted(one.at for one in counted)[-most] + HOUR
            delays.append(Delay(TOO_MANY, f"{len(counted)} plays were granted within an hour {where}", free))
    return max(delays, key=lambda delay: delay.until, default=None)


def under_way(
    facts: RunbookFacts, grants: Sequence[Grant], incident: Incident, play: Play, now: datetime
) -> Delay | None:
    """The play of another Incident on the same Deployment that is not in effect yet; None where there is none."""
    if play.type not in ON_PODS:
        return None
    granted = {
        (g.incident, step_type(facts, g), g.attempt)
        for g in (*grants, *(grant for book in facts.others for grant in book.status.grants))
        if g.granted and now - g.at < BEGINS
    }
    for other in facts.known:
        last = other.status.plays[-1] if other.status.plays else None
        mine = other.metadata.name == incident.metadata.name or other.spec.release != incident.spec.release
        if mine or last is None or last.type not in ON_PODS or not other.is_open:
            continue
        begins = last.state == "Requested" and (other.metadata.name, last.type, last.attempt) in granted
        if begins or (last.state == "Running" and last.effect_at is None):
            text = f"the {last.type} of {other.metadata.name} on {other.spec.release} is under way"
            return Delay(UNDER_WAY, text, now + LOOK)
    return None


def _acts(facts: RunbookFacts, grants: Sequence[Grant]) -> list[Acted]:
    """Limited plays of the namespace, each once: granted by any Runbook, or begun by an Incident.

    Incidents remember what a Runbook had granted that was deleted and made again, so that this buys nobody a new hour.
    """
    every = [*grants, *(grant for book in facts.others for grant in book.status.grants)]
    found = {
        (grant.incident, step_type(facts, grant), grant.attempt): Acted(grant.incident, grant.release, grant.at)
        for grant in every
        if grant.granted
    }
    for incident in facts.known:
        for play in incident.status.plays:
            if play.started_at is not None:
                key = incident.metadata.name, play.type, play.attempt
                found.setdefault(key, Acted(incident.metadata.name, incident.spec.release, play.started_at))
    return [acted for (_, type_, _), acted in found.items() if type_ not in UNLIMITED]


def step_type(facts: RunbookFacts, grant: Grant) -> str:
    """The type of a granted play; answers of an older opsloop do not say it, their step does."""
    steps = facts.runbook.spec.steps
    if grant.type:
        return grant.type
    return steps[grant.step].type if grant.step < len(steps) else "a step that is gone"
