"""What users send: the draws have the means and variances of what they are called."""

from collections.abc import Callable
from itertools import islice
from math import sqrt
from random import Random
from statistics import fmean, pvariance

import pytest

from opsloop.simulator.traffic import DAY, Bursts, Count, Rollout, Wave, binomial, counts, misaligned, poisson

DRAWS = 20_000


@pytest.mark.parametrize(
    ("draw", "mean", "variance"),
    [
        pytest.param(lambda r: poisson(r, 0.03), 0.03, 0.03, id="a rare event"),
        pytest.param(lambda r: poisson(r, 7.5), 7.5, 7.5, id="a few"),
        pytest.param(lambda r: poisson(r, 12.1), 12.1, 12.1, id="just above the change of method"),
        pytest.param(lambda r: poisson(r, 3000), 3000, 3000, id="very many"),
        pytest.param(lambda r: binomial(r, 10, 0.3), 3, 2.1, id="few of few"),
        pytest.param(lambda r: binomial(r, 5000, 0.01), 50, 49.5, id="few of many"),
        pytest.param(lambda r: binomial(r, 5000, 0.8), 4000, 800, id="most of many"),
    ],
)
def test_a_draw_has_its_mean_and_its_variance(draw: Callable[[Random], int], mean: float, variance: float) -> None:
    random = Random(1)
    seen = [draw(random) for _ in range(DRAWS)]
    assert fmean(seen) == pytest.approx(mean, abs=5 * sqrt(variance / DRAWS))
    assert pvariance(seen) == pytest.approx(variance, rel=0.1)


def test_the_wave_has_its_mean_over_a_day_and_its_top_at_the_peak() -> None:
    wave = Wave(mean=10, swing=0.6, peak=14)
    hours = [wave.at(hour * 3600) for hour in range(24)]
    assert fmean(hours) == pytest.approx(10)
    assert max(range(24), key=hours.__getitem__) == 14
    assert wave.at(3 * DAY + 14 * 3600) == pytest.approx(16)


def test_a_burst_is_within_its_bounds_and_goes_to_one_pod() -> None:
    bursts = Bursts(per_hour=60, least=5, most=100)
    random = Random(2)
    sizes = bursts.draw(random, 100 * 3600)
    assert len(sizes) == pytest.approx(6000, rel=0.05)
    assert (min(sizes), max(sizes)) == (5, 100)
    hit = [c for _ in range(500) for c in counts(random, 15, 0.0, [0.0] * 4, bursts) if c.bad]
    assert len(hit) == pytest.approx(125, rel=0.3)
    assert all(5 <= count.bad == count.total for count in hit)


def test_a_canary_has_its_share_of_the_requests_and_its_own_errors() -> None:
    rollout = Rollout(rps=100, live=0.005, canary=0.2, live_pods=4, canary_pods=1, outage=(0.5, 150, 300))
    sides = list(islice(rollout.intervals(Random(3)), 1000))
    canary, live = (sum(side[n].total for side in sides) for n in (0, 1))
    assert canary / (canary + live) == pytest.approx(0.2, abs=0.005)
    calm = sides[20:]
    assert sum(c.bad for c, _ in calm) / sum(c.total for c, _ in calm) == pytest.approx(0.2, abs=0.01)
    assert sum(x.bad for _, x in calm) / sum(x.total for _, x in calm) == pytest.approx(0.005, abs=0.001)
    outage = sides[10:20]
    assert sum(x.bad for _, x in outage) / sum(x.total for _, x in outage) == pytest.approx(0.5, abs=0.03)


def test_scrapes_that_fall_between_lose_nothing_but_the_end() -> None:
    random = Random(4)
    series = [[Count(poisson(random, 2), 50) for _ in range(200)] for _ in range(5)]
    for before, after in zip(series, misaligned(random, series), strict=True):
        assert sum(c.total for c in before) - 100 <= sum(c.total for c in after) <= sum(c.total for c in before)
        assert sum(c.bad for c in after) <= sum(c.bad for c in before)
        assert all(0 <= c.bad <= c.total for c in after)
