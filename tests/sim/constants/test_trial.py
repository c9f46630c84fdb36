"""What is said of a constant that was changed."""

import pytest

from opsloop.simulator import kinds
from tests.sim.constants import names, registry
from tests.sim.constants.laws import LAWS
from tests.sim.constants.trial import Effect, Outcome, Trial, effect, trials_of

NAME = "slo.bursts.QUIET"


def of(figure: str, trials: float, before: float, after: float, decided: str = "other") -> Effect:
    unmoved, moved = Trial("", 1.0, "tiers", 0), Trial(NAME, 0.7, "tiers", 0)
    outcomes = {
        unmoved: Outcome([(figure, trials, before)], ["one", "same"], 0),
        moved: Outcome([(figure, trials, after)], [decided, "same"], 0),
    }
    return effect(outcomes, NAME, 0.7)


@pytest.mark.parametrize(
    ("figure", "trials", "before", "after", "missed"),
    [
        pytest.param("false-pages", 10_000.0, 1, 11, "over its limit", id="a goal that is met without it is missed"),
        pytest.param("false-pages", 10_000.0, 1, 9, "", id="more failures within the goal are none"),
        pytest.param("mitigated", 100.0, 10, 20, "worse by 10.0%", id="a share that misses its goal anyhow, by far worse"),
        pytest.param("mitigated", 100.0, 10, 13, "", id="a little worse"),
        pytest.param("mitigated", 100.0, 10, 2, "", id="better"),
    ],
)  # fmt: skip
def test_a_constant_that_is_not_flat_is_named(
    figure: str, trials: float, before: float, after: float, missed: str
) -> None:
    found = of(figure, trials, before, after)
    assert (missed in " ".join(found.missed)) if missed else found.missed == []
    assert found.changed and found.moved.startswith("1 of 2") and len(found.figures) == 1


def test_one_that_changes_nothing_is_said_to_have_had_no_effect() -> None:
    found = of("false-pages", 100.0, 1, 1, decided="one")
    assert (found.changed, found.figures, found.missed) == (False, [], [])


def test_one_that_was_not_tried_is_said_not_to_have_been() -> None:
    assert effect({}, NAME, 0.7).moved == ""


def test_what_is_said_of_the_modules_is_said_of_some_that_are_there_and_of_kinds_and_laws_that_are() -> None:
    modules = set(names.JUDGED)
    assert set(names.LAW) <= modules and set(names.EXERCISED) <= modules
    assert not set(names.LAW) & set(names.EXERCISED), "a law covers it"
    assert set(names.LAW.values()) == set(LAWS)
    assert {kind for wanted in (names.PANEL, *names.EXERCISED.values()) for kind in wanted} <= set(kinds.KINDS)
    assert all(trials_of(name, 0, 3, 2) for name in registry.judged())
