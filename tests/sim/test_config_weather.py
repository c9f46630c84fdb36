"""The whole operator in a weather in which configuration does the harm, seven minutes after a harmless push."""

import pytest

from opsloop.simulator.campaign import story
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import measure
from opsloop.simulator.kinds import weather

pytestmark = pytest.mark.simulation


def test_configuration_is_named_and_the_harmless_push_stays() -> None:
    episode = live_through(weather(2, "config"))
    told = story(episode)
    assert any("cause config ConfigMap settings ConfigChanged" in line for line in told), "\n".join(told)
    assert episode.record.rollbacks == [] and [s.why for s in measure(episode) if s.why] == []
