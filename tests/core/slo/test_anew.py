"""Harm anew, or windows that hold the harm of before."""

from datetime import UTC, datetime, timedelta

import pytest

from opsloop.api.slo import Slo, Tier
from opsloop.core.readings import Reading, Unknown, Value
from opsloop.core.slo import burn_rate
from opsloop.core.slo.anew import burns_anew, surely_above
from tests.core.slo.test_burn_rate import SLI

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FAST = Tier(long=HOUR, short=5 * MINUTE, factor=14.4, severity="sev1")
TICKET = Tier(long=72 * HOUR, short=6 * HOUR, factor=1, severity="sev3")
HELD = {72 * HOUR: Value(30_000, 2_592_000), 6 * HOUR: Value(9_000, 216_000)}  # one hour's outage of three hours ago


@pytest.mark.parametrize(
    ("short", "long", "ago", "anew"),
    [
        pytest.param(Value(20, 3000), Value(250, 36_000), 70 * MINUTE, False, id="since the end three quarters of the budget are spent"),
        pytest.param(Value(45, 3000), Value(250, 36_000), 70 * MINUTE, False, id="and five minutes above it are chance"),
        pytest.param(Value(45, 3000), Value(540, 36_000), 70 * MINUTE, True, id="half as much again for an hour is none"),
        pytest.param(Value(45, 3000), Value(540, 36_000), 30 * MINUTE, False, id="of which half an hour is the harm of before"),
        pytest.param(Value(90, 3000), Value(540, 36_000), 30 * MINUTE, True, id="three times the budget since"),
        pytest.param(Value(20, 3000), Value(250, 36_000), 7 * HOUR, True, id="the short window lies behind the end"),
        pytest.param(Value(600, 3000), Value(6000, 36_000), 10 * MINUTE, True, id="a tier that pages fires by new harm"),
        pytest.param(Unknown(burn_rate.NO_SERIES), Value(540, 36_000), 30 * MINUTE, False, id="nothing is known of the time since"),
    ],
)  # fmt: skip
def test_harm_anew(short: Reading, long: Reading, ago: timedelta, anew: bool) -> None:
    slo = Slo(objective=0.99, sli=SLI, tiers=[FAST, TICKET])
    verdict = burn_rate.judge(slo, {**HELD, 5 * MINUTE: short, HOUR: long}, AT)
    assert verdict.firing is not None
    assert burns_anew(verdict, AT - ago) is anew


def test_a_tier_that_does_not_fire_is_no_harm() -> None:
    quiet = burn_rate.judge(Slo(objective=0.99, sli=SLI, tiers=[FAST]), {}, AT)
    assert not burns_anew(quiet, AT - HOUR)


def test_what_is_missing_is_no_harm() -> None:
    assert not surely_above(Value(100, 1000, coverage=0.05), 0.01)
