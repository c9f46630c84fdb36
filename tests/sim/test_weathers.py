"""A fixed part of `make sim`: the whole operator lives through one weather of each kind."""

from functools import cache

import pytest

from opsloop.simulator.campaign import story
from opsloop.simulator.episode import Episode, live_through
from opsloop.simulator.figures import Sample, measure
from opsloop.simulator.kinds import KINDS, weather

pytestmark = pytest.mark.simulation

SEEDS = {
    "bad-release": 10, "bad-push": 5, "restarted": 7, "api": 4, "handed-over": 7, "slow-pull": 7, "node-lost": 4,
}  # the others: seed 1 of the kind  # fmt: skip
KNOWN: dict[str, set[str]] = {}
"""Goals that are not met in these weathers, by kind; docs/simulator.md says why."""


@cache
def lived(kind: str) -> Episode:
    return live_through(weather(SEEDS.get(kind, 1), kind))


def missed(samples: list[Sample], known: set[str]) -> list[str]:
    return [f"{sample.figure}: {sample.why}" for sample in samples if sample.why and sample.figure not in known]


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_judges_well_and_nothing_of_it_breaks(kind: str) -> None:
    episode = lived(kind)
    told = "\n".join(story(episode))
    assert episode.failures == [], told
    assert episode.unsupported == [], "PromQL that the model does not know"
    assert episode.record.targets, told
    assert missed(measure(episode), KNOWN.get(kind, set())) == [], told


def test_the_same_seed_tells_the_same_story() -> None:
    again = live_through(weather(SEEDS["bad-release"], "bad-release"))
    assert story(again) == story(lived("bad-release"))
    assert any("v2 is rejected" in line for line in story(again))
