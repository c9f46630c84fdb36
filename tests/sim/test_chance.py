"""Chance alone rejects no canary: weathers in which live and canary err alike, for half of the budget."""

import pytest

from opsloop.simulator.campaign import story
from opsloop.simulator.episode import live_through
from opsloop.simulator.figures import measure
from opsloop.simulator.kube.pods import Image
from opsloop.simulator.manifests import FORMS
from opsloop.simulator.service import Version
from opsloop.simulator.weather import EVENT, begin, ship, sky

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("rps", [5.0, 50.0, 200.0])
def test_no_canary_as_good_as_live_is_rejected_because_both_err_for_half_of_the_budget(rps: float) -> None:
    """By chance alone a test per look rejected one of two: each look is one more chance to be wrong."""
    for seed in range(3):
        found = sky(seed, rps=rps, objective=0.99, normal=0.5)
        version = Version("v2", found.steady, image=Image(found.starts))
        shipped = begin(seed, "good-release", found, [version], FORMS)
        ship(shipped, EVENT, "v2")
        episode = live_through(shipped)
        rejected = [sample.why for sample in measure(episode) if sample.figure == "healthy-rejected" and sample.why]
        assert rejected == [], "\n".join(story(episode))
