"""Error budgets read from a model of Prometheus, beside the poller and seldom."""

from datetime import timedelta
from typing import Any

import pytest

from opsloop.api.meta import parse_duration
from opsloop.api.release import Release
from opsloop.api.slo import Slo
from opsloop.core.slo.pods import Labels, Scope
from opsloop.shell.slo.budgets import Budgets
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.promtool import load
from tests.fakes.telemetry import only
from tests.shell.slo.test_structured import REQUESTS, RESOLUTION, counter, release

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]
POD = "web-5d9f8c6b5d-aaaaa"
KEY = ("shop", "web")
SCOPE = Scope("shop", "web", Labels("pod", "namespace"))


def day(item: Release, **slo: Any) -> Release:
    """With a period of a day."""
    own = item.spec.slo
    assert isinstance(own, Slo)
    changed = own.model_copy(update={"period": timedelta(days=1), **slo})
    return item.model_copy(update={"spec": item.spec.model_copy(update={"slo": changed})})


class Reader:
    """Budgets of one Release, whose bad events are one in a hundred for 12 hours and one in four afterwards."""

    def __init__(self) -> None:
        self.clock, store = FakeClock(), Store()
        series = [
            {"series": counter("hits_total", POD, code="200"), "values": "0+99x2880 285120+75x600"},
            {"series": counter("hits_total", POD, code="500"), "values": "0+1x2880 2880+25x600"},
        ]
        load(store, series, START)
        self.telemetry, self.items = ModelTelemetry(store, self.clock), [day(release(REQUESTS))]
        self.scope: Scope | None = SCOPE
        self.asked = 0
        self.budgets = Budgets(
            only(self, RESOLUTION), self.clock, lambda: self.items, lambda key, name: self.scope, RESOLUTION
        )

    async def instant(self, query: str, at: Any = None) -> Any:
        self.asked += 1
        return await self.telemetry.instant(query, at)

    async def range(self, *arguments: Any) -> Any:
        raise AssertionError("not asked")

    samples = range

    async def left(self, span: str) -> float | None:
        self.clock.advance((START + parse_duration(span) - self.clock.now()).total_seconds())
        await self.budgets.pass_once()
        found = self.budgets.of(KEY, "sli")
        return None if found is None else found.left


async def test_what_is_left_of_a_day() -> None:
    reader = Reader()
    assert await reader.left("11h") == pytest.approx(0.9, abs=0.01)  # the objective is 0.9: one in a hundred is a tenth
    found = reader.budgets.of(KEY, "sli")
    assert found is not None and found.coverage == pytest.approx(11 / 24, abs=0.05)
    assert reader.telemetry.unsupported == []


async def test_it_is_live_between_two_looks_at_the_whole_period() -> None:
    reader = Reader()
    await reader.left("11h59m")
    calm = await reader.left("12h")
    assert reader.asked == 2
    burning = await reader.left("12h3m")
    assert reader.asked == 3, "one small question a minute"
    assert calm is not None and burning is not None and burning < calm - 0.005


async def test_the_whole_period_is_asked_seldom_and_the_rest_once_a_minute() -> None:
    reader = Reader()
    for second in range(0, 600, 10):
        await reader.left(f"{39600 + second}s")
    assert reader.asked == 2 + 8, "twice the whole, five minutes apart, and once in each other minute"


async def test_it_is_gone_with_its_release_or_its_objective() -> None:
    reader = Reader()
    assert await reader.left("11h") is not None
    reader.items = [day(reader.items[0], objective=0.95)]
    assert reader.budgets.of(KEY, "sli") is not None
    assert await reader.left("11h1m") == pytest.approx(0.8, abs=0.02), "another objective is read anew"
    reader.items = []
    assert await reader.left("11h2m") is None


async def test_without_an_answer_nothing_is_known_after_a_while() -> None:
    reader = Reader()
    assert await reader.left("11h") is not None
    reader.scope = None  # the poller does not know (any more) where the series are
    assert await reader.left("11h10m") is not None
    assert await reader.left("11h30m") is None


async def test_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    other = reader.items[0].model_copy(
        update={"metadata": reader.items[0].metadata.model_copy(update={"name": "other"})}
    )
    reader.items.insert(0, other)

    def scope(key: tuple[str, str], name: str) -> Scope:
        if key[1] == "other":
            raise ZeroDivisionError("a bug")
        return SCOPE

    reader.budgets = Budgets(only(reader, RESOLUTION), reader.clock, lambda: reader.items, scope, RESOLUTION)
    assert await reader.left("11h") is not None
    assert "error budget of shop/other (sli) not read" in caplog.text
