"""A fixed part of the laws of pages; all of them: `python -m tests.sim.laws --part pages`."""

from random import Random

import pytest

from tests.sim.laws.pages import SCRAPE, Case, days, detections
from tests.sim.laws.rollouts import slo_of

pytestmark = pytest.mark.simulation

SEED = "fixed"


@pytest.mark.parametrize(
    ("case", "most"),
    [
        pytest.param(Case(1.0, 0.999, 0.0), 0, id="spent evenly"),
        pytest.param(Case(1.0, 0.999, 0.5), 2, id="half of it in bursts"),
        pytest.param(Case(0.1, 0.99, 0.5), 4, id="of a quiet service, half of it in bursts"),
    ],
)
def test_half_the_budget_pages_nobody(case: Case, most: int) -> None:
    """In 300 days; without a look at bursts there are dozens of pages, so the sample is no easy one."""
    found = days(case, 300, slo_of(case.objective), Random(SEED))
    assert found.pages <= most
    assert found.crossed > 20 or not case.in_bursts


@pytest.mark.parametrize("rps", [1.0, 100.0])
@pytest.mark.parametrize("ratio", [0.0288, 1.0])
def test_harm_that_goes_on_is_seen_about_as_soon_as_by_the_tiers_ratios(rps: float, ratio: float) -> None:
    found = detections(Case(rps, 0.999, 0.0), ratio, 12, slo_of(0.999), Random(f"{SEED} {rps} {ratio}"))
    assert found.added[-1] <= 2 * SCRAPE
