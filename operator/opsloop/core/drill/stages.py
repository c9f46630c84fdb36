"""What a drill waits for, stage by stage: whether it is reached, what is seen meanwhile, and whether there is hope."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from opsloop.api.evalcase import EvalCase
from opsloop.api.incident import Incident
from opsloop.api.meta import Condition
from opsloop.api.release import Release
from opsloop.core import conditions

PAGES = "sev1"


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `hopeless`: it will not be reached any more, and why."""

    reached: bool
    text: str
    hopeless: str = ""


def opened(incidents: Iterable[Incident], release: str, since: datetime) -> Incident | None:
    """The Incident of this Release that was opened since then, and not merged into another one."""
    own = [i for i in _since(incidents, since) if i.spec.release == release and not i.status.merged_into]
    return max(own, key=_created, default=None)


def _since(incidents: Iterable[Incident], since: datetime) -> list[Incident]:
    """The API server stamps whole seconds."""
    return [i for i in incidents if _created(i) >= since.replace(microsecond=0)]


def _created(incident: Incident) -> datetime:
    return incident.metadata.creation_timestamp or incident.spec.signal.at


def detected(incidents: Iterable[Incident], release: str, since: datetime) -> Seen:
    """One Incident of sev1, whose burn was measured."""
    incidents = tuple(incidents)
    incident = opened(incidents, release, since)
    if incident is None:
        others = [f"{i.metadata.name} ({i.status.severity})" for i in _since(incidents, since)]
        return Seen(False, f"no Incident on {release} yet" + (f"; others: {', '.join(others)}" if others else ""))
    status = incident.status
    burn = f", burn {status.burn.burn_long:.1f}x over {status.burn.long}" if status.burn else ""
    text = f"{incident.metadata.name} is {status.severity}{burn}: {status.title or incident.spec.title}"
    return Seen(status.severity == PAGES and status.burn is not None, text)


def mitigated(incident: Incident, release: Release, good: str) -> Seen:
    """The good revision is live, and the Incident's SLI is back."""
    status, record = incident.status, release.status.rollback
    play = status.plays[-1] if status.plays else None
    doing = (
        f"{play.runbook} {play.type} {play.state}{_why(play.reason, play.message)}"
        if play
        else "no step of a Runbook yet"
    )
    rolled = f", rollback {record.state}{_why(record.reason, record.message)}" if record else ""
    back = release.status.live == good
    text = f"{incident.metadata.name} is {status.phase}; {doing}{rolled}; live is {release.status.version}"
    handed_over = play is not None and play.type == "escalate" and play.state in ("Done", "DidNotHelp")
    hopeless = f"opsloop handed over to a person: {doing}{rolled}" if handed_over and not back else ""
    return Seen(back and status.phase in ("Mitigated", "Resolved"), text, hopeless)


def _why(reason: str, message: str) -> str:
    said = ", ".join(filter(None, (reason, message)))
    return f" ({said[:200]})" if said else ""


def resolved(incident: Incident) -> Seen:
    """The SLI has been back for resolveAfter."""
    phase = incident.status.phase
    return Seen(phase == "Resolved", f"{incident.metadata.name} is {phase}")


def learnt(incident: Incident, case: EvalCase | None) -> Seen:
    """A proven EvalCase, or a person's word that there will be none; and a postmortem."""
    found = conditions.get(incident.status.conditions, "RegressionCaptured")
    written = conditions.is_true(incident.status.conditions, "PostmortemWritten")
    text = f"RegressionCaptured {_said(found)}; postmortem {'written' if written else 'not written yet'}"
    captured = found is not None and found.status == "True"
    wrong = case is not None and case.status.proven == "False"
    hopeless = f"EvalCase {case.metadata.name} proves nothing: {_said(found)}" if wrong and case else ""
    return Seen(captured and written, text, hopeless)


def _said(condition: Condition | None) -> str:
    if condition is None:
        return "is not told yet"
    return f"is {condition.status}, {condition.reason}: {condition.message[:200]}"


def promoted(release: Release, version: str) -> Seen:
    """The fix is live on all pods."""
    target, held = release.status.target, conditions.get(release.status.conditions, "Held")
    if target is None or target.version != version:
        return Seen(False, f"{version} is not taken up yet")
    waits = f"; held: {held.reason}, {held.message[:200]}" if held and held.status == "True" else ""
    text = f"{version} is {target.state} at weight {release.status.weight.wanted}{waits}"
    over = target.state in ("Rejected", "Cancelled", "Refused")
    why = f"{version} was {target.state.lower()}{_why(target.reason, target.message)}" if over else ""
    rolled_out = conditions.get(release.status.conditions, "RolledOut")
    done = target.state == "Promoted" and (rolled_out is None or rolled_out.status == "True")
    return Seen(done, text, why)


def closed(incident: Incident) -> Seen:
    """The fix was promoted and this Incident's case ran and passed in that promotion."""
    found = conditions.get(incident.status.conditions, "LoopClosed")
    hopeless = found.message if found and found.reason == "CaseDidNotRun" else ""
    return Seen(found is not None and found.status == "True", f"LoopClosed {_said(found)}", hopeless)
