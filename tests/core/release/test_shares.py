"""The canary's share by pods, and by the requests that it served."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.release import shares
from tests.builders.objects import at
from tests.builders.rollouts import NOW, canary, facts, status_with, target

STEPPING = status_with(target("Stepping", weight=20, reached_at=at(10), started_at=at(5)))
LIVE, OWN = STEPPING.live, STEPPING.target.digest if STEPPING.target else ""


def share(own: Reading | None, live: Reading | None, said: int | None = None, opened: int = 1) -> Any:
    status = STEPPING.model_copy(update={"weight": STEPPING.weight.model_copy(update={"requests": said})})
    base = facts(status=status, canary=canary(1, opened))
    split = {digest: reading for digest, reading in ((OWN, own), (LIVE, live)) if reading is not None}
    return shares.weight(replace(base, readings=replace(base.readings, by_revision=split)), status)


def test_both_shares_are_told_and_may_differ() -> None:
    found = share(Value(0, 100), Value(0, 900))
    assert (found.wanted, found.actual, found.requests) == (20, 20, 10)


@pytest.mark.parametrize(
    ("own", "live"),
    [
        pytest.param(None, None, id="nothing was read by revision"),
        pytest.param(Value(0, 10), Unknown("NoSeries"), id="live is not known"),
        pytest.param(Unknown("NoEvents"), Value(0, 10), id="the canary is not known"),
    ],
)
def test_what_the_sli_does_not_tell_is_not_said(own: Reading | None, live: Reading | None) -> None:
    assert share(own, live).requests is None


@pytest.mark.parametrize(("own", "said", "expected"), [(130, 10, 10), (220, 10, 18), (100, None, 9)])
def test_a_share_that_differs_by_little_is_not_written_again(own: int, said: int | None, expected: int) -> None:
    assert share(Value(0, own), Value(0, 1000), said).requests == expected


def test_a_canary_without_an_open_gate_has_no_share() -> None:
    assert share(Value(0, 100), Value(0, 900), opened=0).requests is None


def test_a_weight_that_stood_for_less_than_the_window_is_not_told_as_its_share() -> None:
    begun = STEPPING.model_copy(
        update={"target": target("Stepping", weight=20, reached_at=NOW - timedelta(seconds=9), started_at=at(5))}
    )
    base = facts(status=begun, canary=canary(1, 1))
    split = {OWN: Value(0, 100), LIVE: Value(0, 900)}
    assert shares.weight(replace(base, readings=replace(base.readings, by_revision=split)), begun).requests is None
