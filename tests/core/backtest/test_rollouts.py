"""A deploy of the past, played as a canary by what its version really served."""

from collections.abc import Sequence

import pytest

from opsloop.core.backtest import rollouts
from opsloop.core.statistics.evidence import Interval
from tests.builders.past import release

STEPS = {"canary": {"steps": [{"weight": 20, "hold": "5m"}, {"weight": 50, "hold": "5m"}, {"weight": 100}]}}
MINUTES = 90


def served(bad: float, rps: float = 10.0, live_bad: float = 0.001, live_minutes: int = 2) -> Sequence[Interval | None]:
    """Minute by minute: the new version, and the old one for the time of a rolling update."""
    found = []
    for n in range(MINUTES):
        total, live = 60 * rps, 60 * rps if n < live_minutes else 0.0
        found.append(Interval(n * 60.0, n * 60.0 + 60, bad * total, total, live_bad * live, live))
    return found


def outcome(counted: Sequence[Interval | None], objective: float = 0.99, strategy: object = None) -> rollouts.Rollout:
    item = release(objective, strategy=strategy or STEPS)
    return rollouts.played(item, {"sli": counted}, pods=4)


@pytest.mark.parametrize(
    ("counted", "objective", "expected"),
    [
        pytest.param(served(0.25), 0.99, "stopped", id="one that fails for a quarter is stopped"),
        pytest.param(served(0.05), 0.99, "stopped", id="one above the budget as well"),
        pytest.param(served(0.002), 0.99, "passed", id="one within it passes"),
        pytest.param(served(0.002, live_bad=0.0), 0.9999, "stopped", id="the objective decides"),
        pytest.param(served(0.002), 0.9999, "waits", id="where live itself is above it, nobody is blamed"),
        pytest.param(served(0.002, rps=0.02), 0.99, "waits", id="a service without traffic waits for a person"),
        pytest.param(served(0.002)[:3], 0.99, "replaced", id="the next deploy may come before"),
        pytest.param([None] * 10, 0.99, "unknown", id="what nobody counted is not known"),
    ],
)
def test_it_is_stopped_passes_or_waits(counted: Sequence[Interval | None], objective: float, expected: str) -> None:
    assert outcome(counted, objective).outcome == expected


def test_a_direct_release_has_no_canary_that_could_have_stopped_anything() -> None:
    found = outcome(served(0.25), strategy={"type": "direct"})
    assert (found.outcome, found.message) == ("passed", "its strategy is direct: nothing is tried as a canary")
    assert rollouts.needed(release(0.99, strategy={"type": "direct"}), 10.0, 4) == (0.0, 0.0)


def test_fewer_users_meet_a_canary() -> None:
    found = outcome(served(0.25))
    assert found.weight == 20 and found.bad == pytest.approx(found.total / 4, rel=0.01)
    assert found.bad < found.served_bad / 2 and found.seconds <= 300


def test_it_takes_at_least_the_holds() -> None:
    assert outcome(served(0.001)).seconds == 600


def test_its_patience_and_what_follows_are_those_of_the_spec() -> None:
    quiet = served(0.002, rps=0.02)
    assert outcome(quiet).seconds >= 3900
    aborts = {"canary": {**STEPS["canary"], "analysis": {"inconclusive": "abort", "patience": "5m"}}}
    assert (outcome(quiet, strategy=aborts).outcome, outcome(quiet, strategy=aborts).seconds) == ("stopped", 600)
    goes_on = {"canary": {**STEPS["canary"], "analysis": {"inconclusive": "promote", "patience": "5m"}}}
    assert outcome(quiet, strategy=goes_on).outcome == "passed"


def test_without_a_step_below_100_nothing_is_tried() -> None:
    assert outcome(served(0.5), strategy={"canary": {"steps": [{"weight": 100}]}}).outcome == "passed"


def test_minutes_that_a_canary_needs_at_a_rate() -> None:
    item = release(0.99, strategy=STEPS)
    busy, quiet = rollouts.needed(item, 10.0, 4), rollouts.needed(item, 0.01, 4)
    assert busy[0] < 60 < busy[1] == 3900.0 < quiet[0]
    assert rollouts.needed(item, 0.0, 4)[0] == float("inf")
    assert rollouts.needed(release(strategy={"canary": {"steps": [{"weight": 100}]}}), 10.0, 4) == (0.0, 0.0)
