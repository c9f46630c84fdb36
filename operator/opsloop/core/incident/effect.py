"""What an act did: since when it is in effect, and what the SLI says of the time since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from opsloop.api.incident import Incident, IncidentStatus
from opsloop.api.play import HarmedObjective, Play
from opsloop.api.records import ActRecord, RollbackRecord
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.incident.state import burn_of, harmed_names
from opsloop.core.readings import SinceAct, Value
from opsloop.core.slo import aftermath
from opsloop.core.slo.merged import about, verdicts
from opsloop.core.slo.objectives import label, objective_of
from opsloop.core.slo.tiers import budget_of

# Named reasons
IN_PROGRESS = "InProgress"  # the Deployment replaces its pods: the act is not in effect yet
IN_EFFECT = "InEffect"  # the act is in effect; what happens from now on says whether it helps
SLI_BACK = "SliBack"  # the SLI is surely back: within its objective, or below what the act was about
PODS_BACK = "PodsBack"  # pods of the root are available again
STILL_HARMED = "StillHarmed"  # after the act was in effect, the SLI surely stayed above the tier's factor
TIMED_OUT = "TimedOut"  # neither was sure within the step's timeout, counted from when the act was in effect
NOT_IN_EFFECT = "NotInEffect"  # the rollback was not taken up in time, or hangs: the message says what hinders it
BACK_BEFORE_EFFECT = "BackBeforeEffect"  # the harm had ended just before the act took effect, so it is not its merit

ERRANDS = ("webhook", "job")  # what leaves no record on the Release
# What the SLI is read after: the rest only watches, holds or calls a person.
ACTED = ("rollback", "scale", "restart", "abortCanary", *ERRANDS)
LONGEST_WAIT = timedelta(minutes=1)  # for the Release to take the decision up; from then on its own deadline counts


@dataclass(frozen=True, slots=True)
class Act:
    """An act whose outcome is to be read from the SLI."""

    started_at: datetime
    effect_at: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """How a play ends."""

    state: Literal["Helped", "DidNotHelp", "NotProven", "Refused", "Done"]
    reason: str
    message: str


def act_of(release: str, incidents: Iterable[Incident]) -> Act | None:
    """The act of an Incident that is not over on this Release, once it is in effect: the poller reads what came of it."""
    for incident in incidents:
        last = incident.status.plays[-1] if incident.status.plays else None
        if incident.spec.release != release or not incident.is_open or last is None or last.type not in ACTED:
            continue
        if last.started_at is not None and last.effect_at is not None:
            return Act(last.started_at, last.effect_at)
    return None


def rollback_record(facts: IncidentFacts, attempt: int) -> RollbackRecord | None:
    """The Release's record of this attempt of this Incident."""
    record = facts.root.release.status.rollback if facts.root else None
    if record is None or (record.incident, record.attempt) != (facts.incident.metadata.name, attempt):
        return None
    return record


def record_of(facts: IncidentFacts, current: Play) -> RollbackRecord | ActRecord | None:
    """The Release's record of a play of the Incident; None before there is one, and for plays that leave none."""
    if current.type == "rollback":
        return rollback_record(facts, current.attempt)
    record = facts.root.release.status.act if facts.root else None
    key = facts.incident.metadata.name, current.type, current.attempt
    return record if record is not None and (record.incident, record.type, record.attempt) == key else None


def effect_of(facts: IncidentFacts, current: Play) -> datetime | None:
    """The time from which a running play is in effect; None before. Watching is in effect when it begins."""
    if current.type not in ACTED:
        return current.started_at
    if current.type in ERRANDS:
        return facts.errand.at if facts.errand is not None and facts.errand.state == "Done" else None
    record = record_of(facts, current)
    if record is not None:
        return record.effect_at or record.done_at
    return _canary_out(facts, current) if current.type in ("rollback", "abortCanary") else None


def is_canary(root: ReleaseView, digest: str) -> bool:
    """True for the revision of the Release's canary, in progress or taken out, that is not live."""
    target = root.release.status.target
    return target is not None and target.digest == digest and root.release.status.live != digest


def _canary_out(facts: IncidentFacts, current: Play) -> datetime | None:
    """The time at which the canary that was to be taken out left the traffic: its gates were closed with that record."""
    root, status = facts.root, facts.incident.status
    target = root.release.status.target if root else None
    if current.type == "rollback":
        digest = status.rollback.from_digest if status.rollback else ""
    else:
        digest = status.act.digest if status.act else ""
    if root is None or target is None or not is_canary(root, digest):
        return None
    return None if target.is_active else target.ended_at


def rollback_pending(facts: IncidentFacts, status: IncidentStatus) -> bool:
    """True until the decided rollback is in effect or refused, and the SLI was read after that."""
    ordered, root = status.rollback, facts.root
    current = status.plays[-1] if status.plays else None
    if ordered is None or root is None or current is None or (current.type, current.state) != ("rollback", "Running"):
        return False
    record = rollback_record(facts, ordered.attempt)
    if record is None:
        return root.release.status.live == ordered.from_digest
    if effect := record.effect_at or record.done_at:
        verdict = root.readings.verdict
        return verdict is None or any(one.at < effect for one in verdicts(verdict))
    return record.is_active


def counts_before(facts: IncidentFacts, status: IncidentStatus) -> list[HarmedObjective]:
    """The events on which an act that starts now is decided, of each objective that is harmed: the short window of the tier
    that fires, else the burn. These objectives decide whether it helps; what fires later does not change that."""
    found = []
    for name in harmed_names(status, facts.root):
        verdict = about(facts.root.readings, name).verdict if facts.root else None
        short, burn = verdict.firing.short if verdict and verdict.firing else None, burn_of(status, name)
        if isinstance(short, Value):
            found.append(HarmedObjective(slo=name, bad=short.bad, total=short.total))
        elif burn is not None:
            found.append(HarmedObjective(slo=name, bad=burn.bad, total=burn.total))
    return found


def seen_since(facts: IncidentFacts, play: Play | None, name: str) -> SinceAct | None:
    """What was read of this objective in the time since the play was in effect; None while nothing was."""
    act = about(facts.root.readings, name).since_act if facts.root else None
    return act if act is not None and play is not None and act.effect_at == play.effect_at else None


def limit_of(status: IncidentStatus, name: str = "") -> float:
    """The error ratio that the Incident is about: factor × budget of the tier that fired, of this objective."""
    burn = burn_of(status, name)
    return burn.factor * budget_of(burn.objective) if burn else 1.0


def harmed_before(status: IncidentStatus, play: Play) -> dict[str, Value | None]:
    """Objective → its events just before the play, of those that decide whether it helped; never empty."""
    if play.harmed:
        return {one.slo: _value(one.bad, one.total) for one in play.harmed}
    name, counts = status.burn.slo if status.burn else "", play.before
    return {name: _value(counts.bad, counts.total) if counts else None}


def judge(facts: IncidentFacts, status: IncidentStatus, play: Play) -> Literal["helped", "harmed", "unknown"]:
    """What the SLIs say of the time since the play was in effect: it helped only if all that were harmed are better. Of a harm
    that no SLI showed none says anything."""
    if status.burn is None:
        return "unknown"
    found = set(_by_objective(facts, status, play).values())
    if "harmed" in found:
        return "harmed"
    return "helped" if found == {"helped"} else "unknown"


def _by_objective(
    facts: IncidentFacts, status: IncidentStatus, play: Play
) -> dict[str, Literal["helped", "harmed", "unknown"]]:
    before = harmed_before(status, play)
    return {name: _judge(facts, status, play, name, value, len(before)) for name, value in before.items()}


def _judge(
    facts: IncidentFacts, status: IncidentStatus, play: Play, name: str, before: Value | None, number: int
) -> Literal["helped", "harmed", "unknown"]:
    act, slo = seen_since(facts, play, name), facts.root.release.spec.slo if facts.root else None
    if act is None or slo is None:
        return "unknown"
    min_bad, alpha = objective_of(slo, name).min_bad_events, aftermath.ALPHA / number
    return aftermath.judge(before, act, limit_of(status, name), min_bad, alpha)


def outcome(facts: IncidentFacts, status: IncidentStatus, play: Play, left: timedelta) -> Ending | None:
    """How a play in effect ends by what happened since; `left` is the rest of its timeout. None: not known yet."""
    judged = judge(facts, status, play)
    if judged == "helped":
        return credited(facts, status, play)
    if judged == "harmed":
        return Ending(
            "DidNotHelp", STILL_HARMED, f"{play.type} is in effect and {_still(facts, status, play)} stays as bad"
        )
    if left <= timedelta(0):
        if status.burn is None:
            return Ending("NotProven", TIMED_OUT, "what the Incident is about was not over in time")
        return Ending("NotProven", TIMED_OUT, "the SLI was not surely back in time, nor surely as bad as before")
    return None


def _still(facts: IncidentFacts, status: IncidentStatus, play: Play) -> str:
    """The first objective that is still harmed, in a sentence."""
    name = next((name for name, answer in _by_objective(facts, status, play).items() if answer == "harmed"), "")
    return label(name).removesuffix(": ") or "the SLI"


def credited(
    facts: IncidentFacts, status: IncidentStatus, play: Play, back: tuple[str, str] = (SLI_BACK, "")
) -> Ending:
    """The end of a play after which the harm is over: it helped, unless that was so before the play took effect, in each
    objective that was harmed. `back`: reason and sentence of the recovery, which tell where no SLI does."""
    if status.burn is None:
        return _credited_without_sli(status, play, *back)
    before = harmed_before(status, play)
    acts = {name: seen_since(facts, play, name) for name in before}
    if all(
        act is not None and aftermath.was_over_before(before[name], act.just_before, limit_of(status, name))
        for name, act in acts.items()
    ):
        return Ending("NotProven", BACK_BEFORE_EFFECT, f"the harm had ended before the {play.type} was in effect")
    named = ", ".join(label(name).removesuffix(": ") for name in before if label(name))
    return Ending("Helped", SLI_BACK, f"{named or 'the SLI'} {'are' if len(before) > 1 else 'is'} back since then")


def _credited_without_sli(status: IncidentStatus, play: Play, reason: str, text: str) -> Ending:
    """Pods come back while a rollback is rolled out; alerts that end before a step is in effect do not end by it."""
    if play.effect_at is None and status.outage_at is None:
        return Ending("NotProven", BACK_BEFORE_EFFECT, f"{text}, before the {play.type} was in effect")
    return Ending("Helped", reason, f"{text} since then")


def _value(bad: float, total: float) -> Value | None:
    return Value(bad=bad, total=total) if total > 0 else None
