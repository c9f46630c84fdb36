"""What is at rest an hour after the last event, and what nobody can owe yet."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.release import Release, ReleaseStatus
from opsloop.simulator import kinds
from opsloop.simulator.burn import Counts
from opsloop.simulator.manifests import FORMS
from opsloop.simulator.rest import of_incident, of_release
from opsloop.simulator.traffic import Wave
from opsloop.simulator.weather import Weather, begin, new_version, sky
from tests.builders.objects import incident, release
from tests.builders.rollouts import target

FIX_AT = timedelta(seconds=5400)


def weather(rps: float) -> Weather:
    """A Release ships a good version; requests per second at an objective of 0.999."""
    made = kinds.weather(1, "good-release")
    made.services = (replace(made.main, wave=Wave(rps, swing=0.0), objective=0.999),)
    return made


def stepping(since: float, reason: str = "Holding", held: str = "False") -> Release:
    """v4 at 20 %, reached `since` seconds ago, with a hold of 300 s."""
    reached = weather(1).start + FIX_AT - timedelta(seconds=since)
    at = {"type": "Held", "status": held, "reason": reason, "lastTransitionTime": reached}
    status = ReleaseStatus.model_validate({"conditions": [at]})
    status = status.model_copy(update={"target": target("Stepping", reached_at=reached)})
    steps = [{"weight": 20, "hold": "300s"}, {"weight": 50, "hold": "300s"}, {"weight": 100}]
    return release(status=status, strategy={"canary": {"steps": steps}})


@pytest.mark.parametrize(
    ("item", "rps", "rests"),
    [
        pytest.param(stepping(120), 0.3, True, id="in its hold, which it reached late because users made few requests"),
        pytest.param(stepping(120), 50.0, False, id="in its hold, though users made enough requests"),
        pytest.param(stepping(400), 0.3, False, id="its hold is over"),
        pytest.param(stepping(120, "WaitingForPods", "True"), 0.3, False, id="it waits for pods"),
        pytest.param(stepping(120, "TooLittleTraffic", "True"), 50.0, True, id="it says what a person can do"),
    ],
)
def test_a_canary_an_hour_later(item: Release, rps: float, rests: bool) -> None:
    assert (of_release(item, weather(rps), weather(rps).start + FIX_AT) == "") == rests


def harmed(until: float) -> list[tuple[Counts, float]]:
    """Ten requests a second that all fail from half an hour until then, at an objective of 0.99."""
    counts = Counts(rate=10, normal=0.0)
    for second in range(5, 5405, 5):
        counts.add(float(second), 50 if 1800 < second <= until else 0, 50)
    return [(counts, 0.01)]


@pytest.mark.parametrize(
    ("phase", "reason", "until", "rests"),
    [
        pytest.param("Mitigated", "SliBack", 5000.0, True, id="users were harmed until seven minutes ago"),
        pytest.param("Mitigated", "SliBack", 3000.0, False, id="the harm was over 40 minutes ago"),
        pytest.param("Mitigating", "InEffect", 5000.0, False, id="nobody says that it is over"),
        pytest.param("Open", "NoRunbook", 5400.0, True, id="it says what a person can do"),
        pytest.param("Resolved", "SliBack", 3600.0, True, id="it is resolved"),
    ],
)
def test_an_incident_an_hour_later(phase: str, reason: str, until: float, rests: bool) -> None:
    acting: dict[str, Any] = {"type": "Acting", "status": str(reason == "InEffect"), "reason": reason}
    acting["lastTransitionTime"] = weather(1).start
    found = incident("answers-1", {"phase": phase, "conditions": [acting]})
    assert (of_incident(found, weather(1), harmed(until), FIX_AT.total_seconds()) == "") == rests


def test_a_fix_errs_no_more_than_what_it_is_compared_with() -> None:
    """Five times as much as a better live version is rejected for good reason, also within the budget."""
    found = sky(1, objective=0.99, normal=0.7)
    better = begin(1, "good-release", found, [new_version(found, "v2", 0.001)], FORMS).main.versions
    worse = begin(1, "good-release", found, [new_version(found, "v2", 0.5)], FORMS).main.versions
    assert (better["v9"].errors, worse["v9"].errors) == (0.001, found.steady)
