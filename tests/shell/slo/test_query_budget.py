"""Query budgets: what a namespace costs, that it is read on nevertheless, and that another one is not touched by it."""

import asyncio
from datetime import timedelta

import pytest

from opsloop.api.release import Release
from opsloop.core.readings import Value
from opsloop.core.slo.query_budget import OVER_BUDGET, QueryBudget
from opsloop.errors import TimedOut
from opsloop.shell.slo.poller import Poller
from opsloop.simulator.fakes.clock import START
from tests.fakes.telemetry import FakeTelemetry, only
from tests.shell.slo.test_poller import Bench, of

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def budgeted(budget: QueryBudget, *releases: Release) -> Bench:
    bench = Bench(*releases)
    bench.telemetry = FakeTelemetry()
    bench.telemetry.serve(START - timedelta(hours=1), 7200)
    second = timedelta(seconds=1)
    bench.poller = Poller(
        only(bench.telemetry, second), bench.clock, lambda: bench.releases, bench.store, bench.woken.append,
        timedelta(seconds=5), lambda key: key in bench.hot, budget=budget,
    )  # fmt: skip
    return bench


async def asked(bench: Bench, seconds: float, warm_up: float = 120) -> float:
    """Queries a minute after the start, in which everybody is read once at once."""
    running = asyncio.create_task(bench.poller.run())
    await asyncio.sleep(warm_up)
    before = len(bench.telemetry.instants) + len(bench.telemetry.ranges)
    await asyncio.sleep(seconds)
    running.cancel()
    return (len(bench.telemetry.instants) + len(bench.telemetry.ranges) - before) / seconds * 60


async def test_a_namespace_costs_its_budget_and_not_more() -> None:
    rate = await asked(budgeted(QueryBudget(60), *(of(f"web{n}") for n in range(20))), 600)
    assert rate == pytest.approx(60, rel=0.1)
    assert await asked(budgeted(QueryBudget(), *(of(f"web{n}") for n in range(20))), 600) > 200, "without a budget"


async def test_whoever_is_over_it_is_known_on_says_so_and_has_its_interval() -> None:
    bench = budgeted(QueryBudget(60), *(of(f"web{n}") for n in range(20)))
    await asked(bench, 60)
    for n in range(20):
        readings = bench.store.of(("shop", f"web{n}"))
        assert isinstance(bench.short(f"web{n}"), Value)
        assert readings.interval == pytest.approx(timedelta(seconds=20), abs=timedelta(seconds=8))
        assert [one.reason for one in readings.remarks] == [OVER_BUDGET]
        assert "namespace shop together may cost 60 queries a minute" in readings.remarks[0].message


async def test_a_namespace_within_its_budget_is_read_on_every_tick_and_says_nothing() -> None:
    bench = budgeted(QueryBudget(60, {"shop": 600}), of("web"))
    await asked(bench, 60)
    readings = bench.store.of(("shop", "web"))
    assert readings.interval == timedelta(seconds=5) and readings.remarks == ()


async def test_an_alert_does_not_make_a_namespace_exceed_its_budget() -> None:
    bench = budgeted(QueryBudget(60), *(of(f"web{n}") for n in range(20)))
    loop = asyncio.get_running_loop()
    for second in range(120, 720):
        loop.call_later(second, bench.poller.nudge)
    assert await asked(bench, 600) == pytest.approx(60, rel=0.1)


async def test_a_prometheus_that_comes_back_is_not_asked_beyond_the_budget() -> None:
    bench = budgeted(QueryBudget(60), *(of(f"web{n}") for n in range(20)))
    bench.telemetry.failure = TimedOut("no answer")
    asyncio.get_running_loop().call_later(130, lambda: setattr(bench.telemetry, "failure", None))
    assert await asked(bench, 600) <= 66


async def test_another_namespace_is_not_touched() -> None:
    other = of("pay")
    other = other.model_copy(update={"metadata": other.metadata.model_copy(update={"namespace": "bank"})})
    bench = budgeted(QueryBudget(0, {"shop": 30}), other, *(of(f"web{n}") for n in range(20)))
    await asked(bench, 60)
    assert bench.store.of(("bank", "pay")).interval == timedelta(seconds=5)
    assert bench.store.of(("bank", "pay")).remarks == ()


async def test_what_is_gone_costs_nothing_any_more() -> None:
    bench = budgeted(QueryBudget(60), *(of(f"web{n}") for n in range(20)))
    await asked(bench, 60)
    bench.releases[2:] = []
    await asked(bench, 60)
    assert bench.store.of(("shop", "web0")).interval == timedelta(seconds=5)
    assert bench.poller._costs == {"shop": sum(turn.cost for turn in bench.poller._turns.values())}
    bench.releases[:] = []
    await asked(bench, 60)
    assert bench.poller._costs == {}
