"""The gate reads an SLI that names a counter as the poller does: over the Release's own pods."""

from datetime import timedelta

import pytest

from opsloop.api.slo import Slo
from opsloop.errors import Invalid
from opsloop.shell.evidence import history
from opsloop.simulator.fakes.clock import START, FakeClock
from opsloop.simulator.prometheus.store import Store
from opsloop.simulator.prometheus.telemetry import ModelTelemetry
from tests.builders.objects import release
from tests.builders.promtool import load

pytestmark = pytest.mark.asyncio

HOUR = timedelta(hours=1)
SERIES = [
    {"series": 'hits_total{namespace="shop",pod="answers-5d9f8c6b5d-aaaaa",code="200"}', "values": "0+90x480"},
    {"series": 'hits_total{namespace="shop",pod="answers-5d9f8c6b5d-aaaaa",code="500"}', "values": "0+60x480"},
    {"series": 'hits_total{namespace="staging",pod="answers-5d9f8c6b5d-aaaaa",code="500"}', "values": "0+60x480"},
    {"series": 'hits_total{namespace="shop",pod="web-5d9f8c6b5d-aaaaa",code="500"}', "values": "0+60x480"},
]
SLO = Slo.model_validate({"objective": 0.9, "sli": {"requests": {"counter": "hits_total", "bad": 'code="500"'}}})


def prometheus(series: list[dict[str, str]]) -> ModelTelemetry:
    clock, store = FakeClock(), Store()
    load(store, series, START)
    clock.advance(7200)
    return ModelTelemetry(store, clock)


async def test_the_events_of_its_own_pods_alone_are_counted() -> None:
    telemetry, end = prometheus(SERIES), START + 2 * HOUR
    slo = await history.as_promql(telemetry, release(), SLO, end)
    point = await history.whole(telemetry, slo.sli, end - HOUR, end)
    assert point.bad == pytest.approx(240 * 60)
    assert point.total == pytest.approx(240 * 150)


async def test_promql_of_a_person_stays_as_it_is() -> None:
    raw = {"bad": 'sum(increase(hits_total{code="500"}[{{window}}]))', "total": "sum(increase(hits_total[{{window}}]))"}
    slo = Slo.model_validate({"objective": 0.9, "sli": raw})
    found = await history.as_promql(prometheus([]), release(), slo, START)
    assert (found.sli.bad, found.sli.total) == (raw["bad"], raw["total"])


async def test_without_a_pod_of_its_own_nothing_is_read() -> None:
    with pytest.raises(Invalid, match="write a selector"):
        await history.as_promql(prometheus(SERIES[3:]), release(), SLO, START + 2 * HOUR)
