"""The arithmetic of the table."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from opsloop.simulator import kinds
from opsloop.simulator.burn import Counts, is_harm, stretches
from opsloop.simulator.figures import GOALS, Goal, Sample, page_due, poisson_upper, seconds_to_serve, table, upper_bound
from opsloop.simulator.owed import can_tell
from opsloop.simulator.service import Service
from opsloop.simulator.traffic import Wave
from opsloop.simulator.weather import MAIN, Weather


@pytest.mark.parametrize(
    ("failures", "trials", "bound"),
    [
        pytest.param(0, 100, 0.0295, id="the rule of three"),
        pytest.param(5, 100, 0.1023, id="five of a hundred"),
        pytest.param(1, 10, 0.3942, id="one of ten"),
        pytest.param(10, 10, 1.0, id="all"),
        pytest.param(0, 2000, 0.0015, id="none of many"),
    ],
)
def test_clopper_and_pearson(failures: int, trials: int, bound: float) -> None:
    assert upper_bound(failures, trials) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize(("count", "bound"), [(0, 2.9957), (1, 4.7439), (10, 16.962)])
def test_the_upper_bound_of_a_poisson_mean(count: int, bound: float) -> None:
    assert poisson_upper(count) == pytest.approx(bound, abs=1e-3)


MOST, LEAST = Goal("a", "", 0.05), Goal("b", "", 0.9, "least")


def test_a_row_says_its_share_its_bound_and_which_seeds_failed() -> None:
    samples = [(seed, Sample("a", 1, seed == 7, "broken" if seed == 7 else "")) for seed in range(100)]
    samples += [(seed, Sample("b", 1, seed < 20)) for seed in range(100)]
    first, second = table(samples, (MOST, LEAST))
    assert (first.value, first.met, first.failing) == (0.01, True, [(7, "broken")])
    assert first.bound == pytest.approx(0.0466, abs=1e-3)
    assert (second.value, second.met) == (0.8, False)
    assert second.bound is not None and second.bound < 0.8


def test_a_row_without_a_trial_is_not_met() -> None:
    assert [row.met for row in table([], GOALS)] == [False] * len(GOALS)


@pytest.mark.parametrize(
    ("wave", "replicas", "requests", "seconds"),
    [
        pytest.param(Wave(100), 4, 3000, 30, id="at a fifth of the pods"),
        pytest.param(Wave(100), 1, 3000, 30, id="a share of a half is no reason to be late"),
        pytest.param(Wave(100), 10, 3000, 36, id="at a sixth of the traffic the canary needs longer"),
        pytest.param(Wave(100, swing=0.5, peak=0.0), 4, 3000, 20, id="at noon of a wave"),
        pytest.param(Wave(5), 10, 6000, 1200, id="longer than the holds, and by the last of their weights"),
    ],
)
def test_how_long_users_take_to_make_so_many_requests(
    wave: Wave, replicas: int, requests: float, seconds: float
) -> None:
    service = Service(MAIN, wave, {}, replicas=replicas)
    weather = Weather(1, "bad-release", datetime(2026, 1, 5, tzinfo=UTC), (service,), {}, "good")
    assert seconds_to_serve(weather, 0.0, requests) == pytest.approx(seconds, abs=1.5)


@pytest.mark.parametrize(
    ("rps", "patience", "episode"),
    [
        pytest.param(5.0, True, True, id="five requests a second"),
        pytest.param(0.85, True, False, id="within its patience of an hour, but not before the episode ends"),
        pytest.param(0.3, False, False, id="too quiet to rule out what pages"),
    ],
)
def test_a_fix_is_owed_where_its_traffic_can_tell(rps: float, patience: bool, episode: bool) -> None:
    """207 events without a bad one rule out 1.4 % with 95 %; the canary's first step gets a fifth of the traffic."""
    weather = kinds.weather(1, "good-release")
    quiet = replace(weather.main, wave=Wave(rps, swing=0.5), objective=0.999)
    weather.services = (quiet,)
    assert (can_tell(weather), can_tell(weather, within=2900)) == (patience, episode)


def test_the_closed_form_of_a_tier() -> None:
    """At an error ratio of 30 % the tier 14.4 of a 99 % objective needs 0.144 · 3600 / 0.3 s, less what was bad before."""
    counts = Counts(rate=100, normal=0.0)
    for second in range(5, 7200, 5):
        counts.add(float(second), 150 if second > 1800 else 0, 500)
    (begin, end), *more = stretches(counts, 0.01, 7200)
    assert begin == pytest.approx(1800 + 0.144 * 3600 / 0.3, abs=15)
    assert (end, more) == (7200, [])


@pytest.mark.parametrize(
    ("later", "harm"),
    [
        pytest.param(1, False, id="one bad request while an hour still holds what was"),
        pytest.param(12, True, id="a harm of its own"),
    ],
)
def test_what_a_long_window_still_holds_is_no_second_outage(later: int, harm: bool) -> None:
    """One request in five seconds; each fails for three minutes, and `later` of them fail three quarters of an hour later."""
    counts = Counts(rate=0.2, normal=0.0)
    for n in range(1, 1200):
        bad = 360 < n <= 396 or 936 <= n < 936 + later
        counts.add(5.0 * n, int(bad), 1)
    first, second = stretches(counts, 0.001, 6000)
    assert (is_harm(counts, *first), is_harm(counts, *second)) == (True, harm)
    assert second[1] - second[0] >= 120


def test_before_the_beginning_there_was_a_steady_stream() -> None:
    counts = Counts(rate=10, normal=0.01)
    counts.add(60.0, 60, 600)
    bad, total = counts.window(60, 3600)
    assert bad == pytest.approx(60 + 354)
    assert total == pytest.approx(600 + 35_400)


@pytest.mark.parametrize(
    ("objective", "begin", "due"),
    [
        pytest.param("latency", 1000.0, 2300.0, id="slowness while Prometheus is away: no alert tells of it"),
        pytest.param("latency", 2100.0, 2400.0, id="slowness when it is back"),
        pytest.param("latency", 800.0, 1100.0, id="slowness before it went away"),
        pytest.param("availability", 1000.0, 1300.0, id="errors: their alert fires without Prometheus"),
    ],
)
def test_until_when_a_page_is_owed(objective: str, begin: float, due: float) -> None:
    weather = kinds.weather(1, "telemetry-gone")
    weather.blind, weather.handicap = (900.0, 2000.0), 0.0
    assert page_due(weather, objective, begin) == due
