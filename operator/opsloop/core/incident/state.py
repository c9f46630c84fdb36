"""The builder of an Incident's decision, and questions about one Incident that several rooms ask."""

from datetime import datetime

from opsloop.api.incident import BurnSignal, IncidentStatus
from opsloop.api.meta import Severity, format_duration
from opsloop.api.slo import Slo
from opsloop.core import conditions
from opsloop.core.decision import DecisionBuilder
from opsloop.core.facts import IncidentFacts, ReleaseView
from opsloop.core.readings import Value, Verdict
from opsloop.core.slo.merged import about
from opsloop.core.slo.objectives import objective_of, wrong

CONTESTED = "Contested"  # somebody keeps pushing a blocked revision: opsloop stops writing and escalates

IncidentBuilder = DecisionBuilder[IncidentFacts, IncidentStatus]


def worse(a: Severity, b: Severity) -> Severity:
    """The more severe of two; sev1 is the worst."""
    return min(a, b)


def is_contested(status: IncidentStatus) -> bool:
    """True while a person must decide: opsloop has stopped writing."""
    return conditions.is_true(status.conditions, CONTESTED)


def is_harmed(view: ReleaseView | None) -> bool:
    """True if a tier of the Release's SLO fires."""
    verdict = view.readings.verdict if view else None
    return verdict is not None and verdict.firing is not None


def began_at(status: IncidentStatus) -> datetime | None:
    """Start of the present part of the Incident's life: its detection, or its last reopening."""
    reopened = [e.at for e in status.timeline if e.type == "Reopened"]
    return max([*([status.detected_at] if status.detected_at else []), *reopened], default=None)


def burn_signal(verdict: Verdict, slo: Slo | None) -> BurnSignal:
    """The numbers on which a tier fired, and the words of the objective. `verdict.firing` must be set."""
    firing = verdict.firing
    assert firing is not None and isinstance(firing.long, Value) and isinstance(firing.short, Value)
    return BurnSignal(
        long=format_duration(firing.tier.long),
        short=format_duration(firing.tier.short),
        factor=firing.tier.factor,
        burn_long=round(firing.burn_long or 0.0, 2),
        burn_short=round(firing.burn_short or 0.0, 2),
        error_ratio=round(firing.short.error_ratio, 4),
        bad=round(firing.long.bad, 1),
        total=round(firing.long.total, 1),
        objective=verdict.objective,
        slo=verdict.name,
        wrong=wrong(objective_of(slo, verdict.name).sli) if slo else "bad",
    )


def burns_of(status: IncidentStatus) -> list[BurnSignal]:
    """The tiers that fired for the Incident, one for each objective; the first one that did comes first."""
    return [status.burn, *status.also_burned] if status.burn else []


def burn_of(status: IncidentStatus, name: str) -> BurnSignal | None:
    """The burn of one objective; the first one where that has none."""
    return next((burn for burn in burns_of(status) if burn.slo == name), status.burn)


def harmed_names(status: IncidentStatus, root: ReleaseView | None) -> list[str]:
    """The objectives that burned for the Incident and fire now; the first that burned where none of them fires."""
    burned = [burn.slo for burn in burns_of(status)]
    verdicts = {name: about(root.readings, name).verdict if root else None for name in burned}
    return [name for name, verdict in verdicts.items() if verdict and verdict.firing] or burned[:1]
