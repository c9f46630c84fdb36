"""Numbers that are no counts: alike in windows of very different lengths."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsloop.api.slo import Sli, Slo, Tier
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import flat

MINUTE = timedelta(minutes=1)
TIERS = [
    Tier(long=60 * MINUTE, short=5 * MINUTE, factor=14.4, severity="sev1"),
    Tier(long=360 * MINUTE, short=30 * MINUTE, factor=6, severity="sev2"),
]
BAD = Slo(objective=0.99, sli=Sli(bad="b[{{window}}]", total="t[{{window}}]"), tiers=TIERS)
GOOD = BAD.model_copy(update={"sli": Sli(good="g[{{window}}]", total="t[{{window}}]")})
NEAR = BAD.model_copy(update={"tiers": [Tier(long=10 * MINUTE, short=2 * MINUTE, factor=14.4, severity="sev1")]})


def read(*pairs: tuple[float, float]) -> dict[timedelta, Reading]:
    """(bad, total) of the windows of 5, 30, 60 and 360 minutes."""
    return {n * MINUTE: Value(*pair) for n, pair in zip((5, 30, 60, 360), pairs, strict=True)}


COUNTS = read((5, 500), (30, 3_000), (60, 6_000), (360, 36_000))
RATES = read((0.1, 9.0), (0.1, 11.0), (0.09, 10.0), (0.1, 12.0))
LACKING: Mapping[timedelta, Reading] = {**RATES, 60 * MINUTE: Unknown("NoAnswer", "away")}


@pytest.mark.parametrize(
    ("slo", "windows", "named"),
    [
        pytest.param(BAD, COUNTS, "", id="an hour has twelve times the events of five minutes"),
        pytest.param(BAD, RATES, "spec.slo.sli.total", id="events per second are the same over all windows"),
        pytest.param(BAD, read((1, 500), (1, 3e3), (1, 6e3), (1, 36e3)), "spec.slo.sli.bad", id="only the bad ones are a rate"),
        pytest.param(GOOD, read((499, 500), (2_999, 3e3), (5_999, 6e3), (35_999, 36e3)), "spec.slo.sli.good", id="only the good ones are a rate"),
        pytest.param(BAD, read((0, 500), (0, 3e3), (0, 6e3), (0, 36e3)), "", id="no bad event in any window is no rate"),
        pytest.param(BAD, LACKING, "", id="a window that is not known leaves it open"),
        pytest.param(NEAR, {2 * MINUTE: Value(1, 10), 10 * MINUTE: Value(1, 12)}, "", id="windows that are near to each other tell nothing"),
    ],
)  # fmt: skip
def test_the_field_that_is_no_count(slo: Slo, windows: Mapping[timedelta, Reading], named: str) -> None:
    assert flat.field(slo, windows) == named


@given(began=st.floats(0.1, 10_000), bad=st.floats(0.001, 1))
def test_steady_traffic_is_taken_for_a_rate_for_a_few_minutes_after_its_first_event_only(
    began: float, bad: float
) -> None:
    """`began`: minutes ago, at 60 events a minute, of which a share is bad; never as long as the numbers must be alike."""
    events = [60 * min(began, n) for n in (5, 30, 60, 360)]
    taken = flat.field(BAD, read(*((bad * n, n) for n in events))) != ""
    assert taken == (began <= 15) and timedelta(minutes=15) < flat.held(BAD)
