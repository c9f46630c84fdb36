"""Recovery: whether the harm of an Incident is over, on whose word, and how long that must hold."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsloop.api.incident import IncidentStatus
from opsloop.api.play import Play
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.facts import IncidentFacts
from opsloop.core.incident import blindness, outage
from opsloop.core.incident.effect import PODS_BACK, SLI_BACK, harmed_before, judge, seen_since
from opsloop.core.incident.state import began_at, burns_of
from opsloop.core.readings import Value
from opsloop.core.release.budgets import BELOW_BUDGET, shortage_since
from opsloop.core.release.outages import NO_POD_AVAILABLE, SCALED_TO_ZERO, outage_since
from opsloop.core.release.silence import silent_since, starved_since
from opsloop.core.slo.burn_rate import TELEMETRY_UNKNOWN
from opsloop.core.slo.merged import all_back, is_quiet, readings_of, verdicts
from opsloop.core.slo.objectives import objectives
from opsloop.core.slo.tiers import budget_of
from opsloop.names import MITIGATED

# Named reasons
TELEMETRY_BACK = "TelemetryBack"  # the SLI is read again, or there is none to be read any more
ALERTS_RESOLVED = "AlertsResolved"  # it has no burn, and all its alerts are resolved
WENT_STALE = "WentStale"  # nobody repeats its alerts, and nobody told their end: silenced or forgotten
PERSON_SAID_SO = "PersonSaidSo"  # annotation opsloop.dev/mitigated
NOT_BACK = "NotBack"  # the harm goes on

QUIET = timedelta(minutes=1)  # without a burn: time for which all alerts must stay resolved, or the SLI be read


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether the harm is over (None: nobody can say), why, and when that was seen."""

    over: bool | None
    reason: str
    at: datetime
    drained: bool = True  # no window of a tier holds the harm any more, so that none would fire again at once


def recovery(facts: IncidentFacts, status: IncidentStatus, now: datetime) -> Recovery:
    """What ends an Incident: never while no pod is available; the SLI where one burned; else pods, telemetry or alerts as
    they opened it; a person where no SLI can say it.
    """
    root = facts.root
    if root is not None and status.outage_at is not None and outage_since(root.release) is not None:
        return Recovery(False, NO_POD_AVAILABLE, now)
    if root is not None and status.outage_at is not None and starved_since(root.release) is not None:
        return Recovery(False, NOT_BACK, now)
    no_sli = status.burn is None or root is None  # the Release may have been deleted
    if no_sli and facts.incident.metadata.annotations.get(MITIGATED) == "true":
        return Recovery(True, PERSON_SAID_SO, now)
    if status.burn is not None:
        return _by_sli(facts, status, now)
    if facts.incident.spec.signal.kind == "alerts":
        return _by_alerts(facts, status, now)
    if status.outage_at is not None:
        return _by_pods(facts, now)
    if facts.incident.spec.signal.kind == "capacity":
        return _by_budget(facts, now)
    return (
        _by_telemetry(facts, status, now)
        if facts.incident.spec.signal.kind == "telemetry"
        else _by_alerts(facts, status, now)
    )


def _by_sli(facts: IncidentFacts, status: IncidentStatus, now: datetime) -> Recovery:
    """Back only where every objective is: those that burned surely, the others unless nothing happens in them."""
    verdict, began = facts.root.readings.verdict if facts.root else None, began_at(status)
    if verdict is None or (began is not None and any(one.at < began for one in verdicts(verdict))):
        return Recovery(None, TELEMETRY_UNKNOWN, now)  # a reading from before the harm does not tell of its end
    burned = [burn.slo for burn in burns_of(status)]
    back = all_back(one for one in verdicts(verdict) if one.name in burned or not is_quiet(one))
    if not back and _is_back_since_act(facts, status):
        return Recovery(True, SLI_BACK, verdict.at, drained=False)
    if back is None:
        return Recovery(None, TELEMETRY_UNKNOWN, now)
    return Recovery(back, SLI_BACK if back else NOT_BACK, verdict.at)


def _is_back_since_act(facts: IncidentFacts, status: IncidentStatus) -> bool:
    """True where the time since the last act is surely better and within every objective, though the windows hold the harm.

    An act that mends one objective and breaks another one has not ended the harm.
    """
    last, slo = status.plays[-1] if status.plays else None, facts.root.release.spec.slo if facts.root else None
    if last is None or slo is None or facts.root is None or judge(facts, status, last) != "helped":
        return False
    return all(_is_within(facts, last, one, harmed_before(status, last)) for one in objectives(slo))


def _is_within(facts: IncidentFacts, last: Play, objective: Slo, harmed: Collection[str]) -> bool:
    """True where this objective is met since the act; one that the act was not about may also be back, or quiet."""
    act = seen_since(facts, last, objective.name)
    within = act is not None and isinstance(act.since, Value) and act.since.upper <= budget_of(objective.objective)
    verdict = readings_of(facts.root.readings, objective.name).verdict if facts.root else None
    other = objective.name not in harmed and verdict is not None
    return within or bool(other and verdict and (verdict.back or is_quiet(verdict)))


def _by_alerts(facts: IncidentFacts, status: IncidentStatus, now: datetime) -> Recovery:
    """None fires any more of those that are, or were, in its ledger; what moved on is another Incident's to tell."""
    over = status.alerts.firing == 0 and (status.alerts.count > 0 or any(m.out for m in facts.ledger.moves))
    ended = WENT_STALE if status.alerts.stale else ALERTS_RESOLVED
    return Recovery(over, ended if over else NOT_BACK, now)


def _by_pods(facts: IncidentFacts, now: datetime) -> Recovery:
    """Pods that serve again, or that nobody wants any more. After a scaling to 0 they must prove themselves."""
    available = conditions.get(facts.root.release.status.conditions, "Available") if facts.root else None
    if available is None or (available.status == "Unknown" and available.reason != SCALED_TO_ZERO):
        return Recovery(None, NOT_BACK, now)
    return Recovery(True, PODS_BACK, available.last_transition_time)


def _by_budget(facts: IncidentFacts, now: datetime) -> Recovery:
    """As many pods as the PodDisruptionBudget wants, or none that wants them any more."""
    release = facts.root.release if facts.root else None
    if release is not None and shortage_since(release) is not None:
        return Recovery(False, BELOW_BUDGET, now)
    known = conditions.get(release.status.conditions, "BudgetMet") if release else None
    return Recovery(True, PODS_BACK, known.last_transition_time if known else now)


def _by_telemetry(facts: IncidentFacts, status: IncidentStatus, now: datetime) -> Recovery:
    if blindness.is_about(facts.incident):
        left = blindness.silent_now(facts, status)
        return Recovery(not left, TELEMETRY_UNKNOWN if left else TELEMETRY_BACK, now)
    release = facts.root.release if facts.root else None
    known = conditions.get(release.status.conditions, "TelemetryKnown") if release and release.spec.slo else None
    if release is None or release.spec.slo is None or known is None:
        return Recovery(True, TELEMETRY_BACK, now)
    if silent_since(release) is not None:
        return Recovery(False, TELEMETRY_UNKNOWN, now)
    return Recovery(None if known.status == "Unknown" else True, TELEMETRY_BACK, known.last_transition_time)


def sentence(facts: IncidentFacts, reason: str) -> str:
    """The recovery in words."""
    slo = facts.root.release.spec.slo if facts.root else None
    every = objectives(slo) if slo else ()
    sli_back = f"the SLI is back within its objective of {slo.objective if slo else 0:.4g}"
    if len(every) > 1:
        back = ", ".join(f"{one.name} {one.objective:.4g}" for one in every)
        sli_back = f"the SLIs are back within their objectives: {back}"
    return {
        SLI_BACK: sli_back,
        PODS_BACK: "pods are available again",
        TELEMETRY_BACK: "the SLI is read again",
        ALERTS_RESOLVED: "all its alerts are resolved",
        WENT_STALE: "nobody repeats its alerts any more, and nobody told their end: they were silenced or forgotten",
    }.get(reason, "a person said that it is over")


def relapse(reason: str, status: IncidentStatus) -> str:
    """The harm that came back, in words."""
    if reason == NO_POD_AVAILABLE:
        return "no pod is available once more"
    if reason == TELEMETRY_UNKNOWN:
        return "the SLI is unknown once more"
    if reason == BELOW_BUDGET:
        return "fewer pods are available once more than a PodDisruptionBudget wants"
    return "its alerts fire again" if status.burn is None else "the SLI left its objective again"


def hold(facts: IncidentFacts, status: IncidentStatus) -> timedelta:
    """Time for which a mitigated Incident must stay so until it is resolved."""
    slo = facts.root.release.spec.slo if facts.root else None
    if slo is not None and status.burn is not None:
        return slo.resolve_after
    return outage.STEADY if status.outage_at is not None else QUIET
