"""The Release's summary: phase, weight and conditions; nothing is written when nothing changed."""

from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.core import conditions
from opsloop.core.facts import ReleaseFacts
from tests.builders.objects import at, incident, readings, release, release_spec, workload
from tests.builders.rollouts import (
    ADOPTED,
    NOW,
    bad_live,
    condition_of,
    decide,
    facts,
    incident_with_rollback,
    record,
    release_asking,
    status_after,
    status_with,
    step,
    target,
)

HEALTHY = status_with(target("Promoted", "v1", ended_at=at(1)), ADOPTED)


@pytest.mark.parametrize(
    ("situation", "phase"),
    [
        pytest.param(facts(release(), HEALTHY), "Healthy", id="within its objective"),
        pytest.param(facts(release(), HEALTHY, readings=readings(0.5, NOW)), "Breaching", id="a paging tier fires"),
        pytest.param(facts(release(), HEALTHY, readings=readings(0.05, NOW)), "Healthy", id="a slow burn is no breach"),
        pytest.param(facts(release(), HEALTHY, readings=readings(None, NOW)), "Unknown", id="unknown is neither"),
        pytest.param(facts(release(slo=None), HEALTHY, readings=readings(None, NOW)), "Healthy", id="without an SLO nothing is judged"),
        pytest.param(bad_live(incident_with_rollback(), status={"rollback": record()}), "RollingBack", id="a rollback is in hand"),
        pytest.param(facts(release(), HEALTHY, workload=None), "Pending", id="there is no Deployment"),
    ],
)  # fmt: skip
def test_the_phase(situation: ReleaseFacts, phase: str) -> None:
    assert status_after(situation).phase == phase


@pytest.mark.parametrize(
    ("situation", "known"),
    [
        pytest.param(readings(0.0, NOW), ("True", "Known"), id="read"),
        pytest.param(readings(0.5, NOW), ("True", "Known"), id="bad is known as well"),
        pytest.param(readings(None, NOW), ("False", "NoSeries"), id="unknown says why"),
    ],
)
def test_telemetry_known(situation: Any, known: tuple[str, str]) -> None:
    assert condition_of(status_after(facts(release(), HEALTHY, readings=situation)), "TelemetryKnown") == known


@pytest.mark.parametrize(
    ("slo", "reachable", "message"),
    [
        pytest.param({"tiers": []}, ("True", "TiersComplete"), "the objective can reach the factor of every tier", id="99 % reaches all four defaults"),
        pytest.param({"tiers": [], "objective": 0.93}, ("False", "TiersDropped"), "The default tier 1h & 5m at 14.4 is left out: with an objective of 0.93 the burn rate is at most 14.29 and never exceeds 14.4", id="93 % does not reach the fastest default"),
        pytest.param({"objective": 0.93}, ("True", "TiersComplete"), "the objective can reach the factor of every tier", id="a spec with tiers of its own drops none"),
    ],
)  # fmt: skip
def test_default_tiers_left_out_are_named_in_a_condition(
    slo: dict[str, Any], reachable: tuple[str, str], message: str
) -> None:
    item = release(slo={**release_spec()["slo"], **slo})
    condition = conditions.get(status_after(facts(item, HEALTHY)).conditions, "TiersReachable")
    assert condition is not None and (condition.status, condition.reason) == reachable
    assert condition.message == message


def test_a_period_of_which_no_default_tier_is_left_says_so() -> None:
    item = release(slo={**release_spec()["slo"], "tiers": [], "objective": 0.6, "period": "90d"})
    condition = conditions.get(status_after(facts(item, HEALTHY)).conditions, "TiersReachable")
    assert condition is not None and condition.message.count("is left out") == 4
    assert condition.message.endswith("no tier is left to judge the SLI by")


def test_without_an_slo_there_are_no_conditions_on_it() -> None:
    types = {c.type for c in status_after(facts(release(slo=None), HEALTHY)).conditions}
    assert not types & {"TelemetryKnown", "TiersReachable"}


def test_the_open_incident_and_the_highest_number_are_remembered() -> None:
    opened, old = incident("answers-7", {"phase": "Open"}), incident("answers-3", {"phase": "Resolved"})
    status = status_after(facts(release(), HEALTHY, incidents=(old, opened)))
    assert (status.incident, status.last_episode) == ("answers-7", 7)
    later = release().model_copy(update={"status": status})
    assert status_after(facts(later)).last_episode == 7, "also when the Incidents are gone"


def test_status_shows_wanted_and_actual_share() -> None:
    weight = status_after(step(release_asking(paused=True))).weight
    assert (weight.wanted, weight.actual) == (20, 20)
    three = workload(replicas=3)
    few = status_after(
        step(
            release_asking(paused=True, steps=[{"weight": 10}, {"weight": 100}]), target={"weight": 10}, workload=three
        )
    )
    assert (few.weight.wanted, few.weight.actual) == (10, 25), "10 % of three pods is 25 %"


def settled(item: Release) -> Release:
    """Looked at until nothing changes."""
    for _ in range(3):
        item = item.model_copy(update={"status": ReleaseStatus.model_validate(status_after(facts(item)).dump())})
    return item


def test_nothing_is_written_when_nothing_changed() -> None:
    decision = decide(facts(settled(release(dependsOn=[]))))
    assert (decision.status, decision.actions, decision.safety, decision.events) == (None, (), (), ())
