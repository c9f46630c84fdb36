"""Weathers of a service with two objectives: a version that is slow, and makes no more errors than live."""

import pytest

from opsloop.simulator.campaign import story
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import measure
from opsloop.simulator.kinds import weather

pytestmark = pytest.mark.simulation

TIMED = {"bad-push": 21, "bad-release": 29}  # seeds


@pytest.mark.parametrize(("kind", "seed"), TIMED.items())
def test_a_version_that_is_slow_is_taken_out_and_the_objective_is_named(kind: str, seed: int) -> None:
    episode = live_through(weather(seed, kind))
    told = "\n".join(story(episode))
    version, live = (episode.weather.main.versions[name] for name in ("v2", "v1"))
    slow = version.harm and version.errors == live.errors and version.slow > live.slow
    assert slow, "this seed is of another weather now"
    assert episode.failures == [], told
    assert episode.unsupported == [], "PromQL that the model does not know"
    assert [f"{sample.figure}: {sample.why}" for sample in measure(episode) if sample.why] == [], told
    assert any("latency: " in line for line in story(episode) if "PAGE" in line or "rejected" in line), told
