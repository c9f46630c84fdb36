"""A Release with several objectives: its canary, its last-good and what its status says of each."""

from dataclasses import replace
from typing import Any

import pytest

from opsloop.api.release import Release
from opsloop.api.slo import Objective, Sli
from opsloop.core.facts import ReleaseFacts
from opsloop.core.readings import CanaryReading, Readings, Told, Unknown
from opsloop.core.slo.merged import merged
from tests.builders.objects import T0, at, readings, value, verdict
from tests.builders.rollouts import (
    NOW,
    analysed,
    condition_of,
    decide,
    end_of,
    facts,
    release_asking,
    revision,
    status_after,
    status_with,
    step,
    target,
)

SLOW = Sli(good="f[{{window}}]", total="d[{{window}}]")
GOOD, LATE = value(0.0), value(0.5)


def asking(objective: float = 0.99, **spec: Any) -> Release:
    item = release_asking(**spec)
    assert item.spec.slo is not None
    also = [Objective(name="latency", objective=objective, sli=SLOW)]
    slo = item.spec.slo.model_copy(update={"name": "availability", "also": also})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"slo": slo})})


def both(availability: Readings, latency: Readings) -> Readings:
    return merged({"availability": availability, "latency": latency})


def message_of(situation: ReleaseFacts) -> str:
    found = status_after(situation).target
    return found.message if found else ""


@pytest.mark.parametrize(
    ("availability", "latency", "name"),
    [
        pytest.param(analysed(0.5), analysed(0.0), "availability", id="it errs"),
        pytest.param(analysed(0.0), analysed(0.5), "latency", id="it is slow"),
        pytest.param(analysed(0.0), analysed(0.5, until=at(40)), "latency", id="old evidence still rejects"),
        pytest.param(analysed(None), analysed(0.5), "latency", id="an objective that cannot be read protects nobody"),
    ],
)
def test_a_canary_is_rejected_for_one_objective_by_its_name(
    availability: Readings, latency: Readings, name: str
) -> None:
    situation = step(asking(), readings=both(availability, latency))
    assert end_of(situation) == ("Rejected", "AnalysisFailed")
    assert message_of(situation).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("spec", "availability", "latency", "held", "text"),
    [
        pytest.param({}, analysed(0.0), analysed(0.0), "", "", id="both are good enough: it goes on"),
        pytest.param({}, analysed(0.0), analysed(0.0, total=20), "TooFewEvents", "latency: about 20 events", id="one has too few events"),
        pytest.param({}, analysed(0.0, total=20), analysed(0.0), "TooFewEvents", "availability: ", id="the other has"),
        pytest.param({"canary": {"analysis": {"minEvents": 10, "patience": "1m"}}}, analysed(0.0), analysed(0.0, total=5), "TooLittleTraffic", "latency: ", id="the traffic of one does not suffice"),
        pytest.param({}, analysed(0.0), analysed(0.3, 0.3), "LiveUnhealthy", "latency: ", id="live is slow itself"),
        pytest.param({}, analysed(0.0), analysed(None), "TelemetryUnknown", "latency: canary has no reading", id="one cannot be read"),
        pytest.param({}, replace(analysed(0.0), verdict=verdict(None)), analysed(0.0), "TelemetryUnknown", "availability: ", id="one is unknown for the whole service"),
        pytest.param({}, analysed(0.0), replace(analysed(0.0), told=Told(False, "LiveNotFound", "")), "", "", id="one does not tell revisions apart, and the service is well"),
        pytest.param({}, analysed(0.0), replace(analysed(None), told=Told(False, "LiveNotFound", ""), verdict=verdict(0.3, NOW)), "TelemetryUnknown", "latency: the service burns", id="nor is the service well in it"),
    ],
)  # fmt: skip
def test_a_canary_goes_on_when_every_objective_lets_it(
    spec: dict[str, Any], availability: Readings, latency: Readings, held: str, text: str
) -> None:
    situation = step(asking(**spec), readings=both(availability, latency))
    found = status_after(situation)
    conditions = [(c.reason, c.message) for c in found.conditions if (c.type, c.status) == ("Held", "True")]
    if not held:
        assert conditions == [] and found.target is not None and found.target.step == 1
        return
    ((reason, message),) = conditions
    assert reason == held and message.startswith(text), message


def test_where_unknown_telemetry_aborts_one_unknown_objective_does() -> None:
    old = Readings(verdict=verdict(0.0, NOW), canary=Unknown("QueryFailed", "x"))
    situation = step(asking(unknownTelemetry="abort"), readings=both(analysed(0.0), old))
    assert end_of(situation) == ("Rejected", "TelemetryUnknown")
    assert message_of(situation).startswith("latency: ")


def test_what_each_objective_has_seen_is_told_when_a_step_is_taken() -> None:
    events = [e.message for e in decide(step(asking(), readings=both(analysed(0.0), analysed(0.001)))).events]
    assert any("availability: canary 0.00% bad" in text and "latency: canary 0.10% bad" in text for text in events), (
        events
    )


def test_a_new_target_is_told_which_objective_has_too_little_traffic() -> None:
    quiet = Readings(replace(verdict(0.0, NOW), tiers=tuple(
        replace(t, long=value(0.0, 1), short=value(0.0, 1)) for t in verdict(0.0, NOW).tiers)))  # fmt: skip
    held = status_with(target("Promoted", "v1", ended_at=at(1)))
    situation = facts(asking(), held, readings=both(readings(0.0, NOW), quiet))
    texts = [e.message for e in decide(situation).events if e.reason == "TooLittleTraffic"]
    assert texts and "latency: at " in texts[0], [(e.reason, e.message) for e in decide(situation).events]


@pytest.mark.parametrize(
    ("availability", "latency", "proven"),
    [
        pytest.param(readings(0.0, NOW, bake=GOOD), readings(0.0, NOW, bake=GOOD), True, id="it met both"),
        pytest.param(readings(0.0, NOW, bake=GOOD), readings(0.0, NOW, bake=LATE), False, id="it met one"),
        pytest.param(readings(0.0, NOW, bake=GOOD), readings(0.0, NOW, bake=Unknown("NoEvents")), False, id="nobody knows of one"),
        pytest.param(readings(0.0, NOW, bake=GOOD), readings(None, NOW, bake=GOOD), False, id="one is unknown now"),
        pytest.param(readings(0.0, NOW, bake=GOOD), Readings(), False, id="one was not read yet"),
    ],
)  # fmt: skip
def test_last_good_met_every_objective(availability: Readings, latency: Readings, proven: bool) -> None:
    held = status_with(target("Promoted", "v1", ended_at=at(1)), revision(live_since=T0))
    after = status_after(facts(asking(version="v1"), held, readings=both(availability, latency)))
    assert (after.revisions[0].proven_at is not None) == proven


def test_the_status_says_how_each_objective_stands() -> None:
    seen = both(readings(None, NOW), readings(0.5, NOW))
    situation = step(asking(), readings=seen)
    status = status_after(situation)
    assert [(o.name, o.objective, o.band, o.reason) for o in status.objectives] == [
        ("availability", 0.99, "unknown", "NoSeries"),
        ("latency", 0.99, "fast", "Read"),
    ]
    assert status.burn_band == "fast"
    known = next(c for c in status.conditions if c.type == "TelemetryKnown")
    assert (known.status, known.reason) == ("False", "NoSeries")
    assert known.message.startswith("availability: the SLI is unknown")
    assert status_after(step()).objectives == [], "one alone is told by the band"


def test_default_tiers_that_one_objective_cannot_reach_are_told_with_its_name() -> None:
    item = asking(objective=0.9)
    assert item.spec.slo is not None
    bare = item.spec.slo.model_copy(update={"tiers": []})
    item = item.model_copy(update={"spec": item.spec.model_copy(update={"slo": bare})})
    found = next(
        c
        for c in status_after(step(item, readings=both(analysed(0.0), analysed(0.0)))).conditions
        if c.type == "TiersReachable"
    )
    assert (found.status, found.reason) == ("False", "TiersDropped")
    assert found.message.startswith("latency: The default tier 1h & 5m at 14.4 is left out")


def test_the_readings_of_a_canary_of_an_objective_that_is_new_are_none() -> None:
    """Before the poller has read it, nothing of the other objective is taken for its own."""
    only = analysed(0.0)
    assert isinstance(only.canary, CanaryReading)
    situation = step(asking(), readings=merged({"availability": only}))
    assert condition_of(status_after(situation), "Held")[:2] == ("True", "TelemetryUnknown")
