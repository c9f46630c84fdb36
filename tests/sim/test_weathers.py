"""A fixed part of `make sim`: the whole operator lives through twelve weathers, one of each kind."""

import pytest

from opsloop.simulator.campaign import story
from opsloop.simulator.episode import Episode, live_through
from opsloop.simulator.kinds import KINDS, weather

SEEDS = {"bad-release": 10, "bad-push": 1}  # the others: seed 1 of the kind


def lived(kind: str) -> Episode:
    return live_through(weather(SEEDS.get(kind, 1), kind))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_operator_breaks(kind: str) -> None:
    episode = lived(kind)
    told = "\n".join(story(episode))
    assert episode.failures == [], told
    assert episode.unsupported == [], "PromQL that the model does not know"
    assert episode.record.targets, told


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = (story(lived("bad-release")) for _ in range(2))
    assert first == second
    assert any("v2 is rejected" in line for line in first)
