"""What is left of an error budget, and when it is gone."""

from datetime import timedelta

import pytest

from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo.budget import exhausted_in, spent

DAYS = timedelta(days=30)


@pytest.mark.parametrize(
    ("base", "since", "left"),
    [
        pytest.param(Value(0, 1000), None, 1.0, id="no bad event leaves all of it"),
        pytest.param(Value(5, 1000), None, 0.5, id="half of what may be bad leaves half"),
        pytest.param(Value(20, 1000), None, -1.0, id="twice as many overspend it"),
        pytest.param(Value(5, 900), Value(5, 100), 0.0, id="events since the last look at the whole period count as well"),
        pytest.param(Value(5, 1000), Unknown("NoEvents"), 0.5, id="nothing happened since"),
        pytest.param(Value(5, 1000), Unknown("TelemetryTimeout"), None, id="nobody knows what happened since"),
    ],
)  # fmt: skip
def test_what_is_left(base: Value, since: Reading | None, left: float | None) -> None:
    found = spent(base, since, 0.99)
    assert (found.left if found else None) == (left if left is None else pytest.approx(left))


def test_the_share_of_the_period_with_data_is_told() -> None:
    found = spent(Value(1, 100, 0.25), None, 0.9)
    assert found is not None and found.coverage == 0.25


@pytest.mark.parametrize(
    ("left", "burn", "wanted"),
    [
        pytest.param(1.0, 1.0, DAYS, id="all of it lasts a period at a burn rate of 1"),
        pytest.param(0.5, 14.4, DAYS / 28.8, id="half of it, burning as the fastest tier pages"),
        pytest.param(0.5, 0.0, None, id="it is not being spent"),
        pytest.param(-0.1, 1.0, timedelta(0), id="it is gone"),
        pytest.param(0.0, 0.0, timedelta(0), id="it is gone, and nothing burns any more"),
    ],
)
def test_when_it_is_gone(left: float, burn: float, wanted: timedelta | None) -> None:
    found = exhausted_in(left, burn, DAYS)
    assert found == wanted or (found is not None and wanted is not None and abs(found - wanted) < timedelta(seconds=1))
