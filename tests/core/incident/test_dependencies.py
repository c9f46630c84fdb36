"""Whether a dependency explains the breach of a service that needs it: by its own harm, not by an open Incident."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.incident import Incident
from opsloop.core.facts import ReleaseView
from opsloop.core.incident.dependencies import Breach, breach_of, explains
from tests.builders.correlation import NOW, alert, at, incident, ledger, view

BREACH = Breach("sev1", at(-20), timedelta(minutes=5))


def mitigated(status: str, since: float, reason: str = "x") -> dict[str, Any]:
    condition = {"type": "Mitigated", "status": status, "reason": reason, "message": ""}
    return {"conditions": [{**condition, "lastTransitionTime": at(since).isoformat()}]}


def back(seconds_ago: float, **more: Any) -> Incident:
    held = mitigated("True", -seconds_ago) | {"backSince": at(-seconds_ago).isoformat()}
    return incident("catalog-1", **{"phase": "Mitigated", **held, **more})


def above_objective(name: str = "catalog") -> ReleaseView:
    """Not burning above a tier's factor, and not back either."""
    held = view(name, "healthy")
    assert held.readings.verdict is not None
    verdict = replace(held.readings.verdict, band="slow", back=False)
    return replace(held, readings=replace(held.readings, verdict=verdict))


def smouldering() -> ReleaseView:
    """Its ticket tier fires, at a burn that pages nobody."""
    held = view("catalog", "fired")
    verdict = held.readings.verdict
    assert verdict is not None and verdict.firing is not None
    tier = verdict.firing.tier.model_copy(update={"severity": "sev3", "factor": 1.0})
    firing = replace(verdict.firing, tier=tier)
    verdict = replace(verdict, tiers=(firing,), firing=firing, burning=False, band="slow")
    return replace(held, readings=replace(held.readings, verdict=verdict))


def about_to_fire(share: float) -> ReleaseView:
    """Its short window is above the factor of the tier that pages, its long window at a share of it."""
    held = view("catalog", "burning")
    assert held.readings.verdict is not None
    tiers = tuple(
        replace(v, burn_short=v.tier.factor * 1.4, burn_long=v.tier.factor * share) if v.tier.severity == "sev1" else v
        for v in held.readings.verdict.tiers
    )
    return replace(held, readings=replace(held.readings, verdict=replace(held.readings.verdict, tiers=tiers)))


NEVER_ENDED = ledger(alert("PoolFailing", "catalog", severity="critical", start=-7200))
JUST_BEGUN = ledger(alert("PoolFailing", "catalog", severity="critical", start=-60))


@pytest.mark.parametrize(
    ("dependency", "item", "expected"),
    [
        pytest.param(view("catalog", "burning"), None, True, id="it burns: the Incident that follows is its own"),
        pytest.param(view("catalog", "fired"), incident("catalog-1"), True, id="its tier fires and its Incident pages"),
        pytest.param(above_objective(), incident("catalog-1"), True, id="it burned and is still above its objective"),
        pytest.param(above_objective(), None, False, id="above its objective, but below every tier, it pages nobody"),
        pytest.param(smouldering(), None, False, id="a smoulder that pages nobody does not hide an outage"),
        pytest.param(smouldering(), incident("catalog-1", severity="sev3"), False, id="nor with an Incident of its own"),
        pytest.param(
            view("catalog", "burning"),
            incident("catalog-1", "alerts", severity="sev3"),
            False,
            id="it burns, but its Incident pages nobody",
        ),
        pytest.param(
            about_to_fire(0.99),
            incident("catalog-1", "alerts", severity="sev3"),
            True,
            id="alerts opened its Incident, and its tier fires a scrape after the dependent's",
        ),
        pytest.param(
            about_to_fire(0.5),
            incident("catalog-1", "alerts", severity="sev3"),
            False,
            id="it burns since so short a time that its own page may never come",
        ),
        pytest.param(view("catalog", "healthy"), back(240), True, id="it was back less than a window ago"),
        pytest.param(view("catalog", "healthy"), back(360), False, id="it was back more than a window ago"),
        pytest.param(
            view("catalog", "healthy"),
            back(240, phase="Resolved", resolvedAt=at(-100)),
            True,
            id="its Incident ended, but the dependent's window holds that harm",
        ),
        pytest.param(
            view("catalog", "unknown"),
            incident("catalog-1", **mitigated("Unknown", -240)),
            True,
            id="its telemetry went away within the window",
        ),
        pytest.param(
            view("catalog", "unknown"),
            incident("catalog-1", **mitigated("Unknown", -7200)),
            False,
            id="its telemetry is unknown for hours",
        ),
        pytest.param(view("catalog", "unread"), incident("catalog-1"), True, id="not read since the process began"),
        pytest.param(
            view("catalog", "no-slo"),
            incident("catalog-1", "alerts", JUST_BEGUN, severity="sev1"),
            True,
            id="without an SLI its alerts began near to the breach",
        ),
        pytest.param(
            view("catalog", "no-slo"),
            incident("catalog-1", "alerts", NEVER_ENDED, severity="sev1"),
            False,
            id="alerts whose end nobody sent explain nothing hours later",
        ),
        pytest.param(
            view("catalog", "no-slo"),
            incident("catalog-1", "alerts", JUST_BEGUN, severity="sev3"),
            False,
            id="nor do alerts that page nobody",
        ),
        pytest.param(view("catalog", "healthy"), incident("catalog-1", "alerts", JUST_BEGUN), False, id="nor beside a good SLI"),
        pytest.param(None, None, False, id="nothing is known of it"),
    ],
)  # fmt: skip
def test_a_dependency_explains_by_its_own_harm(
    dependency: ReleaseView | None, item: Incident | None, expected: bool
) -> None:
    assert explains(dependency, item, BREACH, NOW) is expected


def test_a_breach_is_as_loud_as_the_worse_of_its_tier_and_its_incident() -> None:
    fired = breach_of(view("web", "fired-slow"))
    assert fired == Breach("sev2", NOW, timedelta(seconds=30)), "the tier's short window holds the harm"
    assert breach_of(view("web", "fired-slow"), "sev1") == Breach("sev1", NOW, timedelta(seconds=30))
    assert breach_of(view("web", "unread")) is None
