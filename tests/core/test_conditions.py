"""Conditions."""

import pytest

from opsloop.core import conditions
from tests.builders.objects import at


def test_the_time_moves_only_when_the_status_does() -> None:
    one = conditions.put([], "Drifted", "False", "LiveAsWanted", "live is v1", at(0))
    same = conditions.put(one, "Drifted", "False", "LiveAsWanted", "live is v2", at(5))
    other = conditions.put(same, "Drifted", "True", "ChangedByHand", "v3", at(9))
    assert [c[0].last_transition_time for c in (one, same, other)] == [at(0), at(0), at(9)]
    assert (same[0].message, other[0].reason) == ("live is v2", "ChangedByHand")


def test_setting_one_leaves_the_others_where_they_are() -> None:
    three = conditions.put(conditions.put(conditions.put([], "A", "True", "R", "", at(0)), "B", "True", "R", "", at(0)), "C", "True", "R", "", at(0))  # fmt: skip
    changed = conditions.put(three, "B", "False", "R", "", at(1))
    assert [(c.type, c.status) for c in changed] == [("A", "True"), ("B", "False"), ("C", "True")]


def test_a_message_is_cut_to_what_the_api_server_takes() -> None:
    assert len(conditions.put([], "A", "True", "R", "x" * 5000, at(0))[0].message) <= 2048


@pytest.mark.parametrize(
    ("value", "truth"),
    [pytest.param(True, "True", id="yes"), pytest.param(False, "False", id="no"), pytest.param(None, "Unknown", id="nobody knows")],
)  # fmt: skip
def test_truth_is_three_valued(value: bool | None, truth: str) -> None:
    assert conditions.truth(value) == truth


def test_unknown_and_absent_are_not_true() -> None:
    unknown = conditions.put([], "A", "Unknown", "R", "", at(0))
    assert not conditions.is_true(unknown, "A") and not conditions.is_true([], "A")
    assert conditions.get([], "A") is None
