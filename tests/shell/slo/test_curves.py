"""What a postmortem is given of Prometheus: counts by intervals, and the traffic of the period before, for the budget."""

from datetime import timedelta

import pytest

from opsloop.api.slo import Sli, Slo
from opsloop.core.postmortem.curve import Curve
from opsloop.core.slo.pods import Scope
from opsloop.errors import TimedOut
from opsloop.shell.slo import curves
from opsloop.shell.slo.query import SliQuery
from opsloop.simulator.fakes.clock import START
from tests.fakes.telemetry import FakeTelemetry

SECOND = timedelta(seconds=1)


def slo(period: timedelta) -> Slo:
    return Slo(objective=0.99, sli=Sli(good="good[{{window}}]", total="total[{{window}}]"), period=period)


async def read(telemetry: FakeTelemetry, period: timedelta, start: float = 7000, end: float = 7200) -> Curve | None:
    span = (START + timedelta(seconds=start), START + timedelta(seconds=end))
    query = SliQuery(telemetry, timedelta(seconds=5), SECOND)
    return await curves.read(query, slo(period), Scope(), span, SECOND)


@pytest.mark.asyncio
async def test_the_budget_is_that_of_the_period_and_not_of_a_busy_hour() -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START, 7000, rps=10)
    telemetry.serve(START + timedelta(seconds=7000), 200, rps=100, error=0.1)
    curve = await read(telemetry, timedelta(hours=2))
    assert curve is not None and curve.usual == pytest.approx((7000 * 10 + 200 * 100) / 7200, rel=0.01)
    assert curve.budget_spent(2000) == pytest.approx(2000 / (0.01 * 90_000), rel=0.01), (
        "at the traffic shown it would be 28 %"
    )


@pytest.mark.asyncio
async def test_of_a_period_that_was_measured_in_part_the_rest_has_as_much_traffic() -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START + timedelta(seconds=3600), 3600, rps=10, error=0.01)
    curve = await read(telemetry, timedelta(hours=2))
    assert curve is not None and curve.usual == pytest.approx(10, rel=0.05)
    assert curve.measured == pytest.approx(0.5, abs=0.02)


@pytest.mark.asyncio
async def test_of_one_that_was_hardly_measured_the_time_shown_must_do() -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START + timedelta(seconds=7000), 200, rps=10, error=0.01)
    curve = await read(telemetry, timedelta(days=30))
    assert curve is not None and curve.usual is None
    assert curve.budget_spent(20) == pytest.approx(20 / (0.01 * 10 * 30 * 86400), rel=0.01)


@pytest.mark.asyncio
async def test_a_period_that_nobody_answers_for_takes_no_curve_away(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = FakeTelemetry()
    telemetry.serve(START, 7200, rps=10)

    async def slow(self: object, query: str, at: object = None) -> list[object]:
        raise TimedOut("No answer within 5 s")

    monkeypatch.setattr(FakeTelemetry, "instant", slow)
    curve = await read(telemetry, timedelta(hours=2))
    assert curve is not None and curve.points and curve.usual is None
