"""Every constant of the judgement is tried at ±30 %: none is forgotten, and the trial changes what is used."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.incident.cause import explain
from opsloop.core.incident.weights import WEIGHTS, Weights
from opsloop.core.slo import aftermath, canary, flat
from opsloop.core.slo.canary import limit_of
from opsloop.core.statistics import evidence, sequential
from opsloop.core.statistics.sequential import floor_logs
from tests.sim.constants import registry
from tests.sim.constants.names import NOT_JUDGED
from tests.sim.laws.rollouts import slo_of


def test_each_number_in_a_module_of_the_judgement_is_named_as_a_constant_or_says_why_it_is_none() -> None:
    judged = registry.judged()
    others = [f"{module}.{name}" for module, (_, names) in NOT_JUDGED.items() for name in names.split()]
    found = registry.found()
    assert sorted(set(found) - {*judged, *others}) == [], (
        "add these to JUDGED or NOT_JUDGED in tests/sim/constants/names.py"
    )
    assert sorted({*judged, *others} - set(found)) == [], "these are gone from the code"
    assert not set(judged) & set(others)


@pytest.mark.parametrize(
    ("value", "factor", "changed"),
    [
        pytest.param(10.0, 1.3, 13.0, id="a number"),
        pytest.param(-1.0, 0.7, -0.7, id="log odds below zero"),
        pytest.param(20, 0.7, 14, id="a whole number"),
        pytest.param(1, 1.3, 2, id="a whole number changes by one at least"),
        pytest.param(1, 0.7, 0, id="and may become none"),
        pytest.param(timedelta(seconds=60), 1.3, timedelta(seconds=78), id="a duration"),
        pytest.param(
            (0.5, timedelta(hours=1), "sev1"), 0.7, (0.35, timedelta(hours=1), "sev1"), id="a row keeps its windows"
        ),
    ],
)
def test_a_value_times_a_factor(value: Any, factor: float, changed: Any) -> None:
    assert registry.changed(value, factor) == changed


def test_log_odds_of_zero_become_those_of_the_factor() -> None:
    assert registry.changed(0.0, 1.3) == pytest.approx(0.262, abs=1e-3)


def test_a_constant_is_changed_where_it_is_used_and_comes_back() -> None:
    before = evidence.RESTART
    with registry.patched("statistics.evidence.RESTART", 0.7):
        assert pytest.approx(0.7 * before) == evidence.RESTART
    assert before == evidence.RESTART


def test_what_was_computed_from_a_constant_changes_with_it() -> None:
    limit, logs = limit_of(slo_of(0.99)), floor_logs(3, 100, 0.01)
    with registry.patched("slo.tiers._DEFAULTS", 1.3):
        assert limit_of(slo_of(0.99)) != limit
    with registry.patched("statistics.sequential.RATE_RATIOS", 1.3):
        assert floor_logs(3, 100, 0.01) != logs
        assert sequential.RATE_RATIOS[0] == pytest.approx(1.25**1.3)
    assert (limit_of(slo_of(0.99)), floor_logs(3, 100, 0.01)) == (limit, logs)


def test_a_default_of_an_argument_changes_with_the_constant_that_it_names() -> None:
    before = aftermath.judge.__defaults__
    with registry.patched("slo.aftermath.ALPHA", 0.7):
        assert aftermath.judge.__defaults__ == pytest.approx((0.007,))
    assert aftermath.judge.__defaults__ == before
    with registry.patched("incident.weights.WEIGHTS.soon", 1.3):
        (default,) = (value for value in explain.__defaults__ or () if isinstance(value, Weights))
        assert default.soon == 1.3 * WEIGHTS.soon


def test_a_constant_that_is_computed_from_another_one_changes_with_it() -> None:
    with registry.patched("slo.flat.ALIKE", 1.3):
        assert pytest.approx(2 * 3.9) == flat.FAR
    assert flat.FAR == 6.0


def test_no_constant_is_used_where_a_change_of_it_does_not_come() -> None:
    """A default of a dataclass' field, or a part of a default argument, is computed once, as the module is loaded."""
    constants = {name.split(".")[2] for name in registry.judged()}
    hidden = {module.__name__: set(registry.unseen(module)) & constants for module in registry.modules()}
    assert {name: found for name, found in hidden.items() if found} == {}


def test_every_constant_of_the_table_can_be_changed() -> None:
    for name in registry.judged():
        before = registry.value_of(name)
        for factor in registry.FACTORS:
            with registry.patched(name, factor):
                assert registry.value_of(name) != before, name
    assert canary.WRONGLY_ON == 0.05
